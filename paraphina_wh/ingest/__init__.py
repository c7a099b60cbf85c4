"""Ingest: telemetry, stdout logs, tables of runs, Monte Carlo runs and research datasets to Parquet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.inputs import Found, Input, find_inputs
from paraphina_wh.ingest.kinds import JSONL_ENDINGS, TABLE_ENDINGS, TEXT_ENDINGS, Kind
from paraphina_wh.ingest.plan import NEW_PROFILE, Options, Plan, make_plan, pays_for_processes, spool, stdin_stream
from paraphina_wh.ingest.pool import Pool
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.ingest.threshold import MaxBad, read_max_bad
from paraphina_wh.known import check_profiles
from paraphina_wh.sidecar import SUFFIX, sidecar_path
from paraphina_wh.telemetry.reader import line_limit
from paraphina_wh.warehouse import Warehouse, hive_folder, new_batch

__all__ = ["Options", "Outcome", "Report", "ingest_paths"]

OnOutcomes = Callable[[list[Outcome]], None]

# What becomes a run of its own, in batches and on many cores.
_RUNS: tuple[Kind, ...] = ("telemetry", "stdout")


class Report(list[Outcome]):
    """What became of each input, sorted by file.

    warnings are about names, not about content. left_out: what lay in a folder and is of no known kind.
    max_bad: the most bad lines that a file may have, if that was limited.
    settled: rows of tables whose runs are here now with their telemetry or stdout, and which went out for them.
    """

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        warnings: Sequence[str] = (),
        left_out: Sequence[str] = (),
        max_bad: MaxBad | None = None,
        settled: int = 0,
    ) -> None:
        super().__init__(sorted(outcomes, key=lambda outcome: outcome.file))
        self.warnings = list(warnings)
        self.left_out = list(left_out)
        self.max_bad = max_bad
        self.settled = settled

    @property
    def complete(self) -> bool:
        """Tell whether nothing was rejected."""
        return all(outcome.status != "rejected" for outcome in self)

    @property
    def too_bad(self) -> list[Outcome]:
        """Return the files with more bad lines than allowed; their good lines are in the warehouse all the same."""
        limit = self.max_bad
        return [each for each in self if limit and limit.is_exceeded(each.bad_lines, each.lines)]


def ingest_paths(
    warehouse: Warehouse,
    paths: Sequence[str | Path],
    options: Options | None = None,
    *,
    jobs: int | None = None,
    on_plan: Callable[[int], None] | None = None,
    on_outcomes: OnOutcomes | None = None,
) -> Report:
    """Take in files, folders and globs (or `-`, standard input: telemetry) and report on each file.

    What a file is, its content tells: telemetry, stdout, a table of runs or of summaries, Monte Carlo runs, a dataset.
    Every file stands for itself: a rejected one changes nothing and stops nothing. Repeating an ingest changes
    nothing. jobs: processes, by default one a core. on_plan is told the number of runs and other files, on_outcomes
    what became of each batch as it is committed.

    Raises: WarehouseError (exit code 2) for a path that is not there or options that do not fit.
    """
    options = options or Options()
    # Before anything is read: a limit that is no number is no fault of a file.
    line_limit()
    max_bad = read_max_bad(options.max_bad) if options.max_bad is not None else None
    if max_bad:
        options = replace(options, on_error="quarantine")
    jobs = jobs or os.cpu_count() or 1
    with _inputs(warehouse, paths, options) as (found, staging), _pool(warehouse, found, jobs) as pool:
        runs = [each for each in found.inputs if each.kind in _RUNS]
        others = [each for each in found.inputs if each.kind not in _RUNS]
        profiles = _profiles_told(warehouse, found, options, staging)
        plan = make_plan(warehouse, runs, options, staging, jobs, profiles)
        if on_plan:
            on_plan(sum(len(batch) for batch in plan.batches) + len(others))
        outcomes = list(plan.rejected)
        for committed in chain(
            pool.run(plan) if pool else _run_here(warehouse, plan, jobs), _others(warehouse, others, options, staging)
        ):
            outcomes += committed
            if on_outcomes:
                on_outcomes(committed)
    return Report(outcomes, plan.warnings, found.left_out, max_bad, _settled(warehouse, outcomes))


def _profiles_told(warehouse: Warehouse, found: Found, options: Options, staging: Path) -> dict[Path, str]:
    """Return what tables say of the profiles of telemetry that comes without a sidecar."""
    bare = [file for file in found.of("telemetry") if not (file.name.endswith(SUFFIX) or sidecar_path(file).is_file())]
    if options.profile or not bare:
        return {}
    from paraphina_wh.ingest.told import profiles_told

    return profiles_told(warehouse, bare, found.of("runs_table", "shorter"), staging)


def _settled(warehouse: Warehouse, outcomes: Sequence[Outcome]) -> int:
    """Compare what came in with what is there, when runs are among it; return how many rows of tables had to go."""
    if not any(outcome.run_id for outcome in outcomes):
        return 0
    from paraphina_wh.ingest.told import settle

    return settle(warehouse, outcomes)


@contextmanager
def _inputs(warehouse: Warehouse, paths: Sequence[str | Path], options: Options) -> Iterator[tuple[Found, Path]]:
    """Find the inputs and set the warehouse up; nothing is created when a path or an option is wrong."""
    for key, value in (("profile", options.profile), ("label", options.label), ("experiment", options.experiment)):
        if value is not None:
            hive_folder(key, value)
    from_stdin = [str(path) for path in paths] == ["-"]
    if from_stdin and not (options.profile and options.label):
        raise WarehouseError("standard input has no name", "give --profile and --label", exit_code=2)
    found = Found() if from_stdin else find_inputs(warehouse, paths)
    if options.profile is not None and not options.new_profile:
        check_profiles(warehouse, [options.profile], NEW_PROFILE)
    if not found.inputs and not from_stdin:
        named = ", ".join(map(str, paths))
        endings = ", ".join((*JSONL_ENDINGS, *TABLE_ENDINGS, *TEXT_ENDINGS))
        raise WarehouseError(f"nothing to take in below {named}", f"files end in {endings}", exit_code=2)
    if options.label is not None and len(found.inputs) > 1:
        raise WarehouseError(f"--label names one run, there are {len(found.inputs)} files", "leave it out", exit_code=2)
    from paraphina_wh import catalog

    catalog.set_up(warehouse)
    with commit.staging(warehouse, new_batch()) as staging:
        if from_stdin:
            found.inputs.append(Input(spool(stdin_stream(), staging), "telemetry", named=True))
        yield found, staging


@contextmanager
def _pool(warehouse: Warehouse, found: Found, jobs: int) -> Iterator[Pool | None]:
    """Start processes when there is enough to do for more than one."""
    inputs = found.of(*_RUNS)
    if jobs < 2 or not pays_for_processes(inputs):
        yield None
        return
    with Pool(warehouse, min(jobs, len(inputs))) as pool:
        yield pool


def _run_here(warehouse: Warehouse, plan: Plan, jobs: int) -> Iterator[list[Outcome]]:
    from paraphina_wh.ingest.batch import Ingester

    with Ingester(warehouse, threads=jobs, newest_batch=plan.newest_batch) as ingester:
        for batch in plan.batches:
            yield ingester.ingest(batch)


def _others(warehouse: Warehouse, inputs: Sequence[Input], options: Options, staging: Path) -> Iterator[list[Outcome]]:
    """Take in what is not one run, a file after the other."""
    if inputs:
        from paraphina_wh.ingest.others import take_in

        yield from ([take_in(warehouse, each, options, staging)] for each in inputs)
