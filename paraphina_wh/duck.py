"""DuckDB in memory, as every part of the program opens it."""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path

import duckdb

_numbers = count()


def in_memory(threads: int | None = None, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory; close it, or use it as a context manager.

    threads: at most so many; None takes all cores. spill: the folder below which it may write what does not fit into
    memory, by default that of temporary files; nothing is made before it is needed.
    """
    # By itself DuckDB spills into the current folder. Two databases in one folder would take each other's files.
    name = f"spill-{os.getpid()}-{next(_numbers)}"
    folder = spill / name if spill else Path(tempfile.gettempdir(), f"paraphina-wh-{name}")
    config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(folder)}
    if threads:
        config["threads"] = threads
    connection = duckdb.connect(":memory:", config=config)
    # In `python -c` and in notebooks it is on, and drawn on stdout.
    connection.execute("SET enable_progress_bar = false")
    # Instants are shown, and texts without an offset read, the same way on every machine.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection
