-- experiments: what each experiment holds.
--
-- Grain:  one row per experiment, engine and status.
-- Reads:  runs.
-- Units:  bytes_in is decompressed telemetry, bytes_stored its Parquet files.
SELECT
    experiment,
    engine,
    status,
    count(*) AS runs,
    coalesce(sum(rows), 0)::BIGINT AS ticks,
    coalesce(sum(source_bytes), 0)::BIGINT AS bytes_in,
    coalesce(sum(stored_bytes), 0)::BIGINT AS bytes_stored,
    max(ingested_at) AS last_ingest
FROM runs
GROUP BY experiment, engine, status
ORDER BY experiment, engine NULLS LAST, status;
