"""The verdict on a telemetry file by the document alone: slow, plain, and without a line of the reader's code.

Sections are those of the telemetry contract. The field tables are its sections 2 to 7 and 14 written out; JSON is
what Python's own parser takes, less what RFC 8259 does not know. Tests hold the strict reader against this.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

# Section 2.
_REQUIRED = {
    "schema_version": "one",
    "t": "int",
    "pnl_realised": "num",
    "pnl_unrealised": "num",
    "pnl_total": "num",
    "risk_regime": "regime",
    "kill_switch": "bool",
    "kill_reason": "str",
    "q_global_tao": "num",
    "dollar_delta_usd": "num",
    "basis_usd": "num",
}
# Sections 3 to 5: type -> names.
_PLAIN = {
    "bool": "fv_available would_send_orders_truncated",
    "num": "fair_value sigma_eff basis_gross_usd fv_short_vol fv_long_vol kf_x_hat kf_p regime_ratio "
    "shadow_vol_ratio shadow_spread_mult shadow_size_mult hedge_x_t hedge_delta_h_t",
    "int": "healthy_venues_used_count kf_last_update_ms would_send_orders_count",
    "str": "config_version_id execution_mode",
    "[num]": "venue_mid_usd venue_spread_usd venue_depth_near_mid_usd venue_toxicity venue_position_tao "
    "venue_dist_liq_sigma venue_funding_8h venue_funding_rate_8h venue_local_vol_short venue_local_vol_long "
    "venue_margin_balance_usd venue_margin_used_usd venue_margin_available_usd venue_maker_volume "
    "venue_taker_volume venue_fill_rate venue_markout_ewma_usd_per_tao",
    "[int]": "healthy_venues_used venue_age_ms venue_age_event_ms venue_funding_age_ms venue_funding_interval_sec "
    "venue_next_funding_ms",
    "[str]": "venue_status venue_funding_source venue_funding_status venue_funding_settlement_price_kind",
}
# Section 6: what the structs hold; "[x]" is a list of x, a name in capitals a struct.
_STRUCTS = {
    "QUOTE": {
        "int": "venue_index",
        "str": "venue_id side",
        "num": "price size_final s_tilde basis_adj_usd funding_adj_usd inventory_term_usd delta_final edge_local "
        "size_raw size_margin_cap size_liq_factor spread_mult size_mult",
    },
    "ORDER": {
        "int": "venue_index",
        "str": "action status venue_id side tif purpose risk_regime order_id client_order_id action_id reason",
        "num": "price size",
        "bool": "post_only reduce_only",
    },
    "FILL": {
        "int": "fill_seq venue_index fill_time_ms",
        "str": "venue_id order_id client_order_id side purpose",
        "num": "price size fee_bps pre_q_v post_q_v pre_q_t post_q_t realised_pnl_usd markout_pnl_short",
    },
    "EXIT": {
        "int": "venue_index",
        "str": "venue_id side risk_regime",
        "num": "intended_size filled_size edge_raw edge_funding_basis_adj edge_final",
        "[int]": "entry_fill_seqs",
        "EDGE": "edge_components",
    },
    "EDGE": {
        "num": "edge_threshold fee_per_tao slippage_buffer vol_buffer basis_term funding_benefit_per_tao "
        "frag_penalty basis_risk_penalty",
    },
    "HEDGE": {
        "int": "venue_index",
        "str": "venue_id side",
        "num": "delta_h_v intended_size filled_size pre_q_v post_q_v pre_q_t post_q_t funding_8h basis_usd "
        "dist_liq_sigma",
        "COST": "cost_components",
    },
    "COST": {"num": "exec_cost funding_benefit basis_edge liq_penalty frag_penalty total_cost"},
    "EVENT": {
        "str": "event_type from to risk_regime",
        "int": "timestamp_ms venue_index",
        "num": "value threshold",
    },
    "TREASURY": {
        "int": "cadence_ticks samples as_of_tick as_of_ms",
        "bool": "emit",
        "[MARGIN]": "venues",
        "[ADVICE]": "recommendations",
    },
    "MARGIN": {
        "int": "venue_index",
        "str": "venue_id",
        "num": "avg_margin_usage avg_abs_position_tao avg_funding_8h avg_funding_cost_usd_8h "
        "avg_margin_balance_usd avg_margin_used_usd",
    },
    "ADVICE": {
        "int": "venue_index",
        "str": "kind venue_id message",
        "num": "value threshold suggested_margin_usd suggested_position_tao",
    },
    # Section 7.
    "KILL": {
        "int": "timebase_id",
        "str": "kill_reason risk_regime config_version_id",
        "num": "delta_usd_t basis_b_t daily_pnl_total",
        "[num]": "per_venue_q per_venue_dist_liq_sigma",
        "[str]": "per_venue_status",
    },
    "DRIFT": {
        "int": "timestamp_ms venue_index",
        "str": "venue_id kind source",
        "num": "internal venue diff tolerance",
        "bool": "available",
    },
    "RX": {
        "int": "drained l2_delta l2_snapshot trade funding_update out_market out_l2_delta out_l2_snapshot out_trade "
        "out_funding_update cap_hits",
    },
    "TIMING": {"int": "reconcile_us event_drain_us engine_us submit_us total_us total_ms order_tx_pending"},
}
_NESTED = {
    "[QUOTE]": "quote_levels",
    "[ORDER]": "orders would_send_orders",
    "[FILL]": "fills",
    "[EXIT]": "exits",
    "[HEDGE]": "hedges",
    "[EVENT]": "risk_events",
    "TREASURY": "treasury_guidance",
    "KILL": "kill_event",
    "[DRIFT]": "reconcile_drift",
    "RX": "market_rx_stats",
    "TIMING": "tick_timing",
}
_BRIDGE = {
    "int": "obs_version action_version episode_idx episode_step_idx",
    "str": "policy_version done_reason",
    "any": "policy_action_raw policy_action_applied",
    "num": "reward_total pnl_delta delta_penalty basis_penalty drawdown_penalty tox_penalty turnover_penalty "
    "kill_penalty",
    "bool": "episode_done",
}
# Section 14.
_RUN_REQUIRED = {
    "schema_version": "one",
    "run_index": "int",
    "seed": "u64",
    "pnl_total": "num",
    "max_drawdown": "num",
    "kill_switch": "bool",
    "kill_reason": "str",
    "ticks_executed": "int",
}
_RUN_OPTIONAL = {
    "int": "kill_tick",
    "num": "max_abs_delta_usd max_abs_basis_usd max_abs_q_tao max_venue_toxicity",
}


def _spread(*tables: dict[str, str]) -> dict[str, str]:
    return {name: kind for table in tables for kind, names in table.items() for name in names.split()}


STRUCTS = {struct: _spread(table) for struct, table in _STRUCTS.items()}


@dataclass(frozen=True)
class Rules:
    """What one kind of file holds: field -> type, the required ones, and the field that must rise."""

    fields: dict[str, str]
    required: frozenset[str]
    index: str


TICKS = Rules({**_REQUIRED, **_spread(_PLAIN, _NESTED, _BRIDGE)}, frozenset(_REQUIRED), "t")
RUNS = Rules({**_RUN_REQUIRED, **_spread(_RUN_OPTIONAL)}, frozenset(_RUN_REQUIRED), "run_index")

# What the document leaves open, as docs/ingest.md states it.
LONGEST_LINE = 64 << 20
MOST_COMMAS_AND_BRACKETS = 1 << 20
DEEPEST = 256
_RANGE = {"int": (-(2**63), 2**63 - 1), "u64": (0, 2**64 - 1)}


@dataclass
class Opinion:
    """What the oracle says of a file.

    bad: (line, fields that are wrong, sorted; an empty name is the line as a whole). undeclared: what the rows hold.
    """

    rows: list[int] = field(default_factory=list)
    blank: int = 0
    bad: list[tuple[int, list[str]]] = field(default_factory=list)
    truncated: bool = False
    undeclared: list[list[str]] = field(default_factory=list)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object: all its pairs, in order."""


