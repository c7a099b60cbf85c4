-- evidence_units: what counts as one in the evidence: a seed under one configuration.
--
-- Grain:  one row per unit of a tier in a dataset: the lines that tell of one seed under one configuration, or, where no
--         seed is named, of one content.
-- Reads:  dataset_rows, its runs.
-- Note:   a whole run counts more than one that is cut off. Whole runs of one seed that differ leave the value between
--         the two. A seed that stands in several orders is of the one that came first. Seeds that were not drawn, but
--         give the same content, are one unit: an engine may tell fewer seeds apart than there are numbers. Content is
--         the evidence_id, else PnL at the end, at its highest and lowest, drawdown, ticks and kill; a line that names
--         no evidence_id is a copy of one that does by these numbers. A row that names no configuration has one of
--         cfg_hash, engine and length: ticks asked for, else those of the runs that were not killed.
--
-- Columns:
--   dataset               | -         | name of the dataset
--   risk_tier             | -         | tier: the profile without white space around it, in lower case
--   config                | -         | configuration: equal for runs that may be pooled
--   line_no               | -         | first line that tells of the unit
--   last_line_no          | -         | last one
--   copies                | count     | lines that tell of it
--   ticks                 | ticks     | ticks asked for; null when nobody knows
--   seed                  | -         | seed; null when none is named
--   seed_origin           | -         | drawn, listed, none; null when nobody knows
--   seed_key              | -         | names the random order that the seed was drawn from
--   seed_index            | -         | its place there, from 1
--   seed_space            | count     | seeds that the engine tells apart
--   seed_first            | -         | the place at which the sweep began to draw
--   order_line_no         | -         | first line of the configuration that was drawn from the same order; null: not drawn
--   engine                | -         | reference for the embedded engine; anything else, or null, is a real one
--   kill_low              | frac      | kill probability at least: 0 or 1; null when nobody knows
--   kill_high             | frac      | and at most
--   pnl_low               | usd       | final PnL at least; null when nobody knows
--   pnl_high              | usd       | and at most
--   dd_low                | usd       | drawdown as a magnitude, at least; of a run that is cut off, what it shows
--   dd_high               | usd       | and at most; null when nobody knows
CREATE OR REPLACE VIEW evidence_units AS
WITH runs_of_tiers AS (
    SELECT
        dataset, line_no,
        lower(trim(BOTH ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160) FROM profile)) AS risk_tier,
        config, coalesce(cfg_hash, '') || '/' || coalesce(engine, '') AS setting,
        coalesce(ticks_requested, CASE WHEN config IS NULL AND kill_prob = 0 THEN num_ticks END) AS ticks,
        seed, seed_origin, seed_key, seed_index, seed_space, seed_first, engine, evidence_id,
        NOT coalesce(truncated, false) AS is_whole, num_ticks,
        seed_origin = 'drawn' AND seed IS NOT NULL AND seed_key IS NOT NULL AND seed_index IS NOT NULL
        AND seed_space IS NOT NULL AS is_drawn,
        final_pnl, max_pnl, min_pnl, abs(max_drawdown) AS drawdown, kill_prob
    FROM dataset_rows
    WHERE is_run
),
configured AS (
    SELECT
        *,
        -- A killed run does not say how long it was to be: as long as the others.
        coalesce(config, substr(md5(setting || '/' || coalesce(
            CAST(coalesce(ticks, max(ticks) OVER (PARTITION BY dataset, risk_tier, setting)) AS VARCHAR(20)), ''
        )), 1, 12)) AS config_id,
        coalesce(evidence_id, min(evidence_id) OVER same_numbers,
                 'line ' || CAST(min(line_no) OVER same_numbers AS VARCHAR(20))) AS content
    FROM runs_of_tiers
    WINDOW same_numbers AS (
        PARTITION BY dataset, risk_tier, final_pnl, max_pnl, min_pnl, drawdown, num_ticks, kill_prob
    )
),
-- What is known of a run: both ends of it, a null where nothing is.
known AS (
    SELECT
        dataset, line_no, risk_tier, config_id, ticks, seed, seed_origin, seed_key, seed_index, seed_space, seed_first,
        engine, is_whole, content,
        CASE WHEN seed IS NULL THEN content ELSE 'seed ' || CAST(seed AS VARCHAR(20)) END AS told_by,
        CASE WHEN kill_prob > 0 AND kill_prob < 1 THEN 0e0 ELSE kill_prob END AS kill_low,
        CASE WHEN kill_prob > 0 AND kill_prob < 1 THEN 1e0 ELSE kill_prob END AS kill_high,
        CASE WHEN is_whole THEN final_pnl END AS pnl, CASE WHEN is_whole THEN drawdown END AS dd, drawdown AS dd_shown,
        CASE WHEN is_drawn THEN min(line_no) OVER same_order END AS order_line_no
    FROM configured
    WINDOW same_order AS (
        PARTITION BY dataset, risk_tier, config_id, is_drawn, seed_key, seed_space
    )
),
of_seeds AS (
    SELECT
        dataset, risk_tier, config_id, ticks, seed, seed_origin, seed_key, seed_index, seed_space, seed_first,
        order_line_no, engine, content,
        row_number() OVER (
            PARTITION BY dataset, risk_tier, config_id, told_by
            ORDER BY order_line_no IS NULL, order_line_no, is_whole DESC, line_no DESC
        ) AS nth,
        min(line_no) OVER same_seed AS line_no, max(line_no) OVER same_seed AS last_line_no,
        count(*) OVER same_seed AS copies,
        min(kill_low) OVER same_seed AS kill_low, max(kill_high) OVER same_seed AS kill_high,
        min(pnl) OVER same_seed AS pnl_low, max(pnl) OVER same_seed AS pnl_high,
        coalesce(min(dd) OVER same_seed, max(dd_shown) OVER same_seed) AS dd_low, max(dd) OVER same_seed AS dd_high
    FROM known
    WINDOW same_seed AS (PARTITION BY dataset, risk_tier, config_id, told_by)
),
units AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY dataset, risk_tier, config_id, drawn_seed, other_content ORDER BY line_no
        ) AS nth_of_content,
        min(line_no) OVER same_content AS first_line, max(last_line_no) OVER same_content AS last_line,
        CAST(sum(copies) OVER same_content AS BIGINT) AS lines_of_unit
    FROM (
        SELECT
            *,
            CASE WHEN seed_origin = 'drawn' THEN seed END AS drawn_seed,
            CASE WHEN seed_origin = 'drawn' THEN NULL ELSE content END AS other_content
        FROM of_seeds
        WHERE nth = 1
    ) AS represented
    WINDOW same_content AS (PARTITION BY dataset, risk_tier, config_id, drawn_seed, other_content)
)
SELECT
    dataset, risk_tier, config_id AS config, first_line AS line_no, last_line AS last_line_no, lines_of_unit AS copies,
    ticks, seed, seed_origin, seed_key, seed_index, seed_space, seed_first, order_line_no, engine,
    kill_low, kill_high, pnl_low, pnl_high, dd_low, dd_high
FROM units
WHERE nth_of_content = 1
ORDER BY dataset, line_no;
