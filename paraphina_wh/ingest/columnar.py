"""The columnar read: one JSONL file to one Parquet file, by DuckDB, with declared types.

It decides nothing: the strict pass does. What it makes of a file counts only if every line passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from paraphina_wh.catalog import no_glob
from paraphina_wh.duck import in_memory
from paraphina_wh.telemetry.judge import MOST_VALUES
from paraphina_wh.telemetry.shape import TICKS, column_types
from paraphina_wh.warehouse import sql_text

# DuckDB reserves twice this for every thread, and reads a file in pieces of that size.
SMALLEST_OBJECT_BYTES = 1 << 20
# Small enough for several threads to write one large run, large enough to compress well.
ROW_GROUP_ROWS = 4096
# `treasury_guidance.recommendations[524288].` is the longest there is, and quoted twice.
_PATH_BYTES = 64


@dataclass(frozen=True)
class Columnar:
    """One conversion.

    source: JSONL whose every line is a valid tick. extra: JSONL of (t, extra), or None.
    target: Parquet file to write. longest_line: bytes. metadata: key-value metadata of the Parquet file.
    """

    source: Path
    target: Path
    run_id: str
    longest_line: int
    metadata: dict[str, str]
    extra: Path | None = None


def open_reader(threads: int | None = None, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open a database for `convert`: it knows the nested types of the record by name.

    threads, spill: as `in_memory` takes them. To read their definitions again in each statement takes longer than to
    write the columns of a short run.
    """
    connection = in_memory(threads, spill)
    for kind, name in _names_of_types().items():
        connection.execute(f"CREATE TYPE {name} AS {kind}")
    return connection


def convert(connection: duckdb.DuckDBPyConnection, job: Columnar) -> int:
    """Write the Parquet file and return its rows, in the order of the source.

    connection: of `open_reader`.
    Raises: duckdb.Error when the source is not what the declared types say (duplicate keys, for one).
    """
    row = connection.execute(_statement(job)).fetchone()
    return int(row[0]) if row else 0


def _statement(job: Columnar) -> str:
    object_bytes = max(SMALLEST_OBJECT_BYTES, job.longest_line + 1024)
    source = (
        f"read_json({_file(job.source)}, format = 'newline_delimited', compression = 'uncompressed', "
        f"maximum_object_size = {object_bytes}, columns = {_columns()})"
    )
    metadata = ", ".join(f"{key}: {sql_text(value)}" for key, value in job.metadata.items())
    return (
        f"COPY (SELECT {sql_text(job.run_id)} AS run_id, {_stored()}, {_with_extra(source, job)}) "
        f"TO {sql_text(str(job.target))} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false, "
        f"KV_METADATA {{{metadata}}})"
    )


def _with_extra(source: str, job: Columnar) -> str:
    if job.extra is None:
        return f"NULL::VARCHAR AS extra FROM {source} ticks"
    extra = (
        f"read_json({_file(job.extra)}, format = 'newline_delimited', "
        f"maximum_object_size = {_longest_extra(job.extra, job.longest_line)}, "
        "columns = {t: 'BIGINT', extra: 'VARCHAR'})"
    )
    return f"x.extra FROM {source} ticks LEFT JOIN {extra} x USING (t) ORDER BY t"


def _longest_extra(extra: Path, longest_line: int) -> int:
    """Return the most bytes a line of unknown fields may have: JSON in JSON doubles quotes, each value has a path."""
    most = 2 * longest_line + _PATH_BYTES * MOST_VALUES
    return max(SMALLEST_OBJECT_BYTES, min(extra.stat().st_size, most))


def _file(path: Path) -> str:
    """Return a path as a list of one, for this file alone: any text is taken for a glob."""
    return f"[{sql_text(no_glob(str(path)))}]"


@cache
def _columns() -> str:
    named = _names_of_types()
    kinds = ((name, named.get(kind, kind)) for name, kind in column_types(TICKS).items())
    return "{" + ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in kinds) + "}"


@cache
def _names_of_types() -> dict[str, str]:
    """Return a name for every nested type of the record, that of a column of it."""
    kinds = column_types(TICKS).items()
    return {kind: f"type_of_{name}" for name, kind in kinds if kind.startswith("STRUCT")}


@cache
def _stored() -> str:
    """Return the select list of the record; JSON values are kept as text."""
    return ", ".join(
        f'ticks."{name}"::VARCHAR AS "{name}"' if kind == "JSON" else f'ticks."{name}"'
        for name, kind in column_types(TICKS).items()
    )
