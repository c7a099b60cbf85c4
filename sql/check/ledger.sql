-- ledger: the account of lines and bytes of every run.
--
-- Grain:  one row per run; problems lists the equations that do not hold, in words.
-- Reads:  runs.
SELECT
    run_id, profile, label,
    list_filter(
        [
            CASE WHEN lines <> rows + quarantined + blank THEN
                lines || ' lines are not ' || rows || ' rows + ' || quarantined || ' put aside + ' || blank || ' blank'
            END,
            CASE WHEN source_bytes <> row_bytes + quarantined_bytes + blank_bytes THEN
                source_bytes || ' bytes are not ' || row_bytes || ' + ' || quarantined_bytes || ' + ' || blank_bytes
            END,
            CASE WHEN rows <> coalesce(num_ticks, 0) THEN
                rows || ' rows, but the metrics are of ' || coalesce(num_ticks, 0) || ' ticks'
            END
        ],
        lambda problem: problem IS NOT NULL
    ) AS problems
FROM runs
ORDER BY profile, label, run_id;
