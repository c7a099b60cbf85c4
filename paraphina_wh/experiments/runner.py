"""The one runner of all experiments: run what is missing of a grid, and take everything in.

A run is planned by what it would do (its plan key). One that the warehouse holds under the same key is not run
again; one whose files are complete but were not taken in, because the last session was killed, is taken in.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from paraphina_wh.catalog import connect, steady
from paraphina_wh.commit import write_atomically
from paraphina_wh.engine import Engine, EngineRunConfig, EngineRunResult, asked_of, run_many
from paraphina_wh.engine.seeds import SEED_SPACE
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.planning import PlannedRun, RunOptions, adapted, folder_of, plan_runs, raw_folder
from paraphina_wh.experiments.read import Experiment
from paraphina_wh.experiments.record import keep_record
from paraphina_wh.experiments.session_lock import only_session
from paraphina_wh.experiments.spec import Spec
from paraphina_wh.ingest import Options, Outcome, Report, ingest_paths
from paraphina_wh.sidecar import Sidecar, read_sidecar, sidecar_path, write_sidecar
from paraphina_wh.warehouse import Warehouse

# Finished runs wait for each other this long, or until there are so many: a commit costs as much as a small run.
_WAIT_SEC = 5.0
_WAIT_RUNS = 64
_SHORT_HASH = 12


@dataclass
class Session:
    """What a session of a runner came to.

    spec: the experiment with the options in it. planned: all runs of the grid. done: results of those run now, without
    their texts.
    kept: number of those already there. report: what the ingest said of each file. run_ids: the live runs of the grid,
    one a label, a good one where there is one.
    """

    spec: Spec
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

    @property
    def complete(self) -> bool:
        """Tell whether every run ended well and everything was taken in."""
        return not self.failed and self.report.complete and not any(outcome.failure for outcome in self.report)

    @property
    def plan_keys(self) -> list[str]:
        """Return what was planned."""
        return [run.sidecar.plan_key for run in self.planned]


@dataclass(frozen=True)
class Progress:
    """Who is told how it goes: the engine and the plan before the first run, and every result."""

    on_engine: Callable[[Engine], None] = lambda engine: None
    on_plan: Callable[[int, int], None] = lambda to_run, kept: None
    on_result: Callable[[EngineRunResult], None] = lambda result: None


def run_grid(
    warehouse: Warehouse, experiment: Experiment, options: RunOptions, engine: Engine, progress: Progress | None = None
) -> Session:
    """Run what is missing of the grid of an experiment, take everything in, and return what came of it.

    Finished runs are taken in while others still run. Failed and timed-out runs are recorded, the rest goes on. Ctrl-C
    keeps the finished runs on disk: the next call takes them in.
    Raises: WarehouseError (exit code 2) before the first run when something in the plan cannot run, or when a
    label is taken by a run with other options.
    """
    progress = progress or Progress()
    spec = adapted(experiment.spec, options)
    planned = plan_runs(warehouse, spec, options, engine)
    with only_session(raw_folder(warehouse, spec)):
        held = {} if options.fresh else _held(warehouse, planned)
        if not options.fresh and (left_over := _left_over(warehouse, planned, held)):
            _rescue(warehouse, left_over, {run.sidecar.plan_key for run in planned})
            held = _held(warehouse, planned)
        missing = planned if options.fresh else _missing(planned, held)
        _keep_plan(warehouse, experiment, spec, planned)
        progress.on_plan(len(missing), len(planned) - len(missing))
        intake = _Intake(warehouse, Options(replace=options.fresh, new_profile=True))
        done = _execute(warehouse, missing, spec, options, intake, progress) if missing else []
    run_ids = [run.run_id for run in (_held(warehouse, planned) if missing else held).values()]
    return Session(spec, engine, planned, done, len(planned) - len(missing), Report(intake.outcomes), run_ids)


def _keep_plan(warehouse: Warehouse, experiment: Experiment, spec: Spec, planned: Sequence[PlannedRun]) -> None:
    """Keep the file beside what it makes, and what was planned where `export` finds it."""
    kept = folder_of(warehouse, spec) / "experiment.toml"
    if not (kept.is_file() and kept.read_bytes() == experiment.text.encode()):
        write_atomically(kept, experiment.text.encode())
    keep_record(warehouse, spec, [run.sidecar.plan_key for run in planned])


def _left_over(
    warehouse: Warehouse, planned: Sequence[PlannedRun], held: Mapping[tuple[str, str], _Held]
) -> list[PlannedRun]:
    """Return the finished runs on disk that the warehouse does not hold; those withdrawn are to be run anew."""
    finished = [run for run in planned if not _is_done(run, held) and _is_finished(run)]
    withdrawn = _withdrawn(warehouse) if finished else set()
    return [run for run in finished if run.key in held or run.key not in withdrawn]


@steady
def _withdrawn(warehouse: Warehouse) -> set[tuple[str, str]]:
    with connect(warehouse, views=("run_ledger",), or_empty=True) as connection:
        rows = connection.execute("SELECT profile, label FROM run_ledger WHERE event = 'withdrawn'").fetchall()
    return {(profile, label) for profile, label in rows}


@dataclass
class _Intake:
    """Takes finished runs in, some at a time."""

    warehouse: Warehouse
    options: Options
    waiting: list[PlannedRun] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    last: float = field(default_factory=time.monotonic)

    def add(self, run: PlannedRun) -> None:
        """Take a run in, now or with the next ones."""
        self.waiting.append(run)
        if len(self.waiting) >= _WAIT_RUNS or time.monotonic() - self.last >= _WAIT_SEC:
            self.flush()

    def flush(self) -> None:
        """Take in what waits. A run that left no telemetry is known by its sidecar alone."""
        if self.waiting:
            report = self._take_in(self.waiting)
            self.outcomes += report
            self._record_failures(report)
        self.waiting = []
        self.last = time.monotonic()

    def _take_in(self, runs: Sequence[PlannedRun]) -> Report:
        # One process: the engines need the others.
        return ingest_paths(self.warehouse, [run.source for run in runs], self.options, jobs=1)

    def _record_failures(self, report: Sequence[Outcome]) -> None:
        """Make a failure of each run whose telemetry is none: it is a row, and the next session runs it again.

        One that went in as a failure has its row; its sidecar is to say so too.
        """
        rejected = {outcome.file for outcome in report if outcome.status == "rejected"}
        reasons = {
            outcome.file: outcome.errors[0] if outcome.file in rejected else outcome.failure for outcome in report
        }
        failed = []
        for run in self.waiting:
            reason = reasons.get(self.warehouse.relative(run.source))
            sidecar = read_sidecar(sidecar_path(run.telemetry))
            if reason and sidecar and sidecar.status == "ok":
                write_sidecar(run.telemetry, msgspec.structs.replace(sidecar, status="failed", error=reason))
                failed += [run] if self.warehouse.relative(run.source) in rejected else []
        if failed:
            self._take_in(failed)


def _rescue(warehouse: Warehouse, finished: Sequence[PlannedRun], plan_keys: set[str]) -> None:
    """Take in finished runs that lie where a new run would write, before they are overwritten."""
    there = {warehouse.relative(run.source): run for run in finished}
    report = ingest_paths(warehouse, [run.source for run in finished], Options(new_profile=True))
    for lost in (outcome for outcome in report if outcome.status == "rejected"):
        sidecar = read_sidecar(sidecar_path(there[lost.file].telemetry))
        if sidecar and sidecar.plan_key in plan_keys:
            continue  # of this very plan: it is run again
        raise WarehouseError(
            f"{lost.file} would be overwritten, and it is not in the warehouse: {lost.errors[0]}",
            "move it away, or run everything anew with --fresh",
            exit_code=2,
        )


def _is_finished(run: PlannedRun) -> bool:
    """Tell whether a whole run lies there; a session may have been killed while it was under way."""
    sidecar = read_sidecar(sidecar_path(run.telemetry))
    if sidecar is None:
        return run.has_telemetry and run.telemetry.is_file()
    return sidecar.status != "planned"


def missing_runs(warehouse: Warehouse, planned: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the planned runs that the warehouse does not hold.

    Raises: WarehouseError (exit code 2) when a good run with other options, or another seed, has one of the labels.
    """
    return _missing(planned, _held(warehouse, planned))


