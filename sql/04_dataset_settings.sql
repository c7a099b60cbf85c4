-- dataset_settings: what may enter a research dataset, a table of constants.
--
-- Grain:  one row.
--
-- Columns:
--   allow_truncated       | -         | runs whose telemetry is cut off may: `export dataset --allow-truncated`
CREATE OR REPLACE VIEW dataset_settings AS
SELECT false AS allow_truncated;
