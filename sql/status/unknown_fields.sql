-- unknown_fields: fields that the telemetry record does not declare, kept in ticks.extra.
--
-- Grain:  one row per path of a field (list positions removed).
-- Reads:  runs.
-- Units:  records counts ticks that hold the field; first_line is where it stands in the file of first_run.
SELECT
    seen.key AS path,
    count(*) AS runs,
    sum(seen.value.count)::BIGINT AS records,
    array_to_string(list_sort(list_distinct(flatten(list(seen.value.types)))), ', ') AS types,
    min_by(run_id, (ingested_at, run_id)) AS first_run,
    min_by(seen.value.first_line, (ingested_at, run_id)) AS first_line
FROM (
    SELECT
        run_id,
        ingested_at,
        unnest(
            map_entries(
                unknown_fields::JSON::MAP(VARCHAR, STRUCT(first_line BIGINT, "count" BIGINT, types VARCHAR[]))
            )
        ) AS seen
    FROM runs
    WHERE unknown_fields IS NOT NULL
)
GROUP BY seen.key
ORDER BY path;
