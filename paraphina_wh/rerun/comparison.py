"""A repeated run against what the warehouse holds of it: how it ended, what it said, and its ticks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paraphina_wh.engine import EngineRunResult
from paraphina_wh.ingest.rows import identity_row
from paraphina_wh.ingest.task import Task
from paraphina_wh.ledger import LedgerRow
from paraphina_wh.rerun.fields import FieldDifference
from paraphina_wh.rerun.recorded import Recorded
from paraphina_wh.rerun.ticks import TicksComparison, compare_ticks
from paraphina_wh.warehouse import Warehouse

# What an engine says of itself on stdout, as `runs` keeps it.
_SAID = (
    "cfg_version",
    "cfg_hash",
    "stdout_pnl_realised",
    "stdout_pnl_unrealised",
    "stdout_pnl_total",
    "stdout_kill_switch",
    "stdout_kill_reason",
    "stdout_kill_tick",
    "stdout_risk_regime",
)


@dataclass(frozen=True)
class Comparison:
    """What differs between a recorded run and its repetition.

    sha256: of the repeated telemetry, of stdout for a run without. ticks: None for a run without telemetry.
    metrics: what differs in the way the engine ended and in what it said on stdout.
    """

    sha256: str | None
    ticks: TicksComparison | None
    metrics: tuple[FieldDifference, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Tell whether nothing differs."""
        return not self.metrics and (self.ticks is None or not self.ticks.differing)


def compare(warehouse: Warehouse, recorded: Recorded, result: EngineRunResult, stdout: Path) -> Comparison:
    """Compare a repeated run, whose telemetry and stdout still lie where it wrote them, with the recorded one.

    Telemetry decides, with the metrics of stdout and the way the engine ended; for a run without telemetry, the text
    of stdout too. Unfinished files lie beside the telemetry.
    Raises: WarehouseError when the recorded ticks are not where they should be.
    """
    task = _task(recorded, result, stdout)
    said = identity_row("", task, recorded.row.run_id)
    metrics = (*_ending(recorded.row, result), *_said(recorded.row, said))
    text = _text(recorded.row, said)
    if not recorded.has_ticks:
        return Comparison(said.stdout_sha256, None, metrics + text)
    ticks = compare_ticks(warehouse, recorded, task, stdout.parent)
    note = ("stdout is another text with the same metrics",) if text and not metrics else ()
    return Comparison(ticks.sha256, ticks, metrics, ticks.notes + note)


def _task(recorded: Recorded, result: EngineRunResult, stdout: Path) -> Task:
    """Return the repeated run as the ingest would take it in."""
    telemetry = result.telemetry_path
    is_there = telemetry is not None and telemetry.is_file()
    return Task(
        source=str(telemetry) if is_there else None,
        origin="the repeated run",
        profile=recorded.row.profile,
        label=recorded.row.label,
        experiment=recorded.experiment,
        size_bytes=telemetry.stat().st_size if telemetry is not None and is_there else 0,
        stdout=str(stdout) if stdout.is_file() else None,
        on_error="quarantine",
    )


def _ending(recorded: LedgerRow, result: EngineRunResult) -> Iterator[FieldDifference]:
    """Yield what differs in the way the engine ended; a run not stored whole may have failed by what it lacks."""
    if recorded.status != result.status and not (recorded.truncated or recorded.quarantined):
        yield FieldDifference("status", recorded.status, result.status)
    if recorded.returncode is not None and recorded.returncode != result.returncode:
        yield FieldDifference("returncode", recorded.returncode, result.returncode)


def _said(recorded: LedgerRow, now: LedgerRow) -> Iterator[FieldDifference]:
    """Yield what differs in the metrics of stdout; nothing when no stdout was recorded."""
    if recorded.stdout_sha256 is None:
        return
    for name in _SAID:
        if getattr(recorded, name) != getattr(now, name):
            yield FieldDifference(name, getattr(recorded, name), getattr(now, name))


def _text(recorded: LedgerRow, now: LedgerRow) -> tuple[FieldDifference, ...]:
    """Return the difference of the texts of stdout, empty when there is none or no stdout was recorded."""
    if recorded.stdout_sha256 in (None, now.stdout_sha256):
        return ()
    return (FieldDifference("stdout_sha256", recorded.stdout_sha256, now.stdout_sha256),)
