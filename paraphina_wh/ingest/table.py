"""A CSV as the temporary table `csv_rows`: every cell as text, every row accounted for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from paraphina_wh.catalog import no_glob, sql_folder
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.header import Header, read_header
from paraphina_wh.ingest.plan import check_name, printable
from paraphina_wh.ingest.sinks import ERRORS_SHOWN
from paraphina_wh.masking import MASK
from paraphina_wh.telemetry.source import open_source

_BLOCK: Final = 1 << 20
_REASONS: Final = {
    "MISSING COLUMNS": "too few cells",
    "TOO MANY COLUMNS": "too many cells",
    "UNQUOTED VALUE": "a quote that is not closed",
    "INVALID ENCODING": "not UTF-8",
    "LINE SIZE OVER MAXIMUM": "longer than 2 MB",
}


@dataclass
class Table:
    """A CSV that was read into `csv_rows` (row_no from 1, cells) of a connection.

    origin: what to call it. bytes, sha256: of the decompressed file. problems: what makes it unfit, the first of
    them; problem_count has them all.
    """

    origin: str
    header: Header
    rows: int
    bytes: int
    sha256: str
    problems: list[str]
    problem_count: int

    @property
    def names(self) -> list[str]:
        """Return the names of the columns in lower case."""
        return [name.lower() for name in self.header.names]


def read_table(connection: duckdb.DuckDBPyConnection, file: Path, origin: str, staging: Path) -> Table:
    """Read a CSV, packed or not, into `csv_rows`.

    staging: folder for a copy with plain bytes.
    Raises: WarehouseError when it cannot be read at all; rows that do not fit the header are problems of the table.
    """
    check_name(file)
    header = read_header(file)
    plain, size, sha256 = plain_copy(file, staging)
    run_import(connection, "table_macros")
    try:
        _load(connection, plain, header)
    except duckdb.InvalidInputException as error:
        raise WarehouseError(
            f"{file}: not one consistent CSV: its lines end in different ways, or its quotes do not match",
            "open it in a spreadsheet and save it anew",
        ) from error
    rejects = connection.execute(
        "SELECT line, error_type, error_message FROM reject_errors ORDER BY line, column_idx"
    ).fetchall()
    problems = [f"line {line}: {_REASONS.get(kind, message)}" for line, kind, message in rejects[:ERRORS_SHOWN]]
    return Table(printable(origin), header, count(connection, "csv_rows"), size, sha256, problems, len(rejects))


def plain_copy(file: Path, staging: Path) -> tuple[Path, int, str]:
    """Copy a file decompressed, so that it cannot change while it is read; return the copy, its bytes and its hash."""
    digest, size, copy = hashlib.sha256(), 0, staging / "table.csv"
    with open_source(file) as stream, copy.open("wb") as out:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += out.write(block)
    return copy, size, digest.hexdigest()


def _load(connection: duckdb.DuckDBPyConnection, plain: Path, header: Header) -> None:
    connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    cells = connection.read_csv(
        no_glob(str(plain)),
        header=True,
        delimiter=",",
        quotechar='"',
        escapechar='"',
        compression="none",
        auto_detect=False,
        columns={f"c{place}": "VARCHAR" for place in range(len(header.names))},
        ignore_errors=True,
        store_rejects=True,
    )
    # The order of the file is the order of insertion.
    shown = [
        f"CASE WHEN trim(c{place}) <> '' THEN '{MASK}' END" if name in header.secret else f"c{place}"
        for place, name in enumerate(header.names)
    ]
    cells.project(f"list_value({', '.join(shown)}) AS cells").create("csv_cells")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE csv_rows AS SELECT rowid + 1 AS row_no, "
        "list_transform(cells, lambda c: nullif(trimmed(c), '')) AS cells FROM csv_cells"
    )
    connection.execute("DROP TABLE csv_cells")


def run_import(connection: duckdb.DuckDBPyConnection, name: str, **values: object) -> duckdb.DuckDBPyConnection:
    """Run a file of sql/import with bound values and return the connection, for its answer."""
    return connection.execute((sql_folder() / "import" / f"{name}.sql").read_text(), values or None)


def count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """Return how many rows a table has."""
    [(rows,)] = connection.execute(f"SELECT count(*) FROM {source}").fetchall()
    return int(rows)
