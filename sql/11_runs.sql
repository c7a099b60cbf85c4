-- runs: everything known about each run.
--
-- Grain:  one row per run (run_id): the first committed wins; superseded and withdrawn runs are left out.
-- Reads:  run_ledger.
-- Note:   a batch takes out runs of earlier batches, never its own: a run may supersede itself, with other provenance.
--         In the order in which they came in. Metric columns are null for runs without telemetry; they are what
--         condensed_ticks computed at ingest, or with `recompute`: then the row has the batch it came in with, a plus
--         sign and the batch of the recompute, which sorts before all that takes the place of the run later.
CREATE OR REPLACE VIEW runs AS
WITH removals AS (
    SELECT supersedes AS removed_run_id, max(batch_id) AS removed_in
    FROM run_ledger
    WHERE supersedes IS NOT NULL
    GROUP BY supersedes
),
additions AS (
    SELECT
        l.run_id,
        l.batch_id,
        row_number() OVER (PARTITION BY l.run_id ORDER BY l.batch_id) AS nth
    FROM run_ledger l
    LEFT JOIN removals r ON l.run_id = r.removed_run_id
    WHERE l.event = 'run' AND (r.removed_in IS NULL OR l.batch_id >= r.removed_in)
)
SELECT l.*
FROM run_ledger l
JOIN additions a ON l.run_id = a.run_id AND l.batch_id = a.batch_id
WHERE a.nth = 1 AND l.event = 'run'
ORDER BY split_part(l.batch_id, '+', 1), l.profile, l.label, l.run_id;
