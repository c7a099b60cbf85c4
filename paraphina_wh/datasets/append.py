"""Appending research rows to a dataset file, one process at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from paraphina_wh.catalog import connect, set_up
from paraphina_wh.datasets.files import dataset_name
from paraphina_wh.datasets.held import check_name, content_of, held_of
from paraphina_wh.datasets.locked import locked
from paraphina_wh.datasets.mirror import take_in
from paraphina_wh.datasets.rows import ALL_ROWS, VIEWS, Selection, check_engines, json_lines, selected_rows
from paraphina_wh.datasets.versions import check_newest
from paraphina_wh.warehouse import Warehouse

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


def append_research_rows(
    warehouse: Warehouse, file: Path, *, selection: Selection = ALL_ROWS, allow_mixed: bool = False
) -> Appended:
    """Bring a dataset file up to date: append the selected research rows it lacks, and say what happened.

    A run is in the file when a row carries its run_id; rows of older tools, which have none, are known by label
    and telemetry file. Under the file's lock: lines not yet mirrored are mirrored, an unfinished last line is
    completed, new rows go out in one write, forced to disk, and are mirrored too. Whatever a kill leaves undone,
    the next call completes. Rows come in the order in which the runs did.

    Raises: WarehouseError when the file is sealed or an earlier version (exit code 2), when rows of the reference
    engine and of real engines would mix (unless allow_mixed), when a line of the file was edited, or when its name
    stands for another file.
    """
    name = dataset_name(file)
    # Before the lock too: a sealed file cannot even be opened to write.
    check_newest(warehouse, file)
    set_up(warehouse)
    with (
        connect(warehouse, views=VIEWS) as connection,
        locked(file, first=_lost_content(warehouse, connection, file)) as dataset,
    ):
        check_newest(warehouse, file)
        restored = held_of(connection, name).line_no if dataset.is_new else 0
        take_in(warehouse, connection, dataset, whole_lines=True)
        rows = _checked_rows(connection, file, selection, allow_mixed)
        if unfinished := dataset.unfinished_line():
            dataset.append(_rest_of(unfinished, json_lines(_new(rows))))
            take_in(warehouse, connection, dataset)
            rows = _checked_rows(connection, file, selection, allow_mixed)
        new = _new(rows)
        dataset.append(json_lines(new))
        take_in(warehouse, connection, dataset)
        return Appended(
            file=file,
            appended=len(new),
            already_there=len(rows) - len(new),
            skipped_lines=_count_skipped(connection, name),
            restored_lines=restored,
            repeated_labels=tuple(new.filter("repeats_label")["label"]),
        )


def _lost_content(warehouse: Warehouse, connection: DuckDBPyConnection, file: Path) -> bytes:
    """Return what the warehouse holds of a file that is gone; one that was emptied is not gone, but edited."""
    if file.exists():
        return b""
    check_name(warehouse, file, held_of(connection, file.stem))
    return content_of(connection, file.stem)


def _checked_rows(connection: DuckDBPyConnection, file: Path, selection: Selection, allow_mixed: bool) -> pl.DataFrame:
    """Return the selected rows; those that are new may join the file."""
    rows = selected_rows(connection, selection, file.stem)
    if len(_new(rows)) and not allow_mixed:
        check_engines(file, [*_engines(connection, file.stem), *_new(rows)["engine"]])
    return rows


def _new(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~pl.col("is_held"))


def _rest_of(unfinished: bytes, lines: bytes) -> bytes:
    """Return what finishes a last line: the rest of one of these rows if a kill cut it off, else a newline."""
    rows = lines.splitlines(keepends=True)
    return next((row.removeprefix(unfinished) for row in rows if row.startswith(unfinished)), b"\n")


def _engines(connection: DuckDBPyConnection, name: str) -> list[str | None]:
    rows = connection.execute(
        "SELECT DISTINCT engine FROM dataset_rows WHERE dataset = ? AND is_run", [name]
    ).fetchall()
    return [engine for (engine,) in rows]


def _count_skipped(connection: DuckDBPyConnection, name: str) -> int:
    [(count,)] = connection.execute(
        "SELECT count(*) FROM dataset_rows WHERE dataset = ? AND NOT is_blank AND NOT is_complete", [name]
    ).fetchall()
    return int(count)
