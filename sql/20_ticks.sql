-- ticks: the telemetry, as the engine wrote it; the source view of the folder telemetry/.
--
-- Grain:  one row per tick of a run (profile, label, run_id, t).
-- Reads:  telemetry/profile=<p>/label=<l>/<run_id>.parquet (paths relative to the warehouse folder), runs.
-- Units:  usd, tao, ms as in the names; see `paraphina-wh schema ticks`.
-- Note:   a filter on profile and label reads only the matching files. Ticks of runs that are not committed,
--         superseded or withdrawn are left out. In the order of the files, by their paths, and of t.
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
-- The runs that count, spread over lists by their hash. A join with runs would give the ticks in no order, and to sort
-- them is dear: they are many, and wide.
WHERE list_contains(
    (
        SELECT list(run_ids ORDER BY bucket)
        FROM (
            SELECT bucket, list(run_id) AS run_ids
            FROM range(4096) AS buckets(bucket)
            LEFT JOIN (SELECT run_id, CAST(hash(run_id) % 4096 AS BIGINT) AS bucket FROM runs) USING (bucket)
            GROUP BY bucket
        )
    )[CAST(hash(run_id) % 4096 AS BIGINT) + 1],
    run_id
);
