-- dataset_change: the first line of a dataset file that is not what the warehouse holds of it.
--
-- Grain:  one row; null when every line held still stands in the file.
-- Reads:  dataset_rows; dataset_text (line_no, line, raw), the lines of the file, registered by the caller.
-- Binds:  $dataset.
SELECT min(held.line_no) AS line_no
FROM dataset_rows held
LEFT JOIN dataset_text found ON found.line_no = held.line_no
WHERE held.dataset = $dataset
    AND (found.line IS DISTINCT FROM held.line OR found.raw IS DISTINCT FROM held.raw);