class _Rounded(float):
    """A number that a double does not hold, and that stands for none."""


class _Huge:
    """A number beyond the doubles."""


def opinion(content: bytes, rules: Rules = TICKS, longest: int = LONGEST_LINE) -> Opinion:
    """Judge a file line by line, as section 13 says."""
    found = Opinion()
    lines = content.split(b"\n")
    last: int | None = None
    for number, line in enumerate(lines, 1):
        is_tail = number == len(lines)
        if is_tail and not line:
            break
        if is_tail and line.endswith(b"\0"):
            # Section 11 knows no power loss: the file has grown, its last blocks never came.
            start = line.rstrip(b"\0").lstrip()
            found.truncated = not start or start.startswith(b"{")
            found.bad.append((number, [""]))
        elif len(line) > longest:
            found.bad.append((number, [""]))
        elif not line.strip():
            found.blank += 1
        else:
            last = _take(found, number, line, is_tail, rules, last)
    return found


def _take(found: Opinion, number: int, line: bytes, is_tail: bool, rules: Rules, last: int | None) -> int | None:
    """Enter one line and return the last valid index after it."""
    try:
        value = _parsed(line)
    except ValueError:
        # Section 11: a last line without newline that does not parse is cut off.
        found.truncated = is_tail and line.lstrip().startswith(b"{")
        found.bad.append((number, [""]))
        return last
    if value is None:
        found.bad.append((number, [""]))
        return last
    wrong = list(_record_errors(value, rules))
    index = None if rules.index in wrong else int(dict(value)[rules.index])
    if index is not None and last is not None and index <= last:
        wrong.append(rules.index)
    if wrong or index is None:
        found.bad.append((number, sorted(wrong)))
        return last
    found.rows.append(index)
    found.undeclared.append(sorted(_undeclared(value, rules.fields, "")))
    return index


