"""From files to tasks: which profile and label, which batch."""

from __future__ import annotations

import heapq
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from paraphina_wh.catalog import connect, steady
from paraphina_wh.engine.ending import NOTHING_ASKED, asked_of
from paraphina_wh.engine.knobs import is_of_overlay
from paraphina_wh.engine.stdout import parse_stdout
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.inputs import Input
from paraphina_wh.ingest.kinds import HARNESS_NAME
from paraphina_wh.ingest.log import read_log
from paraphina_wh.ingest.split import split_on_reset
from paraphina_wh.ingest.stage import rejected
from paraphina_wh.ingest.task import InPlace, Outcome, Task
from paraphina_wh.known import TIERS, check_profile, no_budget, profiles_of
from paraphina_wh.ledger import run_id_of
from paraphina_wh.masking import shown_names
from paraphina_wh.sidecar import (
    STDOUT_SUFFIX,
    SUFFIX,
    Sidecar,
    in_utc,
    masked,
    read_sidecar,
    sidecar_path,
    stdout_path,
    stem,
)
from paraphina_wh.telemetry.source import plain_name
from paraphina_wh.warehouse import Warehouse, key_problem, reads_as_number

if TYPE_CHECKING:
    import duckdb

NEW_PROFILE = "--new-profile if you mean it"
# What a kill may cost: the runs of a batch that is under way are taken in again.
LARGEST_BATCH_BYTES = 192 << 20
BATCH_RUNS = 256
# Starting a process costs as much as taking in this much.
SMALLEST_BATCH_BYTES = 8 << 20
_BLOCK = 1 << 20
_RUN_NAME = re.compile(r".+_r\d+")


@dataclass(frozen=True)
class Options:
    """How to ingest.

    profile, label: for every input, instead of what its sidecar or its name says.
    label_prefix: start of the labels of files named by the harness. experiment: instead of the sidecar's.
    on_error: `reject` the file or `quarantine` its bad lines. replace: take out a run of the same label.
    split_on_reset: every stretch of rising t is a run of its own.
    max_bad: the most bad lines of a file, as a share (`0.1%`) or a number (`10`), before the report names it;
    bad lines are put aside then, whatever on_error says.
    new_profile: take in runs of a profile that is none of the three, and that the warehouse does not know yet.
    """

    profile: str | None = None
    label: str | None = None
    label_prefix: str = "exp13"
    experiment: str | None = None
    on_error: str = "reject"
    replace: bool = False
    split_on_reset: bool = False
    max_bad: str | None = None
    new_profile: bool = False


@dataclass
class Plan:
    """What to do: batches of tasks, and what was turned down before it was read.

    newest_batch: the last batch the warehouse holds, empty when there is none.
    """

    batches: list[list[Task]]
    rejected: list[Outcome]
    warnings: list[str]
    newest_batch: str = ""


def make_plan(
    warehouse: Warehouse,
    inputs: Iterable[Input],
    options: Options,
    staging: Path,
    jobs: int,
    profiles: Mapping[Path, str] | None = None,
) -> Plan:
    """Turn telemetry, sidecars and stdout logs into batches of tasks; files whose run cannot be named are turned down.

    staging: folder for the pieces of files that are split. jobs: processes that share the batches.
    profiles: what tables say of the telemetry that they name.
    """
    plan = Plan([], [], [])
    tasks: list[Task] = []
    for found in inputs:
        try:
            if found.kind == "stdout":
                tasks.append(_task_of_log(warehouse, found.path, options))
            else:
                tasks += _tasks(warehouse, found.path, options, staging, plan, profiles or {})
        except WarehouseError as error:
            plan.rejected.append(refused(warehouse, found.path, error))
    kept = [task for task in _of_known_profiles(warehouse, tasks, options, plan) if _fit_for_folders(task, plan)]
    plan.newest_batch = _look_up(warehouse, kept)
    plan.batches = _batches(kept, jobs)
    return plan


