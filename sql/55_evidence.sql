-- evidence: which risk budgets do the runs of a dataset prove kept or broken, and which neither?
--
-- Grain:  one row per dataset and risk tier, tiers without runs included; none for a dataset that was last appended to
--         by an earlier version: the next append judges it.
-- Reads:  risk_tiers; dataset_rows, the last line that holds evidence: what was judged when the line came in; macros.
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
--   dd_q95_verdict        | -         | pass, fail or undecided: is it within its budget? null where it has none
--   dd_cvar95             | usd       | mean of the deepest 5 % of the drawdowns seen
--   dd_cvar95_lower       | usd       | that of all seeds at least
--   dd_cvar95_upper       | usd       | that of all seeds at most
--   dd_cvar95_verdict     | -         | pass, fail or undecided: is it within its budget? null where it has none
--   level                 | frac      | confidence level of each one-sided bound
--   kill_free_runs_needed | count     | further runs without a kill that would prove the budget kept; null if decided, or too many
--   pnl_runs_needed       | count     | further runs like those seen that would; null likewise
--   dd_runs_needed        | count     | further runs like those seen that would; null likewise
CREATE OR REPLACE VIEW evidence AS
WITH latest AS (
    SELECT dataset, max(line_no) AS through_line
    FROM dataset_rows
    WHERE evidence_json IS NOT NULL
    GROUP BY dataset
),
judged AS (
    SELECT
        l.dataset, l.through_line, t.risk_tier, t.tier_order, r.evidence_json,
        concat('$[', CAST(t.tier_order - 1 AS VARCHAR(2)), '].') AS tier
    FROM latest l
    JOIN dataset_rows r ON r.dataset = l.dataset AND r.line_no = l.through_line
    CROSS JOIN risk_tiers t
)
SELECT
    dataset, through_line, risk_tier,
    CAST(get_json_object(evidence_json, concat(tier, 'n_runs')) AS BIGINT) AS n_runs,
    CAST(get_json_object(evidence_json, concat(tier, 'n_independent')) AS BIGINT) AS n_independent,
    CAST(get_json_object(evidence_json, concat(tier, 'n_missing')) AS BIGINT) AS n_missing,
    get_json_object(evidence_json, concat(tier, 'engine')) AS engine,
    get_json_object(evidence_json, concat(tier, 'config')) AS config,
    CAST(get_json_object(evidence_json, concat(tier, 'n_configs')) AS BIGINT) AS n_configs,
    get_json_object(evidence_json, concat(tier, 'basis')) AS basis,
    get_json_object(evidence_json, concat(tier, 'seed_key')) AS seed_key,
    CAST(get_json_object(evidence_json, concat(tier, 'seed_space')) AS BIGINT) AS seed_space,
    CAST(get_json_object(evidence_json, concat(tier, 'kill_n')) AS BIGINT) AS kill_n,
    CAST(get_json_object(evidence_json, concat(tier, 'kills')) AS BIGINT) AS kills,
    CAST(get_json_object(evidence_json, concat(tier, 'kill_prob')) AS DOUBLE) AS kill_prob,
    CAST(get_json_object(evidence_json, concat(tier, 'kill_lower')) AS DOUBLE) AS kill_lower,
    CAST(get_json_object(evidence_json, concat(tier, 'kill_upper')) AS DOUBLE) AS kill_upper,
    CAST(get_json_object(evidence_json, concat(tier, 'kill_p_kept')) AS DOUBLE) AS kill_p_kept,
    CAST(get_json_object(evidence_json, concat(tier, 'kill_p_broken')) AS DOUBLE) AS kill_p_broken,
    get_json_object(evidence_json, concat(tier, 'kill_verdict')) AS kill_verdict,
    get_json_object(evidence_json, concat(tier, 'kill_reason')) AS kill_reason,
    CAST(get_json_object(evidence_json, concat(tier, 'pnl_n')) AS BIGINT) AS pnl_n,
    CAST(get_json_object(evidence_json, concat(tier, 'pnl_mean')) AS DOUBLE) AS pnl_mean,
    CAST(get_json_object(evidence_json, concat(tier, 'pnl_lower')) AS DOUBLE) AS pnl_lower,
    CAST(get_json_object(evidence_json, concat(tier, 'pnl_upper')) AS DOUBLE) AS pnl_upper,
    CAST(get_json_object(evidence_json, concat(tier, 'pnl_p_kept')) AS DOUBLE) AS pnl_p_kept,
    CAST(get_json_object(evidence_json, concat(tier, 'pnl_p_broken')) AS DOUBLE) AS pnl_p_broken,
    get_json_object(evidence_json, concat(tier, 'pnl_verdict')) AS pnl_verdict,
    get_json_object(evidence_json, concat(tier, 'pnl_reason')) AS pnl_reason,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_n')) AS BIGINT) AS dd_n,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_mean')) AS DOUBLE) AS dd_mean,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_lower')) AS DOUBLE) AS dd_lower,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_upper')) AS DOUBLE) AS dd_upper,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_p_kept')) AS DOUBLE) AS dd_p_kept,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_p_broken')) AS DOUBLE) AS dd_p_broken,
    get_json_object(evidence_json, concat(tier, 'dd_verdict')) AS dd_verdict,
    get_json_object(evidence_json, concat(tier, 'dd_reason')) AS dd_reason,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_q95')) AS DOUBLE) AS dd_q95,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_q95_lower')) AS DOUBLE) AS dd_q95_lower,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_q95_upper')) AS DOUBLE) AS dd_q95_upper,
    get_json_object(evidence_json, concat(tier, 'dd_q95_verdict')) AS dd_q95_verdict,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_cvar95')) AS DOUBLE) AS dd_cvar95,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_cvar95_lower')) AS DOUBLE) AS dd_cvar95_lower,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_cvar95_upper')) AS DOUBLE) AS dd_cvar95_upper,
    get_json_object(evidence_json, concat(tier, 'dd_cvar95_verdict')) AS dd_cvar95_verdict,
    CAST(get_json_object(evidence_json, concat(tier, 'level')) AS DOUBLE) AS level,
    CAST(get_json_object(evidence_json, concat(tier, 'kill_free_runs_needed')) AS BIGINT) AS kill_free_runs_needed,
    CAST(get_json_object(evidence_json, concat(tier, 'pnl_runs_needed')) AS BIGINT) AS pnl_runs_needed,
    CAST(get_json_object(evidence_json, concat(tier, 'dd_runs_needed')) AS BIGINT) AS dd_runs_needed,
    CAST(get_json_object(evidence_json, concat(tier, 'worst_drawdown_usd')) AS DOUBLE) AS worst_drawdown_usd,
    CAST(get_json_object(evidence_json, concat(tier, 'worst_pnl_usd')) AS DOUBLE) AS worst_pnl_usd,
    CAST(get_json_object(evidence_json, concat(tier, 'best_pnl_usd')) AS DOUBLE) AS best_pnl_usd
FROM judged
ORDER BY dataset, tier_order;
