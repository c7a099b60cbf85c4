-- experiment_summary: what the runs of each setting of an experiment look like together.
--
-- Grain:  one row per experiment, sweep, profile and set of knobs; repeats are pooled.
-- Reads:  experiment_runs, macros.
-- Note:   means and standard deviations leave out runs without the metric; num_runs counts failed runs too. Drawdowns
--         are magnitudes. The CSV of an experiment has the keys and statistics that its file names.
--
-- Columns:
--   experiment            | -         | experiment
--   sweep_id              | -         | equal for runs that can be compared: same engine, ticks and overrides
--   profile               | -         | risk profile
--   knobs_json            | -         | the knobs that were set, as JSON text
--   init_q_tao            | tao       | initial inventory
--   band_base             | tao       | hedge band
--   mm_size_eta           | -         | size penalty
--   vol_ref               | frac/day  | reference volatility
--   daily_loss_limit      | usd       | loss limit
--   pnl_realised_mean     | usd       | mean realised PnL of stdout
--   pnl_unrealised_mean   | usd       | mean unrealised PnL of stdout
--   pnl_total_mean        | usd       | mean total PnL of stdout
--   pnl_total_std         | usd       | its sample standard deviation; null for one run
--   final_pnl_mean        | usd       | mean total PnL of telemetry
--   final_pnl_std         | usd       | its sample standard deviation
--   max_drawdown_mean     | usd       | mean drawdown
--   max_drawdown_std      | usd       | its sample standard deviation
--   time_to_kill_mean     | ticks     | mean first tick of the kill, over killed runs
--   regime_frac_hard_mean | frac      | mean share of ticks in regime HardLimit
--   kill_switch_frac      | frac      | share of runs with the kill switch on
--   num_runs              | count     | runs
--   num_failed            | count     | runs that failed or ran out of time
CREATE OR REPLACE VIEW experiment_summary AS
SELECT
    experiment,
    sweep_id,
    profile,
    knobs_json,
    max(init_q_tao) AS init_q_tao,
    max(band_base) AS band_base,
    max(mm_size_eta) AS mm_size_eta,
    max(vol_ref) AS vol_ref,
    max(daily_loss_limit) AS daily_loss_limit,
    mean_of(pnl_realised) AS pnl_realised_mean,
    mean_of(pnl_unrealised) AS pnl_unrealised_mean,
    mean_of(pnl_total) AS pnl_total_mean,
    std_of(pnl_total) AS pnl_total_std,
    mean_of(final_pnl) AS final_pnl_mean,
    std_of(final_pnl) AS final_pnl_std,
    mean_of(max_drawdown) AS max_drawdown_mean,
    std_of(max_drawdown) AS max_drawdown_std,
    mean_of(time_to_kill) AS time_to_kill_mean,
    mean_of(regime_frac_hard) AS regime_frac_hard_mean,
    avg(CASE WHEN kill_switch THEN 1e0 WHEN NOT kill_switch THEN 0e0 END) AS kill_switch_frac,
    count(*) AS num_runs,
    CAST(sum(CASE WHEN status = 'ok' THEN 0 ELSE 1 END) AS BIGINT) AS num_failed
FROM experiment_runs
GROUP BY experiment, sweep_id, profile, knobs_json
ORDER BY experiment, sweep_id, profile, knobs_json;
