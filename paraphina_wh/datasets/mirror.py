"""Taking the lines of a dataset file into the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paraphina_wh.catalog import connect, set_up, steady
from paraphina_wh.commit import Put, commit, staging
from paraphina_wh.datasets.columns import COLUMNS
from paraphina_wh.datasets.files import dataset_name
from paraphina_wh.datasets.held import check_name, check_unchanged, held_of
from paraphina_wh.datasets.lines import load_lines
from paraphina_wh.datasets.locked import LockedFile, locked
from paraphina_wh.datasets.read import rows_of
from paraphina_wh.evidence.verdicts import judge
from paraphina_wh.records import Record, SourceRun
from paraphina_wh.warehouse import Warehouse, new_batch, sql_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Mirrored:
    """What was taken in of a dataset file.

    file, dataset: the file and its name in the warehouse.
    lines: lines that the warehouse lacked. runs: runs among them, for the alignment.
    skipped_lines: lines among them that are no runs; blank ones are not counted.
    already_there: lines that the warehouse held before.
    """

    file: Path
    dataset: str
    lines: int = 0
    runs: int = 0
    skipped_lines: int = 0
    already_there: int = 0


@steady
def mirror_dataset(warehouse: Warehouse, file: Path) -> Mirrored:
    """Take the lines of a dataset file that the warehouse lacks into it, and say how many; the file stays as it is.

    Bad lines are kept and counted, never fatal; a second call takes nothing.
    Raises: WarehouseError when the file is missing (exit code 2), no longer holds what was read from it before,
    or has the name of another dataset file.
    """
    dataset_name(file)
    with locked(file, write=False) as dataset:
        set_up(warehouse)
        with connect(warehouse, views=("dataset_rows",)) as connection:
            return take_in(warehouse, connection, dataset)


def take_in(
    warehouse: Warehouse, connection: DuckDBPyConnection, dataset: LockedFile, *, whole_lines: bool = False
) -> Mirrored:
    """Mirror the new lines of a locked dataset file; whole_lines: leave out a last line without newline.

    Raises: WarehouseError as `mirror_dataset` does.
    """
    file, name = dataset.path, dataset.path.stem
    held = held_of(connection, name)
    check_name(warehouse, file, held)
    check_unchanged(connection, dataset, held)
    content = b"" if held.is_all_of(dataset.size) else dataset.read_from(held.next_byte)
    if whole_lines:
        content = content[: content.rfind(b"\n") + 1]
    if not content:
        return Mirrored(file, name, already_there=held.line_no)
    end = held.next_byte + len(content.removesuffix(b"\n"))
    made_of = SourceRun("dataset", label=name, source=warehouse.relative(file), sha256=dataset.sha256(end), bytes=end)
    load_lines(
        connection,
        content,
        warehouse.relative(file),
        first_line=held.next_line,
        first_byte=held.next_byte,
        prefix_sha256=made_of.sha256,
    )
    _judge(connection, dataset.read_from(0)[: held.next_byte + len(content)], file)
    _publish_lines(warehouse, connection, made_of)
    return Mirrored(file, name, *_count(connection, held.line_no), already_there=held.line_no)


def _judge(connection: DuckDBPyConnection, content: bytes, file: Path) -> None:
    """Put on the last of the new lines what all lines of the file prove, for the view `evidence`."""
    with rows_of(content, file) as whole:
        judge(whole)
        [(evidence,)] = whole.execute("SELECT max_by(evidence_json, line_no) FROM dataset_lines").fetchall()
    connection.execute(
        "UPDATE dataset_lines SET evidence_json = ? WHERE line_no = (SELECT max(line_no) FROM dataset_lines)",
        [evidence],
    )


def _count(connection: DuckDBPyConnection, last_held: int) -> tuple[int, int, int]:
    [(lines, runs, skipped)] = connection.execute(
        "SELECT count(*), count(*) FILTER (is_run), count(*) FILTER (NOT is_run AND NOT is_blank)"
        " FROM dataset_lines WHERE line_no > ?",
        [last_held],
    ).fetchall()
    return lines, runs, skipped


def _publish_lines(warehouse: Warehouse, connection: DuckDBPyConnection, made_of: SourceRun) -> None:
    batch, name = new_batch(), made_of.label
    with staging(warehouse, batch) as folder:
        staged = folder / "lines.parquet"
        connection.execute(
            f"COPY (SELECT {', '.join(COLUMNS)} FROM dataset_lines ORDER BY line_no)"
            f" TO {sql_text(str(staged))} (FORMAT parquet, COMPRESSION zstd)"
        )
        [(first, last)] = connection.execute("SELECT min(line_no), max(line_no) FROM dataset_lines").fetchall()
        put = Put(staged, warehouse.datasets_file(name, batch), f"lines {first} to {last} of the dataset {name}")
        commit(warehouse, Record(batch, runs=[made_of]), [put])
