"""What the engine knows about one venue: position, open orders, retained fills, markouts, toxicity."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from paraphina_wh.reference_engine.fair_value import Volatility
from paraphina_wh.reference_engine.market import VENUE_IDS

RETAINED_FILLS = 100
MARKOUT_HORIZON_MS = 5000
TAKER_FEE_BPS = 5.0
MARGIN_AVAILABLE_USD = 10000.0
DIST_LIQ_SIGMA = 10.0

_TOXICITY_WARNING, _TOXICITY_DISABLED = 0.6, 0.9
_TOXICITY_ALPHA = 0.3
_TOXICITY_DECAY_PER_TICK = 0.999
_MARKOUT_ALPHA = 0.1
_TOXIC_MARKOUT_USD = 0.5  # an adverse markout of this size counts fully


class OpenOrder:
    """A resting quote of ours."""

    __slots__ = ("is_buy", "order_id", "placed_ms", "price_usd", "size_tao")

    def __init__(self, order_id: str, is_buy: bool, price_usd: float, size_tao: float, placed_ms: int) -> None:
        self.order_id, self.is_buy, self.placed_ms = order_id, is_buy, placed_ms
        self.price_usd, self.size_tao = price_usd, size_tao


class RetainedFill(NamedTuple):
    """One entry of the ring of the last 100 fills."""

    seq: int
    purpose: str
    size_tao: float


class Venue:
    """State of one venue; positions in TAO, prices in usd/tao."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.position_tao = self.entry_usd = 0.0
        self.bid: OpenOrder | None = None
        self.ask: OpenOrder | None = None
        self.next_fill_seq = 0
        self.toxicity = self.markout_ewma = 0.0
        self.maker_volume_tao = self.taker_volume_tao = 0.0
        self.abs_position_mean_tao = 0.0
        self.ring: deque[RetainedFill] = deque(maxlen=RETAINED_FILLS)
        self.volatility = Volatility()
        self._markouts_due: deque[tuple[int, float, float]] = deque()  # (due ms, sign, fill price)

    @property
    def venue_id(self) -> str:
        """Name of the venue."""
        return VENUE_IDS[self.index]

    @property
    def maker_fee_bps(self) -> float:
        """Hyperliquid is the cheaper one."""
        return 1.5 if self.index == 1 else 2.0

    @property
    def status(self) -> str:
        """Healthy, Warning or Disabled, by toxicity."""
        if self.toxicity >= _TOXICITY_DISABLED:
            return "Disabled"
        return "Warning" if self.toxicity >= _TOXICITY_WARNING else "Healthy"

    @property
    def fill_rate(self) -> float:
        """Retained fills / (retained fills + open orders)."""
        fills = len(self.ring)
        known = fills + (self.bid is not None) + (self.ask is not None)
        return fills / known if known else 0.0

    def apply_fill(self, signed_tao: float, price_usd: float, fee_bps: float) -> float:
        """Move the position at average entry price; return the realised PnL (usd), net of the fee."""
        held, fee_usd = self.position_tao, abs(signed_tao) * price_usd * fee_bps / 1e4
        after = held + signed_tao
        realised_usd = 0.0
        if held * signed_tao >= 0.0:
            self.entry_usd = (abs(held) * self.entry_usd + abs(signed_tao) * price_usd) / max(abs(after), 1e-12)
        else:
            closed_tao = min(abs(held), abs(signed_tao))
            realised_usd = closed_tao * (price_usd - self.entry_usd) * (1.0 if held > 0.0 else -1.0)
            if abs(signed_tao) > abs(held):
                self.entry_usd = price_usd
        self.position_tao = after if abs(after) >= 1e-9 else 0.0
        return realised_usd - fee_usd

    def retain(self, purpose: str, size_tao: float) -> int:
        """Put a fill into the ring and return its sequence number."""
        seq = self.next_fill_seq
        self.next_fill_seq += 1
        self.ring.append(RetainedFill(seq, purpose, size_tao))
        self.maker_volume_tao = sum((f.size_tao for f in self.ring if f.purpose == "Mm"), 0.0)
        self.taker_volume_tao = sum((f.size_tao for f in self.ring if f.purpose != "Mm"), 0.0)
        return seq

    def expect_markout(self, now_ms: int, sign: float, price_usd: float) -> None:
        """Judge a fill by the mid five seconds later; sign is +1 for a buy."""
        self._markouts_due.append((now_ms + MARKOUT_HORIZON_MS, sign, price_usd))

    def observe(self, now_ms: int, mid_usd: float) -> None:
        """Take in this tick's mid: volatility, and the markouts now due with the toxicity score they drive."""
        self.volatility.update(math.log(mid_usd))
        self.toxicity *= _TOXICITY_DECAY_PER_TICK
        while self._markouts_due and self._markouts_due[0][0] <= now_ms:
            _, sign, price_usd = self._markouts_due.popleft()
            markout_usd = sign * (mid_usd - price_usd)
            self.markout_ewma += _MARKOUT_ALPHA * (markout_usd - self.markout_ewma)
            adverse = min(1.0, max(0.0, -markout_usd / _TOXIC_MARKOUT_USD))
            self.toxicity += _TOXICITY_ALPHA * (adverse - self.toxicity)
