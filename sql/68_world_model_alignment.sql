-- world_model_alignment: do the presets keep their budgets, in the sweep they were chosen from and in the validation?
--
-- Grain:  one row per risk tier, tiers without preset or validation included; none when no tier has any.
-- Reads:  risk_tiers, tier_presets, validation_summary.
-- Note:   the columns and their order are a contract: exp10_alignment.csv. Formulas and rules of null are those of the
--         view alignment: the spread of PnL does not enter the score.
--
-- Columns:
--   preset_name               | -     | preset of the tier
--   design_final_pnl_mean     | usd   | in the sweep: mean final PnL
--   design_max_drawdown_mean  | usd   | in the sweep: mean drawdown as stored, sign kept
--   design_kill_prob          | frac  | in the sweep: kill probability
--   design_kill_ok            | -     | in the sweep: the kill probability is within its budget
--   design_dd_ok              | -     | in the sweep: the mean drawdown is within its budget
--   design_pnl_ok             | -     | in the sweep: the mean final PnL is within its budget
--   design_kill_margin        | frac  | in the sweep: budget minus kill probability
--   design_dd_margin          | usd   | in the sweep: budget minus mean drawdown
--   design_pnl_margin         | usd   | in the sweep: mean final PnL minus budget
--   design_score              | usd   | in the sweep: the score of the view alignment
--   val_final_pnl_mean        | usd   | in the validation: mean final PnL
--   val_max_drawdown_mean     | usd   | in the validation: mean drawdown as stored, sign kept
--   val_kill_prob             | frac  | in the validation: kill probability
--   val_kill_ok               | -     | in the validation: the kill probability is within its budget
--   val_dd_ok                 | -     | in the validation: the mean drawdown is within its budget
--   val_pnl_ok                | -     | in the validation: the mean final PnL is within its budget
--   val_kill_margin           | frac  | in the validation: budget minus kill probability
--   val_dd_margin             | usd   | in the validation: budget minus mean drawdown
--   val_pnl_margin            | usd   | in the validation: mean final PnL minus budget
--   val_score                 | usd   | in the validation: the score of the view alignment
--   vol_ref                   | frac/day | reference volatility
CREATE OR REPLACE VIEW world_model_alignment AS
WITH measured AS (
    SELECT 'design' AS origin, risk_tier, final_pnl_mean AS pnl, max_drawdown_mean AS signed_dd,
           max_drawdown_abs_mean AS dd, kill_prob AS kill
    FROM tier_presets
    UNION ALL
    SELECT 'val', lower(trim(profile)), final_pnl_mean, max_drawdown_mean, max_drawdown_abs_mean, kill_prob
    FROM validation_summary
),
compared AS (
    SELECT m.*, t.max_kill_prob, t.max_drawdown_abs, t.min_final_pnl_mean, t.lambda_dd, t.lambda_kill,
           m.pnl IS NOT NULL AND m.dd IS NOT NULL AND m.kill IS NOT NULL AS known
    FROM measured m
    JOIN risk_tiers t ON m.risk_tier = t.risk_tier
),
judged AS (
    SELECT
        origin, risk_tier, pnl, signed_dd, kill,
        CASE WHEN known THEN kill <= max_kill_prob END AS kill_ok,
        CASE WHEN known THEN dd <= max_drawdown_abs END AS dd_ok,
        CASE WHEN known THEN pnl >= min_final_pnl_mean END AS pnl_ok,
        CASE WHEN known THEN max_kill_prob - kill END AS kill_margin,
        CASE WHEN known THEN max_drawdown_abs - dd END AS dd_margin,
        CASE WHEN known THEN pnl - min_final_pnl_mean END AS pnl_margin,
        CASE WHEN known THEN pnl - (lambda_dd * dd + lambda_kill * kill) END AS score
    FROM compared
)
SELECT
    t.risk_tier,
    p.name AS preset_name,
    p.rank_within_tier,
    p.initial_q_tao,
    p.loss_limit_usd,
    p.hedge_band_base,
    p.size_eta,
    p.vol_ref,
    p.delta_limit_usd_base,
    t.max_kill_prob AS budget_max_kill_prob,
    t.max_drawdown_abs AS budget_max_dd_abs,
    t.min_final_pnl_mean AS budget_min_final_pnl_mean,
    d.pnl AS design_final_pnl_mean,
    d.signed_dd AS design_max_drawdown_mean,
    d.kill AS design_kill_prob,
    d.kill_ok AS design_kill_ok,
    d.dd_ok AS design_dd_ok,
    d.pnl_ok AS design_pnl_ok,
    d.kill_margin AS design_kill_margin,
    d.dd_margin AS design_dd_margin,
    d.pnl_margin AS design_pnl_margin,
    d.score AS design_score,
    v.pnl AS val_final_pnl_mean,
    v.signed_dd AS val_max_drawdown_mean,
    v.kill AS val_kill_prob,
    v.kill_ok AS val_kill_ok,
    v.dd_ok AS val_dd_ok,
    v.pnl_ok AS val_pnl_ok,
    v.kill_margin AS val_kill_margin,
    v.dd_margin AS val_dd_margin,
    v.pnl_margin AS val_pnl_margin,
    v.score AS val_score
FROM risk_tiers t
LEFT JOIN tier_presets p ON t.risk_tier = p.risk_tier
LEFT JOIN judged d ON t.risk_tier = d.risk_tier AND d.origin = 'design'
LEFT JOIN judged v ON t.risk_tier = v.risk_tier AND v.origin = 'val'
-- Without any preset or validation there is nothing to compare.
WHERE EXISTS (SELECT 1 FROM measured)
ORDER BY t.tier_order;
