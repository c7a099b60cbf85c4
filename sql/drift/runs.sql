-- runs: the runs with telemetry, in the order in which they came in, and the files of their ticks.
--
-- Grain:  one row per run.
-- Reads:  runs; $pattern: a glob of all files of ticks; $experiment: one experiment, or null for all.
-- Note:   file is null where the file of a run is gone.
SELECT
    row_number() OVER (ORDER BY split_part(r.batch_id, '+', 1), r.profile, r.label, r.run_id) AS nth,
    r.run_id,
    r.profile,
    r.label,
    r.ingested_at,
    r.unknown_fields,
    f.file
FROM runs r
LEFT JOIN (
    SELECT parse_filename(file, true) AS run_id, min(file) AS file
    FROM glob($pattern)
    GROUP BY ALL
) f USING (run_id)
WHERE r.source_kind = 'telemetry' AND r.rows > 0 AND ($experiment IS NULL OR r.experiment = $experiment);
