-- evidence_ranges: the ends between which a run is assumed to lie, and differences that do not matter, a table of constants.
--
-- Grain:  one row per tier; its profile has the same name.
-- Reads:  risk_tiers, engine_presets.
-- Note:   bounds of means rest on the ends, and say so; a run beyond them leaves a verdict open. Ends far out cost runs:
--         to prove that a mean lies a hundredth of the range away takes some 170 of them. A loss passes the engine's
--         limit before the kill switch sees it: half of the limit is room for that.
--
-- Columns:
--   risk_tier             | -         | tier, named as its profile
--   worst_drawdown_usd    | usd       | no run has a deeper drawdown: ten budgets
--   worst_pnl_usd         | usd       | no run ends with a lower final PnL: a loss of one and a half loss limits of the engine
--   best_pnl_usd          | usd       | no run ends with a higher one: two and a half loss limits
--   margin_pnl_usd        | usd       | a mean final PnL that is lower by less is not worse: 5 % of the loss limit
--   margin_drawdown_usd   | usd       | a mean drawdown that is deeper by less is not worse: 10 % of its budget
--   margin_kill_prob      | frac      | a kill probability higher by less is not worse: a quarter of its budget, at least 0.005
--   max_drawdown_q95_usd  | usd       | budget: largest 95 % quantile of the drawdown; null: none, as it is until somebody sets one
--   max_drawdown_cvar95_usd | usd     | budget: largest mean of the deepest 5 %; null: none
CREATE OR REPLACE VIEW evidence_ranges AS
SELECT
    t.risk_tier,
    10 * t.max_drawdown_abs AS worst_drawdown_usd,
    -1.5e0 * p.daily_loss_limit AS worst_pnl_usd,
    2.5e0 * p.daily_loss_limit AS best_pnl_usd,
    0.05e0 * p.daily_loss_limit AS margin_pnl_usd,
    0.1e0 * t.max_drawdown_abs AS margin_drawdown_usd,
    greatest(0.005e0, 0.25e0 * t.max_kill_prob) AS margin_kill_prob,
    CAST(NULL AS DOUBLE) AS max_drawdown_q95_usd,
    CAST(NULL AS DOUBLE) AS max_drawdown_cvar95_usd
FROM risk_tiers t
JOIN engine_presets p ON p.profile = t.risk_tier
ORDER BY t.tier_order;
