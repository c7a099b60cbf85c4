"""The views of the analysis steps, over frames that stand for what they read: from the warehouse or from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from paraphina_wh.catalog import connect, macros_sql, steady, view_files, view_sql
from paraphina_wh.scratch import scratch_database
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RUN_VIEWS: Final = ("engine_presets", "run_ledger", "runs", "experiment_runs", "latest_sweeps", "latest_runs")
_SWEEP: Final = """
    SELECT * FROM latest_runs WHERE experiment = $experiment ORDER BY repeat NULLS LAST, label, run_id
"""


@dataclass(frozen=True)
class Sweep:
    """The runs of the latest sweep of an experiment; columns: sql/42_experiment_runs.sql."""

    experiment: str
    runs: pl.DataFrame

    @property
    def reference_runs(self) -> int:
        """Return how many runs are of the reference engine."""
        return self.runs.filter(engine="reference").height

    def __str__(self) -> str:
        ended_well = self.runs.filter(status="ok").height
        return f"the warehouse, {ended_well} of {self.runs.height} runs of the latest sweep of {self.experiment}"


@steady
def latest_sweep(warehouse: Warehouse, experiment: str) -> Sweep | None:
    """Return the latest sweep of an experiment; None when no run of it ended well."""
    with connect(warehouse, threads=1, views=_RUN_VIEWS, or_empty=True) as connection:
        runs: pl.DataFrame = connection.sql(_SWEEP, params={"experiment": experiment}).pl()
    return None if runs.is_empty() else Sweep(experiment, runs)


@contextmanager
def views_over(tables: Mapping[str, pl.DataFrame], views: Iterable[str]) -> Iterator[DuckDBPyConnection]:
    """Open a connection whose views answer for the given frames.

    tables: name -> rows, under the name and with the columns that the views read.
    """
    wanted = set(views)
    with scratch_database(threads=1) as connection:
        connection.execute(macros_sql())
        for name, frame in tables.items():
            connection.register("given", frame.to_arrow())
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
            connection.unregister("given")
        for name in filter(wanted.__contains__, view_files()):
            connection.execute(view_sql(name, Path()))
        yield connection


def ask(tables: Mapping[str, pl.DataFrame], views: Iterable[str], query: str) -> pl.DataFrame:
    """Return the answer of one query to `views_over`."""
    with views_over(tables, views) as connection:
        rows: pl.DataFrame = connection.sql(query).pl()
    return rows


def risk_tiers() -> pl.DataFrame:
    """Return the budgets of the tiers; columns: sql/01_risk_tiers.sql."""
    return ask({}, ["risk_tiers"], "SELECT * FROM risk_tiers ORDER BY tier_order")
