"""The random market: one common price, five order books around it, and the takers who trade against us.

Nothing here depends on what the engine does, and the generator is the market's own: two runs with the same seed and
interval see the same prices and the same takers whatever their knobs, so that a knob's effect is visible.
Noise is a sum of uniforms, not a Gaussian: plain arithmetic gives the same bytes on every platform.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

VENUE_IDS = ("extended", "hyperliquid", "aster", "lighter", "paradex")

START_PRICE_USD = 250.0
_MIN_PRICE_USD, _MAX_PRICE_USD = 5.0, 1e6
_BOOK_REFRESH_PROBABILITY = 0.5
_TREND_AFTER_CALM = 0.8
_SHOCK_AFTER_TREND = 0.3
_BASIS_MEMORY = 0.97
_BASIS_NOISE_USD = 0.02


class _Phase(NamedTuple):
    """A stretch of market behaviour. Lengths are drawn between half and one and a half times the mean."""

    mean_length_s: float
    drift_usd_per_s: float
    noise_usd_per_sqrt_s: float
    takers_per_s: float  # per venue
    reach_usd: float  # how far past the best price the median taker goes
    buy_share: float  # of takers, when the drift is upwards


_CALM = _Phase(60.0, 0.0, 0.018, 0.7, 0.6, 0.5)
_TREND = _Phase(70.0, 0.31, 0.030, 0.4, 0.8, 0.87)
_SHOCK = _Phase(5.0, 2.4, 0.150, 1.0, 3.0, 0.9)


class Book:
    """Top of one venue's book."""

    __slots__ = ("basis_usd", "depth_tao", "fresh", "mid_usd", "spread_usd")

    def __init__(self, mid_usd: float, spread_usd: float, depth_tao: float, basis_usd: float) -> None:
        self.mid_usd, self.spread_usd = mid_usd, spread_usd
        self.depth_tao = depth_tao  # at the best bid, and as much at the best ask
        self.fresh = True  # refreshed on this tick
        self.basis_usd = basis_usd  # distance of the venue's true price from the common price


class Taker(NamedTuple):
    """An aggressive order on one venue: trades with our quote there if that is within its limit price."""

    venue_index: int
    is_buy: bool
    limit_usd: float
    size_tao: float


class Market:
    """Books and takers, one step per tick."""

    def __init__(self, seed: int, tick_s: float) -> None:
        self._rng = Random(2 * seed)
        self._tick_s = tick_s
        self._price_usd = START_PRICE_USD + self._noise()
        self._phase = _CALM
        self._sign = self._strength = 1.0
        self._phase_left_s = self._length_s(_CALM)
        self.books = [self._first_book(i) for i in range(len(VENUE_IDS))]
        self.takers: list[Taker] = []

    def step(self) -> None:
        """Move the price, refresh about half of the books, and let takers arrive."""
        self._advance_phase()
        phase = self._phase
        drift_usd = self._sign * self._strength * phase.drift_usd_per_s * self._tick_s
        noise_usd = phase.noise_usd_per_sqrt_s * self._tick_s**0.5 * self._noise()
        # Moves are meant at the start price and scale with the price. The bounds only matter for absurd intervals.
        moved_usd = self._price_usd * (1.0 + (drift_usd + noise_usd) / START_PRICE_USD)
        self._price_usd = min(_MAX_PRICE_USD, max(_MIN_PRICE_USD, moved_usd))
        self.takers = []
        for index, book in enumerate(self.books):
            self._refresh(index, book)
            self._maybe_taker(index, book)

    def _noise(self) -> float:
        """Mean 0, variance 1, between -3 and 3."""
        draw = self._rng.random
        return 2.0 * (draw() + draw() + draw() - 1.5)

    def _length_s(self, phase: _Phase) -> float:
        return phase.mean_length_s * (0.5 + self._rng.random())

    def _advance_phase(self) -> None:
        self._phase_left_s -= self._tick_s
        if self._phase_left_s > 0.0:
            return
        draw = self._rng.random
        if self._phase is _CALM:
            self._phase = _TREND if draw() < _TREND_AFTER_CALM else _SHOCK
            self._sign = 1.0 if draw() < 0.5 else -1.0
            self._strength = 0.3 + 2.2 * draw() ** 2
        elif self._phase is _TREND and draw() < _SHOCK_AFTER_TREND:
            self._phase = _SHOCK  # the trend ends in a run in its own direction
        else:
            self._phase, self._strength = _CALM, 1.0
        self._phase_left_s = self._length_s(self._phase)

    def _first_book(self, index: int) -> Book:
        basis_usd = 0.1 * self._noise()
        return Book(self._price_usd + basis_usd, 0.40 + 0.02 * index, 1.0, basis_usd)

    def _refresh(self, index: int, book: Book) -> None:
        draw = self._rng.random
        book.basis_usd = _BASIS_MEMORY * book.basis_usd + _BASIS_NOISE_USD * self._noise()
        book.fresh = draw() < _BOOK_REFRESH_PROBABILITY
        if book.fresh:
            book.mid_usd = self._price_usd + book.basis_usd
            book.spread_usd = (0.30 + 0.02 * index) * (1.0 + 0.5 * draw())
            book.depth_tao = 1.0 + 3.0 * draw()

    def _maybe_taker(self, index: int, book: Book) -> None:
        phase, draw = self._phase, self._rng.random
        if draw() >= phase.takers_per_s * self._tick_s:
            return
        is_buy = (draw() < phase.buy_share) == (self._sign > 0.0)
        u = draw()
        reach_usd = book.spread_usd / 2.0 + self._strength * phase.reach_usd * u / (1.02 - u)
        limit_usd = self._price_usd + book.basis_usd + (reach_usd if is_buy else -reach_usd)
        self.takers.append(Taker(index, is_buy, limit_usd, 2.0 + 18.0 * draw() ** 2))
