-- run_ranking: the runs of a dataset by utility.
--
-- Grain:  one row per complete row of a dataset (dataset, rank).
-- Reads:  dataset_rows.
-- Note:   equal utilities keep the order of the dataset; runs without a utility come last.
--
-- Columns:
--   dataset               | -         | name of the dataset
--   rank                  | -         | place by utility, from 1
--   line_no               | -         | line of the dataset file
--   label                 | -         | label of the run
--   profile               | -         | risk profile, as written
--   run_id                | -         | run in the warehouse; null in rows that name none
--   num_ticks             | ticks     | ticks of the run
--   final_pnl             | usd       | total PnL after the last tick
--   max_drawdown          | usd       | deepest drawdown, as a magnitude
--   utility               | usd       | final_pnl - 0.5 x max_drawdown
--   killed                | -         | kill switch on (probability 0.5 or more); null when nobody knows
CREATE OR REPLACE VIEW run_ranking AS
WITH scored AS (
    SELECT
        dataset, line_no, label, profile, run_id, num_ticks, final_pnl,
        abs(max_drawdown) AS max_drawdown,
        final_pnl - 0.5e0 * abs(max_drawdown) AS utility,
        kill_prob >= 0.5e0 AS killed
    FROM dataset_rows
    WHERE is_complete
)
SELECT
    dataset,
    row_number() OVER (PARTITION BY dataset ORDER BY utility DESC NULLS LAST, line_no) AS rank,
    line_no, label, profile, run_id, num_ticks, final_pnl, max_drawdown, utility, killed
FROM scored
ORDER BY dataset, rank;
