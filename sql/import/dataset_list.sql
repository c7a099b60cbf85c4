-- dataset_list: what each dataset holds, and whether it may be appended to.
--
-- Grain:  one row per dataset, versions first, by number.
-- Reads:  dataset_files (dataset, version, file, bytes, state), listed_lines (dataset_rows and the lines not yet
--         taken in), both made by the caller.
-- Note:   a missing file counts with the bytes that the warehouse holds of it.
--
-- Columns:
--   dataset               | -         | name of the dataset: its file without the ending
--   version               | -         | number of the version; null for files of other names
--   file                  | -         | dataset file, relative to ROOT when below it
--   state                 | -         | open, superseded by a newer version, sealed, missing, changed: line N, or name taken
--   lines                 | count     | lines, whatever they hold
--   runs                  | count     | lines that are runs
--   bytes                 | bytes     | size of the file
--   newest_row            | -         | latest timestamp of a row
--   profiles              | -         | runs by profile
--   engines               | -         | runs by engine; unknown where the row names none
WITH mixed AS (
    SELECT dataset, 'profile' AS kind, coalesce(profile, 'unknown') AS value, count(*) AS runs
    FROM listed_lines
    WHERE is_run
    GROUP BY ALL
    UNION ALL
    SELECT dataset, 'engine', coalesce(engine, 'unknown'), count(*)
    FROM listed_lines
    WHERE is_run
    GROUP BY ALL
),
mixes AS (
    SELECT
        dataset,
        string_agg(value || ' ' || runs, ', ' ORDER BY value) FILTER (kind = 'profile') AS profiles,
        string_agg(value || ' ' || runs, ', ' ORDER BY value) FILTER (kind = 'engine') AS engines
    FROM mixed
    GROUP BY dataset
),
held AS (
    SELECT
        dataset,
        count(*) AS lines,
        count(*) FILTER (is_run) AS runs,
        max(byte_offset + bytes + CASE WHEN is_terminated THEN 1 ELSE 0 END) AS bytes,
        max(TRY_CAST(timestamp_utc AS TIMESTAMPTZ)) AS newest_row
    FROM listed_lines
    GROUP BY dataset
)
SELECT
    f.dataset,
    f.version,
    f.file,
    f.state,
    coalesce(h.lines, 0) AS lines,
    coalesce(h.runs, 0) AS runs,
    coalesce(f.bytes, h.bytes) AS bytes,
    h.newest_row,
    m.profiles,
    m.engines
FROM dataset_files f
LEFT JOIN held h ON h.dataset = f.dataset
LEFT JOIN mixes m ON m.dataset = f.dataset
ORDER BY f.version NULLS LAST, f.dataset, f.file;
