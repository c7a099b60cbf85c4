"""The files of the quarantine: one JSON object a line, as the ingest wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from paraphina_wh import commit
from paraphina_wh.catalog import no_glob, sql_folder
from paraphina_wh.warehouse import Warehouse

_BLOCK: Final = 1 << 20
_SMALLEST_OBJECT: Final = 1 << 20
# A line of the largest size that the reader keeps, every byte of it escaped; what is longer is no entry.
_LARGEST_OBJECT: Final = 1 << 29
# DuckDB reserves twice the longest line for every thread.
_MANY_THREADS_BELOW: Final = 1 << 24


def file_of(warehouse: Warehouse, run_id: str) -> Path:
    """Return where the lines of a run, or of a file of Monte Carlo runs, lie."""
    return warehouse.quarantine / f"{run_id}.jsonl"


def files_kept(warehouse: Warehouse) -> list[Path]:
    """Return the files of lines that the quarantine holds."""
    return sorted(path for path in warehouse.quarantine.glob("*.jsonl") if path.is_file())


def query(name: str) -> str:
    """Return the text of a query about the quarantine."""
    return (sql_folder() / "quarantine" / f"{name}.sql").read_text()


def load_put_aside(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Make the table `put_aside` of what files hold; one that cannot be read at all holds nothing."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE put_aside (run_id VARCHAR, entries BIGINT, readable BIGINT, bytes BIGINT, "
        "first_line BIGINT, first_reason VARCHAR, cut_off BOOLEAN)"
    )
    # A file without a line would have no row in the answer.
    empty = [file for file in files if not file.stat().st_size]
    filled = [file for file in files if file.stat().st_size]
    for file in empty:
        _insert_unreadable(connection, file)
    try:
        _insert(connection, filled)
    except duckdb.Error:
        # One damaged file must not hide the others.
        for file in filled:
            try:
                _insert(connection, [file])
            except duckdb.Error:
                _insert_unreadable(connection, file)


def _insert(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    if files:
        values = {"files": paths(files)} | sizes(connection, files)
        connection.execute(f"INSERT INTO put_aside {query('put_aside')}", values)


def _insert_unreadable(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    connection.execute("INSERT INTO put_aside VALUES ($1, 1, 0, 0, NULL, NULL, false)", [file.stem])


def paths(files: Sequence[Path]) -> list[str]:
    """Return files as DuckDB takes their names."""
    return [no_glob(str(file)) for file in files]


def sizes(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> dict[str, Any]:
    """Return the size of the longest line, as the queries take it; for long ones DuckDB goes on with one thread."""
    longest = max(longest_line(file) for file in files)
    if longest > _MANY_THREADS_BELOW:
        connection.execute("SET threads = 1")
    return {"longest": min(max(longest + 1024, _SMALLEST_OBJECT), _LARGEST_OBJECT)}


def longest_line(file: Path) -> int:
    """Return the bytes of the longest line of a file; of a small file simply its size."""
    size = file.stat().st_size
    if size <= _SMALLEST_OBJECT:
        return size
    longest = current = 0
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            first, *rest = block.split(b"\n")
            current += len(first)
            if rest:
                longest = max(longest, current, *map(len, rest[:-1]))
                current = len(rest[-1])
    return max(longest, current)


def drop_file(warehouse: Warehouse, run_id: str) -> None:
    """Remove the lines of a run for good."""
    commit.retire(warehouse, [file_of(warehouse, run_id)])
