-- footers: which columns hold a value anywhere in a file, as far as the footers of the files tell.
--
-- Grain:  one row per file and declared top-level field.
-- Reads:  the footers of $files; $fields: the declared fields.
-- Note:   has_value is null where they do not tell: an empty list, a list of nulls and no list at all are alike.
SELECT
    file_name AS file,
    split_part(path_in_schema, ', ', 1) AS path,
    CASE
        WHEN coalesce(sum(num_values - stats_null_count), 0) > 0 THEN true
        WHEN bool_or(contains(path_in_schema, ', ') OR stats_null_count IS NULL) THEN NULL
        ELSE false
    END AS has_value
FROM parquet_metadata($files)
WHERE list_contains($fields, split_part(path_in_schema, ', ', 1))
GROUP BY ALL;
