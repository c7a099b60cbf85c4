"""Fair value: a one-dimensional Kalman filter over the logarithms of the venue mids, and what follows from it."""

from __future__ import annotations

import math

from paraphina_wh.reference_engine.config import EngineConfig
from paraphina_wh.reference_engine.market import Book

_PROCESS_VARIANCE_PER_TICK = 1.0e-8
_OBSERVATION_VARIANCE = 1.0e-7
_OUTLIER_GATE = 0.01  # mids further than this from the filter state (log price) are ignored; widens until found again
_MIN_VENUES = 2
_SIGMA_MIN = 0.001  # volatility floor over the floor's cadence
_RATIO_MIN, _RATIO_MAX = 0.25, 4.0
_SHORT_ALPHA, _LONG_ALPHA = 0.2, 0.05


class Volatility:
    """Short and long EWMA volatility of log returns, fractions per tick; 0.0 before the second price."""

    __slots__ = ("_last_log", "_long_variance", "_short_variance", "long", "short")

    def __init__(self) -> None:
        self._last_log: float | None = None
        self._short_variance = self._long_variance = 0.0
        self.short = self.long = 0.0

    def update(self, log_price: float) -> None:
        """Take the next log price."""
        if self._last_log is not None:
            squared = (log_price - self._last_log) ** 2
            self._short_variance += _SHORT_ALPHA * (squared - self._short_variance)
            self._long_variance += _LONG_ALPHA * (squared - self._long_variance)
            self.short = math.sqrt(self._short_variance)
            self.long = math.sqrt(self._long_variance)
        self._last_log = log_price


class FairValue:
    """Filtered fair price (usd/tao), effective volatility, and the multipliers derived from it."""

    def __init__(self, config: EngineConfig, books: list[Book]) -> None:
        tick_s = config.main_loop_interval_ms / 1000.0
        self._vol_ref = config.vol_ref_daily * math.sqrt(tick_s / config.vol_ref_cadence_s)
        self._sigma_min = _SIGMA_MIN * math.sqrt(tick_s / config.sigma_min_cadence_s)
        self.x_hat = math.log(sum(book.mid_usd for book in books) / len(books))
        self.p = 0.002
        self.fair_usd = math.exp(self.x_hat)
        self.available = False
        self._misses = 0  # consecutive ticks without a usable price
        self.volatility = Volatility()
        self.sigma_eff = self._sigma_min
        self.vol_ratio = _RATIO_MIN
        self.spread_mult = self.size_mult = 1.0

    def update(self, books: list[Book]) -> None:
        """Filter this tick's fresh books; without two usable ones the price stays and its variance grows."""
        self.p += _PROCESS_VARIANCE_PER_TICK
        logs = [math.log(book.mid_usd) for book in books if book.fresh]
        gate = _OUTLIER_GATE * (1 + self._misses) ** 2
        usable = [z for z in logs if abs(z - self.x_hat) <= gate]
        self.available = len(usable) >= _MIN_VENUES
        self._misses = 0 if self.available else self._misses + 1
        if self.available:
            for z in usable:
                gain = self.p / (self.p + _OBSERVATION_VARIANCE)
                self.x_hat += gain * (z - self.x_hat)
                self.p *= 1.0 - gain
            self.fair_usd = math.exp(self.x_hat)
        self.volatility.update(self.x_hat)
        self._update_multipliers()

    def _update_multipliers(self) -> None:
        self.sigma_eff = max(self.volatility.short, self._sigma_min)
        self.vol_ratio = min(_RATIO_MAX, max(_RATIO_MIN, self.sigma_eff / self._vol_ref))
        self.spread_mult = max(1.0, self.vol_ratio)
        self.size_mult = 1.0 / (1.0 + 2.0 * (self.spread_mult - 1.0))
