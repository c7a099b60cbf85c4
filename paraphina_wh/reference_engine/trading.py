"""The trading desk: upkeep of our quotes, and fills with what they do to positions and PnL."""

from __future__ import annotations

from typing import NamedTuple

from paraphina_wh.reference_engine.market import Book, Taker
from paraphina_wh.reference_engine.orders import Entry, OrderLog, side_name
from paraphina_wh.reference_engine.quoting import LOT_TAO, Quote, Side, floor_hundredth
from paraphina_wh.reference_engine.venue import TAKER_FEE_BPS, OpenOrder, Venue

_MIN_QUOTE_LIFE_MS = 3000
_REPRICE_SHARE = 0.3  # of the half spread: smaller moves leave the quote where it is
_RESIZE_FACTOR = 2.0
_REPRICE_FLOOR_USD = 0.25


class Execution(NamedTuple):
    """A trade of ours, before it is booked."""

    venue: Venue
    is_buy: bool
    price_usd: float
    size_tao: float
    purpose: str  # Mm, Exit or Hedge
    order_id: str

    @property
    def fee_bps(self) -> float:
        """Quotes pay the maker fee, exits and hedges the taker fee."""
        return self.venue.maker_fee_bps if self.purpose == "Mm" else TAKER_FEE_BPS


class Desk:
    """Open quotes, executions waiting for the next fill batch, and the books of record."""

    def __init__(self, venues: list[Venue], seed: int) -> None:
        self.venues = venues
        self.log = OrderLog(seed)
        self.pnl_realised_usd = 0.0
        self._waiting: list[Execution] = []
        self.begin(0, 0, "Normal")

    def begin(self, t: int, now_ms: int, regime: str) -> None:
        """Start a tick."""
        self.now_ms, self.regime = now_ms, regime
        self.log.begin(t, regime)
        self.fills: list[Entry] = []
        self.exits: list[Entry] = []
        self.hedges: list[Entry] = []

    @property
    def q_global_tao(self) -> float:
        """Sum of the venue positions."""
        return sum((venue.position_tao for venue in self.venues), 0.0)

    def match(self, takers: list[Taker]) -> None:
        """Let takers hit our quotes; the executions wait for the next fill batch."""
        for taker in takers:
            venue = self.venues[taker.venue_index]
            order = venue.ask if taker.is_buy else venue.bid
            if order is None or (taker.limit_usd < order.price_usd) == taker.is_buy:
                continue
            size_tao = min(order.size_tao, floor_hundredth(taker.size_tao))
            self._waiting.append(Execution(venue, order.is_buy, order.price_usd, size_tao, "Mm", order.order_id))
            order.size_tao = floor_hundredth(order.size_tao - size_tao + LOT_TAO / 2.0)
            if order.size_tao < LOT_TAO:
                _set_order(venue, order.is_buy, None)

    def book_waiting(self) -> None:
        """Book the waiting executions: the fill batch."""
        for execution in self._waiting:
            self.book(execution)
        self._waiting.clear()

    def book(self, execution: Execution) -> None:
        """Apply one execution to position, PnL and the ring of fills, and write its fill entry."""
        venue, is_buy = execution.venue, execution.is_buy
        sign = 1.0 if is_buy else -1.0
        pre_q_v, pre_q_t = venue.position_tao, self.q_global_tao
        realised_usd = venue.apply_fill(sign * execution.size_tao, execution.price_usd, execution.fee_bps)
        self.pnl_realised_usd += realised_usd
        if execution.purpose == "Mm":
            venue.expect_markout(self.now_ms, sign, execution.price_usd)
        self.fills.append(
            {
                "client_order_id": execution.order_id,
                "fee_bps": execution.fee_bps,
                "fill_seq": venue.retain(execution.purpose, execution.size_tao),
                "fill_time_ms": self.now_ms,
                "markout_pnl_short": None,
                "order_id": execution.order_id,
                "post_q_t": self.q_global_tao,
                "post_q_v": venue.position_tao,
                "pre_q_t": pre_q_t,
                "pre_q_v": pre_q_v,
                "price": execution.price_usd,
                "purpose": execution.purpose,
                "realised_pnl_usd": realised_usd,
                "side": side_name(is_buy),
                "size": execution.size_tao,
                "venue_id": venue.venue_id,
                "venue_index": venue.index,
            }
        )

    def take(self, venue: Venue, is_buy: bool, price_usd: float, size_tao: float, purpose: str) -> float:
        """Trade at once against the book. Returns the size filled: all of it, or 0.0 after a reject."""
        order_id = self.log.take(venue, is_buy, price_usd, size_tao, purpose)
        if order_id is None:
            return 0.0
        self.book(Execution(venue, is_buy, price_usd, size_tao, purpose, order_id))
        return size_tao

    def keep_quotes(self, quotes: list[Quote]) -> None:
        """Place, replace or cancel so that the open orders follow the quotes."""
        for venue, quote in zip(self.venues, quotes, strict=True):
            tolerance_usd = max(_REPRICE_FLOOR_USD, _REPRICE_SHARE * quote.delta_final_usd)
            self._keep_side(venue, True, quote.bid, tolerance_usd)
            self._keep_side(venue, False, quote.ask, tolerance_usd)

    def cancel_everything(self) -> None:
        """The kill: withdraw all orders and drop the executions not yet booked."""
        self._waiting.clear()
        for venue in self.venues:
            self.log.cancel_all(venue)
            venue.bid = venue.ask = None

    def _keep_side(self, venue: Venue, is_buy: bool, side: Side, tolerance_usd: float) -> None:
        order = venue.bid if is_buy else venue.ask
        if side.size_tao <= 0.0:
            if order is not None:
                self.log.cancel(venue, order)
                _set_order(venue, is_buy, None)
            return
        if order is not None and not self._is_outdated(order, side, tolerance_usd):
            return
        order_id = self.log.quote(venue, is_buy, side.price_usd, side.size_tao, order)
        _set_order(venue, is_buy, OpenOrder(order_id, is_buy, side.price_usd, side.size_tao, self.now_ms))

    def _is_outdated(self, order: OpenOrder, side: Side, tolerance_usd: float) -> bool:
        if self.now_ms - order.placed_ms < _MIN_QUOTE_LIFE_MS:
            return False
        if abs(order.price_usd - side.price_usd) > tolerance_usd:
            return True
        return not 1.0 / _RESIZE_FACTOR <= side.size_tao / order.size_tao <= _RESIZE_FACTOR


def _set_order(venue: Venue, is_buy: bool, order: OpenOrder | None) -> None:
    if is_buy:
        venue.bid = order
    else:
        venue.ask = order


def touch_usd(book: Book, is_buy: bool) -> float:
    """The price at which an immediate order trades: the best ask or bid, rounded to the price tick."""
    half_usd = book.spread_usd / 2.0
    return floor_hundredth(book.mid_usd + half_usd if is_buy else book.mid_usd - half_usd)
