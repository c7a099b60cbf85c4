-- evidence: which risk budgets do the runs of a dataset prove kept or broken, and which neither?
--
-- Grain:  one row per dataset and risk tier, tiers without runs included; none for a dataset that was last appended to
--         by an earlier version: the next append judges it.
-- Reads:  risk_tiers; dataset_rows, the last line that holds evidence: what was judged when the line came in.
-- Note:   pass: proved kept, fail: proved broken, at the level; undecided: neither, and the reason says why. A wrong pass,
--         and a wrong fail, has a chance of at most 1 - level for each budget, however often one looks and whatever the
--         distribution, as long as no run lies beyond the stated range; see docs/evidence.md. Only seeds that were drawn
--         at random, or all there are, prove anything. Runs that are missing, failed or cut off count as the worse end.
--
-- Columns:
--   through_line          | -         | last line of the dataset that was judged
--   risk_tier             | -         | tier, named as its profile
--   n_runs                | count     | lines of the tier
--   n_independent         | count     | units of the sample that are there: seeds, or contents where none is known
--   n_missing             | count     | seeds that were drawn and have no run: it failed, or was taken out
--   engine                | -         | reference for the embedded engine; anything else, or null, is a real one
--   config                | -         | configuration of the sample; null when there are several, and none was chosen
--   n_configs             | count     | configurations of the tier
--   basis                 | -         | drawn, all: random seeds, or all; listed, unknown: no proof; assumed: as if drawn
--   seed_key              | -         | names the random order that the seeds were drawn from
--   seed_space            | count     | seeds in all
--   kill_n                | count     | units that say whether they were killed
--   kills                 | count     | units that were killed for sure
--   kill_prob             | frac      | mean over the units that say so; half for one that states a probability
--   kill_lower            | frac      | kill probability at least
--   kill_upper            | frac      | kill probability at most
--   kill_p_kept           | -         | 1 - the level at which the budget is proved kept
--   kill_p_broken         | -         | 1 - the level at which it is proved broken
--   kill_verdict          | -         | pass, fail or undecided: is the kill probability within its budget?
--   kill_reason           | -         | what the verdict rests on, in words
--   pnl_n                 | count     | units with a final PnL
--   pnl_mean              | usd       | their mean final PnL
--   pnl_lower             | usd       | mean final PnL at least
--   pnl_upper             | usd       | mean final PnL at most
--   pnl_p_kept            | -         | 1 - the level at which the budget is proved kept
--   pnl_p_broken          | -         | 1 - the level at which it is proved broken
--   pnl_verdict           | -         | pass, fail or undecided: does the mean final PnL reach its budget?
--   pnl_reason            | -         | what the verdict rests on
--   dd_n                  | count     | units with a drawdown
--   dd_mean               | usd       | their mean drawdown, as a magnitude
--   dd_lower              | usd       | mean drawdown at least
--   dd_upper              | usd       | mean drawdown at most
--   dd_p_kept             | -         | 1 - the level at which the budget is proved kept
--   dd_p_broken           | -         | 1 - the level at which it is proved broken
--   dd_verdict            | -         | pass, fail or undecided: is the mean drawdown within its budget?
--   dd_reason             | -         | what the verdict rests on
--   dd_q95                | usd       | 95 % quantile of the drawdowns seen
--   dd_q95_lower          | usd       | that of all seeds at least
--   dd_q95_upper          | usd       | that of all seeds at most
--   dd_cvar95             | usd       | mean of the deepest 5 % of the drawdowns seen
--   dd_cvar95_lower       | usd       | that of all seeds at least
--   dd_cvar95_upper       | usd       | that of all seeds at most
--   level                 | frac      | confidence level of each one-sided bound
--   kill_free_runs_needed | count     | further runs without a kill that would prove the budget kept; null if decided, or too many
--   pnl_runs_needed       | count     | further runs like those seen that would; null likewise
--   dd_runs_needed        | count     | further runs like those seen that would; null likewise
CREATE OR REPLACE VIEW evidence AS
WITH latest AS (
    SELECT dataset, max(line_no) AS through_line
    FROM dataset_rows
    WHERE evidence IS NOT NULL
    GROUP BY dataset
),
judged AS (
    SELECT l.dataset, l.through_line, unnest(from_json(r.evidence, '[{
        "risk_tier": "VARCHAR", "n_runs": "BIGINT", "n_independent": "BIGINT", "n_missing": "BIGINT",
        "engine": "VARCHAR", "config": "VARCHAR", "n_configs": "BIGINT", "basis": "VARCHAR", "seed_key": "VARCHAR",
        "seed_space": "BIGINT", "kill_n": "BIGINT", "kills": "BIGINT", "kill_prob": "DOUBLE", "kill_lower": "DOUBLE",
        "kill_upper": "DOUBLE", "kill_p_kept": "DOUBLE", "kill_p_broken": "DOUBLE", "kill_verdict": "VARCHAR",
        "kill_reason": "VARCHAR", "pnl_n": "BIGINT", "pnl_mean": "DOUBLE", "pnl_lower": "DOUBLE",
        "pnl_upper": "DOUBLE", "pnl_p_kept": "DOUBLE", "pnl_p_broken": "DOUBLE", "pnl_verdict": "VARCHAR",
        "pnl_reason": "VARCHAR", "dd_n": "BIGINT", "dd_mean": "DOUBLE", "dd_lower": "DOUBLE", "dd_upper": "DOUBLE",
        "dd_p_kept": "DOUBLE", "dd_p_broken": "DOUBLE", "dd_verdict": "VARCHAR", "dd_reason": "VARCHAR",
        "dd_q95": "DOUBLE", "dd_q95_lower": "DOUBLE", "dd_q95_upper": "DOUBLE", "dd_cvar95": "DOUBLE",
        "dd_cvar95_lower": "DOUBLE", "dd_cvar95_upper": "DOUBLE", "level": "DOUBLE",
        "kill_free_runs_needed": "BIGINT", "pnl_runs_needed": "BIGINT", "dd_runs_needed": "BIGINT",
        "worst_drawdown_usd": "DOUBLE", "worst_pnl_usd": "DOUBLE", "best_pnl_usd": "DOUBLE"
    }]')) AS tier
    FROM latest l
    JOIN dataset_rows r ON r.dataset = l.dataset AND r.line_no = l.through_line
)
SELECT
    dataset, through_line,
    tier.risk_tier, tier.n_runs, tier.n_independent, tier.n_missing, tier.engine, tier.config, tier.n_configs,
    tier.basis, tier.seed_key, tier.seed_space, tier.kill_n, tier.kills, tier.kill_prob, tier.kill_lower,
    tier.kill_upper, tier.kill_p_kept, tier.kill_p_broken, tier.kill_verdict, tier.kill_reason, tier.pnl_n,
    tier.pnl_mean, tier.pnl_lower, tier.pnl_upper, tier.pnl_p_kept, tier.pnl_p_broken, tier.pnl_verdict,
    tier.pnl_reason, tier.dd_n, tier.dd_mean, tier.dd_lower, tier.dd_upper, tier.dd_p_kept, tier.dd_p_broken,
    tier.dd_verdict, tier.dd_reason, tier.dd_q95, tier.dd_q95_lower, tier.dd_q95_upper, tier.dd_cvar95,
    tier.dd_cvar95_lower, tier.dd_cvar95_upper, tier.level, tier.kill_free_runs_needed, tier.pnl_runs_needed,
    tier.dd_runs_needed, tier.worst_drawdown_usd, tier.worst_pnl_usd, tier.best_pnl_usd
FROM judged
JOIN risk_tiers t ON t.risk_tier = tier.risk_tier
ORDER BY dataset, t.tier_order;
