-- risk_events: risk events, unfolded from the ticks.
--
-- Grain:  one row per event (run_id, t, position).
-- Reads:  ticks.
-- Units:  as in the telemetry record; see `paraphina-wh schema risk_events`.
-- Note:   in the order of ticks, and of position.
--
-- Columns:
--   profile               | -         | risk profile (folder key)
--   label                 | -         | label of the run (folder key)
--   run_id                | -         | run the tick belongs to
--   t                     | ticks     | tick index
--   position              | -         | place in the list of the tick, from 0
CREATE OR REPLACE VIEW risk_events AS
SELECT
    profile, label, run_id, t, position, item.*
    -- promoted: the columns of `paraphina-wh drift promote`
FROM (
    SELECT
        profile, label, run_id, t, extra,
        unnest(risk_events) AS item,
        unnest(range(len(risk_events))) AS position
    FROM ticks
);
