"""Read-only SQL over the views: one statement, inside the warehouse, within limits of time and memory."""

from __future__ import annotations

import json
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import polars as pl
import pyarrow as pa

from paraphina_wh import catalog, commit, formats
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, new_batch, sql_text

T = TypeVar("T")

_BATCH_ROWS = 20_000
_LOOK_EVERY_S = 0.05
_READS = "only statements that read: SELECT, WITH, VALUES, FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN"
# Types that Arrow's readers do not know, and what they are handed over as.
_EXCHANGED = {
    "HUGEINT": "BIGINT",
    "UHUGEINT": "UBIGINT",
    "INTERVAL": "VARCHAR",
    "BIT": "VARCHAR",
    "TIME WITH TIME ZONE": "VARCHAR",
}


@dataclass(frozen=True)
class Limits:
    """What a query may use; None is no limit for the time, and DuckDB's own for the memory.

    timeout_s: seconds. memory: a size with its unit, such as `2GB`.
    """

    timeout_s: float | None = None
    memory: str | None = None


NO_LIMITS = Limits()


class Answer:
    """The rows of a query, in Arrow batches computed as they are asked for."""

    def __init__(self, reader: pa.RecordBatchReader, watch: _Watch) -> None:
        self.schema: pa.Schema = reader.schema
        self._reader = reader
        self._watch = watch

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; none when there is no row."""
        while (batch := self._watch.run(lambda: next(self._reader, None))) is not None:
            yield batch

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

    Raises: WarehouseError, with exit code 2 when the text is not one statement that reads, and with exit
    code 1 when it fails or passes a limit, also while the answer is read.
    """
    with _sandbox(warehouse, sql, limits) as connection, _Watch(connection, limits) as watch:
        _check_statement(connection, sql)
        yield Answer(watch.run(lambda: _start(connection, sql)), watch)


def run_query(warehouse: Warehouse, sql: str, limits: Limits = NO_LIMITS) -> pl.DataFrame:
    """Return the whole answer of a query as a frame. Raises: as `open_query`."""
    with open_query(warehouse, sql, limits) as answer:
        return pl.concat(answer.frames())


def write_query(warehouse: Warehouse, sql: str, path: Path, limits: Limits = NO_LIMITS) -> int:
    """Write the whole answer to a file and return the number of rows; the ending of its name says the form.

    Memory does not grow with the answer, and the file is there only when it is whole.
    Raises: as `open_query`; WarehouseError with exit code 2 for an ending that is not known.
    """
    write = formats.writer_of(path)
    _check_target(warehouse, path)
    beside = commit.staging_folder(path.absolute().parent, f".{new_batch()}")
    with open_query(warehouse, sql, limits) as answer, beside as folder:
        staged = folder / path.name
        rows = write(answer, staged)
        commit.publish([(staged, path)])
    return rows


def _check_target(warehouse: Warehouse, path: Path) -> None:
    if path.is_dir():
        raise WarehouseError(f"{path} is a folder", "name a file", exit_code=2)
    if path.resolve().is_relative_to(warehouse.path.resolve()):
        raise WarehouseError(f"{path} lies inside the warehouse", "write to a file outside of it", exit_code=2)


