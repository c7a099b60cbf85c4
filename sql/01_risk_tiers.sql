-- risk_tiers: the risk budgets of each tier and the weights of its score, a table of constants.
--
-- Grain:  one row per tier; tier_order gives the order in which artefacts list them.
--
-- Columns:
--   tier_order             | -         | place of the tier in artefacts, from 1
--   risk_tier              | -         | tier, named as its profile
--   max_kill_prob          | frac      | budget: largest kill probability
--   max_drawdown_abs       | usd       | budget: largest mean drawdown
--   min_final_pnl_mean     | usd       | budget: smallest mean final PnL
--   lambda_std             | -         | weight of the PnL standard deviation in the score
--   lambda_dd              | -         | weight of the mean drawdown in the score
--   lambda_kill            | usd       | weight of the kill probability in the score
CREATE OR REPLACE VIEW risk_tiers AS
SELECT 1 AS tier_order, 'conservative' AS risk_tier, 0.01e0 AS max_kill_prob, 2000e0 AS max_drawdown_abs,
       0e0 AS min_final_pnl_mean, 0.5e0 AS lambda_std, 0.5e0 AS lambda_dd, 200e0 AS lambda_kill
UNION ALL
SELECT 2, 'balanced', 0.05e0, 4000e0, 0e0, 0.3e0, 0.3e0, 100e0
UNION ALL
SELECT 3, 'aggressive', 0.15e0, 8000e0, -500e0, 0.1e0, 0.1e0, 50e0;
