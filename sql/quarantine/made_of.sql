-- made_of: the contents that a run was made of: its own, and those of the runs it took the place of.
--
-- Grain:  one row per hash of a telemetry file, decompressed.
-- Reads:  run_ledger.
-- Note:   a run whose lines were mended has another content than its file, which is that of the run before.
WITH RECURSIVE chain AS (
    SELECT run_id, supersedes, source_sha256, telemetry_path
    FROM run_ledger
    WHERE event = 'run' AND run_id = $run_id
    UNION
    SELECT l.run_id, l.supersedes, l.source_sha256, l.telemetry_path
    FROM run_ledger l
    JOIN chain c ON l.run_id = c.supersedes
    WHERE l.event = 'run'
)
SELECT DISTINCT source_sha256
FROM chain
WHERE telemetry_path = $file AND source_sha256 IS NOT NULL;
