"""The answer to a query, computed in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Final

import duckdb
import pyarrow as pa

from paraphina_wh.errors import WarehouseError
from paraphina_wh.sandbox import exchange
from paraphina_wh.sandbox.confined import confined
from paraphina_wh.sandbox.failure import is_gone
from paraphina_wh.sandbox.limits import Share
from paraphina_wh.sandbox.rows import Rows
from paraphina_wh.sandbox.statement import Checked
from paraphina_wh.sandbox.watch import Watch
from paraphina_wh.warehouse import Warehouse

# Files vanish under a query when others compact or sweep at that moment; each try lists them anew.
_TRIES: Final = 20


@contextmanager
def answered_here(
    warehouse: Warehouse, statement: Checked, share: Share, timeout_s: float | None = None
) -> Iterator[Rows]:
    """Give the rows of a statement; they can be read inside the `with` block alone.

    Until the first rows are there it begins again: when a file of the warehouse is gone, and with wider integers
    when one does not fit.
    Raises: WarehouseError (exit code 1) when it fails or takes too long, also while the rows are read.
    """
    watch = Watch(timeout_s)
    wide = False
    for tries_left in reversed(range(_TRIES)):
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(confined(warehouse, statement, share))
                rows = _begin(connection, statement.sql, watch, wide=wide)
            except WarehouseError as error:
                too_narrow = not wide and exchange.is_too_wide(error.message)
                wide = wide or too_narrow
                if tries_left and (too_narrow or is_gone(error.message)):
                    continue
                raise
            yield rows
            return
    raise AssertionError


def _begin(connection: duckdb.DuckDBPyConnection, sql: str, watch: Watch, *, wide: bool) -> Rows:
    """Return the rows once the first batch of them has been computed."""

    def start() -> tuple[pa.RecordBatchReader, pa.RecordBatch | None]:
        reader = exchange.start(connection, sql, wide=wide)
        return reader, next(reader, None)

    def rest() -> Iterator[pa.RecordBatch]:
        while (batch := watch.run(connection, lambda: next(reader, None))) is not None:
            exchange.check_dates(batch)
            yield batch

    reader, first = watch.run(connection, start)
    if first is None:
        return Rows(reader.schema, iter(()))
    exchange.check_dates(first)
    return Rows(reader.schema, chain([first], rest()))
