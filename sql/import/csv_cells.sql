-- csv_cells: the cells of a CSV file as texts, in the order of the file; an empty cell is null.
--
-- Grain:  one row per record below the header.
-- Reads:  $file, a path with the characters of globs escaped.
-- Binds:  $file, $columns (name -> 'VARCHAR', one for each column of the header).
-- Note:   nothing is guessed, from the path neither: a record with more or fewer cells than the header is an error that names its line.
SELECT *
FROM read_csv(
    $file,
    columns = $columns,
    auto_detect = false,
    compression = 'none',
    hive_partitioning = false,
    header = true,
    delim = ',',
    quote = '"',
    escape = '"',
    strict_mode = true
);
