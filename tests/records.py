"""A good telemetry record, and lines made of it with edits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

GOOD: Mapping[str, Any] = {
    "schema_version": 1,
    "t": 0,
    "pnl_realised": 1.5,
    "pnl_unrealised": -0.5,
    "pnl_total": 1.0,
    "risk_regime": "Normal",
    "kill_switch": False,
    "kill_reason": "None",
    "q_global_tao": -2.0,
    "dollar_delta_usd": -500.0,
    "basis_usd": 0.0,
    "fv_available": True,
    "fair_value": 250.0,
    "healthy_venues_used_count": 0,
    "healthy_venues_used": [],
    "config_version_id": "v0.1.6",
    "venue_mid_usd": [250.5, 249.5],
    "venue_status": ["Stale", "Stale"],
    "venue_funding_age_ms": [None, None],
    "fills": [{"fill_seq": 0, "venue_id": "extended", "side": "Buy", "price": 250.0, "size": 1.0, "pre_q_v": None}],
    "exits": [{"venue_index": 0, "entry_fill_seqs": [0], "edge_components": {"fee_per_tao": 0.1}}],
    "orders": [{"action": "cancel", "side": None, "post_only": None}],
    "treasury_guidance": {"emit": True, "venues": [{"venue_id": "extended", "avg_margin_usage": 0.0}]},
    "policy_action_raw": None,
}

MC_RUN: Mapping[str, Any] = {
    "schema_version": 1,
    "run_index": 0,
    "seed": 2**64 - 1,
    "pnl_total": -3.5,
    "max_drawdown": 4.0,
    "kill_switch": False,
    "kill_tick": None,
    "kill_reason": "None",
    "ticks_executed": 10,
}

MISSING = object()


def record(edits: Mapping[str, Any] | None = None, base: Mapping[str, Any] = GOOD, **more: Any) -> dict[str, Any]:
    """Return a good record with some top-level fields replaced, or left out where the value is MISSING."""
    changed = {**base, **(edits or {}), **more}
    return {name: value for name, value in changed.items() if value is not MISSING}


def line(edits: Mapping[str, Any] | None = None, base: Mapping[str, Any] = GOOD, **more: Any) -> bytes:
    """Return such a record as a line of JSON, with its newline."""
    return json.dumps(record(edits, base, **more), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def edited(old: str, new: str | bytes, **more: Any) -> bytes:
    """Return a good line with one piece of its text replaced."""
    before = line(**more)
    assert before.count(old.encode()) == 1, old
    return before.replace(old.encode(), new.encode() if isinstance(new, str) else new)


def run_of(ticks: int) -> bytes:
    """Return a good run of some ticks."""
    before, after = line(t=-1).split(b'"t":-1')
    return b"".join(b'%b"t":%d%b' % (before, t, after) for t in range(ticks))
