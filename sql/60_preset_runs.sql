-- preset_runs: the runs from which presets are chosen, those of the latest risk-regime sweep.
--
-- Grain:  one row per run (run_id) that ended well.
-- Reads:  experiment_runs, latest_sweeps.
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
    r.run_id,
    r.engine,
    r.init_q_tao AS initial_q_tao,
    r.daily_loss_limit AS loss_limit_usd,
    r.band_base AS hedge_band_base,
    r.mm_size_eta AS size_eta,
    r.vol_ref,
    r.delta_limit_usd_base,
    r.final_pnl,
    r.max_drawdown_signed AS max_drawdown,
    CAST(r.kill_flag AS DOUBLE) AS kill
FROM experiment_runs r
JOIN latest_sweeps l
    ON r.experiment = l.experiment AND coalesce(r.sweep_id, '') = coalesce(l.sweep_id, '')
WHERE r.experiment = 'exp04_risk_regime' AND r.status = 'ok';
