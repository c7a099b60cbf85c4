"""What the warehouse holds of a dataset file, and whether the file still begins with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paraphina_wh.catalog import connect, sql_folder, steady
from paraphina_wh.datasets.lines import split_lines
from paraphina_wh.datasets.locked import LockedFile, locked
from paraphina_wh.datasets.seal import is_sealed, sealed_sha256
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Held:
    """Where the lines that the warehouse holds of a dataset end; they count from 1, line 0 stands for none."""

    line_no: int = 0
    byte_offset: int = 0
    bytes: int = 0
    is_terminated: bool = False
    prefix_sha256: str | None = None
    dataset_path: str = ""

    @property
    def end(self) -> int:
        """Return the byte behind the last line, at its newline."""
        return self.byte_offset + self.bytes

    @property
    def next_line(self) -> int:
        """Return the first line to take in; a last line without newline is taken again once it goes on."""
        return self.line_no + 1 if self.is_terminated else max(1, self.line_no)

    @property
    def next_byte(self) -> int:
        """Return where that line starts."""
        return self.end + 1 if self.is_terminated else self.byte_offset

    def is_all_of(self, size: int) -> bool:
        """Tell whether a file of this size holds nothing new."""
        return size <= self.end + self.is_terminated


def held_of(connection: DuckDBPyConnection, name: str) -> Held:
    """Return where the lines held of a dataset end."""
    rows = connection.execute(
        "SELECT line_no, byte_offset, bytes, is_terminated, prefix_sha256, dataset_path FROM dataset_rows"
        " WHERE dataset = ? ORDER BY line_no DESC LIMIT 1",
        [name],
    ).fetchall()
    return Held(*rows[0]) if rows else Held()


@dataclass(frozen=True)
class Change:
    """The first line of a dataset file that is not what it was; None where only a seal tells that something is."""

    line_no: int | None
    error: WarehouseError


def find_change(connection: DuckDBPyConnection, dataset: LockedFile, held: Held) -> Change | None:
    """Return the first change against what the warehouse holds, or against the seal; None when there is none."""
    if held.line_no and not _begins_with(dataset, held):
        line_no = _first_changed_line(connection, dataset)
        if line_no is not None:
            return _change(dataset, line_no, f"line {line_no} is no longer what the warehouse holds of it")
    sealed = sealed_sha256(dataset.path)
    if not sealed or sealed == dataset.sha256(dataset.size):
        return None
    if held.line_no and not held.is_all_of(dataset.size):
        return _change(dataset, held.line_no + 1, f"line {held.line_no + 1} was added after it was sealed")
    return _change(dataset, None, "it is no longer what was sealed")


def check_unchanged(connection: DuckDBPyConnection, dataset: LockedFile, held: Held) -> None:
    """Raise a WarehouseError naming the first line that is not what it was."""
    if change := find_change(connection, dataset, held):
        raise change.error


@steady
def check_file(warehouse: Warehouse, file: Path) -> None:
    """Raise a WarehouseError when a dataset file was edited, or when its name stands for another file."""
    with locked(file, write=False) as dataset, connect(warehouse, views=("dataset_rows",), or_empty=True) as connection:
        held = held_of(connection, file.stem)
        check_name(warehouse, file, held)
        check_unchanged(connection, dataset, held)


@steady
def checked_content(warehouse: Warehouse, file: Path) -> bytes:
    """Return the bytes of a dataset file that is what the warehouse holds of it and what its seal says.

    A file without seal that the warehouse holds nothing of is read as it is.
    Raises: WarehouseError when the file was edited; OSError when it cannot be read.
    """
    if not file.is_file() or not (warehouse.exists or is_sealed(file)):
        return file.read_bytes()
    with connect(warehouse, views=("dataset_rows",), or_empty=True) as connection:
        held = _held_of_file(warehouse, connection, file)
        if not (held.line_no or is_sealed(file)):
            return file.read_bytes()
        with locked(file, write=False) as dataset:
            check_unchanged(connection, dataset, held)
            return dataset.read_from(0)


def _held_of_file(warehouse: Warehouse, connection: DuckDBPyConnection, file: Path) -> Held:
    """Return where the lines held of this very file end; another file of its name does not count."""
    held = held_of(connection, file.stem)
    return held if held.dataset_path == warehouse.relative(file) else Held()


def check_name(warehouse: Warehouse, file: Path, held: Held) -> None:
    """Raise a WarehouseError when the lines held under the name of a file come from another file."""
    path = warehouse.relative(file)
    if held.line_no and held.dataset_path != path:
        raise WarehouseError(
            f"the dataset name {file.stem!r} stands for {held.dataset_path}, not for {path}",
            "give the file another name",
        )


def content_of(connection: DuckDBPyConnection, name: str) -> bytes:
    """Return the bytes of a dataset file as the warehouse holds them."""
    query = (sql_folder() / "import" / "dataset_content.sql").read_text()
    return b"".join(line for (line,) in connection.execute(query, {"dataset": name}).fetchall())


def _begins_with(dataset: LockedFile, held: Held) -> bool:
    # One hash over the bytes, whoever wrote them: complete, and cheaper than reading the texts of the lines back.
    if dataset.size < held.end or (held.is_terminated and dataset.byte_at(held.end) not in (b"", b"\n")):
        return False
    return dataset.sha256(held.end) == held.prefix_sha256


def _first_changed_line(connection: DuckDBPyConnection, dataset: LockedFile) -> int | None:
    query = (sql_folder() / "import" / "dataset_change.sql").read_text()
    connection.register("dataset_text", split_lines(dataset.read_from(0)))
    [(line_no,)] = connection.execute(query, {"dataset": dataset.path.stem}).fetchall()
    connection.unregister("dataset_text")
    return int(line_no) if line_no is not None else None


def _change(dataset: LockedFile, line_no: int | None, what: str) -> Change:
    hint = (
        f"datasets are only ever appended to: `paraphina-wh dataset restore {dataset.path.stem}` writes back what the"
        " warehouse holds, and keeps the edited file beside it"
    )
    return Change(line_no, WarehouseError(f"{dataset.path} was changed: {what}", hint))
