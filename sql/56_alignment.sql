-- alignment: does each risk tier keep its budgets in a dataset?
--
-- Grain:  one row per dataset and risk tier, tiers without runs included (n_runs 0, empirical values null).
-- Reads:  dataset_rows, its runs whose profile is the tier in lower case, without white space around it; risk_tiers;
--         evidence; macros.
-- Note:   the columns dataset to emp_score and their order are a contract; those of the view evidence follow. The ok
--         columns, margins and score use the mean of the drawdowns' magnitudes; emp_max_drawdown_mean keeps the sign of
--         the file. They are null together, when any of the three empirical means is. Margins are >= 0 on the safe
--         side. The spread of PnL does not enter the score. Repeats count every time here, once in the evidence.
--
-- Columns:
--   dataset                    | -         | name of the dataset
--   risk_tier                  | -         | tier, named as its profile
--   n_runs                     | count     | runs of the tier
--   budget_max_kill_prob       | frac      | budget: largest kill probability
--   budget_max_dd_abs          | usd       | budget: largest mean drawdown
--   budget_min_final_pnl_mean  | usd       | budget: smallest mean final PnL
--   emp_final_pnl_mean         | usd       | mean final PnL
--   emp_max_drawdown_mean      | usd       | mean drawdown as stored, sign kept
--   emp_kill_prob              | frac      | mean of kill as 0 or 1, or of the stated probabilities
--   emp_kill_ok                | -         | the kill probability is within its budget
--   emp_dd_ok                  | -         | the mean drawdown is within its budget
--   emp_pnl_ok                 | -         | the mean final PnL is within its budget
--   emp_kill_margin            | frac      | budget minus kill probability
--   emp_dd_margin              | usd       | budget minus mean drawdown
--   emp_pnl_margin             | usd       | mean final PnL minus budget
--   emp_score                  | usd       | mean final PnL - lambda_dd x mean drawdown - lambda_kill x kill probability
CREATE OR REPLACE VIEW alignment AS
WITH runs_of_tiers AS (
    SELECT
        dataset, final_pnl, max_drawdown, kill_prob,
        lower(trim(BOTH ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160) FROM profile)) AS tier
    FROM dataset_rows
    WHERE is_run
),
runs_by_tier AS (
    SELECT
        dataset,
        tier,
        count(*) AS n,
        mean_of(final_pnl) AS pnl,
        mean_of(max_drawdown) AS signed_dd,
        mean_of(abs(max_drawdown)) AS dd,
        mean_of(kill_prob) AS kill
    FROM runs_of_tiers
    GROUP BY dataset, tier
),
tiers AS (
    SELECT d.dataset, t.tier_order, t.risk_tier, t.max_kill_prob, t.max_drawdown_abs, t.min_final_pnl_mean,
           t.lambda_dd, t.lambda_kill
    FROM (SELECT DISTINCT dataset FROM dataset_rows) d
    CROSS JOIN risk_tiers t
),
compared AS (
    SELECT
        t.*, r.n, r.pnl, r.signed_dd, r.dd, r.kill,
        r.pnl IS NOT NULL AND r.dd IS NOT NULL AND r.kill IS NOT NULL AS measured
    FROM tiers t
    LEFT JOIN runs_by_tier r ON r.dataset = t.dataset AND r.tier = t.risk_tier
)
SELECT
    c.dataset,
    c.risk_tier,
    coalesce(n, 0) AS n_runs,
    max_kill_prob AS budget_max_kill_prob,
    max_drawdown_abs AS budget_max_dd_abs,
    min_final_pnl_mean AS budget_min_final_pnl_mean,
    pnl AS emp_final_pnl_mean,
    signed_dd AS emp_max_drawdown_mean,
    kill AS emp_kill_prob,
    CASE WHEN measured THEN kill <= max_kill_prob END AS emp_kill_ok,
    CASE WHEN measured THEN dd <= max_drawdown_abs END AS emp_dd_ok,
    CASE WHEN measured THEN pnl >= min_final_pnl_mean END AS emp_pnl_ok,
    CASE WHEN measured THEN max_kill_prob - kill END AS emp_kill_margin,
    CASE WHEN measured THEN max_drawdown_abs - dd END AS emp_dd_margin,
    CASE WHEN measured THEN pnl - min_final_pnl_mean END AS emp_pnl_margin,
    CASE WHEN measured THEN pnl - (lambda_dd * dd + lambda_kill * kill) END AS emp_score,
    e.n_independent, e.n_missing, e.engine, e.config, e.n_configs, e.basis, e.seed_key, e.seed_space,
    e.kill_n, e.kills, e.kill_prob, e.kill_lower, e.kill_upper, e.kill_p_kept, e.kill_p_broken, e.kill_verdict,
    e.kill_reason,
    e.pnl_n, e.pnl_mean, e.pnl_lower, e.pnl_upper, e.pnl_p_kept, e.pnl_p_broken, e.pnl_verdict, e.pnl_reason,
    e.dd_n, e.dd_mean, e.dd_lower, e.dd_upper, e.dd_p_kept, e.dd_p_broken, e.dd_verdict, e.dd_reason,
    e.dd_q95, e.dd_q95_lower, e.dd_q95_upper, e.dd_q95_verdict,
    e.dd_cvar95, e.dd_cvar95_lower, e.dd_cvar95_upper, e.dd_cvar95_verdict,
    e.level, e.kill_free_runs_needed, e.pnl_runs_needed, e.dd_runs_needed,
    e.worst_drawdown_usd, e.worst_pnl_usd, e.best_pnl_usd
FROM compared c
LEFT JOIN evidence e ON e.dataset = c.dataset AND e.risk_tier = c.risk_tier
ORDER BY c.dataset, c.tier_order;
