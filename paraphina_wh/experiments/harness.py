"""The telemetry harness: run every profile x repeat, and take the telemetry in.

A run is planned by what it would do (its plan key). One that the warehouse holds under the same key is not run
again; one whose files are complete but were not taken in, because the last session was killed, is taken in.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from paraphina_wh.catalog import connect
from paraphina_wh.engine import Engine, EngineRunConfig, EngineRunResult, check_knobs, run_many
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.spec import Spec
from paraphina_wh.ingest import Options, Report, ingest_paths
from paraphina_wh.sidecar import Sidecar, read_sidecar, sidecar_path, write_sidecar
from paraphina_wh.telemetry.record import INT64_MAX
from paraphina_wh.warehouse import Warehouse, hive_folder

_MOST = 10**12
_PROFILE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class HarnessOptions:
    """What to run.

    ticks: a run. seed: run i of a profile gets seed + i - 1; None passes none. knobs: `PARAPHINA_*` overlay.
    engine: path, `reference`, or None to look for one. jobs: engines at a time, by default one a core.
    timeout_sec: seconds a run. fresh: run all, taking out the runs of the same labels.
    """

    ticks: int
    runs_per_profile: int
    profiles: tuple[str, ...]
    label_prefix: str
    seed: int | None
    knobs: Mapping[str, str] = field(default_factory=dict)
    engine: str | None = None
    jobs: int | None = None
    timeout_sec: float = 600.0
    retries: int = 0
    fresh: bool = False


@dataclass(frozen=True)
class PlannedRun:
    """One run to be: where its telemetry goes, and the sidecar it will have."""

    telemetry: Path
    sidecar: Sidecar

    @property
    def key(self) -> tuple[str, str]:
        """Return profile and label."""
        return self.sidecar.profile, self.sidecar.label


@dataclass
class Session:
    """What a session of the harness came to.

    planned: all runs of the grid. done: results of those run now. kept: number of those already there.
    report: what the ingest said of each file. run_ids: the live runs of the grid.
    """

    engine: Engine
    planned: list[PlannedRun]
    done: list[EngineRunResult]
    kept: int
    report: Report
    run_ids: list[str]

    @property
    def failed(self) -> list[EngineRunResult]:
        """Return the runs that failed or ran out of time."""
        return [result for result in self.done if result.status != "ok"]


@dataclass(frozen=True)
class Progress:
    """Who is told how it goes: the engine and the plan before the first run, and every result."""

    on_engine: Callable[[Engine], None] = lambda engine: None
    on_plan: Callable[[int, int], None] = lambda to_run, kept: None
    on_result: Callable[[EngineRunResult], None] = lambda result: None


def plan_runs(warehouse: Warehouse, spec: Spec, options: HarnessOptions, engine: Engine) -> list[PlannedRun]:
    """Return the runs of the grid, profile by profile.

    Raises: WarehouseError (exit code 2) for knobs, profiles or numbers that no engine could run.
    """
    _check(options)
    knobs = check_knobs(options.knobs)
    return [
        PlannedRun(
            telemetry=warehouse.root / spec.folder / f"{profile}_r{repeat}.jsonl",
            sidecar=_sidecar(spec, replace(options, knobs=knobs), engine, profile, repeat),
        )
        for profile in options.profiles
        for repeat in range(1, options.runs_per_profile + 1)
    ]


def _check(options: HarnessOptions) -> None:
    for name, value in (("--ticks", options.ticks), ("--runs-per-profile", options.runs_per_profile)):
        if not 1 <= value <= _MOST:
            raise WarehouseError(f"{name} must lie in 1..{_MOST}, not {value}", exit_code=2)
    if options.seed is not None and not 0 <= options.seed <= INT64_MAX - options.runs_per_profile:
        raise WarehouseError(f"--seed must lie in 0..2^63, not {options.seed}", "or `--seed none`", exit_code=2)
    for profile in options.profiles:
        if not _PROFILE.fullmatch(profile):
            raise WarehouseError(
                f"profile {profile!r} cannot name a file", "profiles are words such as balanced", exit_code=2
            )
    if len(set(options.profiles)) < len(options.profiles) or not options.profiles:
        raise WarehouseError(f"profiles {', '.join(options.profiles)!r}: name each once", exit_code=2)


def _sidecar(spec: Spec, options: HarnessOptions, engine: Engine, profile: str, repeat: int) -> Sidecar:
    """Return the sidecar of a run that has not begun."""
    label = f"{options.label_prefix}_{profile}_r{repeat:03d}"
    hive_folder("label", label)
    seed = None if options.seed is None else options.seed + repeat - 1
    labels: dict[str, str | int | float | bool] = {"experiment": spec.name, "profile": profile, "repeat": repeat}
    command = [*engine.command, "--ticks", str(options.ticks), "--profile", profile]
    return Sidecar(
        experiment=spec.name,
        run_name=f"{profile}_r{repeat}",
        plan_key=_digest(spec.name, label, labels, options.knobs, seed, options.ticks, engine.sha256),
        profile=profile,
        label=label,
        labels=labels,
        repeat=repeat,
        seed=seed,
        ticks=options.ticks,
        knobs=dict(options.knobs),
        engine=engine.kind,
        engine_path=engine.path,
        engine_version=engine.version,
        engine_sha256=engine.sha256,
        engine_commit=engine.git_commit,
        command=command if seed is None else [*command, "--seed", str(seed)],
    )


def _digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:32]


def run_harness(
    warehouse: Warehouse, spec: Spec, options: HarnessOptions, engine: Engine, progress: Progress | None = None
) -> Session:
    """Run what is missing of the grid, take everything in, and return what came of it.

    Failed and timed-out runs are recorded, the rest goes on. Ctrl-C keeps the finished runs on disk: the next
    call takes them in.
    Raises: WarehouseError (exit code 2) before the first run when something in the plan cannot run, or when a
    label is taken by a run with other options.
    """
    progress = progress or Progress()
    planned = plan_runs(warehouse, spec, options, engine)
    if not options.fresh:
        held = _held(warehouse, planned)
        _rescue(warehouse, [run for run in planned if not _is_done(run, held)])
    missing = planned if options.fresh else missing_runs(warehouse, planned)
    progress.on_plan(len(missing), len(planned) - len(missing))
    done = _execute(warehouse, missing, options, progress)
    report = _take_in(warehouse, missing, replace=options.fresh)
    return Session(
        engine, planned, done, len(planned) - len(missing), report, [run.run_id for run in _live(warehouse, planned)]
    )


def _rescue(warehouse: Warehouse, planned: Sequence[PlannedRun]) -> None:
    """Take in finished telemetry that lies where a new run would write, before it is overwritten."""
    there = [run.telemetry for run in planned if run.telemetry.is_file() and not _is_unfinished(run.telemetry)]
    report = ingest_paths(warehouse, there) if there else []
    for lost in (outcome for outcome in report if outcome.status == "rejected"):
        raise WarehouseError(
            f"{lost.file} would be overwritten, and it is not in the warehouse: {lost.errors[0]}",
            "move it away, or run everything anew with --fresh",
            exit_code=2,
        )


def _is_unfinished(telemetry: Path) -> bool:
    """Tell whether a session was killed while this run wrote its telemetry."""
    sidecar = read_sidecar(sidecar_path(telemetry))
    return sidecar is not None and sidecar.status == "planned"


def missing_runs(warehouse: Warehouse, planned: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the planned runs that the warehouse does not hold."""
    held = _held(warehouse, planned)
    missing = []
    for run in planned:
        if _is_done(run, held):
            continue
        if run.key in held and held[run.key].status == "ok":
            raise WarehouseError(
                f"label {run.sidecar.label!r} is taken by a run with other options",
                "choose another --label-prefix, or take the old runs out with --fresh",
                exit_code=2,
            )
        missing.append(run)
    return missing


