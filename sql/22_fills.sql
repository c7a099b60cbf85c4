-- fills: executions, unfolded from the ticks.
--
-- Grain:  one row per fill (run_id, t, position).
-- Reads:  ticks.
-- Units:  as in the telemetry record; see `paraphina-wh schema fills`.
-- Note:   in the order of ticks, and of position.
--
-- Columns:
--   profile               | -         | risk profile (folder key)
--   label                 | -         | label of the run (folder key)
--   run_id                | -         | run the tick belongs to
--   t                     | ticks     | tick index
--   position              | -         | place in the list of the tick, from 0
CREATE OR REPLACE VIEW fills AS
SELECT
    profile, label, run_id, t, position, item.*
    -- promoted: the columns of `paraphina-wh drift promote`
FROM (
    SELECT
        profile, label, run_id, t, extra,
        unnest(fills) AS item,
        unnest(range(len(fills))) AS position
    FROM ticks
);