def _missing(planned: Sequence[PlannedRun], held: Mapping[tuple[str, str], _Held]) -> list[PlannedRun]:
    missing = []
    for run in planned:
        if _is_done(run, held):
            continue
        if run.key in held and held[run.key].status == "ok":
            raise _taken(run.sidecar, held[run.key], min(run.sidecar.repeat or 0 for run in planned))
        missing.append(run)
    return missing


def _taken(planned: Sidecar, held: _Held, first_repeat: int) -> WarehouseError:
    """Return the error for a planned run whose label a run in place has; a seed that changes has a way to keep it."""
    differing = _differences(planned, held)
    way = _earlier_seeds(planned, held, (planned.repeat or 0) - first_repeat) if held.seed != planned.seed else None
    if [text.split()[0] for text in differing] == ["seed"]:
        problem = f"this would change the seed of label {planned.label!r}: {differing[0].removeprefix('seed ')}"
    else:
        problem = f"label {planned.label!r} is taken by a run with other options: {'; '.join(differing)}"
    return WarehouseError(
        problem,
        (f"`{way}` goes on with the earlier seeds; or " if way else "")
        + "give these runs another name (`name` in the file, --label-prefix, --name), or take the old ones out "
        "with --fresh",
        exit_code=2,
    )


def _earlier_seeds(planned: Sidecar, held: _Held, place: int) -> str | None:
    """Return the options with which a sweep goes on with the seeds it began with. place: of the repeat, from 0."""
    if held.seed is None:
        return "--seed none"
    if held.seed_origin != "drawn":
        return f"--seed-start {held.seed - place}" if held.seed >= place else None
    if held.seed_key is None or held.seed_first != (planned.seed_first or 1):
        return None
    is_usual = held.seed_space == SEED_SPACE.get(planned.engine or "")
    space = "" if is_usual else f" --seed-space {held.seed_space}"
    return f"--seed {shlex.quote(held.seed_key)}{space}"


