"""The candidates for presets: what a risk-regime sweep says about each of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.candidates import KNOBS, PER_RUN, SUMMARY, is_summary
from paraphina_wh.presets.columns import KEYS
from paraphina_wh.presets.csv_table import CsvTable, read_table
from paraphina_wh.presets.views import Sweep, latest_sweep
from paraphina_wh.warehouse import Warehouse

SWEEP: Final = "exp04_risk_regime"
_HINT: Final = "name a per-run or summary CSV of a risk-regime sweep with --runs-csv"


@dataclass(frozen=True)
class Source:
    """What the view `presets` is to be computed from.

    table, rows: the relation that the rows stand for: latest_runs, preset_runs or preset_source.
    origin: where they come from, for the user. knobs: the optional knobs that the origin names, in contract order.
    left_out: rows of a file that do not say inventory or loss limit; rows has the others alone.
    reference_runs: runs of the reference engine, if known.
    """

    table: str
    rows: pl.DataFrame
    origin: str
    knobs: Sequence[str]
    left_out: int = 0
    reference_runs: int = 0


def warehouse_source(warehouse: Warehouse) -> Source | None:
    """Return the candidates of the latest risk-regime sweep of the warehouse; None when it holds none."""
    sweep = latest_sweep(warehouse, SWEEP)
    return None if sweep is None else _of_sweep(sweep)


def _of_sweep(sweep: Sweep) -> Source:
    return Source("latest_runs", sweep.runs, str(sweep), tuple(KNOBS), reference_runs=sweep.reference_runs)


def read_source(file: Path) -> Source:
    """Return the candidates of a CSV file: a summary if it has a mean PnL and no PnL of runs, else one row per run.

    Raises: WarehouseError when the file is missing (exit code 2), lacks a column or holds a cell that cannot be read.
    """
    table = read_table(file, _HINT)
    return _of_summary(table) if is_summary(table.cells.columns) else _of_runs(table)


def _of_runs(table: CsvTable) -> Source:
    column = table.require({**KEYS, **PER_RUN})
    rows = pl.DataFrame(
        {
            **{name: table.numbers(column[name]) for name in (*KEYS, "final_pnl", "max_drawdown")},
            "kill": table.flags(column["kill"]),
            **_knobs(table),
        }
    )
    return _of_file(table, "preset_runs", rows)


def _of_summary(table: CsvTable) -> Source:
    column = table.require({**KEYS, **SUMMARY})
    rows = pl.DataFrame(
        {
            **{name: table.numbers(column[name]) for name in (*KEYS, *SUMMARY)},
            "kill_prob": table.fractions(column["kill_prob"]),
            **_knobs(table),
        }
    )
    magnitude = pl.col("max_drawdown_mean").abs()
    ordered = rows.with_row_index("candidate_order").with_columns(max_drawdown_abs_mean=magnitude)
    return _of_file(table, "preset_source", ordered)


def _of_file(table: CsvTable, stands_for: str, rows: pl.DataFrame) -> Source:
    kept = rows.drop_nulls(list(KEYS))
    named = [name for name, names in KNOBS.items() if table.find(names) is not None]
    return Source(stands_for, kept, str(table.file), named, rows.height - kept.height)


def _knobs(table: CsvTable) -> dict[str, pl.Series]:
    return {name: table.numbers(table.find(names)) for name, names in KNOBS.items()}
