"""Reading a warehouse that may be damaged, without writing anything to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from paraphina_wh.catalog import no_glob, steady, view_sql
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, sql_text

T = TypeVar("T")


@contextmanager
def views(warehouse: Warehouse, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with views over the files as they are; unlike those of commands they heal nothing."""
    with in_memory() as connection:
        for name in names:
            connection.execute(view_sql(name, warehouse.path))
        yield connection


def steadily(read: Callable[[], T]) -> T:
    """Return what a function reads, begun again when `gc` removed a file meanwhile.

    Raises: WarehouseError when a file cannot be read.
    """
    try:
        return steady(read)()
    except duckdb.Error as error:
        # Other columns than a ledger has: a foreign file among those of a table.
        raise WarehouseError(
            f"cannot read the warehouse: {error}", "`paraphina-wh check` names foreign files"
        ) from error


def runs_told(warehouse: Warehouse) -> tuple[set[str], set[str]]:
    """Return the runs that the ledger tells of, and those of them that count.

    Raises: WarehouseError when the ledger cannot be read.
    """

    def read() -> tuple[set[str], set[str]]:
        with views(warehouse, "run_ledger", "runs") as connection:
            told, live = (
                {run_id for (run_id,) in connection.execute(f"SELECT run_id FROM {view}").fetchall()}
                for view in ("run_ledger", "runs")
            )
            return told, live

    return steadily(read)


def parquet_list(files: Sequence[Path]) -> str:
    """Return files as the SQL list that `read_parquet` takes; their names are no globs."""
    return "[" + ", ".join(sql_text(no_glob(str(file))) for file in files) + "]"