def _tasks(
    warehouse: Warehouse, file: Path, options: Options, staging: Path, plan: Plan, profiles: Mapping[Path, str]
) -> list[Task]:
    check_name(file)
    without_ticks = file.name.endswith(SUFFIX)
    sidecar = read_sidecar(file if without_ticks else sidecar_path(file))
    if sidecar and sidecar.status == "planned":
        if without_ticks:
            return []
        raise WarehouseError(f"{file}: the run has not finished", "wait for it, or repeat the run that was interrupted")
    if sidecar:
        sidecar = _without_secrets(sidecar, warehouse.relative(file), plan)
        sidecar = _with_start_in_utc(sidecar, warehouse.relative(file), plan)
    stdout = file.with_name(file.name.removesuffix(SUFFIX) + STDOUT_SUFFIX) if without_ticks else stdout_path(file)
    task = Task(
        source=None if without_ticks else str(file.absolute()),
        origin="-" if file.is_relative_to(staging) else warehouse.relative(file),
        profile=_profile(file, options, sidecar, profiles),
        label=_label(file, options, sidecar),
        experiment=_experiment(file, options, sidecar),
        size_bytes=file.stat().st_size,
        stdout=_existing(stdout),
        sidecar=sidecar,
        asked=asked_of(sidecar) if sidecar else NOTHING_ASKED,
        on_error=options.on_error,
        replace=options.replace,
    )
    return split_on_reset(task, staging) if options.split_on_reset and task.source else [task]


def _without_secrets(sidecar: Sidecar, origin: str, plan: Plan) -> Sidecar:
    """Return a sidecar with the overlay of the engine alone, and with masks for what names in it speak of as secret."""
    safe, names = masked(sidecar)
    foreign = [name for name in sidecar.knobs if not is_of_overlay(name)]
    if foreign:
        plan.warnings.append(
            f"{origin}: its sidecar holds variables that are no PARAPHINA_* knobs, left out: {shown_names(foreign)}"
        )
    if secret := set(names) - set(foreign):
        plan.warnings.append(f"{origin}: its sidecar holds what is named like a secret, masked: {shown_names(secret)}")
    return msgspec.structs.replace(safe, knobs={name: safe.knobs[name] for name in safe.knobs if is_of_overlay(name)})


def _with_start_in_utc(sidecar: Sidecar, origin: str, plan: Plan) -> Sidecar:
    """Return a sidecar whose start is an instant in UTC: the latest sweep is the one that was started last."""
    start = in_utc(sidecar.started_at)
    if sidecar.started_at is not None and start is None:
        plan.warnings.append(
            f"{origin}: started_at of its sidecar is no instant, left out: {sidecar.started_at[:80]!r}"
        )
    elif sidecar.started_at is not None and datetime.fromisoformat(sidecar.started_at).tzinfo is None:
        plan.warnings.append(f"{origin}: started_at of its sidecar has no offset, taken as UTC: {sidecar.started_at!r}")
    return msgspec.structs.replace(sidecar, started_at=start)


def profile_in_name(name: str) -> str | None:
    """Return the one tier that is a word of a name `<experiment>_<tier>_..._r<n>`; None when it is not that clear."""
    if not _RUN_NAME.fullmatch(name):
        return None
    tiers = {word for word in name.split("_") if word in TIERS}
    return tiers.pop() if len(tiers) == 1 else None


def _profile(file: Path, options: Options, sidecar: Sidecar | None, profiles: Mapping[Path, str]) -> str:
    named = HARNESS_NAME.fullmatch(stem(file))
    told = sidecar.profile if sidecar else profiles.get(file)
    profile = options.profile or (named and named[1]) or told or profile_in_name(stem(file))
    if told and profile != told:
        raise WarehouseError(
            f"{file}: {'its sidecar' if sidecar else 'the row of a table'} says profile {told!r}, not {profile!r}",
            "leave out --profile" if options.profile else "the file has the name of another run",
        )
    if not profile:
        raise WarehouseError(
            f"{file}: the name tells no profile", "give it with --profile conservative|balanced|aggressive"
        )
    return profile


