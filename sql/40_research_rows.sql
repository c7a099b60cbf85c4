-- research_rows: the warehouse's telemetry runs in the shape of the research dataset.
--
-- Grain:  one row per run with telemetry that ended well (run_id); rows of imported tables are none, nor are runs whose
--         telemetry is cut off, unless dataset_settings allows them: their kill switch is null when no kill was seen.
-- Reads:  runs, profile_centres, dataset_settings, macros.
-- Note:   the first 20 columns and their order are a contract. band_base to vol_scale are the constants of the
--         profile, not the knobs of the run: those are knob_* and cfg_hash after column 20.
--         In the order in which the runs came in.
--
-- Columns:
--   timestamp_utc         | -         | when the run was condensed, ISO 8601 UTC as text
--   notes                 | -         | free text; empty
--   band_base             | tao       | profile centre: hedge band
--   mm_size_eta           | -         | profile centre: size penalty
--   vol_ref               | frac/day  | profile centre: reference volatility
--   daily_loss_limit      | usd       | profile centre: loss limit
--   init_q_tao            | tao       | profile centre: initial inventory
--   vol_scale             | -         | profile centre: volatility scale
--   knob_init_q_tao       | tao       | initial inventory set for the run; null = engine preset
--   knob_band_base        | tao       | hedge band set for the run; null = engine preset
--   knob_hedge_max_step   | tao       | largest hedge step set for the run; null = engine preset
--   knob_mm_size_eta      | -         | size penalty set for the run; null = engine preset
--   knob_vol_ref          | frac/day  | reference volatility set for the run; null = engine preset
--   knob_daily_loss_limit | usd       | loss limit set for the run; null = engine preset
--   config                | -         | what runs that may be pooled share, hashed: profile, cfg_hash (else the knobs),
--                                     engine, its version and binary, ticks asked for; null when no engine is known
CREATE OR REPLACE VIEW research_rows AS
SELECT
    utc_text(r.ingested_at) AS timestamp_utc,
    r.label,
    r.profile,
    r.telemetry_path,
    '' AS notes,
    c.band_base,
    c.mm_size_eta,
    c.vol_ref,
    c.daily_loss_limit,
    c.init_q_tao,
    c.vol_scale,
    r.num_ticks,
    r.final_pnl,
    r.max_pnl,
    r.min_pnl,
    -- Runs condensed by earlier versions may hold infinity, which JSON does not know.
    CASE WHEN r.max_drawdown = 'inf' THEN 1.7976931348623157e308 ELSE r.max_drawdown END AS max_drawdown,
    r.frac_normal,
    r.frac_warning,
    r.frac_hard,
    r.kill_switch,
    r.run_id,
    r.experiment,
    r.engine,
    r.engine_version,
    r.engine_commit,
    r.cfg_version,
    r.cfg_hash,
    r.seed,
    r.init_q_tao AS knob_init_q_tao,
    r.band_base AS knob_band_base,
    r.hedge_max_step AS knob_hedge_max_step,
    r.mm_size_eta AS knob_mm_size_eta,
    r.vol_ref AS knob_vol_ref,
    r.daily_loss_limit AS knob_daily_loss_limit,
    r.kill_tick,
    r.kill_reason,
    r.inventory_mean_tao,
    r.inventory_max_abs_tao,
    r.inventory_final_tao,
    r.sigma_mean,
    r.sigma_max,
    r.n_fills,
    r.n_hedges,
    r.n_exits,
    r.volume_tao,
    r.fees_usd,
    coalesce(r.truncated, false) AS truncated,
    r.evidence_id,
    r.ticks_requested,
    CASE WHEN r.engine IS NOT NULL THEN config_of(
        r.profile, r.cfg_hash, r.knobs_json, r.engine, r.engine_version, r.engine_sha256, r.ticks_requested
    ) END AS config,
    r.seed_origin,
    r.seed_key,
    r.seed_index,
    r.seed_space,
    r.seed_first
FROM runs r
CROSS JOIN dataset_settings s
LEFT JOIN profile_centres c ON r.profile = c.profile
WHERE r.status = 'ok' AND r.num_ticks IS NOT NULL AND coalesce(r.source_kind, 'telemetry') <> 'csv'
    AND (s.allow_truncated OR NOT coalesce(r.truncated, false))
ORDER BY split_part(r.batch_id, '+', 1), r.profile, r.label, r.run_id;
