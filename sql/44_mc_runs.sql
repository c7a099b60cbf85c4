-- mc_runs: runs of the Monte Carlo harness; the source view of the folder mc_runs/.
--
-- Grain:  one row per run of a file (source, run_index).
-- Reads:  mc_runs/source=<source id>/<batch>.parquet. Paths are relative to the warehouse folder.
-- Note:   a world of its own: the harness has other fill rules than the tick simulator, so no other view reads these
--         runs. Shards of one harness are several sources. A row stored twice counts once.
--         Files of earlier versions hold ingested_at as a text.
--
-- Columns:
--   source                | -         | content of the file, hashed (folder key)
--   source_path           | -         | file the row came from, relative to ROOT when below it
--   source_sha256         | -         | hash of that file, decompressed
--   ingested_at           | -         | when it came in
--   schema_version        | -         | version of the schema, always 1
--   run_index             | -         | global run index, strictly increasing in the file
--   seed                  | -         | base seed + run_index, unsigned 64 bit
--   pnl_total             | usd       | final total PnL
--   max_drawdown          | usd       | deepest fall from a peak, positive magnitude
--   kill_switch           | -         | the kill switch latched
--   kill_reason           | -         | why; the text None while not killed
--   ticks_executed        | ticks     | completed ticks; the kill tick when killed
--   kill_tick             | ticks     | tick of the kill; null when not killed
--   max_abs_delta_usd     | usd       | peak |dollar delta|
--   max_abs_basis_usd     | usd       | peak gross basis
--   max_abs_q_tao         | tao       | peak |inventory|
--   max_venue_toxicity    | frac      | peak toxicity
--   extra                 | -         | fields the record does not declare: JSON object of path -> value, else null
CREATE OR REPLACE VIEW mc_runs AS
SELECT
    source, source_path, source_sha256, TRY_CAST(ingested_at AS TIMESTAMPTZ) AS ingested_at,
    schema_version, run_index, seed, pnl_total, max_drawdown, kill_switch, kill_reason, ticks_executed, kill_tick,
    max_abs_delta_usd, max_abs_basis_usd, max_abs_q_tao, max_venue_toxicity, extra
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY source, run_index ORDER BY filename) AS nth,
        -- The newest batch of a path counts, also while what it takes the place of still lies there.
        first_value(source) OVER (PARTITION BY source_path ORDER BY parse_filename(filename) DESC, source) AS newest
    FROM read_parquet(
        'mc_runs/*/*.parquet',
        hive_partitioning = true,
        hive_types = {'source': VARCHAR},
        union_by_name = true,
        filename = true
    )
) AS stored
WHERE nth = 1 AND source = newest
ORDER BY source, run_index;
