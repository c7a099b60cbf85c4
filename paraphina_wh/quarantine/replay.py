"""Replay: a run whose bad lines were repaired is taken in again, in the place of what it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from paraphina_wh import commit
from paraphina_wh.catalog import connect, set_up
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import Ingester
from paraphina_wh.ingest.inputs import Input
from paraphina_wh.ingest.mc_runs import source_id_of, take_in_mc_runs
from paraphina_wh.ingest.others import take_in
from paraphina_wh.ingest.plan import Options, newest_batch, spool, stdin_stream
from paraphina_wh.ingest.sinks import ERRORS_SHOWN, reason_text
from paraphina_wh.ingest.task import Outcome, Task
from paraphina_wh.quarantine.chosen import Chosen, Replayed, result_of
from paraphina_wh.quarantine.files import file_of, query
from paraphina_wh.quarantine.held import Held
from paraphina_wh.quarantine.identity import missing, split_files, task_of
from paraphina_wh.quarantine.mend import Mending
from paraphina_wh.quarantine.show import Shown
from paraphina_wh.rerun.recorded import find_runs
from paraphina_wh.telemetry.reader import BadLine, Ledger, Sinks, read_strict
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS
from paraphina_wh.telemetry.source import open_source
from paraphina_wh.warehouse import Warehouse, new_batch

OnDone = Callable[[Replayed], None]


def replay(
    warehouse: Warehouse,
    chosen: Chosen,
    *,
    lines: str | Path | None = None,
    keep_going: bool = False,
    on_done: OnDone | None = None,
) -> list[Replayed]:
    """Take runs in again from their repaired sources, each under the identity that the ledger has, and tell of each.

    A replay takes the place of the run when it leaves fewer lines aside and loses no row; each is a commit of its own.
    lines: file (or `-`, standard input) with corrected lines of the one run, whose source must be what it was.
    keep_going: a run that cannot be replayed is reported and does not stop the others.
    Raises: WarehouseError, before anything is changed, when a run cannot be replayed (exit code 2 when its source is
            missing) or the corrected lines do not fit.
    """
    if lines is not None and str(lines) != "-" and not Path(lines).is_file():
        raise WarehouseError(f"no such file: {lines}", "name the file of corrected lines, or - for stdin", exit_code=2)
    jobs = list(_jobs(warehouse, chosen.runs, keep_going))
    done = list(chosen.done)
    if jobs or done:
        # Also for what was done before: a process that was killed right after its commit left files to remove.
        set_up(warehouse)
    if not jobs:
        return done
    with (
        commit.staging(warehouse, new_batch()) as staging,
        Ingester(warehouse, os.cpu_count() or 1, _newest(warehouse)) as ingester,
    ):
        for job in jobs:
            if isinstance(job, _Job):
                if lines is not None:
                    job.mend(lines, staging)
                job = job.run(ingester, staging)
            done.append(job)
            if on_done:
                on_done(job)
    return done


def _newest(warehouse: Warehouse) -> str:
    with connect(warehouse, views=("run_ledger",)) as connection:
        return newest_batch(connection)


def _jobs(warehouse: Warehouse, runs: Sequence[Held], keep_going: bool) -> Iterator[_Job | Replayed]:
    """Yield what is to be done; with keep_going, a run that cannot be replayed is a result already."""
    recorded = {run.row.run_id: run for run in find_runs(warehouse, [held.run_id for held in runs if held.is_run])}
    split = split_files(warehouse) if recorded else set()
    for held in runs:
        try:
            if held.is_run:
                task = task_of(warehouse, recorded[held.run_id], split)
                yield _Job(warehouse, held, Path(task.source or ""), held.quarantined or 0, task)
            else:
                yield _job_of_file(warehouse, held)
        except WarehouseError as error:
            if not keep_going:
                raise
            yield result_of(held, errors=[error.message], error_count=1, hint=error.hint)


def _job_of_file(warehouse: Warehouse, held: Held) -> _Job:
    source = warehouse.root / held.file
    if not source.is_file():
        raise missing(held.file, str(held), held.run_id, "paraphina-wh ingest FILE --on-error quarantine")
    return _Job(warehouse, held, source, Shown(held, file_of(warehouse, held.run_id)).kept)


@dataclass
class _Job:
    """One run, or file of Monte Carlo runs, to be taken in again. before: lines put aside so far."""

    warehouse: Warehouse
    held: Held
    source: Path
    before: int
    task: Task | None = None
    mended: bool = False

    def mend(self, lines: str | Path, staging: Path) -> None:
        """Go on with a copy of the source in which corrected lines stand in the place of bad ones."""
        if self.task is None:
            raise WarehouseError(
                f"{self.held} is a file of Monte Carlo runs: --lines mends runs alone",
                f"repair {self.held.file} itself, then: paraphina-wh quarantine replay {self.held.run_id}",
                exit_code=2,
            )
        from_stdin = str(lines) == "-"
        corrected = spool(stdin_stream(), staging) if from_stdin else Path(lines)
        mending = Mending(self.source, self.held.file)
        target = staging / "mended.jsonl"
        try:
            mending.read()
            if mending.sha256 not in self._contents():
                raise WarehouseError(
                    f"{self.held.file} is not what {self.held} was made of: corrected lines would not fit",
                    "restore the file; if it was repaired in place, leave --lines out",
                )
            mending.write(corrected, "standard input" if from_stdin else str(lines), target)
        except OSError as error:
            raise WarehouseError(f"cannot mend {self.held.file}: {error}", "free disk space, repeat") from error
        self.source, self.mended = target, True
        self.task = msgspec.structs.replace(self.task, source=str(target), size_bytes=target.stat().st_size)

    def _contents(self) -> set[str]:
        """Return the hashes of what the run was made of, before it was mended too."""
        with connect(self.warehouse, views=("run_ledger",)) as connection:
            values = {"run_id": self.held.run_id, "file": self.held.file}
            return {sha256 for (sha256,) in connection.execute(query("made_of"), values).fetchall()}

    def run(self, ingester: Ingester, staging: Path) -> Replayed:
        """Take it in when that is a gain."""
        reasons = _Reasons()
        try:
            with open_source(self.source, may_be_cut=True) as stream:
                now = read_strict(stream, TICKS if self.task else MC_RUNS, Sinks(bad=reasons))
        except WarehouseError as error:
            return self._result(errors=[error.message], error_count=1, hint=error.hint)
        except OSError as error:
            return self._result(errors=[f"cannot read {self.held.file}: {error.strerror}"], error_count=1)
        if now.sha256 == self.held.source_sha256 and (now.rows, now.quarantined) == (self.held.rows, self.before):
            return self._unchanged()
        problem, hint = self._no_gain(now)
        if problem:
            errors = [problem, *reasons.texts][:ERRORS_SHOWN]
            return self._result(errors=errors, error_count=1 + now.errors, hint=hint)
        outcome = self._take_in(ingester, staging)
        if outcome.status == "rejected":
            return self._result(errors=outcome.errors, error_count=outcome.error_count, hint=outcome.hint)
        new_run_id = outcome.run_id or source_id_of(now)
        return self._result(
            status="replayed",
            new_run_id=new_run_id,
            rows=now.rows,
            lines_left=now.quarantined,
            cut_off=now.truncated,
            errors=reasons.texts,
            error_count=now.errors,
            hint=f"paraphina-wh quarantine show {new_run_id}",
        )

    def _result(self, **fields: Any) -> Replayed:
        return result_of(self.held, **{"lines_before": self.before, "lines_left": self.before} | fields)

    def _unchanged(self) -> Replayed:
        what = "the corrected lines are those that were put aside" if self.mended else "the file is what it was"
        hint = "repair the file, then replay it"
        if self.task:
            show = f"paraphina-wh quarantine show {self.held.run_id} --format jsonl"
            hint += f"; or correct what `{show}` writes, and give that with --lines"
        return self._result(
            status="unchanged",
            cut_off=self.held.cut_off,
            errors=[f"{self.held.file}: {what}: nothing was replayed"],
            error_count=1,
            hint=hint,
        )

    def _no_gain(self, now: Ledger) -> tuple[str, str]:
        """Return why the run is better left as it is, and the next step; nothing when it is not."""
        file, held = self.held.file, self.held
        if self.mended and (now.rows < held.rows or now.quarantined >= self.before):
            return (
                f"{file}: {now.quarantined} lines are bad, {held} has {self.before} put aside: nothing is gained",
                "correct more of them; give all lines of the file together, those of earlier replays too",
            )
        if now.rows < held.rows:
            return (
                f"{file}: {now.rows} good lines, {held} has {held.rows}: some of them are gone",
                "restore them; `paraphina-wh ingest` with --replace takes the file in as it is",
            )
        if now.quarantined >= self.before:
            return (
                f"{file}: {now.quarantined} bad lines, {held} has {self.before} put aside: nothing is gained",
                "repair more of them",
            )
        return "", ""

    def _take_in(self, ingester: Ingester, staging: Path) -> Outcome:
        if self.task is None:
            options = Options(on_error="quarantine", replace=True, new_profile=True)
            found, take = Input(self.source, "mc_runs", named=True), partial(take_in_mc_runs, again=True)
            return take_in(self.warehouse, found, options, staging, take)
        (outcome,) = ingester.ingest([self.task])
        return outcome


class _Reasons:
    """Keeps the first reasons for which lines are bad."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, bad: BadLine) -> None:
        """Take one bad line."""
        room = ERRORS_SHOWN - len(self.texts)
        self.texts += [reason_text(bad.line, each.field, each.reason) for each in bad.breaches[: max(0, room)]]
