-- dataset_rows: the lines of the versioned research datasets; the source view of the folder datasets/.
--
-- Grain:  one row per line of a dataset file (dataset, line_no), whatever it holds.
-- Reads:  datasets/dataset=<name>/<batch>.parquet. Paths are relative to the warehouse folder.
-- Note:   a line stored twice counts once; a last line that was completed later counts as it is now. The names a
--         column may go by in the file are tried row by row, and the first usable value counts: see
--         import/dataset_lines.sql. Numbers are null where the file says NaN. What stands behind evidence_id is null in
--         rows that do not name it, and in lines that earlier versions took in.
--
-- Columns:
--   dataset               | -         | name of the dataset: its file without the ending (folder key)
--   line_no               | -         | line of the file, from 1
--   byte_offset           | bytes     | where the line starts in the file
--   bytes                 | bytes     | length of the line without its newline
--   line                  | -         | the text of the line; U+FFFD for bytes that are not UTF-8
--   raw                   | -         | the exact bytes of a line that is not UTF-8; null where the text is exact
--   is_terminated         | -         | a newline ends the line; false only for the last line of a file that lacks it
--   prefix_sha256         | -         | SHA-256 of the file through this line; stands at the end of each stretch appended
--   dataset_path          | -         | dataset file, relative to ROOT when below it
--   is_blank              | -         | nothing but white space
--   is_run                | -         | a JSON object with a final PnL and a drawdown: the alignment counts it
--   is_complete           | -         | holds final_pnl, max_drawdown and num_ticks: the summary counts it
--   timestamp_utc         | -         | when the run was condensed, ISO 8601
--   label                 | -         | label of the run
--   profile               | -         | risk profile, as written
--   telemetry_path        | -         | telemetry file, as written
--   notes                 | -         | free text
--   num_ticks             | ticks     | ticks of the run
--   final_pnl             | usd       | total PnL after the last tick
--   max_pnl               | usd       | largest total PnL
--   min_pnl               | usd       | smallest total PnL
--   max_drawdown          | usd       | deepest fall of the total PnL below its peak, sign as written
--   frac_normal           | frac      | share of ticks in regime Normal
--   frac_warning          | frac      | share of ticks in regime Warning
--   frac_hard             | frac      | share of ticks in regime HardLimit
--   kill_prob             | frac      | 1 killed, 0 not killed, or a probability where the row states one
--   run_id                | -         | run in the warehouse; null in rows that name none
--   experiment            | -         | experiment of the run; null in rows that name none
--   engine                | -         | reference for the embedded engine; anything else, or null, is a real one
--   evidence_id           | -         | equal for identical repeats of a run; null in rows that name none
--   seed                  | -         | seed of the run, unsigned 64 bit
--   cfg_hash              | -         | hash of profile and knobs, from the engine
--   truncated             | -         | the telemetry is cut off: how the run ended is not known
--   ticks_requested       | ticks     | ticks asked for
--   config                | -         | what runs that may be pooled share, hashed: see research_rows
--   seed_origin           | -         | drawn at random, listed by somebody, or none was passed; null: nobody knows
--   seed_key              | -         | name of the order a drawn seed is of, else null
--   seed_index            | -         | place of a drawn seed in the order, from 1
--   seed_space            | count     | seeds that were drawn from: 0 to this, exclusive
--   seed_first            | -         | place of the order from which its sweep drew on
--   evidence_json         | -         | JSON, on the last line of each stretch appended: what the file through it proves
CREATE OR REPLACE VIEW dataset_rows AS
SELECT
    dataset, line_no, byte_offset, bytes, line, raw, coalesce(is_terminated, true) AS is_terminated, prefix_sha256,
    dataset_path, is_blank, is_run, is_complete,
    timestamp_utc, label, profile, telemetry_path, notes,
    num_ticks, final_pnl, max_pnl, min_pnl, max_drawdown, frac_normal, frac_warning, frac_hard, kill_prob,
    run_id, experiment, engine, evidence_id,
    seed, cfg_hash, truncated, ticks_requested, config, seed_origin, seed_key, seed_index, seed_space, seed_first,
    evidence_json
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY dataset, line_no ORDER BY byte_offset, bytes DESC, is_terminated DESC, evidence_json IS NULL
        ) AS nth
    FROM read_parquet(
        'datasets/*/*.parquet',
        hive_partitioning = true,
        hive_types = {'dataset': VARCHAR},
        union_by_name = true
    )
) AS stored
WHERE nth = 1
ORDER BY dataset, line_no;
