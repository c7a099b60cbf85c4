"""One input to a staged Parquet file and its ledger row, or to the reasons why not."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import duckdb

from paraphina_wh.catalog import no_glob
from paraphina_wh.errors import WarehouseError, machine_error
from paraphina_wh.ingest.columnar import Columnar, convert
from paraphina_wh.ingest.kinds import NOT_TELEMETRY, rotated_parts, why_foreign
from paraphina_wh.ingest.log import read_log
from paraphina_wh.ingest.overlapped import Overlapped, file_sha256, stream_sha256
from paraphina_wh.ingest.rows import account, identity_row, judged, outcome_of
from paraphina_wh.ingest.sinks import ERRORS_SHOWN, BadLineFile, ExtraFile
from paraphina_wh.ingest.task import InPlace, Outcome, Task
from paraphina_wh.ledger import LedgerRow, evidence_id_of, run_id_of
from paraphina_wh.telemetry.reader import Ledger, Sinks, read_strict
from paraphina_wh.telemetry.source import foreign_text, open_source, packing_of

_SEVERAL_RUNS = (
    "if several runs were appended to one file, split them with --split-on-reset; if they were written at once, run "
    "them again, each into a file of its own"
)
# Below this the two passes over a file are so short that overlapping them buys nothing.
OVERLAP_BYTES = 32 << 20
_BLOCK = 1 << 20


@dataclass
class Staged:
    """A run ready to be committed: its ledger row, and where its files wait.

    superseded: the runs that stand under its label and go; the row names the first.
    """

    row: LedgerRow
    outcome: Outcome
    experiment: str
    superseded: list[str]
    ticks: Path | None = None
    quarantine: Path | None = None


@dataclass
class Stager:
    """Stages the runs of one batch in a folder, one after the other.

    threads: what the columnar read may use; with more than one, large files are read by both passes at once.
    taken: (profile, label) -> what this batch has staged, or found in place, so far.
    notice: what to say of the run being staged if it gets in.
    """

    connection: duckdb.DuckDBPyConnection
    folder: Path
    batch: str
    threads: int = 1
    count: int = 0
    taken: dict[tuple[str, str], InPlace] = field(default_factory=dict)
    notice: str = ""

    def stage(self, task: Task) -> Staged | Outcome:
        """Stage one run; an Outcome alone means that there is nothing to commit."""
        started = time.perf_counter()
        self.count += 1
        self.notice = ""
        try:
            staged = self._stage(task)
        except WarehouseError as error:
            return rejected(task, [error.message], error.hint)
        if isinstance(staged, Staged):
            if staged.row.status == "ok" or not self._good_sibling(task):
                self.taken[task.profile, task.label] = _in_place(staged)
            staged.outcome.notices += [self.notice] if self.notice else []
            staged.row.ingest_sec = round(time.perf_counter() - started, 6)
        return staged

    def _stage(self, task: Task) -> Staged | Outcome:
        if task.source is None:
            return self.without_ticks(judged(task))
        if self.is_beside_good(task):
            return self.without_ticks(task)
        try:
            staged = _Telemetry(self, task, task.source).stage()
        except WarehouseError as error:
            staged = rejected(task, [error.message], error.hint)
        if isinstance(staged, Staged) or staged.status != "rejected" or not task.failed:
            return staged
        # What a failed run left need not be telemetry; that it failed is recorded all the same.
        recorded = self.without_ticks(task)
        if isinstance(recorded, Staged):
            recorded.outcome.warnings += staged.errors
        return recorded

    def path(self, ending: str) -> Path:
        """Return a name in the folder for the run being staged."""
        return self.folder / f"{self.count}.{ending}"

    def is_beside_good(self, task: Task) -> bool:
        """Tell whether a failure is to be a row alone: its ticks would mix with those of the good run of its label."""
        return task.failed and bool(task.usable_in_place or self._good_sibling(task))

    def settled(self, task: Task, content: str) -> Outcome | None:
        """Return the outcome of a run that needs no commit: it is there already, or its label is taken.

        content: the run_id that its content has when no line is put aside.
        """
        return self._unchanged(task, content) or self._conflict(task, content)

    def _unchanged(self, task: Task, content: str) -> Outcome | None:
        staged = self.taken.get((task.profile, task.label))
        if staged is None and task.replace and len(task.usable_in_place) > 1:
            # Ingesters raced for the label: this one takes the place of all of them.
            return None
        # What an earlier file of this batch has settled is not settled again.
        held = [staged] if staged else task.in_place
        same = next((old for old in held if old.content == content and task.is_told_by(old)), None)
        if same is None:
            return None
        self.taken[task.profile, task.label] = same
        return Outcome(
            file=task.origin,
            status="unchanged",
            run_id=same.run_id,
            ticks=same.ticks,
            bytes=same.bytes,
            lines=same.lines,
            quarantined=same.quarantined,
            cut_off=same.cut_off,
        )

    def _conflict(self, task: Task, content: str) -> Outcome | None:
        """Return a rejection when another run has this profile and label; a failure takes no label and holds none."""
        if task.failed:
            return None
        held = [] if task.replace else task.usable_in_place
        other = self._good_sibling(task) or next((old for old in held if old.content != content), None)
        if other is None or other.content == content:
            return None
        more = _lines_more(task, other)
        if more is not None and held == [other] and other.cut_off and self._good_sibling(task) is None:
            self.notice = f"goes on where run {other.run_id} was cut off, {more} more lines, and takes its place"
            return None
        if more is not None:
            return rejected(
                task,
                [f"the file has grown since run {other.run_id} was made of it: {more} more lines"],
                "take the longer one with --replace",
            )
        return rejected(
            task,
            [f"label {task.label!r} of profile {task.profile!r} is taken by run {other.run_id} with other content"],
            "give another --label, or take the old run out with --replace",
        )

    def _good_sibling(self, task: Task) -> InPlace | None:
        """Return the good run that this batch has settled under the same profile and label."""
        sibling = self.taken.get((task.profile, task.label))
        return sibling if sibling and sibling.status == "ok" else None

    def without_ticks(self, task: Task) -> Staged | Outcome:
        """Stage a run that left no telemetry: it failed early, or its experiment only reads stdout."""
        digest = read_log(Path(task.stdout)).sha256 if task.stdout else hashlib.sha256().hexdigest()
        run_id = run_id_of(task.profile, task.label, digest)
        settled = self.settled(task, run_id)
        if settled:
            return settled
        row = identity_row(self.batch, task, run_id)
        row.evidence_id = evidence_id_of(task.profile, digest)
        return Staged(row, outcome_of(task, row), task.experiment, task.superseded)


def _in_place(staged: Staged) -> InPlace:
    """Return a staged run as later files of its label will find it."""
    row, outcome = staged.row, staged.outcome
    return InPlace(
        row.run_id,
        run_id_of(row.profile, row.label, row.source_sha256) if row.source_sha256 else row.run_id,
        False,
        row.status,
        outcome.ticks,
        outcome.bytes,
        row.plan_key,
        outcome.lines,
        outcome.quarantined,
        outcome.cut_off,
        row.end_known_by is not None,
        row.stdout_sha256 is not None,
    )


def _lines_more(task: Task, held: InPlace) -> int | None:
    """Return how many lines more a file has than a run was made of; None when it is not that file, gone on."""
    if task.source is None or not held.bytes:
        return None
    with open_source(Path(task.source), may_be_cut=True) as stream:
        start, left, lines, last = hashlib.sha256(), held.bytes, 0, b""
        while block := stream.read(min(left, _BLOCK) or _BLOCK):
            if left:
                start.update(block)
                left -= len(block)
            lines, last = lines + block.count(b"\n"), block[-1:]
    if left or run_id_of(task.profile, task.label, start.hexdigest()) != held.content:
        return None
    # Of a run that was cut off, the last line counts as one that is new.
    return lines + (last not in (b"\n", b"")) - (held.lines - held.cut_off)


def rejected(task: Task, errors: list[str], hint: str = "", total: int = 0) -> Outcome:
    """Return the outcome of an input that did not get in."""
    shown = errors[:ERRORS_SHOWN]
    return Outcome(file=task.origin, status="rejected", errors=shown, error_count=max(total, len(errors)), hint=hint)


class _Telemetry:
    """One run with telemetry on its way into the staging folder."""

    def __init__(self, stager: Stager, task: Task, source: str) -> None:
        self.stager = stager
        self.task = task
        self.source = Path(source)
        self.compressed = _is_compressed(self.source)
        # DuckDB takes a name for a pattern, and not every name can be escaped: it reads a copy with a plain one.
        self.copied = self.compressed or no_glob(source) != source
        self.before = _state(self.source)
        self.reasons: list[str] = []

    def stage(self) -> Staged | Outcome:
        unread = self._settled_by_hash()
        if unread:
            return unread
        overlapped = self._start_overlapped()
        try:
            ledger = self._strict_pass(clean=self.copied, hashed=overlapped is None)
            if overlapped:
                ledger.sha256 = overlapped.sha256()
        except BaseException:
            if overlapped:
                overlapped.cancel()
            raise
        settled = self._settled(ledger)
        usable = ledger.verbatim and self._job(self.source, ledger.sha256, ledger).is_plain and settled is None
        if overlapped and not usable:
            overlapped.cancel()
        if settled:
            return settled
        return self._convert(ledger, overlapped if usable else None)

    def _settled_by_hash(self) -> Outcome | None:
        """Spare the second reading of what the warehouse holds already."""
        task = self.task
        if not task.in_place and (task.profile, task.label) not in self.stager.taken:
            return None
        with open_source(self.source, may_be_cut=True) as stream:
            content = self._content(stream_sha256(stream))
        self.task = task.retelling(content)
        return self.stager.settled(self.task, content)

    def _settled(self, ledger: Ledger) -> Staged | Outcome | None:
        """Return what has come of a run whose ticks are not wanted; None for one that goes on."""
        problem = self._problem(ledger)
        if problem:
            return problem
        content = self._content(ledger.sha256)
        self.task = judged(self.task, ledger)
        if self.stager.is_beside_good(self.task):
            return self.stager.without_ticks(self.task)
        return self.stager.settled(self.task, content)

    def _start_overlapped(self) -> Overlapped | None:
        if self.stager.threads < 2 or self.copied or self.before[0] < OVERLAP_BYTES:
            return None
        return Overlapped(self.stager.connection, self.source, lambda sha256: self._job(self.source, sha256, None))

    def _strict_pass(self, *, clean: bool, find_duplicates: bool = False, hashed: bool = True) -> Ledger:
        """Read the source strictly; with clean, write its rows once more for the columnar read."""
        path = self.stager.path
        with (
            ExtraFile(path("extra.arrow")) as extra,
            BadLineFile(path("bad.jsonl"), self.task.origin) as bad,
            _maybe_open(path("clean.jsonl") if clean else None) as copy,
            open_source(self.source, may_be_cut=True) as stream,
        ):
            ledger = read_strict(stream, sinks=Sinks(bad, extra, copy), find_duplicates=find_duplicates, hashed=hashed)
        self.reasons = bad.reasons
        return ledger

    def _problem(self, ledger: Ledger) -> Outcome | None:
        # What the warehouse holds already, of an older program, is not turned down now.
        if ledger.quarantined > ledger.truncated and not self.task.again:
            how, hint = foreign_text(self.source)
            if how:
                # Its first record would be put aside as one bad line, and the run start at the second.
                return rejected(self.task, [f"the file {how}", *self.reasons], hint, 1 + ledger.errors)
        if not ledger.rows and (reason := why_foreign(self.source)):
            return rejected(self.task, [f"{self.task.origin}: {reason}"], NOT_TELEMETRY)
        if ledger.setbacks:
            # With these lines put aside, the rest would be a mixture.
            told = f"more than one run in the file: t does not rise in {ledger.setbacks} lines"
            errors = [*([told] if self.task.on_error == "quarantine" else []), *self.reasons]
            return rejected(self.task, errors, _SEVERAL_RUNS, ledger.errors)
        missing = self._rotated_away(ledger)
        if missing:
            return missing
        if ledger.quarantined > ledger.truncated and self.task.on_error == "reject":
            hint = "repair the file, or keep its good lines with --on-error quarantine"
            return rejected(self.task, self.reasons, hint, ledger.errors)
        if not ledger.rows:
            reasons = [*self.reasons, f"{self.task.origin}: no complete record in the file"]
            return rejected(self.task, reasons, "look at the engine's stderr, or run it again", ledger.errors + 1)
        return None

    def _rotated_away(self, ledger: Ledger) -> Outcome | None:
        """Return a rejection when the ticks before the first are known to lie in other files."""
        parts = rotated_parts(self.source) if ledger.first_index and not self.task.again else []
        if not parts:
            return None
        names = ", ".join(part.name for part in parts)
        return rejected(
            self.task,
            [f"the run is not whole: its first t is {ledger.first_index}, and parts were rotated away: {names}"],
            "join the parts in one file, the oldest first, and ingest that; or move away what is of another run",
        )

    def _content(self, sha256: str) -> str:
        return run_id_of(self.task.profile, self.task.label, sha256)

    def _run_id(self, sha256: str, put_aside: str) -> str:
        task = self.task
        run_id = run_id_of(task.profile, task.label, sha256, put_aside)
        if task.again and run_id in task.superseded:
            # An older program named it by its content alone: its ticks must not be written over.
            return run_id_of(task.profile, task.label, sha256, f"again {run_id}")
        return run_id

    def _convert(self, ledger: Ledger, overlapped: Overlapped | None) -> Staged | Outcome:
        rows = overlapped.rows() if overlapped else None
        if rows is None:
            try:
                rows = self._convert_now(ledger)
            except duckdb.Error as error:
                return self._second_opinion(error)
        size = ledger.bytes if self.compressed else self.before[0]
        if rows != ledger.rows or size != ledger.bytes or _state(self.source) != self.before:
            raise WarehouseError(
                f"{self.task.origin}: changed while it was read", "wait until the engine is done, then ingest again"
            )
        return self._staged(ledger)

    def _convert_now(self, ledger: Ledger) -> int:
        source = self.source
        if self.copied or not ledger.verbatim:
            source = self.stager.path("clean.jsonl")
            if not source.exists():
                self._strict_pass(clean=True)
        return convert(self.stager.connection, self._job(source, ledger.sha256, ledger))

    def _second_opinion(self, objection: duckdb.Error) -> Staged | Outcome:
        """Name the lines that the columnar read objected to: duplicate keys are all it can know better.

        Raises: WarehouseError when it objects to what is left too: one file must not take others with it.
        """
        _check_machine(objection)
        ledger = self._strict_pass(clean=True, find_duplicates=True)
        settled = self._settled(ledger)
        if settled:
            return settled
        try:
            convert(self.stager.connection, self._job(self.stager.path("clean.jsonl"), ledger.sha256, ledger))
        except duckdb.Error as error:
            _check_machine(error)
            reason = str(error).partition("\n")[0]
            raise WarehouseError(
                f"{self.task.origin}: DuckDB cannot read what the contract allows: {reason}",
                "report this with the file: as it is, it cannot be taken in",
            ) from error
        return self._staged(ledger)

    def _job(self, source: Path, sha256: str, ledger: Ledger | None) -> Columnar:
        """Return the conversion of this run; without a ledger, its lines are taken to be short."""
        task = self.task
        run_id = self._run_id(sha256, ledger.put_aside if ledger else "")
        return Columnar(
            source=source,
            target=self.stager.path("parquet"),
            longest_line=ledger.longest_line if ledger else 0,
            constants={"run_id": run_id},
            metadata={
                "run_id": run_id,
                "profile": task.profile,
                "label": task.label,
                "schema_version": "1",
                "source_sha256": sha256,
            },
            extra=self.stager.path("extra.arrow") if ledger and ledger.unknown else None,
        )

    def _staged(self, ledger: Ledger) -> Staged:
        task, ticks = self.task, self.stager.path("parquet")
        row = identity_row(self.stager.batch, task, self._run_id(ledger.sha256, ledger.put_aside))
        row.evidence_id = evidence_id_of(task.profile, ledger.sha256)
        row.source_kind, row.telemetry_path = "telemetry", task.origin
        row.compressed_sha256 = file_sha256(self.source) if self.compressed else None
        row.stored_bytes, row.stored_sha256 = ticks.stat().st_size, file_sha256(ticks)
        account(row, ledger)
        outcome = outcome_of(task, row)
        outcome.errors, outcome.error_count = self.reasons, ledger.errors
        quarantine = self.stager.path("bad.jsonl") if ledger.quarantined else None
        return Staged(row, outcome, task.experiment, task.superseded, ticks, quarantine)


def _is_compressed(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return packing_of(stream.read(4)) is not None
    except OSError as error:
        raise WarehouseError(f"cannot read {path}: {error.strerror}", "check the file and its permissions") from error


def _check_machine(error: duckdb.Error) -> None:
    """Raise an error again that says nothing about the file: the machine is at fault, or somebody stopped it."""
    if isinstance(error, duckdb.InterruptException) or machine_error(error):
        raise error


def _state(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written to: size, modification time, inode."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


@contextmanager
def _maybe_open(path: Path | None) -> Iterator[IO[bytes] | None]:
    if path is None:
        yield None
    else:
        with path.open("wb") as out:
            yield out
