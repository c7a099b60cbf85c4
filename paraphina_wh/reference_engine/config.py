"""Profiles, environment knobs and the config hash.

Precedence: profile preset < environment knob. No knob has a flag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

CONFIG_VERSION = "reference-0.1.0"
PREFIX = "PARAPHINA_"
PROFILES = ("conservative", "balanced", "aggressive")

_ALIASES = {
    **dict.fromkeys(("conservative", "cons", "c"), "conservative"),
    **dict.fromkeys(("balanced", "bal", "b"), "balanced"),
    **dict.fromkeys(("aggressive", "agg", "a", "loose", "l"), "aggressive"),
}
_FLOAT_TEXT = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
_INT_TEXT = re.compile(r"[+-]?[0-9]+")

Value = float | int | bool | None


class EngineConfig(NamedTuple):
    """The effective configuration: exactly what the config hash covers. Field order = order of the dump."""

    profile: str
    hedge_band_base_tao: float
    mm_size_eta: float
    delta_limit_usd_base: float
    daily_loss_limit_usd: float
    vol_ref_daily: float = 0.028125
    init_q_tao: float = 0.0
    hedge_max_step_tao: float = 20.0
    hedge_k: float = 0.5
    hedge_funding_weight: float = 0.20
    hedge_basis_weight: float = 0.20
    vol_ref_cadence_s: float = 86400.0
    sigma_min_cadence_s: float = 86400.0
    main_loop_interval_ms: int = 250
    hedge_loop_interval_ms: int = 500
    risk_loop_interval_ms: int = 3000
    fill_agg_interval_ms: int = 1000
    enable_funding_mm: bool = False
    enable_funding_hedge: bool = False
    enable_funding_exit: bool = False
    funding_stale_ms: int = 600000
    funding_avoid_window_ms: int = 60000
    catastrophic_stale_ms: int = 120000
    hl_state_stale_ms: int = 2000
    extended_state_stale_ms: int | None = None
    paradex_state_stale_ms: int = 3000

    def hash_hex(self) -> str:
        """64-bit FNV-1a of the dump, 16 hex digits: equal for equal profile and knobs, whatever the seed or ticks."""
        dump = CONFIG_VERSION + "".join(f"|{name}={value!r}" for name, value in self._asdict().items())
        digest = 0xCBF29CE484222325
        for byte in dump.encode():
            digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        return f"{digest:016x}"


_PRESETS = {
    "conservative": EngineConfig("conservative", 2.62125, 0.0466, 46600.0, 2000.0),
    "balanced": EngineConfig("balanced", 5.625, 0.10, 100000.0, 5000.0),
    "aggressive": EngineConfig("aggressive", 4.86, 0.0864, 86400.0, 2000.0),
}


class _Knob(NamedTuple):
    """One environment variable: its field, how its text is read, how the value is clamped."""

    env: str
    field: str
    parse: Callable[[str], Value]
    type_name: str = "f64"


def _float_knob(env: str, field: str, clamp: Callable[[float], float] = float) -> _Knob:
    def parse(text: str) -> float:
        if not _FLOAT_TEXT.fullmatch(text):
            raise ValueError(text)
        return clamp(float(text))

    return _Knob(env, field, parse)


def _int_knob(env: str, field: str, minimum: int) -> _Knob:
    def parse(text: str) -> int:
        # The length guard keeps int() away from texts that no 64-bit number has.
        if not _INT_TEXT.fullmatch(text) or len(text) > 40 or not -(2**63) <= int(text) < 2**63:
            raise ValueError(text)
        return max(minimum, int(text))

    return _Knob(env, field, parse, "i64")


def _bool_knob(env: str, field: str) -> _Knob:
    return _Knob(env, field, is_on)


def is_on(text: str) -> bool:
    """True for `1` and `true`; any other text is false."""
    return text.lower() in ("1", "true")


def _at_least(minimum: float) -> Callable[[float], float]:
    return lambda value: max(minimum, value)  # in this order a NaN becomes the minimum


_KNOBS = (
    _float_knob("INIT_Q_TAO", "init_q_tao"),
    _float_knob("HEDGE_BAND_BASE", "hedge_band_base_tao", _at_least(0.0)),
    _float_knob("HEDGE_MAX_STEP", "hedge_max_step_tao", _at_least(0.0)),
    _float_knob("MM_SIZE_ETA", "mm_size_eta", _at_least(1e-6)),
    _float_knob("VOL_REF", "vol_ref_daily", _at_least(1e-6)),
    _float_knob("DAILY_LOSS_LIMIT", "daily_loss_limit_usd", abs),
    _float_knob("HEDGE_K_HEDGE", "hedge_k", lambda value: min(1.0, max(0.0, value))),
    _float_knob("HEDGE_FUNDING_WEIGHT", "hedge_funding_weight"),
    _float_knob("HEDGE_BASIS_WEIGHT", "hedge_basis_weight"),
    _float_knob("VOL_REF_CADENCE_SEC", "vol_ref_cadence_s", _at_least(1e-3)),
    _float_knob("SIGMA_MIN_CADENCE_SEC", "sigma_min_cadence_s", _at_least(1e-3)),
    _int_knob("MAIN_LOOP_INTERVAL_MS", "main_loop_interval_ms", 1),
    _int_knob("HEDGE_LOOP_INTERVAL_MS", "hedge_loop_interval_ms", 1),
    _int_knob("RISK_LOOP_INTERVAL_MS", "risk_loop_interval_ms", 1),
    _int_knob("FILL_AGG_INTERVAL_MS", "fill_agg_interval_ms", 1),
    _bool_knob("ENABLE_FUNDING_MM", "enable_funding_mm"),
    _bool_knob("ENABLE_FUNDING_HEDGE", "enable_funding_hedge"),
    _bool_knob("ENABLE_FUNDING_EXIT", "enable_funding_exit"),
    _int_knob("FUNDING_STALE_MS", "funding_stale_ms", 0),
    _int_knob("FUNDING_AVOID_WINDOW_MS", "funding_avoid_window_ms", 0),
    _int_knob("CATASTROPHIC_STALE_MS", "catastrophic_stale_ms", 0),
    _int_knob("HL_STATE_STALE_MS_OVERRIDE", "hl_state_stale_ms", 0),
    _int_knob("EXTENDED_STATE_STALE_MS_OVERRIDE", "extended_state_stale_ms", 0),
    _int_knob("PARADEX_STATE_STALE_MS_OVERRIDE", "paradex_state_stale_ms", 0),
)


def load_config(profile_flag: str | None, environ: Mapping[str, str]) -> tuple[EngineConfig, list[str]]:
    """Return the effective configuration and the stderr lines that tell how it came about, in order."""
    profile, lines = _choose_profile(profile_flag, environ)
    config = _PRESETS[profile]
    for knob in _KNOBS:
        text = environ.get(PREFIX + knob.env)
        if text is not None:
            config, line = _apply(knob, text, config)
            lines.append(line)
    return config, lines


def _choose_profile(profile_flag: str | None, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    if profile_flag is not None:
        return profile_flag, [f"effective_risk_profile={profile_flag} source=cli"]
    text = environ.get(PREFIX + "RISK_PROFILE", "").strip()
    if not text:
        return "balanced", ["effective_risk_profile=balanced source=default"]
    profile = _ALIASES.get(text.lower())
    if profile is None:
        warning = f"[config] WARN: unknown {PREFIX}RISK_PROFILE = {_quoted(text)}; using default balanced"
        return "balanced", [warning, "effective_risk_profile=balanced source=default"]
    return profile, [f"effective_risk_profile={profile} source=env"]


def _apply(knob: _Knob, text: str, config: EngineConfig) -> tuple[EngineConfig, str]:
    name = PREFIX + knob.env
    try:
        value = knob.parse(text)
    except ValueError:
        default = _plain(getattr(config, knob.field))
        why = f"could not parse {name} = {_quoted(text)} as {knob.type_name}"
        return config, f"[config] WARN: {why}; using default {default}"
    changed = config._replace(**{knob.field: value})  # type: ignore[arg-type]
    return changed, f"[config] {name} = {_plain(value)} (overrode default)"


def _plain(value: Value) -> str:
    """The value as the engine prints it: no exponent, no trailing `.0`, lower-case booleans."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "unset"
    if value != value:
        return "NaN"
    text = repr(value)
    if "e" in text:
        from decimal import Decimal  # rare, and slow to load

        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
