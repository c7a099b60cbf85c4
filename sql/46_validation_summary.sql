-- validation_summary: what the latest validation sweep (exp08) says about each profile.
--
-- Grain:  one row per profile.
-- Reads:  experiment_runs, latest_sweeps.
-- Note:   drawdowns are negative here, as in exp08_profile_summary.csv; max_drawdown_abs_mean is not in that file.
--
-- Columns:
--   max_drawdown_mean     | usd       | mean drawdown, negative
--   max_drawdown_min      | usd       | deepest drawdown, negative
--   kill_prob             | frac      | share of runs with the kill switch on
--   max_drawdown_abs_mean | usd       | mean magnitude of the drawdowns
CREATE OR REPLACE VIEW validation_summary AS
SELECT
    lower(trim(r.profile)) AS profile,
    avg(r.final_pnl) AS final_pnl_mean,
    stddev_samp(r.final_pnl) AS final_pnl_std,
    avg(r.max_drawdown_signed) AS max_drawdown_mean,
    min(r.max_drawdown_signed) AS max_drawdown_min,
    avg(CAST(r.kill_flag AS DOUBLE)) AS kill_prob,
    avg(abs(r.max_drawdown_signed)) AS max_drawdown_abs_mean
FROM experiment_runs r
JOIN latest_sweeps l
    ON r.experiment = l.experiment AND coalesce(r.sweep_id, '') = coalesce(l.sweep_id, '')
WHERE r.experiment = 'exp08_profile_validation' AND r.status = 'ok'
GROUP BY lower(trim(r.profile))
ORDER BY lower(trim(r.profile));
