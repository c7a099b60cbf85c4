-- latest_runs: the runs of the latest sweep of each experiment, what the analysis steps read.
--
-- Grain:  one row per run (run_id) of a sweep that latest_sweeps names, failed ones too.
-- Reads:  experiment_runs with all its columns, latest_sweeps.
CREATE OR REPLACE VIEW latest_runs AS
SELECT r.*
FROM experiment_runs r
JOIN latest_sweeps l
    ON r.experiment = l.experiment AND coalesce(r.sweep_id, '') = coalesce(l.sweep_id, '')
ORDER BY r.experiment, r.profile, r.label, r.run_id;
