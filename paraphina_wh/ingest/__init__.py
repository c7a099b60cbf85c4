"""Ingest: telemetry files to Parquet and ledger rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.plan import Options, Plan, find_inputs, make_plan, pays_for_processes, spool, stdin_stream
from paraphina_wh.ingest.pool import Pool
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.warehouse import Warehouse, hive_folder, new_batch

__all__ = ["Options", "Outcome", "Report", "ingest_paths"]

OnOutcomes = Callable[[list[Outcome]], None]


class Report(list[Outcome]):
    """What became of each input, sorted by file; warnings are about names, not about content."""

    def __init__(self, outcomes: Sequence[Outcome], warnings: Sequence[str] = ()) -> None:
        super().__init__(sorted(outcomes, key=lambda outcome: outcome.file))
        self.warnings = list(warnings)

    @property
    def complete(self) -> bool:
        """Tell whether nothing was rejected."""
        return all(outcome.status != "rejected" for outcome in self)


def ingest_paths(
    warehouse: Warehouse,
    paths: Sequence[str | Path],
    options: Options | None = None,
    *,
    jobs: int | None = None,
    on_plan: Callable[[int], None] | None = None,
    on_outcomes: OnOutcomes | None = None,
) -> Report:
    """Take in telemetry files, folders and globs (or `-`, standard input) and report on each file.

    Every file stands for itself: a rejected one changes nothing and stops nothing. Repeating an ingest changes
    nothing. jobs: processes, by default one a core. on_plan is told the number of runs, on_outcomes what became
    of each batch as it is committed.

    Raises: WarehouseError (exit code 2) for a path that is not there or options that do not fit.
    """
    options = options or Options()
    jobs = jobs or os.cpu_count() or 1
    with _inputs(warehouse, paths, options) as (inputs, staging), _pool(warehouse, inputs, jobs) as pool:
        plan = make_plan(warehouse, inputs, options, staging, jobs)
        if on_plan:
            on_plan(sum(len(batch) for batch in plan.batches))
        outcomes = list(plan.rejected)
        for committed in pool.run(plan) if pool else _run_here(warehouse, plan, jobs):
            outcomes += committed
            if on_outcomes:
                on_outcomes(committed)
    return Report(outcomes, plan.warnings)


@contextmanager
def _inputs(warehouse: Warehouse, paths: Sequence[str | Path], options: Options) -> Iterator[tuple[list[Path], Path]]:
    """Find the inputs and set the warehouse up; nothing is created when a path or an option is wrong."""
    for key, value in (("profile", options.profile), ("label", options.label), ("experiment", options.experiment)):
        if value is not None:
            hive_folder(key, value)
    from_stdin = [str(path) for path in paths] == ["-"]
    if from_stdin and not (options.profile and options.label):
        raise WarehouseError("standard input has no name", "give --profile and --label", exit_code=2)
    inputs = [] if from_stdin else find_inputs(warehouse, paths)
    if not inputs and not from_stdin:
        named = ", ".join(map(str, paths))
        raise WarehouseError(f"no telemetry below {named}", "telemetry files end in .jsonl or .ndjson", exit_code=2)
    if options.label is not None and len(inputs) > 1:
        raise WarehouseError(f"--label names one run, there are {len(inputs)} files", "leave it out", exit_code=2)
    from paraphina_wh import catalog

    catalog.set_up(warehouse)
    with commit.staging_folder(warehouse.staging, new_batch()) as staging:
        yield [spool(stdin_stream(), staging)] if from_stdin else inputs, staging


@contextmanager
def _pool(warehouse: Warehouse, inputs: Sequence[Path], jobs: int) -> Iterator[Pool | None]:
    """Start processes when there is enough to do for more than one."""
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
