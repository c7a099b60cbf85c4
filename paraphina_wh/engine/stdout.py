"""What an engine's stdout says: the summary metrics and the banner.

Source: the engine contract, sections on output and on parsing stdout.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from paraphina_wh.engine.capture import GAP

# A number, `+-0.00` (how the engine prints negative zero), or what it prints for a non-finite value.
# The possessive `++` gives no digit back, so hostile input costs linear time.
_NUMBER: Final = r"(\+-0(?:\.0++)?+|[+-]?+[0-9]++(?:\.[0-9]++)?+|[+-]?+(?:nan|inf))"
_PNL: Final = re.compile(
    r"Daily PnL \(realised\s*+/\s*+unrealised\s*+/\s*+total\):\s*+"
    rf"{_NUMBER}\s*+/\s*+{_NUMBER}\s*+/\s*+{_NUMBER}(?!\S)",
    re.IGNORECASE,
)
# "Kill switch active at tick 36 - ..." has no `:` or `=` before a truth value, so it never counts.
_KILL: Final = re.compile(r"Kill\s*+switch(?:\s++active)?\s*+[:=]\s*+(true|false)\b", re.IGNORECASE)

_BANNER: Final = re.compile(r"^paraphina \|([^\r\n]*+)\r?\n", re.MULTILINE)
_BANNER_FIELD: Final = {
    "cfg": re.compile(r"\S+"),
    "cfg_hash": re.compile(r"0x[0-9a-f]{16}"),
    "profile": re.compile(r"[A-Za-z]+"),
    "ticks": re.compile(r"[0-9]{1,20}"),
    "seed": re.compile(r"[0-9]{1,20}"),
}
_KILL_TICK: Final = re.compile(r"^Kill switch active at tick ([0-9]{1,20}) - ", re.MULTILINE)
_KILL_REASON: Final = re.compile(r"^Kill reason: (\w+)\r?$", re.MULTILINE)
_RISK_REGIME: Final = re.compile(r"^Risk regime: (Normal|Warning|HardLimit)\r?$", re.MULTILINE)

# What a PnL line starts with, whatever its numbers look like.
_PNL_WORDS: Final = re.compile(r"Daily\s++PnL\s*+[(:=][^\n]*+", re.IGNORECASE)
_LONGEST_SHOWN: Final = 200
# What colours, moves or clears on a terminal: control sequences, operating system commands, other escapes.
_ESCAPE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)|\x1b[ -/]*+[0-~]",
)


class _Pnl(NamedTuple):
    realised: float
    unrealised: float
    total: float


@dataclass(frozen=True)
class StdoutSummary:
    """Everything machine-readable on an engine's stdout; what is missing there is None.

    pnl_*: US dollars; None as well when one of the three is not finite.
    ticks_requested, kill_tick: ticks. profile: lower case. seed: None when the run had none.
    has_summary: a PnL line was found. non_finite: that line holds NaN or an infinity.
    unreadable: the last PnL line when it is none that can be read, as with grouped digits; its start, when it is long.
    coloured: escape sequences of a terminal were taken out to read the rest.
    """

    cfg_version: str | None
    cfg_hash: str | None
    profile: str | None
    ticks_requested: int | None
    seed: int | None
    kill_tick: int | None
    kill_reason: str | None
    risk_regime: str | None
    pnl_realised: float | None
    pnl_unrealised: float | None
    pnl_total: float | None
    kill_switch: bool | None
    has_summary: bool
    non_finite: bool
    unreadable: str | None = None
    coloured: bool = False


def problem_of_summary(found: StdoutSummary) -> str | None:
    """Return why a stdout gives no PnL, None when it does."""
    if found.unreadable and not found.has_summary:
        return f"the PnL summary on stdout cannot be read: {found.unreadable}"
    if not found.has_summary:
        return "no PnL summary on stdout"
    return "non-finite PnL on stdout" if found.non_finite else None


def _plain(stdout: str) -> str:
    """Return a text without what steers a terminal, a line for each time that one starts."""
    return _ESCAPE.sub("", stdout).replace("\r\n", "\n").replace("\r", "\n")


def parse_metrics(stdout: str) -> dict[str, float | bool]:
    """Return `pnl_realised`, `pnl_unrealised`, `pnl_total` (US dollars) and `kill_switch`.

    The last PnL line and the last kill line win, each on its own. Without a PnL line, or with one that is
    not finite, all three amounts are NaN; without a kill line `kill_switch` is False. Of a text with bytes left out
    only what follows them counts.
    """
    end = _end(_plain(stdout))
    pnl = _last_pnl(end)
    if pnl is None or not _finite(pnl):
        pnl = _Pnl(math.nan, math.nan, math.nan)
    return {
        "pnl_realised": pnl.realised,
        "pnl_unrealised": pnl.unrealised,
        "pnl_total": pnl.total,
        "kill_switch": _last_kill(end) or False,
    }


def parse_stdout(stdout: str) -> StdoutSummary:
    """Return all that the stdout says about the run: banner, kill, regime and summary.

    Of a text with bytes left out, all but the banner is read from what follows them.
    """
    coloured = _ESCAPE.search(stdout) is not None
    stdout = _plain(stdout)
    banner = _banner(stdout)
    ticks, seed = banner.get("ticks"), banner.get("seed")
    end = _end(stdout)
    kill_tick = _last(_KILL_TICK, end)
    pnl = _last_pnl(end)
    amounts = pnl if pnl is not None and _finite(pnl) else None
    return StdoutSummary(
        cfg_version=banner.get("cfg"),
        cfg_hash=banner.get("cfg_hash"),
        profile=banner["profile"].lower() if "profile" in banner else None,
        ticks_requested=int(ticks) if ticks else None,
        seed=int(seed) if seed else None,
        kill_tick=int(kill_tick) if kill_tick else None,
        kill_reason=_last(_KILL_REASON, end),
        risk_regime=_last(_RISK_REGIME, end),
        pnl_realised=amounts.realised if amounts else None,
        pnl_unrealised=amounts.unrealised if amounts else None,
        pnl_total=amounts.total if amounts else None,
        kill_switch=_last_kill(end),
        has_summary=pnl is not None,
        non_finite=pnl is not None and amounts is None,
        unreadable=_unreadable(end),
        coloured=coloured,
    )


def _end(stdout: str) -> str:
    """Return what follows the bytes left out, if any were: the last summary may have been among them."""
    gap = _last_match(GAP, stdout)
    return stdout[gap.end() - 1 :] if gap else stdout  # its bracket stays: what follows it begins no line


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    match = _last_match(pattern, text)
    return match[1] if match else None


def _last_pnl(stdout: str) -> _Pnl | None:
    match = _last_match(_PNL, stdout)
    return _Pnl(*(float(number.replace("+-", "+")) for number in match.groups())) if match else None


def _unreadable(stdout: str) -> str | None:
    words, read = _last_match(_PNL_WORDS, stdout), _last_match(_PNL, stdout)
    if words is None or (read is not None and read.start() >= words.start()):
        return None
    return words[0].rstrip()[:_LONGEST_SHOWN]


def _finite(pnl: _Pnl) -> bool:
    return all(map(math.isfinite, pnl))


def _last_kill(stdout: str) -> bool | None:
    value = _last(_KILL, stdout)
    return value.lower() == "true" if value else None


def _banner(stdout: str) -> dict[str, str]:
    """Return the well-formed fields of the first banner line, by their names there."""
    line = _BANNER.search(stdout)
    if line is None:
        return {}
    pairs = (part.strip().partition("=") for part in line[1].split("|"))
    return {name: value for name, _, value in pairs if name in _BANNER_FIELD and _BANNER_FIELD[name].fullmatch(value)}