@dataclass(frozen=True)
class _Held:
    """A live run of the warehouse."""

    profile: str
    label: str
    run_id: str
    status: str
    plan_key: str | None


def _is_done(run: PlannedRun, held: Mapping[tuple[str, str], _Held]) -> bool:
    """Tell whether the warehouse holds a good run of the same plan."""
    there = held.get(run.key)
    return there is not None and there.status == "ok" and there.plan_key == run.sidecar.plan_key


def _held(warehouse: Warehouse, planned: Sequence[PlannedRun]) -> dict[tuple[str, str], _Held]:
    """Return (profile, label) -> live run of the grid; a good one where there is one."""
    return {(run.profile, run.label): run for run in _live(warehouse, planned)}


def _live(warehouse: Warehouse, planned: Sequence[PlannedRun]) -> list[_Held]:
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        rows = connection.execute(
            "SELECT profile, label, run_id, status, plan_key FROM runs "
            "JOIN (SELECT unnest($profiles) AS profile, unnest($labels) AS label) USING (profile, label) "
            "ORDER BY profile, label, status = 'ok'",
            {
                "profiles": [run.sidecar.profile for run in planned],
                "labels": [run.sidecar.label for run in planned],
            },
        ).fetchall()
    return [_Held(*row) for row in rows]


def _execute(
    warehouse: Warehouse, runs: Sequence[PlannedRun], options: HarnessOptions, progress: Progress
) -> list[EngineRunResult]:
    by_name = {run.sidecar.run_name: run for run in runs}

    def finish(result: EngineRunResult) -> None:
        write_sidecar(by_name[result.run_id].telemetry, _finished(by_name[result.run_id].sidecar, result))
        progress.on_result(result)

    def begin(run_id: str) -> None:
        # Should the session be killed, half a telemetry file must not pass for a whole one.
        run = by_name[run_id]
        write_sidecar(run.telemetry, msgspec.structs.replace(run.sidecar, status="planned"))

    return run_many(
        [_config(warehouse, run) for run in runs],
        jobs=options.jobs or os.cpu_count() or 1,
        timeout=options.timeout_sec,
        retries=options.retries,
        on_start=begin,
        on_result=finish,
    )


def _config(warehouse: Warehouse, run: PlannedRun) -> EngineRunConfig:
    return EngineRunConfig(
        cmd=run.sidecar.command,
        env=run.sidecar.knobs,
        label=run.sidecar.labels,
        run_id=run.sidecar.run_name,
        cwd=warehouse.root,
        telemetry_path=run.telemetry,
    )


def _finished(sidecar: Sidecar, result: EngineRunResult) -> Sidecar:
    return msgspec.structs.replace(
        sidecar,
        started_at=result.started_at.isoformat(timespec="microseconds"),
        duration_sec=round(result.duration_sec, 6),
        returncode=result.returncode,
        attempts=result.attempts,
        status=result.status,
        error=result.error,
    )


def _take_in(warehouse: Warehouse, runs: Sequence[PlannedRun], *, replace: bool) -> Report:
    """Ingest the telemetry of runs; a run that left none is known by its sidecar alone."""
    paths = [
        run.telemetry if run.telemetry.is_file() else sidecar_path(run.telemetry)
        for run in runs
        if run.telemetry.is_file() or sidecar_path(run.telemetry).is_file()
    ]
    return ingest_paths(warehouse, paths, Options(replace=replace)) if paths else Report([])
