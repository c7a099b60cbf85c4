"""What came of a repeated run, and the line that says it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from paraphina_wh.engine import EngineRunResult
from paraphina_wh.rerun.comparison import Comparison
from paraphina_wh.rerun.fields import FieldDifference
from paraphina_wh.rerun.replay import Replay

Verdict = Literal["identical", "different", "failed", "done"]
_LONGEST_VALUE = 80
_LONGEST_LINE = 200


@dataclass(frozen=True)
class Rerun:
    """A recorded run that was run again.

    verdict: `identical` or `different` when it was compared, `done` when not, `failed` when the engine failed now and
    had not before. error: how the engine failed now.
    recorded_sha256, sha256: of telemetry, of stdout for a run without.
    ticks_recorded, ticks_now, ticks_differing: None for a run without telemetry. t: the first differing tick;
    fields: what differs in it, at most 100, none when only one side has that tick. metrics: what differs in the way
    the engine ended and in what it said on stdout. kept: the files that stay, telemetry first, relative to ROOT where
    they lie below it.
    """

    run_id: str
    profile: str
    label: str
    verdict: Verdict
    error: str | None = None
    recorded_sha256: str | None = None
    sha256: str | None = None
    ticks_recorded: int | None = None
    ticks_now: int | None = None
    ticks_differing: int | None = None
    t: int | None = None
    fields: tuple[FieldDifference, ...] = ()
    metrics: tuple[FieldDifference, ...] = ()
    notes: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Tell whether the run did what was asked: it ended as before, and nothing differs."""
        return self.verdict in ("identical", "done")

    @property
    def detail(self) -> str:
        """Return what there is to say about the verdict, in a line."""
        if self.verdict == "failed":
            return self.error or ""
        if self.verdict == "identical":
            return self._identical()
        if self.verdict == "done":
            return ", ".join(filter(None, (self._ticks(), f"in {self.kept[0]}" if self.kept else "")))
        return self._first_tick() if self.ticks_differing else "; ".join(map(difference_text, self.metrics))

    def _identical(self) -> str:
        """Return what is the same: the bytes, by their hash, or else no more than the values that were compared."""
        if self.sha256 == self.recorded_sha256:
            return ", ".join(filter(None, (self._ticks(), f"sha256 {self.sha256}")))
        if self.ticks_recorded is None:
            return "ended as recorded; no output is stored to compare"
        if self.ticks_recorded == self.ticks_now:
            return f"{self.ticks_now} ticks compared, value by value"
        return f"{self.ticks_recorded} of {self.ticks_now} ticks compared, those that are stored"

    def _ticks(self) -> str:
        return "" if self.ticks_now is None else f"{self.ticks_now} ticks"

    def _first_tick(self) -> str:
        share = f"({self.ticks_differing} of {max(self.ticks_recorded or 0, self.ticks_now or 0)} ticks differ)"
        if self.fields:
            return f"first at t={self.t}: {difference_text(self.fields[0])} {share}"
        where = "" if self.t is None else f"first at t={self.t}: "
        return f"{where}recorded {self.ticks_recorded} ticks, now {self.ticks_now} {share}"


def difference_text(difference: FieldDifference) -> str:
    """Return a difference as text: `fills[0].price: recorded 250.1, now 250.2`."""
    return f"{difference.field}: recorded {_value(difference.recorded)}, now {_value(difference.now)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def rerun_of(replay: Replay, result: EngineRunResult, comparison: Comparison | None, kept: Sequence[str]) -> Rerun:
    """Return what came of a repeated run. comparison: None when it was not compared."""
    row = replay.recorded.row
    notes = [] if replay.is_same_engine else [f"run by another engine than the recorded one: {replay.engine.path}"]
    done = Rerun(row.run_id, row.profile, row.label, "done", kept=tuple(kept), notes=tuple(notes))
    if comparison is None:
        failed_anew = result.status != "ok" and row.status == "ok"
        return replace(done, verdict="failed", error=_failure(result)) if failed_anew else done
    ticks = comparison.ticks
    return replace(
        done,
        verdict="identical" if comparison.is_identical else "different",
        error=result.error,
        recorded_sha256=row.stdout_sha256 if ticks is None else row.source_sha256,
        sha256=comparison.sha256,
        ticks_recorded=ticks.recorded if ticks else None,
        ticks_now=ticks.now if ticks else None,
        ticks_differing=ticks.differing if ticks else None,
        t=ticks.t if ticks else None,
        fields=ticks.fields if ticks else (),
        metrics=comparison.metrics,
        notes=(*notes, *comparison.notes),
    )


def _failure(result: EngineRunResult) -> str:
    """Return why a run failed, with the last line that the engine wrote to stderr."""
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()] if result.returncode > 0 else []
    return f"{result.error} ({lines[-1][:_LONGEST_LINE]})" if lines else str(result.error)