@dataclass(frozen=True)
class _Held:
    """A live run of the warehouse, and what was planned of it."""

    profile: str
    label: str
    run_id: str
    status: str
    plan_key: str | None
    experiment: str
    ticks: int | None
    seed: int | None
    seed_origin: str | None
    seed_key: str | None
    seed_space: int | None
    seed_first: int | None
    knobs_json: str | None
    engine_sha256: str | None
    label_json: str | None


def _differences(planned: Sidecar, held: _Held) -> list[str]:
    """Return in which options a run in place differs from a planned one of its label, at least one."""
    if held.plan_key is None:
        return [f"run {held.run_id} was taken in without a plan"]
    there, here = msgspec.json.decode(held.knobs_json or "{}", type=dict[str, str]), planned.knobs
    labels = msgspec.json.decode(held.label_json or "{}")
    values = {
        "experiment": (held.experiment, planned.experiment),
        "ticks": (held.ticks, planned.ticks),
        "seed": (held.seed, planned.seed),
        **{name: (there.get(name), here.get(name)) for name in sorted({*there, *here})},
        "engine": ((held.engine_sha256 or "unknown")[:_SHORT_HASH], (planned.engine_sha256 or "unknown")[:_SHORT_HASH]),
        # Two seeds are one difference, also where labels name them.
        "labels": (labels | {"seed": None}, planned.labels | {"seed": None}),
    }
    told = [f"{name} {_told(old)} there, {_told(new)} here" for name, (old, new) in values.items() if old != new]
    return told or ["by another version of this program"]


def _told(value: object) -> str:
    return "unset" if value is None else str(value)


def _is_done(run: PlannedRun, held: Mapping[tuple[str, str], _Held]) -> bool:
    """Tell whether the warehouse holds a good run of the same plan."""
    there = held.get(run.key)
    return there is not None and there.status == "ok" and there.plan_key == run.sidecar.plan_key


def _held(warehouse: Warehouse, planned: Sequence[PlannedRun]) -> dict[tuple[str, str], _Held]:
    """Return (profile, label) -> live run of the grid; a good one where there is one."""
    return {(run.profile, run.label): run for run in _live(warehouse, planned)}


@steady
def _live(warehouse: Warehouse, planned: Sequence[PlannedRun]) -> list[_Held]:
    with connect(warehouse, views=("run_ledger", "runs"), or_empty=True) as connection:
        rows = connection.execute(
            "SELECT profile, label, run_id, status, plan_key, experiment, ticks_requested, "
            "seed, seed_origin, seed_key, seed_space, seed_first, knobs_json, engine_sha256, label_json FROM runs "
            "JOIN (SELECT unnest($profiles) AS profile, unnest($labels) AS label) USING (profile, label) "
            "ORDER BY profile, label, status = 'ok'",
            {
                "profiles": [run.sidecar.profile for run in planned],
                "labels": [run.sidecar.label for run in planned],
            },
        ).fetchall()
    return [_Held(*row) for row in rows]


def _execute(
    warehouse: Warehouse,
    runs: Sequence[PlannedRun],
    spec: Spec,
    options: RunOptions,
    intake: _Intake,
    progress: Progress,
) -> list[EngineRunResult]:
    by_name = {run.sidecar.run_name: run for run in runs}

    def end(result: EngineRunResult) -> None:
        run = by_name[result.run_id]
        write_sidecar(run.telemetry, _finished(run.sidecar, result))

    def finish(result: EngineRunResult) -> None:
        progress.on_result(result)
        intake.add(by_name[result.run_id])

    def begin(run_id: str) -> None:
        # Should the session be killed, half a telemetry file must not pass for a whole one.
        run = by_name[run_id]
        write_sidecar(run.telemetry, msgspec.structs.replace(run.sidecar, status="planned"))

    results = run_many(
        [_config(warehouse, run) for run in runs],
        jobs=options.jobs or os.cpu_count() or 1,
        timeout=spec.timeout_sec,
        retries=options.retries,
        on_start=begin,
        on_end=end,
        on_result=finish,
        keep_texts=False,
    )
    intake.flush()
    return results


def _config(warehouse: Warehouse, run: PlannedRun) -> EngineRunConfig:
    return EngineRunConfig(
        cmd=run.sidecar.command,
        env=run.sidecar.knobs,
        label=run.sidecar.labels,
        run_id=run.sidecar.run_name,
        cwd=warehouse.root,
        telemetry_path=run.telemetry if run.has_telemetry else None,
        stdout_path=run.stdout,
        stderr_path=run.base.with_name(run.base.name + ".stderr.txt"),
        asked=asked_of(run.sidecar),
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
