-- safe_region: which starting points are safe in all scenarios, and what the worst scenario does to them?
--
-- Grain:  one row per profile and initial inventory.
-- Reads:  safe_region_cells, analysis_settings.
-- Note:   the columns and their order are a contract: exp06_safe_region_by_profile.csv. Drawdowns are magnitudes.
--
-- Columns:
--   safe_across_all_scenarios         | -      | every cell is safe
--   worst_case_pnl_total_mean         | usd    | smallest mean PnL of a scenario
--   worst_case_max_drawdown_mean      | usd    | largest mean drawdown of a scenario
--   worst_case_dd_frac_of_loss_limit  | frac   | the same over the loss limit
--   max_kill_switch_frac              | frac   | largest share of killed runs of a scenario
--   max_regime_frac_hard_mean         | frac   | largest mean share of ticks in regime HardLimit of a scenario
--   daily_loss_limit                  | usd    | loss limit of the profile centre
--   score                             | usd    | worst mean PnL - safe_lambda_dd x worst mean drawdown
--   init_q_tao                        | tao    | initial inventory
CREATE OR REPLACE VIEW safe_region AS
WITH worst AS (
    SELECT
        profile,
        init_q_tao,
        min(CASE WHEN safe_cell THEN 1 ELSE 0 END) = 1 AS safe_across_all_scenarios,
        min(pnl_total_mean) AS worst_case_pnl_total_mean,
        max(abs(max_drawdown_mean)) AS worst_case_max_drawdown_mean,
        max(dd_frac_of_loss_limit) AS worst_case_dd_frac_of_loss_limit,
        max(kill_switch_frac) AS max_kill_switch_frac,
        max(regime_frac_hard_mean) AS max_regime_frac_hard_mean,
        max(daily_loss_limit) AS daily_loss_limit
    FROM safe_region_cells
    GROUP BY profile, init_q_tao
)
SELECT w.*, w.worst_case_pnl_total_mean - s.safe_lambda_dd * w.worst_case_max_drawdown_mean AS score
FROM worst w
CROSS JOIN analysis_settings s
ORDER BY w.profile, w.init_q_tao;
