"""Per-run CSVs of experiments: every row a row of `runs`, without ticks; one query a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from paraphina_wh import commit
from paraphina_wh.catalog import connect, no_glob, steady
from paraphina_wh.duck import in_memory
from paraphina_wh.ingest.batch import files_of_run
from paraphina_wh.ingest.plan import Options, newest_batch
from paraphina_wh.ingest.run_columns import (
    CALLED,
    KINDS,
    has_path,
    has_stdout,
    index_places,
    kinds_of,
    knob_places,
    label_places,
    places_of,
)
from paraphina_wh.ingest.table import Table, count, read_table, run_import
from paraphina_wh.ingest.table_names import experiment_of
from paraphina_wh.ingest.table_problems import (
    conflicts,
    distinct,
    mistaken,
    turned_down,
    unfit,
    unknown_profile,
    unnamed,
)
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.ingest.told import VIEWS, complete, find_told
from paraphina_wh.known import TIERS, no_budget
from paraphina_wh.records import Record, SourceRun, Withdrawn
from paraphina_wh.warehouse import Warehouse, batch_time, new_batch, sql_text

_NEW: Final = "table_run_fates WHERE NOT is_held AND NOT is_repeat"


@steady
def take_in_runs(warehouse: Warehouse, file: Path, options: Options, staging: Path) -> Outcome:
    """Take in the rows of a per-run CSV that the warehouse lacks.

    A row is known by profile, label and results; its label is the JSON of all columns that say which run it was. Rows
    of runs that are here with their telemetry or stdout add nothing, but for what telemetry alone does not tell.
    Other results under the same label: the table is turned down, or takes the old runs' place with --replace.
    """
    with connect(warehouse, views=VIEWS) as connection:
        connection.execute(f"SET temp_directory = {sql_text(str(staging))}")
        table = read_table(connection, file, warehouse.relative(file), staging)
        places = places_of(table.names)
        problems = unfit(connection, table, {places[column]: kind for column, kind in KINDS.items()})
        if problems:
            return turned_down(table, problems)
        batch = new_batch(after=newest_batch(connection))
        ignored = _make_runs(connection, table, options, batch, datetime.now(UTC))
        problems = unnamed(connection) or unknown_profile(connection, options)
        if problems:
            return turned_down(table, problems)
        connection.execute("CREATE OR REPLACE TEMP VIEW telling AS SELECT *, source_row AS row_no FROM table_runs")
        find_told(
            connection,
            warehouse,
            names_experiment=bool(places["experiment"] or options.experiment),
            names_repeat=bool(places["repeat"]),
        )
        run_import(connection, "table_run_fates", called=CALLED)
        problems = mistaken(connection) or conflicts(connection, options)
        if problems:
            return turned_down(table, problems)
        completed = complete(warehouse, connection)
        outcome = _outcome(connection, table, completed)
        outcome.warnings += ignored
        if count(connection, _NEW):
            _commit(warehouse, connection, table, options, batch, staging)
        return outcome


def table_rows_again(warehouse: Warehouse, file: Path, made_of: SourceRun, batch: str, staging: Path) -> Path:
    """Return a Parquet file of the ledger rows that a table gave to an experiment once, as if nothing else were there.

    Raises: WarehouseError when it cannot be read.
    """
    options = Options(profile=made_of.given.get("profile"), experiment=made_of.given.get("experiment"))
    with in_memory() as connection:
        connection.execute(f"CREATE TABLE runs AS SELECT *, '' AS experiment FROM {_no_runs(warehouse)}")
        connection.execute("CREATE TEMP TABLE table_told (row_no BIGINT)")
        table = read_table(connection, file, made_of.source or "", staging)
        _make_runs(connection, table, options, batch, batch_time(batch))
        run_import(connection, "table_run_fates", called=CALLED)
        return _write(warehouse, connection, made_of.experiment, batch, staging / "again.parquet")


def _make_runs(
    connection: duckdb.DuckDBPyConnection, table: Table, options: Options, batch: str, ingested_at: datetime
) -> list[str]:
    """Make the table `table_runs`; return warnings of columns that were left out."""
    places = places_of(table.names)
    counting = [place for place in index_places(table.names) if _counts_rows(connection, place)]
    labels = label_places(table.names, counting)
    run_import(
        connection,
        "table_runs",
        places=places,
        kinds=kinds_of(table.names),
        called=CALLED,
        labels=members(labels.settings | labels.repeat),
        settings=members(labels.settings),
        metrics=members(labels.results),
        knobs=members(knob_places(places)),
        profile=options.profile,
        experiment=options.experiment or experiment_of(table.origin),
        has_stdout=has_stdout(places),
        has_path=has_path(places),
        batch_id=batch,
        ingested_at=ingested_at.isoformat(timespec="microseconds"),
        source_path=table.origin,
        source_sha256=table.sha256,
    )
    return [f"column {table.header.names[place - 1]!r} counts the rows: left out" for place in counting]


def _counts_rows(connection: duckdb.DuckDBPyConnection, place: int) -> bool:
    """Tell whether the cells of a column are whole numbers, no two of them the same."""
    [(counts,)] = connection.execute(
        "SELECT count(DISTINCT cell_integer(cells[$place])) = count(*) FROM csv_rows", {"place": place}
    ).fetchall()
    return bool(counts)


def members(places: Mapping[str, int]) -> list[dict[str, object]]:
    """Return the members of a JSON object, sorted by key, as the import queries take them."""
    return [{"key": msgspec.json.encode(key).decode(), "place": places[key]} for key in sorted(places)]


def _outcome(connection: duckdb.DuckDBPyConnection, table: Table, completed: int) -> Outcome:
    new = count(connection, _NEW)
    told = count(connection, "table_run_fates WHERE is_told AND NOT is_repeat")
    repeats = count(connection, "table_run_fates WHERE is_repeat")
    runs = table.rows - repeats
    warnings = [no_budget(profile) for profile in distinct(connection, "profile") if profile not in TIERS]
    if repeats:
        warnings.append(f"{repeats} rows say what earlier ones say, repeat included: counted once")
    notices = [f"{runs} runs" + (f", {new} of them new" if 0 < new < runs else "")]
    if told:
        notices.append(f"{told} of them are here with their telemetry or stdout: counted once")
    if completed:
        notices.append(f"{completed} of those got their experiment, label keys and knobs from the table")
    return Outcome(
        file=table.origin,
        status="ingested" if new or completed else "unchanged",
        bytes=table.bytes,
        warnings=table.header.warnings + warnings,
        notices=notices,
    )


def given(options: Options) -> dict[str, str]:
    """Return the options that name what a table leaves open, as a record holds them."""
    values = {"profile": options.profile, "experiment": options.experiment}
    return {name: value for name, value in values.items() if value is not None}


def _commit(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    options: Options,
    batch: str,
    staging: Path,
) -> None:
    rows = connection.execute(f"SELECT DISTINCT experiment FROM {_NEW} ORDER BY 1").fetchall()
    for number, (experiment,) in enumerate(rows):
        staged = _write(warehouse, connection, experiment, batch, staging / f"{number}.parquet")
        superseded = connection.execute(
            f"SELECT run_id, profile, label, unnest(superseded) FROM {_NEW} AND experiment = ?", [experiment]
        ).fetchall()
        commit.commit(
            warehouse,
            Record(
                f"{batch}-{number}",
                runs=[SourceRun("csv", experiment, source=table.origin, sha256=table.sha256, given=given(options))],
                withdrawn=[Withdrawn(old, profile, label) for _, profile, label, old in superseded],
            ),
            [commit.Put(staged, warehouse.runs_file(experiment, batch), f"ledger of runs of the table {table.origin}")],
            drops=[
                path
                for run_id, profile, label, old in superseded
                if old != run_id
                for path in files_of_run(warehouse, profile, label, old)
            ],
        )


def _write(
    warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, experiment: str, batch: str, staged: Path
) -> Path:
    """Write the new rows of an experiment with all columns of a ledger, and return the Parquet file."""
    run_import(connection, "table_ledger_rows", experiment=experiment, batch_id=batch)
    connection.execute(
        f"COPY (FROM {_no_runs(warehouse)} UNION ALL BY NAME FROM table_ledger_rows) "
        f"TO {sql_text(str(staged))} (FORMAT parquet, COMPRESSION zstd)"
    )
    return staged


def _no_runs(warehouse: Warehouse) -> str:
    """Return a relation with the columns of a ledger file, and no row."""
    schema = sql_text(no_glob(str(warehouse.runs_file("any", "schema"))))
    return f"read_parquet([{schema}], hive_partitioning = false)"
