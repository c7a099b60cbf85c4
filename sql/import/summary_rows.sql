-- summary_rows: the rows of a summary CSV under the names of imported_summaries.
--
-- Grain:  one row per row of the table.
-- Reads:  csv_rows, the macros of table_macros.
-- Binds:  $places (column -> place in cells, 0 when the table has none); $columns (list of key and place);
--         $profile, $experiment (for rows that name none); $ingested_at, $source_path, $source_sha256.
CREATE OR REPLACE TEMP TABLE summary_rows AS
WITH in_json AS (
    SELECT *, list_transform(cells, lambda c: json_as_written(c)) AS json FROM csv_rows
)
SELECT
    $source_path::VARCHAR AS source_path,
    $source_sha256::VARCHAR AS source_sha256,
    $ingested_at::VARCHAR AS ingested_at,
    row_no,
    coalesce(present(cells[$places.experiment]), $experiment::VARCHAR) AS experiment,
    coalesce(present(cells[$places.profile]), $profile::VARCHAR) AS profile,
    cell_number(cells[$places.initial_q_tao]) AS initial_q_tao,
    cell_number(cells[$places.loss_limit_usd]) AS loss_limit_usd,
    cell_number(cells[$places.final_pnl_mean]) AS final_pnl_mean,
    cell_number(cells[$places.final_pnl_std]) AS final_pnl_std,
    cell_number(cells[$places.max_drawdown_mean]) AS max_drawdown_mean,
    cell_number(cells[$places.kill_prob]) AS kill_prob,
    cell_number(cells[$places.hedge_band_base]) AS hedge_band_base,
    cell_number(cells[$places.size_eta]) AS size_eta,
    cell_number(cells[$places.vol_ref]) AS vol_ref,
    cell_number(cells[$places.delta_limit_usd_base]) AS delta_limit_usd_base,
    object_of($columns, json) AS row_json
FROM in_json
ORDER BY row_no;
