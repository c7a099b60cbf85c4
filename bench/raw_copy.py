"""Child: DuckDB alone. `python -m bench.raw_copy declared|named|plain|inferred THREADS OUT FILE...`.

The settings are the fastest of those tried that keep content and order: DuckDB's own defaults for dictionaries
and zstd level, no extra buffer for long objects, and row groups small enough for all threads to write. `plain` leaves
the row groups at their default of 122,880 rows; `named` has types for the nested columns, as the ingest does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from paraphina_wh.telemetry.shape import TICKS, column_types

OBJECT_BYTES = 1 << 20
ROW_GROUP = 4096


def statement(source: Path, target: Path, kind: str) -> str:
    """Return the COPY of one file, with declared or with inferred columns."""
    types = column_types(TICKS).items()
    columns = ", ".join(f"'{name}': '{_type_name(name, of, kind)}'" for name, of in types)
    declared = (
        f"read_json('{source}', format = 'newline_delimited', compression = 'uncompressed', "
        "hive_partitioning = false, "
        f"maximum_object_size = {OBJECT_BYTES}, columns = {{{columns}}})"
    )
    inferred = f"read_json_auto('{source}', format = 'newline_delimited', sample_size = -1)"
    row_groups = "" if kind == "plain" else f", ROW_GROUP_SIZE {ROW_GROUP}"
    read = inferred if kind == "inferred" else declared
    return f"COPY (FROM {read}) TO '{target}' (FORMAT parquet, COMPRESSION zstd{row_groups})"


def _type_name(column: str, of: str, kind: str) -> str:
    return f"type_of_{column}" if kind == "named" and of.startswith("STRUCT") else of


def main(kind: str, threads: int, out: Path, files: Sequence[Path]) -> None:
    """Write a Parquet file for each file and print the seconds it took."""
    started = time.perf_counter()
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"SET threads = {threads}")
        for column, of in column_types(TICKS).items():
            if (name := _type_name(column, of, kind)) != of:
                connection.execute(f"CREATE TYPE {name} AS {of}")
        for file in files:
            connection.execute(statement(file, out / f"{file.stem}.parquet", kind))
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), [Path(file) for file in sys.argv[4:]])
