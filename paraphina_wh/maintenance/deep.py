"""The deep check: condensed metrics computed anew from the ticks, and accounts drawn up anew from the sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from paraphina_wh.catalog import macros_sql, sql_folder, view_files
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ledger import run_id_of
from paraphina_wh.maintenance.integrity import Finding
from paraphina_wh.maintenance.reading import parquet_list, steadily, views
from paraphina_wh.telemetry.reader import Ledger, read_strict
from paraphina_wh.telemetry.source import open_source
from paraphina_wh.warehouse import Warehouse

# What a window over the ticks of several runs may hold in memory at once, and how many files may be open.
_CHUNK_TICKS: Final = 100_000
_CHUNK_RUNS: Final = 256
_ACCOUNT: Final = (
    *("lines", "rows", "quarantined", "blank"),
    *("source_bytes", "row_bytes", "quarantined_bytes", "blank_bytes", "truncated"),
)


@dataclass(frozen=True)
class _Run:
    run_id: str
    profile: str
    label: str
    source: str
    source_sha256: str
    account: tuple[object, ...]

    @property
    def rows(self) -> int:
        return int(str(self.account[1]))

    def says(self, problem: str, detail: str) -> Finding:
        return Finding(problem, f"run {self.run_id}", detail, f"{self.profile}, {self.label}")


@dataclass
class Recount:
    """What was computed anew. condensed: runs. recounted: sources read again; gone: those that give other runs."""

    condensed: int = 0
    recounted: int = 0
    gone: int = 0


def check_deeply(
    warehouse: Warehouse,
    recount: Recount,
    damaged: Collection[str] = (),
    on_plan: Callable[[int], None] = lambda total: None,
    on_run: Callable[[], None] = lambda: None,
) -> Iterator[Finding]:
    """Yield the runs whose stored metrics or account are not what their ticks and their source say.

    damaged: paths of files that the check of the files has named; nothing more is asked of them. A source that is
    gone, or is another file by now, tells nothing.
    Raises: WarehouseError when the ledger cannot be read.
    """
    # One thread, as at ingest: what it holds in memory must not grow with the cores.
    with in_memory(threads=1) as connection:
        runs = steadily(lambda: _load_runs(warehouse, connection))
        on_plan(len(runs))
        for chunk in _chunks(runs):
            yield from _condensed(warehouse, connection, chunk, damaged, recount)
            for run in chunk:
                yield from _recounted(warehouse, run, recount)
                on_run()


def _load_runs(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection) -> list[_Run]:
    """Take the runs into the table `stored_runs`, and return those with telemetry."""
    with views(warehouse, "run_ledger", "runs") as source:
        connection.register("read_runs", source.sql("FROM runs").to_arrow_table())
    connection.execute("CREATE OR REPLACE TABLE stored_runs AS FROM read_runs")
    rows = connection.execute(
        f"SELECT run_id, profile, label, telemetry_path, source_sha256, {', '.join(_ACCOUNT)} FROM stored_runs "
        "WHERE rows > 0 AND coalesce(source_kind, 'telemetry') = 'telemetry' ORDER BY batch_id, profile, label"
    ).fetchall()
    return [_Run(row[0], row[1], row[2], row[3], row[4], tuple(row[5:])) for row in rows]


def _chunks(runs: Sequence[_Run]) -> Iterator[list[_Run]]:
    chunk: list[_Run] = []
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
    rows = steadily(lambda: _differences(connection, there))
    recount.condensed += len(there)
    for run_id, profile, label, column, stored, computed in rows:
        detail = f"{column} is stored as {stored}, its ticks say {computed}"
        yield Finding("condensed", f"run {run_id}", detail, f"{profile}, {label}")


def _differences(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> list[tuple[str, ...]]:
    connection.execute(
        "CREATE OR REPLACE VIEW ticks AS SELECT t.*, r.profile, r.label "
        f"FROM read_parquet({parquet_list(files)}, hive_partitioning = false, union_by_name = true) t "
        "JOIN stored_runs r USING (run_id)"
    )
    connection.execute(macros_sql() + view_files()["condensed_ticks"].read_text())
    return connection.execute((sql_folder() / "check" / "condensed.sql").read_text()).fetchall()


def _recounted(warehouse: Warehouse, run: _Run, recount: Recount) -> Iterator[Finding]:
    """Yield what a source that is still the one taken in says differently."""
    try:
        with open_source(warehouse.root / run.source) as stream:
            ledger = read_strict(stream)
    except WarehouseError:
        recount.gone += 1
        return
    # Of which other lines would be put aside today, by another limit or version, is another run.
    if run_id_of(run.profile, run.label, ledger.sha256, ledger.put_aside) != run.run_id:
        recount.gone += 1
        return
    recount.recounted += 1
    for name, stored, counted in zip(_ACCOUNT, run.account, _account(ledger), strict=True):
        if stored != counted:
            yield run.says("source", f"{name} is stored as {stored}, {run.source} has {counted}")


def _account(ledger: Ledger) -> tuple[object, ...]:
    return (
        *(ledger.lines, ledger.rows, ledger.quarantined, ledger.blank),
        *(ledger.bytes, ledger.row_bytes, ledger.quarantined_bytes, ledger.blank_bytes, ledger.truncated),
    )
