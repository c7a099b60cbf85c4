-- imported_summaries: rows of summary tables that other tools computed; the source view of the folder summaries/.
--
-- Grain:  one row per row of a table (source, row_no).
-- Reads:  summaries/source=<source id>/<batch>.parquet. Paths are relative to the warehouse folder.
-- Note:   means of runs that the warehouse need not hold. Columns go by several names in the tables: the best one
--         that a table has counts, see import/summary_rows.sql. A row stored twice counts once.
--         Files of earlier versions hold ingested_at as a text.
--
-- Columns:
--   source                | -         | content of the table and the options it came with, hashed (folder key)
--   source_path           | -         | table the row came from, relative to ROOT when below it
--   source_sha256         | -         | hash of that table, decompressed
--   ingested_at           | -         | when it came in
--   row_no                | -         | row of the table, from 1; the header does not count
--   experiment            | -         | experiment, from the row, the option or the file name
--   profile               | -         | risk profile; null when neither the row nor the option names one
--   initial_q_tao         | tao       | initial inventory
--   loss_limit_usd        | usd       | loss limit
--   final_pnl_mean        | usd       | mean final PnL
--   final_pnl_std         | usd       | its standard deviation
--   max_drawdown_mean     | usd       | mean drawdown, sign as written
--   kill_prob             | frac      | share of killed runs
--   hedge_band_base       | tao       | hedge band
--   size_eta              | -         | size penalty
--   vol_ref               | frac/day  | reference volatility
--   delta_limit_usd_base  | usd       | base of the delta limit
--   row_json              | -         | the whole row as JSON text: column -> value
CREATE OR REPLACE VIEW imported_summaries AS
SELECT
    source, source_path, source_sha256, TRY_CAST(ingested_at AS TIMESTAMPTZ) AS ingested_at, row_no, experiment, profile,
    initial_q_tao, loss_limit_usd, final_pnl_mean, final_pnl_std, max_drawdown_mean, kill_prob,
    hedge_band_base, size_eta, vol_ref, delta_limit_usd_base, row_json
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY source, row_no ORDER BY filename) AS nth,
        -- The newest batch of a path counts, also while what it takes the place of still lies there.
        first_value(source) OVER (PARTITION BY source_path ORDER BY parse_filename(filename) DESC, source) AS newest
    FROM read_parquet(
        'summaries/*/*.parquet',
        hive_partitioning = true,
        hive_types = {'source': VARCHAR},
        union_by_name = true,
        filename = true
    )
) AS stored
WHERE nth = 1 AND source = newest
ORDER BY source, row_no;
