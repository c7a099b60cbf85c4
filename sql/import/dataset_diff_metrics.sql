-- dataset_diff_metrics: how the metrics of each profile differ between two datasets, and how sure that is.
--
-- Grain:  one row per profile (trimmed, lower case) and metric that either dataset has a value for.
-- Reads:  dataset_rows, evidence_units, of the datasets a and b; macros.
-- Binds:  $level (two-sided confidence, in (0, 1)), $z (the normal quantile at (1 + level) / 2).
-- Note:   identical repeats count once, in n, means and errors alike. Means: Welch's standard error of the difference,
--         and Student's quantile for Welch's degrees of freedom rounded down (at most 2000): never too narrow for that.
--         Where each seed of a has its run in b, and the other way round, it is the standard error of the differences
--         of these pairs, with one degree of freedom less than pairs: common seeds see the same market.
--         No interval for a single value, nor where no spread is seen. The kill fraction: Newcombe's
--         hybrid of the two Wilson score intervals, which needs no spread. Runs that both datasets hold are in both
--         means: then the interval is too wide rather than too narrow.
--
-- Columns:
--   metric                | -         | metric; max_drawdown as a magnitude, kill_frac the share of killed runs
--   n_a                   | count     | independent runs of a with a value
--   n_b                   | count     | independent runs of b with a value
--   mean_a                | usd, frac | mean of a
--   mean_b                | usd, frac | mean of b
--   pairs                 | count     | pairs of runs of one seed that the error rests on; 0 where it does not
--   change                | usd, frac | mean_b - mean_a
--   std_err               | usd, frac | standard error of the change
--   low                   | usd, frac | lower end of its confidence interval
--   high                  | usd, frac | upper end of its confidence interval
--   is_clear              | -         | the interval leaves out 0: the metric did change
CREATE OR REPLACE TEMP MACRO terms(df) AS list_transform(
    range((df - df % 2) // 2),
    lambda j: CASE WHEN df % 2 = 0
        THEN exp(lgamma(j + 0.5e0) - lgamma(j + 1)) / sqrt(pi())
        ELSE exp(lgamma(j + 1) - lgamma(j + 1.5e0)) * sqrt(pi()) / 2 END
);

-- P(|t| <= sqrt(df) x tan(angle)), a finite series for whole degrees of freedom.
CREATE OR REPLACE TEMP MACRO coverage(df, c, angle) AS
    coalesce(list_sum(list_transform(c, lambda cj, j: cj * cos(angle) ** (2 * (j - 1)))), 0) * sin(angle)
    * CASE WHEN df % 2 = 1 THEN 2 / pi() * cos(angle) ELSE 1 END
    + CASE WHEN df % 2 = 1 THEN 2 / pi() * angle ELSE 0 END;

-- The angle is found digit by digit.
CREATE OR REPLACE TEMP MACRO student_t(df, c, level) AS sqrt(df) * tan(list_reduce(
    list_prepend(0e0, list_transform(range(1, 51), lambda i: pi() / 2 * 0.5e0 ** i)),
    lambda a, digit: a + CASE WHEN coverage(df, c, a + digit) <= level THEN digit ELSE 0e0 END
));

CREATE OR REPLACE TEMP MACRO wilson(p, n, z, side) AS
    (p + z * z / (2 * n) + side * z * sqrt(greatest(p * (1 - p), 0e0) / n + z * z / (4e0 * n * n))) / (1 + z * z / n);

WITH chosen AS (
    SELECT
        r.dataset, i.risk_tier AS profile,
        i.seed, r.final_pnl, abs(r.max_drawdown) AS max_drawdown, r.max_pnl, r.min_pnl, r.kill_prob AS kill_frac,
        r.frac_normal, r.frac_warning, r.frac_hard
    FROM dataset_rows r
    JOIN evidence_units i ON i.dataset = r.dataset AND i.line_no = r.line_no
),
measured AS (
    UNPIVOT chosen
    ON final_pnl, max_drawdown, max_pnl, min_pnl, kill_frac, frac_normal, frac_warning, frac_hard
    INTO NAME metric VALUE x
),
sides AS (
    SELECT
        profile, metric,
        count(*) FILTER (dataset = 'a') AS n_a,
        count(*) FILTER (dataset = 'b') AS n_b,
        mean_of(CASE WHEN dataset = 'a' THEN x END) AS mean_a,
        mean_of(CASE WHEN dataset = 'b' THEN x END) AS mean_b,
        std_of(CASE WHEN dataset = 'a' THEN x END) AS std_a,
        std_of(CASE WHEN dataset = 'b' THEN x END) AS std_b,
        -- Squared standard errors of the means.
        CASE metric WHEN 'kill_frac' THEN mean_a * (1 - mean_a) ELSE std_a ** 2 END / n_a AS v_a,
        CASE metric WHEN 'kill_frac' THEN mean_b * (1 - mean_b) ELSE std_b ** 2 END / n_b AS v_b
    FROM measured
    GROUP BY profile, metric
),
seeds AS (
    SELECT a.profile, a.metric, count(*) AS n, count(DISTINCT a.seed) AS n_seeds, std_of(b.x - a.x) AS std
    FROM measured a
    JOIN measured b ON b.profile = a.profile AND b.metric = a.metric AND b.seed = a.seed
    WHERE a.dataset = 'a' AND b.dataset = 'b' AND a.metric <> 'kill_frac'
    GROUP BY a.profile, a.metric
),
paired AS (
    SELECT
        s.*,
        coalesce(p.n, 0) AS pairs,
        CASE WHEN p.n IS NULL THEN s.v_a + s.v_b ELSE p.std ** 2 / p.n END AS v
    FROM sides s
    LEFT JOIN seeds p
        ON p.profile = s.profile AND p.metric = s.metric AND p.n = s.n_a AND p.n = s.n_b AND p.n_seeds = p.n
),
freedom AS (
    SELECT
        *,
        CASE WHEN v > 0 AND metric <> 'kill_frac' THEN
            greatest(1, least(2000, CASE WHEN pairs > 0 THEN pairs - 1 ELSE
                floor(v ** 2 / (v_a ** 2 / (n_a - 1) + v_b ** 2 / (n_b - 1)))
            END))::BIGINT
        END AS df
    FROM paired
),
quantiles AS (
    SELECT df, student_t(df, c, $level) AS t
    FROM (SELECT df, terms(df) AS c FROM (SELECT DISTINCT df FROM freedom WHERE df IS NOT NULL))
),
bounds AS (
    SELECT
        f.*,
        mean_b - mean_a AS change,
        sqrt(v) AS std_err,
        CASE metric WHEN 'kill_frac'
            THEN sqrt((mean_b - wilson(mean_b, n_b, $z, -1)) ** 2 + (wilson(mean_a, n_a, $z, 1) - mean_a) ** 2)
            ELSE t * sqrt(v) END AS below,
        CASE metric WHEN 'kill_frac'
            THEN sqrt((wilson(mean_b, n_b, $z, 1) - mean_b) ** 2 + (mean_a - wilson(mean_a, n_a, $z, -1)) ** 2)
            ELSE t * sqrt(v) END AS above
    FROM freedom f
    LEFT JOIN quantiles q ON q.df = f.df
)
SELECT
    profile, metric, n_a, n_b, mean_a, mean_b, pairs, change, std_err,
    change - below AS low,
    change + above AS high,
    change - below > 0 OR change + above < 0 AS is_clear
FROM bounds
ORDER BY
    profile NULLS LAST,
    list_position(
        ['final_pnl', 'max_drawdown', 'max_pnl', 'min_pnl', 'kill_frac', 'frac_normal', 'frac_warning', 'frac_hard'],
        metric
    );
