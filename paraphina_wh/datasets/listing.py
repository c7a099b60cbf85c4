"""All datasets at a glance: what they hold, and whether they may be appended to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from paraphina_wh.catalog import connect, sql_folder, steady
from paraphina_wh.datasets.files import version_of, versions_in
from paraphina_wh.datasets.held import Held, check_name, find_change, held_of
from paraphina_wh.datasets.lines import load_lines
from paraphina_wh.datasets.locked import LockedFile, locked
from paraphina_wh.datasets.seal import is_sealed
from paraphina_wh.datasets.versions import newer_version
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Of a line, all but its text.
_LISTED = "line_no, byte_offset, bytes, is_terminated, dataset_path, is_run, timestamp_utc, profile, engine"
_FILES = {"dataset": pl.String, "version": pl.Int64, "file": pl.String, "bytes": pl.Int64, "state": pl.String}


@dataclass(frozen=True)
class Listing:
    """The datasets of ROOT and of the warehouse.

    frame: one row per dataset; columns and units: sql/import/dataset_list.sql.
    errors: one for each dataset file that was edited, or has the name of another. missing: names whose file is gone.
    """

    frame: pl.DataFrame
    errors: tuple[WarehouseError, ...]
    missing: tuple[str, ...]


@steady
def list_datasets(warehouse: Warehouse) -> Listing:
    """Return every dataset: the versions at ROOT, and what else the warehouse holds. Nothing is written.

    Lines that the warehouse has not taken in yet count; of an edited or a missing file count those it holds.
    """
    # Files of older tools may lie at ROOT before there is a warehouse.
    with connect(warehouse, views=("dataset_rows",), or_empty=bool(versions_in(warehouse.root))) as connection:
        connection.execute(f"CREATE TEMP TABLE listed_lines AS SELECT dataset, {_LISTED} FROM dataset_rows")
        found = [_examine(warehouse, connection, file) for file in _files(warehouse, connection)]
        rows = pl.DataFrame([row for row, _ in found], schema=_FILES)
        connection.register("dataset_files", rows.to_arrow())
        frame: pl.DataFrame = connection.sql((sql_folder() / "import" / "dataset_list.sql").read_text()).pl()
    return Listing(
        frame,
        errors=tuple(error for _, error in found if error),
        missing=tuple(rows.filter(pl.col("state") == "missing")["dataset"]),
    )


def _files(warehouse: Warehouse, connection: DuckDBPyConnection) -> list[Path]:
    held = connection.execute("SELECT DISTINCT dataset_path FROM listed_lines").fetchall()
    return sorted({*versions_in(warehouse.root).values(), *(warehouse.root / path for (path,) in held)})


def _examine(
    warehouse: Warehouse, connection: DuckDBPyConnection, file: Path
) -> tuple[dict[str, Any], WarehouseError | None]:
    row = {"dataset": file.stem, "version": version_of(file), "file": warehouse.relative(file)}
    if not file.is_file():
        return {**row, "bytes": None, "state": "missing"}, None
    with locked(file, write=False) as dataset:
        row["bytes"] = dataset.size
        held = held_of(connection, file.stem)
        try:
            check_name(warehouse, file, held)
        except WarehouseError as error:
            return {**row, "state": "name taken"}, error
        if change := find_change(connection, dataset, held):
            return {**row, "state": f"changed: line {change.line_no}" if change.line_no else "changed"}, change.error
        _add_new_lines(connection, dataset, held)
    return {**row, "state": _state(file)}, None


def _state(file: Path) -> str:
    if is_sealed(file):
        return "sealed"
    return "superseded" if newer_version(file) else "open"


def _add_new_lines(connection: DuckDBPyConnection, dataset: LockedFile, held: Held) -> None:
    if held.is_all_of(dataset.size):
        return
    load_lines(
        connection,
        dataset.read_from(held.next_byte),
        str(dataset.path),
        first_line=held.next_line,
        first_byte=held.next_byte,
    )
    name = dataset.path.stem
    connection.execute("DELETE FROM listed_lines WHERE dataset = ? AND line_no >= ?", [name, held.next_line])
    connection.execute(f"INSERT INTO listed_lines SELECT ?, {_LISTED} FROM dataset_lines", [name])
