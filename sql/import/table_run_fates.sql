-- table_run_fates: what is to become of each row of a per-run CSV.
--
-- Grain:  one row per row of the table (source_row).
-- Reads:  table_runs, runs, table_told (table_told.sql; rows is_told are here as runs), the macros of table_macros.
-- Binds:  $called (name of a column -> its name here).
-- Note:   rows are of the same run when profile and label say the same, whatever table they stand in. A row adds
--         nothing when all that came of the run is known; one that knows more takes its place. A failure takes no label
--         and holds none: it never stands against a good run, and never takes one out.
CREATE OR REPLACE TEMP TABLE table_run_fates AS
WITH told AS (
    SELECT DISTINCT row_no FROM table_told
),
rows AS (
    SELECT
        t.source_row, t.run_id, t.profile, t.label, t.experiment, t.status = 'ok' AS is_ok,
        members_of(t.label_json, $called)::VARCHAR AS members, measures_of(t) AS measures, words_of(t) AS words,
        t.source_row IN (FROM told) AS is_told
    FROM table_runs t
),
held AS (
    SELECT
        r.run_id, r.profile, r.batch_id, r.status = 'ok' AS is_ok,
        members_of(r.label_json, $called)::VARCHAR AS members, measures_of(r) AS measures, words_of(r) AS words
    FROM runs r
    WHERE r.experiment IN (SELECT DISTINCT experiment FROM table_runs)
        AND r.label_json IS NOT NULL AND r.source_kind <> 'telemetry'
),
compared AS (
    SELECT
        t.source_row, h.run_id, h.batch_id, h.is_ok,
        t.is_ok = h.is_ok AND agree(t.measures, t.words, h.measures, h.words) AS is_same,
        -- The other way round it would go to and fro: what only the run in place knows must not be lost.
        lacks(h.measures, h.words, t.measures, t.words) AND NOT lacks(t.measures, t.words, h.measures, h.words) AS is_less
    FROM rows t
    JOIN held h ON t.profile = h.profile AND t.members = h.members
),
met AS (
    SELECT
        source_row,
        coalesce(bool_or(is_same AND NOT is_less), false) AS is_known,
        list(run_id ORDER BY batch_id DESC, run_id) AS all_runs,
        list(run_id ORDER BY batch_id DESC, run_id) FILTER (NOT is_ok) AS bad_runs,
        list(run_id ORDER BY batch_id DESC, run_id) FILTER (is_ok AND NOT is_same) AS other_runs
    FROM compared
    GROUP BY source_row
),
-- Rows of the table itself that say the same.
numbered AS (
    SELECT
        *,
        first_value(CASE WHEN is_ok THEN source_row END IGNORE NULLS) OVER same_label AS first_row,
        first_value(CASE WHEN is_ok THEN measures END IGNORE NULLS) OVER same_label AS first_measures,
        first_value(CASE WHEN is_ok THEN words END IGNORE NULLS) OVER same_label AS first_words,
        row_number() OVER (PARTITION BY profile, members, is_ok, measures, words ORDER BY source_row) > 1 AS is_repeat
    FROM rows
    WINDOW same_label AS (
        PARTITION BY profile, members ORDER BY source_row ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
)
SELECT
    n.source_row, n.run_id, n.profile, n.label, n.experiment,
    n.is_told OR coalesce(m.is_known, false) AS is_held,
    n.is_told,
    n.is_repeat OR (n.is_ok AND first_row < n.source_row) AS is_repeat,
    CASE WHEN n.is_ok AND NOT agree(n.measures, n.words, first_measures, first_words) THEN first_row END AS clashes_with,
    CASE WHEN n.is_ok AND NOT n.is_told AND NOT coalesce(m.is_known, false) THEN m.other_runs[1] END AS taken_by,
    CASE WHEN n.is_ok THEN coalesce(m.all_runs, []) ELSE coalesce(m.bad_runs, []) END AS superseded
FROM numbered n
LEFT JOIN met m USING (source_row)
ORDER BY n.source_row;
