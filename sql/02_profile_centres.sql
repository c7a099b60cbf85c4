-- profile_centres: the research centre of each profile, a table of constants.
--
-- Grain:  one row per profile. These are not the engine's presets: see cfg_hash and knob_* for a run's knobs.
--
-- Columns:
--   profile               | -         | risk profile
--   band_base             | tao       | hedge band
--   mm_size_eta           | -         | size penalty
--   vol_ref               | frac/day  | reference volatility
--   daily_loss_limit      | usd       | loss limit
--   init_q_tao            | tao       | initial inventory
--   vol_scale             | -         | volatility scale
CREATE OR REPLACE VIEW profile_centres AS
SELECT 'aggressive' AS profile, 5.625e0 AS band_base, 0.1e0 AS mm_size_eta, 0.028125e0 AS vol_ref,
       2000e0 AS daily_loss_limit, 0e0 AS init_q_tao, 1.5e0 AS vol_scale
UNION ALL
SELECT 'balanced', 5.625e0, 0.1e0, 0.028125e0, 5000e0, 0e0, 1.5e0
UNION ALL
SELECT 'conservative', 5.625e0, 0.1e0, 0.028125e0, 750e0, 0e0, 1.5e0;
