-- list: the runs with lines put aside.
--
-- Grain:  one row per run, or file of Monte Carlo runs, whose lines lie in the quarantine.
-- Reads:  held, put_aside (tables made of the queries of these names).
-- Units:  share is a fraction of of_lines, in which the lines put aside count; bytes with line ends.
SELECT
    run_id,
    h.label,
    coalesce(h.quarantined, p.readable) AS lines,
    coalesce(h.lines, h.rows + p.readable) AS of_lines,
    p.first_line,
    p.first_reason,
    h.file,
    h.profile,
    h.experiment,
    coalesce(h.quarantined, p.readable) / coalesce(h.lines, h.rows + p.readable) AS share,
    coalesce(h.quarantined_bytes, p.bytes) AS bytes,
    h.cut_off OR (p.cut_off AND h.quarantined IS NULL) AS cut_off,
    p.entries <> coalesce(h.quarantined, p.entries) OR p.readable <> p.entries AS damaged,
    h.ingested_at
FROM held h
JOIN put_aside p USING (run_id)
WHERE $experiment IS NULL OR h.experiment = $experiment
ORDER BY h.ingested_at, run_id;
