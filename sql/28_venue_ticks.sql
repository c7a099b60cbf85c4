-- venue_ticks: the per-venue lists of the ticks, unfolded.
--
-- Grain:  one row per tick and venue (run_id, t, venue_index); venues in the engine's fixed order, from 0.
-- Reads:  ticks.
-- Units:  as in the telemetry record; columns are its venue_* fields without the prefix.
-- Note:   in the order of ticks, and of venue_index.
--
-- Columns:
--   profile               | -         | risk profile (folder key)
--   label                 | -         | label of the run (folder key)
--   run_id                | -         | run the tick belongs to
--   t                     | ticks     | tick index
--   venue_index           | -         | position of the venue in the per-venue lists
--   venue_id              | -         | venue name, from the tick's quotes
CREATE OR REPLACE VIEW venue_ticks AS
SELECT
    profile, label, run_id, t,
    i - 1 AS venue_index,
    list_filter(quote_levels, lambda q: q.venue_index = i - 1)[1].venue_id AS venue_id,
    venue_mid_usd[i] AS mid_usd,
    venue_spread_usd[i] AS spread_usd,
    venue_depth_near_mid_usd[i] AS depth_near_mid_usd,
    venue_status[i] AS status,
    venue_toxicity[i] AS toxicity,
    venue_age_ms[i] AS age_ms,
    venue_age_event_ms[i] AS age_event_ms,
    venue_position_tao[i] AS position_tao,
    venue_dist_liq_sigma[i] AS dist_liq_sigma,
    venue_funding_8h[i] AS funding_8h,
    venue_funding_rate_8h[i] AS funding_rate_8h,
    venue_funding_age_ms[i] AS funding_age_ms,
    venue_funding_interval_sec[i] AS funding_interval_sec,
    venue_next_funding_ms[i] AS next_funding_ms,
    venue_funding_source[i] AS funding_source,
    venue_funding_status[i] AS funding_status,
    venue_funding_settlement_price_kind[i] AS funding_settlement_price_kind,
    venue_local_vol_short[i] AS local_vol_short,
    venue_local_vol_long[i] AS local_vol_long,
    venue_margin_balance_usd[i] AS margin_balance_usd,
    venue_margin_used_usd[i] AS margin_used_usd,
    venue_margin_available_usd[i] AS margin_available_usd,
    venue_maker_volume[i] AS maker_volume,
    venue_taker_volume[i] AS taker_volume,
    venue_fill_rate[i] AS fill_rate,
    venue_markout_ewma_usd_per_tao[i] AS markout_ewma_usd_per_tao
FROM (
    SELECT *, unnest(range(1, len(venue_mid_usd) + 1)) AS i
    FROM ticks
);
