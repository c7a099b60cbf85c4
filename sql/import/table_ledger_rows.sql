-- table_ledger_rows: what a per-run CSV adds to the ledger of an experiment.
--
-- Grain:  one row per new run, and one per further run that it takes out: two ingesters may have raced for a label.
-- Reads:  table_runs, table_run_fates.
-- Binds:  $experiment, $batch_id.
CREATE OR REPLACE TEMP TABLE table_ledger_rows AS
WITH fresh AS (
    SELECT source_row, superseded FROM table_run_fates WHERE NOT is_held AND NOT is_repeat
)
SELECT t.* EXCLUDE (experiment), f.superseded[1] AS supersedes
FROM table_runs t
JOIN fresh f USING (source_row)
WHERE t.experiment = $experiment
UNION ALL BY NAME
SELECT
    'withdrawn' AS event,
    removed AS run_id,
    $batch_id::VARCHAR AS batch_id,
    removed AS supersedes,
    profile,
    label,
    'withdrawn' AS status,
    ingested_at
FROM (
    SELECT t.profile, t.label, t.ingested_at, unnest(f.superseded[2:]) AS removed
    FROM table_runs t
    JOIN fresh f USING (source_row)
    WHERE t.experiment = $experiment
);
