"""Files that no record accounts for, taken as they are: their records made anew from what they say of themselves."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec

from paraphina_wh.catalog import macros_sql
from paraphina_wh.duck import in_memory
from paraphina_wh.ingest.batch import recorded
from paraphina_wh.ledger import LedgerRow, columns_as_told
from paraphina_wh.maintenance.reading import parquet_list
from paraphina_wh.records import Record, SourceRun, StoredFile, file_sha256
from paraphina_wh.warehouse import Warehouse, folder_key


def adopted(warehouse: Warehouse, path: Path, name: str) -> Record:
    """Return a record of a file as it is now; of a ledger file with its rows, and what the runs in it were made of."""
    relative = str(path.relative_to(warehouse.path))
    stored = StoredFile(relative, path.stat().st_size, file_sha256(path), "taken as it was, without a record")
    rows = _ledger_rows(path) if path.is_relative_to(warehouse.runs) else []
    experiment = folder_key(path.parent.name)
    return Record(
        name,
        files=[stored],
        runs=[made_of for row in rows if (made_of := _source_of(row, experiment))],
        rows=recorded(rows),
    )


def _ledger_rows(path: Path) -> list[LedgerRow]:
    """Return the rows of a ledger file; none when it is no such file, or when rows of tables are in it."""
    try:
        with in_memory() as connection:
            connection.execute(macros_sql())
            texts = connection.execute(
                f"SELECT to_json(r) FROM (SELECT {columns_as_told()} "
                f"FROM read_parquet({parquet_list([path])}, hive_partitioning = false)) r"
            ).fetchall()
    except duckdb.Error:
        return []
    rows = [msgspec.json.decode(text, type=LedgerRow) for (text,) in texts]
    return [] if any(row.source_kind == "csv" for row in rows) else rows


def _source_of(row: LedgerRow, experiment: str) -> SourceRun | None:
    if row.event != "run":
        return None
    from_telemetry = row.source_kind == "telemetry"
    return SourceRun(
        kind="telemetry" if from_telemetry else "stdout",
        experiment=experiment,
        profile=row.profile,
        label=row.label,
        run_id=row.run_id,
        source=row.telemetry_path if from_telemetry else row.source_path,
        sha256=row.source_sha256 if from_telemetry else row.stdout_sha256,
    )
