-- tuned_presets: the preset of each tier, scaled down to what a dataset says about the tier.
--
-- Grain:  one row per dataset and risk tier that has a preset.
-- Reads:  tier_presets, tuning_report.
-- Note:   the columns after dataset and their order are a contract: exp12_tuned_presets.csv. The metrics are those of
--         the preset before the tuning. tuning_report has the scales, their reasons, and a caveat about size_eta.
--
-- Columns:
--   name                  | -         | name of the tuned preset
--   base_name_exp12       | -         | preset that was tuned
--   vol_ref               | frac/day  | reference volatility
--   final_pnl_mean        | usd       | mean final PnL
--   max_drawdown_mean     | usd       | mean drawdown as stored, sign kept
--   kill_prob             | frac      | share of runs with the kill switch on
CREATE OR REPLACE VIEW tuned_presets AS
SELECT
    r.dataset,
    r.tuned_name AS name,
    p.risk_tier,
    p.rank_within_tier,
    p.initial_q_tao * r.risk_scale_exp12 AS initial_q_tao,
    r.loss_limit_usd_tuned AS loss_limit_usd,
    r.hedge_band_base_tuned AS hedge_band_base,
    r.size_eta_tuned AS size_eta,
    p.vol_ref,
    r.delta_limit_usd_base_tuned AS delta_limit_usd_base,
    p.final_pnl_mean,
    p.final_pnl_std,
    p.max_drawdown_mean,
    p.kill_prob,
    r.base_name AS base_name_exp12,
    r.risk_scale_exp12
FROM tuning_report r
JOIN tier_presets p ON r.risk_tier = p.risk_tier
ORDER BY r.dataset, p.tier_order;
