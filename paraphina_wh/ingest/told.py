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
from paraphina_wh.engine.ending import Left
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import ledger_text, recorded, write_ledger
from paraphina_wh.ingest.header import read_header
from paraphina_wh.ingest.plan import BATCH_RUNS, newest_batch, printable
from paraphina_wh.ingest.rows import fill_in, withdrawal_row
from paraphina_wh.ingest.run_columns import CALLED, places_of
from paraphina_wh.ingest.table import count, read_table, run_import
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.ledger import LEDGER, LedgerRow, columns_as_told
from paraphina_wh.records import Record
from paraphina_wh.tables import zero_rows
from paraphina_wh.telemetry.reader import End
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.warehouse import Warehouse, new_batch

VIEWS: Final = ("engine_presets", "run_ledger", "runs", "experiment_runs")
_COLUMNS: Final = columns_as_told()
# The rows of a table lack columns.
_LEDGER: Final = zero_rows(column_types(LEDGER))


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
    if not tables and not _has_rows(warehouse):
        return {}
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


def settle(warehouse: Warehouse, outcomes: Sequence[Outcome]) -> int:
    """Compare runs that came in with all others, and return how many rows of tables they took the place of.

    Rows of tables whose runs have come in since are taken out, and complete those runs. Runs with the same telemetry as
    another are told so: they stand for one piece of evidence.
    """
    new = {outcome.run_id: outcome for outcome in outcomes if outcome.run_id and outcome.status != "unchanged"}
    for run_id, text in _twins(warehouse, list(new)):
        new[run_id].notices.append(text)
    # Those that were here already, too: a kill may have come before this.
    run_ids = [outcome.run_id for outcome in outcomes if outcome.run_id]
    return _settle_rows(warehouse, run_ids) if run_ids and _has_rows(warehouse) else 0


@steady
def _twins(warehouse: Warehouse, run_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Return those of some runs that have the telemetry of another one, and what to say of each."""
    if not run_ids:
        return []
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        hashes = connection.execute(
            "SELECT source_sha256 FROM run_ledger LEFT JOIN (SELECT unnest($run_ids) AS run_id, true AS is_new) "
            "USING (run_id) WHERE source_kind = 'telemetry' GROUP BY source_sha256 "
            "HAVING count(DISTINCT run_id) > 1 AND bool_or(is_new)",
            {"run_ids": run_ids},
        ).fetchall()
        if not hashes:
            return []
        found = connection.execute(
            "WITH same AS (SELECT source_sha256, count(*) - 1 AS others, "
            "list({'run_id': run_id, 'name': profile || ', ' || label} ORDER BY batch_id, run_id)[:2] AS first_two "
            "FROM runs WHERE source_kind = 'telemetry' AND source_sha256 IN (SELECT unnest($hashes)) "
            "GROUP BY source_sha256 HAVING count(*) > 1) "
            "SELECT run_id, list_filter(first_two, lambda r: r.run_id <> runs.run_id)[1] AS twin, others "
            "FROM runs JOIN same USING (source_sha256) "
            "WHERE source_kind = 'telemetry' AND run_id IN (SELECT unnest($run_ids))",
            {"run_ids": run_ids, "hashes": [sha256 for (sha256,) in hashes]},
        ).fetchall()
    return [
        (run_id, f"same telemetry as run {twin['run_id']} ({twin['name']})" + f" and {others - 1} more" * (others > 1))
        for run_id, twin, others in found
    ]


@steady
def _has_rows(warehouse: Warehouse) -> bool:
    """Tell whether rows of tables were ever taken in."""
    with connect(warehouse, views=("run_ledger",)) as connection:
        return bool(connection.execute("SELECT 1 FROM run_ledger WHERE source_kind = 'csv' LIMIT 1").fetchall())


@steady
def _settle_rows(warehouse: Warehouse, run_ids: Sequence[str]) -> int:
    with connect(warehouse, views=VIEWS) as connection:
        run_import(connection, "table_macros")
        run_import(connection, "table_telling", run_ids=run_ids)
        if not count(connection, "telling"):
            return 0
        find_told(connection, warehouse, names_experiment=True, names_repeat=True)
        complete(warehouse, connection)
        _withdraw(warehouse, connection)
        return count(connection, "table_told")


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
        "SELECT t.experiment, to_json(r), to_json(t), m.killed, m.realised, m.unrealised, m.total FROM table_told "
        f"JOIN (SELECT {_COLUMNS} FROM runs) r USING (run_id) "
        "JOIN (SELECT run_id AS id, coalesce(kill_switch, false) AS killed, final_pnl_realised AS realised, "
        "final_pnl_unrealised AS unrealised, final_pnl AS total FROM runs) m ON m.id = r.run_id "
        f"JOIN (SELECT row_no, experiment, {_COLUMNS} FROM ({_LEDGER} UNION ALL BY NAME FROM telling)) t "
        "USING (row_no) WHERE completes ORDER BY row_no"
    ).fetchall()
    for experiment, held, said, killed, *amounts in found:
        row, told = (msgspec.json.decode(text, type=LedgerRow) for text in (held, said))
        fill_in(row, told, _left(row, killed, amounts))
        row.supersedes = row.run_id
        yield experiment, row


def _left(row: LedgerRow, killed: bool, amounts: Sequence[float | None]) -> Left:
    """Return what the telemetry of a run tells of its end. amounts: PnL of the last tick, as `End` has it."""
    realised, unrealised, total = amounts
    end = None
    if realised is not None and unrealised is not None and total is not None and not row.truncated:
        end = End(realised, unrealised, total, killed)
    records = (row.lines or 0) - (row.blank or 0) - bool(row.truncated)
    return Left(records, end, killed, bool(row.truncated))


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
