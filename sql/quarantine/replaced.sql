-- replaced: live runs that took the place of others.
--
-- Grain:  one row per replaced run that goes by the name $name: by its run_id, the start of it, or its label.
-- Reads:  run_ledger, runs.
-- Note:   a replay that is repeated finds here that it has been done.
SELECT DISTINCT
    l.supersedes AS run_id,
    r.profile,
    r.label,
    r.telemetry_path AS file,
    r.run_id AS new_run_id,
    r.rows,
    coalesce(r.quarantined, 0) AS lines_left,
    coalesce(r.truncated, false) AS cut_off
FROM run_ledger l
JOIN runs r USING (run_id)
WHERE l.event = 'run'
    AND l.supersedes <> l.run_id
    AND (starts_with(l.supersedes, $name) OR l.label = $name)
    AND $name <> ''
ORDER BY l.supersedes;
