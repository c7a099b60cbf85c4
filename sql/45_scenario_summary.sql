-- scenario_summary: what the latest multi-scenario sweep (exp04) says about each cell.
--
-- Grain:  one row per profile, scenario and initial inventory; repeats are pooled.
-- Reads:  latest_runs, macros.
-- Note:   the columns and their order are a contract: exp04_summary.csv. Means leave out runs without the metric;
--         num_runs counts failed runs too, unless a good run of their label stands beside them. Percentiles are
--         interpolated linearly.
--
-- Columns:
--   scenario                 | -      | scenario of the run's label
--   pnl_total_p5             | usd    | 5th percentile of the total PnL of stdout
--   pnl_total_p95            | usd    | its 95th percentile
--   regime_frac_normal_mean  | frac   | mean share of ticks in regime Normal
--   regime_frac_warning_mean | frac   | mean share of ticks in regime Warning
--   init_q_tao               | tao    | initial inventory
CREATE OR REPLACE VIEW scenario_summary AS
WITH attempts AS (
    SELECT
        *,
        NULLIF(regexp_extract(label_json, '"scenario": ?"([^"]*)"', 1), '') AS scenario,
        row_number() OVER (
            PARTITION BY profile, label
            ORDER BY CASE WHEN status = 'ok' THEN 0 ELSE 1 END, started_at DESC NULLS LAST, run_id
        ) AS nth
    FROM latest_runs
    WHERE experiment = 'exp04_multi_scenario'
)
SELECT
    profile,
    scenario,
    init_q_tao,
    mean_of(pnl_realised) AS pnl_realised_mean,
    mean_of(pnl_unrealised) AS pnl_unrealised_mean,
    mean_of(pnl_total) AS pnl_total_mean,
    std_of(pnl_total) AS pnl_total_std,
    percentile_cont(0.05) WITHIN GROUP (ORDER BY pnl_total + 0e0) AS pnl_total_p5,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY pnl_total + 0e0) AS pnl_total_p95,
    mean_of(max_drawdown) AS max_drawdown_mean,
    std_of(max_drawdown) AS max_drawdown_std,
    mean_of(time_to_kill) AS time_to_kill_mean,
    mean_of(regime_frac_normal) AS regime_frac_normal_mean,
    mean_of(regime_frac_warning) AS regime_frac_warning_mean,
    mean_of(regime_frac_hard) AS regime_frac_hard_mean,
    avg(CASE WHEN kill_switch THEN 1e0 WHEN NOT kill_switch THEN 0e0 END) AS kill_switch_frac,
    count(*) AS num_runs
FROM attempts
WHERE nth = 1
GROUP BY profile, scenario, init_q_tao
ORDER BY profile, scenario, init_q_tao;
