"""Damaged ledger files: their rows stand in the records, the metrics of runs come from the ticks.

Every row comes back with the batch that it came in with, so runs that others took the place of, or that were withdrawn,
stay out of the answers. What came from a table is read from it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from paraphina_wh import commit
from paraphina_wh.duck import in_memory
from paraphina_wh.ingest.batch import ledger_text, recorded, write_ledger
from paraphina_wh.ingest.plan import BATCH_RUNS
from paraphina_wh.ingest.rows import withdrawal_row
from paraphina_wh.ingest.run_table import table_rows_again
from paraphina_wh.ledger import LedgerRow
from paraphina_wh.maintenance.integrity import compare
from paraphina_wh.maintenance.places import is_schema
from paraphina_wh.maintenance.reading import parquet_list, steadily
from paraphina_wh.maintenance.source import NoSourceError, identical_source
from paraphina_wh.records import Record, Records, SourceRun
from paraphina_wh.tick_views import holds_older_ticks
from paraphina_wh.warehouse import Warehouse, folder_key, new_batch

Event = tuple[str, str, str]


@dataclass
class Told:
    """What ledger files tell.

    events: event, run_id, batch. batches: experiment, batch. removed: run_id -> the last batch that took it out.
    """

    events: set[Event] = field(default_factory=set)
    batches: set[tuple[str, str]] = field(default_factory=set)
    removed: dict[str, str] = field(default_factory=dict)

    def add(self, experiment: str, row: LedgerRow) -> None:
        """Take in one more row."""
        self.events.add((row.event, row.run_id, row.batch_id))
        self.batches.add((experiment, row.batch_id))
        if row.supersedes:
            self.removed[row.supersedes] = max(row.batch_id, self.removed.get(row.supersedes, ""))

    def counts(self, row: LedgerRow) -> bool:
        """Tell whether a row is that of a run which no later one has taken out."""
        return row.event == "run" and row.batch_id >= self.removed.get(row.run_id, "")


@dataclass
class Missing:
    """What the records tell and the ledger does not. Each with its experiment; tables with their batch, too."""

    rows: list[tuple[str, LedgerRow]] = field(default_factory=list)
    tables: list[tuple[str, str, SourceRun]] = field(default_factory=list)


def restore_ledger(warehouse: Warehouse, records: Records, damaged: Collection[str], after: str) -> dict[str, str]:
    """Commit the rows of damaged ledger files anew; return path -> why not, for those that could not be made whole.

    The others are dropped with the same commit: there is no moment at which answers lack their rows.
    after: the new files sort behind this batch.
    """
    told = steadily(
        lambda: _told(warehouse, [path for path in _ledger_files(warehouse, records) if path not in damaged])
    )
    missing = _missing(warehouse, records, told)
    batch = new_batch(after)
    with commit.staging(warehouse, batch) as staging:
        work = _Work(warehouse, records, told, staging, batch)
        work.read_tables(missing.tables)
        work.write_rows(missing.rows)
        lost = {path: why for path in damaged if (why := work.why_lost(path))}
        work.commit([warehouse.path / path for path in damaged if path not in lost])
    return lost


def _ledger_files(warehouse: Warehouse, records: Records) -> list[str]:
    return [path for path in records.files if path.startswith(f"{warehouse.runs.name}/") and not is_schema(path)]


def _experiment(path: str) -> str:
    return folder_key(Path(path).parent.name)


def _told(warehouse: Warehouse, files: Sequence[str]) -> Told:
    told = Told()
    with in_memory() as connection:
        for path in files:
            rows = connection.execute(
                "SELECT event, run_id, batch_id, supersedes, profile, label "
                f"FROM read_parquet({parquet_list([warehouse.path / path])}, hive_partitioning = false)"
            ).fetchall()
            names = ("event", "run_id", "batch_id", "supersedes", "profile", "label")
            for row in rows:
                told.add(_experiment(path), LedgerRow(**dict(zip(names, row, strict=True))))
    return told


def _missing(warehouse: Warehouse, records: Records, told: Told) -> Missing:
    missing = Missing()
    before = set(told.batches)
    for record in records.all:
        at = record.files[-1].path if record.files else ""
        if not at.startswith(f"{warehouse.runs.name}/"):
            continue
        for row in _rows_of(record):
            if (row.event, row.run_id, row.batch_id) not in told.events:
                missing.rows.append((_experiment(at), row))
                told.add(_experiment(at), row)
        tables = [run for run in record.runs if run.kind == "csv"]
        if tables and (_experiment(at), Path(at).stem) not in before:
            missing.tables.append((_experiment(at), Path(at).stem, tables[0]))
    return missing


def _rows_of(record: Record) -> Iterator[LedgerRow]:
    for raw in record.rows:
        yield msgspec.json.decode(raw, type=LedgerRow)
    # A table has its rows in its file, but for those that say what it took the place of.
    batch = Path(record.files[-1].path).stem
    for each in record.withdrawn:
        yield withdrawal_row(batch, each.run_id, each.profile, each.label)


def _chunks(rows: Sequence[LedgerRow]) -> Iterator[list[LedgerRow]]:
    """Yield rows some hundred at a time, no run twice: its ticks are to be counted once."""
    waiting = list(rows)
    while waiting:
        taken: dict[str, LedgerRow] = {}
        left = []
        for row in waiting:
            if row.run_id in taken or len(taken) == BATCH_RUNS:
                left.append(row)
            else:
                taken[row.run_id] = row
        yield list(taken.values())
        waiting = left


class _Work:
    """The ledger files being made anew: staged, and what had to be left out."""

    def __init__(self, warehouse: Warehouse, records: Records, told: Told, staging: Path, batch: str) -> None:
        self.warehouse = warehouse
        self.records = records
        self.told = told
        self.staging = staging
        self.batch = batch
        self.puts: list[commit.Put] = []
        self.rows: list[LedgerRow] = []
        self.lost: dict[str, list[str]] = {}

    def read_tables(self, tables: Sequence[tuple[str, str, SourceRun]]) -> None:
        """Stage the rows of tables, read again."""
        for experiment, batch, made_of in tables:
            folder = self._folder()
            try:
                source = identical_source(self.warehouse, made_of, folder)
            except NoSourceError as error:
                self.lost.setdefault(experiment, []).append(str(error))
            else:
                staged = table_rows_again(self.warehouse, source, made_of, batch, folder)
                self._put(staged, experiment, f"ledger of runs of the table {made_of.source}")

    def write_rows(self, rows: Sequence[tuple[str, LedgerRow]]) -> None:
        """Stage rows with the metrics of their ticks, a file for each experiment and some hundred runs."""
        for experiment in dict.fromkeys(experiment for experiment, _ in rows):
            kept = [row for of, each in rows if of == experiment for row in self._told_by(experiment, each)]
            for some in _chunks(kept):
                with in_memory(threads=1) as connection:
                    ticks = [*filter(None, map(self._ticks, some))]
                    older = holds_older_ticks(self.warehouse.path)
                    staged = write_ledger(connection, self._folder(), some, ticks, older=older)
                self._put(staged, experiment, ledger_text(some))
                self.rows += some

    def _told_by(self, experiment: str, row: LedgerRow) -> Iterator[LedgerRow]:
        """Yield a row; without the ticks of a run that counts, only what it took the place of."""
        if not (self.told.counts(row) and row.rows) or self._ticks(row):
            yield row
            return
        self.lost.setdefault(experiment, []).append(f"the ticks of run {row.run_id} ({row.label}) are gone")
        if row.supersedes and ("withdrawn", row.supersedes, row.batch_id) not in self.told.events:
            yield withdrawal_row(row.batch_id, row.supersedes, row.profile, row.label)

    def _ticks(self, row: LedgerRow) -> Path | None:
        if row.event != "run" or not row.rows:
            return None
        file = self.warehouse.ticks_file(row.profile, row.label, row.run_id)
        held = self.records.files.get(str(file.relative_to(self.warehouse.path)), [])
        stored = [stored for stored, _ in held]
        return file if stored and not compare(self.warehouse, stored[-1].path, stored) else None

    def why_lost(self, path: str) -> str | None:
        """Return why a damaged file is not made whole; None when all its rows are there."""
        if not self._is_told(path):
            return "no record tells what it held"
        return "; ".join(self.lost.get(_experiment(path), [])[:5]) or None

    def _is_told(self, path: str) -> bool:
        """Tell whether the rows of a file, or of those that were folded into it, stand in a record."""
        by = [record for record in self.records.all if any(file.path == path for file in record.files)]
        if not by:
            return False
        folded = [each for each in by[-1].drops if each.startswith(f"{self.warehouse.runs.name}/")]
        return bool(by[-1].rows or by[-1].runs or folded) and all(map(self._is_told, folded))

    def commit(self, drops: Sequence[Path]) -> None:
        """Put the new files in place of the damaged ones."""
        if self.puts:
            commit.commit(self.warehouse, Record(self.batch, rows=recorded(self.rows)), self.puts, drops=drops)
        elif drops:
            names = [str(path.relative_to(self.warehouse.path)) for path in drops]
            commit.write_record(self.warehouse, Record(self.batch, drops=names))
            for path in drops:
                commit.remove(path)

    def _put(self, staged: Path, experiment: str, holds: str) -> None:
        self.puts.append(commit.Put(staged, self.warehouse.runs_file(experiment, new_batch(self.batch)), holds))

    def _folder(self) -> Path:
        folder = self.staging / str(len(list(self.staging.iterdir())))
        folder.mkdir()
        return folder
