-- evidence_settings: how sure a verdict on a risk budget must be, a table of constants.
--
-- Grain:  one row.
--
-- Columns:
--   level                 | frac      | confidence level of each one-sided bound, above 0.5 and below 1
CREATE OR REPLACE VIEW evidence_settings AS
SELECT 0.95e0 AS level;
