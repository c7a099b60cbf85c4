"""The ledger row of a run, from its sidecar, its stdout and the account of its bytes."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from paraphina_wh.engine.ending import Asked, Ending, Left, ending_of
from paraphina_wh.engine.seeds import RunSeed
from paraphina_wh.engine.stdout import StdoutSummary, parse_stdout
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.log import read_log
from paraphina_wh.ingest.task import Outcome, Task
from paraphina_wh.known import TIERS
from paraphina_wh.ledger import LedgerRow
from paraphina_wh.telemetry.reader import Ledger
from paraphina_wh.telemetry.record import INT64_MAX, UINT64_MAX

# The knobs that have a column of their own, under the names labels use.
KNOB_COLUMNS = {
    "init_q_tao": "PARAPHINA_INIT_Q_TAO",
    "band_base": "PARAPHINA_HEDGE_BAND_BASE",
    "hedge_max_step": "PARAPHINA_HEDGE_MAX_STEP",
    "mm_size_eta": "PARAPHINA_MM_SIZE_ETA",
    "vol_ref": "PARAPHINA_VOL_REF",
    "daily_loss_limit": "PARAPHINA_DAILY_LOSS_LIMIT",
}
# What a table knows of a run beside the metrics of its telemetry.
_FROM_TABLE = (
    *("run_name", "sweep_id", "label_json", "repeat", "knobs_json", "ticks_requested"),
    *("duration_sec", "returncode", "source_path", "source_row"),
)
_STDOUT_OF_TABLE = (
    *("stdout_pnl_realised", "stdout_pnl_unrealised", "stdout_pnl_total"),
    *("stdout_kill_switch", "stdout_kill_reason", "stdout_risk_regime", "stdout_usable"),
)


def identity_row(batch: str, task: Task, run_id: str) -> LedgerRow:
    """Return a ledger row with identity, provenance and stdout metrics, the account of the bytes still open.

    Raises: WarehouseError when the engine's banner names another tier than the task.
    """
    row = LedgerRow(run_id=run_id, batch_id=batch, profile=task.profile, label=task.label)
    row.ingested_at = datetime.now(UTC).isoformat(timespec="microseconds")
    # Its own earlier row first: no other row can take that out.
    row.supersedes = run_id if run_id in task.superseded else next(iter(task.superseded), None)
    if task.sidecar:
        _apply_sidecar(row, task)
    row.source_kind = "stdout"
    if task.ending:
        _apply_ending(row, task.ending)
    if task.stdout:
        log = read_log(Path(task.stdout))
        row.source_path = None if task.source or task.sidecar else task.origin
        row.stdout_sha256 = log.sha256
        found = parse_stdout(log.text)
        _check_profile(task, found)
        row.warnings = _texts(_stdout_warnings(found))
        _apply_stdout(row, found)
    if task.told:
        fill_in(row, task.told)
    return row


def _check_profile(task: Task, found: StdoutSummary) -> None:
    """Raise a WarehouseError when the engine says that it ran another tier; of a profile of one's own it knows none."""
    if task.profile in TIERS and found.profile not in (None, task.profile):
        raise WarehouseError(
            f"{task.origin}: the engine's banner says profile {found.profile!r}, not {task.profile!r}",
            "leave out --profile; or the file has the name, the sidecar or the stdout of another run",
        )


def judged(task: Task, ledger: Ledger | None = None) -> Task:
    """Return a task that knows how its run ended. ledger: the account of its telemetry, None when there is none."""
    left = None
    if ledger:
        records = ledger.lines - ledger.blank - ledger.truncated
        left = Left(records, ledger.end, ledger.killed, ledger.truncated)
    return msgspec.structs.replace(task, ending=ending_of(task.asked, _said(task), left))


def _said(task: Task) -> StdoutSummary | None:
    if task.stdout:
        return parse_stdout(read_log(Path(task.stdout)).text)
    return _said_in_table(task.told) if task.told else None


def _said_in_table(told: LedgerRow) -> StdoutSummary | None:
    """Return what the row of a table tells of the summary on stdout; None when it has no PnL of one."""
    if told.stdout_pnl_total is None:
        return None
    return StdoutSummary(
        cfg_version=None,
        cfg_hash=None,
        profile=None,
        ticks_requested=None,
        seed=None,
        kill_tick=None,
        kill_reason=None,
        risk_regime=None,
        pnl_realised=told.stdout_pnl_realised,
        pnl_unrealised=told.stdout_pnl_unrealised,
        pnl_total=told.stdout_pnl_total,
        kill_switch=told.stdout_kill_switch,
        has_summary=True,
        non_finite=False,
    )


def _apply_ending(row: LedgerRow, ending: Ending) -> None:
    row.dq_stdout = ending.stdout_agrees
    if row.status == "ok" and ending.problem:
        row.status, row.error = "failed", ending.problem
    row.end_known_by = ending.known_by if row.status == "ok" else None


def fill_in(row: LedgerRow, told: LedgerRow, left: Left | None = None) -> None:
    """Enter what the row of a table tells of a run that is known by its telemetry alone.

    The engine's own stdout says more than a table of what was read from it. A run that the table calls failed is, and
    so is one of which table and telemetry tell differently. left: what the telemetry tells of its end.
    """
    names = [*_FROM_TABLE, *KNOB_COLUMNS, *(() if row.stdout_sha256 else _STDOUT_OF_TABLE)]
    for name in names:
        if getattr(row, name) is None:
            setattr(row, name, getattr(told, name))
    _enter_seed(row, told.seed)
    if row.status == "ok" != told.status:
        row.status, row.error = told.status, told.error
    if left and row.stdout_sha256 is None:
        _apply_ending(row, ending_of(Asked(ticks=row.ticks_requested), _said_in_table(told), left))


