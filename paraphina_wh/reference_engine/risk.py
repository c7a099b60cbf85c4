"""Limits, regime, kill switch and the edge-triggered risk events."""

from __future__ import annotations

from typing import Any, NamedTuple

from paraphina_wh.reference_engine.config import EngineConfig
from paraphina_wh.reference_engine.venue import Venue

BASIS_LIMIT_USD = 10000.0

Event = dict[str, Any]


class _Measure(NamedTuple):
    """How much of one limit is used, in USD. A loss is used as a positive number and reported as a negative one."""

    name: str
    kill_reason: str
    used_usd: float
    limit_usd: float
    warn_share: float
    reported_sign: float = 1.0

    @property
    def is_hard(self) -> bool:
        return self.used_usd >= self.limit_usd

    @property
    def is_warn(self) -> bool:
        return self.used_usd >= self.warn_share * self.limit_usd


class Risk:
    """Regime and kill switch, which change on risk-loop ticks only, and events, which are tested on every tick."""

    def __init__(self, config: EngineConfig, *, loss_kills: bool) -> None:
        self._config = config
        self._loss_kills = loss_kills
        self.delta_limit_usd = config.delta_limit_usd_base
        self.regime = "Normal"
        self.kill_switch = False
        self.kill_reason = "None"
        self._recorded_regime: str | None = None
        self._active: set[tuple[str, int]] = set()

    def evaluate(self, vol_ratio: float, delta_usd: float, basis_usd: float, pnl_total_usd: float) -> None:
        """Run the risk loop: scale the delta limit, set the regime, and kill on the first hard breach."""
        self.delta_limit_usd = self._config.delta_limit_usd_base / vol_ratio
        measures = self._measures(delta_usd, basis_usd, pnl_total_usd)
        hard = [m.kill_reason for m in measures if m.is_hard]
        self.regime = "HardLimit" if hard else "Warning" if any(m.is_warn for m in measures) else "Normal"
        fatal = [reason for reason in hard if self._loss_kills or reason != "PnlHardBreach"]
        if fatal:
            self.kill_switch, self.kill_reason = True, fatal[0]

    def events(
        self, now_ms: int, delta_usd: float, basis_usd: float, pnl_total_usd: float, venues: list[Venue]
    ) -> list[Event]:
        """Return the events of this tick; to be called once per tick, when its state is final."""
        found = self._state_events()
        for m in self._measures(delta_usd, basis_usd, pnl_total_usd):
            sign = m.reported_sign
            for level, share, breached in (("warn", m.warn_share, m.is_warn), ("hard", 1.0, m.is_hard)):
                event_type = f"{m.name}_{level}_breach"
                if self._rises(event_type, 0, breached):
                    threshold_usd = sign * share * m.limit_usd
                    found.append(_event(event_type, value=sign * m.used_usd, threshold=threshold_usd))
        for venue in venues:
            if self._rises("venue_disabled", venue.index, venue.status == "Disabled"):
                found.append(_event("venue_disabled", venue_index=venue.index))
        return [event | {"timestamp_ms": now_ms} for event in found]

    def _measures(self, delta_usd: float, basis_usd: float, pnl_total_usd: float) -> tuple[_Measure, ...]:
        """In the order of kill priority. (The last one, distance to liquidation, is constant in the simulator.)"""
        loss_limit_usd = self._config.daily_loss_limit_usd
        return (
            _Measure("pnl", "PnlHardBreach", -pnl_total_usd, loss_limit_usd, 0.5, reported_sign=-1.0),
            _Measure("delta", "DeltaHardBreach", abs(delta_usd), self.delta_limit_usd, 0.7),
            _Measure("basis", "BasisHardBreach", abs(basis_usd), BASIS_LIMIT_USD, 0.7),
        )

    def _state_events(self) -> list[Event]:
        found = []
        before, self._recorded_regime = self._recorded_regime, self.regime
        if before not in (None, self.regime):
            found.append(_event("risk_regime_transition", **{"from": before, "to": self.regime}))
        if self._rises("kill_switch_activation", 0, self.kill_switch):
            found.append(_event("kill_switch_activation", risk_regime=self.regime))
        return found

    def _rises(self, event_type: str, venue_index: int, condition: bool) -> bool:
        """True on the tick where the condition becomes true; re-armed when it clears."""
        key = (event_type, venue_index)
        rises = condition and key not in self._active
        if condition:
            self._active.add(key)
        else:
            self._active.discard(key)
        return rises


def _event(event_type: str, **extra: Any) -> Event:
    return {"event_type": event_type, **extra}
