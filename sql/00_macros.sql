-- macros: sums, means and standard deviations that depend on the values alone, not on the order they come in; instants
--         as the texts of the contracts.
--
-- Grain:  none; macros that the views use. Run this file before them.
-- Reads:  nothing.
-- Note:   floating-point addition rounds, so sums of it change with threads, files and batches. Here the values are
--         counted in whole steps, 2^-96 of the largest magnitude or finer, as integers of 128 bits, and summed exactly.
--         One rounding is left, at the end. On the way to a mean or a standard deviation nothing overflows. Nulls do
--         not count; a value that is not finite gives what sum and avg give, and NaN as the standard deviation.
--         avg will do for shares: sums of 0e0 and 1e0 are exact. Lists and lambdas: DuckDB (1.3 or newer).

-- Steps in a unit: a power of 2, so that the scaling is exact.
CREATE OR REPLACE MACRO steps_per_unit(largest) AS 2e0 ** least(96 - floor(log2(greatest(largest, 1e-300))), 1023);

-- The double next to total / n; the remainder is exact.
CREATE OR REPLACE MACRO rounded_quotient(total, n) AS list_transform(
    list_transform([total], lambda t: {'total': t, 'n': n, 'whole': CAST(CAST(t AS DOUBLE) / n AS HUGEINT)}),
    lambda q: CAST(q.whole AS DOUBLE) + CAST(q.total - q.n * q.whole AS DOUBLE) / q.n
)[1];

-- The sum of a list over n. A list of one element names what would else be computed for every term.
CREATE OR REPLACE MACRO quotient_of_list(terms, n, largest) AS list_transform(
    [steps_per_unit(largest)],
    lambda steps:
        rounded_quotient(list_sum(list_transform(terms, lambda term: CAST(term * steps AS HUGEINT))), n) / steps
)[1];

-- The sample standard deviation of a list, from halves and scaled, lest a deviation or its square overflow.
CREATE OR REPLACE MACRO spread_of_list(terms, smallest, mean, largest, n) AS list_transform(
    list_transform(
        [mean / 2],
        lambda m: {'mean': m, 'scale': steps_per_unit(greatest(m - smallest / 2, largest / 2 - m)) / 2e0 ** 96}
    ),
    lambda q: 2 / q.scale * sqrt(quotient_of_list(
        list_transform(terms, lambda term: ((term / 2 - q.mean) * q.scale) ** 2), n - 1, 4
    ))
)[1];

CREATE OR REPLACE MACRO sum_of(x) AS
    CASE WHEN isfinite(max(abs(x))) THEN quotient_of_list(list(x), 1, max(abs(x))) ELSE sum(x) END;

CREATE OR REPLACE MACRO mean_of(x) AS
    CASE WHEN isfinite(max(abs(x))) THEN quotient_of_list(list(x), count(x), max(abs(x))) ELSE avg(x) END;

CREATE OR REPLACE MACRO std_of(x) AS CASE
    WHEN count(x) < 2 THEN NULL
    WHEN NOT isfinite(max(abs(x))) THEN CAST('nan' AS DOUBLE)
    WHEN min(x) = max(x) THEN 0e0
    ELSE spread_of_list(list(x), min(x), mean_of(x), max(x), count(x))
END;

-- An instant in ISO 8601, UTC, with microseconds unless they are 0. Casts would depend on the time zone of the session.
CREATE OR REPLACE MACRO utc_text(instant) AS CASE
    WHEN epoch_us(instant) % 1000000 = 0 THEN strftime(make_timestamp(epoch_us(instant)), '%Y-%m-%dT%H:%M:%S+00:00')
    ELSE strftime(make_timestamp(epoch_us(instant)), '%Y-%m-%dT%H:%M:%S.%f+00:00')
END;

-- A value of a JSON text as text, as Spark calls it: `get_json_object(text, '$[0].name')`.
CREATE OR REPLACE MACRO get_json_object(json_text, path) AS json_extract_string(json_text, path);

-- What runs that may be pooled share, hashed. As a JSON array parts stay apart, and null is another thing than empty.
CREATE OR REPLACE MACRO config_of(profile, cfg_hash, knobs_json, engine, engine_version, engine_sha256, ticks) AS substr(
    sha256(CAST(to_json([
        profile, coalesce(cfg_hash, knobs_json), engine, engine_version, engine_sha256, CAST(ticks AS VARCHAR)
    ]) AS VARCHAR)), 1, 12
);
