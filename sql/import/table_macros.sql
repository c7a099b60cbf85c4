-- table_macros: how the cells of a CSV are read, and what makes two rows the same row, for the other table_ files and
-- summary_rows.
--
-- Grain:  none; temporary macros.
-- Reads:  nothing.
-- Note:   cells come without white space around them; an empty one and the words nan, none and null are no value. Numbers are decimal and finite; what is not
--         read here is a bad cell, see table_bad_cells.sql. A value is known by what it is, not by how it is written:
--         1.50 is 1.5, 1E-5 is 0.00001, and a column that once held whole numbers may hold floats today.
CREATE OR REPLACE TEMP MACRO trimmed(text) AS trim(text, concat(' ', chr(9), chr(10), chr(13), chr(160)));

CREATE OR REPLACE TEMP MACRO present(text) AS CASE WHEN lower(text) NOT IN ('', 'nan', 'none', 'null') THEN text END;

-- DuckDB alone would take 1_000 for a number. Zero has no sign.
CREATE OR REPLACE TEMP MACRO any_number(text) AS
    try_cast(regexp_extract(text, '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$') AS DOUBLE) + 0e0;

CREATE OR REPLACE TEMP MACRO cell_number(text) AS CASE WHEN isfinite(any_number(text)) THEN any_number(text) END;

-- Of 128 bits: seeds are unsigned and may exceed 63. A whole number may be written as a float, as far as floats are
-- exact: beyond that it may be another one by now.
CREATE OR REPLACE TEMP MACRO cell_integer(text) AS coalesce(
    try_cast(regexp_extract(text, '^[+-]?[0-9]+$') AS HUGEINT),
    CASE
        WHEN abs(any_number(text)) < 9007199254740992 AND any_number(text) = floor(any_number(text))
            THEN any_number(text)::HUGEINT
    END
);

CREATE OR REPLACE TEMP MACRO cell_flag(text) AS
    CASE coalesce(any_number(text)::VARCHAR, lower(text))
        WHEN '1.0' THEN true WHEN 'true' THEN true WHEN 'yes' THEN true
        WHEN '0.0' THEN false WHEN 'false' THEN false WHEN 'no' THEN false
    END;

-- The same text for every way to write a number: digits when it is whole, else the shortest float.
CREATE OR REPLACE TEMP MACRO canonical_number(text) AS coalesce(
    cell_integer(text)::VARCHAR,
    CASE WHEN any_number(text) = floor(any_number(text)) THEN try_cast(any_number(text) AS HUGEINT)::VARCHAR END,
    cell_number(text)::VARCHAR
);

-- A cell as a JSON value. kind: what its column must hold (number, integer, seed or flag), null for any other column:
-- there 007 and words stay texts.
CREATE OR REPLACE TEMP MACRO json_of(text, kind) AS
    CASE
        WHEN lower(text) = 'nan' THEN NULL
        WHEN kind = 'number' THEN cell_number(text)::VARCHAR
        WHEN kind = 'flag' THEN cell_flag(text)::VARCHAR
        WHEN kind IS NOT NULL THEN cell_integer(text)::VARCHAR
        WHEN lower(text) IN ('true', 'false') THEN lower(text)
        ELSE coalesce(
            CASE WHEN NOT regexp_matches(text, '^[+-]?0[0-9]') THEN canonical_number(text) END, to_json(text)::VARCHAR
        )
    END;

-- A cell as a JSON value, as it is written.
CREATE OR REPLACE TEMP MACRO json_as_written(text) AS
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

-- What a label says, by whatever program and version it was written: names and values, sorted.
-- called: name of a column, lower case -> the name it has here.
CREATE OR REPLACE TEMP MACRO members_of(label_json, called) AS list_sort(list_filter(
    list_transform(
        map_entries(from_json(label_json, '"MAP(VARCHAR, VARCHAR)"')),
        lambda e: {
            'name': coalesce(map_extract_value(CAST(called AS MAP(VARCHAR, VARCHAR)), lower(e.key)), lower(e.key)),
            'value': coalesce(
                canonical_number(e.value),
                CASE lower(e.value) WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE present(e.value) END
            )
        }
    ),
    lambda m: m.value IS NOT NULL
));

-- What came of a run r (a row of runs), as numbers and as words; null where it is not known.
CREATE OR REPLACE TEMP MACRO measures_of(r) AS [
    r.stdout_pnl_total, r.final_pnl, r.stdout_pnl_realised, r.stdout_pnl_unrealised, r.max_pnl, r.min_pnl,
    r.max_drawdown, r.frac_normal, r.frac_warning, r.frac_hard, r.delta_final_usd, r.basis_final_usd,
    r.num_ticks::DOUBLE, r.max_drawdown_time::DOUBLE, r.kill_tick::DOUBLE, r.returncode::DOUBLE,
    coalesce(r.stdout_kill_switch, r.kill_switch)::INTEGER::DOUBLE
];

CREATE OR REPLACE TEMP MACRO words_of(r) AS [
    r.stdout_kill_reason, coalesce(r.stdout_risk_regime, r.final_regime)
];

-- Other tools do not parse exactly: a relative 1e-9 is the same number.
CREATE OR REPLACE TEMP MACRO alike(a, b) AS abs(a - b) <= 1e-9 * greatest(abs(a), abs(b));

-- Measures and words of the same run: one of the final PnLs is common to both, or neither has any, and none contradicts.
CREATE OR REPLACE TEMP MACRO agree(measures, words, other_measures, other_words) AS
    (
        alike(measures[1], other_measures[1]) IS NOT NULL
        OR alike(measures[2], other_measures[2]) IS NOT NULL
        OR coalesce(measures[1], measures[2], other_measures[1], other_measures[2]) IS NULL
    )
    AND len(list_filter(list_zip(measures, other_measures), lambda z: NOT coalesce(alike(z[1], z[2]), true))) = 0
    AND len(list_filter(list_zip(words, other_words), lambda z: coalesce(z[1] <> z[2], false))) = 0;

-- Whether something is known in the second that is not in the first.
CREATE OR REPLACE TEMP MACRO lacks(measures, words, other_measures, other_words) AS
    len(list_filter(list_zip(measures, other_measures), lambda z: z[1] IS NULL AND z[2] IS NOT NULL)) > 0
    OR len(list_filter(list_zip(words, other_words), lambda z: z[1] IS NULL AND z[2] IS NOT NULL)) > 0;

-- The name of a telemetry file without folders and endings; paths may be those of another machine.
CREATE OR REPLACE TEMP MACRO file_stem(path) AS
    regexp_replace(regexp_extract(path, '[^/\\]+$'), '(?i)([.](jsonl|ndjson))?([.](gz|zst))?$', '');

-- Whether a file lies in the folder of a table, or below it.
CREATE OR REPLACE TEMP MACRO is_below(path, table_path) AS
    CASE
        WHEN contains(table_path, '/') THEN starts_with(path, regexp_replace(table_path, '[^/]*$', ''))
        ELSE NOT starts_with(path, '/')
    END;
