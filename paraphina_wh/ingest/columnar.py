"""The columnar read: one JSONL file to one Parquet file, by DuckDB, with declared types.

It decides nothing: the strict pass does. What it makes of a file counts only if every line passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import msgspec

from paraphina_wh.catalog import no_glob
from paraphina_wh.duck import in_memory
from paraphina_wh.telemetry.reader import LONGEST_FAST_LINE
from paraphina_wh.telemetry.shape import TICKS, Contract, column_types
from paraphina_wh.warehouse import sql_text

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# What DuckDB may use: with it, an ingest stays below 500 MB, and a file of any length spills instead.
MEMORY_MB: Final = 300
# DuckDB reserves twice this for every thread, and reads a file in pieces of that size.
SMALLEST_OBJECT_BYTES = 1 << 20
# Small enough for several threads to write one large run, large enough to compress well.
ROW_GROUP_ROWS = 4096
# So many longer lines in one row group would be too much for whoever reads it later, this program among them.
LONGEST_PLAIN_LINE: Final = 1 << 16
PIECE_BYTES: Final = 1 << 23
# What DuckDB holds of a line while it parses it: a buffer of twice its size for every thread, its values, their text.
_TIMES_A_LINE: Final = 8
_RAW: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Columnar:
    """One conversion.

    source: JSONL whose every line is a valid record of the contract. target: Parquet file to write.
    longest_line: bytes. constants: columns that come first, and their value. extra: file of an `ExtraFile`, or None.
    metadata: key-value metadata of the Parquet file.
    """

    source: Path
    target: Path
    longest_line: int
    constants: Mapping[str, str | datetime]
    contract: Contract = TICKS
    extra: Path | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Tell whether DuckDB alone writes the file: it holds no undeclared fields and no long lines."""
        return self.extra is None and self.longest_line <= LONGEST_PLAIN_LINE


