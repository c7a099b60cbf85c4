-- safe_region_cells: is each cell of the multi-scenario sweep safe?
--
-- Grain:  one row per profile, scenario and initial inventory.
-- Reads:  scenario_summary with all its columns, profile_centres, analysis_settings.
-- Note:   the columns and their order are a contract: exp06_safe_region_per_cell.csv. What is not known is not safe.
--
-- Columns:
--   daily_loss_limit          | usd    | loss limit of the profile centre
--   dd_frac_of_loss_limit     | frac   | magnitude of the mean drawdown over the loss limit
--   safe_kill_switch          | -      | few enough runs were killed
--   safe_regime_hard          | -      | few enough ticks were in regime HardLimit
--   safe_drawdown             | -      | the mean drawdown is a small enough part of the loss limit
--   safe_cell                 | -      | all three
--   init_q_tao               | tao    | initial inventory
CREATE OR REPLACE VIEW safe_region_cells AS
WITH measured AS (
    SELECT
        c.*,
        p.daily_loss_limit,
        abs(c.max_drawdown_mean) / NULLIF(p.daily_loss_limit, 0e0) AS dd_frac_of_loss_limit
    FROM scenario_summary c
    LEFT JOIN profile_centres p ON lower(trim(c.profile)) = p.profile
),
judged AS (
    SELECT
        m.*,
        coalesce(m.kill_switch_frac <= s.safe_max_kill_switch_frac, false) AS safe_kill_switch,
        coalesce(m.regime_frac_hard_mean <= s.safe_max_regime_frac_hard, false) AS safe_regime_hard,
        coalesce(m.dd_frac_of_loss_limit <= s.safe_max_dd_frac, false) AS safe_drawdown
    FROM measured m
    CROSS JOIN analysis_settings s
)
SELECT *, safe_kill_switch AND safe_regime_hard AND safe_drawdown AS safe_cell
FROM judged
ORDER BY profile, scenario, init_q_tao;
