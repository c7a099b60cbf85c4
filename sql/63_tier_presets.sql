-- tier_presets: the preset that stands for each risk tier, the one of the lowest rank.
--
-- Grain:  one row per risk tier that has a preset.
-- Reads:  presets, risk_tiers.
--
-- Columns:
--   vol_ref               | frac/day  | reference volatility
--   final_pnl_mean        | usd       | mean final PnL
--   max_drawdown_mean     | usd       | mean drawdown as stored, sign kept
--   kill_prob             | frac      | share of runs with the kill switch on
CREATE OR REPLACE VIEW tier_presets AS
SELECT
    tier_order, name, risk_tier, rank_within_tier, initial_q_tao, loss_limit_usd, hedge_band_base, size_eta, vol_ref,
    delta_limit_usd_base, final_pnl_mean, final_pnl_std, max_drawdown_mean, kill_prob, max_drawdown_abs_mean,
    candidate_order
FROM (
    SELECT
        t.tier_order, coalesce(p.name, t.risk_tier) AS name, t.risk_tier, p.rank_within_tier, p.initial_q_tao,
        p.loss_limit_usd, p.hedge_band_base, p.size_eta, p.vol_ref, p.delta_limit_usd_base, p.final_pnl_mean,
        p.final_pnl_std, p.max_drawdown_mean, p.kill_prob, p.max_drawdown_abs_mean, p.candidate_order,
        row_number() OVER (
            PARTITION BY t.risk_tier ORDER BY p.rank_within_tier NULLS LAST, p.candidate_order
        ) AS nth
    FROM presets p
    JOIN risk_tiers t ON lower(trim(p.risk_tier)) = t.risk_tier
) AS ranked
WHERE nth = 1
ORDER BY tier_order;