def open_reader(threads: int | None = None, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open a database for `convert`: it knows the nested types of the record by name.

    threads, spill: as `in_memory` takes them. To read their definitions again in each statement takes longer than to
    write the columns of a short run.
    """
    connection = in_memory(threads, spill, MEMORY_MB)
    for kind, name in _names_of_types().items():
        connection.execute(f"CREATE TYPE {name} AS {kind}")
    return connection


def convert(connection: duckdb.DuckDBPyConnection, job: Columnar) -> int:
    """Write the Parquet file and return its rows, in the order of the source.

    connection: of `open_reader`.
    Raises: duckdb.Error when the source is not what the declared types say (duplicate keys, for one).
    """
    if job.is_plain:
        with suppress(duckdb.OutOfMemoryException):
            return _at_once(connection, job)
    return _in_pieces(connection, job)


def _at_once(connection: duckdb.DuckDBPyConnection, job: Columnar) -> int:
    metadata = ", ".join(f"{key}: {sql_text(value)}" for key, value in job.metadata.items())
    row = connection.execute(
        f"COPY ({_rows(job, job.source, job.longest_line, ', NULL::VARCHAR AS extra')}) TO {sql_text(str(job.target))} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false, "
        f"KV_METADATA {{{metadata}}})"
    ).fetchone()
    return int(row[0]) if row else 0


def _in_pieces(connection: duckdb.DuckDBPyConnection, job: Columnar) -> int:
    """Read and write some megabytes at a time: neither memory nor row groups grow with what the lines hold."""
    import pyarrow as pa

    extras = _Extras(job.extra) if job.extra else None
    rows, writer = 0, None
    try:
        for piece, longest_line in _pieces(job):
            with _room_for(connection, longest_line):
                table = connection.sql(_rows(job, piece, longest_line)).to_arrow_table()
            index = table[job.contract.index]
            table = table.append_column("extra", extras.of(index) if extras else pa.nulls(len(index), pa.string()))
            if writer is None:
                writer = _open_writer(job, table.schema)
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            rows += len(index)
            # It may hold megabytes, and the next piece comes before another takes its place.
            del table
    finally:
        if writer:
            writer.close()
    return rows


def _open_writer(job: Columnar, schema: pa.Schema) -> pq.ParquetWriter:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Of a text of megabytes a dictionary and the least and the most would each hold a copy.
    small = [path for each in schema if each.name != "extra" for path in _leaves(each.name, each.type)]
    return pq.ParquetWriter(
        job.target,
        schema.with_metadata(dict(job.metadata)),
        compression="zstd",
        use_dictionary=small,
        write_statistics=small,
        store_schema=False,
        memory_pool=pa.system_memory_pool(),
    )


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """Yield the paths of a column in Parquet: `fills.list.element.price`."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for each in kind:
            yield from _leaves(f"{path}.{each.name}", each.type)
    else:
        yield path


def _pieces(job: Columnar) -> Iterator[tuple[Path, int]]:
    """Yield copies of some lines each, to the side of the target, and the bytes of the longest of them.

    Each copy is gone before the next comes.
    """
    with job.source.open("rb") as stream:
        while lines := stream.readlines(PIECE_BYTES):
            longest = max(map(len, lines))
            if longest > LONGEST_FAST_LINE:
                lines = [_declared(line, job.contract) for line in lines]
                longest = max(map(len, lines))
            # A name of its own for each: DuckDB may remember a file by its name.
            piece = job.target.with_suffix(f".piece{stream.tell()}")
            with piece.open("wb") as out:
                out.writelines(lines)
            del lines
            yield piece, longest
            piece.unlink()


def _declared(line: bytes, contract: Contract) -> bytes:
    """Return a long line without its undeclared fields, of which the text is kept elsewhere: DuckDB would hold them.

    Only lines that were judged the exact way, which finds keys that are there twice: here the second would win.
    """
    if len(line) <= LONGEST_FAST_LINE + len(b"\n"):
        return line
    declared = column_types(contract)
    record = {name: raw for name, raw in _RAW.decode(line).items() if name in declared}
    return msgspec.json.encode(record) + b"\n"


@contextmanager
def _room_for(connection: duckdb.DuckDBPyConnection, longest_line: int) -> Iterator[None]:
    """Let DuckDB take what a line needs that is itself a good part of what it may use, on one thread."""
    if longest_line < SMALLEST_OBJECT_BYTES:
        yield
        return
    ((threads,),) = connection.execute("SELECT current_setting('threads')").fetchall()
    memory_mb = MEMORY_MB + (_TIMES_A_LINE * longest_line >> 20)
    connection.execute(f"SET threads = 1; SET memory_limit = '{memory_mb}MB'")
    try:
        yield
    finally:
        connection.execute(f"SET threads = {threads}; SET memory_limit = '{MEMORY_MB}MB'")


class _Extras:
    """The undeclared fields of a run, taken from their file as far as the ticks have come."""

    def __init__(self, file: Path) -> None:
        import pyarrow as pa

        # Arrow's own pool would hold on to what a text of megabytes took.
        self._pool = pa.system_memory_pool()
        self._batches = pa.ipc.open_stream(pa.OSFile(str(file)), memory_pool=self._pool)
        self._held = self._batches.schema.empty_table()

    def of(self, index: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the text for each of the next ticks, null where they have none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        last = index[-1].as_py()
        while not len(self._held) or self._held["t"][-1].as_py() < last:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._held = pa.concat_tables([self._held, pa.table(batch)])
        count = pc.sum(pc.less_equal(self._held["t"], last)).as_py() or 0
        now, self._held = self._held.slice(0, count), self._held.slice(count)
        if not len(self._held):
            # A slice without rows holds on to all that it was cut from.
            self._held = self._held.schema.empty_table()
        if count == len(index):
            return now["extra"]
        return pc.take(now["extra"], pc.index_in(index, value_set=now["t"]), memory_pool=self._pool)


def _rows(job: Columnar, source: Path, longest_line: int, more: str = "") -> str:
    """Return the query of a file: constants, and the record with JSON values as text."""
    constants = ", ".join(f"{_constant(value)} AS {name}" for name, value in job.constants.items())
    return f"SELECT {constants}, {_stored(job.contract)}{more} FROM {_file(job, source, longest_line)} records"


def _constant(value: str | datetime) -> str:
    return sql_text(value) if isinstance(value, str) else f"TIMESTAMPTZ {sql_text(value.isoformat())}"


def _file(job: Columnar, source: Path, longest_line: int) -> str:
    """Return a file as DuckDB is to read it: nothing is taken from its path, its name or a sample of its lines."""
    object_bytes = max(SMALLEST_OBJECT_BYTES, longest_line + 1024)
    return (
        # A path alone, and in a list too, is taken for a glob.
        f"read_json([{sql_text(no_glob(str(source)))}], format = 'newline_delimited', records = 'true', "
        "auto_detect = false, compression = 'uncompressed', hive_partitioning = false, filename = false, "
        f"maximum_object_size = {object_bytes}, columns = {_columns(job.contract)})"
    )


@cache
def _columns(contract: Contract) -> str:
    named = _names_of_types()
    kinds = ((name, named.get(kind, kind)) for name, kind in column_types(contract).items())
    return "{" + ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in kinds) + "}"


@cache
def _names_of_types() -> dict[str, str]:
    """Return a name for every nested type of the record, that of a column of it."""
    kinds = column_types(TICKS).items()
    return {kind: f"type_of_{name}" for name, kind in kinds if kind.startswith("STRUCT")}


@cache
def _stored(contract: Contract) -> str:
    """Return the select list of the record; JSON values are kept as text."""
    return ", ".join(
        f'records."{name}"::VARCHAR AS "{name}"' if kind == "JSON" else f'records."{name}"'
        for name, kind in column_types(contract).items()
    )
