-- table_telling: the rows of tables taken in earlier that may tell of runs which came in now.
--
-- Grain:  one row per run that is known by the row of a table alone (row_no), and may be one of those.
-- Reads:  runs, the macros of table_macros.
-- Binds:  $run_ids, the runs that came in.
CREATE OR REPLACE TEMP TABLE telling AS
WITH came AS (
    SELECT run_id, profile, experiment, repeat, stdout_pnl_total, final_pnl, file_stem(telemetry_path) AS stem
    FROM runs
    WHERE run_id IN (SELECT unnest($run_ids))
),
held AS (
    SELECT *, file_stem(telemetry_path) AS stem FROM runs WHERE source_kind = 'csv'
),
met AS (
    SELECT h.run_id FROM held h JOIN came c ON h.stem = c.stem
    UNION
    SELECT h.run_id FROM held h JOIN came c ON h.run_name = c.run_id
    UNION
    SELECT h.run_id FROM held h JOIN came c ON h.profile = c.profile AND h.stdout_pnl_total = c.stdout_pnl_total
    UNION
    SELECT h.run_id FROM held h JOIN came c ON h.profile = c.profile AND h.final_pnl = c.final_pnl
    UNION
    SELECT h.run_id
    FROM held h
    JOIN came c ON h.profile = c.profile AND h.experiment = c.experiment AND h.repeat = c.repeat
    WHERE coalesce(h.stdout_pnl_total, h.final_pnl, c.stdout_pnl_total, c.final_pnl) IS NULL
)
SELECT * EXCLUDE (stem), row_number() OVER (ORDER BY batch_id, source_path, source_row) AS row_no
FROM held
WHERE run_id IN (SELECT run_id FROM met);