def _label(file: Path, options: Options, sidecar: Sidecar | None) -> str:
    named = HARNESS_NAME.fullmatch(stem(file))
    if options.label is not None:
        return options.label
    if sidecar:
        return sidecar.label
    return f"{options.label_prefix}_{named[1]}_r{int(named[2]):03d}" if named else stem(file)


def _experiment(file: Path, options: Options, sidecar: Sidecar | None) -> str:
    if options.experiment:
        return options.experiment
    if sidecar:
        return sidecar.experiment
    return options.label_prefix if HARNESS_NAME.fullmatch(stem(file)) else "adhoc"


def _task_of_log(warehouse: Warehouse, file: Path, options: Options) -> Task:
    """Return the task of a stdout log that lies alone: a run without ticks, failed when the summary is missing.

    Raises: WarehouseError when neither the options nor the banner nor the name tell the profile.
    """
    check_name(file)
    said = parse_stdout(read_log(file).text)
    named = HARNESS_NAME.fullmatch(log_stem(file))
    profile = options.profile or (named and named[1]) or said.profile or profile_in_name(log_stem(file))
    if not profile:
        raise WarehouseError(
            f"{file}: no banner tells the profile", "give it with --profile conservative|balanced|aggressive"
        )
    return Task(
        source=None,
        origin=warehouse.relative(file),
        profile=profile,
        label=log_stem(file) if options.label is None else options.label,
        experiment=options.experiment or "adhoc",
        size_bytes=file.stat().st_size,
        stdout=str(file.absolute()),
        on_error=options.on_error,
        replace=options.replace,
    )


def log_stem(file: Path) -> str:
    """Return the name of a stdout log without its endings: `a.stdout.txt` -> `a`."""
    name = plain_name(file)
    return name.removesuffix(STDOUT_SUFFIX) if name.endswith(STDOUT_SUFFIX) else Path(name).stem


def check_name(file: Path) -> None:
    """Raise a WarehouseError for a file whose name no text can hold."""
    if printable(str(file)) != str(file):
        raise WarehouseError(f"{printable(str(file))}: the name is not UTF-8", "rename the file or its folder")


def refused(warehouse: Warehouse, file: Path, error: WarehouseError) -> Outcome:
    """Return the outcome of a file that was turned down as a whole."""
    return Outcome(
        file=printable(warehouse.relative(file)),
        status="rejected",
        errors=[error.message],
        error_count=1,
        hint=error.hint,
    )


def _existing(path: Path) -> str | None:
    return str(path.absolute()) if path.is_file() else None


def _of_known_profiles(warehouse: Warehouse, tasks: Sequence[Task], options: Options, plan: Plan) -> Iterator[Task]:
    """Yield the tasks whose profile is known, and turn the others down, unless new profiles are welcome."""
    known = TIERS if all(task.profile in TIERS for task in tasks) else profiles_of(warehouse)
    for task in tasks:
        try:
            if not options.new_profile:
                check_profile(task.profile, known, NEW_PROFILE)
            yield task
        except WarehouseError as error:
            plan.rejected.append(rejected(task, [error.message], error.hint))


def _fit_for_folders(task: Task, plan: Plan) -> bool:
    """Turn down what no reader could give back, and warn of what some readers take for something else."""
    keys = {"profile": task.profile, "label": task.label, "experiment": task.experiment}
    if task.source is None:
        # Without ticks there is no folder of this name; the label of a run that only has stdout may be long.
        del keys["label"]
    for key, value in keys.items():
        problem = key_problem(key, value)
        if problem:
            plan.rejected.append(rejected(task, [f"{key} {value[:80]!r} {problem}"], f"choose another {key}"))
            return False
        if reads_as_number(value):
            plan.warnings.append(
                f"{task.origin}: readers without a schema take {key} {value!r} for a number, a date or a boolean"
            )
    if task.profile not in TIERS:
        plan.warnings.append(f"{task.origin}: {no_budget(task.profile)}")
    return True


