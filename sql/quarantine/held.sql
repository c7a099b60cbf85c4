-- held: what has lines put aside, or had until they were dropped.
--
-- Grain:  one row per run with lines put aside, and per file of Monte Carlo runs that is named in $sources.
-- Reads:  runs, mc_runs.
-- Units:  quarantined_bytes with line ends; null for Monte Carlo files, and so are quarantined and lines: no ledger
--         has them.
SELECT
    run_id,
    profile,
    label,
    experiment,
    telemetry_path AS file,
    source_sha256,
    quarantined,
    quarantined_bytes,
    lines,
    rows,
    coalesce(truncated, false) AS cut_off,
    ingested_at
FROM runs
WHERE quarantined > 0
UNION ALL
SELECT
    source,
    NULL,
    NULL,
    NULL,
    source_path,
    source_sha256,
    NULL,
    NULL,
    NULL,
    count(*),
    false,
    max(ingested_at)
FROM mc_runs
WHERE list_contains($sources, source)
GROUP BY source, source_path, source_sha256;
