-- condensed: metrics that are not what the ticks say.
--
-- Grain:  one row per run and column that differs.
-- Reads:  condensed_ticks, stored_runs (the rows of runs).
-- Note:   compared as text, which tells every bit of a number. No kill seen in a run that is not whole is none known.
WITH computed_wide AS (
    SELECT run_id, COLUMNS(* EXCLUDE (run_id, profile, label))::VARCHAR FROM condensed_ticks
),
stored_wide AS (
    SELECT run_id, COLUMNS(* EXCLUDE (run_id))::VARCHAR
    FROM stored_runs
    WHERE run_id IN (SELECT run_id FROM computed_wide)
),
computed AS (
    FROM computed_wide UNPIVOT INCLUDE NULLS (said FOR metric IN (COLUMNS(* EXCLUDE (run_id))))
),
stored AS (
    FROM stored_wide UNPIVOT INCLUDE NULLS (said FOR metric IN (COLUMNS(* EXCLUDE (run_id))))
)
SELECT c.run_id, r.profile, r.label, c.metric, s.said AS stored, c.said AS computed
FROM computed c
JOIN stored_runs r ON c.run_id = r.run_id
LEFT JOIN stored s ON c.run_id = s.run_id AND c.metric = s.metric
WHERE s.said IS DISTINCT FROM c.said
    AND NOT (
        c.metric = 'kill_switch' AND c.said = 'false' AND s.said IS NULL AND (r.status <> 'ok' OR coalesce(r.truncated, false))
    )
ORDER BY r.profile, r.label, c.metric;
