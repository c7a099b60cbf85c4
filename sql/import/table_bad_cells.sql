-- table_bad_cells: the cells of a CSV that do not hold what their column must hold.
--
-- Grain:  one row per bad cell, in the order of the file.
-- Reads:  csv_rows, the macros of table_macros.
-- Binds:  $checked, a list of (place, kind: number, integer, seed or flag).
WITH suspects AS (
    SELECT
        row_no,
        cells,
        list_filter(
            $checked::STRUCT(place INTEGER, kind VARCHAR)[],
            lambda c: cells[c.place] IS NOT NULL AND CASE c.kind
                WHEN 'number' THEN cell_number(cells[c.place]) IS NULL
                WHEN 'integer' THEN try_cast(cell_integer(cells[c.place]) AS BIGINT) IS NULL
                WHEN 'seed' THEN try_cast(cell_integer(cells[c.place]) AS UBIGINT) IS NULL
                ELSE cell_flag(cells[c.place]) IS NULL
            END
        ) AS found
    FROM csv_rows
)
SELECT row_no, bad.place, bad.kind, cells[bad.place] AS text
FROM (SELECT row_no, cells, unnest(found) AS bad FROM suspects)
WHERE present(cells[bad.place]) IS NOT NULL
ORDER BY row_no, bad.place;
