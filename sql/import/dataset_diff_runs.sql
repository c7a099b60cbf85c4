-- dataset_diff_runs: the runs that only one of two datasets holds.
--
-- Grain:  one row per run (change, line_no).
-- Reads:  dataset_rows, of the datasets a and b.
-- Note:   a run of one dataset is found in the other by its run_id; where one of the two rows names none, by label
--         and telemetry file; where one of them names no telemetry file either, by profile and label; and in any case
--         by a line of the same text.
--
-- Columns:
--   change                | -         | added: b alone holds it; missing: a alone holds it
--   line_no               | -         | line of the file that holds it, from 1
WITH held AS (
    SELECT *, CASE dataset WHEN 'a' THEN 'b' ELSE 'a' END AS other
    FROM dataset_rows
    WHERE is_run
)
SELECT
    CASE r.dataset WHEN 'b' THEN 'added' ELSE 'missing' END AS change,
    r.line_no, r.run_id, r.profile, r.label, r.telemetry_path, r.final_pnl, r.max_drawdown, r.kill_prob
FROM held r
WHERE NOT EXISTS (SELECT 1 FROM held o WHERE o.other = r.dataset AND o.line = r.line)
    AND NOT EXISTS (SELECT 1 FROM held o WHERE o.other = r.dataset AND o.run_id = r.run_id)
    AND NOT EXISTS (
        SELECT 1 FROM held o
        WHERE o.other = r.dataset AND o.label = r.label AND o.telemetry_path = r.telemetry_path
            AND (o.run_id IS NULL OR r.run_id IS NULL)
    )
    AND NOT EXISTS (
        SELECT 1 FROM held o
        WHERE o.other = r.dataset AND o.label = r.label AND o.profile = r.profile
            AND (o.run_id IS NULL OR r.run_id IS NULL)
            AND (o.telemetry_path IS NULL OR r.telemetry_path IS NULL)
    )
ORDER BY change, r.line_no;
