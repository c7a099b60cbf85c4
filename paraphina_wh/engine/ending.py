"""How a run ended, as far as what it left proves it: one definition, whoever ran it and whichever way it comes in.

An exit code says little: an engine exits 0 also when a full disk took but a part of the telemetry.
Source: the engine contract, sections on output and on parsing stdout; the telemetry contract, life of the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from paraphina_wh.engine.stdout import StdoutSummary, problem_of_summary
from paraphina_wh.sidecar import Sidecar
from paraphina_wh.telemetry.reader import End


@dataclass(frozen=True)
class Asked:
    """What a run was asked for, as its sidecar or its plan tell it; None where nothing does."""

    ticks: int | None = None
    seed: int | None = None


NOTHING_ASKED = Asked()


def asked_of(sidecar: Sidecar) -> Asked:
    """Return what a run with this sidecar was asked for."""
    return Asked(sidecar.ticks, sidecar.seed)


@dataclass(frozen=True)
class Left:
    """What the telemetry of a run tells of its end.

    records: lines that were written to their end, bad ones too. end: the last of them; None when that is a bad line,
    or when a line that is cut off comes after it. killed: a record has the kill switch on. cut_off: the last line is.
    """

    records: int
    end: End | None
    killed: bool
    cut_off: bool = False


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    problem: why it is no good run; None when nothing speaks against it.
    known_by: what proves that it is whole: `summary` of stdout, `kill` in the last record, `ticks`, as many records
    as were asked for; None when nothing does.
    stdout_agrees: the summary is the last record to the cent; None when there is nothing to compare.
    """

    problem: str | None = None
    known_by: str | None = None
    stdout_agrees: bool | None = None


def ending_of(asked: Asked, said: StdoutSummary | None, left: Left | None) -> Ending:
    """Return how a run ended. said: None without stdout; left: None for a run without telemetry."""
    ticks = _ticks(asked, said)
    problems = [*filter(None, [problem_of_summary(said) if said else None])]
    problems += _unasked(asked, said) if said else ()
    problems += _missing(ticks, left) if left else ()
    contradictions = [*_contradictions(said, left)] if said and left else []
    is_comparable = said and said.pnl_total is not None and left and left.end
    return Ending(
        problem="; ".join([*problems, *contradictions]) or None,
        known_by=None if problems or contradictions else _known_by(ticks, said, left),
        stdout_agrees=not contradictions if is_comparable else None,
    )


def asks_for_nothing(asked: Asked, said: StdoutSummary | None) -> bool:
    """Tell whether a run has no ticks to tell of: an engine then opens no telemetry."""
    return _ticks(asked, said) == 0


def _ticks(asked: Asked, said: StdoutSummary | None) -> int | None:
    return asked.ticks if asked.ticks is not None else said.ticks_requested if said else None


def _unasked(asked: Asked, said: StdoutSummary) -> Iterator[str]:
    """Yield what the banner names and the run was not asked for: the stdout, or the plan, is of another run."""
    for name, wanted, found in (
        ("ticks", asked.ticks, said.ticks_requested),
        ("seed", asked.seed, said.seed),
    ):
        if wanted is not None and found is not None and wanted != found:
            yield f"the banner on stdout says {name}={found}, the run was asked for {name}={wanted}"


def _missing(ticks: int | None, left: Left) -> Iterator[str]:
    """Yield what the telemetry lacks, or has too much, of the ticks that were asked for."""
    if ticks is not None and left.records > ticks:
        yield f"{left.records} telemetry records where {ticks} ticks were asked for"
    elif ticks is not None and left.records < ticks and not left.killed:
        yield f"telemetry ends after {left.records} of {ticks} ticks, without a kill"
    if left.end is None and not left.cut_off:
        yield "the last telemetry record is bad: how the run ended is lost"


def _contradictions(said: StdoutSummary, left: Left) -> Iterator[str]:
    """Yield what stdout and telemetry both tell, and tell differently."""
    if said.kill_switch is not None and said.kill_switch != left.killed:
        yield f"stdout says kill switch {_word(said.kill_switch)}, telemetry {_word(left.killed)}"
    elif left.killed and said.kill_tick is not None and said.kill_tick + 1 != left.records:
        yield f"stdout tells of a kill at tick {said.kill_tick}, telemetry has {left.records} records"
    if left.end is None:
        return
    for name, printed, exact in (
        ("total", said.pnl_total, left.end.pnl_total),
        ("realised", said.pnl_realised, left.end.pnl_realised),
        ("unrealised", said.pnl_unrealised, left.end.pnl_unrealised),
    ):
        if printed is not None and not _is_rounded(exact, printed):
            yield f"{name} PnL {printed:.2f} on stdout, {exact!r} in the last telemetry record"


def _is_rounded(exact: float, printed: float) -> bool:
    """Tell whether a number may be printed so with two decimals.

    Reading what is printed rounds it to a double once more; where doubles lie further apart than cents (beyond 10^13)
    it gives back the number itself.
    """
    return abs(exact - printed) <= 0.005 + min(2 * math.ulp(max(abs(exact), abs(printed))), 0.004)


def _known_by(ticks: int | None, said: StdoutSummary | None, left: Left | None) -> str | None:
    if left and left.cut_off:
        return None
    if said:
        return "summary"
    if left and left.killed:
        return "kill"
    return "ticks" if left and ticks == left.records else None


def _word(flag: bool) -> str:
    return "on" if flag else "off"
