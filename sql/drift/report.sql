-- report: which fields came and went, over the runs in the order in which they came in.
--
-- Grain:  one row per path and kind: `unknown` to the record, or declared and `missing` in some run.
-- Reads:  drift_runs, drift_unknown, drift_values (of the runs whose ticks could be read), drift_promoted;
--         $fields: the declared fields.
-- Note:   first, last and without name runs: the first and the last that have the field, the first that has not.
WITH population AS (
    SELECT 'unknown' AS kind, * FROM drift_runs
    UNION ALL
    SELECT 'missing', * FROM drift_runs WHERE file IN (SELECT file FROM drift_values)
),
ordered AS (
    SELECT
        kind,
        run_id,
        label,
        ingested_at,
        row_number() OVER (PARTITION BY kind ORDER BY nth) AS place,
        count(*) OVER (PARTITION BY kind) AS runs
    FROM population
),
fields AS (
    SELECT 'missing' AS kind, unnest($fields) AS path
    UNION ALL
    (SELECT 'unknown', path FROM drift_unknown UNION SELECT 'unknown', path FROM drift_promoted)
),
seen AS (
    SELECT 'unknown' AS kind, run_id, path, first_line, records, types FROM drift_unknown
    UNION ALL
    SELECT 'missing', r.run_id, v.path, NULL, NULL, NULL
    FROM drift_values v
    JOIN drift_runs r USING (file)
    WHERE v.has_value
),
placed AS (
    SELECT
        s.*,
        o.place,
        row_number() OVER (PARTITION BY s.kind, s.path ORDER BY o.place) AS nth
    FROM seen s
    JOIN ordered o ON s.kind = o.kind AND s.run_id = o.run_id
),
counted AS (
    SELECT
        kind,
        path,
        count(*) AS runs_with,
        min(place) AS first_place,
        max(place) AS last_place,
        -- The runs before the first that lacks the field.
        count(*) FILTER (place = nth) + 1 AS place_without,
        sum(records)::BIGINT AS records,
        nullif(array_to_string(list_sort(list_distinct(flatten(list(types)))), ', '), '') AS types,
        min_by(first_line, place) AS first_line
    FROM placed
    GROUP BY kind, path
),
totals AS (
    SELECT kind, max(runs) AS runs FROM ordered GROUP BY kind
)
SELECT
    f.path,
    f.kind,
    CASE
        WHEN c.runs_with IS NULL THEN 'never'
        WHEN c.runs_with = t.runs THEN 'always'
        WHEN c.last_place - c.first_place + 1 > c.runs_with THEN 'comes and goes'
        WHEN c.first_place > 1 AND c.last_place < t.runs THEN 'began and stopped'
        WHEN c.first_place > 1 THEN 'began'
        ELSE 'stopped'
    END AS change,
    coalesce(c.runs_with, 0) AS runs_with,
    t.runs - coalesce(c.runs_with, 0) AS runs_without,
    c.records,
    c.types,
    p.promoted_as,
    c.first_line,
    first.label AS first_label,
    first.run_id AS first_run,
    first.ingested_at AS first_at,
    last.label AS last_label,
    last.run_id AS last_run,
    last.ingested_at AS last_at,
    without.label AS without_label,
    without.run_id AS without_run,
    without.ingested_at AS without_at
FROM fields f
JOIN totals t USING (kind)
LEFT JOIN counted c USING (kind, path)
LEFT JOIN drift_promoted p ON f.kind = 'unknown' AND f.path = p.path
LEFT JOIN ordered first ON f.kind = first.kind AND c.first_place = first.place
LEFT JOIN ordered last ON f.kind = last.kind AND c.last_place = last.place
LEFT JOIN ordered without ON f.kind = without.kind AND coalesce(c.place_without, 1) = without.place
ORDER BY f.kind DESC, f.path;
