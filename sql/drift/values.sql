-- values: the values of an undeclared field, as the ticks hold them in extra.
--
-- Grain:  one row per value; nulls are left out.
-- Reads:  the files of ticks $files; $field: a path, list positions removed;
--         $key: its own key, where several share the path, or null.
SELECT run_id, t, entry.key AS key, entry.value::VARCHAR AS text, json_type(entry.value) AS type
FROM (
    SELECT run_id, t, unnest(map_entries(extra::JSON::MAP(VARCHAR, JSON))) AS entry
    FROM read_parquet($files, hive_partitioning = false)
    WHERE extra IS NOT NULL
)
WHERE
    regexp_replace(entry.key, '\[[^\[\]]*\]', '[]', 'g') = $field
    AND json_type(entry.value) <> 'NULL'
    AND ($key IS NULL OR entry.key = $key);
