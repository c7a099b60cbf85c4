-- paired_runs: what two sets of runs say of the same seeds, and how much the second has more than the first.
--
-- Grain:  one row per place of the order in which the seeds come: a pair of runs of one seed.
-- Reads:  placed_runs (side a or b, place, seed, and the columns of compared_runs), places (those that are looked at) and
--         comparison_terms (one row: worst and best values, weights of the score), registered by the caller.
-- Note:   what a run lacks is somewhere between the worst and the best value: low and high are the two ends. So it is
--         with a seed that only one side has. Runs of one seed that differ leave the value between the two. Values
--         beyond the stated ends are counted and taken to them.
--
-- Columns:
--   place                 | -         | place of the seed
--   seed                  | -         | seed; null when neither side has it
--   is_whole              | -         | both runs are there, and each says everything
--   beyond                | count     | values of the pair beyond the stated ends
--   a_pnl                 | usd       | final PnL of the first side; null when nobody knows
--   a_drawdown            | usd       | its drawdown, positive magnitude
--   a_kill                | frac      | 1 for a killed run, 0 for another
--   a_score               | usd       | its score: PnL - weights x (drawdown, kill)
--   b_pnl                 | usd       | as a_pnl, of the second side
--   b_drawdown            | usd       | as a_drawdown, of the second side
--   b_kill                | frac      | as a_kill, of the second side
--   b_score               | usd       | as a_score, of the second side
--   b_kill_low            | frac      | b_kill at least
--   b_kill_high           | frac      | b_kill at most
--   pnl_low               | usd       | b_pnl - a_pnl at least
--   pnl_high              | usd       | b_pnl - a_pnl at most
--   drawdown_low          | usd       | b_drawdown - a_drawdown at least
--   drawdown_high         | usd       | b_drawdown - a_drawdown at most
--   kill_low              | frac      | b_kill - a_kill at least
--   kill_high             | frac      | b_kill - a_kill at most
--   score_low             | usd       | b_score - a_score at least
--   score_high            | usd       | b_score - a_score at most
WITH told AS (
    SELECT
        r.side, r.seed, r.place,
        CASE WHEN r.is_whole THEN r.pnl_usd END AS pnl,
        CASE WHEN r.is_whole THEN r.drawdown_usd END AS drawdown,
        CASE WHEN r.is_whole OR r.kill_switch THEN r.kill_switch::INTEGER::DOUBLE END AS kill,
        -- A run that is cut off has come at least so deep.
        r.drawdown_usd AS seen_usd,
        (r.pnl_usd NOT BETWEEN t.worst_pnl_usd AND t.best_pnl_usd)::INTEGER
        + (r.drawdown_usd NOT BETWEEN 0 AND t.worst_drawdown_usd)::INTEGER AS beyond
    FROM placed_runs r, comparison_terms t
),
seeds AS (
    SELECT
        side, seed, min(place) AS place,
        CASE WHEN min(pnl) = max(pnl) THEN min(pnl) END AS pnl,
        CASE WHEN min(drawdown) = max(drawdown) THEN min(drawdown) END AS drawdown,
        CASE WHEN min(kill) = max(kill) THEN min(kill) END AS kill,
        coalesce(min(pnl), t.worst_pnl_usd) AS pnl_low,
        coalesce(max(pnl), t.best_pnl_usd) AS pnl_high,
        coalesce(min(drawdown), max(seen_usd), 0) AS drawdown_low,
        coalesce(max(drawdown), t.worst_drawdown_usd) AS drawdown_high,
        coalesce(min(kill), 0) AS kill_low,
        coalesce(max(kill), 1) AS kill_high,
        coalesce(sum(beyond), 0)::BIGINT AS beyond
    FROM told, comparison_terms t
    GROUP BY side, seed, t.worst_pnl_usd, t.best_pnl_usd, t.worst_drawdown_usd
),
pairs AS (
    SELECT coalesce(least(a.place, b.place), a.place, b.place) AS place, coalesce(a.seed, b.seed) AS seed, a, b
    FROM (FROM seeds WHERE side = 'a') a
    FULL JOIN (FROM seeds WHERE side = 'b') b ON b.seed = a.seed
),
placed AS (
    SELECT o.place, p.seed, p.a, p.b
    FROM places o
    LEFT JOIN pairs p ON p.place = o.place
),
ends AS (
    SELECT
        p.place, p.seed,
        a.pnl + b.pnl + a.drawdown + b.drawdown + a.kill + b.kill IS NOT NULL AS is_whole,
        coalesce(a.beyond, 0) + coalesce(b.beyond, 0) AS beyond,
        a.pnl AS a_pnl, a.drawdown AS a_drawdown, a.kill AS a_kill,
        b.pnl AS b_pnl, b.drawdown AS b_drawdown, b.kill AS b_kill,
        coalesce(b.kill_low, 0) AS b_kill_low,
        coalesce(b.kill_high, 1) AS b_kill_high,
        greatest(t.worst_pnl_usd, least(t.best_pnl_usd, coalesce(b.pnl_low, t.worst_pnl_usd)))
        - greatest(t.worst_pnl_usd, least(t.best_pnl_usd, coalesce(a.pnl_high, t.best_pnl_usd))) AS pnl_low,
        greatest(t.worst_pnl_usd, least(t.best_pnl_usd, coalesce(b.pnl_high, t.best_pnl_usd)))
        - greatest(t.worst_pnl_usd, least(t.best_pnl_usd, coalesce(a.pnl_low, t.worst_pnl_usd))) AS pnl_high,
        least(t.worst_drawdown_usd, coalesce(b.drawdown_low, 0))
        - least(t.worst_drawdown_usd, coalesce(a.drawdown_high, t.worst_drawdown_usd)) AS drawdown_low,
        least(t.worst_drawdown_usd, coalesce(b.drawdown_high, t.worst_drawdown_usd))
        - least(t.worst_drawdown_usd, coalesce(a.drawdown_low, 0)) AS drawdown_high,
        coalesce(b.kill_low, 0) - coalesce(a.kill_high, 1) AS kill_low,
        coalesce(b.kill_high, 1) - coalesce(a.kill_low, 0) AS kill_high
    FROM placed p, comparison_terms t
)
SELECT
    e.*,
    a_pnl - t.lambda_dd * a_drawdown - t.lambda_kill * a_kill AS a_score,
    b_pnl - t.lambda_dd * b_drawdown - t.lambda_kill * b_kill AS b_score,
    pnl_low - t.lambda_dd * drawdown_high - t.lambda_kill * kill_high AS score_low,
    pnl_high - t.lambda_dd * drawdown_low - t.lambda_kill * kill_low AS score_high
FROM ends e, comparison_terms t
ORDER BY place, seed;
