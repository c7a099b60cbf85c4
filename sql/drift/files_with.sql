-- files_with: the files of the runs that have an undeclared field.
--
-- Grain:  one row per file.
-- Reads:  drift_runs, drift_unknown; $field: a path, list positions removed.
SELECT r.file
FROM drift_runs r
JOIN drift_unknown u USING (run_id)
WHERE u.path = $field AND r.file IS NOT NULL
ORDER BY r.nth;
