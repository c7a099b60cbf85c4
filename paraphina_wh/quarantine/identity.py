"""A run of the ledger as a task of the ingest: the same identity and provenance, whatever its file is called now."""

from __future__ import annotations

import re
import shlex
from collections.abc import Set
from pathlib import Path
from typing import Final

import msgspec

from paraphina_wh.catalog import connect
from paraphina_wh.engine.ending import NOTHING_ASKED, asked_of
from paraphina_wh.engine.seeds import RunSeed
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.overlapped import stream_sha256
from paraphina_wh.ingest.task import InPlace, Task
from paraphina_wh.ledger import LedgerRow
from paraphina_wh.rerun.recorded import Recorded
from paraphina_wh.sidecar import Sidecar, in_utc, read_sidecar, sidecar_path, stdout_path
from paraphina_wh.telemetry.source import open_source
from paraphina_wh.warehouse import Warehouse

_STRETCH: Final = re.compile(r"(.+)#s(\d+)", re.DOTALL)
_FROM_SIDECAR: Final = (
    *("run_name", "plan_key", "sweep_id", "profile", "label", "repeat", *RunSeed._fields, "engine", "engine_path"),
    *("engine_version", "engine_sha256", "engine_commit", "started_at", "duration_sec", "returncode", "attempts"),
    *("status", "error"),
)


def split_files(warehouse: Warehouse) -> set[str]:
    """Return the paths of files that were split where t starts again."""
    with connect(warehouse, views=("run_ledger",)) as connection:
        found = connection.execute(
            "SELECT DISTINCT regexp_extract(telemetry_path, '(?s)(.+)#s\\d+$', 1) FROM run_ledger"
        ).fetchall()
    return {path for (path,) in found if path}


def task_of(warehouse: Warehouse, run: Recorded, split: Set[str]) -> Task:
    """Return the task that takes the source of a run in again, in the place of this run alone.

    split: the paths of files that were split where t starts again.
    Raises: WarehouseError when there is no source to take in, or when what lies beside it tells of another run.
    """
    row = run.row
    source = _source_of(warehouse, run, split)
    held = _sidecar_of(run)
    lying = _check_sidecar(warehouse, run, source, held)
    if held and (row.returncode == 0 or (lying and lying.status == "ok")):
        # The engine did not fail: what it left may have proved so, and is judged anew.
        held = msgspec.structs.replace(held, status="ok", error=None)
    return Task(
        source=str(source),
        origin=row.telemetry_path or "",
        profile=row.profile,
        label=row.label,
        experiment=run.experiment,
        size_bytes=source.stat().st_size,
        stdout=_stdout_of(warehouse, run, source),
        sidecar=held,
        asked=asked_of(held) if held else NOTHING_ASKED,
        on_error="quarantine",
        replace=True,
        in_place=[InPlace(row.run_id, row.run_id, False, row.status)],
        again=True,
        told=row if row.source_row is not None else None,
    )


def _source_of(warehouse: Warehouse, run: Recorded, split: Set[str]) -> Path:
    path = run.row.telemetry_path or ""
    source = warehouse.root / path
    if path == "-":
        raise WarehouseError(
            f"{run} came from standard input: there is no file to replay",
            f"take a repaired copy in: {ingest_command('FILE', run.row)}; or give the lines up: {_drop(run)}",
            exit_code=2,
        )
    _check_whole(run, source, split)
    if not source.is_file():
        raise missing(path, str(run), run.row.run_id, ingest_command("FILE", run.row))
    return source


def missing(path: str, name: str, run_id: str, command: str) -> WarehouseError:
    """Return the error for a source that is no longer there, with both ways out."""
    return WarehouseError(
        f"{path}: the source of {name} is gone",
        f"put it back; or take a copy in from where it lies now: {command}; or give the lines up: "
        f"paraphina-wh quarantine drop {run_id}",
        exit_code=2,
    )


def ingest_command(file: str, row: LedgerRow) -> str:
    """Return the command that takes a file in under the name of a run, in the place of the run."""
    who = f"--profile {shlex.quote(row.profile)} --label {shlex.quote(row.label)}"
    return f"paraphina-wh ingest {file} {who} --on-error quarantine --replace"


def _drop(run: Recorded) -> str:
    return f"paraphina-wh quarantine drop {run.row.run_id}"


def _check_whole(run: Recorded, source: Path, split: Set[str]) -> None:
    """Raise a WarehouseError for a run that is one stretch of its file only."""
    path, label = run.row.telemetry_path or "", run.row.label
    stretch = None if source.exists() else _STRETCH.fullmatch(path)
    if stretch:
        path, label = stretch[1], label.removesuffix(f"_s{stretch[2]}")
    elif path not in split:
        return
    names = f"--profile {shlex.quote(run.row.profile)} --label {shlex.quote(label)}"
    raise WarehouseError(
        f"{run} is one stretch of {path}, which was split where t starts again",
        f"repair the file, then: paraphina-wh ingest {shlex.quote(path)} {names} --split-on-reset "
        "--on-error quarantine --replace",
        exit_code=2,
    )


def _sidecar_of(run: Recorded) -> Sidecar | None:
    """Return the sidecar that the ledger row was made from; None when there was none."""
    row = run.row
    if row.plan_key is None:
        return None
    values = {name: getattr(row, name) for name in _FROM_SIDECAR}
    values |= {"experiment": run.experiment, "run_name": row.run_name or "", "ticks": row.ticks_requested}
    for name, text in (("labels", row.label_json), ("knobs", row.knobs_json), ("command", row.command_json)):
        if text is not None:
            values[name] = msgspec.json.decode(text)
    return msgspec.convert(values, Sidecar)


def _check_sidecar(warehouse: Warehouse, run: Recorded, source: Path, held: Sidecar | None) -> Sidecar | None:
    """Return the sidecar beside the source; raise a WarehouseError when that is of another run of the engine."""
    lying = read_sidecar(sidecar_path(source))
    if lying is None or (held and (lying.plan_key, in_utc(lying.started_at)) == (held.plan_key, held.started_at)):
        return lying
    raise WarehouseError(
        f"{warehouse.relative(sidecar_path(source))} tells of another run than {run}: was the engine run again?",
        f"take the new run in: paraphina-wh ingest {shlex.quote(warehouse.relative(source))} --replace",
    )


def _stdout_of(warehouse: Warehouse, run: Recorded, source: Path) -> str | None:
    """Return the file of what the engine said; it must be what the ledger knows.

    Raises: WarehouseError when it is gone or another one: the run would lose, or falsely get, what stands in it.
    """
    if run.row.stdout_sha256 is None:
        return None
    path = stdout_path(source)
    name = warehouse.relative(path)
    if not path.is_file():
        problem = f"{name}: the stdout of {run} is gone, the run would lose what the engine said"
        raise WarehouseError(problem, "put it back", exit_code=2)
    with open_source(path) as stream:
        is_known = stream_sha256(stream) == run.row.stdout_sha256
    if not is_known:
        command = ingest_command(shlex.quote(warehouse.relative(source)), run.row)
        raise WarehouseError(
            f"{name} is not the stdout of {run}: was the engine run again?",
            f"put it back, or take the new run in: {command}",
        )
    return str(path)
