-- table_runs: the rows of a per-run CSV as ledger rows, with the metrics a table has.
--
-- Grain:  one row per row of the table.
-- Reads:  csv_rows, the macros of table_macros.
-- Binds:  $places (column -> place in cells, 0 when the table has none); $kinds (what the cells of each column hold, null
--         for any); $labels, $settings, $metrics, $knobs (lists of key and place: the members of the label, of the label
--         without the repeat, of the content, of the knobs); $called (name of a column -> its name here);
--         $profile, $experiment (for rows that name none); $has_stdout, $has_path (which metrics the table has);
--         $batch_id, $ingested_at, $source_path, $source_sha256.
-- Note:   behind the cells of a row stand its profile, its experiment and its number among rows of equal settings, which
--         tells the rows of a table without a repeat column apart. A drawdown is stored as a magnitude.
CREATE OR REPLACE TEMP TABLE table_runs AS
WITH named AS (
    SELECT
        row_no,
        cells,
        coalesce(present(cells[$places.profile]), $profile::VARCHAR) AS profile,
        coalesce(present(cells[$places.experiment]), $experiment::VARCHAR) AS experiment
    FROM csv_rows
),
in_json AS (
    SELECT
        row_no,
        profile,
        experiment,
        list_concat(
            list_transform(cells, lambda c, place: json_of(c, $kinds[place])), [to_json(profile)::VARCHAR, to_json(experiment)::VARCHAR]
        ) AS json
    FROM named
),
settled AS (
    SELECT *, object_of($settings, json) AS settings, object_of($metrics, json) AS content FROM in_json
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY members_of(settings, $called) ORDER BY row_no) - 1 AS nth FROM settled
),
labelled AS (
    SELECT row_no, profile, experiment, settings, content, nth, object_of($labels, all_json) AS label
    FROM (SELECT *, list_append(json, nth::VARCHAR) AS all_json FROM numbered)
),
-- The cells come back last: whatever is carried through the numbering is copied.
complete AS (
    SELECT
        l.*,
        c.cells,
        list_transform(c.cells, lambda c: to_json(present(c))::VARCHAR) AS json_texts,
        cell_integer(c.cells[$places.returncode])::BIGINT AS returncode,
        coalesce(cell_flag(c.cells[$places.timeout]), false) AS timed_out,
        cell_flag(c.cells[$places.kill]) AS kill
    FROM csv_rows c
    JOIN labelled l USING (row_no)
)
SELECT
    'run' AS event,
    digest([profile, label, sha256(content)]) AS run_id,
    $batch_id::VARCHAR AS batch_id,
    present(cells[$places.run_name]) AS run_name,
    digest([experiment, $source_path::VARCHAR]) AS sweep_id,
    digest([profile, sha256(settings || content)]) AS evidence_id,
    profile,
    label,
    label AS label_json,
    CASE WHEN $places.repeat > 0 THEN cell_integer(cells[$places.repeat])::BIGINT ELSE nth END AS repeat,
    try_cast(cell_integer(cells[$places.seed]) AS UBIGINT) AS seed,
    CASE WHEN timed_out THEN 'timeout' WHEN returncode <> 0 THEN 'failed' ELSE 'ok' END AS status,
    coalesce(
        present(cells[$places.error]),
        CASE WHEN timed_out THEN 'ran out of time' WHEN returncode <> 0 THEN 'return code ' || returncode END
    ) AS error,
    cell_number(cells[$places.init_q_tao]) AS init_q_tao,
    cell_number(cells[$places.band_base]) AS band_base,
    cell_number(cells[$places.hedge_max_step]) AS hedge_max_step,
    cell_number(cells[$places.mm_size_eta]) AS mm_size_eta,
    cell_number(cells[$places.vol_ref]) AS vol_ref,
    cell_number(cells[$places.daily_loss_limit]) AS daily_loss_limit,
    object_of($knobs, json_texts) AS knobs_json,
    cell_integer(cells[$places.ticks])::BIGINT AS ticks_requested,
    cell_number(cells[$places.duration_sec]) AS duration_sec,
    returncode,
    cell_number(cells[$places.pnl_realised]) AS stdout_pnl_realised,
    cell_number(cells[$places.pnl_unrealised]) AS stdout_pnl_unrealised,
    cell_number(cells[$places.pnl_total]) AS stdout_pnl_total,
    CASE WHEN $has_stdout THEN kill END AS stdout_kill_switch,
    present(cells[$places.kill_reason]) AS stdout_kill_reason,
    CASE WHEN $has_stdout THEN present(cells[$places.risk_regime]) END AS stdout_risk_regime,
    CASE WHEN $has_stdout THEN cell_number(cells[$places.pnl_total]) IS NOT NULL END AS stdout_usable,
    present(cells[$places.telemetry_path]) AS telemetry_path,
    $source_sha256::VARCHAR AS source_sha256,
    'csv' AS source_kind,
    $source_path::VARCHAR AS source_path,
    row_no AS source_row,
    $ingested_at::VARCHAR AS ingested_at,
    cell_integer(cells[$places.num_ticks])::BIGINT AS num_ticks,
    cell_number(cells[$places.final_pnl]) AS final_pnl,
    cell_number(cells[$places.max_pnl]) AS max_pnl,
    cell_number(cells[$places.min_pnl]) AS min_pnl,
    abs(cell_number(cells[$places.max_drawdown])) AS max_drawdown,
    cell_integer(cells[$places.max_drawdown_time])::BIGINT AS max_drawdown_time,
    cell_number(cells[$places.frac_normal]) AS frac_normal,
    cell_number(cells[$places.frac_warning]) AS frac_warning,
    cell_number(cells[$places.frac_hard]) AS frac_hard,
    CASE WHEN $has_path THEN kill END AS kill_switch,
    cell_integer(cells[$places.kill_tick])::BIGINT AS kill_tick,
    CASE WHEN NOT $has_stdout THEN present(cells[$places.risk_regime]) END AS final_regime,
    cell_number(cells[$places.dollar_delta_usd]) AS delta_final_usd,
    cell_number(cells[$places.basis_exposure_usd]) AS basis_final_usd,
    experiment
FROM complete;
