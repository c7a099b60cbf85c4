"""Summary CSVs of experiments: means that others computed, kept as they are in a table of their own."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from paraphina_wh.candidates import INITIAL_Q_TAO, KNOBS, LOSS_LIMIT_USD, PROFILE, SUMMARY
from paraphina_wh.duck import in_memory
from paraphina_wh.ingest.plan import Options
from paraphina_wh.ingest.run_columns import places_of
from paraphina_wh.ingest.run_table import given
from paraphina_wh.ingest.sources import Source, is_held, put_in_place
from paraphina_wh.ingest.table import Table, read_table, run_import
from paraphina_wh.ingest.table_names import experiment_of
from paraphina_wh.ingest.table_problems import turned_down, unfit
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.warehouse import Warehouse, sql_text

_NUMBERS: Final = {"initial_q_tao": INITIAL_Q_TAO, "loss_limit_usd": LOSS_LIMIT_USD, **SUMMARY, **KNOBS}
_COLUMNS: Final = {"experiment": ("experiment",), "profile": PROFILE, **_NUMBERS}


def take_in_summary(warehouse: Warehouse, file: Path, options: Options, staging: Path) -> Outcome:
    """Take in a summary CSV as a source of `imported_summaries`; the same content twice changes nothing.

    Raises: WarehouseError when the warehouse holds other content of the same file, unless that is to be replaced.
    """
    with in_memory() as connection:
        table = read_table(connection, file, warehouse.relative(file), staging)
        places = places_of(table.names, _COLUMNS)
        problems = unfit(connection, table, {places[column]: "number" for column in _NUMBERS})
        if problems:
            return turned_down(table, problems)
        experiment = options.experiment or experiment_of(table.origin)
        source_id = _source_id(table, options)
        source = Source("imported_summaries", source_id, table.origin, table.sha256, given(options))
        outcome = Outcome(
            file=table.origin,
            status="unchanged",
            bytes=table.bytes,
            warnings=table.header.warnings,
            notices=[f"{table.rows} summary rows"],
        )
        if not is_held(warehouse, source, replace=options.replace):
            staged = _write(connection, table, places, experiment, options, staging / "summary.parquet")
            put_in_place(warehouse, source, staged)
            outcome.status = "ingested"
        return outcome


def _source_id(table: Table, options: Options) -> str:
    """Return the hash of what the rows say: the table, and what the options add to it."""
    parts = msgspec.json.encode((table.sha256, options.experiment, options.profile))
    return hashlib.sha256(parts).hexdigest()[:32]


def _write(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    places: dict[str, int],
    experiment: str,
    options: Options,
    staged: Path,
) -> Path:
    named = [(name, place) for place, name in enumerate(table.header.names, 1) if name]
    run_import(
        connection,
        "summary_rows",
        places=places,
        columns=[{"key": msgspec.json.encode(name).decode(), "place": place} for name, place in named],
        profile=options.profile,
        experiment=experiment,
        ingested_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        source_path=table.origin,
        source_sha256=table.sha256,
    )
    connection.execute(f"COPY summary_rows TO {sql_text(str(staged))} (FORMAT parquet, COMPRESSION zstd)")
    return staged
