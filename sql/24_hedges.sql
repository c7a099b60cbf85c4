-- hedges: hedges, unfolded from the ticks. In simulator files pre_q and post_q count the hedge already: use fills.
--
-- Grain:  one row per hedge (run_id, t, position).
-- Reads:  ticks.
-- Units:  as in the telemetry record; see `paraphina-wh schema hedges`.
-- Note:   in the order of ticks, and of position.
--
-- Columns:
--   profile               | -         | risk profile (folder key)
--   label                 | -         | label of the run (folder key)
--   run_id                | -         | run the tick belongs to
--   t                     | ticks     | tick index
--   position              | -         | place in the list of the tick, from 0
CREATE OR REPLACE VIEW hedges AS
SELECT
    profile, label, run_id, t, position, item.*
    -- promoted: the columns of `paraphina-wh drift promote`
FROM (
    SELECT
        profile, label, run_id, t, extra,
        unnest(hedges) AS item,
        unnest(range(len(hedges))) AS position
    FROM ticks
);
