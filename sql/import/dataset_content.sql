-- dataset_content: the exact bytes of the lines of a dataset, newlines included.
--
-- Grain:  one row per line, in the order of the file; all of them put together are the file.
-- Reads:  dataset_rows.
-- Binds:  $dataset.
SELECT coalesce(raw, encode(line)) || CASE WHEN is_terminated THEN '\x0A'::BLOB ELSE ''::BLOB END AS content
FROM dataset_rows
WHERE dataset = $dataset
ORDER BY line_no;
