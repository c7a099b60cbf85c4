-- imported: the files that are kept as tables of their own.
--
-- Grain:  one row per file of Monte Carlo runs or of summary rows.
-- Reads:  mc_runs, imported_summaries.
SELECT 'mc_runs' AS view, source_path, count(*) AS rows, max(ingested_at) AS last_ingest
FROM mc_runs
GROUP BY source, source_path
UNION ALL
SELECT 'imported_summaries', source_path, count(*), max(ingested_at)
FROM imported_summaries
GROUP BY source, source_path
ORDER BY view, source_path;
