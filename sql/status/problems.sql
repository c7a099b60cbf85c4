-- problems: what deserves a look.
--
-- Grain:  one row per run and problem.
-- Reads:  runs, macros.
SELECT problem, profile, label, run_id, detail
FROM (
    SELECT 1 AS rank, 'failed run' AS problem, profile, label, run_id, coalesce(error, status) AS detail
    FROM runs
    WHERE status <> 'ok'
    UNION ALL
    SELECT 2, 'two live runs of one profile and label', profile, label, run_id, 'ingested ' || utc_text(ingested_at)
    FROM runs
    WHERE status = 'ok'
    QUALIFY count(*) OVER (PARTITION BY profile, label) > 1
    UNION ALL
    SELECT
        3,
        'quarantined lines',
        profile,
        label,
        run_id,
        quarantined || ' of ' || lines || ' lines: paraphina-wh quarantine show ' || left(run_id, 12)
    FROM runs
    WHERE quarantined > CASE WHEN truncated THEN 1 ELSE 0 END
    UNION ALL
    SELECT 4, 'cut-off telemetry', profile, label, run_id, 'the last line of ' || telemetry_path || ' is cut off'
    FROM runs
    WHERE truncated
    UNION ALL
    SELECT 5, 'identity of the engine broken', profile, label, run_id, detail
    FROM (
        SELECT
            profile,
            label,
            run_id,
            concat_ws(
                ', ',
                CASE WHEN NOT dq_pnl_sum THEN 'dq_pnl_sum' END,
                CASE WHEN NOT dq_inventory_sum THEN 'dq_inventory_sum' END,
                CASE WHEN NOT dq_dollar_delta THEN 'dq_dollar_delta' END,
                CASE WHEN NOT dq_basis THEN 'dq_basis' END,
                CASE WHEN NOT dq_basis_gross THEN 'dq_basis_gross' END,
                CASE WHEN NOT dq_realised_fills THEN 'dq_realised_fills' END,
                CASE WHEN NOT dq_order_count THEN 'dq_order_count' END,
                CASE WHEN NOT dq_t_contiguous THEN 'dq_t_contiguous' END,
                CASE WHEN NOT dq_kill THEN 'dq_kill' END,
                CASE WHEN NOT dq_stdout THEN 'dq_stdout' END
            ) AS detail
        FROM runs
    )
    WHERE detail <> ''
)
ORDER BY rank, profile, label, run_id;
