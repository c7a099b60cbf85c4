-- evidence: which risk budgets do the runs of a dataset prove kept or broken, and which neither?
--
-- Grain:  one row per dataset and risk tier, tiers without runs included.
-- Reads:  dataset_rows, risk_tiers, evidence_settings, independent_runs, kill_evidence, mean_evidence.
-- Note:   pass: the bound on the far side keeps the budget; fail: the bound on the near side breaks it; undecided:
--         neither, or there is no bound, or, for a mean, fewer runs than min_runs. A wrong pass, and a wrong fail, has a
--         chance of at most 1 - level for each budget: for kills whenever the runs are independent and alike, for means
--         about so as long as the runs show the tails of the distribution; see docs/evidence.md. A rare large loss that
--         no run has shown yet is bounded by nothing here. Runs without a value of a metric are left out of it.
--
-- Columns:
--   risk_tier             | -         | tier, named as its profile
--   n_runs                | count     | runs of the tier
--   n_independent         | count     | runs of the tier, identical repeats counted once
--   kill_n                | count     | independent runs that say whether they were killed: those the kill bounds rest on
--   kills                 | count     | independent runs that were killed for sure
--   kill_prob             | frac      | mean over the independent runs of kill as 0 or 1, or of the stated probabilities
--   kill_verdict          | -         | pass, fail or undecided: is the kill probability within its budget?
--   pnl_n                 | count     | independent runs with a final PnL
--   pnl_mean              | usd       | mean final PnL of the independent runs
--   pnl_lower             | usd       | lower confidence bound of the mean final PnL; null without two runs that differ
--   pnl_upper             | usd       | upper confidence bound of the mean final PnL
--   pnl_verdict           | -         | pass, fail or undecided: does the mean final PnL reach its budget?
--   dd_n                  | count     | independent runs with a drawdown
--   dd_mean               | usd       | mean drawdown of the independent runs, as a magnitude
--   dd_lower              | usd       | lower confidence bound of the mean drawdown; null without two runs that differ
--   dd_upper              | usd       | upper confidence bound of the mean drawdown
--   dd_verdict            | -         | pass, fail or undecided: is the mean drawdown within its budget?
--   pnl_runs_needed       | count     | further runs with a final PnL before it can have a verdict; null when there are enough
--   dd_runs_needed        | count     | further runs with a drawdown before it can have a verdict; null when there are enough
CREATE OR REPLACE VIEW evidence AS
WITH tiers AS (
    SELECT d.dataset, t.*
    FROM (SELECT DISTINCT dataset FROM dataset_rows) d
    CROSS JOIN risk_tiers t
),
counts AS (
    SELECT dataset, risk_tier, CAST(sum(copies) AS BIGINT) AS n_runs, count(*) AS n_independent
    FROM independent_runs
    GROUP BY dataset, risk_tier
),
-- Every tier has its row of each metric here, with n = 0 where there is no value.
means AS (
    SELECT
        t.dataset, t.risk_tier, x.metric, coalesce(m.n, 0) AS n, m.mean, m.lower, m.upper,
        CASE WHEN m.n >= s.min_runs THEN m.lower END AS proven_lower,
        CASE WHEN m.n >= s.min_runs THEN m.upper END AS proven_upper,
        NULLIF(greatest(s.min_runs - coalesce(m.n, 0), 0), 0) AS runs_needed
    FROM tiers t
    CROSS JOIN (SELECT 'pnl' AS metric UNION ALL SELECT 'drawdown') x
    CROSS JOIN evidence_settings s
    LEFT JOIN mean_evidence m ON m.dataset = t.dataset AND m.risk_tier = t.risk_tier AND m.metric = x.metric
)
SELECT
    t.dataset,
    t.risk_tier,
    coalesce(c.n_runs, 0) AS n_runs,
    coalesce(c.n_independent, 0) AS n_independent,
    k.n AS kill_n,
    k.kills,
    k.kill_prob,
    k.kill_lower,
    k.kill_upper,
    CASE WHEN k.kill_upper <= t.max_kill_prob THEN 'pass' WHEN k.kill_lower > t.max_kill_prob THEN 'fail'
         ELSE 'undecided' END AS kill_verdict,
    pnl.n AS pnl_n,
    pnl.mean AS pnl_mean,
    pnl.lower AS pnl_lower,
    pnl.upper AS pnl_upper,
    CASE WHEN pnl.proven_lower >= t.min_final_pnl_mean THEN 'pass'
         WHEN pnl.proven_upper < t.min_final_pnl_mean THEN 'fail'
         ELSE 'undecided' END AS pnl_verdict,
    dd.n AS dd_n,
    dd.mean AS dd_mean,
    dd.lower AS dd_lower,
    dd.upper AS dd_upper,
    CASE WHEN dd.proven_upper <= t.max_drawdown_abs THEN 'pass'
         WHEN dd.proven_lower > t.max_drawdown_abs THEN 'fail'
         ELSE 'undecided' END AS dd_verdict,
    s.level,
    k.kill_free_runs_needed,
    pnl.runs_needed AS pnl_runs_needed,
    dd.runs_needed AS dd_runs_needed
FROM tiers t
CROSS JOIN evidence_settings s
JOIN kill_evidence k ON k.dataset = t.dataset AND k.risk_tier = t.risk_tier
LEFT JOIN counts c ON c.dataset = t.dataset AND c.risk_tier = t.risk_tier
JOIN means pnl ON pnl.dataset = t.dataset AND pnl.risk_tier = t.risk_tier AND pnl.metric = 'pnl'
JOIN means dd ON dd.dataset = t.dataset AND dd.risk_tier = t.risk_tier AND dd.metric = 'drawdown'
ORDER BY t.dataset, t.tier_order;
