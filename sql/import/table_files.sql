-- table_files: the telemetry that rows of tables name, as far as it is here.
--
-- Grain:  one row per row of a table that names telemetry (row_no) and run with telemetry of that name (run_id).
-- Reads:  telling (rows as table_runs has them, with row_no), runs, the macros of table_macros.
-- Binds:  $root (ROOT).
-- Note:   paths of another machine say no more than the name of the file.
--
-- Columns:
--   row_profile           | -         | profile that the row names
--   profile               | -         | profile of the run
--   is_meant              | -         | it lies where the row says, or below the folder of the table
CREATE OR REPLACE TEMP TABLE table_files AS
SELECT
    t.row_no, r.run_id, t.profile AS row_profile, r.profile,
    t.telemetry_path IN (r.telemetry_path, $root::VARCHAR || '/' || r.telemetry_path)
    OR is_below(r.telemetry_path, t.source_path) AS is_meant
FROM telling t
JOIN runs r ON file_stem(t.telemetry_path) = file_stem(r.telemetry_path)
WHERE coalesce(r.source_kind, 'telemetry') = 'telemetry';
