-- counts: which columns hold a value anywhere in a file, by counting.
--
-- Grain:  one row per file and field.
-- Reads:  the columns $fields of $files; $schema: all declared columns, as read_parquet takes them.
-- Note:   a schema is faster than union_by_name, and memory does not grow with the number of files.
SELECT file, path, n > 0 AS has_value
FROM (
    UNPIVOT (
        SELECT filename AS file, count(COLUMNS(lambda name: list_contains($fields, name)))
        FROM read_parquet($files, filename = true, hive_partitioning = false, schema = $schema)
        GROUP BY filename
    )
    ON COLUMNS(* EXCLUDE file) INTO NAME path VALUE n
);
