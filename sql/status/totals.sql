-- totals: the whole warehouse in one row.
--
-- Grain:  one row.
-- Reads:  runs, dataset_rows.
-- Units:  bytes_in is decompressed telemetry, bytes_stored its Parquet files.
SELECT
    count(*) AS runs,
    count(*) FILTER (status = 'ok') AS ok,
    count(*) FILTER (status <> 'ok') AS failed,
    coalesce(sum(rows), 0)::BIGINT AS ticks,
    coalesce(sum(source_bytes), 0)::BIGINT AS bytes_in,
    coalesce(sum(stored_bytes), 0)::BIGINT AS bytes_stored,
    count(DISTINCT experiment) AS experiments,
    (SELECT count(DISTINCT dataset) FROM dataset_rows) AS datasets,
    max(ingested_at) AS last_ingest
FROM runs;
