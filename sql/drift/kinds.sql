-- kinds: what the values of a field are.
--
-- Grain:  one row.
-- Reads:  drift_field_values.
-- Units:  counts of values; keys: the first keys of extra that hold one, sorted.
SELECT
    count(*) AS "values",
    count(DISTINCT run_id) AS runs,
    count(*) FILTER (type IN ('BIGINT', 'UBIGINT')) AS integers,
    count(*) FILTER (type IN ('BIGINT', 'UBIGINT') AND TRY_CAST(text AS BIGINT) IS NULL) AS long_integers,
    count(*) FILTER (type = 'DOUBLE') AS numbers,
    count(*) FILTER (type = 'BOOLEAN') AS booleans,
    count(*) FILTER (type = 'VARCHAR') AS strings,
    list_sort(list(DISTINCT key))[:6] AS keys
FROM drift_field_values;
