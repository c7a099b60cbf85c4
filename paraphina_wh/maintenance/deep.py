"""The deep check: metrics computed anew from the ticks, accounts and ticks held against the sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from paraphina_wh.catalog import macros_sql, sql_folder, view_files
from paraphina_wh.duck import bounded, in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import CONDENSE_MB, metrics_definition
from paraphina_wh.ledger import run_id_of
from paraphina_wh.maintenance.integrity import Finding
from paraphina_wh.maintenance.reading import steadily, views
from paraphina_wh.maintenance.reconcile import Reconciliation
from paraphina_wh.maintenance.source import open_as_taken, without_stretch
from paraphina_wh.telemetry.reader import Ledger, Sinks, read_strict
from paraphina_wh.telemetry.shape import TICKS
from paraphina_wh.tick_views import holds_older_ticks, older_schemas, ticks_in
from paraphina_wh.warehouse import Warehouse

# What a window over the ticks of several runs may hold in memory at once, and how many files may be open.
_CHUNK_TICKS: Final = 100_000
_CHUNK_RUNS: Final = 256
_ACCOUNT: Final = (
    *("lines", "rows", "quarantined", "blank"),
    *("source_bytes", "row_bytes", "quarantined_bytes", "blank_bytes", "truncated"),
)


class _HasRows(Protocol):
    @property
    def rows(self) -> int: ...


RunT = TypeVar("RunT", bound=_HasRows)


@dataclass(frozen=True)
class _Run:
    run_id: str
    profile: str
    label: str
    source: str
    source_sha256: str
    definition: str | None
    account: tuple[object, ...]

    @property
    def rows(self) -> int:
        return int(str(self.account[1]))

    def says(self, problem: str, detail: str) -> Finding:
        return Finding(problem, f"run {self.run_id}", detail, f"{self.profile}, {self.label}")


@dataclass
class Recount:
    """What was computed anew. condensed: runs. recounted: sources read again; gone: those that give other runs.

    compared: runs whose every stored value was held against what the source says.
    older: runs with metrics of an older definition; outdated: those of them with other values by that of today.
    """

    condensed: int = 0
    recounted: int = 0
    gone: int = 0
    compared: int = 0
    older: set[str] = field(default_factory=set)
    outdated: set[str] = field(default_factory=set)


def check_deeply(
    warehouse: Warehouse,
    recount: Recount,
    damaged: Collection[str] = (),
    on_plan: Callable[[int], None] = lambda total: None,
    on_run: Callable[[], None] = lambda: None,
) -> Iterator[Finding]:
    """Yield the runs whose stored metrics, account or ticks are not what their ticks and their source say.

    damaged: paths of files that the check of the files has named; nothing more is asked of them. A source that is
    gone, or is another file by now, tells nothing.
    Raises: WarehouseError when the ledger cannot be read.
    """
    # One thread, as at ingest: what it holds in memory must not grow with the cores.
    with in_memory(threads=1) as connection:
        runs = steadily(lambda: _load_runs(warehouse, connection))
        on_plan(len(runs))
        sources = _Sources(warehouse, runs, damaged)
        for chunk in in_chunks(runs):
            yield from _condensed(warehouse, connection, chunk, damaged, recount)
            for run in chunk:
                yield from sources.held_against(run, recount)
                on_run()
    if recount.outdated:
        detail = f"{len(recount.outdated)} of {len(recount.older)} runs with metrics of an older definition differ"
        yield Finding("outdated", warehouse.runs.name, detail, "metrics of runs")


def _load_runs(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection) -> list[_Run]:
    """Take the runs into the table `stored_runs`, and return those with telemetry."""
    with views(warehouse, "run_ledger", "runs") as source:
        connection.register("read_runs", source.sql("FROM runs").to_arrow_table())
    connection.execute("CREATE OR REPLACE TABLE stored_runs AS FROM read_runs")
    connection.execute("ALTER TABLE stored_runs ADD COLUMN IF NOT EXISTS metrics_definition VARCHAR")
    named = ("run_id", "profile", "label", "telemetry_path", "source_sha256", "metrics_definition")
    rows = connection.execute(
        f"SELECT {', '.join((*named, *_ACCOUNT))} FROM stored_runs "
        "WHERE rows > 0 AND coalesce(source_kind, 'telemetry') = 'telemetry' ORDER BY batch_id, profile, label"
    ).fetchall()
    return [_Run(row[0], row[1], row[2], row[3], row[4], row[5], tuple(row[6:])) for row in rows]


def in_chunks(runs: Sequence[RunT]) -> Iterator[list[RunT]]:
    """Yield runs in their order, as many at a time as their ticks may be condensed together."""
    chunk: list[RunT] = []
    for run in runs:
        too_much = sum(each.rows for each in chunk) + run.rows > _CHUNK_TICKS
        if chunk and (too_much or len(chunk) == _CHUNK_RUNS):
            yield chunk
            chunk = []
        chunk.append(run)
    if chunk:
        yield chunk


def _condensed(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    runs: Sequence[_Run],
    damaged: Collection[str],
    recount: Recount,
) -> Iterator[Finding]:
    files = [warehouse.ticks_file(run.profile, run.label, run.run_id) for run in runs]
    there = [path for path in files if path.is_file() and str(path.relative_to(warehouse.path)) not in damaged]
    if not there:
        return
    rows = steadily(lambda: bounded(connection, CONDENSE_MB, lambda: _differences(warehouse, connection, there)))
    recount.condensed += len(there)
    older = {run.run_id for run in runs if run.definition != metrics_definition()}
    recount.older |= older
    for run_id, profile, label, column, stored, computed in rows:
        if run_id in older:
            recount.outdated.add(run_id)
            continue
        detail = f"{column} is stored as {stored}, its ticks say {computed}"
        yield Finding("condensed", f"run {run_id}", detail, f"{profile}, {label}")


def _differences(
    warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, files: Sequence[Path]
) -> list[tuple[str, ...]]:
    connection.execute(
        "CREATE OR REPLACE VIEW ticks AS SELECT t.*, r.profile, r.label "
        f"FROM ({ticks_in(files, older=holds_older_ticks(warehouse.path))}) t JOIN stored_runs r USING (run_id)"
    )
    connection.execute(macros_sql() + view_files()["condensed_ticks"].read_text())
    return connection.execute((sql_folder() / "check" / "condensed.sql").read_text()).fetchall()


class _Sources:
    """The sources of runs, read again.

    Of what is read of a source that is no longer the one taken in, nothing counts.
    """

    def __init__(self, warehouse: Warehouse, runs: Sequence[_Run], damaged: Collection[str]) -> None:
        self._warehouse = warehouse
        self._damaged = damaged
        self._split = {base for run in runs if (base := without_stretch(run.source)) != run.source}
        self._older = [pq.read_schema(path) for path in older_schemas(warehouse.path)]

    def held_against(self, run: _Run, recount: Recount) -> Iterator[Finding]:
        """Yield what the account and the ticks of a run say differently from its source."""
        ticks = self._warehouse.ticks_file(run.profile, run.label, run.run_id)
        can_be_read = ticks.is_file() and str(ticks.relative_to(self._warehouse.path)) not in self._damaged
        try:
            stored = self._stored(run, ticks) if can_be_read else None
            ledger, different = self._read(run, stored)
        except WarehouseError:
            recount.gone += 1
            return
        except (OSError, pa.ArrowException) as error:
            # `gc` may have taken the file away meanwhile.
            if ticks.is_file():
                yield run.says("ticks", f"the ticks cannot be read: {error}")
            return
        # Of which other lines would be put aside today, by another limit or version, is another run.
        if run_id_of(run.profile, run.label, ledger.sha256, ledger.put_aside) != run.run_id:
            recount.gone += 1
            return
        recount.recounted += 1
        recount.compared += stored is not None
        for name, held, counted in zip(_ACCOUNT, run.account, _account(ledger), strict=True):
            if held != counted:
                yield run.says("source", f"{name} is stored as {held}, {run.source} has {counted}")
        yield from (run.says("ticks", problem) for problem in different)

    def _stored(self, run: _Run, ticks: Path) -> Reconciliation:
        mean_bytes = int(str(run.account[_ACCOUNT.index("row_bytes")] or 0)) // max(1, run.rows)
        return Reconciliation(TICKS, ticks, {"run_id": run.run_id}, mean_bytes, self._older)

    def _read(self, run: _Run, stored: Reconciliation | None) -> tuple[Ledger, list[str]]:
        sinks = Sinks(extra=stored.extra, clean=stored) if stored else None
        with open_as_taken(self._warehouse, run.source, self._split) as stream:
            ledger = read_strict(stream, sinks=sinks)
        return ledger, [str(each) for each in stored.mismatches()] if stored else []


def _account(ledger: Ledger) -> tuple[object, ...]:
    return (
        *(ledger.lines, ledger.rows, ledger.quarantined, ledger.blank),
        *(ledger.bytes, ledger.row_bytes, ledger.quarantined_bytes, ledger.blank_bytes, ledger.truncated),
    )
