"""Rows of views that were kept in a file: what a warehouse says of runs, and no source of them."""

from __future__ import annotations

from pathlib import Path

import duckdb

from paraphina_wh.catalog import connect, no_glob, steady
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.inputs import Input
from paraphina_wh.ingest.kinds import TABLE_ENDINGS
from paraphina_wh.ingest.plan import printable
from paraphina_wh.ingest.table import plain_copy, read_table
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.telemetry.source import ending_of
from paraphina_wh.warehouse import Warehouse, sql_text


@steady
def compare_view_rows(warehouse: Warehouse, found: Input, staging: Path) -> Outcome:
    """Tell whether the runs that rows of a view name are here; nothing is taken in.

    Raises: WarehouseError when the file was named and some are not: they come in by what they were made of.
    """
    file = found.path
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        named = _run_ids(connection, file, warehouse.relative(file), staging)
        [(runs, here)] = connection.execute(
            f"SELECT count(*), count(*) FILTER (run_id IN (SELECT run_id FROM runs)) FROM ({named})"
        ).fetchall()
    told = f"rows of a view: their {runs} runs are here"
    if here < runs:
        told = f"rows of a view; {runs - here} of their {runs} runs are not here"
        if found.named:
            hint = "ingest what those runs came from: telemetry, stdout, or the tables of other tools"
            raise WarehouseError(f"{file}: {told}", hint)
    return Outcome(
        file=printable(warehouse.relative(file)),
        status="unchanged",
        bytes=file.stat().st_size,
        notices=[told],
    )


def _run_ids(connection: duckdb.DuckDBPyConnection, file: Path, origin: str, staging: Path) -> str:
    """Return a query of the run_ids in a file, each once."""
    if ending_of(file) in TABLE_ENDINGS:
        place = read_table(connection, file, origin, staging).names.index("run_id") + 1
        return f"SELECT DISTINCT cells[{place}] AS run_id FROM csv_rows"
    lines = sql_text(no_glob(str(plain_copy(file, staging)[0])))
    return (
        f"SELECT DISTINCT run_id FROM read_json([{lines}], format = 'newline_delimited', records = 'true', "
        "auto_detect = false, compression = 'uncompressed', hive_partitioning = false, "
        "columns = {run_id: 'VARCHAR'}, ignore_errors = true)"
    )
