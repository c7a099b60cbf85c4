-- research_summary: what the runs of a dataset look like together, overall and by profile.
--
-- Grain:  one row per dataset with scope 'global', and one per dataset and profile with scope 'profile'.
-- Reads:  dataset_rows, its complete rows; macros.
-- Units:  usd unless said otherwise. Drawdowns are magnitudes here, whatever their sign in the file.
-- Note:   a run of which nobody knows whether it was killed is left out of kill_frac. Spark knows median() too.
--
-- Columns:
--   dataset               | -         | name of the dataset
--   scope                 | -         | global: all runs; profile: the runs of one profile
--   profile               | -         | risk profile, as written; null in the global row
--   n_runs                | count     | runs
--   final_pnl_mean        | usd       | final PnL: mean
--   final_pnl_median      | usd       | final PnL: median
--   final_pnl_std         | usd       | final PnL: sample standard deviation, null for a single run
--   max_drawdown_mean     | usd       | deepest drawdown: mean
--   max_drawdown_median   | usd       | deepest drawdown: median
--   max_drawdown_std      | usd       | deepest drawdown: sample standard deviation
--   max_pnl_mean          | usd       | largest PnL: mean
--   max_pnl_median        | usd       | largest PnL: median
--   max_pnl_std           | usd       | largest PnL: sample standard deviation
--   min_pnl_mean          | usd       | smallest PnL: mean
--   min_pnl_median        | usd       | smallest PnL: median
--   min_pnl_std           | usd       | smallest PnL: sample standard deviation
--   n_killed              | count     | runs with the kill switch on (probability 0.5 or more)
--   n_kill_known          | count     | runs that say whether the kill switch was on
--   kill_frac             | frac      | n_killed over n_kill_known; null when that is 0
--   utility_mean          | usd       | utility = final PnL - 0.5 x drawdown: mean
--   utility_min           | usd       | utility: smallest
--   utility_max           | usd       | utility: largest
CREATE OR REPLACE VIEW research_summary AS
WITH complete AS (
    SELECT
        dataset, profile,
        -- Plus 0: of 0 and negative zero the smallest, and the median, would be whichever came first.
        final_pnl + 0e0 AS final_pnl, max_pnl + 0e0 AS max_pnl, min_pnl + 0e0 AS min_pnl,
        abs(max_drawdown) AS drawdown,
        final_pnl + 0e0 - 0.5e0 * abs(max_drawdown) AS utility,
        CASE WHEN kill_prob >= 0.5e0 THEN 1e0 WHEN kill_prob < 0.5e0 THEN 0e0 END AS killed
    FROM dataset_rows
    WHERE is_complete
),
scoped AS (
    SELECT dataset, 'global' AS scope, CAST(NULL AS VARCHAR(1)) AS profile,
           final_pnl, max_pnl, min_pnl, drawdown, utility, killed
    FROM complete
    UNION ALL
    SELECT dataset, 'profile', profile, final_pnl, max_pnl, min_pnl, drawdown, utility, killed
    FROM complete
)
SELECT
    dataset,
    scope,
    profile,
    count(*) AS n_runs,
    mean_of(final_pnl) AS final_pnl_mean,
    median(final_pnl) AS final_pnl_median,
    std_of(final_pnl) AS final_pnl_std,
    mean_of(drawdown) AS max_drawdown_mean,
    median(drawdown) AS max_drawdown_median,
    std_of(drawdown) AS max_drawdown_std,
    mean_of(max_pnl) AS max_pnl_mean,
    median(max_pnl) AS max_pnl_median,
    std_of(max_pnl) AS max_pnl_std,
    mean_of(min_pnl) AS min_pnl_mean,
    median(min_pnl) AS min_pnl_median,
    std_of(min_pnl) AS min_pnl_std,
    CAST(coalesce(sum(killed), 0e0) AS BIGINT) AS n_killed,
    count(killed) AS n_kill_known,
    mean_of(killed) AS kill_frac,
    mean_of(utility) AS utility_mean,
    min(utility) AS utility_min,
    max(utility) AS utility_max
FROM scoped
GROUP BY dataset, scope, profile
ORDER BY dataset, scope, profile;
