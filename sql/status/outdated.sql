-- outdated: the runs whose metrics another definition computed than that of today.
--
-- Grain:  one row, in the form of problems, of all such runs; none when there is no such run.
-- Reads:  runs.
-- Binds:  $definition, what names the definition of today.
SELECT
    'metrics of an older definition' AS problem,
    NULL::VARCHAR AS profile,
    NULL::VARCHAR AS label,
    NULL::VARCHAR AS run_id,
    count(*) || ' runs: paraphina-wh recompute' AS detail
FROM runs
WHERE num_ticks IS NOT NULL
    AND coalesce(source_kind, 'telemetry') = 'telemetry'
    AND metrics_definition IS DISTINCT FROM $definition
HAVING count(*) > 0;
