"""The engine's knobs: which environment variables it knows and which values it can read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, Literal

from paraphina_wh.errors import WarehouseError
from paraphina_wh.nearest import did_you_mean

KnobKind = Literal["float", "int", "flag", "profile", "text"]

PREFIX: Final = "PARAPHINA_"

# Source: the engine contract, section on environment knobs. An engine ignores names it does not know
# and values it cannot read, so both are refused here, before a sweep measures the wrong thing.
KNOBS: Final[Mapping[str, KnobKind]] = {
    "RISK_PROFILE": "profile",
    "INIT_Q_TAO": "float",  # TAO, signed
    "HEDGE_BAND_BASE": "float",  # TAO
    "HEDGE_MAX_STEP": "float",  # TAO per hedge
    "MM_SIZE_ETA": "float",
    "VOL_REF": "float",  # per day
    "DAILY_LOSS_LIMIT": "float",  # USD
    "TELEMETRY_MODE": "text",
    "TELEMETRY_PATH": "text",
    "TELEMETRY_APPEND": "flag",
    "HEDGE_K_HEDGE": "float",
    "HEDGE_FUNDING_WEIGHT": "float",
    "HEDGE_BASIS_WEIGHT": "float",
    "VOL_REF_CADENCE_SEC": "float",
    "SIGMA_MIN_CADENCE_SEC": "float",
    "MAIN_LOOP_INTERVAL_MS": "int",
    "HEDGE_LOOP_INTERVAL_MS": "int",
    "RISK_LOOP_INTERVAL_MS": "int",
    "FILL_AGG_INTERVAL_MS": "int",
    "ENABLE_FUNDING_MM": "flag",
    "ENABLE_FUNDING_HEDGE": "flag",
    "ENABLE_FUNDING_EXIT": "flag",
    "FUNDING_STALE_MS": "int",
    "FUNDING_AVOID_WINDOW_MS": "int",
    "CATASTROPHIC_STALE_MS": "int",
    "HL_STATE_STALE_MS_OVERRIDE": "int",
    "EXTENDED_STATE_STALE_MS_OVERRIDE": "int",
    "PARADEX_STATE_STALE_MS_OVERRIDE": "int",
    "TRADE_MODE": "text",
    "KILL_BEST_EFFORT": "flag",
    "RL_TELEMETRY_BRIDGE": "flag",
}

_PROFILES: Final = frozenset(
    {"conservative", "cons", "c", "balanced", "bal", "b", "aggressive", "agg", "a", "loose", "l", ""}
)  # empty: the default
_FLAGS: Final = frozenset({"1", "true", "0", "false"})
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INT: Final = re.compile(r"[+-]?[0-9]{1,19}")
_INT_MAX: Final = 2**63 - 1


def is_of_overlay(name: str) -> bool:
    """Tell whether a variable of the environment is part of what an engine is given.

    Every `PARAPHINA_*` is, known or not, but for the settings of this program.
    """
    return name.startswith(PREFIX) and not (name.startswith(f"{PREFIX}WH_") or name == f"{PREFIX}ENGINE")


def check_knobs(overlay: Mapping[str, object]) -> dict[str, str]:
    """Return the overlay as the engine will read it: full `PARAPHINA_*` names, values as text.

    Names are taken with or without the prefix. Flags come back in lower case.
    Raises: WarehouseError (exit code 2) on a name the engine does not know, a name given twice, and a
            value it would replace by its preset without stopping: not a number, not finite, padded.
    """
    checked: dict[str, str] = {}
    for given, value in overlay.items():
        name = _known_name(given)
        if PREFIX + name in checked:
            raise WarehouseError(f"knob {name} is set twice, with and without {PREFIX}", exit_code=2)
        checked[PREFIX + name] = _checked_text(name, value)
    return checked


def _known_name(given: str) -> str:
    name = given.removeprefix(PREFIX)
    if name in KNOBS:
        return name
    hint = did_you_mean(name, KNOBS, f"known knobs: {', '.join(KNOBS)}")
    raise WarehouseError(f"unknown engine knob {given!r}", hint, exit_code=2)


def _checked_text(name: str, value: object) -> str:
    kind = KNOBS[name]
    text = _as_text(name, value)
    if kind == "flag":
        text = text.lower()
    if not _readable(kind, text):
        raise WarehouseError(f"knob {name}: {text!r} is not {_EXPECTED[kind]}", exit_code=2)
    return text


def _as_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise WarehouseError(f"knob {name}: {value!r} is neither text nor a number", exit_code=2)


_EXPECTED: Final[Mapping[KnobKind, str]] = {
    "float": "a finite number (no white space around it)",
    "int": "an integer (no white space around it)",
    "flag": "one of 1, true, 0, false",
    "profile": "one of conservative, balanced, aggressive",
    "text": "text without NUL characters",
}


def _readable(kind: KnobKind, text: str) -> bool:
    if kind == "float":
        return bool(_FLOAT.fullmatch(text)) and math.isfinite(float(text))
    if kind == "int":
        return bool(_INT.fullmatch(text)) and abs(int(text)) <= _INT_MAX
    if kind == "flag":
        return text in _FLAGS
    if kind == "profile":
        return text.strip().lower() in _PROFILES
    return "\0" not in text
