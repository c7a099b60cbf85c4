-- packaged_presets: one set of knobs as a preset of every profile, with the profile's own loss limit and inventory.
--
-- Grain:  one row per profile.
-- Reads:  profile_centres.
-- Binds:  $band_base, $mm_size_eta, $vol_ref, $vol_scale.
SELECT
    profile,
    $band_base::DOUBLE AS band_base,
    $mm_size_eta::DOUBLE AS mm_size_eta,
    $vol_ref::DOUBLE AS vol_ref,
    daily_loss_limit,
    init_q_tao,
    $vol_scale::DOUBLE AS vol_scale
FROM profile_centres
ORDER BY profile;
