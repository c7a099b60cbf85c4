-- tick_differences: where the ticks of a run and of its repetition part.
--
-- Grain:  one row.
-- Reads:  recorded_ticks, fresh_ticks, registered by the caller: the same columns in the same order, without run_id.
-- Binds:  $whole (false: ticks that were not recorded do not count).
-- Note:   two ticks are equal when all their values are, as JSON text: -0.0 is not 0.0, and null is the same as absent.
--         Only digests are joined; the two records are fetched for the first differing tick alone.
--
-- Columns:
--   ticks_recorded        | count     | ticks the warehouse holds
--   ticks_now             | count     | ticks of the repetition
--   ticks_differing       | count     | ticks that differ, those that only one side has included
--   t                     | ticks     | the first of them; null when there is none
--   recorded              | -         | its record as JSON text; null when the warehouse lacks the tick
--   now                   | -         | its record in the repetition as JSON text; null when that lacks the tick
WITH recorded AS (
    SELECT t, md5(to_json(r)::VARCHAR) AS digest
    FROM recorded_ticks r
),
fresh AS (
    SELECT t, md5(to_json(f)::VARCHAR) AS digest
    FROM fresh_ticks f
),
pairs AS (
    SELECT
        t,
        r.digest IS NOT NULL AS is_recorded,
        f.digest IS NOT NULL AS is_fresh,
        r.digest IS DISTINCT FROM f.digest AND (r.digest IS NOT NULL OR $whole) AS differs
    FROM recorded r
    FULL JOIN fresh f USING (t)
),
totals AS (
    SELECT
        count(*) FILTER (WHERE is_recorded) AS ticks_recorded,
        count(*) FILTER (WHERE is_fresh) AS ticks_now,
        count(*) FILTER (WHERE differs) AS ticks_differing,
        min(t) FILTER (WHERE differs) AS t
    FROM pairs
)
SELECT
    *,
    (SELECT to_json(r)::VARCHAR FROM recorded_ticks r WHERE r.t = totals.t) AS recorded,
    (SELECT to_json(f)::VARCHAR FROM fresh_ticks f WHERE f.t = totals.t) AS now
FROM totals;
