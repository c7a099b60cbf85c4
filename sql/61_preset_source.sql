-- preset_source: the candidates for presets, each setting of the sweep with what its runs say together.
--
-- Grain:  one row per initial inventory, loss limit, hedge band, size penalty, reference volatility and delta limit.
-- Reads:  preset_runs, macros.
-- Note:   the columns between the first and the last are a contract: exp07_source_summary.csv. A run that does not say
--         its inventory or its loss limit belongs to no candidate. Drawdowns of either sign average as they are in
--         max_drawdown_mean, and as magnitudes in max_drawdown_abs_mean, which alone counts in scores and filters.
--
-- Columns:
--   candidate_order       | -         | place of the candidate; of equal scores the first wins
--   final_pnl_mean        | usd       | mean final PnL
--   final_pnl_std         | usd       | its sample standard deviation; null for one run
--   max_drawdown_mean     | usd       | mean drawdown as stored, sign kept
--   kill_prob             | frac      | share of runs with the kill switch on
--   max_drawdown_abs_mean | usd       | mean magnitude of the drawdowns
--   vol_ref               | frac/day  | reference volatility
CREATE OR REPLACE VIEW preset_source AS
WITH settings AS (
    SELECT
        initial_q_tao, loss_limit_usd, hedge_band_base, size_eta, vol_ref, delta_limit_usd_base,
        mean_of(final_pnl) AS final_pnl_mean,
        std_of(final_pnl) AS final_pnl_std,
        mean_of(max_drawdown) AS max_drawdown_mean,
        mean_of(kill) AS kill_prob,
        mean_of(abs(max_drawdown)) AS max_drawdown_abs_mean
    FROM preset_runs
    WHERE initial_q_tao IS NOT NULL AND loss_limit_usd IS NOT NULL
    GROUP BY initial_q_tao, loss_limit_usd, hedge_band_base, size_eta, vol_ref, delta_limit_usd_base
)
SELECT
    row_number() OVER (
        ORDER BY initial_q_tao, loss_limit_usd, hedge_band_base NULLS LAST, size_eta NULLS LAST, vol_ref NULLS LAST,
                 delta_limit_usd_base NULLS LAST
    ) AS candidate_order,
    initial_q_tao,
    loss_limit_usd,
    final_pnl_mean,
    final_pnl_std,
    max_drawdown_mean,
    kill_prob,
    hedge_band_base,
    size_eta,
    vol_ref,
    delta_limit_usd_base,
    max_drawdown_abs_mean
FROM settings
ORDER BY candidate_order;
