-- engine_presets: the knobs an engine takes for a profile unless they are set, a table of constants.
--
-- Grain:  one row per profile.
-- Note:   these differ from profile_centres, which the research sweeps set. Source: the engine contract, profiles.
--
-- Columns:
--   profile               | -         | risk profile
--   init_q_tao            | tao       | initial inventory
--   band_base             | tao       | half width of the band in which nothing is hedged
--   hedge_max_step        | tao       | largest hedge
--   mm_size_eta           | -         | size penalty; larger means smaller quotes
--   vol_ref               | frac/day  | reference volatility
--   daily_loss_limit      | usd       | loss that trips the kill switch
--   delta_limit_usd_base  | usd       | base of the delta limit; the engine has no knob for it
CREATE OR REPLACE VIEW engine_presets AS
SELECT 'conservative' AS profile, 0e0 AS init_q_tao, 2.62125e0 AS band_base, 20e0 AS hedge_max_step,
       0.0466e0 AS mm_size_eta, 0.028125e0 AS vol_ref, 2000e0 AS daily_loss_limit, 46600e0 AS delta_limit_usd_base
UNION ALL
SELECT 'balanced', 0e0, 5.625e0, 20e0, 0.1e0, 0.028125e0, 5000e0, 100000e0
UNION ALL
SELECT 'aggressive', 0e0, 4.86e0, 20e0, 0.0864e0, 0.028125e0, 2000e0, 86400e0;
