"""The two-sided quotes of every venue: the terms of each price and the steps of each size."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from paraphina_wh.reference_engine.config import EngineConfig
from paraphina_wh.reference_engine.fair_value import FairValue
from paraphina_wh.reference_engine.market import Book
from paraphina_wh.reference_engine.venue import MARGIN_AVAILABLE_USD, Venue

LOT_TAO = 0.01

_BASIS_WEIGHT = 0.3
_BASE_HALF_SPREAD_USD = 0.35
_INVENTORY_GAMMA = 6000.0
_INVENTORY_HORIZON_S = 30.0
_MAX_QUOTE_TAO = 6.0
_LEVERAGE, _MARGIN_SAFETY = 10.0, 0.5


class Side(NamedTuple):
    """One side of a venue's quote; all zero when not quoted."""

    price_usd: float = 0.0
    size_tao: float = 0.0
    edge_usd: float = 0.0
    size_raw_tao: float = 0.0
    margin_cap_tao: float = 0.0


_NOT_QUOTED = Side()


class Quote(NamedTuple):
    """Both sides of one venue and the terms they share, usd/tao."""

    basis_adj_usd: float
    inventory_term_usd: float
    s_tilde_usd: float
    bid: Side
    ask: Side

    @property
    def delta_final_usd(self) -> float:
        """Half of the quoted spread, 0.0 unless both sides are quoted."""
        bid, ask = self.bid.price_usd, self.ask.price_usd
        return (ask - bid) / 2.0 if bid > 0.0 and ask >= bid else 0.0


class QuotingLimits(NamedTuple):
    """What the risk state allows on this tick."""

    may_quote: bool
    size_factor: float  # 1.0, less in the Warning regime
    may_buy: bool
    may_sell: bool


def floor_hundredth(value: float) -> float:
    """Round down to the price tick (0.01 usd) or the lot (0.01 TAO), which are equal; NaN and infinities give NaN."""
    return value * 100.0 // 1.0 / 100.0


def make_quote(
    config: EngineConfig, fair: FairValue, venue: Venue, book: Book, q_global_tao: float, limits: QuotingLimits
) -> Quote:
    """Return this tick's quote of one venue."""
    fair_usd = fair.fair_usd
    basis_adj_usd = _BASIS_WEIGHT * (book.mid_usd - fair_usd)
    risk_aversion = _INVENTORY_GAMMA * fair.sigma_eff**2 * _INVENTORY_HORIZON_S
    inventory_term_usd = risk_aversion * q_global_tao
    s_tilde_usd = max(fair_usd, 1.0) + basis_adj_usd + 0.0 - inventory_term_usd
    bid = ask = _NOT_QUOTED
    if not limits.may_quote or venue.status == "Disabled":
        return Quote(basis_adj_usd, inventory_term_usd, s_tilde_usd, bid, ask)
    half_usd = (book.spread_usd / 2.0 + _BASE_HALF_SPREAD_USD) * fair.spread_mult
    cost_usd = venue.maker_fee_bps / 1e4 * fair_usd
    size_factor = fair.size_mult * limits.size_factor
    if limits.may_buy:
        price_usd = floor_hundredth(s_tilde_usd - half_usd)
        bid = _side(price_usd, fair_usd - price_usd - cost_usd, config.mm_size_eta, size_factor)
    if limits.may_sell:
        price_usd = floor_hundredth(s_tilde_usd + half_usd)
        ask = _side(price_usd, price_usd - fair_usd - cost_usd, config.mm_size_eta, size_factor)
    return Quote(basis_adj_usd, inventory_term_usd, s_tilde_usd, bid, ask)


def _side(price_usd: float, edge_usd: float, size_eta: float, size_factor: float) -> Side:
    """Quote one side if its edge is positive and at least one lot is left of it."""
    if not (0.0 < price_usd < inf and edge_usd > 0.0):
        return _NOT_QUOTED
    size_raw_tao = edge_usd / size_eta
    margin_cap_tao = MARGIN_AVAILABLE_USD * _LEVERAGE * _MARGIN_SAFETY / price_usd
    size_tao = floor_hundredth(min(size_raw_tao * size_factor, margin_cap_tao, _MAX_QUOTE_TAO))
    if not size_tao >= LOT_TAO:
        return _NOT_QUOTED
    return Side(price_usd, size_tao, edge_usd, size_raw_tao, margin_cap_tao)
