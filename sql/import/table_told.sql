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
CREATE OR REPLACE TEMP MACRO near(a, b) AS coalesce(abs(a - b) <= 1e-6, true);

-- Whether a row t and a run o may be of the same settings, as far as columns tell.
CREATE OR REPLACE TEMP MACRO fits(t, o, names_experiment, names_repeat) AS
    (NOT names_experiment OR t.experiment = o.experiment)
    -- Repeats with seeds are known by these.
    AND coalesce(t.seed = o.seed, NOT names_repeat OR t.repeat = o.repeat, true)
    AND coalesce(t.ticks = o.ticks, true)
    AND near(t.init_q_tao, o.init_q_tao) AND near(t.band_base, o.band_base)
    AND near(t.hedge_max_step, o.hedge_max_step) AND near(t.mm_size_eta, o.mm_size_eta)
    AND near(t.vol_ref, o.vol_ref) AND near(t.daily_loss_limit, o.daily_loss_limit)
    AND coalesce(t.stem = o.stem, true);

-- What a label says beside that.
CREATE OR REPLACE TEMP MACRO settings_of(members) AS list_filter(
    members, lambda m: NOT list_contains(['profile', 'experiment', 'repeat', 'seed', 'ticks'], m.name)
);

-- Whether none of the settings of a row is another one in a run, but for those that columns tell.
CREATE OR REPLACE TEMP MACRO says_no_other(members, other_members) AS len(list_filter(
    members,
    lambda m: NOT list_contains(
        ['init_q_tao', 'band_base', 'hedge_max_step', 'mm_size_eta', 'vol_ref', 'daily_loss_limit'], m.name
    )
    AND len(list_filter(other_members, lambda o: o.name = m.name AND o.value <> m.value)) > 0
)) = 0;

CREATE OR REPLACE TEMP TABLE table_told AS
WITH rows AS MATERIALIZED (
    SELECT
        row_no, profile, experiment, run_name, repeat, seed, ticks_requested AS ticks, stdout_pnl_total AS pnl_total,
        final_pnl, init_q_tao, band_base, hedge_max_step, mm_size_eta, vol_ref,
        abs(daily_loss_limit) AS daily_loss_limit, file_stem(telemetry_path) AS stem, stdout_kill_switch AS kill_switch,
        measures_of(t) AS measures, words_of(t) AS words, settings_of(members_of(label_json, $called)) AS settings
    FROM telling t
),
others AS MATERIALIZED (
    SELECT
        r.run_id, r.profile, r.experiment, r.label, r.source_kind, r.plan_key, e.repeat, r.seed, e.ticks, r.status,
        e.pnl_total, r.final_pnl, e.init_q_tao, e.band_base, e.hedge_max_step, e.mm_size_eta, e.vol_ref,
        e.daily_loss_limit, file_stem(r.telemetry_path) AS stem, r.kill_switch, r.label_json IS NULL AS is_bare,
        measures_of(r) AS measures, words_of(r) AS words,
        CASE
            WHEN NOT $names_experiment OR r.experiment IN (SELECT experiment FROM telling)
                THEN settings_of(members_of(r.label_json, $called))
        END AS settings
    FROM runs r
    JOIN experiment_runs e ON r.run_id = e.run_id
    WHERE coalesce(r.source_kind, 'telemetry') <> 'csv'
),
sure AS MATERIALIZED (
    SELECT f.row_no, f.run_id, 1 AS rank, f.is_meant
    FROM table_files f
    JOIN rows t ON f.row_no = t.row_no
    JOIN others o ON f.run_id = o.run_id
    WHERE f.row_profile = f.profile
        AND (
            f.is_meant
            OR agree(t.measures, t.words, o.measures, o.words)
            -- A table of what engines said, beside telemetry alone.
            OR (abs(t.pnl_total - o.final_pnl) <= 0.00501e0 AND coalesce(t.kill_switch = o.kill_switch, true))
        )
    UNION ALL
    SELECT t.row_no, o.run_id, 2 AS rank, true AS is_meant FROM rows t JOIN others o ON t.run_name = o.run_id
    UNION ALL
    SELECT t.row_no, o.run_id, 3 AS rank, false AS is_meant
    FROM (SELECT *, settings::VARCHAR AS said FROM rows) t
    JOIN (SELECT *, settings::VARCHAR AS said FROM others) o ON t.profile = o.profile AND t.said = o.said
    WHERE fits(t, o, $names_experiment, $names_repeat) AND agree(t.measures, t.words, o.measures, o.words)
),
unsure AS (
    SELECT * FROM rows WHERE row_no NOT IN (SELECT row_no FROM sure)
),
likely AS (
    SELECT p.row_no, p.run_id
    FROM (
        SELECT t.row_no, o.run_id
        FROM unsure t
        JOIN others o ON t.profile = o.profile AND t.pnl_total = o.pnl_total
        WHERE fits(t, o, $names_experiment, $names_repeat)
        UNION
        SELECT t.row_no, o.run_id
        FROM unsure t
        JOIN others o ON t.profile = o.profile AND t.final_pnl = o.final_pnl
        WHERE fits(t, o, $names_experiment, $names_repeat)
        UNION
        SELECT t.row_no, o.run_id
        FROM unsure t
        JOIN others o ON t.profile = o.profile AND t.experiment = o.experiment AND t.repeat = o.repeat
        WHERE coalesce(t.pnl_total, t.final_pnl, o.pnl_total, o.final_pnl) IS NULL AND o.status <> 'ok'
            AND fits(t, o, $names_experiment, $names_repeat)
    ) p
    JOIN rows t ON p.row_no = t.row_no
    JOIN others o ON p.run_id = o.run_id
    WHERE agree(t.measures, t.words, o.measures, o.words)
        AND says_no_other(t.settings, list_append(coalesce(o.settings, []), {'name': 'label', 'value': o.label}))
),
-- Rows that cannot be told apart by their settings: the first for the first run.
alike_rows AS (
    SELECT row_no, run_ids, row_number() OVER (PARTITION BY run_ids ORDER BY row_no) AS nth
    FROM (
        SELECT row_no, list(run_id ORDER BY run_id) AS run_ids
        FROM (SELECT row_no, run_id FROM sure WHERE rank = 3 UNION ALL FROM likely)
        GROUP BY row_no
    )
),
chosen AS (
    SELECT row_no, run_id, rank, is_meant
    FROM sure
    WHERE rank < 3
    -- A file is the telemetry of one row.
    QUALIFY rank = 2 OR row_number() OVER (PARTITION BY run_id, rank ORDER BY row_no) = 1
    UNION ALL
    SELECT row_no, run_ids[nth], 3 AS rank, false AS is_meant FROM alike_rows WHERE nth <= len(run_ids)
)
SELECT
    c.row_no, c.run_id, c.rank = 1 AS by_file,
    c.rank = 1 AND o.source_kind = 'telemetry' AND o.is_bare AND o.plan_key IS NULL AS completes
FROM chosen c
JOIN others o ON c.run_id = o.run_id
QUALIFY row_number() OVER (PARTITION BY c.row_no ORDER BY c.rank, c.is_meant DESC, c.run_id) = 1
ORDER BY c.row_no;
