"""Repair: damaged files made anew from the sources they came from, where those are still what they were.

What cannot be made anew is moved to `quarantine/files/`, so that queries go on without it; `check` keeps saying so.
Killed at any step, it goes on where it was: what is moved aside stays a finding until it is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError, machine_error
from paraphina_wh.maintenance import restore
from paraphina_wh.maintenance.adopt import adopted
from paraphina_wh.maintenance.exclusive import exclusive
from paraphina_wh.maintenance.integrity import Finding, answers, check_warehouse, compare
from paraphina_wh.maintenance.ledger_file import restore_ledger
from paraphina_wh.maintenance.places import damaged_folder, is_schema
from paraphina_wh.maintenance.reading import runs_told
from paraphina_wh.maintenance.source import NoSourceError
from paraphina_wh.records import Record, StoredFile, fold, read_records
from paraphina_wh.warehouse import FORMAT, Warehouse, new_batch

RESTORED: Final = "restored"
REMOVED: Final = "removed"
QUARANTINED: Final = "quarantined"
LEFT: Final = "left"
# What the check of rows found: there is no file to make anew.
_NO_FILES: Final = ("ledger", "dataset", "condensed", "outdated", "source", "broken")
_LOST: Final = ".lost"
_STRANGERS: Final = ("foreign", "unrecorded", "orphaned")


@dataclass(frozen=True)
class Repaired:
    """What became of a damaged file.

    result: `restored`, `removed` (nothing answered for it any more), `quarantined` (it is out of the answers),
    `recorded` (taken as it is), `given up`, or `left`.
    path: relative to the warehouse. detail: from what, or why not. held: what was in it.
    """

    result: str
    path: str
    detail: str
    held: str


def repair(
    warehouse: Warehouse,
    *,
    adopt: bool = False,
    give_up: bool = False,
    on_plan: Callable[[int], None] = lambda total: None,
    on_file: Callable[[], None] = lambda: None,
) -> list[Repaired]:
    """Make every damaged file anew, or put it aside, and say what became of each.

    adopt: record files that no record accounts for as they are, after a record was lost. give_up: forget the files
    that cannot be made anew, for good.
    Raises: WarehouseError when another maintenance command is at work, or the disk does not take a file; repeat it.
    """
    done = _restore_format(warehouse)
    with exclusive(warehouse), _disk_errors(warehouse):
        commit.settle(warehouse)
        work = _Repair(warehouse, adopt, on_file)
        done += work.put_records_aside()
        findings = [each for each in check_warehouse(warehouse).findings if each.problem not in _NO_FILES]
        on_plan(len(findings))
        done += work.run(findings)
        work.forget_what_answers_for_nothing()
        work.remove_stale_copies()
        return [work.give_up(each) if give_up and each.result == QUARANTINED else each for each in done]


def _restore_format(warehouse: Warehouse) -> list[Repaired]:
    """Write FORMAT anew, without which the folder is no warehouse; there is but one format so far."""
    damage, file = warehouse.format_damage(), warehouse.path / "FORMAT"
    if not damage:
        return []
    if file.is_dir():
        raise WarehouseError(damage, "move it away, then repeat `paraphina-wh repair`")
    commit.write_atomically(file, f"{FORMAT}\n".encode())
    return [Repaired(RESTORED, "FORMAT", damage, "what makes the folder a warehouse")]


@contextmanager
def _disk_errors(warehouse: Warehouse) -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, OSError) as error:
        where = f"cannot write below {warehouse.path}"
        unknown = WarehouseError(f"{where}: {error}", "free disk space, repeat: it goes on where it was")
        raise machine_error(error, where) or unknown from error


def frame(done: list[Repaired]) -> pl.DataFrame:
    """Return a row for each file."""
    names = ("result", "path", "detail", "held")
    rows = [tuple(getattr(each, name) for name in names) for each in done]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


class _Repair:
    """One repair. newest: the last batch or record so far; whatever is written now sorts behind it."""

    def __init__(self, warehouse: Warehouse, adopt: bool, on_file: Callable[[], None]) -> None:
        self.warehouse = warehouse
        self.adopt = adopt
        self.on_file = on_file
        self.newest = max((record.name for record in read_records(warehouse).all), default="")

    def next(self) -> str:
        """Return a name that sorts behind all others."""
        self.newest = new_batch(after=self.newest)
        return self.newest

    def run(self, findings: list[Finding]) -> Iterable[Repaired]:
        """Repair in an order in which nothing needs what is repaired later."""
        dropped = read_records(self.warehouse).dropped
        yield from (self._removed(each) for each in findings if each.path in dropped)
        findings = [each for each in findings if each.path not in dropped]
        files = [self._without_folder(each) for each in findings if each.problem not in _STRANGERS]
        runs, places = self.warehouse.runs.name, (self.warehouse.telemetry.name, self.warehouse.quarantine.name)
        ledger = [each for each in files if each.path.startswith(f"{runs}/") and not is_schema(each.path)]
        for finding in files:
            if is_schema(finding.path):
                yield self._one(finding, lambda path: restore.schema(self.warehouse, path, self.next()))
        for finding in files:
            if finding.path.startswith(places) and not is_schema(finding.path):
                yield self._one(finding, self._run_file)
        yield from self._ledger(ledger)
        others = [each for each in files if not each.path.startswith((*places, runs)) and not is_schema(each.path)]
        # All are out of the way before an ingest looks at the tables.
        for finding in [self._aside(each) for each in others]:
            yield self._one(finding, self._table)
        for finding in findings:
            if finding.problem in _STRANGERS:
                yield self._stranger(finding)

    def _removed(self, finding: Finding) -> Repaired:
        commit.remove(self.warehouse.path / self._without_folder(finding).path)
        self.on_file()
        return Repaired(REMOVED, finding.path, finding.detail, finding.held)

    # Made anew, file by file

    def _one(self, finding: Finding, make: Callable[[str], None]) -> Repaired:
        try:
            make(finding.path)
            done = self._checked(finding)
        except NoSourceError as error:
            done = self._quarantined(finding, str(error))
        self.on_file()
        return done

    def _run_file(self, path: str) -> None:
        restore.run_file(self.warehouse, read_records(self.warehouse), path, self.next())

    def _table(self, path: str) -> None:
        records, batch = read_records(self.warehouse), self.next()
        make = restore.mirror if path.startswith(f"{self.warehouse.datasets.name}/") else restore.table_of_source
        make(self.warehouse, records, path, batch)
        # In this order: killed in between, it is still a finding.
        self._remove_copy(path)
        self._forget(path)

    def _checked(self, finding: Finding) -> Repaired:
        expected = [file for file, _ in read_records(self.warehouse).files.get(finding.path, [])]
        if expected and (found := compare(self.warehouse, finding.path, expected)):
            return self._quarantined(finding, found.detail)
        self._remove_copy(finding.path)
        return Repaired(RESTORED, finding.path, "made anew from its source", finding.held)

    def _ledger(self, findings: list[Finding]) -> Iterator[Repaired]:
        if not findings:
            return
        records, by_path = read_records(self.warehouse), {finding.path: finding for finding in findings}
        lost = restore_ledger(self.warehouse, records, by_path.keys(), self.next())
        self.newest = max(record.name for record in read_records(self.warehouse).all)
        for path, finding in by_path.items():
            self.on_file()
            if path in lost:
                yield self._quarantined(finding, lost[path])
            else:
                self._remove_copy(path)
                yield Repaired(RESTORED, path, "made anew from the records and the ticks", finding.held)

    # Moved aside

    def _without_folder(self, finding: Finding) -> Finding:
        """Move a folder away that stands in the place of a file: no file can be renamed over it."""
        path = self.warehouse.path / finding.path
        if path.is_dir() and not path.is_symlink():
            self._move(finding.path)
        return finding

    def _quarantined(self, finding: Finding, why: str) -> Repaired:
        self._aside(finding)
        return Repaired(QUARANTINED, finding.path, why, finding.held)

    def _aside(self, finding: Finding) -> Finding:
        """Move what is left of a file to the quarantine, and record that it is out of the answers."""
        records = read_records(self.warehouse)
        if finding.path not in records.damaged:
            self._move(finding.path)
            known = [file for file, _ in records.files.get(finding.path, [])]
            file = known[-1] if known else StoredFile(finding.path, 0, "", finding.held)
            commit.write_record(self.warehouse, Record(self.next(), damaged=[file]))
        return finding

    def _move(self, path: str) -> None:
        there, aside = self.warehouse.path / path, damaged_folder(self.warehouse) / path
        if there.is_symlink():
            commit.remove(there)
        if there.exists():
            commit.publish([(there, aside)])
        elif not aside.exists():
            commit.write_atomically(_lost(aside), b"")

    def _remove_copy(self, path: str) -> None:
        aside = damaged_folder(self.warehouse) / path
        if not aside.is_dir():
            commit.remove(aside)
        commit.remove(_lost(aside))
        for folder in (aside, *aside.parents):
            if folder == self.warehouse.quarantine or (folder.is_dir() and any(folder.iterdir())):
                break
            with suppress(FileNotFoundError):
                folder.rmdir()

    def _forget(self, path: str) -> None:
        """Say nothing more of a file that was moved aside."""
        commit.write_record(self.warehouse, Record(self.next(), drops=[path]))

    def forget_what_answers_for_nothing(self) -> None:
        """Forget what was moved aside of runs that have been withdrawn or replaced since."""
        records = read_records(self.warehouse)
        with suppress(WarehouseError):
            live = runs_told(self.warehouse)[1] if records.damaged else set()
            for path in list(records.damaged):
                if not answers(self.warehouse, records, path, live):
                    self._remove_copy(path)
                    self._forget(path)

    def remove_stale_copies(self) -> None:
        """Remove what lies in the quarantine of files that are in place again: a kill came in between."""
        records, folder = read_records(self.warehouse), damaged_folder(self.warehouse)
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder)).removesuffix(_LOST)
            if name in records.files or name in records.dropped:
                self._remove_copy(name)

    def give_up(self, done: Repaired) -> Repaired:
        """Forget a file that cannot be made anew, and remove what is left of it."""
        self._remove_copy(done.path)
        self._forget(done.path)
        return Repaired("given up", done.path, done.detail, done.held)

    # Records, and what has none

    def put_records_aside(self) -> list[Repaired]:
        """Hide damaged records; what no other file tells of their commits, the check of the files will find."""
        records, done = read_records(self.warehouse), []
        for name in records.unreadable:
            path = self.warehouse.commits / name
            whole = [record for record in records.all if record.name in records.held.get(path, ())]
            if whole:
                new, content = fold(whole)
                commit.write_atomically(self.warehouse.commits / new, content)
            # Hidden, it is read by none, and `gc` removes it.
            commit.publish([(path, path.with_name(f".{name}"))])
            detail = f"{len(whole)} records in it were whole and are kept" if whole else "nothing in it can be used"
            done.append(Repaired(LEFT, f"{self.warehouse.commits.name}/{name}", detail, "record of a commit"))
        return done

    def _stranger(self, finding: Finding) -> Repaired:
        path = self.warehouse.path / finding.path
        if path.name == "schema.parquet" and path.is_file():
            return self._one(finding, lambda name: restore.schema(self.warehouse, name, self.next()))
        self.on_file()
        if finding.problem == "orphaned":
            return Repaired(LEFT, finding.path, "repeat the ingest, or let `gc` remove it", finding.held)
        if finding.problem == "foreign":
            return Repaired(LEFT, finding.path, "no commit put it there: move it away", finding.held)
        if not self.adopt:
            return Repaired(LEFT, finding.path, "its record is gone: --adopt takes it as it is", finding.held)
        commit.write_record(self.warehouse, adopted(self.warehouse, path, self.next()))
        return Repaired("recorded", finding.path, "taken as it is", finding.held)


def _lost(aside: Path) -> Path:
    """Return what stands in the quarantine for a file of which nothing is left."""
    return aside.with_name(f"{aside.name}{_LOST}")
