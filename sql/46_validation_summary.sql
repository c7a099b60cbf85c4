-- validation_summary: what the latest validation sweep (exp08) says about each profile.
--
-- Grain:  one row per profile.
-- Reads:  latest_runs, macros.
-- Note:   drawdowns are negative here, as in exp08_profile_summary.csv; max_drawdown_abs_mean is not in that file.
--
-- Columns:
--   max_drawdown_mean     | usd       | mean drawdown, negative
--   max_drawdown_min      | usd       | deepest drawdown, negative
--   kill_prob             | frac      | share of runs with the kill switch on
--   max_drawdown_abs_mean | usd       | mean magnitude of the drawdowns
CREATE OR REPLACE VIEW validation_summary AS
SELECT
    lower(trim(profile)) AS profile,
    mean_of(final_pnl) AS final_pnl_mean,
    std_of(final_pnl) AS final_pnl_std,
    mean_of(max_drawdown_signed) AS max_drawdown_mean,
    min(max_drawdown_signed) AS max_drawdown_min,
    mean_of(CAST(kill_flag AS DOUBLE)) AS kill_prob,
    mean_of(abs(max_drawdown_signed)) AS max_drawdown_abs_mean
FROM latest_runs
WHERE experiment = 'exp08_profile_validation' AND status = 'ok'
GROUP BY lower(trim(profile))
ORDER BY lower(trim(profile));
