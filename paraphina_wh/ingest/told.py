"""Rows of tables that tell of runs which are here already: they are counted once, and complete what telemetry lacks.

Telemetry without a sidecar says neither which experiment it is of nor which knobs were set; the table beside it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from paraphina_wh import commit
from paraphina_wh.catalog import connect, steady
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import ledger_text, recorded, write_ledger
from paraphina_wh.ingest.header import read_header
from paraphina_wh.ingest.plan import BATCH_RUNS, newest_batch, printable
from paraphina_wh.ingest.rows import fill_in, withdrawal_row
from paraphina_wh.ingest.run_columns import CALLED, places_of
from paraphina_wh.ingest.table import count, read_table, run_import
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.ledger import LEDGER, LedgerRow
from paraphina_wh.records import Record
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.warehouse import Warehouse, new_batch

VIEWS: Final = ("engine_presets", "run_ledger", "runs", "experiment_runs")
_COLUMNS: Final = ", ".join(f'"{name}"' for name in column_types(LEDGER))


def find_told(
    connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, *, names_experiment: bool, names_repeat: bool
) -> None:
    """Make the tables `table_told` and `table_files` for the rows `telling`."""
    run_import(connection, "table_files", root=str(warehouse.root))
    run_import(
        connection,
        "table_told",
        called=CALLED,
        names_experiment=names_experiment,
        names_repeat=names_repeat,
    )


@steady
def profiles_told(
    warehouse: Warehouse, telemetry: Sequence[Path], tables: Sequence[Path], staging: Path
) -> dict[Path, str]:
    """Return the profiles that rows of tables, of these or of earlier ones, give to the telemetry that they name."""
    telemetry = [file for file in telemetry if printable(str(file)) == str(file)]
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        run_import(connection, "table_macros")
        connection.execute(
            "CREATE TEMP TABLE naming AS "
            "SELECT telemetry_path, profile, source_path FROM runs WHERE source_kind = 'csv'"
        )
        for number, table in enumerate(tables):
            # What is wrong with a table is said when its turn comes.
            with suppress(WarehouseError), commit.staging_folder(staging, f"naming-{number}") as folder:
                _add_naming(connection, table, warehouse.relative(table), folder)
        found = connection.execute(
            "SELECT f.number, any_value(n.profile) FROM naming n "
            "JOIN (SELECT unnest($paths) AS path, unnest($absolute) AS absolute, unnest(range(len($paths))) AS number) "
            "f ON file_stem(n.telemetry_path) = file_stem(f.path) "
            "WHERE n.telemetry_path = f.absolute OR is_below(f.path, n.source_path) "
            "GROUP BY f.number HAVING count(DISTINCT n.profile) = 1",
            {
                "paths": [warehouse.relative(file) for file in telemetry],
                "absolute": [str(f.absolute()) for f in telemetry],
            },
        ).fetchall()
    return {telemetry[number]: profile for number, profile in found}


def _add_naming(connection: duckdb.DuckDBPyConnection, table: Path, origin: str, staging: Path) -> None:
    places = places_of([name.lower() for name in read_header(table).names])
    if places["telemetry_path"] and places["profile"]:
        read_table(connection, table, origin, staging)
        connection.execute(
            "INSERT INTO naming SELECT cells[$path], present(cells[$profile]), $origin FROM csv_rows",
            {"path": places["telemetry_path"], "profile": places["profile"], "origin": origin},
        )


@steady
def settle(warehouse: Warehouse, outcomes: Sequence[Outcome]) -> int:
    """Compare runs that came in with all others, and return how many rows of tables they took the place of.

    Rows of tables whose runs have come in since are taken out, and complete those runs. Runs with the same telemetry as
    another are told so: they stand for one piece of evidence.
    """
    with connect(warehouse, views=VIEWS) as connection:
        connection.execute(
            "CREATE TEMP TABLE here AS SELECT run_id, profile, label, batch_id, source_kind, source_sha256 FROM runs"
        )
        _name_twins(connection, outcomes)
        if not count(connection, "here WHERE source_kind = 'csv'"):
            return 0
        run_import(connection, "table_macros")
        connection.execute(
            "CREATE TEMP TABLE telling AS SELECT *, row_number() OVER (ORDER BY batch_id, source_path, source_row) "
            "AS row_no FROM runs WHERE source_kind = 'csv'"
        )
        find_told(connection, warehouse, names_experiment=True, names_repeat=True)
        complete(warehouse, connection)
        _withdraw(warehouse, connection)
        return count(connection, "table_told")


def _name_twins(connection: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome]) -> None:
    new = {outcome.run_id: outcome for outcome in outcomes if outcome.run_id and outcome.status != "unchanged"}
    found = connection.execute(
        "WITH same AS (SELECT source_sha256, count(*) - 1 AS others, "
        "list({'run_id': run_id, 'name': profile || ', ' || label} ORDER BY batch_id, run_id)[:2] AS first_two "
        "FROM here WHERE source_kind = 'telemetry' GROUP BY source_sha256 HAVING count(*) > 1) "
        "SELECT run_id, list_filter(first_two, lambda r: r.run_id <> here.run_id)[1] AS twin, others "
        "FROM here JOIN same USING (source_sha256) WHERE source_kind = 'telemetry' AND run_id IN (SELECT unnest(?))",
        [list(new)],
    ).fetchall()
    for run_id, twin, others in found:
        more = f" and {others - 1} more" if others > 1 else ""
        new[run_id].notices.append(f"same telemetry as run {twin['run_id']} ({twin['name']}){more}")


def complete(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection) -> int:
    """Give runs that are known by their telemetry alone what the rows `telling` say of them; return how many.

    A run takes its own place: same run_id, same ticks, and now an experiment, label keys and knobs.
    """
    told = [(experiment, row) for experiment, row in _completed(connection) if _ticks(warehouse, row).is_file()]
    _commit(warehouse, connection, told)
    return len(told)


def _completed(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, LedgerRow]]:
    """Yield experiment and ledger row of each run to complete."""
    found = connection.execute(
        "SELECT t.experiment, to_json(r), to_json(t) FROM table_told "
        f"JOIN (SELECT {_COLUMNS} FROM runs) r USING (run_id) "
        f"JOIN (SELECT row_no, experiment, {_COLUMNS} FROM telling) t USING (row_no) WHERE completes ORDER BY row_no"
    ).fetchall()
    for experiment, held, said in found:
        row, told = (msgspec.json.decode(text, type=LedgerRow) for text in (held, said))
        fill_in(row, told)
        row.supersedes = row.run_id
        yield experiment, row


def _withdraw(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT experiment, telling.run_id, profile, label FROM telling JOIN table_told USING (row_no) ORDER BY row_no"
    ).fetchall()
    _commit(warehouse, connection, [(experiment, withdrawal_row("", *names)) for experiment, *names in found])


def _commit(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, told: Sequence[tuple[str, LedgerRow]]) -> None:
    """Commit ledger rows, some hundred at a time, with the metrics of the ticks that are in place."""
    batch = newest_batch(connection)
    for experiment in sorted({experiment for experiment, _ in told}):
        here = iter([row for of, row in told if of == experiment])
        while rows := list(islice(here, BATCH_RUNS)):
            batch = new_batch(after=batch)
            for row in rows:
                row.batch_id = batch
            with commit.staging(warehouse, batch) as folder, in_memory(threads=1) as condenser:
                ticks = [_ticks(warehouse, row) for row in rows if row.event == "run"]
                ledger = write_ledger(condenser, folder, rows, ticks)
                put = commit.Put(ledger, warehouse.runs_file(experiment, batch), ledger_text(rows))
                commit.commit(warehouse, Record(batch, rows=recorded(rows)), [put])


def _ticks(warehouse: Warehouse, row: LedgerRow) -> Path:
    return warehouse.ticks_file(row.profile, row.label, row.run_id)
