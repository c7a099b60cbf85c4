-- lines: the lines of one run that were put aside.
--
-- Grain:  one row per line, in the order of the file it came from.
-- Reads:  the quarantine file $file; entries that cannot be read are left out.
-- Note:   raw is the line without its end, and without zero bytes behind a cut-off last one; raw_base64 has it when it is no UTF-8. start is what a table shows of it,
--         size its bytes. field and reason tell of the first breach, reasons of all.
SELECT
    file,
    line,
    "offset",
    reasons[1].field AS field,
    reasons[1].reason
        || CASE WHEN len(reasons) > 1 THEN ' (and ' || (len(reasons) - 1) || ' more)' ELSE '' END AS reason,
    reasons,
    raw,
    raw_base64,
    -- 80 characters of base64 are 60 bytes; shown as text, a quote among them is written as \x22.
    coalesce(left(raw, 60), replace(try(from_base64(left(raw_base64, 80)))::VARCHAR, '\x22', '"')) AS start,
    coalesce(strlen(raw), octet_length(try(from_base64(raw_base64)))) AS size
FROM read_json(
    $file,
    format = 'newline_delimited',
    auto_detect = false,
    records = 'true',
    compression = 'uncompressed',
    hive_partitioning = false,
    ignore_errors = true,
    maximum_object_size = $longest,
    columns = {
        file: 'VARCHAR',
        line: 'BIGINT',
        "offset": 'BIGINT',
        reasons: 'STRUCT(field VARCHAR, reason VARCHAR)[]',
        raw: 'VARCHAR',
        raw_base64: 'VARCHAR'
    }
)
WHERE line IS NOT NULL AND (raw IS NOT NULL OR raw_base64 IS NOT NULL);
