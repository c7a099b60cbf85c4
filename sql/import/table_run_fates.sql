-- table_run_fates: what is to become of each row of a per-run CSV.
--
-- Grain:  one row per row of the table (source_row).
-- Reads:  table_runs, runs.
-- Note:   a failure takes no label and holds none: it never stands against a good run, and never takes one out.
CREATE OR REPLACE TEMP TABLE table_run_fates AS
WITH held AS (
    SELECT
        profile,
        label,
        list(run_id ORDER BY batch_id DESC, run_id) AS all_runs,
        list(run_id ORDER BY batch_id DESC, run_id) FILTER (status = 'ok') AS good_runs,
        list(run_id ORDER BY batch_id DESC, run_id) FILTER (status <> 'ok') AS bad_runs
    FROM runs
    WHERE label IN (SELECT label FROM table_runs)
    GROUP BY profile, label
),
compared AS (
    SELECT
        t.source_row, t.run_id, t.profile, t.label, t.experiment, t.status,
        coalesce(h.all_runs, []) AS all_runs,
        coalesce(h.good_runs, []) AS good_runs,
        coalesce(h.bad_runs, []) AS bad_runs,
        row_number() OVER (PARTITION BY t.run_id ORDER BY t.source_row) AS nth,
        first_value(CASE WHEN t.status = 'ok' THEN t.source_row END IGNORE NULLS) OVER same_label AS first_row,
        first_value(CASE WHEN t.status = 'ok' THEN t.run_id END IGNORE NULLS) OVER same_label AS first_run
    FROM table_runs t
    LEFT JOIN held h ON t.profile = h.profile AND t.label = h.label
    WINDOW same_label AS (
        PARTITION BY t.profile, t.label ORDER BY t.source_row ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
)
SELECT
    source_row, run_id, profile, label, experiment,
    list_contains(all_runs, run_id) AS is_held,
    nth > 1 AS is_repeat,
    CASE WHEN status = 'ok' AND first_run <> run_id THEN first_row END AS clashes_with,
    CASE WHEN status = 'ok' AND NOT list_contains(all_runs, run_id) THEN good_runs[1] END AS taken_by,
    CASE WHEN status = 'ok' THEN all_runs ELSE bad_runs END AS superseded
FROM compared
ORDER BY source_row;