def withdrawal_row(batch: str, run_id: str, profile: str, label: str) -> LedgerRow:
    """Return a ledger row that takes a run out of the answers."""
    return LedgerRow(
        event="withdrawn",
        run_id=run_id,
        batch_id=batch,
        supersedes=run_id,
        profile=profile,
        label=label,
        status="withdrawn",
        ingested_at=datetime.now(UTC).isoformat(timespec="microseconds"),
    )


def _apply_sidecar(row: LedgerRow, task: Task) -> None:
    sidecar = task.sidecar
    assert sidecar is not None
    for name in ("run_name", "plan_key", "sweep_id", "repeat", "status", "error", "started_at", "duration_sec"):
        setattr(row, name, getattr(sidecar, name))
    for name in RunSeed._fields:
        setattr(row, name, getattr(sidecar, name))
    for name in ("engine", "engine_path", "engine_version", "engine_sha256", "engine_commit", "returncode", "attempts"):
        setattr(row, name, getattr(sidecar, name))
    row.ticks_requested = sidecar.ticks
    row.label_json = _json(sidecar.labels)
    row.knobs_json = _json(sidecar.knobs)
    row.command_json = _json(sidecar.command)
    for column, knob in KNOB_COLUMNS.items():
        if knob in sidecar.knobs:
            setattr(row, column, _number(sidecar.knobs[knob]))


def _apply_stdout(row: LedgerRow, found: StdoutSummary) -> None:
    row.cfg_version = found.cfg_version
    row.cfg_hash = found.cfg_hash
    row.stdout_pnl_realised = found.pnl_realised
    row.stdout_pnl_unrealised = found.pnl_unrealised
    row.stdout_pnl_total = found.pnl_total
    row.stdout_kill_switch = found.kill_switch
    row.stdout_kill_reason = found.kill_reason
    row.stdout_kill_tick = _held_by(INT64_MAX, found.kill_tick)
    row.stdout_risk_regime = found.risk_regime
    row.stdout_usable = found.has_summary and not found.non_finite
    _enter_seed(row, _held_by(UINT64_MAX, found.seed))
    row.ticks_requested = (
        _held_by(INT64_MAX, found.ticks_requested) if row.ticks_requested is None else row.ticks_requested
    )
    if row.engine is None and found.cfg_version:
        row.engine = "reference" if "reference" in found.cfg_version else "external"


def _enter_seed(row: LedgerRow, seed: int | None) -> None:
    """Enter a seed that others than the sidecar tell of; one that nobody here passed came about nobody knows how."""
    if row.seed is None and seed is not None:
        row.seed, row.seed_origin = seed, None


def account(row: LedgerRow, ledger: Ledger) -> None:
    """Enter the account of the telemetry's bytes."""
    row.source_bytes, row.source_sha256 = ledger.bytes, ledger.sha256
    row.lines, row.rows = ledger.lines, ledger.rows
    row.quarantined, row.blank = ledger.quarantined, ledger.blank
    row.row_bytes, row.blank_bytes = ledger.row_bytes, ledger.blank_bytes
    row.quarantined_bytes = ledger.quarantined_bytes
    row.truncated = ledger.truncated
    unknown = {
        path: {"first_line": u.first_line, "count": u.count, "types": sorted(u.types)}
        for path, u in sorted(ledger.unknown.items())
    }
    row.unknown_fields = _json(unknown) if unknown else None
    row.warnings = _texts([*_warnings(row), *ledger.warnings()])


def _stdout_warnings(found: StdoutSummary) -> list[str]:
    warnings = []
    if found.unreadable:
        warnings.append(f"stdout: its PnL line cannot be read, numbers are plain there: {found.unreadable}")
    if found.coloured:
        warnings.append("stdout: read without the escape sequences of a terminal that are in it")
    return warnings


def _warnings(row: LedgerRow) -> list[str]:
    return msgspec.json.decode(row.warnings, type=list[str]) if row.warnings else []


def outcome_of(task: Task, row: LedgerRow) -> Outcome:
    """Return what is reported of a run that goes in."""
    only_cut_tail = row.truncated and row.quarantined == 1
    return Outcome(
        file=task.origin,
        status="quarantined" if row.quarantined and not only_cut_tail else "ingested",
        run_id=row.run_id,
        profile=task.profile,
        label=task.label,
        ticks=row.rows or 0,
        bytes=row.source_bytes or 0,
        lines=row.lines or 0,
        quarantined=row.quarantined or 0,
        cut_off=bool(row.truncated),
        warnings=_warnings(row),
        failure="" if row.status == "ok" else row.error or row.status,
    )


def _number(text: str) -> float | None:
    """Return the value of a knob; None when the engine was given something else (knobs_json has it)."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _held_by(limit: int, number: int | None) -> int | None:
    """Return a number that a column with such a limit can hold; stdout may name any."""
    return number if number is not None and number <= limit else None


def _texts(texts: list[str]) -> str | None:
    return _json(texts) if texts else None


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
