-- tuning_report: by how much the preset of each tier is scaled down, given what a dataset says about the tier.
--
-- Grain:  one row per dataset and risk tier that has a preset.
-- Reads:  tier_presets, alignment, risk_tiers, analysis_settings.
-- Note:   the columns after dataset and their order are a contract: exp12_tuning_report.csv. Budgets are those of
--         risk_tiers. The drawdown and the kill probability each scale the risk to budget / metric, once they exceed
--         the tolerance; the smaller scale counts, never above 1 and never below tuner_least_scale. PnL never scales.
--         The drawdown is the mean magnitude, budget minus margin, where the alignment states a margin below that of
--         |emp_max_drawdown_mean|: drawdowns of both signs. Else it is |emp_max_drawdown_mean|.
--         Caveat: the scale lowers size_eta too, and a smaller size_eta means larger quotes: more risk, not less.
--
-- Columns:
--   base_name                   | -     | preset that is tuned
--   tuned_name                  | -     | name of the tuned preset
--   risk_scale_exp12            | -     | factor on band, size penalty, inventory and delta limit
--   dd_ratio_emp_over_budget    | -     | mean magnitude of the drawdowns over their budget
--   kill_ratio_emp_over_budget  | -     | kill probability over its budget
--   hedge_band_base_orig        | tao   | hedge band of the preset
--   hedge_band_base_tuned       | tao   | hedge band, scaled
--   size_eta_orig               | -     | size penalty of the preset
--   size_eta_tuned              | -     | size penalty, scaled
--   delta_limit_usd_base_orig   | usd   | base of the delta limit of the preset
--   delta_limit_usd_base_tuned  | usd   | base of the delta limit, scaled
--   loss_limit_usd_orig         | usd   | loss limit of the preset, sign as stored
--   loss_limit_usd_tuned        | usd   | loss limit as a magnitude, cut to the drawdown budget when well above it
CREATE OR REPLACE VIEW tuning_report AS
WITH ratios AS (
    SELECT
        a.dataset,
        p.*,
        t.max_drawdown_abs, t.max_kill_prob, t.min_final_pnl_mean,
        a.emp_max_drawdown_mean, a.emp_kill_prob, a.emp_final_pnl_mean,
        -- Drawdowns of both signs cancel in their mean; the margin is that of their magnitudes.
        CASE
            WHEN a.emp_dd_margin < a.budget_max_dd_abs - abs(a.emp_max_drawdown_mean)
                THEN a.budget_max_dd_abs - a.emp_dd_margin
            ELSE abs(a.emp_max_drawdown_mean)
        END / t.max_drawdown_abs AS dd_ratio,
        a.emp_kill_prob / t.max_kill_prob AS kill_ratio
    FROM tier_presets p
    JOIN risk_tiers t ON p.risk_tier = t.risk_tier
    JOIN alignment a ON p.risk_tier = a.risk_tier
),
scaled AS (
    SELECT
        r.*,
        s.tuner_loss_tolerance,
        least(
            CASE WHEN dd_ratio > s.tuner_tolerance THEN greatest(s.tuner_least_scale, 1e0 / dd_ratio) ELSE 1e0 END,
            CASE WHEN kill_ratio > s.tuner_tolerance THEN greatest(s.tuner_least_scale, 1e0 / kill_ratio) ELSE 1e0 END
        ) AS risk_scale
    FROM ratios r
    CROSS JOIN analysis_settings s
)
SELECT
    dataset,
    risk_tier,
    name AS base_name,
    concat(name, '_exp12_tuned') AS tuned_name,
    risk_scale AS risk_scale_exp12,
    max_drawdown_abs AS budget_max_dd_abs,
    emp_max_drawdown_mean,
    dd_ratio AS dd_ratio_emp_over_budget,
    max_kill_prob AS budget_max_kill_prob,
    emp_kill_prob,
    kill_ratio AS kill_ratio_emp_over_budget,
    min_final_pnl_mean AS budget_min_final_pnl_mean,
    emp_final_pnl_mean,
    hedge_band_base AS hedge_band_base_orig,
    hedge_band_base * risk_scale AS hedge_band_base_tuned,
    size_eta AS size_eta_orig,
    size_eta * risk_scale AS size_eta_tuned,
    delta_limit_usd_base AS delta_limit_usd_base_orig,
    delta_limit_usd_base * risk_scale AS delta_limit_usd_base_tuned,
    loss_limit_usd AS loss_limit_usd_orig,
    CASE
        WHEN abs(loss_limit_usd) > tuner_loss_tolerance * max_drawdown_abs THEN max_drawdown_abs
        ELSE abs(loss_limit_usd)
    END AS loss_limit_usd_tuned
FROM scaled
ORDER BY dataset, tier_order;
