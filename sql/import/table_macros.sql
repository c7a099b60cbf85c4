-- table_macros: how the cells of a CSV are read, for the other table_ files and summary_rows.
--
-- Grain:  none; temporary macros.
-- Reads:  nothing.
-- Note:   an empty cell and the words nan, none and null are no value. Numbers are decimal and finite; what is not
--         read here is a bad cell, see table_bad_cells.sql.
CREATE OR REPLACE TEMP MACRO present(text) AS
    CASE WHEN lower(trim(text)) NOT IN ('', 'nan', 'none', 'null') THEN trim(text) END;

-- DuckDB alone would take 1_000 for a number.
CREATE OR REPLACE TEMP MACRO cell_number(text) AS
    CASE WHEN isfinite(try_cast(text AS DOUBLE)) AND NOT contains(text, '_') THEN try_cast(text AS DOUBLE) END;

-- Of 128 bits: seeds are unsigned and may exceed 63. A whole number may end in .0.
CREATE OR REPLACE TEMP MACRO cell_integer(text) AS
    CASE
        WHEN cell_number(text) = floor(cell_number(text)) AND NOT contains(lower(text), 'e')
            THEN try_cast(split_part(text, '.', 1) AS HUGEINT)
    END;

CREATE OR REPLACE TEMP MACRO cell_flag(text) AS
    CASE
        WHEN lower(present(text)) IN ('true', 'yes', '1', '1.0') THEN true
        WHEN lower(present(text)) IN ('false', 'no', '0', '0.0') THEN false
    END;

-- A cell as a JSON value: numbers as they are written, so that equal tables give equal texts.
CREATE OR REPLACE TEMP MACRO json_of(text) AS
    CASE
        WHEN text IS NULL THEN NULL
        -- What starts like a number, ends like one and is JSON, is a number.
        WHEN left(text, 1) BETWEEN '-' AND '9' AND right(text, 1) BETWEEN '0' AND '9' AND json_valid(text) THEN text
        WHEN text IN ('True', 'true') THEN 'true'
        WHEN text IN ('False', 'false') THEN 'false'
        ELSE to_json(text)::VARCHAR
    END;

-- A JSON object of those members (key: JSON text, place in a list of JSON texts) that have a value.
-- Give it columns: an expression would be computed anew for every member.
CREATE OR REPLACE TEMP MACRO object_of(members, json) AS
    '{' || coalesce(
        array_to_string(
            -- Nulls are left out.
            list_transform(
                members::STRUCT("key" VARCHAR, place INTEGER)[], lambda m: m."key" || ':' || json[m.place]
            ),
            ','
        ),
        ''
    ) || '}';

-- The identity of parts that must stay apart, as ledger.py makes it.
CREATE OR REPLACE TEMP MACRO digest(parts) AS substr(sha256(to_json(parts)::VARCHAR), 1, 32);
