"""Bringing a dataset file and its mirror in the warehouse up to date, one process at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from paraphina_wh.catalog import connect, set_up
from paraphina_wh.commit import publish, staging_folder
from paraphina_wh.datasets.columns import COLUMNS
from paraphina_wh.datasets.files import dataset_name
from paraphina_wh.datasets.lines import load_lines
from paraphina_wh.datasets.locked import LockedFile, locked
from paraphina_wh.datasets.rows import ALL_ROWS, VIEWS, Selection, check_engines, json_lines, selected_rows
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, hive_folder, new_batch, sql_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Appended:
    """What an append did.

    file: the dataset file.
    appended, already_there: selected research rows that were new, and that the file held before.
    skipped_lines: lines of the file that are no runs; blank ones are not counted.
    restored_lines: lines written back because the file was gone and the warehouse still held them.
    repeated_labels: labels of new rows beside which the file holds another run of the same telemetry file.
    """

    file: Path
    appended: int
    already_there: int
    skipped_lines: int
    restored_lines: int
    repeated_labels: tuple[str, ...]


@dataclass(frozen=True)
class _LastLine:
    """The last line the warehouse holds of a dataset; lines count from 1, so line 0 stands for none."""

    line_no: int = 0
    byte_offset: int = 0
    bytes: int = -1
    line: str = ""
    dataset_path: str = ""

    @property
    def end(self) -> int:
        """Return the byte after its newline."""
        return self.byte_offset + self.bytes + 1


def append_research_rows(
    warehouse: Warehouse, file: Path, *, selection: Selection = ALL_ROWS, allow_mixed: bool = False
) -> Appended:
    """Bring a dataset file up to date: append the selected research rows it lacks, and say what happened.

    A run is in the file when a row carries its run_id; rows of older tools, which have none, are known by label
    and telemetry file. Under the file's lock: lines not yet mirrored are mirrored, a last line that lost its newline
    is completed, new rows go out in one write, forced to disk, and are mirrored too. Whatever a kill leaves undone,
    the next call completes. Rows come in the order in which the runs did.

    Raises: WarehouseError when rows of the reference engine and of real engines would mix (unless allow_mixed),
    when the file no longer holds what was read from it, or when its name stands for another file.
    """
    set_up(warehouse)
    name = dataset_name(file)
    with locked(file) as dataset, connect(warehouse, views=VIEWS) as connection:
        _check_name(warehouse, connection, dataset)
        restored = _restore(connection, dataset, name)
        dataset.complete_last_line()
        _mirror(warehouse, connection, dataset)
        rows = selected_rows(connection, selection, name)
        new = rows.filter(~pl.col("is_held"))
        if len(new) and not allow_mixed:
            check_engines(file, [*_engines(connection, name), *new["engine"]])
        dataset.append(json_lines(new))
        _mirror(warehouse, connection, dataset)
        return Appended(
            file=file,
            appended=len(new),
            already_there=len(rows) - len(new),
            skipped_lines=_count(connection, name, "NOT is_blank AND NOT is_complete"),
            restored_lines=restored,
            repeated_labels=tuple(new.filter("repeats_label")["label"]),
        )


def mirror_dataset(warehouse: Warehouse, file: Path) -> int:
    """Take the lines of a dataset file that the warehouse lacks into it, and return how many; the file stays as it is.

    Raises: WarehouseError when the file is missing (exit code 2), no longer holds what was read from it before,
    or has the name of another dataset file.
    """
    dataset_name(file)
    with locked(file, write=False) as dataset:
        set_up(warehouse)
        with connect(warehouse, views=("dataset_rows",)) as connection:
            _check_name(warehouse, connection, dataset)
            return _mirror(warehouse, connection, dataset)


def _mirror(warehouse: Warehouse, connection: DuckDBPyConnection, dataset: LockedFile) -> int:
    name = dataset.path.stem
    last = _last_line(connection, name)
    _check_unchanged(warehouse, dataset, last)
    content = dataset.read_from(last.end)
    if not content:
        return 0
    path = warehouse.relative(dataset.path)
    load_lines(connection, content, path, first_line=last.line_no + 1, first_byte=last.end)
    _publish_lines(warehouse, connection, name)
    [(lines,)] = connection.execute("SELECT count(*) FROM dataset_lines").fetchall()
    return int(lines)


def _publish_lines(warehouse: Warehouse, connection: DuckDBPyConnection, name: str) -> None:
    batch = new_batch()
    with staging_folder(warehouse.staging, batch) as staging:
        staged = staging / "lines.parquet"
        connection.execute(
            f"COPY (SELECT {', '.join(COLUMNS)} FROM dataset_lines ORDER BY line_no)"
            f" TO {sql_text(str(staged))} (FORMAT parquet, COMPRESSION zstd)"
        )
        publish([(staged, warehouse.datasets_file(name, batch))])


def _last_line(connection: DuckDBPyConnection, name: str) -> _LastLine:
    rows = connection.execute(
        "SELECT line_no, byte_offset, bytes, line, dataset_path FROM dataset_rows"
        " WHERE dataset = ? ORDER BY line_no DESC LIMIT 1",
        [name],
    ).fetchall()
    return _LastLine(*rows[0]) if rows else _LastLine()


def _check_name(warehouse: Warehouse, connection: DuckDBPyConnection, dataset: LockedFile) -> None:
    last = _last_line(connection, dataset.path.stem)
    path = warehouse.relative(dataset.path)
    if last.line_no and last.dataset_path != path:
        raise WarehouseError(
            f"the dataset name {dataset.path.stem!r} stands for {last.dataset_path}, not for {path}",
            "give the file another name",
        )


def _check_unchanged(warehouse: Warehouse, dataset: LockedFile, last: _LastLine) -> None:
    # Only the last line is compared, so that an append costs the same however long the file is.
    if not last.line_no or dataset.holds_line(last.byte_offset, last.bytes, last.line):
        return
    mirror = warehouse.datasets / hive_folder("dataset", dataset.path.stem)
    raise WarehouseError(
        f"{dataset.path} was changed: line {last.line_no} is no longer what the warehouse holds of it",
        f"datasets are only ever appended to: restore the file, or remove {mirror} to read it afresh",
    )


def _restore(connection: DuckDBPyConnection, dataset: LockedFile, name: str) -> int:
    if dataset.size:
        return 0
    lines = connection.execute("SELECT line FROM dataset_rows WHERE dataset = ? ORDER BY line_no", [name]).fetchall()
    dataset.append("".join(f"{line}\n" for (line,) in lines).encode())
    return len(lines)


def _engines(connection: DuckDBPyConnection, name: str) -> list[str | None]:
    rows = connection.execute(
        "SELECT DISTINCT engine FROM dataset_rows WHERE dataset = ? AND is_run", [name]
    ).fetchall()
    return [engine for (engine,) in rows]


def _count(connection: DuckDBPyConnection, name: str, condition: str) -> int:
    [(count,)] = connection.execute(
        f"SELECT count(*) FROM dataset_rows WHERE dataset = ? AND {condition}", [name]
    ).fetchall()
    return int(count)
