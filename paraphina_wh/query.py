"""Read-only SQL over the views: one statement, inside the warehouse, within limits of time and memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from paraphina_wh import catalog, commit, formats
from paraphina_wh.errors import WarehouseError
from paraphina_wh.sandbox import statement
from paraphina_wh.sandbox.apart import answered_apart
from paraphina_wh.sandbox.failure import DAMAGED
from paraphina_wh.sandbox.here import answered_here
from paraphina_wh.sandbox.limits import NO_LIMITS, Limits, share_of
from paraphina_wh.sandbox.rows import Rows
from paraphina_wh.sandbox.watch import is_left_running
from paraphina_wh.temporary import temporary_prefix
from paraphina_wh.warehouse import Warehouse, new_batch

_LOOK_FOR_DAMAGE_S: Final = 10.0

_NO_DATASET: Final = (
    "the warehouse holds no dataset, which these views are about: `paraphina-wh export dataset` makes one of its runs"
)
_NOT_JUDGED: Final = "the datasets came in with an earlier version, which judged nothing: `paraphina-wh run exp11` does"


class Answer:
    """The rows of a query, in Arrow batches computed as they are asked for; they can be read once."""

    def __init__(self, rows: Rows) -> None:
        self.schema: pa.Schema = rows.schema
        self._batches = rows.batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; none when there is no row."""
        return self._batches

    @property
    def is_plan(self) -> bool:
        """Tell whether this is the answer to an EXPLAIN: a drawing in the column `explain_value`."""
        return bool(self.schema.names == ["explain_key", "explain_value"])

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows as frames, at least one, so that the columns are known when there is no row."""
        yield _frame(pa.Table.from_batches([], self.schema))
        for batch in self:
            yield _frame(pa.Table.from_batches([batch]))


@contextmanager
def open_query(warehouse: Warehouse, sql: str, limits: Limits = NO_LIMITS) -> Iterator[Answer]:
    """Start a query and give its answer; it can be read inside the `with` block alone.

    Raises: WarehouseError, with exit code 2 when there is no warehouse, or the text is not one statement that reads,
    and with exit code 1 when it fails or passes a limit, also while the answer is read.
    """
    statement.check_text(sql)
    try:
        with _answered(warehouse, sql, limits) as rows:
            yield Answer(rows)
    except WarehouseError as error:
        if error.hint != DAMAGED or ".parquet" in error.message:
            raise
        # Not every damage tells DuckDB which file it reads.
        from paraphina_wh.maintenance.integrity import first_damaged

        if (found := first_damaged(warehouse, _LOOK_FOR_DAMAGE_S)) is None:
            raise
        message = f"{warehouse.path / found.path} is damaged ({found.detail}): {error.message}"
        raise WarehouseError(message, error.hint) from error


@contextmanager
def _answered(warehouse: Warehouse, sql: str, limits: Limits) -> Iterator[Rows]:
    if limits.untrusted:
        warehouse.check_exists()
        with answered_apart(warehouse, sql, limits) as rows:
            yield rows
        return
    checked = statement.checked(sql)
    warehouse.check_exists()
    with tempfile.TemporaryDirectory(prefix=temporary_prefix(), ignore_cleanup_errors=True) as name:
        private = Path(name)
        share = share_of(limits, private)
        with answered_here(warehouse, checked, share, limits.timeout_s) as rows:
            yield rows


def run_query(warehouse: Warehouse, sql: str, limits: Limits = NO_LIMITS) -> pl.DataFrame:
    """Return the whole answer of a query as a frame. Raises: as `open_query`."""
    with open_query(warehouse, sql, limits) as answer:
        return pl.concat(answer.frames())


def write_query(
    warehouse: Warehouse, sql: str, path: Path, limits: Limits = NO_LIMITS, *, spreadsheet_safe: bool = False
) -> int:
    """Write the whole answer to a file and return the number of rows; the ending of its name says the form.

    Memory does not grow with the answer, and the file is there only when it is whole.
    Raises: as `open_query`; WarehouseError with exit code 2 for an ending that is not known.
    """
    write = formats.writer_of(path, spreadsheet_safe=spreadsheet_safe)
    _check_target(warehouse, path)
    beside = commit.staging_folder(path.absolute().parent, f".{new_batch()}")
    with open_query(warehouse, sql, limits) as answer, beside as folder:
        staged = folder / path.name
        rows = write(answer, staged)
        commit.publish([(staged, path)])
    return rows


def what_comes_first(warehouse: Warehouse, sql: str) -> str:
    """Return what a query is about that the warehouse lacks, and what makes it; nothing when all is there."""
    named = catalog.views_named_in(sql)
    if "dataset_rows" not in named or len(named) == len(catalog.view_names()):
        return ""
    [(lines, judged)] = run_query(warehouse, "SELECT count(*), count(evidence_json) FROM dataset_rows").rows()
    if not lines:
        return _NO_DATASET
    return _NOT_JUDGED if "evidence" in named and not judged else ""


def _check_target(warehouse: Warehouse, path: Path) -> None:
    if path.is_dir():
        raise WarehouseError(f"{path} is a folder", "name a file", exit_code=2)
    warehouse.check_target(path)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


__all__ = [
    "NO_LIMITS",
    "Answer",
    "Limits",
    "is_left_running",
    "open_query",
    "run_query",
    "what_comes_first",
    "write_query",
]
