-- run_ledger: every committed event in the life of runs; the source view of the folder runs/.
--
-- Grain:  one row per event: a run came in, or was withdrawn. Superseded runs are still here.
-- Reads:  runs/experiment=<e>/<batch>.parquet. Paths are relative to the warehouse folder.
-- Note:   columns are those of runs. A row stored twice counts once: compaction may be interrupted. No kill seen in a
--         run that failed, or whose telemetry is cut off, is none known; rows of earlier versions said false there, and
--         held seeds as signed integers.
--         In the order in which the events came in.
--
-- Columns:
--   experiment            | -         | experiment the run belongs to (folder key)
CREATE OR REPLACE VIEW run_ledger AS
SELECT * REPLACE (
    CASE WHEN kill_switch OR (status = 'ok' AND NOT coalesce(truncated, false)) THEN kill_switch END AS kill_switch,
    try_cast(seed AS UBIGINT) AS seed,
    -- Files of earlier versions hold them as texts.
    try_cast(started_at AS TIMESTAMPTZ) AS started_at,
    try_cast(ingested_at AS TIMESTAMPTZ) AS ingested_at
)
FROM read_parquet(
    'runs/*/*.parquet',
    hive_partitioning = true,
    hive_types = {'experiment': VARCHAR},
    union_by_name = true
)
QUALIFY row_number() OVER (PARTITION BY event, run_id, batch_id ORDER BY experiment, filename) = 1
ORDER BY batch_id, event, run_id;
