-- comparison_terms: what a comparison of two sets of runs assumes, and what it measures by.
--
-- Grain:  one row; none when one of the two is no tier.
-- Reads:  risk_tiers, evidence_ranges.
-- Binds:  $baseline, $candidate (tiers of the two sides).
-- Note:   the ends are the wider ones of the two tiers; budget, weights and margins are those of the baseline, whose
--         place the candidate is to take.
--
-- Columns:
--   worst_pnl_usd         | usd       | no run ends with a lower final PnL
--   best_pnl_usd          | usd       | no run ends with a higher one
--   worst_drawdown_usd    | usd       | no run has a deeper drawdown
--   max_kill_prob         | frac      | budget: largest kill probability
--   lambda_dd             | -         | weight of the drawdown in the score
--   lambda_kill           | usd       | weight of a kill in the score
--   margin_pnl_usd        | usd       | a mean final PnL that is lower by less is not worse
--   margin_drawdown_usd   | usd       | a mean drawdown that is deeper by less is not worse
--   margin_kill_prob      | frac      | a kill probability higher by less is not worse
SELECT
    least(a.worst_pnl_usd, b.worst_pnl_usd) AS worst_pnl_usd,
    greatest(a.best_pnl_usd, b.best_pnl_usd) AS best_pnl_usd,
    greatest(a.worst_drawdown_usd, b.worst_drawdown_usd) AS worst_drawdown_usd,
    t.max_kill_prob,
    t.lambda_dd,
    t.lambda_kill,
    a.margin_pnl_usd,
    a.margin_drawdown_usd,
    a.margin_kill_prob
FROM evidence_ranges a
JOIN risk_tiers t ON t.risk_tier = a.risk_tier
JOIN evidence_ranges b ON b.risk_tier = $candidate
WHERE a.risk_tier = $baseline;
