-- analysis_settings: the thresholds of the safe region (exp06) and of the safety tuner (exp12), a table of constants.
--
-- Grain:  one row.
-- Note:   the budgets and the weights of the scores are in risk_tiers.
--
-- Columns:
--   safe_max_kill_switch_frac | frac   | a cell is safe up to this share of killed runs
--   safe_max_regime_frac_hard | frac   | a cell is safe up to this mean share of ticks in regime HardLimit
--   safe_max_dd_frac          | frac   | a cell is safe up to this share of the loss limit as mean drawdown
--   safe_lambda_dd            | -      | weight of the worst drawdown in the score of the safe region
--   tuner_tolerance           | -      | a metric scales the risk down when its ratio to the budget is above this
--   tuner_least_scale         | -      | the risk is never scaled below this
--   tuner_loss_tolerance      | -      | a loss limit is cut when its ratio to the drawdown budget is above this
CREATE OR REPLACE VIEW analysis_settings AS
SELECT
    0.10e0 AS safe_max_kill_switch_frac,
    0.01e0 AS safe_max_regime_frac_hard,
    0.30e0 AS safe_max_dd_frac,
    0.5e0 AS safe_lambda_dd,
    1.05e0 AS tuner_tolerance,
    0.1e0 AS tuner_least_scale,
    1.10e0 AS tuner_loss_tolerance;
