-- unknown: the fields that the record does not declare, as the ledger has them.
--
-- Grain:  one row per run and path (list positions removed).
-- Reads:  drift_runs.
SELECT
    run_id,
    field.key AS path,
    field.value.first_line AS first_line,
    field.value.count AS records,
    field.value.types AS types
FROM (
    SELECT
        run_id,
        unnest(
            map_entries(
                unknown_fields::JSON::MAP(VARCHAR, STRUCT(first_line BIGINT, "count" BIGINT, types VARCHAR[]))
            )
        ) AS field
    FROM drift_runs
    WHERE unknown_fields IS NOT NULL
);
