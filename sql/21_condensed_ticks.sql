-- condensed_ticks: the definition of every telemetry metric.
--
-- Grain:  one row per run (profile, label, run_id).
-- Reads:  ticks, macros.
-- Note:   means and sums are rounded once, at their end. A drawdown beyond the largest double counts as that.
--         dq_* tell whether an identity of the engine held on every tick (null: not checkable); the tolerance is
--         1e-6 usd or tao.
--
-- Columns:
--   config_version_id     | -         | config release of the last tick
--   num_ticks             | ticks     | records of the run
--   final_pnl             | usd       | pnl_total of the last tick
--   max_pnl               | usd       | highest pnl_total
--   min_pnl               | usd       | lowest pnl_total
--   max_drawdown          | usd       | deepest fall from a peak, positive magnitude; the peak starts at the first tick
--   max_drawdown_time     | ticks     | first tick at the deepest point
--   frac_normal           | frac      | share of ticks in regime Normal
--   frac_warning          | frac      | share of ticks in regime Warning
--   frac_hard             | frac      | share of ticks in regime HardLimit
--   kill_switch           | -         | any tick with the kill switch on
--   kill_tick             | ticks     | first tick with the kill switch on; null when none
--   kill_reason           | -         | reason given at that tick; null when not killed
--   final_regime          | -         | regime of the last tick
--   final_pnl_realised    | usd       | realised PnL of the last tick
--   final_pnl_unrealised  | usd       | unrealised PnL of the last tick
--   first_t               | ticks     | first tick
--   last_t                | ticks     | last tick
--   inventory_mean_tao    | tao       | mean inventory
--   inventory_max_abs_tao | tao       | largest |inventory|
--   inventory_final_tao   | tao       | inventory of the last tick
--   delta_max_abs_usd     | usd       | largest |dollar delta|
--   delta_final_usd       | usd       | dollar delta of the last tick
--   basis_final_usd       | usd       | basis of the last tick
--   basis_gross_max_usd   | usd       | largest gross basis
--   sigma_mean            | frac/tick | mean effective volatility
--   sigma_max             | frac/tick | largest effective volatility
--   n_fills               | count     | executions
--   n_fills_mm            | count     | executions of market making
--   n_fills_exit          | count     | executions of exits
--   n_fills_hedge         | count     | executions of hedges
--   n_orders              | count     | order intents and gateway answers
--   n_hedges              | count     | hedges
--   n_exits               | count     | exits
--   n_risk_events         | count     | risk events of any type
--   n_regime_transitions  | count     | risk events: regime changed
--   n_kill_activations    | count     | risk events: kill switch latched
--   n_delta_warn          | count     | risk events: delta above its warning level
--   n_delta_hard          | count     | risk events: delta above its limit
--   n_basis_warn          | count     | risk events: basis above its warning level
--   n_basis_hard          | count     | risk events: basis above its limit
--   n_pnl_warn            | count     | risk events: loss above its warning level
--   n_pnl_hard            | count     | risk events: loss above its limit
--   n_venue_disabled      | count     | risk events: venue disabled
--   n_liq_warn            | count     | risk events: close to liquidation
--   n_kill_events         | count     | records with a kill_event
--   volume_tao            | tao       | traded volume
--   fees_usd              | usd       | fees of all executions
--   dq_pnl_sum            | -         | pnl_total = pnl_realised + pnl_unrealised
--   dq_inventory_sum      | -         | q_global_tao = sum of venue positions
--   dq_dollar_delta       | -         | dollar_delta_usd = q_global_tao x fair_value
--   dq_basis              | -         | basis_usd = sum of q x (mid - fair)
--   dq_basis_gross        | -         | basis_gross_usd = sum of |q| x |mid - fair|
--   dq_realised_fills     | -         | pnl_realised = running sum of realised PnL of fills
--   dq_order_count        | -         | would_send_orders_count = length of the list
--   dq_t_contiguous       | -         | t runs from 0 without gaps
--   dq_kill               | -         | a kill is the last tick, in HardLimit, with reason and matching kill_event
CREATE OR REPLACE VIEW condensed_ticks AS
WITH scalars AS (
    SELECT
        profile, label, run_id, t, config_version_id, risk_regime, kill_switch,
        CASE WHEN kill_switch THEN kill_reason END AS kill_reason,
        pnl_realised, pnl_unrealised, pnl_total,
        q_global_tao, dollar_delta_usd, basis_usd, basis_gross_usd, fair_value, sigma_eff,
        kill_event IS NOT NULL AS has_kill_event,
        kill_event.timebase_id AS kill_event_t,
        coalesce(len(fills), 0) AS n_fills,
        coalesce(len(list_filter(fills, lambda f: f.purpose = 'Mm')), 0) AS n_fills_mm,
        coalesce(len(list_filter(fills, lambda f: f.purpose = 'Exit')), 0) AS n_fills_exit,
        coalesce(len(list_filter(fills, lambda f: f.purpose = 'Hedge')), 0) AS n_fills_hedge,
        coalesce(list_aggregate(list_transform(fills, lambda f: f.size), 'fsum'), 0) AS volume_tao,
        coalesce(
            list_aggregate(list_transform(fills, lambda f: f.size * f.price * f.fee_bps / 1e4), 'fsum'), 0
        ) AS fees_usd,
        coalesce(list_sum(list_transform(fills, lambda f: f.realised_pnl_usd)), 0) AS fills_realised_usd,
        fills IS NOT NULL AS has_fills,
        coalesce(len(orders), 0) AS n_orders,
        coalesce(len(hedges), 0) AS n_hedges,
        coalesce(len(exits), 0) AS n_exits,
        coalesce(list_transform(risk_events, lambda e: e.event_type), []) AS event_types,
        list_sum(venue_position_tao) AS venue_sum_tao,
        list_transform(list_zip(venue_position_tao, venue_mid_usd), lambda z: z[1] * (z[2] - fair_value)) AS venue_basis_usd,
        would_send_orders_count = len(would_send_orders) OR would_send_orders_truncated AS order_count_holds
    FROM ticks
),
paths AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY run_id ORDER BY t DESC) AS from_end,
        max(pnl_total) OVER (PARTITION BY run_id ORDER BY t ROWS UNBOUNDED PRECEDING) - pnl_total AS drawdown,
        sum(fills_realised_usd) OVER (PARTITION BY run_id ORDER BY t ROWS UNBOUNDED PRECEDING) AS realised_so_far
    FROM scalars
)
SELECT
    profile,
    label,
    run_id,
    max(CASE WHEN from_end = 1 THEN config_version_id END) AS config_version_id,
    count(*) AS num_ticks,
    max(CASE WHEN from_end = 1 THEN pnl_total END) AS final_pnl,
    -- Plus 0: which of 0 and negative zero is the larger one would depend on which came first.
    max(pnl_total) + 0e0 AS max_pnl,
    min(pnl_total) + 0e0 AS min_pnl,
    -- Infinity is in no JSON file, and the run would be missing from means there.
    CASE WHEN max(drawdown) = 'inf' THEN 1.7976931348623157e308 ELSE max(drawdown) + 0e0 END AS max_drawdown,
    arg_max(t, {'depth': drawdown, 'earlier': -t::HUGEINT}) AS max_drawdown_time,
    avg(CASE WHEN risk_regime = 'Normal' THEN 1e0 ELSE 0e0 END) AS frac_normal,
    avg(CASE WHEN risk_regime = 'Warning' THEN 1e0 ELSE 0e0 END) AS frac_warning,
    avg(CASE WHEN risk_regime = 'HardLimit' THEN 1e0 ELSE 0e0 END) AS frac_hard,
    bool_or(kill_switch) AS kill_switch,
    min(CASE WHEN kill_switch THEN t END) AS kill_tick,
    arg_min(kill_reason, t) FILTER (kill_switch) AS kill_reason,
    max(CASE WHEN from_end = 1 THEN risk_regime END) AS final_regime,
    max(CASE WHEN from_end = 1 THEN pnl_realised END) AS final_pnl_realised,
    max(CASE WHEN from_end = 1 THEN pnl_unrealised END) AS final_pnl_unrealised,
    min(t) AS first_t,
    max(t) AS last_t,
    mean_of(q_global_tao) AS inventory_mean_tao,
    max(abs(q_global_tao)) AS inventory_max_abs_tao,
    max(CASE WHEN from_end = 1 THEN q_global_tao END) AS inventory_final_tao,
    max(abs(dollar_delta_usd)) AS delta_max_abs_usd,
    max(CASE WHEN from_end = 1 THEN dollar_delta_usd END) AS delta_final_usd,
    max(CASE WHEN from_end = 1 THEN basis_usd END) AS basis_final_usd,
    max(basis_gross_usd) + 0e0 AS basis_gross_max_usd,
    mean_of(sigma_eff) AS sigma_mean,
    max(sigma_eff) + 0e0 AS sigma_max,
    sum(n_fills)::BIGINT AS n_fills,
    sum(n_fills_mm)::BIGINT AS n_fills_mm,
    sum(n_fills_exit)::BIGINT AS n_fills_exit,
    sum(n_fills_hedge)::BIGINT AS n_fills_hedge,
    sum(n_orders)::BIGINT AS n_orders,
    sum(n_hedges)::BIGINT AS n_hedges,
    sum(n_exits)::BIGINT AS n_exits,
    sum(len(event_types))::BIGINT AS n_risk_events,
    sum(len(list_filter(event_types, lambda e: e = 'risk_regime_transition')))::BIGINT AS n_regime_transitions,
    sum(len(list_filter(event_types, lambda e: e = 'kill_switch_activation')))::BIGINT AS n_kill_activations,
    sum(len(list_filter(event_types, lambda e: e = 'delta_warn_breach')))::BIGINT AS n_delta_warn,
    sum(len(list_filter(event_types, lambda e: e = 'delta_hard_breach')))::BIGINT AS n_delta_hard,
    sum(len(list_filter(event_types, lambda e: e = 'basis_warn_breach')))::BIGINT AS n_basis_warn,
    sum(len(list_filter(event_types, lambda e: e = 'basis_hard_breach')))::BIGINT AS n_basis_hard,
    sum(len(list_filter(event_types, lambda e: e = 'pnl_warn_breach')))::BIGINT AS n_pnl_warn,
    sum(len(list_filter(event_types, lambda e: e = 'pnl_hard_breach')))::BIGINT AS n_pnl_hard,
    sum(len(list_filter(event_types, lambda e: e = 'venue_disabled')))::BIGINT AS n_venue_disabled,
    sum(len(list_filter(event_types, lambda e: e = 'liq_warn')))::BIGINT AS n_liq_warn,
    sum(has_kill_event::INT)::BIGINT AS n_kill_events,
    sum_of(volume_tao) AS volume_tao,
    sum_of(fees_usd) AS fees_usd,
    bool_and(abs(pnl_total - (pnl_realised + pnl_unrealised)) <= 1e-6) AS dq_pnl_sum,
    bool_and(abs(q_global_tao - venue_sum_tao) <= 1e-6) AS dq_inventory_sum,
    bool_and(abs(dollar_delta_usd - q_global_tao * fair_value) <= 1e-6)
        AS dq_dollar_delta,
    bool_and(abs(basis_usd - list_sum(venue_basis_usd)) <= 1e-6) AS dq_basis,
    bool_and(
        abs(basis_gross_usd - list_sum(list_transform(venue_basis_usd, lambda b: abs(b))))
        <= 1e-6
    ) AS dq_basis_gross,
    bool_and(CASE WHEN has_fills THEN abs(pnl_realised - realised_so_far) <= 1e-6 END)
        AS dq_realised_fills,
    bool_and(order_count_holds) AS dq_order_count,
    min(t) = 0 AND max(t) = count(*) - 1 AS dq_t_contiguous,
    bool_and(
        CASE
            WHEN kill_switch
                THEN from_end = 1 AND risk_regime = 'HardLimit' AND kill_reason <> 'None' AND coalesce(kill_event_t = t, false)
            ELSE NOT has_kill_event
        END
    ) AS dq_kill
FROM paths
GROUP BY profile, label, run_id
ORDER BY profile, label, run_id;
