-- table_told: which rows of tables tell of runs that are here already, with telemetry or stdout of their own.
--
-- Grain:  one row per row of a table that does (row_no), with the run (run_id).
-- Reads:  telling (rows as table_runs has them, with row_no), table_files, runs, experiment_runs, the macros of
--         table_macros.
-- Binds:  $called (name of a column -> its name here); $names_experiment, $names_repeat (whether the table itself says
--         so; else the experiment is the name of the file, the repeat a number given on the way in).
-- Note:   a row tells of the run whose telemetry it names, or whose run_id; else of one of the same settings and the same
--         results, as far as both say, each run for one row. Telemetry below the folder of the table is the one that is
--         meant even where the results contradict: then one of them is wrong.
--
-- Columns:
--   by_file               | -         | the row names the telemetry of the run
--   completes             | -         | nothing but its telemetry is known of the run so far
-- Knobs may have been handed to the engine with six decimals.
CREATE OR REPLACE TEMP MACRO fits(a, b) AS coalesce(abs(a - b) <= 1e-6, true);

CREATE OR REPLACE TEMP TABLE table_told AS
WITH others AS (
    SELECT run_id, profile, experiment, label_json, repeat, status, stdout_pnl_total, final_pnl
    FROM runs
    WHERE coalesce(source_kind, 'telemetry') <> 'csv'
),
pairs AS (
    SELECT row_no, run_id, 1 AS rank, is_meant FROM table_files WHERE row_profile = profile
    UNION
    SELECT t.row_no, o.run_id, 2 AS rank, true AS is_meant FROM telling t JOIN others o ON t.run_name = o.run_id
    UNION
    SELECT t.row_no, o.run_id, 3 AS rank, false AS is_meant
    FROM telling t
    JOIN others o ON t.profile = o.profile AND t.stdout_pnl_total = o.stdout_pnl_total
    UNION
    SELECT t.row_no, o.run_id, 3 AS rank, false AS is_meant
    FROM telling t
    JOIN others o ON t.profile = o.profile AND t.final_pnl = o.final_pnl
    UNION
    SELECT t.row_no, o.run_id, 3 AS rank, false AS is_meant
    FROM telling t
    JOIN others o ON t.profile = o.profile AND t.experiment = o.experiment AND t.repeat = o.repeat
    WHERE coalesce(t.stdout_pnl_total, t.final_pnl, o.stdout_pnl_total, o.final_pnl) IS NULL AND o.status <> 'ok'
),
measured AS (
    SELECT
        p.*, measures_of(t) AS measures, words_of(t) AS words, measures_of(r) AS other_measures, words_of(r) AS other_words
    FROM pairs p
    JOIN telling t ON p.row_no = t.row_no
    JOIN runs r ON p.run_id = r.run_id
),
compared AS (
    SELECT
        p.row_no, p.run_id, p.rank, p.is_meant,
        members_of(t.label_json, $called) AS members,
        agree(measures, words, other_measures, other_words) AS is_same,
        -- A table of what engines said, beside telemetry alone.
        abs(t.stdout_pnl_total - r.final_pnl) <= 0.00501e0
        AND coalesce(t.stdout_kill_switch = r.kill_switch, true) AS is_same_to_the_cent,
        (NOT $names_experiment OR t.experiment = r.experiment)
        AND coalesce(file_stem(t.telemetry_path) = file_stem(r.telemetry_path), true)
        AND coalesce(t.seed = r.seed, true)
        AND (NOT $names_repeat OR coalesce(t.repeat = r.repeat OR t.seed = r.seed, true))
        AND fits(t.ticks_requested, r.ticks_requested)
        AND fits(t.init_q_tao, e.init_q_tao) AND fits(t.band_base, e.band_base)
        AND fits(t.hedge_max_step, e.hedge_max_step) AND fits(t.mm_size_eta, e.mm_size_eta)
        AND fits(t.vol_ref, e.vol_ref) AND fits(abs(t.daily_loss_limit), e.daily_loss_limit) AS is_fit,
        list_append(
            coalesce(members_of(r.label_json, $called), []), {'name': 'label', 'value': r.label}
        ) AS others
    FROM measured p
    JOIN telling t ON p.row_no = t.row_no
    JOIN runs r ON p.run_id = r.run_id
    JOIN experiment_runs e ON p.run_id = e.run_id
),
matches AS (
    SELECT row_no, run_id, rank, is_meant
    FROM compared
    WHERE CASE rank
        WHEN 1 THEN is_meant OR is_same OR is_same_to_the_cent
        WHEN 2 THEN true
        ELSE is_same AND is_fit AND len(list_filter(
            members,
            lambda m: NOT list_contains(
                [
                    'profile', 'experiment', 'repeat', 'seed', 'ticks', 'init_q_tao', 'band_base', 'hedge_max_step',
                    'mm_size_eta', 'vol_ref', 'daily_loss_limit'
                ],
                m.name
            )
            AND len(list_filter(others, lambda o: o.name = m.name AND o.value <> m.value)) > 0
        )) = 0
    END
),
-- Rows that cannot be told apart by their settings: the first for the first run.
alike_rows AS (
    SELECT row_no, run_ids, row_number() OVER (PARTITION BY run_ids ORDER BY row_no) AS nth
    FROM (SELECT row_no, list(run_id ORDER BY run_id) AS run_ids FROM matches WHERE rank = 3 GROUP BY row_no)
),
chosen AS (
    SELECT row_no, run_id, rank, is_meant
    FROM matches
    WHERE rank < 3
    QUALIFY rank = 2 OR row_number() OVER (PARTITION BY run_id, rank ORDER BY row_no) = 1
    UNION ALL
    SELECT row_no, run_ids[nth], 3 AS rank, false AS is_meant FROM alike_rows WHERE nth <= len(run_ids)
)
SELECT
    c.row_no, c.run_id, c.rank = 1 AS by_file,
    c.rank = 1 AND r.source_kind = 'telemetry' AND r.label_json IS NULL AND r.plan_key IS NULL AS completes
FROM chosen c
JOIN runs r ON c.run_id = r.run_id
QUALIFY row_number() OVER (PARTITION BY c.row_no ORDER BY c.rank, c.is_meant DESC, c.run_id) = 1
ORDER BY c.row_no;