@contextmanager
def _sandbox(warehouse: Warehouse, sql: str, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with the views a statement names; it reaches the data of the warehouse and nothing else."""
    with tempfile.TemporaryDirectory(prefix="paraphina-wh-") as name:
        private = Path(name)
        readable = _readable(warehouse, private)
        with catalog.connect(readable, views=catalog.views_named_in(sql)) as connection:
            _confine(connection, readable, private / "spill", limits)
            yield connection


def _confine(connection: duckdb.DuckDBPyConnection, readable: Warehouse, spill: Path, limits: Limits) -> None:
    if limits.memory is not None:
        _limit_memory(connection, limits.memory)
    # A folder whose name holds glob characters is asked for in its escaped form.
    folders = ", ".join(
        sql_text(f"{name}/") for folder in readable.tables for name in (str(folder), catalog.no_glob(str(folder)))
    )
    for setting in (
        f"temp_directory = {sql_text(str(spill))}",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        f"allowed_directories = [{folders}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def _readable(warehouse: Warehouse, private: Path) -> Warehouse:
    """Return the warehouse, or an empty one when it has not been set up: queries never create it."""
    if warehouse.exists:
        return warehouse
    empty = Warehouse(private, private / "warehouse")
    catalog.set_up(empty)
    return empty


def _limit_memory(connection: duckdb.DuckDBPyConnection, size: str) -> None:
    try:
        connection.execute(f"SET memory_limit = {sql_text(size)}")
    except duckdb.Error as error:
        raise WarehouseError(f"not a memory size: {size!r}", "write it as 500MB or 2GB", exit_code=2) from error


def _check_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise a WarehouseError unless the text is exactly one statement that reads."""
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _failure(error, exit_code=2) from error
    if len(statements) != 1:
        count = "no statement" if not statements else f"{len(statements)} statements"
        raise WarehouseError(f"{count} given, one is expected", "quote the SQL as one argument", exit_code=2)
    kind = statements[0].type
    explained = _explained(connection, sql) if kind == duckdb.StatementType.EXPLAIN else sql
    if explained is None or not _only_reads(connection, explained):
        raise WarehouseError(f"refused: a query may not write or change settings ({kind.name})", _READS, exit_code=2)


def _explained(connection: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """Return the statement that an EXPLAIN is about: the first rest of the text that is one by itself.

    EXPLAIN ANALYZE runs what follows, whatever it is, and the type of the whole does not tell.
    """
    text = sql.encode()
    for position, _ in duckdb.tokenize(sql)[1:]:
        rest = text[position:].decode(errors="replace")
        try:
            connection.extract_statements(rest)
        except duckdb.Error:
            continue
        return rest
    return None


def _only_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Tell whether a statement is a SELECT in every part: a WITH may hold an INSERT, DELETE or UPDATE."""
    ((text,),) = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchall()
    tree = json.loads(text)
    return not tree["error"] and not any(kind.endswith("_QUERY_NODE") for kind in _node_types(tree))


def _node_types(tree: Any) -> Iterator[str]:
    """Yield the type of every node of a parsed statement."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if isinstance(node.get("type"), str):
                yield node["type"]
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _start(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.RecordBatchReader:
    relation = connection.sql(sql)
    types = [str(kind) for kind in relation.types]
    names = _distinct(relation.columns)
    if names != relation.columns or not _EXCHANGED.keys().isdisjoint(types):
        relation = relation.project(_exchange(names, types))
    return relation.to_arrow_reader(_BATCH_ROWS)


def _exchange(names: list[str], types: list[str]) -> str:
    """Return the columns by position, under distinct names and as types that every reader knows."""
    quoted = [name.replace('"', '""') for name in names]
    return ", ".join(
        f'#{i}::{_EXCHANGED[kind]} AS "{name}"' if kind in _EXCHANGED else f'#{i} AS "{name}"'
        for i, (name, kind) in enumerate(zip(quoted, types, strict=True), start=1)
    )


def _distinct(names: list[str]) -> list[str]:
    """Number the later ones of equal column names: a, a_1, a_2."""
    distinct: list[str] = []
    for name in names:
        candidate, n = name, 0
        while candidate in distinct:
            n += 1
            candidate = f"{name}_{n}"
        distinct.append(candidate)
    return distinct


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


class _Watch:
    """Runs DuckDB's work in a thread of its own, so that the time limit and Ctrl-C stop it at once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._end = math.inf if limits.timeout_s is None else time.monotonic() + limits.timeout_s
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(self, work: Callable[[], T]) -> T:
        """Return what work returns. Raises: WarehouseError when it fails or takes too long."""
        future = self._pool.submit(work)
        try:
            # A wait without end would sleep through Ctrl-C.
            while not wait([future], timeout=_LOOK_EVERY_S).done:
                if time.monotonic() > self._end:
                    raise self._too_long()
            return future.result()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _failure(error) from error
        finally:
            self._stop(future)

    def _too_long(self) -> WarehouseError:
        hint = "raise --timeout, or ask for less: filter on profile and label"
        return WarehouseError(f"the query took longer than {self._limits.timeout_s:g} s", hint)

    def _stop(self, future: Future[T]) -> None:
        # An interrupt that comes before the query has begun is lost: repeat it.
        while not future.done():
            self._connection.interrupt()
            wait([future], timeout=0.05)


def _failure(error: Exception, exit_code: int = 1) -> WarehouseError:
    """Put DuckDB's message into plain words, with a hint that fits."""
    kind, _, text = str(error).partition("Error: ")
    # DuckDB repeats the line of the SQL below its message.
    message, _, _ = (text or kind).partition("\n\n")
    return WarehouseError(" ".join(re.split(r"\s*\n\s*", message.strip())), _hint(kind.strip()), exit_code=exit_code)


def _hint(kind: str) -> str:
    views = "views: " + ", ".join(catalog.view_names())
    return {
        "Catalog": views,
        "Binder": f"columns: paraphina-wh schema VIEW; {views}",
        "Parser": "see https://duckdb.org/docs/stable/sql/introduction for the SQL that DuckDB speaks",
        "Permission": "a query reads the views; files are out of its reach",
        "Out of Memory": "raise --memory, or ask for less: filter on profile and label",
        "Conversion": "use try_cast where a value may not fit the type",
        "IO": "look for damaged files with `paraphina-wh check`",
    }.get(kind, "")
