-- ticks: the telemetry, as the engine wrote it; the source view of the folder telemetry/.
--
-- Grain:  one row per tick of a run (profile, label, run_id, t).
-- Reads:  telemetry/profile=<p>/label=<l>/<run_id>.parquet (paths relative to the warehouse folder), runs.
-- Units:  usd, tao, ms as in the names; see `paraphina-wh schema ticks`.
-- Note:   a filter on profile and label reads only the matching files. Ticks of runs that are not committed,
--         superseded or withdrawn are left out.
--
-- Columns:
--   profile               | -         | risk profile (folder key)
--   label                 | -         | label of the run (folder key)
--   run_id                | -         | run the tick belongs to
--   extra                 | -         | fields the record does not declare: JSON object of path -> value, else null
CREATE OR REPLACE VIEW ticks AS
SELECT
    *
    -- promoted: the columns of `paraphina-wh drift promote`
FROM read_parquet(
    'telemetry/*/*/*.parquet',
    hive_partitioning = true,
    hive_types = {'profile': VARCHAR, 'label': VARCHAR}
)
WHERE run_id IN (SELECT run_id FROM runs);
