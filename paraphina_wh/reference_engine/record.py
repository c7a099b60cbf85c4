"""One tick -> one line of telemetry JSON: keys in alphabetical order, compact, shortest round-trip floats.

A record has some 300 numbers, most of them in the quote levels and venue arrays. Encoding it as a dict would cost
more than the whole simulation, so the fixed shape is one template per part, filled with `%r` (which writes a float as
JSON wants it); only the lists of varying length (orders, fills, ...) go through the json module. The rare extra fields
(kill event, learning bridge) are merged by decoding the finished line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from paraphina_wh.reference_engine.config import CONFIG_VERSION
from paraphina_wh.reference_engine.market import VENUE_IDS
from paraphina_wh.reference_engine.quoting import Quote, Side
from paraphina_wh.reference_engine.simulator import Simulator
from paraphina_wh.reference_engine.venue import DIST_LIQ_SIGMA, MARGIN_AVAILABLE_USD

MAX_INTENTS = 200
GUIDANCE_CADENCE_TICKS = 60

_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
# The repr of a non-finite float, and what the json module writes for it, where a value stands.
_NON_FINITE = re.compile(r"(?<=[:,\[])-?(?:nan|inf|NaN|Infinity)(?=[,\]}])")


def _per_venue(value: object) -> str:
    return _encode([value] * len(VENUE_IDS))


_RECORD = (
    '{"basis_gross_usd":%r,"basis_usd":%r,"config_version_id":"' + CONFIG_VERSION + '","dollar_delta_usd":%r,'
    '"execution_mode":"strategy","exits":%s,"fair_value":%r,"fills":%s,"fv_available":%s,"fv_long_vol":%r,'
    '"fv_short_vol":%r,"healthy_venues_used":[],"healthy_venues_used_count":0,"hedge_delta_h_t":%r,'
    '"hedge_x_t":%r,"hedges":%s,"kf_last_update_ms":%d,"kf_p":%r,"kf_x_hat":%r,"kill_reason":"%s",'
    '"kill_switch":%s,"orders":%s,"pnl_realised":%r,"pnl_total":%r,"pnl_unrealised":%r,"q_global_tao":%r,'
    '"quote_levels":[%s],"regime_ratio":%r,"risk_events":%s,"risk_regime":"%s","schema_version":1,'
    '"shadow_size_mult":%r,"shadow_spread_mult":%r,"shadow_vol_ratio":%r,"sigma_eff":%r,"t":%d,'
    '"treasury_guidance":%s,%s,"would_send_orders":%s,"would_send_orders_count":%d,'
    '"would_send_orders_truncated":%s}'
)
_LEVEL = (
    '{{"basis_adj_usd":%r,"delta_final":%r,"edge_local":%r,"funding_adj_usd":0.0,"inventory_term_usd":%r,'
    '"price":%r,"s_tilde":%r,"side":"{side}","size_final":%r,"size_liq_factor":1.0,"size_margin_cap":%r,'
    '"size_mult":%r,"size_raw":%r,"spread_mult":%r,"venue_id":"{venue_id}","venue_index":{index}}}'
)
_LEVELS = [
    (_LEVEL.format(side="Bid", venue_id=venue_id, index=i), _LEVEL.format(side="Ask", venue_id=venue_id, index=i))
    for i, venue_id in enumerate(VENUE_IDS)
]
_ARRAYS = (
    f'"venue_age_event_ms":{_per_venue(0)},"venue_age_ms":{_per_venue(-1)},"venue_depth_near_mid_usd":%s,'
    f'"venue_dist_liq_sigma":{_per_venue(DIST_LIQ_SIGMA)},"venue_fill_rate":%s,"venue_funding_8h":{_per_venue(0.0)},'
    f'"venue_funding_age_ms":{_per_venue(None)},"venue_funding_interval_sec":{_per_venue(None)},'
    f'"venue_funding_rate_8h":{_per_venue(None)},"venue_funding_settlement_price_kind":{_per_venue("Unknown")},'
    f'"venue_funding_source":{_per_venue("Unknown")},"venue_funding_status":{_per_venue("Unknown")},'
    '"venue_local_vol_long":%s,"venue_local_vol_short":%s,"venue_maker_volume":%s,'
    f'"venue_margin_available_usd":{_per_venue(MARGIN_AVAILABLE_USD)},"venue_margin_balance_usd":{_per_venue(0.0)},'
    f'"venue_margin_used_usd":{_per_venue(0.0)},"venue_markout_ewma_usd_per_tao":%s,"venue_mid_usd":%s,'
    f'"venue_next_funding_ms":{_per_venue(None)},"venue_position_tao":%s,"venue_spread_usd":%s,"venue_status":%s,'
    '"venue_taker_volume":%s,"venue_toxicity":%s'
)
_GUIDANCE = (
    '{"as_of_ms":%d,"as_of_tick":%d,"cadence_ticks":' + str(GUIDANCE_CADENCE_TICKS) + ',"emit":%s,'
    '"recommendations":[],"samples":%d,"venues":['
    + ",".join(
        '{"avg_abs_position_tao":%r,"avg_funding_8h":0.0,"avg_funding_cost_usd_8h":0.0,'
        '"avg_margin_balance_usd":0.0,"avg_margin_usage":0.0,"avg_margin_used_usd":0.0,'
        f'"venue_id":"{venue_id}","venue_index":{index}}}'
        for index, venue_id in enumerate(VENUE_IDS)
    )
    + "]}"
)


class RecordWriter:
    """Renders the ticks of one run; holds what a record needs from earlier ticks (the bridge's peak and last PnL)."""

    def __init__(self, sim: Simulator, ticks: int, *, bridge: bool) -> None:
        self._sim = sim
        self._last_tick = ticks - 1
        self._bridge = bridge
        self._last_pnl_usd = self._peak_pnl_usd = 0.0

    def render(self) -> str:
        """Return the record of the simulator's current tick, without its newline."""
        line = _base_record(self._sim)
        extra: dict[str, Any] = {}
        if self._sim.risk.kill_switch:
            extra["kill_event"] = _kill_event(self._sim)
        if self._bridge:
            extra |= self._bridge_fields()
        if extra:
            line = _encode(json.loads(_without_non_finite(line)) | extra)
        return _without_non_finite(line)

    def _bridge_fields(self) -> dict[str, Any]:
        """The fields of the learning bridge; the episode is the run."""
        sim = self._sim
        killed = sim.risk.kill_switch
        pnl_delta = sim.pnl_total_usd - self._last_pnl_usd
        self._last_pnl_usd = sim.pnl_total_usd
        self._peak_pnl_usd = max(self._peak_pnl_usd, sim.pnl_total_usd)
        parts = {
            "pnl_delta": pnl_delta,
            "delta_penalty": -0.5 * abs(sim.dollar_delta_usd) / sim.config.delta_limit_usd_base,
            "basis_penalty": -0.5 * abs(sim.basis_usd) / 10000.0,
            "drawdown_penalty": -2.0 * (self._peak_pnl_usd - sim.pnl_total_usd) / 4000.0,
            "tox_penalty": -0.1 * sum(v.toxicity for v in sim.venues) / len(sim.venues),
            "kill_penalty": -20.0 if killed else 0.0,
        }
        done = killed or sim.t == self._last_tick
        return {
            **parts,
            "obs_version": 1,
            "action_version": 1,
            "policy_version": "heuristic-v1.0.0",
            "policy_action_raw": None,
            "policy_action_applied": None,
            "turnover_penalty": 0.0,
            "reward_total": sum(parts.values()) - 0.01 * abs(sim.q_global_tao),
            "episode_idx": 0,
            "episode_step_idx": sim.t,
            "episode_done": done,
            "done_reason": "KillSwitch" if killed else "EndOfEpisode" if done else "Running",
        }


def _base_record(sim: Simulator) -> str:
    fair, desk, risk = sim.fair, sim.desk, sim.risk
    intents, orders = desk.log.sorted_entries()
    fills = sorted(desk.fills, key=lambda fill: (fill["fill_seq"], fill["venue_index"]))
    return _RECORD % (
        sim.basis_gross_usd, sim.basis_usd, sim.dollar_delta_usd, _encode(desk.exits), fair.fair_usd, _encode(fills),
        _bool(fair.available), fair.volatility.long, fair.volatility.short,
        sum((hedge["delta_h_v"] for hedge in desk.hedges), 0.0), sim.q_global_tao, _encode(desk.hedges),
        sim.now_ms, fair.p, fair.x_hat, risk.kill_reason, _bool(risk.kill_switch), _encode(orders),
        sim.pnl_realised_usd, sim.pnl_total_usd, sim.pnl_unrealised_usd, sim.q_global_tao, _quote_levels(sim),
        fair.vol_ratio, _encode(sim.risk_events), risk.regime, fair.size_mult, fair.spread_mult, fair.vol_ratio,
        fair.sigma_eff, sim.t, _guidance(sim), _venue_arrays(sim), _encode(intents[:MAX_INTENTS]), len(intents),
        _bool(len(intents) > MAX_INTENTS),
    )  # fmt: skip


def _quote_levels(sim: Simulator) -> str:
    levels = []
    for quote, (bid_template, ask_template) in zip(sim.quotes, _LEVELS, strict=True):
        levels.append(_level(bid_template, quote, quote.bid, sim))
        levels.append(_level(ask_template, quote, quote.ask, sim))
    return ",".join(levels)


def _level(template: str, quote: Quote, side: Side, sim: Simulator) -> str:
    return template % (
        quote.basis_adj_usd, quote.delta_final_usd, side.edge_usd, quote.inventory_term_usd, side.price_usd,
        quote.s_tilde_usd, side.size_tao, side.margin_cap_tao, sim.fair.size_mult, side.size_raw_tao,
        sim.fair.spread_mult,
    )  # fmt: skip


def _venue_arrays(sim: Simulator) -> str:
    venues, books = sim.venues, sim.market.books
    return _ARRAYS % (
        _floats(2.0 * book.mid_usd * book.depth_tao for book in books),
        _floats(v.fill_rate for v in venues),
        _floats(v.volatility.long for v in venues),
        _floats(v.volatility.short for v in venues),
        _floats(v.maker_volume_tao for v in venues),
        _floats(v.markout_ewma for v in venues),
        _floats(book.mid_usd for book in books),
        _floats(v.position_tao for v in venues),
        _floats(book.spread_usd for book in books),
        # Never Healthy or Warning: the simulator sets no freshness stamp, so an enabled venue always looks stale.
        _encode(["Disabled" if v.status == "Disabled" else "Stale" for v in venues]),
        _floats(v.taker_volume_tao for v in venues),
        _floats(v.toxicity for v in venues),
    )


def _guidance(sim: Simulator) -> str:
    emit = _bool(sim.t % GUIDANCE_CADENCE_TICKS == 0)
    means = [v.abs_position_mean_tao for v in sim.venues]
    return _GUIDANCE % (sim.now_ms, sim.t, emit, sim.t + 1, *means)


def _kill_event(sim: Simulator) -> dict[str, Any]:
    return {
        "basis_b_t": sim.basis_usd,
        "config_version_id": CONFIG_VERSION,
        "daily_pnl_total": sim.pnl_total_usd,
        "delta_usd_t": sim.dollar_delta_usd,
        "kill_reason": sim.risk.kill_reason,
        "per_venue_dist_liq_sigma": [DIST_LIQ_SIGMA for _ in sim.venues],
        "per_venue_q": [v.position_tao for v in sim.venues],
        "per_venue_status": [v.status for v in sim.venues],
        "risk_regime": sim.risk.regime,
        "timebase_id": sim.t,
    }


def _floats(values: Iterable[float]) -> str:
    return "[" + ",".join(map(repr, values)) + "]"


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _without_non_finite(line: str) -> str:
    """JSON has no NaN and no infinity: the engine writes null instead."""
    suspect = "nan" in line or "inf" in line or "NaN" in line or "Infinity" in line
    return _NON_FINITE.sub("null", line) if suspect else line
