"""Exits and hedges: immediate orders that reduce the global inventory."""

from __future__ import annotations

from paraphina_wh.reference_engine.config import EngineConfig
from paraphina_wh.reference_engine.fair_value import FairValue
from paraphina_wh.reference_engine.market import Book
from paraphina_wh.reference_engine.orders import Entry, side_name
from paraphina_wh.reference_engine.quoting import LOT_TAO, floor_hundredth
from paraphina_wh.reference_engine.trading import Desk, touch_usd
from paraphina_wh.reference_engine.venue import DIST_LIQ_SIGMA, TAKER_FEE_BPS, Venue

_EXIT_DEPTH_SHARE = 0.2
_HEDGE_DEPTH_SHARE = 0.1
_MAX_HEDGE_VENUES = 2
_FRAG_PENALTY_USD = 0.05
_NO_FUNDING = -0.0  # the simulator knows no funding; the engine writes it with this sign


def run_exits(desk: Desk, fair: FairValue, books: list[Book]) -> None:
    """Take profit on venues whose position points the same way as the global one."""
    for venue, book in zip(desk.venues, books, strict=True):
        q_tao = desk.q_global_tao
        if not (abs(q_tao) >= LOT_TAO and venue.position_tao * q_tao > 0.0):
            continue
        is_buy = q_tao < 0.0
        price_usd = touch_usd(book, is_buy)
        profit_usd = (venue.entry_usd - price_usd) if is_buy else (price_usd - venue.entry_usd)
        edge = _exit_edge(desk, fair, venue, book, is_buy)
        size_tao = floor_hundredth(min(abs(venue.position_tao), abs(q_tao), _EXIT_DEPTH_SHARE * book.depth_tao))
        if profit_usd >= edge["edge_final"] and size_tao >= LOT_TAO:
            seqs = [fill.seq for fill in venue.ring if fill.purpose == "Mm"][:5]
            filled_tao = desk.take(venue, is_buy, price_usd, size_tao, "Exit")
            desk.exits.append(edge | _exit_identity(desk, venue, is_buy, size_tao, filled_tao, seqs))


def _exit_edge(desk: Desk, fair: FairValue, venue: Venue, book: Book, is_buy: bool) -> Entry:
    """Return the profit per TAO that an exit must reach, with its components (usd/tao)."""
    price_usd = touch_usd(book, is_buy)
    basis_usd = (fair.fair_usd - price_usd) if is_buy else (price_usd - fair.fair_usd)
    largest_tao = max(abs(other.position_tao) for other in desk.venues)
    components = {
        "basis_risk_penalty": -0.05 * basis_usd,
        "basis_term": basis_usd,
        "edge_threshold": 0.15 + 0.125 * fair.spread_mult,
        "fee_per_tao": TAKER_FEE_BPS / 1e4 * price_usd,
        "frag_penalty": 0.0 if abs(venue.position_tao) == largest_tao else _FRAG_PENALTY_USD,
        "funding_benefit_per_tao": _NO_FUNDING,
        "slippage_buffer": 0.1 * book.spread_usd,
        "vol_buffer": 0.5 * fair.sigma_eff * fair.fair_usd,
    }
    buffers_usd = components["slippage_buffer"] + components["vol_buffer"]
    raw_usd = components["edge_threshold"] + components["fee_per_tao"] + buffers_usd
    adjusted_usd = raw_usd - basis_usd - _NO_FUNDING
    return {
        "edge_components": components,
        "edge_final": adjusted_usd + components["frag_penalty"] + components["basis_risk_penalty"],
        "edge_funding_basis_adj": adjusted_usd,
        "edge_raw": raw_usd,
    }


def _exit_identity(
    desk: Desk, venue: Venue, is_buy: bool, size_tao: float, filled_tao: float, seqs: list[int]
) -> Entry:
    return {
        "entry_fill_seqs": seqs,
        "filled_size": filled_tao,
        "intended_size": size_tao,
        "risk_regime": desk.regime,
        "side": side_name(is_buy),
        "venue_id": venue.venue_id,
        "venue_index": venue.index,
    }


def run_hedges(desk: Desk, config: EngineConfig, fair: FairValue, books: list[Book]) -> None:
    """Trade a share of the inventory outside the no-hedge band away, on the cheapest venues first."""
    q_tao = desk.q_global_tao
    excess_tao = abs(q_tao) - config.hedge_band_base_tao
    if not excess_tao > 0.0:
        return
    is_buy = q_tao < 0.0
    left_tao = min(config.hedge_k * excess_tao, config.hedge_max_step_tao)
    costs = [_hedge_cost(config, fair, book, is_buy) for book in books]
    sent: list[tuple[Venue, float, float]] = []
    cheapest_first = sorted(range(len(costs)), key=lambda i: costs[i]["total_cost"])
    for index in cheapest_first[:_MAX_HEDGE_VENUES]:
        venue, book = desk.venues[index], books[index]
        size_tao = floor_hundredth(min(left_tao, _HEDGE_DEPTH_SHARE * book.depth_tao))
        if size_tao >= LOT_TAO:
            filled_tao = desk.take(venue, is_buy, touch_usd(book, is_buy), size_tao, "Hedge")
            sent.append((venue, size_tao, filled_tao))
            left_tao -= size_tao
    for venue, size_tao, filled_tao in sorted(sent, key=lambda item: item[0].index):
        basis_usd = books[venue.index].mid_usd - fair.fair_usd
        entry = _hedge_entry(desk, venue, is_buy, size_tao, filled_tao)
        desk.hedges.append(entry | {"basis_usd": basis_usd, "cost_components": costs[venue.index]})


def _hedge_cost(config: EngineConfig, fair: FairValue, book: Book, is_buy: bool) -> dict[str, float]:
    """Cost of hedging one TAO on a venue, usd/tao; a favourable basis lowers it."""
    price_usd = touch_usd(book, is_buy)
    exec_usd = book.spread_usd / 2.0 + TAKER_FEE_BPS / 1e4 * price_usd
    edge_usd = (fair.fair_usd - price_usd) if is_buy else (price_usd - fair.fair_usd)
    return {
        "basis_edge": edge_usd,
        "exec_cost": exec_usd,
        "frag_penalty": 0.0,
        "funding_benefit": _NO_FUNDING,
        "liq_penalty": 0.0,
        "total_cost": exec_usd - config.hedge_funding_weight * 0.0 - config.hedge_basis_weight * edge_usd,
    }


def _hedge_entry(desk: Desk, venue: Venue, is_buy: bool, size_tao: float, filled_tao: float) -> Entry:
    """Like the simulator's: taken after the hedges, so `pre_q_*` already holds them and `post_q_*` has them twice."""
    delta_tao = size_tao if is_buy else -size_tao
    q_tao = desk.q_global_tao
    return {
        "delta_h_v": delta_tao,
        "dist_liq_sigma": DIST_LIQ_SIGMA,
        "filled_size": filled_tao,
        "funding_8h": 0.0,
        "intended_size": size_tao,
        "post_q_t": q_tao + delta_tao,
        "post_q_v": venue.position_tao + delta_tao,
        "pre_q_t": q_tao,
        "pre_q_v": venue.position_tao,
        "side": side_name(is_buy),
        "venue_id": venue.venue_id,
        "venue_index": venue.index,
    }
