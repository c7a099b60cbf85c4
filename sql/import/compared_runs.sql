-- compared_runs: the runs that a name stands for.
--
-- Grain:  one row per run (run_id), failed ones included.
-- Reads:  runs, experiment_runs; macros.
-- Binds:  $name (what was asked for), $profile (null: any).
-- Note:   a name is tried as run_id, label, experiment, configuration, sweep_id, profile, pattern of labels with * and ?,
--         and as the first characters of a run_id, at least 6; the first that fits counts. A run that failed may not
--         have come to tell its cfg_hash and the version of its engine: it has those of the runs that were asked for the
--         same thing. Rows in the order in which the runs came in.
--
-- Columns:
--   kind                  | -         | what the name is: run_id, label, experiment, config, sweep_id, profile, pattern or digits
--   arrival               | -         | place in the order in which the runs came in, from 1
--   config                | -         | equal for runs that may be pooled, as in research_rows; never null
--   is_whole              | -         | the run ended well and nothing of it is cut off
--   kill_switch           | -         | whether the run was killed; null when nobody knows
--   pnl_usd               | usd       | final PnL; that of stdout, to the cent, in runs without telemetry
--   drawdown_usd          | usd       | deepest drawdown, positive magnitude
WITH found AS (
    SELECT
        r.*,
        CASE
            WHEN r.run_id = $name THEN 1
            WHEN r.label = $name THEN 2
            WHEN r.experiment = $name THEN 3
            WHEN r.config = $name THEN 4
            WHEN r.sweep_id = $name THEN 5
            WHEN r.profile = $name THEN 6
            WHEN regexp_matches($name, '[*?]') AND r.label GLOB $name THEN 7
            WHEN length($name) >= 6 AND starts_with(r.run_id, $name) THEN 8
        END AS fit
    FROM (
        SELECT
            *,
            config_of(
                profile, coalesce(cfg_hash, max(cfg_hash) OVER same_plan), knobs_json, engine,
                coalesce(engine_version, max(engine_version) OVER same_plan), engine_sha256, ticks_requested
            ) AS config
        FROM runs
        WINDOW same_plan AS (PARTITION BY profile, knobs_json, engine, engine_sha256, ticks_requested)
    ) r
    WHERE $profile IS NULL OR r.profile = $profile
)
SELECT
    ['run_id', 'label', 'experiment', 'config', 'sweep_id', 'profile', 'pattern', 'digits'][f.fit] AS kind,
    row_number() OVER (ORDER BY split_part(f.batch_id, '+', 1), f.profile, f.label, f.run_id) AS arrival,
    f.run_id, f.label, f.experiment, f.profile, f.config, f.knobs_json, f.cfg_hash, f.engine, f.engine_version,
    f.engine_sha256, f.ticks_requested, f.seed, f.seed_origin, f.seed_key, f.seed_index, f.seed_space, f.seed_first,
    f.status,
    f.status = 'ok' AND NOT coalesce(f.truncated, false) AS is_whole,
    e.kill_switch,
    coalesce(f.final_pnl, f.stdout_pnl_total) AS pnl_usd,
    abs(f.max_drawdown) AS drawdown_usd
FROM found f
JOIN experiment_runs e ON e.run_id = f.run_id
WHERE f.fit = (SELECT min(fit) FROM found)
ORDER BY arrival;
