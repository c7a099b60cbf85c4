-- run_ledger: every committed event in the life of runs; the source view of the folder runs/.
--
-- Grain:  one row per event: a run came in, or was withdrawn. Superseded runs are still here.
-- Reads:  runs/experiment=<e>/<batch>.parquet. Paths are relative to the warehouse folder.
-- Note:   columns are those of runs. A row stored twice counts once: compaction may be interrupted.
--         In the order in which the events came in.
--
-- Columns:
--   experiment            | -         | experiment the run belongs to (folder key)
CREATE OR REPLACE VIEW run_ledger AS
SELECT * REPLACE (
    -- Files of earlier versions hold them as texts.
    TRY_CAST(started_at AS TIMESTAMPTZ) AS started_at,
    TRY_CAST(ingested_at AS TIMESTAMPTZ) AS ingested_at
)
FROM read_parquet(
    'runs/*/*.parquet',
    hive_partitioning = true,
    hive_types = {'experiment': VARCHAR},
    union_by_name = true
)
QUALIFY row_number() OVER (PARTITION BY event, run_id, batch_id ORDER BY experiment, filename) = 1
ORDER BY batch_id, event, run_id;
