-- preset_runs: the runs from which presets are chosen, those of the latest risk-regime sweep.
--
-- Grain:  one row per run (run_id) that ended well.
-- Reads:  latest_runs.
--
-- Columns:
--   initial_q_tao         | tao       | initial inventory
--   loss_limit_usd        | usd       | loss limit
--   hedge_band_base       | tao       | hedge band
--   size_eta              | -         | size penalty; larger means smaller quotes
--   max_drawdown          | usd       | deepest fall from a peak, negative as in the CSV files of this sweep
--   kill                  | -         | 1 killed, 0 not killed
--   vol_ref               | frac/day  | reference volatility
CREATE OR REPLACE VIEW preset_runs AS
SELECT
    run_id,
    engine,
    init_q_tao AS initial_q_tao,
    daily_loss_limit AS loss_limit_usd,
    band_base AS hedge_band_base,
    mm_size_eta AS size_eta,
    vol_ref,
    delta_limit_usd_base,
    final_pnl,
    max_drawdown_signed AS max_drawdown,
    CAST(kill_flag AS DOUBLE) AS kill
FROM latest_runs
WHERE experiment = 'exp04_risk_regime' AND status = 'ok'
ORDER BY profile, label, run_id;