def _parsed(line: bytes) -> _Pairs | None:
    """Return the object that a line holds, None when it is JSON and no record; ValueError: it is not JSON."""
    if sum(line.count(mark) for mark in (b"[", b"{", b",")) > MOST_COMMAS_AND_BRACKETS:
        return None
    if _depth(line) > DEEPEST:
        return None
    value = json.loads(
        line.decode("utf-8"),
        object_pairs_hook=_Pairs,
        parse_float=_number,
        parse_int=_number,
        parse_constant=_no_constant,
    )
    return value if isinstance(value, _Pairs) else None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _number(text: str) -> Any:
    """Return what a number is as a double would hold it: section 8."""
    if not math.isfinite(float(text)):
        return _Huge()
    if not any(mark in text for mark in ".eE"):
        return int(text)
    number = float(text)
    try:
        # What the digits say, or the shortest that lead to the same double.
        return number if Decimal(text) in (Decimal(number), Decimal(str(number))) else _Rounded(text)
    except InvalidOperation:
        # Zero, or next to it, with an exponent beyond all bounds.
        return _Rounded(text)


def _depth(line: bytes) -> int:
    """Return how many brackets are open at once at most, outside of strings."""
    deepest = depth = 0
    in_string = is_escaped = False
    for byte in line:
        char = chr(byte)
        if in_string:
            in_string = is_escaped or char != '"'
            is_escaped = char == "\\" and not is_escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _record_errors(record: _Pairs, rules: Rules) -> Iterator[str]:
    yield from (name for name in rules.required if name not in dict(record))
    yield from _object_errors(record, rules.fields, "", rules.required)


def _object_errors(
    pairs: _Pairs, fields: dict[str, str], prefix: str, required: frozenset[str] = frozenset()
) -> Iterator[str]:
    yield from _twice(pairs, prefix)
    for name, value in dict(pairs).items():
        if name not in fields:
            yield from _free_errors(value, path(prefix + name), name)
        elif value is not None or name in required:
            yield from _value_errors(value, fields[name], prefix + name)


def _twice(pairs: _Pairs, prefix: str) -> Iterator[str]:
    names = [name for name, _ in pairs]
    yield from (path(prefix + name) for name in dict(pairs) if names.count(name) > 1)


def _value_errors(value: Any, kind: str, at: str) -> Iterator[str]:
    if kind.startswith("["):
        if not isinstance(value, list) or isinstance(value, _Pairs):
            yield at
            return
        for place, item in enumerate(value):
            # Section 8: the engine writes null where a number of a list became non-finite.
            if item is not None or kind not in ("[num]", "[int]"):
                yield from _value_errors(item, kind[1:-1], f"{at}[{place}]")
    elif kind in STRUCTS:
        if isinstance(value, _Pairs):
            yield from _object_errors(value, STRUCTS[kind], f"{at}.")
        else:
            yield at
    elif kind == "any":
        yield from _free_errors(value, at)
    elif not _is_of(value, kind):
        yield at


def _is_of(value: Any, kind: str) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "one":
        return is_number and value == 1 and not isinstance(value, _Rounded)
    if kind == "regime":
        return value in ("Normal", "Warning", "HardLimit")
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "str":
        return isinstance(value, str) and _is_text(value)
    if kind == "num":
        return is_number
    if isinstance(value, _Rounded):
        # Not what the text says, were it kept as an integer.
        return False
    low, high = _RANGE[kind]
    return is_number and value == math.floor(value) and low <= value <= high


def _free_errors(value: Any, at: str, name: str = "") -> Iterator[str]:
    """Yield what cannot be carried through of a value that nobody declared."""
    if not _is_text(name) or isinstance(value, _Huge) or (isinstance(value, str) and not _is_text(value)):
        yield at
    elif isinstance(value, _Pairs):
        yield from _twice(value, f"{at}.")
        for inner, item in dict(value).items():
            yield from _free_errors(item, path(f"{at}.{inner}"), inner)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _free_errors(item, path(f"{at}[{place}]"))


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def path(name: str) -> str:
    """Return a path as it is reported: 200 characters of it, lone surrogates as escapes."""
    return (name[:200] + "…" * (len(name) > 200)).encode("utf-8", "backslashreplace").decode("utf-8")


def _undeclared(pairs: _Pairs, fields: dict[str, str], prefix: str) -> Iterator[str]:
    """Yield the paths of fields that the document does not list, below declared ones too."""
    for name, value in pairs:
        kind = fields.get(name)
        if kind is None:
            yield prefix + name
        elif kind in STRUCTS and value is not None:
            yield from _undeclared(value, STRUCTS[kind], f"{prefix}{name}.")
        elif kind.strip("[]") in STRUCTS and value is not None:
            for place, item in enumerate(value):
                yield from _undeclared(item, STRUCTS[kind.strip("[]")], f"{prefix}{name}[{place}].")
