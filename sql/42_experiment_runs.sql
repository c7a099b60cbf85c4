-- experiment_runs: the runs of experiments under the names that their tables use.
--
-- Grain:  one row per run (run_id), failed and timed-out ones included.
-- Reads:  runs, engine_presets.
-- Note:   knobs are effective: what the run set, else what the engine takes for the profile. pnl_* are what stdout says,
--         to the cent; everything from pnl_total_end on comes from telemetry and is null in runs without it.
--
-- Columns:
--   run_id                | -         | identity of the run
--   experiment            | -         | experiment
--   sweep_id              | -         | equal for runs that can be compared: same experiment, engine, ticks and overrides
--   plan_key              | -         | what was planned, hashed; null in rows of tables
--   run_name              | -         | name of the run inside its experiment
--   profile               | -         | risk profile
--   label                 | -         | label of the run
--   label_json            | -         | label keys as JSON text
--   repeat                | -         | repeat index
--   seed                  | -         | seed of the run, unsigned 64 bit; null when none was passed
--   ticks                 | ticks     | ticks asked for
--   status                | -         | ok, failed or timeout
--   error                 | -         | why the run failed
--   engine                | -         | reference for the embedded engine, else external or null
--   started_at            | -         | start of the engine
--   duration_sec          | s         | wall time of the engine
--   returncode            | -         | return code of the engine; -1 after a timeout
--   init_q_tao            | tao       | initial inventory
--   band_base             | tao       | hedge band
--   hedge_max_step        | tao       | largest hedge
--   mm_size_eta           | -         | size penalty
--   vol_ref               | frac/day  | reference volatility
--   daily_loss_limit      | usd       | loss limit
--   delta_limit_usd_base  | usd       | base of the delta limit, by profile
--   knobs_json            | -         | the knobs that were set, as JSON text
--   pnl_realised          | usd       | realised PnL of the summary on stdout
--   pnl_unrealised        | usd       | unrealised PnL of the summary
--   pnl_total             | usd       | total PnL of the summary
--   kill_switch           | -         | kill switch of the summary, else of the telemetry; false when a summary names
--                                     none; null when no kill was seen in a run that failed or is not whole
--   kill_flag             | -         | kill_switch as 1 or 0
--   risk_regime           | -         | regime at the end
--   telemetry_path        | -         | telemetry file, relative to ROOT when below it
--   pnl_total_end         | usd       | total PnL after the last tick
--   final_pnl             | usd       | the same, by the name of research rows
--   max_drawdown          | usd       | deepest fall from a peak, positive magnitude
--   max_drawdown_signed   | usd       | the same, negative
--   max_drawdown_time     | ticks     | first tick at the deepest point
--   time_to_kill          | ticks     | first tick with the kill switch on; null when none
--   regime_frac_normal    | frac      | share of ticks in regime Normal
--   regime_frac_warning   | frac      | share of ticks in regime Warning
--   regime_frac_hard      | frac      | share of ticks in regime HardLimit
--   num_ticks             | ticks     | records of the run
--   dollar_delta_usd      | usd       | dollar delta after the last tick
--   basis_exposure_usd    | usd       | basis exposure after the last tick
CREATE OR REPLACE VIEW experiment_runs AS
SELECT
    r.run_id,
    r.experiment,
    r.sweep_id,
    r.plan_key,
    r.run_name,
    r.profile,
    r.label,
    r.label_json,
    r.repeat,
    r.seed,
    r.ticks_requested AS ticks,
    r.status,
    r.error,
    r.engine,
    r.started_at,
    r.duration_sec,
    r.returncode,
    -- Plus 0, which leaves no negative zero: it would be a setting equal to 0 and shown otherwise.
    coalesce(r.init_q_tao, p.init_q_tao) + 0e0 AS init_q_tao,
    coalesce(r.band_base, p.band_base) + 0e0 AS band_base,
    coalesce(r.hedge_max_step, p.hedge_max_step) + 0e0 AS hedge_max_step,
    coalesce(r.mm_size_eta, p.mm_size_eta) + 0e0 AS mm_size_eta,
    coalesce(r.vol_ref, p.vol_ref) + 0e0 AS vol_ref,
    abs(coalesce(r.daily_loss_limit, p.daily_loss_limit)) AS daily_loss_limit,
    p.delta_limit_usd_base,
    r.knobs_json,
    r.stdout_pnl_realised AS pnl_realised,
    r.stdout_pnl_unrealised AS pnl_unrealised,
    r.stdout_pnl_total AS pnl_total,
    r.kill AS kill_switch,
    CASE WHEN r.kill THEN 1 WHEN NOT r.kill THEN 0 END AS kill_flag,
    coalesce(r.stdout_risk_regime, r.final_regime) AS risk_regime,
    r.telemetry_path,
    r.final_pnl AS pnl_total_end,
    r.final_pnl,
    r.max_drawdown,
    0e0 - r.max_drawdown AS max_drawdown_signed,
    r.max_drawdown_time,
    r.kill_tick AS time_to_kill,
    r.frac_normal AS regime_frac_normal,
    r.frac_warning AS regime_frac_warning,
    r.frac_hard AS regime_frac_hard,
    r.num_ticks,
    r.delta_final_usd AS dollar_delta_usd,
    r.basis_final_usd AS basis_exposure_usd
FROM (
    SELECT
        *,
        CASE
            WHEN stdout_kill_switch OR kill_switch THEN true
            WHEN status = 'ok' THEN
                coalesce(stdout_kill_switch, kill_switch, CASE WHEN stdout_sha256 IS NOT NULL AND stdout_usable THEN false END)
        END AS kill
    FROM runs
) AS r
LEFT JOIN engine_presets p ON lower(trim(r.profile)) = p.profile
ORDER BY split_part(r.batch_id, '+', 1), r.profile, r.label, r.run_id;
