-- datasets: the versioned datasets that the warehouse holds.
--
-- Grain:  one row per dataset.
-- Reads:  dataset_rows.
SELECT
    dataset,
    count(*) AS lines,
    count(*) FILTER (is_run) AS runs,
    max(TRY_CAST(timestamp_utc AS TIMESTAMPTZ)) AS newest_row
FROM dataset_rows
GROUP BY dataset
ORDER BY dataset;
