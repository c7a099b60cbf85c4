-- run_ledger: every committed event in the life of runs; the source view of the folder runs/.
--
-- Grain:  one row per event: a run came in, or was withdrawn. Superseded runs are still here.
-- Reads:  runs/experiment=<e>/<batch>.parquet. Paths are relative to the warehouse folder.
-- Note:   columns are those of runs. A row stored twice counts once: compaction may be interrupted. Files of earlier
--         versions hold seeds as signed integers.
--
-- Columns:
--   experiment            | -         | experiment the run belongs to (folder key)
CREATE OR REPLACE VIEW run_ledger AS
SELECT * REPLACE (try_cast(seed AS UBIGINT) AS seed)
FROM read_parquet(
    'runs/*/*.parquet',
    hive_partitioning = true,
    hive_types = {'experiment': VARCHAR},
    union_by_name = true
)
QUALIFY row_number() OVER (PARTITION BY event, run_id, batch_id) = 1;
