-- latest_sweeps: the sweep of each experiment that was run last.
--
-- Grain:  one row per experiment with a run that ended well.
-- Reads:  experiment_runs.
-- Note:   the last is the one with the latest start of a run. The analysis steps read its runs alone: those of another
--         engine, length or overlay do not compare.
CREATE OR REPLACE VIEW latest_sweeps AS
SELECT experiment, sweep_id, started_at
FROM (
    SELECT
        experiment, sweep_id, started_at,
        row_number() OVER (
            PARTITION BY experiment ORDER BY started_at DESC NULLS LAST, sweep_id DESC NULLS LAST
        ) AS nth
    FROM experiment_runs
    WHERE status = 'ok'
) AS newest
WHERE nth = 1
ORDER BY experiment;
