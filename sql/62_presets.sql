-- presets: the candidates of the latest risk-regime sweep, ranked within each risk tier.
--
-- Grain:  one row per risk tier and candidate; rank_within_tier 1 is the preset of the tier.
-- Reads:  preset_source, risk_tiers.
-- Note:   score = final_pnl_mean - lambda_std x final_pnl_std - lambda_dd x max_drawdown_abs_mean
--                 - lambda_kill x kill_prob; an unknown standard deviation counts as 0.
--         Candidates within the budgets are ranked by it. Where none is, all are ranked, and relaxed says so.
--         A candidate that is not ranked has neither rank nor name.
--
-- Columns:
--   name                  | -         | name of the preset: the tier, from rank 2 on with the rank
--   rank_within_tier      | -         | place in the tier by score, from 1; null for a candidate that is not ranked
--   passes                | -         | the candidate keeps the three budgets of the tier
--   relaxed               | -         | no candidate of the tier keeps its budgets, so all of them are ranked
--   score                 | usd       | what a tier prefers: larger is better
--   vol_ref               | frac/day  | reference volatility
--   final_pnl_mean        | usd       | mean final PnL
--   max_drawdown_mean     | usd       | mean drawdown as stored, sign kept
--   kill_prob             | frac      | share of runs with the kill switch on
CREATE OR REPLACE VIEW presets AS
WITH scored AS (
    SELECT
        t.tier_order,
        t.risk_tier,
        s.*,
        coalesce(
            s.kill_prob <= t.max_kill_prob
            AND s.max_drawdown_abs_mean <= t.max_drawdown_abs
            AND s.final_pnl_mean >= t.min_final_pnl_mean,
            false
        ) AS passes,
        s.final_pnl_mean - (
            t.lambda_std * coalesce(s.final_pnl_std, 0e0)
            + t.lambda_dd * s.max_drawdown_abs_mean
            + t.lambda_kill * s.kill_prob
        ) AS score
    FROM risk_tiers t
    CROSS JOIN preset_source s
),
relaxation AS (
    SELECT *, max(CASE WHEN passes THEN 1 ELSE 0 END) OVER (PARTITION BY risk_tier) = 0 AS relaxed
    FROM scored
),
ranked AS (
    SELECT
        *,
        CASE WHEN passes OR relaxed THEN row_number() OVER (
            PARTITION BY risk_tier
            ORDER BY CASE WHEN passes OR relaxed THEN 0 ELSE 1 END, score DESC NULLS LAST, candidate_order
        ) END AS rank_within_tier
    FROM relaxation
)
SELECT
    tier_order,
    CASE
        WHEN rank_within_tier = 1 THEN risk_tier
        WHEN rank_within_tier > 1 THEN concat(risk_tier, '_', rank_within_tier)
    END AS name,
    risk_tier,
    rank_within_tier,
    initial_q_tao,
    loss_limit_usd,
    hedge_band_base,
    size_eta,
    vol_ref,
    delta_limit_usd_base,
    final_pnl_mean,
    final_pnl_std,
    max_drawdown_mean,
    kill_prob,
    passes,
    relaxed,
    score,
    max_drawdown_abs_mean,
    candidate_order
FROM ranked
ORDER BY tier_order, rank_within_tier NULLS LAST, candidate_order;
