-- put_aside: what quarantine files hold.
--
-- Grain:  one row per quarantine file; run_id is its name, the source id of a file of Monte Carlo runs.
-- Reads:  the files $files; a line that is no entry counts as an entry that cannot be read.
-- Units:  bytes of the lines as they are kept, line ends included.
SELECT
    parse_filename(filename, true) AS run_id,
    count(*) AS entries,
    count(*) FILTER (line IS NOT NULL AND (raw IS NOT NULL OR raw_base64 IS NOT NULL)) AS readable,
    sum(coalesce(strlen(raw), octet_length(try(from_base64(raw_base64))), 0) + 1)::BIGINT
        - count(*) FILTER (starts_with(reasons[1].reason, 'cut off at the end of the file')) AS bytes,
    min(line) AS first_line,
    arg_min(concat_ws(': ', nullif(reasons[1].field, ''), reasons[1].reason), line) AS first_reason,
    coalesce(bool_or(starts_with(reasons[1].reason, 'cut off at the end of the file')), false) AS cut_off
FROM read_json(
    $files,
    format = 'newline_delimited',
    auto_detect = false,
    records = 'true',
    compression = 'uncompressed',
    hive_partitioning = false,
    ignore_errors = true,
    filename = true,
    maximum_object_size = $longest,
    columns = {
        line: 'BIGINT',
        reasons: 'STRUCT(field VARCHAR, reason VARCHAR)[]',
        raw: 'VARCHAR',
        raw_base64: 'VARCHAR'
    }
)
GROUP BY filename;
