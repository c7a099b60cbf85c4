-- dataset_lines: the lines of a research dataset file, read as run rows.
--
-- Grain:  one row per line, whatever it holds.
-- Reads:  dataset_text (line_no, byte_offset, bytes, line, raw, is_terminated, prefix_sha256), registered by the
--         caller.
-- Binds:  $candidates (column -> the names it goes by, lower case, best first), $dataset_path.
-- Note:   per row and column the first candidate that is present and holds a usable value counts; names match in
--         any case. Numbers may stand as text; NaN and infinities are null, but for an infinite drawdown: a fall between
--         finite numbers may be beyond the largest double, and counts as that. A line that is not one JSON object with
--         unlike keys (DuckDB's parser alone would let trailing commas pass) is kept, but is no run.
CREATE OR REPLACE TEMP MACRO cell(names, texts, name) AS texts[list_position(names, name)];

-- An id of nothing but white space names nothing: two of them are not the same run.
CREATE OR REPLACE TEMP MACRO id_of(text) AS nullif(trim(text, E' \t\n\r'), '');

CREATE OR REPLACE TEMP MACRO number_of(text) AS
    CASE WHEN isfinite(try_cast(trim(text) AS DOUBLE)) THEN try_cast(trim(text) AS DOUBLE) END;

CREATE OR REPLACE TEMP MACRO drawdown_of(text) AS
    CASE try_cast(trim(text) AS DOUBLE)
        WHEN 'inf' THEN 1.7976931348623157e308
        WHEN '-inf' THEN -1.7976931348623157e308
        ELSE number_of(text)
    END;

CREATE OR REPLACE TEMP MACRO kill_of(text) AS
    CASE
        WHEN lower(trim(text)) IN ('true', 'yes') THEN 1e0
        WHEN lower(trim(text)) IN ('false', 'no') THEN 0e0
        WHEN number_of(text) BETWEEN 0 AND 1 THEN number_of(text)
    END;

-- A whole number may stand as a float, as far as floats are exact: beyond that it may be another one by now.
CREATE OR REPLACE TEMP MACRO whole_of(text) AS coalesce(
    try_cast(regexp_extract(text, '^[0-9]+$') AS UBIGINT),
    CASE WHEN number_of(text) BETWEEN 0 AND 9007199254740991 AND number_of(text) = floor(number_of(text))
        THEN number_of(text)::UBIGINT END
);

CREATE OR REPLACE TEMP MACRO first_usable(options) AS list_filter(options, lambda o: o IS NOT NULL)[1];

CREATE OR REPLACE TEMP TABLE dataset_lines AS
WITH checked AS (
    SELECT
        *,
        -- The costly look past the texts only where a text or a comma could be to blame.
        CASE
            WHEN regexp_matches(line, ',\s*[\]}]')
                THEN regexp_matches(regexp_replace(line, '"(\\.|[^"\\])*"', '', 'g'), ',\s*[\]}]')
            ELSE false
        END AS has_trailing_comma
    FROM dataset_text
),
objects AS (
    SELECT
        line_no, byte_offset, bytes, line, raw, is_terminated, prefix_sha256,
        CASE WHEN json_valid(line) AND NOT has_trailing_comma THEN from_json(line, '"MAP(VARCHAR, VARCHAR)"') END AS object
    FROM checked
),
cells AS (
    SELECT
        line_no, byte_offset, bytes, line, raw, is_terminated, prefix_sha256,
        coalesce(list_transform(map_keys(object), lambda k: lower(k)), []) AS names,
        coalesce(map_values(object), []) AS texts
    FROM objects
)
SELECT
    line_no,
    byte_offset,
    bytes,
    line,
    raw,
    is_terminated,
    prefix_sha256,
    $dataset_path::VARCHAR AS dataset_path,
    regexp_full_match(line, '\s*') AS is_blank,
    list_has_any(names, $candidates.final_pnl) AND list_has_any(names, $candidates.max_drawdown) AS is_run,
    list_has_all(names, ['final_pnl', 'max_drawdown', 'num_ticks']) AS is_complete,
    cell(names, texts, 'timestamp_utc') AS timestamp_utc,
    cell(names, texts, 'label') AS label,
    first_usable(list_transform($candidates.profile, lambda n: cell(names, texts, n))) AS profile,
    cell(names, texts, 'telemetry_path') AS telemetry_path,
    cell(names, texts, 'notes') AS notes,
    try_cast(number_of(cell(names, texts, 'num_ticks')) AS BIGINT) AS num_ticks,
    first_usable(list_transform($candidates.final_pnl, lambda n: number_of(cell(names, texts, n)))) AS final_pnl,
    number_of(cell(names, texts, 'max_pnl')) AS max_pnl,
    number_of(cell(names, texts, 'min_pnl')) AS min_pnl,
    first_usable(list_transform($candidates.max_drawdown, lambda n: drawdown_of(cell(names, texts, n)))) AS max_drawdown,
    number_of(cell(names, texts, 'frac_normal')) AS frac_normal,
    number_of(cell(names, texts, 'frac_warning')) AS frac_warning,
    number_of(cell(names, texts, 'frac_hard')) AS frac_hard,
    first_usable(list_transform($candidates.kill_prob, lambda n: kill_of(cell(names, texts, n)))) AS kill_prob,
    id_of(cell(names, texts, 'run_id')) AS run_id,
    cell(names, texts, 'experiment') AS experiment,
    cell(names, texts, 'engine') AS engine,
    id_of(cell(names, texts, 'evidence_id')) AS evidence_id,
    try_cast(whole_of(cell(names, texts, 'seed')) AS UBIGINT) AS seed,
    id_of(cell(names, texts, 'cfg_hash')) AS cfg_hash,
    kill_of(cell(names, texts, 'truncated')) > 0 AS truncated,
    try_cast(whole_of(cell(names, texts, 'ticks_requested')) AS BIGINT) AS ticks_requested,
    id_of(cell(names, texts, 'config')) AS config,
    CASE
        WHEN cell(names, texts, 'seed_origin') IN ('drawn', 'listed', 'none') THEN cell(names, texts, 'seed_origin')
    END AS seed_origin,
    cell(names, texts, 'seed_key') AS seed_key,
    try_cast(whole_of(cell(names, texts, 'seed_index')) AS BIGINT) AS seed_index,
    try_cast(whole_of(cell(names, texts, 'seed_space')) AS BIGINT) AS seed_space,
    try_cast(whole_of(cell(names, texts, 'seed_first')) AS BIGINT) AS seed_first,
    NULL::VARCHAR AS evidence_json
FROM cells;
