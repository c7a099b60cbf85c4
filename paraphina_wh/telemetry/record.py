"""The telemetry record, declared once.

Every field the engine may write, with its unit and meaning. The strict reader, the DuckDB column types,
the data dictionary (`paraphina-wh schema`) and the JSON Schema all derive from these structs.

Conventions: a required field has no default. An optional one may be absent or null; `UNSET` keeps the two
apart so that a decoded record can be written back key for key. Elements of numeric per-venue lists may be
null, because the engine writes null where a number became non-finite.

Source: the engine's telemetry schema, version 1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
UINT64_MAX = 2**64 - 1
# msgspec takes no bound beyond int64: the slow path checks this one.
_UINT64 = Meta(extra_json_schema={"maximum": UINT64_MAX})

Int64 = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
UInt64 = Annotated[int, Meta(ge=0), _UINT64]
OptFloat = float | None | UnsetType
OptInt = Int64 | None | UnsetType
OptStr = str | None | UnsetType
OptBool = bool | None | UnsetType
OptFloats = list[float | None] | None | UnsetType
OptInts = list[Int64 | None] | None | UnsetType
OptStrs = list[str] | None | UnsetType
OptJson = Any | UnsetType
Regime = Literal["Normal", "Warning", "HardLimit"]


def unit(name: str, meaning: str) -> Meta:
    """Describe a field: its unit (`-` when it has none) and what it means."""
    return Meta(description=meaning, extra_json_schema={"x-unit": name})


class Part(Struct, forbid_unknown_fields=True, gc=False):
    """Base of every part of the record: unknown keys are noticed, never dropped."""


class QuoteLevel(Part):
    """One side of one venue's quote: two entries a venue, bid first."""

    venue_index: Annotated[OptInt, unit("-", "position of the venue in the per-venue lists")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name")] = UNSET
    side: Annotated[OptStr, unit("-", "Bid or Ask")] = UNSET
    price: Annotated[OptFloat, unit("usd/tao", "quoted price; 0.0 = no quote on this side")] = UNSET
    size_final: Annotated[OptFloat, unit("tao", "quoted size; 0.0 = no quote")] = UNSET
    s_tilde: Annotated[OptFloat, unit("usd/tao", "reservation price")] = UNSET
    basis_adj_usd: Annotated[OptFloat, unit("usd/tao", "basis adjustment, 0.3 x (mid - fair)")] = UNSET
    funding_adj_usd: Annotated[OptFloat, unit("usd/tao", "funding adjustment")] = UNSET
    inventory_term_usd: Annotated[OptFloat, unit("usd/tao", "inventory skew")] = UNSET
    delta_final: Annotated[OptFloat, unit("usd/tao", "half spread when both sides are quoted, else 0.0")] = UNSET
    edge_local: Annotated[OptFloat, unit("usd/tao", "|price - fair| less maker cost when quoted")] = UNSET
    size_raw: Annotated[OptFloat, unit("tao", "edge / size_eta when the edge is positive")] = UNSET
    size_margin_cap: Annotated[OptFloat, unit("tao", "largest size the margin allows")] = UNSET
    size_liq_factor: Annotated[OptFloat, unit("frac", "size factor from distance to liquidation, 0..1")] = UNSET
    spread_mult: Annotated[OptFloat, unit("frac", "global spread multiplier")] = UNSET
    size_mult: Annotated[OptFloat, unit("frac", "global size multiplier")] = UNSET


class Order(Part):
    """An order intent or the gateway's answer to one."""

    action: Annotated[OptStr, unit("-", "place, cancel, replace or cancel_all")] = UNSET
    status: Annotated[OptStr, unit("-", "intent, ack or reject")] = UNSET
    venue_index: Annotated[OptInt, unit("-", "venue; -1 when a cancel_all has none")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name; ALL or all for a cancel_all")] = UNSET
    side: Annotated[OptStr, unit("-", "Buy or Sell; null for cancels")] = UNSET
    price: Annotated[OptFloat, unit("usd/tao", "limit price; null for cancels")] = UNSET
    size: Annotated[OptFloat, unit("tao", "order size; null for cancels")] = UNSET
    tif: Annotated[OptStr, unit("-", "Gtc or Ioc; null in acks")] = UNSET
    post_only: Annotated[OptBool, unit("-", "post-only flag; null in acks and cancels")] = UNSET
    reduce_only: Annotated[OptBool, unit("-", "reduce-only flag; null in acks and cancels")] = UNSET
    purpose: Annotated[OptStr, unit("-", "Mm, Exit or Hedge")] = UNSET
    risk_regime: Annotated[OptStr, unit("-", "regime of the record")] = UNSET
    order_id: Annotated[OptStr, unit("-", "order id")] = UNSET
    client_order_id: Annotated[OptStr, unit("-", "client order id")] = UNSET
    action_id: Annotated[OptStr, unit("-", "identity of the action within the tick")] = UNSET
    reason: Annotated[OptStr, unit("-", "why a gateway rejected; only in rejects")] = UNSET


class Fill(Part):
    """One execution."""

    fill_seq: Annotated[OptInt, unit("-", "per-venue counter from 0")] = UNSET
    venue_index: Annotated[OptInt, unit("-", "position of the venue in the per-venue lists")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name")] = UNSET
    order_id: Annotated[OptStr, unit("-", "order id")] = UNSET
    client_order_id: Annotated[OptStr, unit("-", "client order id")] = UNSET
    side: Annotated[OptStr, unit("-", "Buy or Sell")] = UNSET
    price: Annotated[OptFloat, unit("usd/tao", "execution price")] = UNSET
    size: Annotated[OptFloat, unit("tao", "executed size, > 0")] = UNSET
    purpose: Annotated[OptStr, unit("-", "Mm, Exit or Hedge")] = UNSET
    fee_bps: Annotated[OptFloat, unit("bps", "fee of the execution")] = UNSET
    fill_time_ms: Annotated[OptInt, unit("ms", "simulated time of the fill")] = UNSET
    pre_q_v: Annotated[OptFloat, unit("tao", "venue position before")] = UNSET
    post_q_v: Annotated[OptFloat, unit("tao", "venue position after")] = UNSET
    pre_q_t: Annotated[OptFloat, unit("tao", "global inventory before the batch")] = UNSET
    post_q_t: Annotated[OptFloat, unit("tao", "global inventory after this fill alone")] = UNSET
    realised_pnl_usd: Annotated[OptFloat, unit("usd", "realised PnL of the fill, net of fee")] = UNSET
    markout_pnl_short: Annotated[OptFloat, unit("usd", "5 s markout; null, known only later")] = UNSET


class EdgeComponents(Part):
    """What the edge of an exit is made of."""

    edge_threshold: Annotated[OptFloat, unit("usd/tao", "least edge asked")] = UNSET
    fee_per_tao: Annotated[OptFloat, unit("usd/tao", "taker fee")] = UNSET
    slippage_buffer: Annotated[OptFloat, unit("usd/tao", "slippage buffer")] = UNSET
    vol_buffer: Annotated[OptFloat, unit("usd/tao", "volatility buffer")] = UNSET
    basis_term: Annotated[OptFloat, unit("usd/tao", "basis earned")] = UNSET
    funding_benefit_per_tao: Annotated[OptFloat, unit("usd/tao", "funding earned")] = UNSET
    frag_penalty: Annotated[OptFloat, unit("usd/tao", "fragmentation penalty")] = UNSET
    basis_risk_penalty: Annotated[OptFloat, unit("usd/tao", "basis risk penalty; may be negative")] = UNSET


class Exit(Part):
    """One exit decision."""

    venue_index: Annotated[OptInt, unit("-", "position of the venue in the per-venue lists")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name")] = UNSET
    side: Annotated[OptStr, unit("-", "Buy or Sell")] = UNSET
    intended_size: Annotated[OptFloat, unit("tao", "size asked")] = UNSET
    filled_size: Annotated[OptFloat, unit("tao", "size executed")] = UNSET
    entry_fill_seqs: Annotated[OptInts, unit("-", "oldest retained Mm fills closed, at most 5")] = UNSET
    risk_regime: Annotated[OptStr, unit("-", "regime of the record")] = UNSET
    edge_raw: Annotated[OptFloat, unit("usd/tao", "threshold + fee + slippage + volatility")] = UNSET
    edge_funding_basis_adj: Annotated[OptFloat, unit("usd/tao", "edge_raw - basis - funding")] = UNSET
    edge_final: Annotated[OptFloat, unit("usd/tao", "edge after all penalties")] = UNSET
    edge_components: Annotated[EdgeComponents | UnsetType | None, unit("-", "parts of the edge")] = UNSET


class CostComponents(Part):
    """What the cost of a hedge is made of."""

    exec_cost: Annotated[OptFloat, unit("usd/tao", "execution cost")] = UNSET
    funding_benefit: Annotated[OptFloat, unit("usd/tao", "funding earned")] = UNSET
    basis_edge: Annotated[OptFloat, unit("usd/tao", "basis earned")] = UNSET
    liq_penalty: Annotated[OptFloat, unit("usd/tao", "distance-to-liquidation penalty")] = UNSET
    frag_penalty: Annotated[OptFloat, unit("usd/tao", "fragmentation penalty")] = UNSET
    total_cost: Annotated[OptFloat, unit("usd/tao", "sum used to rank venues")] = UNSET


class Hedge(Part):
    """One hedge. In simulator files it is already applied when recorded: use fills for before and after."""

    venue_index: Annotated[OptInt, unit("-", "position of the venue in the per-venue lists")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name")] = UNSET
    side: Annotated[OptStr, unit("-", "Buy or Sell")] = UNSET
    delta_h_v: Annotated[OptFloat, unit("tao", "signed hedge size, + buys")] = UNSET
    intended_size: Annotated[OptFloat, unit("tao", "size asked")] = UNSET
    filled_size: Annotated[OptFloat, unit("tao", "size executed")] = UNSET
    pre_q_v: Annotated[OptFloat, unit("tao", "venue position, already after the hedge in the simulator")] = UNSET
    post_q_v: Annotated[OptFloat, unit("tao", "counts the hedge twice in the simulator")] = UNSET
    pre_q_t: Annotated[OptFloat, unit("tao", "global inventory, same quirk")] = UNSET
    post_q_t: Annotated[OptFloat, unit("tao", "global inventory, same quirk")] = UNSET
    funding_8h: Annotated[OptFloat, unit("frac/8h", "funding rate of the venue")] = UNSET
    basis_usd: Annotated[OptFloat, unit("usd/tao", "mid - fair of the venue")] = UNSET
    dist_liq_sigma: Annotated[OptFloat, unit("sigmas", "distance to liquidation")] = UNSET
    cost_components: Annotated[CostComponents | UnsetType | None, unit("-", "parts of the cost")] = UNSET


class RiskEvent(Part, rename={"from_": "from"}):
    """An edge-triggered risk event; keys other than the first two depend on the type."""

    event_type: Annotated[OptStr, unit("-", "kind of event, e.g. delta_warn_breach")] = UNSET
    timestamp_ms: Annotated[OptInt, unit("ms", "simulated time")] = UNSET
    from_: Annotated[OptStr, unit("-", "regime before (risk_regime_transition)")] = UNSET
    to: Annotated[OptStr, unit("-", "regime after (risk_regime_transition)")] = UNSET
    risk_regime: Annotated[OptStr, unit("-", "regime (kill_switch_activation)")] = UNSET
    value: Annotated[OptFloat, unit("usd or sigmas", "value that crossed the threshold")] = UNSET
    threshold: Annotated[OptFloat, unit("usd or sigmas", "threshold crossed")] = UNSET
    venue_index: Annotated[OptInt, unit("-", "venue (venue_disabled, liq_warn)")] = UNSET


class TreasuryVenue(Part):
    """Running means of one venue's margin and funding."""

    venue_index: Annotated[OptInt, unit("-", "position of the venue in the per-venue lists")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name")] = UNSET
    avg_margin_usage: Annotated[OptFloat, unit("frac", "mean margin usage")] = UNSET
    avg_abs_position_tao: Annotated[OptFloat, unit("tao", "mean absolute position")] = UNSET
    avg_funding_8h: Annotated[OptFloat, unit("frac/8h", "mean funding rate")] = UNSET
    avg_funding_cost_usd_8h: Annotated[OptFloat, unit("usd/8h", "mean funding cost")] = UNSET
    avg_margin_balance_usd: Annotated[OptFloat, unit("usd", "mean margin balance")] = UNSET
    avg_margin_used_usd: Annotated[OptFloat, unit("usd", "mean margin used")] = UNSET


class TreasuryRecommendation(Part):
    """Advice to move margin or reduce exposure."""

    kind: Annotated[OptStr, unit("-", "increase_margin or reduce_exposure")] = UNSET
    venue_index: Annotated[OptInt, unit("-", "position of the venue in the per-venue lists")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name")] = UNSET
    value: Annotated[OptFloat, unit("-", "value that led to the advice")] = UNSET
    threshold: Annotated[OptFloat, unit("-", "threshold crossed")] = UNSET
    suggested_margin_usd: Annotated[OptFloat, unit("usd", "margin to hold")] = UNSET
    suggested_position_tao: Annotated[OptFloat, unit("tao", "position to hold")] = UNSET
    message: Annotated[OptStr, unit("-", "advice in words")] = UNSET


class TreasuryGuidance(Part):
    """Treasury statistics of the run so far."""

    cadence_ticks: Annotated[OptInt, unit("ticks", "how often advice is emitted")] = UNSET
    samples: Annotated[OptInt, unit("ticks", "ticks in the means, t + 1")] = UNSET
    emit: Annotated[OptBool, unit("-", "true on ticks that emit advice")] = UNSET
    as_of_tick: Annotated[OptInt, unit("ticks", "= t")] = UNSET
    as_of_ms: Annotated[OptInt, unit("ms", "simulated time of the tick")] = UNSET
    venues: Annotated[list[TreasuryVenue] | UnsetType | None, unit("-", "one entry a venue")] = UNSET
    recommendations: Annotated[list[TreasuryRecommendation] | UnsetType | None, unit("-", "advice")] = UNSET


class KillEvent(Part):
    """State at the kill; only in the record of the tick that handles it."""

    timebase_id: Annotated[OptInt, unit("ticks", "tick of the kill")] = UNSET
    kill_reason: Annotated[OptStr, unit("-", "why")] = UNSET
    delta_usd_t: Annotated[OptFloat, unit("usd", "dollar delta")] = UNSET
    basis_b_t: Annotated[OptFloat, unit("usd", "net basis")] = UNSET
    daily_pnl_total: Annotated[OptFloat, unit("usd", "total PnL")] = UNSET
    per_venue_q: Annotated[OptFloats, unit("tao", "position a venue")] = UNSET
    per_venue_dist_liq_sigma: Annotated[OptFloats, unit("sigmas", "distance to liquidation a venue")] = UNSET
    per_venue_status: Annotated[OptStrs, unit("-", "true status a venue: Healthy, Warning, Disabled")] = UNSET
    risk_regime: Annotated[OptStr, unit("-", "regime")] = UNSET
    config_version_id: Annotated[OptStr, unit("-", "config release")] = UNSET


class ReconcileDrift(Part):
    """A difference between the engine's books and a venue's. Live producers only."""

    timestamp_ms: Annotated[OptInt, unit("ms", "Unix time")] = UNSET
    venue_index: Annotated[OptInt, unit("-", "position of the venue in the per-venue lists")] = UNSET
    venue_id: Annotated[OptStr, unit("-", "venue name")] = UNSET
    kind: Annotated[OptStr, unit("-", "what drifted")] = UNSET
    source: Annotated[OptStr, unit("-", "where the venue's value came from")] = UNSET
    internal: Annotated[OptFloat, unit("-", "the engine's value")] = UNSET
    venue: Annotated[OptFloat, unit("-", "the venue's value")] = UNSET
    diff: Annotated[OptFloat, unit("-", "difference")] = UNSET
    tolerance: Annotated[OptFloat, unit("-", "allowed difference")] = UNSET
    available: Annotated[OptBool, unit("-", "the venue's value was available")] = UNSET


class MarketRxStats(Part):
    """Counters of the market data receiver. Live producers only."""

    drained: Annotated[OptInt, unit("count", "events taken")] = UNSET
    l2_delta: Annotated[OptInt, unit("count", "book deltas")] = UNSET
    l2_snapshot: Annotated[OptInt, unit("count", "book snapshots")] = UNSET
    trade: Annotated[OptInt, unit("count", "trades")] = UNSET
    funding_update: Annotated[OptInt, unit("count", "funding updates")] = UNSET
    out_market: Annotated[OptInt, unit("count", "market events out")] = UNSET
    out_l2_delta: Annotated[OptInt, unit("count", "book deltas out")] = UNSET
    out_l2_snapshot: Annotated[OptInt, unit("count", "book snapshots out")] = UNSET
    out_trade: Annotated[OptInt, unit("count", "trades out")] = UNSET
    out_funding_update: Annotated[OptInt, unit("count", "funding updates out")] = UNSET
    cap_hits: Annotated[OptInt, unit("count", "times a cap was hit")] = UNSET


class TickTiming(Part):
    """Time spent in the stages of a tick. Live producers only."""

    reconcile_us: Annotated[OptInt, unit("us", "reconciliation")] = UNSET
    event_drain_us: Annotated[OptInt, unit("us", "taking events")] = UNSET
    engine_us: Annotated[OptInt, unit("us", "engine")] = UNSET
    submit_us: Annotated[OptInt, unit("us", "order submission")] = UNSET
    total_us: Annotated[OptInt, unit("us", "whole tick")] = UNSET
    total_ms: Annotated[OptInt, unit("ms", "whole tick")] = UNSET
    order_tx_pending: Annotated[OptInt, unit("count", "orders waiting to be sent")] = UNSET


class Tick(Part):
    """One executed tick of one run."""

    # required
    schema_version: Annotated[Literal[1], unit("-", "version of the telemetry schema, always 1")]
    t: Annotated[Int64, unit("ticks", "tick index, strictly increasing inside a run")]
    pnl_realised: Annotated[float, unit("usd", "realised PnL since the start of the run, net of fees")]
    pnl_unrealised: Annotated[float, unit("usd", "open positions marked to fair value")]
    pnl_total: Annotated[float, unit("usd", "pnl_realised + pnl_unrealised")]
    risk_regime: Annotated[Regime, unit("-", "Normal, Warning or HardLimit")]
    kill_switch: Annotated[bool, unit("-", "true once the kill switch latched")]
    kill_reason: Annotated[str, unit("-", "why; the text None while not killed")]
    q_global_tao: Annotated[float, unit("tao", "signed global inventory")]
    dollar_delta_usd: Annotated[float, unit("usd", "q_global_tao x fair_value")]
    basis_usd: Annotated[float, unit("usd", "signed net basis")]

    # documented, optional
    fv_available: Annotated[OptBool, unit("-", "fair value updated from two or more venues this tick")] = UNSET
    fair_value: Annotated[OptFloat, unit("usd/tao", "filtered fair price")] = UNSET
    sigma_eff: Annotated[OptFloat, unit("frac/tick", "short volatility, floored")] = UNSET
    healthy_venues_used_count: Annotated[OptInt, unit("count", "length of healthy_venues_used")] = UNSET
    healthy_venues_used: Annotated[OptInts, unit("-", "venue indices used; empty in simulator files")] = UNSET
    basis_gross_usd: Annotated[OptFloat, unit("usd", "sum of |q| x |mid - fair| over venues")] = UNSET

    # other scalars
    config_version_id: Annotated[OptStr, unit("-", "config release")] = UNSET
    execution_mode: Annotated[OptStr, unit("-", "strategy for the simulator; live, shadow, paper ...")] = UNSET
    fv_short_vol: Annotated[OptFloat, unit("frac/tick", "fast volatility of fair value")] = UNSET
    fv_long_vol: Annotated[OptFloat, unit("frac/tick", "slow volatility of fair value")] = UNSET
    kf_x_hat: Annotated[OptFloat, unit("ln(usd/tao)", "filter state, log of fair value")] = UNSET
    kf_p: Annotated[OptFloat, unit("-", "filter variance")] = UNSET
    kf_last_update_ms: Annotated[OptInt, unit("ms", "simulated time of this tick")] = UNSET
    regime_ratio: Annotated[OptFloat, unit("frac", "clipped volatility ratio, 0.25..4")] = UNSET
    shadow_vol_ratio: Annotated[OptFloat, unit("frac", "volatility ratio")] = UNSET
    shadow_spread_mult: Annotated[OptFloat, unit("frac", "spread multiplier, 1..4")] = UNSET
    shadow_size_mult: Annotated[OptFloat, unit("frac", "size multiplier, 1/7..1")] = UNSET
    hedge_x_t: Annotated[OptFloat, unit("tao", "inventory the hedger sees, = q_global_tao")] = UNSET
    hedge_delta_h_t: Annotated[OptFloat, unit("tao", "sum of the tick's hedges; 0.0 when none")] = UNSET
    would_send_orders_count: Annotated[OptInt, unit("count", "order intents of the tick")] = UNSET
    would_send_orders_truncated: Annotated[OptBool, unit("-", "list cut to 200 intents")] = UNSET

    # one element a venue
    venue_mid_usd: Annotated[OptFloats, unit("usd/tao", "mid; 0.0 when unknown")] = UNSET
    venue_spread_usd: Annotated[OptFloats, unit("usd/tao", "best spread; 0.0 when unknown")] = UNSET
    venue_depth_near_mid_usd: Annotated[OptFloats, unit("usd", "notional of best bid and ask")] = UNSET
    venue_status: Annotated[OptStrs, unit("-", "Healthy, Warning, Disabled or Stale")] = UNSET
    venue_toxicity: Annotated[OptFloats, unit("frac", "toxicity score, 0..1")] = UNSET
    venue_age_ms: Annotated[OptInts, unit("ms", "age of the last applied book; -1 = none")] = UNSET
    venue_age_event_ms: Annotated[OptInts, unit("ms", "age by event time")] = UNSET
    venue_position_tao: Annotated[OptFloats, unit("tao", "signed position")] = UNSET
    venue_dist_liq_sigma: Annotated[OptFloats, unit("sigmas", "distance to liquidation")] = UNSET
    venue_funding_8h: Annotated[OptFloats, unit("frac/8h", "funding")] = UNSET
    venue_funding_rate_8h: Annotated[OptFloats, unit("frac/8h", "published funding rate")] = UNSET
    venue_funding_age_ms: Annotated[OptInts, unit("ms", "age of the funding rate")] = UNSET
    venue_funding_interval_sec: Annotated[OptInts, unit("s", "funding interval")] = UNSET
    venue_next_funding_ms: Annotated[OptInts, unit("ms", "time of the next funding")] = UNSET
    venue_funding_source: Annotated[OptStrs, unit("-", "where the funding rate came from")] = UNSET
    venue_funding_status: Annotated[OptStrs, unit("-", "Healthy, Stale or Unknown")] = UNSET
    venue_funding_settlement_price_kind: Annotated[OptStrs, unit("-", "price funding settles on")] = UNSET
    venue_local_vol_short: Annotated[OptFloats, unit("frac/tick", "fast volatility of the mid")] = UNSET
    venue_local_vol_long: Annotated[OptFloats, unit("frac/tick", "slow volatility of the mid")] = UNSET
    venue_margin_balance_usd: Annotated[OptFloats, unit("usd", "margin balance")] = UNSET
    venue_margin_used_usd: Annotated[OptFloats, unit("usd", "margin used")] = UNSET
    venue_margin_available_usd: Annotated[OptFloats, unit("usd", "margin available")] = UNSET
    venue_maker_volume: Annotated[OptFloats, unit("tao", "Mm size of the last 100 fills")] = UNSET
    venue_taker_volume: Annotated[OptFloats, unit("tao", "Exit + Hedge size of the last 100 fills")] = UNSET
    venue_fill_rate: Annotated[OptFloats, unit("frac", "fills / (fills + open orders)")] = UNSET
    venue_markout_ewma_usd_per_tao: Annotated[OptFloats, unit("usd/tao", "signed 5 s markout EWMA")] = UNSET

    # nested
    quote_levels: Annotated[list[QuoteLevel] | UnsetType | None, unit("-", "quotes, bid and ask a venue")] = UNSET
    orders: Annotated[list[Order] | UnsetType | None, unit("-", "intents and gateway answers")] = UNSET
    would_send_orders: Annotated[list[Order] | UnsetType | None, unit("-", "intents, at most 200")] = UNSET
    fills: Annotated[list[Fill] | UnsetType | None, unit("-", "executions")] = UNSET
    exits: Annotated[list[Exit] | UnsetType | None, unit("-", "exit decisions")] = UNSET
    hedges: Annotated[list[Hedge] | UnsetType | None, unit("-", "hedges")] = UNSET
    risk_events: Annotated[list[RiskEvent] | UnsetType | None, unit("-", "risk events")] = UNSET
    treasury_guidance: Annotated[TreasuryGuidance | UnsetType | None, unit("-", "treasury means")] = UNSET

    # conditional and live only
    kill_event: Annotated[KillEvent | UnsetType | None, unit("-", "state at the kill")] = UNSET
    reconcile_drift: Annotated[list[ReconcileDrift] | UnsetType | None, unit("-", "book differences")] = UNSET
    market_rx_stats: Annotated[MarketRxStats | UnsetType | None, unit("-", "market data counters")] = UNSET
    tick_timing: Annotated[TickTiming | UnsetType | None, unit("-", "time spent")] = UNSET

    # learning bridge
    obs_version: Annotated[OptInt, unit("-", "version of the observation, 1")] = UNSET
    action_version: Annotated[OptInt, unit("-", "version of the action, 1")] = UNSET
    policy_version: Annotated[OptStr, unit("-", "policy release")] = UNSET
    policy_action_raw: Annotated[OptJson, unit("-", "action proposed, as JSON text; always null so far")] = UNSET
    policy_action_applied: Annotated[OptJson, unit("-", "action applied, as JSON text; always null so far")] = UNSET
    reward_total: Annotated[OptFloat, unit("-", "pnl_delta + penalties - 0.01 x |q|")] = UNSET
    pnl_delta: Annotated[OptFloat, unit("usd", "change of pnl_total")] = UNSET
    delta_penalty: Annotated[OptFloat, unit("-", "delta part of the reward")] = UNSET
    basis_penalty: Annotated[OptFloat, unit("-", "basis part of the reward")] = UNSET
    drawdown_penalty: Annotated[OptFloat, unit("-", "drawdown part of the reward")] = UNSET
    tox_penalty: Annotated[OptFloat, unit("-", "toxicity part of the reward")] = UNSET
    turnover_penalty: Annotated[OptFloat, unit("-", "turnover part of the reward")] = UNSET
    kill_penalty: Annotated[OptFloat, unit("-", "-20.0 at the kill, else 0.0")] = UNSET
    episode_idx: Annotated[OptInt, unit("-", "episode number")] = UNSET
    episode_step_idx: Annotated[OptInt, unit("ticks", "step inside the episode, = t")] = UNSET
    episode_done: Annotated[OptBool, unit("-", "last step of the episode")] = UNSET
    done_reason: Annotated[OptStr, unit("-", "Running, KillSwitch or EndOfEpisode")] = UNSET


class McRun(Part):
    """One run of the Monte Carlo harness (`mc_runs.jsonl`); its fill rules differ from the simulator's."""

    schema_version: Annotated[Literal[1], unit("-", "version of the schema, always 1")]
    run_index: Annotated[Int64, unit("-", "global run index, strictly increasing in the file")]
    seed: Annotated[UInt64, unit("-", "base seed + run_index, unsigned 64 bit")]
    pnl_total: Annotated[float, unit("usd", "final total PnL")]
    max_drawdown: Annotated[float, unit("usd", "deepest fall from a peak, positive magnitude")]
    kill_switch: Annotated[bool, unit("-", "the kill switch latched")]
    kill_reason: Annotated[str, unit("-", "why; the text None while not killed")]
    ticks_executed: Annotated[Int64, unit("ticks", "completed ticks; the kill tick when killed")]
    kill_tick: Annotated[OptInt, unit("ticks", "tick of the kill; null when not killed")] = UNSET
    max_abs_delta_usd: Annotated[OptFloat, unit("usd", "peak |dollar delta|")] = UNSET
    max_abs_basis_usd: Annotated[OptFloat, unit("usd", "peak gross basis")] = UNSET
    max_abs_q_tao: Annotated[OptFloat, unit("tao", "peak |inventory|")] = UNSET
    max_venue_toxicity: Annotated[OptFloat, unit("frac", "peak toxicity")] = UNSET
