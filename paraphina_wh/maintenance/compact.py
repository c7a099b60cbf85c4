"""Compaction: the many small files of ledger and dataset rows, and of records, into few; ticks are never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from paraphina_wh import commit
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError, machine_error
from paraphina_wh.ledger import LEDGER
from paraphina_wh.maintenance.exclusive import exclusive
from paraphina_wh.maintenance.integrity import compare
from paraphina_wh.maintenance.places import is_schema
from paraphina_wh.maintenance.reading import parquet_list
from paraphina_wh.records import Record, Records, fold, read_records
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.warehouse import Warehouse, new_batch, sql_text

# A file of this size is large enough to be read in one go, and stays as it is.
LARGE_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Folded:
    """A folder whose files were folded. folder: relative to the warehouse. files: how many became one. rows: in it."""

    folder: str
    files: int
    rows: int


def compact(warehouse: Warehouse, on_folder: Callable[[str], None] = lambda folder: None) -> list[Folded]:
    """Fold the small files of every experiment, of every dataset and of the records, and say what was folded.

    Rows stay as they are, each as often as it was there. The files folded are out of the answers at once and stay on
    disk for queries that have begun, until `gc` removes them. Twice is as once.
    Raises: WarehouseError when another maintenance command is at work, or a file or a record is damaged; what was
    folded before stays folded.
    """
    with exclusive(warehouse):
        commit.settle(warehouse)
        records = read_records(warehouse)
        if records.unreadable:
            raise WarehouseError(f"the record {records.unreadable[0]} is damaged", "paraphina-wh repair")
        folded = []
        for folder, files in _groups(warehouse, records):
            on_folder(folder)
            folded.append(_fold(warehouse, records, folder, files))
        return folded + _fold_records(warehouse)


def _groups(warehouse: Warehouse, records: Records) -> Iterator[tuple[str, list[str]]]:
    """Yield the folders with more than one small file, and those files in the order of their names."""
    groups: dict[str, list[str]] = {}
    for path in sorted(records.files):
        small = records.files[path][-1][0].bytes < LARGE_BYTES
        if path.partition("/")[0] in (warehouse.runs.name, warehouse.datasets.name) and not is_schema(path) and small:
            groups.setdefault(path.rpartition("/")[0], []).append(path)
    return ((folder, files) for folder, files in groups.items() if len(files) > 1)


def _fold(warehouse: Warehouse, records: Records, folder: str, files: Sequence[str]) -> Folded:
    for path in files:
        # What is folded gets a record of its own: damage would be told by none any more.
        if found := compare(warehouse, path, [file for file, _ in records.files[path]]):
            raise WarehouseError(f"{path} is {found.problem}: {found.detail}", "paraphina-wh repair, then compact")
    batch = new_batch(after=max(record.name for record in records.all))
    of_runs = folder.startswith(f"{warehouse.runs.name}/")
    schema = (warehouse.runs_file if of_runs else warehouse.datasets_file)("any", "schema")
    paths = [warehouse.path / path for path in files]
    with commit.staging(warehouse, batch) as staging, in_memory() as connection:
        # Rows keep their order; a file of an older version lacks columns that later ones have.
        connection.execute("SET threads = 1")
        staged = staging / "folded.parquet"
        try:
            rows = _rows_of(connection, [schema, *paths])
            rows = _with_instants(rows) if of_runs else rows
            connection.execute(f"COPY (FROM {rows}) TO {sql_text(str(staged))} (FORMAT parquet, COMPRESSION zstd)")
            before, after = _fingerprint(connection, rows), _fingerprint(connection, _rows_of(connection, [staged]))
        except duckdb.Error as error:
            unreadable = WarehouseError(f"cannot fold {folder}: {error}", "paraphina-wh check names damaged files")
            raise machine_error(error, f"cannot fold {folder}") or unreadable from error
        if before != after:
            raise WarehouseError(f"folding {folder} would change its rows", "nothing was changed; please report this")
        put = commit.Put(staged, warehouse.path / folder / f"{batch}.parquet", f"{after[0]} rows of {folder}, folded")
        commit.commit(warehouse, Record(batch), [put], drops=paths, keep_dropped=True)
    return Folded(folder, len(files), after[0])


def _rows_of(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> str:
    """Return the rows of files with the column types of the first, as far as it has the columns.

    Together, a signed and an unsigned column would be one of 128 bits, which Parquet keeps as a rounded float.
    """
    together = f"read_parquet({parquet_list(files)}, union_by_name = true, hive_partitioning = false)"
    first = f"read_parquet({parquet_list(files[:1])}, hive_partitioning = false)"
    types, wanted = _types(connection, together), _types(connection, first)
    cast = [
        f"try_cast({quoted} AS {wanted[name]}) AS {quoted}"
        for name, kind in types.items()
        if wanted.get(name, kind) != kind and (quoted := _quoted(name))
    ]
    return f"(SELECT * REPLACE ({', '.join(cast)}) FROM {together})" if cast else together


def _types(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _with_instants(rows: str) -> str:
    """Return ledger rows with instants that an earlier version wrote as texts; the view run_ledger casts likewise."""
    instants = (name for name, kind in column_types(LEDGER).items() if kind == "TIMESTAMPTZ")
    casts = ", ".join(f"TRY_CAST({name} AS TIMESTAMPTZ) AS {name}" for name in instants)
    return f"(SELECT * REPLACE ({casts}) FROM {rows})"


def _fingerprint(connection: duckdb.DuckDBPyConnection, rows: str) -> tuple[int, object]:
    """Return the number of rows, and what tells multisets of rows apart."""
    [(count, digest)] = connection.execute(
        f"SELECT count(*), sum(hash(r)::HUGEINT) FROM (SELECT {_struct(connection, rows)} AS r FROM {rows})"
    ).fetchall()
    return int(count), digest


def _struct(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    quoted = map(_quoted, sorted(_types(connection, rows)))
    return "{" + ", ".join(f"{name}: {name}" for name in quoted) + "}"


def _fold_records(warehouse: Warehouse) -> list[Folded]:
    """Fold the record files, those of the folding above included; nobody has to wait, for records are only added."""
    records = read_records(warehouse)
    pending = {*records.unsettled, *records.unfinished}
    told = records.held.get(records.folded, set()) if records.folded else set()
    single = [path for path, names in records.held.items() if path not in pending and not names <= told]
    if len(single) + bool(told) < 2:
        return []
    names = told.union(*(records.held[path] for path in single))
    name, content = fold([record for record in records.all if record.name in names])
    commit.write_atomically(warehouse.commits / name, content)
    return [Folded(warehouse.commits.name, len(single) + bool(told), len(names))]
