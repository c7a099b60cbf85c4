-- kill_evidence: what the independent runs of a tier say about its kill probability.
--
-- Grain:  one row per dataset and risk tier, tiers without runs included.
-- Reads:  dataset_rows, independent_runs, risk_tiers, evidence_settings, macros.
-- Note:   exact one-sided bounds after Clopper and Pearson: kill_upper is the largest p for which as few kills as seen,
--         or fewer, still have probability 1 - level; kill_lower is 1 minus the same of the runs not killed. They are
--         found digit by digit, from 1/2 to 2^-50. Where a run states a probability between 0 and 1, the upper bound
--         counts it as killed and the lower bound as not killed: wider than need be, never too narrow.
--         Lists and lambdas: DuckDB (1.3 or newer), not portable SQL.
--
-- Columns:
--   n                     | count     | independent runs that say whether they were killed
--   kills                 | count     | independent runs that were killed for sure
--   kill_lower            | frac      | lower confidence bound of the kill probability; 0 without runs
--   kill_upper            | frac      | upper confidence bound of the kill probability; 1 without runs
--   kill_free_runs_needed | count     | independent runs without a kill that would bring kill_upper down to the budget; null when the budget is decided, or 0
CREATE OR REPLACE VIEW kill_evidence AS
WITH counts AS (
    SELECT
        d.dataset, t.risk_tier, t.max_kill_prob AS budget, s.level,
        count(r.kill_prob) AS n, mean_of(r.kill_prob) AS kill_prob,
        count(CASE WHEN r.kill_prob = 1 THEN 1 END) AS kills,
        count(CASE WHEN r.kill_prob > 0 THEN 1 END) AS possible_kills
    FROM (SELECT DISTINCT dataset FROM dataset_rows) d
    CROSS JOIN risk_tiers t
    CROSS JOIN evidence_settings s
    LEFT JOIN independent_runs r ON r.dataset = d.dataset AND r.risk_tier = t.risk_tier
    GROUP BY d.dataset, t.risk_tier, t.max_kill_prob, s.level
),
-- Tiers and datasets share most of their counts: each pair is worked out once. ways[i + 1] = ln of n over i.
pairs AS (
    SELECT n, k, level, list_transform(range(k + 1), lambda i: lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1)) AS ways
    FROM (SELECT n, possible_kills AS k, level FROM counts UNION SELECT n, n - kills, level FROM counts)
),
upper_bounds AS (
    SELECT n, k, 0.5e0 ** 50 + list_reduce(
        list_prepend(0e0, list_transform(range(1, 51), lambda i: 0.5e0 ** i)),
        lambda p, digit: p + CASE WHEN list_sum(list_transform(
            ways, lambda way, i: exp(way + (i - 1) * ln(p + digit) + (n - i + 1) * ln(1 - p - digit))
        )) > 1 - level THEN digit ELSE 0e0 END
    ) AS p
    FROM pairs
),
bounded AS (
    SELECT c.*, 1 - survived.p AS kill_lower, killed.p AS kill_upper
    FROM counts c
    JOIN upper_bounds killed ON killed.n = c.n AND killed.k = c.possible_kills
    JOIN upper_bounds survived ON survived.n = c.n AND survived.k = c.n - c.kills
),
-- The same search, among the powers of 2, for the largest number of further runs that is not enough.
needs AS (
    SELECT n, k, budget, CAST(1 + list_reduce(
        list_prepend(0e0, list_transform(range(31), lambda i: 2e0 ** (30 - i))),
        lambda m, step: m + CASE WHEN list_sum(list_transform(range(k + 1), lambda i:
            exp(lgamma(n + m + step + 1) - lgamma(i + 1) - lgamma(n + m + step - i + 1)
                + i * ln(budget) + (n + m + step - i) * ln(1 - budget))
        )) > 1 - level THEN step ELSE 0e0 END
    ) AS BIGINT) AS runs
    FROM (
        SELECT DISTINCT n, possible_kills AS k, budget, level
        FROM bounded
        WHERE kill_lower <= budget AND budget < kill_upper AND budget > 0
    )
)
SELECT b.dataset, b.risk_tier, b.n, b.kills, b.kill_prob, b.kill_lower, b.kill_upper,
       needs.runs AS kill_free_runs_needed
FROM bounded b
LEFT JOIN needs ON needs.n = b.n AND needs.k = b.possible_kills AND needs.budget = b.budget
ORDER BY b.dataset, b.risk_tier;
