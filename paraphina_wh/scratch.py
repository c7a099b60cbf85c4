"""Small computations in SQL: an empty database in memory for each, all in one DuckDB of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count

import duckdb

from paraphina_wh.duck import in_memory

_numbers = count()


@contextmanager
def scratch_database(threads: int | None = None, prepared: tuple[str, ...] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database of its own, gone at the end of the block; nothing in it meets that of another block.

    To start DuckDB takes 15 ms, more than the work itself where tables are small; a further database in it takes one.
    threads: at most so many; None takes all cores. What is set for the whole of DuckDB would reach other blocks: set
    only what belongs to a session.
    prepared: statements that create views. They run once in a process, over whatever they create for it, and later
    databases get copies: to bind views of views takes far longer. Rows are not copied.
    """
    with _duckdb(threads).cursor() as keeper:
        name = _attach(keeper)
        try:
            if prepared:
                keeper.execute(f"COPY FROM DATABASE {_prepared(threads, prepared)} TO {name} (SCHEMA)")
            with keeper.cursor() as connection:
                connection.execute(f"USE {name}")
                yield connection
        finally:
            keeper.execute(f"DETACH {name}")


@cache
def _duckdb(threads: int | None) -> duckdb.DuckDBPyConnection:
    return in_memory(threads)


@cache
def _prepared(threads: int | None, statements: tuple[str, ...]) -> str:
    """Return the name of a database in which the statements have run."""
    with _duckdb(threads).cursor() as connection:
        name = _attach(connection)
        connection.execute(f"USE {name}")
        for statement in statements:
            connection.execute(statement)
    return name


def _attach(connection: duckdb.DuckDBPyConnection) -> str:
    name = f"scratch_{next(_numbers)}"
    connection.execute(f"ATTACH ':memory:' AS {name}")
    return name
