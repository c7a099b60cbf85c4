"""Where a repeated run is written, and how its files are kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from paraphina_wh import commit
from paraphina_wh.engine import EngineRunResult
from paraphina_wh.engine.seeds import RunSeed
from paraphina_wh.errors import WarehouseError
from paraphina_wh.rerun.replay import Replay
from paraphina_wh.sidecar import STDOUT_SUFFIX, Sidecar, sidecar_path, write_sidecar
from paraphina_wh.warehouse import Warehouse, new_batch

STDERR_SUFFIX = ".stderr.txt"
_DEFAULT = "runs/rerun"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,149}")


def names_of(replays: Sequence[Replay]) -> dict[str, str]:
    """Return run_id -> name of its files: the label where it can be one and is used once, else the run_id."""
    used = Counter(replay.recorded.row.label for replay in replays)
    return {
        row.run_id: row.label if used[row.label] == 1 and _FILE_NAME.fullmatch(row.label) else row.run_id
        for row in (replay.recorded.row for replay in replays)
    }


def folders_of(warehouse: Warehouse, names: Mapping[str, str], out: Path | None) -> dict[str, Path]:
    """Return run_id -> folder that keeps its files: `out`, by default one a run below `runs/rerun`.

    Raises: WarehouseError (exit code 2) when `out` lies in the warehouse or holds a run of the same name, which may
    be the recorded one.
    """
    if out is None:
        return {run_id: warehouse.root / _DEFAULT / name for run_id, name in names.items()}
    folder = Path(out).absolute()
    warehouse.check_target(folder)
    if folder.exists() and not folder.is_dir():
        raise WarehouseError(f"not a folder: {out}", "name a folder with -o", exit_code=2)
    for name in names.values():
        there = [path for path in files_of(folder / name) if path.exists()]
        if there:
            raise WarehouseError(f"{there[0]} is there already", "name another folder with -o", exit_code=2)
    return dict.fromkeys(names, folder)


def files_of(base: Path) -> list[Path]:
    """Return the files of a run, the sidecar last: telemetry, stdout, stderr, sidecar."""
    telemetry = telemetry_of(base)
    beside = [base.with_name(base.name + suffix) for suffix in (STDOUT_SUFFIX, STDERR_SUFFIX)]
    return [telemetry, *beside, sidecar_path(telemetry)]


def telemetry_of(base: Path) -> Path:
    """Return the telemetry file of a run."""
    return base.with_name(base.name + ".jsonl")


@contextmanager
def staging(warehouse: Warehouse, folders: Mapping[str, Path] | None) -> Iterator[Path]:
    """Give a folder to write to, gone at the end: in the warehouse, or where a rename leads to what is kept."""
    parent = warehouse.staging
    if folders:
        first = next(iter(folders.values()))
        parent = next(folder for folder in (first, *first.parents) if folder.is_dir())
    name = new_batch() if parent == warehouse.staging else f".{new_batch()}"
    with commit.staging_folder(parent, name) as folder:
        yield folder


def keep(replay: Replay, result: EngineRunResult, base: Path, folder: Path) -> list[Path]:
    """Move the files of a run that has ended to their folder, with a sidecar, and return them."""
    write_sidecar(telemetry_of(base), _sidecar(replay, result))
    staged = [path for path in files_of(base) if path.exists()]
    final = [folder / path.name for path in staged]
    for left in set(files_of(folder / base.name)) - set(final):
        commit.remove(left)
    commit.publish(list(zip(staged, final, strict=True)))
    return final


def _sidecar(replay: Replay, result: EngineRunResult) -> Sidecar:
    """Return the sidecar: the same run again, so an ingest meets the recorded one."""
    row, engine = replay.recorded.row, replay.engine
    plan = row.plan_key or ""
    return Sidecar(
        experiment=replay.recorded.experiment,
        run_name=row.run_name or row.label,
        # Made by another engine it would pass for what was planned.
        plan_key=plan if replay.is_same_engine else f"{plan}-{engine.sha256[:12]}",
        sweep_id=row.sweep_id if replay.is_same_engine else None,
        profile=row.profile,
        label=row.label,
        labels=msgspec.json.decode(row.label_json or "{}"),
        repeat=row.repeat,
        **{name: getattr(row, name) for name in RunSeed._fields},
        ticks=row.ticks_requested,
        knobs=replay.knobs,
        engine=engine.kind,
        engine_path=engine.path,
        engine_version=engine.version,
        engine_sha256=engine.sha256,
        engine_commit=engine.git_commit,
        command=list(replay.command),
        started_at=result.started_at.isoformat(timespec="microseconds"),
        duration_sec=round(result.duration_sec, 6),
        returncode=result.returncode,
        attempts=result.attempts,
        status=result.status,
        error=result.error,
    )
