-- independent_runs: the runs of a dataset that count as evidence, identical repeats once.
--
-- Grain:  one row per independent run of a dataset (dataset, line_no): the first line that tells of it, with the
--         numbers of the last: when lines that were put aside came in, that one tells of more ticks.
-- Reads:  dataset_rows, its runs.
-- Note:   two lines of a tier tell of the same run when they name the same evidence_id. A line that names none is told
--         by its numbers: PnL at the end, at its highest and lowest, drawdown, ticks and kill; with the numbers of a
--         line that names one, it counts as a copy of that.
--
-- Columns:
--   risk_tier             | -         | tier: the profile without white space around it, in lower case
--   copies                | count     | lines that tell of the run, this one included
--   drawdown              | usd       | deepest drawdown, as a magnitude
CREATE OR REPLACE VIEW independent_runs AS
WITH runs_of_tiers AS (
    SELECT
        dataset, line_no,
        lower(trim(BOTH ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160) FROM profile)) AS risk_tier,
        final_pnl, max_pnl, min_pnl, abs(max_drawdown) AS drawdown, num_ticks, kill_prob, evidence_id
    FROM dataset_rows
    WHERE is_run
),
named AS (
    SELECT
        dataset, line_no, risk_tier, final_pnl, drawdown, kill_prob,
        coalesce(evidence_id, min(evidence_id) OVER same_numbers) AS evidence_id,
        min(line_no) OVER same_numbers AS first_line
    FROM runs_of_tiers
    WINDOW same_numbers AS (
        PARTITION BY dataset, risk_tier, final_pnl, max_pnl, min_pnl, drawdown, num_ticks, kill_prob
    )
),
counted AS (
    SELECT
        dataset, line_no, risk_tier, final_pnl, drawdown, kill_prob, evidence_id,
        row_number() OVER (same_run ORDER BY line_no DESC) AS from_end,
        count(*) OVER same_run AS copies,
        min(line_no) OVER same_run AS first_line_of_run
    FROM named
    WINDOW same_run AS (
        PARTITION BY dataset, risk_tier, evidence_id, CASE WHEN evidence_id IS NULL THEN first_line END
    )
)
SELECT dataset, first_line_of_run AS line_no, risk_tier, evidence_id, copies, final_pnl, drawdown, kill_prob
FROM counted
WHERE from_end = 1
ORDER BY dataset, line_no;