@steady
def _look_up(warehouse: Warehouse, tasks: Sequence[Task]) -> str:
    """Tell every task which runs the warehouse holds under its profile and label; return the newest batch."""
    if not tasks or not warehouse.exists:
        return ""
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        rows = connection.execute(
            "SELECT profile, label, CASE WHEN source_kind = 'telemetry' THEN source_sha256 END, run_id, status, "
            "coalesce(rows, 0), coalesce(source_bytes, 0), plan_key, coalesce(lines, 0), coalesce(quarantined, 0), "
            "coalesce(truncated, false), end_known_by IS NOT NULL, stdout_sha256 IS NOT NULL, "
            "coalesce(source_kind = 'csv', false) FROM runs "
            "JOIN (SELECT DISTINCT unnest($profiles) AS profile, unnest($labels) AS label) USING (profile, label) "
            "ORDER BY batch_id DESC",
            {"profiles": [task.profile for task in tasks], "labels": [task.label for task in tasks]},
        ).fetchall()
        newest = newest_batch(connection)
    held: dict[tuple[str, str], list[InPlace]] = {}
    for profile, label, sha256, run_id, *found in rows:
        content = run_id_of(profile, label, sha256) if sha256 else run_id
        is_gone = sha256 is not None and not warehouse.ticks_file(profile, label, run_id).is_file()
        held.setdefault((profile, label), []).append(InPlace(run_id, content, is_gone, *found))
    for task in tasks:
        task.in_place = held.get((task.profile, task.label), [])
    return newest


def newest_batch(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the newest batch of the ledger, empty when there is none: later ones must sort behind it."""
    row = connection.execute("SELECT max(batch_id) FROM run_ledger").fetchone()
    return (row[0] if row else None) or ""


def _batches(tasks: Sequence[Task], jobs: int) -> list[list[Task]]:
    """Share the tasks out: batches of like size, as many for each process.

    Equal labels stay together, so that one process settles who is first.
    """
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.profile, task.label), []).append(task)
    sizes = {key: sum(task.size_bytes for task in group) for key, group in groups.items()}
    count = _batch_count(len(tasks), sum(sizes.values()), jobs)
    # The largest first, each to the batch that has least so far: the sizes come out alike.
    batches: list[tuple[int, int, list[Task]]] = [(0, number, []) for number in range(min(count, len(groups)))]
    for key in sorted(groups, key=lambda key: -sizes[key]):
        size, number, batch = heapq.heappop(batches)
        batch += groups[key]
        heapq.heappush(batches, (size + sizes[key], number, batch))
    return [batch for _, _, batch in sorted(batches, key=lambda item: item[1])]


def pays_for_processes(inputs: Sequence[Path]) -> bool:
    """Tell whether there is more to read than a process takes to start."""
    enough = len(inputs) > BATCH_RUNS or sum(file.stat().st_size for file in inputs) >= 2 * SMALLEST_BATCH_BYTES
    return enough and len(inputs) > 1


def _batch_count(runs: int, size_bytes: int, jobs: int) -> int:
    """Return how many batches pay: one if there is little to do, else the same number for each process."""
    if size_bytes < 2 * SMALLEST_BATCH_BYTES and runs <= BATCH_RUNS:
        return 1
    share = max(size_bytes / (jobs * LARGEST_BATCH_BYTES), runs / (jobs * BATCH_RUNS))
    return jobs * math.ceil(share)


def printable(text: str) -> str:
    """Return a file name as text that any file can hold: bytes that are no UTF-8 show as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def spool(stream: BinaryIO, staging: Path) -> Path:
    """Copy a stream that cannot be read twice into the staging folder."""
    path = staging / "stdin.jsonl"
    with path.open("wb") as out:
        while block := stream.read(_BLOCK):
            out.write(block)
    return path


def stdin_stream() -> BinaryIO:
    """Return standard input as bytes."""
    return sys.stdin.buffer
