"""The report of unknown and missing fields over the runs, in the order in which they came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import polars as pl

from paraphina_wh.catalog import connect, no_glob, sql_folder
from paraphina_wh.known import check_experiment
from paraphina_wh.promoted import read_promotions
from paraphina_wh.tables import ticks_columns
from paraphina_wh.telemetry.shape import TICKS, column_types
from paraphina_wh.warehouse import Warehouse

_VIEWS = ("run_ledger", "runs")


@dataclass(frozen=True)
class Drift:
    """Which fields came and went.

    fields: one row per field that changed, and per unknown one; columns as in sql/drift/report.sql.
    never: declared fields that no run ever had; they are in `fields` only if asked for.
    runs: with telemetry. problems: runs whose ticks cannot be read, in plain words; `missing` leaves them out.
    """

    fields: pl.DataFrame
    never: int
    runs: int
    problems: list[str]


def read_drift(warehouse: Warehouse, experiment: str | None = None, *, every: bool = False) -> Drift:
    """Return how the fields of the telemetry changed from run to run.

    Unknown fields are taken from the ledger, missing ones from the footers of the files of ticks.
    every: declared fields that all runs had, or none, too.
    Raises: WarehouseError (exit code 2) when there is no run of the experiment, with those there are.
    """
    declared = list(column_types(TICKS))
    with runs_with_ticks(warehouse, experiment) as connection:
        ((runs,),) = connection.execute("SELECT count(*) FROM drift_runs").fetchall()
        damaged = _find_values(connection, declared)
        found: pl.DataFrame = connection.sql(query_text("report"), params={"fields": declared}).pl()
        problems = problems_of(connection, damaged)
    is_missing = pl.col("kind") == "missing"
    never = found.filter(is_missing & (pl.col("change") == "never"))
    shown = found if every else found.filter(~(is_missing & pl.col("change").is_in(["always", "never"])))
    return Drift(shown, len(never), runs, problems)


def query_text(name: str) -> str:
    """Return the text of a query of this room."""
    return (sql_folder() / "drift" / f"{name}.sql").read_text()


@contextmanager
def runs_with_ticks(warehouse: Warehouse, experiment: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with the tables drift_runs, drift_unknown and drift_promoted.

    Raises: WarehouseError when there is no run of the experiment.
    """
    with connect(warehouse, views=_VIEWS) as connection:
        pattern = f"{no_glob(str(warehouse.telemetry))}/*/*/*.parquet"
        connection.execute(
            f"CREATE TEMP TABLE drift_runs AS {query_text('runs')}", {"pattern": pattern, "experiment": experiment}
        )
        if experiment is not None:
            check_experiment(connection, experiment)
        connection.execute(f"CREATE TEMP TABLE drift_unknown AS {query_text('unknown')}")
        connection.execute("CREATE TEMP TABLE drift_promoted (path VARCHAR, promoted_as VARCHAR)")
        promoted: dict[str, list[str]] = {}
        for promotion in read_promotions(warehouse.path):
            promoted.setdefault(promotion.field, []).append(promotion.column)
        for field, columns in promoted.items():
            connection.execute("INSERT INTO drift_promoted VALUES ($1, $2)", [field, ", ".join(columns)])
        yield connection


def _find_values(connection: duckdb.DuckDBPyConnection, declared: list[str]) -> dict[str, str]:
    """Fill drift_values: which file holds a value of which field; return the files that cannot be read, and why."""
    connection.execute("CREATE TEMP TABLE drift_values (file VARCHAR, path VARCHAR, has_value BOOLEAN)")

    def insert(query: str, **values: object) -> Callable[[list[str]], object]:
        text = f"INSERT INTO drift_values {query_text(query)}"
        return lambda files: connection.execute(text, {"files": files, **values})

    here = _column(connection, "file FROM drift_runs WHERE file IS NOT NULL")
    damaged = damaged_of(here, insert("footers", fields=declared))
    untold = _column(connection, "path FROM drift_values WHERE has_value IS NULL")
    files = _column(connection, "file FROM drift_values WHERE has_value IS NULL")
    damaged |= damaged_of(files, insert("counts", fields=untold, schema=_schema()))
    connection.execute("DELETE FROM drift_values WHERE list_contains($damaged, file)", {"damaged": list(damaged)})
    return damaged


def _schema() -> dict[str, list[object]]:
    """Return the declared columns as read_parquet takes them: files of earlier versions lack some."""
    columns = ticks_columns().items()
    return {
        "key": [name for name, _ in columns],
        "value": [{"name": name, "type": kind, "default_value": None} for name, kind in columns],
    }


def _column(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [value for (value,) in connection.execute(f"SELECT DISTINCT {query} ORDER BY 1").fetchall()]


def damaged_of(files: list[str], read: Callable[[list[str]], object]) -> dict[str, str]:
    """Read files together, without those that DuckDB cannot read; return these, and why.

    read: raises duckdb.Error when any of the files it is given is damaged.
    """
    if not files:
        return {}
    try:
        read(files)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        if len(files) == 1:
            return {files[0]: str(error).partition("\n")[0]}
        half = len(files) // 2
        return damaged_of(files[:half], read) | damaged_of(files[half:], read)
    return {}


def problems_of(connection: duckdb.DuckDBPyConnection, damaged: dict[str, str]) -> list[str]:
    """Return in plain words which runs have no ticks that can be read. damaged: file -> why."""
    found = connection.execute(
        "SELECT label, run_id, file FROM drift_runs WHERE file IS NULL OR list_contains($damaged, file) ORDER BY nth",
        {"damaged": list(damaged)},
    ).fetchall()
    return [
        f"run {run_id} ({label}): "
        + (f"its ticks cannot be read: {damaged[file]}" if file else "the file of its ticks is gone")
        for label, run_id, file in found
    ]
