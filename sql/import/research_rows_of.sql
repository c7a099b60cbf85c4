-- research_rows_of: the selected research rows of the warehouse, each with whether a dataset holds it.
--
-- Grain:  one row per run (run_id), in the order in which the runs came in.
-- Reads:  research_rows, dataset_rows.
-- Binds:  $dataset; $profiles, $experiment, $label_contains, $run_ids (null = all).
-- Note:   rows of older tools name no run: they are known by label and telemetry file.
WITH held AS (
    SELECT run_id, label, telemetry_path
    FROM dataset_rows
    WHERE dataset = $dataset AND is_run
)
SELECT
    r.*,
    EXISTS (SELECT 1 FROM held h WHERE h.run_id = r.run_id)
    OR EXISTS (
        SELECT 1 FROM held h WHERE h.run_id IS NULL AND h.label = r.label AND h.telemetry_path = r.telemetry_path
    ) AS is_held,
    EXISTS (
        SELECT 1 FROM held h WHERE h.run_id <> r.run_id AND h.label = r.label AND h.telemetry_path = r.telemetry_path
    ) AS repeats_label
FROM research_rows r
WHERE ($profiles IS NULL OR list_contains($profiles, r.profile))
    AND ($experiment IS NULL OR r.experiment = $experiment)
    AND ($label_contains IS NULL OR contains(r.label, $label_contains))
    AND ($run_ids IS NULL OR list_contains($run_ids, r.run_id))
ORDER BY r.timestamp_utc, r.label, r.run_id;
