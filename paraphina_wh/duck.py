"""DuckDB in memory, as every part of the program opens it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TypeVar

import duckdb

from paraphina_wh.temporary import owned_name

T = TypeVar("T")

_numbers = count()


def in_memory(
    threads: int | None = None, spill: Path | None = None, memory_mb: int | None = None
) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory; close it, or use it as a context manager.

    threads: at most so many; None takes all cores. spill: the folder below which it may write what does not fit into
    memory, by default that of temporary files; nothing is made before it is needed. memory_mb: at most so much, if
    DuckDB can help it; None takes most of what the machine has.
    """
    # By itself DuckDB spills into the current folder. Two databases in one folder would take each other's files.
    name = f"spill-{owned_name()}-{next(_numbers)}"
    folder = spill / name if spill else Path(tempfile.gettempdir(), f"paraphina-wh-{name}")
    config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(folder)}
    if threads:
        config["threads"] = threads
    if memory_mb:
        config["memory_limit"] = f"{memory_mb}MB"
    connection = duckdb.connect(":memory:", config=config)
    # In `python -c` and in notebooks it is on, and drawn on stdout.
    connection.execute("SET enable_progress_bar = false")
    # Instants are shown, and texts without an offset read, the same way on every machine.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def bounded(connection: duckdb.DuckDBPyConnection, memory_mb: int, work: Callable[[], T]) -> T:
    """Do work on a connection with so much memory, and begin again without that bound where it does not suffice."""
    ((before,),) = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    connection.execute(f"SET memory_limit = '{memory_mb}MB'")
    try:
        return work()
    except duckdb.OutOfMemoryException:
        connection.execute("RESET memory_limit")
        return work()
    finally:
        connection.execute(f"SET memory_limit = '{before}'")
