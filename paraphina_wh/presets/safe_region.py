"""exp06: the starting points that are safe in every scenario of a multi-scenario sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.commit import write_atomically
from paraphina_wh.presets.csv_table import CsvTable, read_table
from paraphina_wh.presets.inputs import input_file
from paraphina_wh.presets.views import latest_sweep, views_over
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

SWEEP: Final = "exp04_multi_scenario"
SUMMARY_CSV: Final = Path("runs/exp04_multi_scenario/exp04_summary.csv")
SAFE_REGION_FOLDER: Final = Path("runs/exp06_safe_region")
_CELLS_CSV: Final = "exp06_safe_region_per_cell.csv"
_PROFILES_CSV: Final = "exp06_safe_region_by_profile.csv"
_HINT: Final = "run the sweep with `paraphina-wh run exp04`, or name a file with --summary-csv"
_TEXTS: Final = ("profile", "scenario")
_NEEDED: Final = ("init_q_tao", "pnl_total_mean", "max_drawdown_mean", "regime_frac_hard_mean", "kill_switch_frac")
_NUMBERS: Final = (
    *_NEEDED,
    *("pnl_realised_mean", "pnl_unrealised_mean", "pnl_total_std", "pnl_total_p5", "pnl_total_p95"),
    *("max_drawdown_std", "time_to_kill_mean", "regime_frac_normal_mean", "regime_frac_warning_mean"),
)
# What the step adds; a file that has them already was made by it.
_ADDED: Final = (
    *("daily_loss_limit", "dd_frac_of_loss_limit"),
    *("safe_kill_switch", "safe_regime_hard", "safe_drawdown", "safe_cell"),
)
_VIEWS: Final = ("profile_centres", "analysis_settings", "safe_region_cells", "safe_region")


@dataclass(frozen=True)
class SafeRegion:
    """The cells of a sweep and the starting points of each profile, with verdicts.

    cells: the columns of exp06_safe_region_per_cell.csv. by_profile: those of exp06_safe_region_by_profile.csv.
    origin: where the cells come from, for the user. reference_runs: runs of the reference engine, if known.
    """

    cells: pl.DataFrame
    by_profile: pl.DataFrame
    origin: str
    reference_runs: int = 0


def safe_region(warehouse: Warehouse, summary_csv: str | Path | None = None) -> SafeRegion:
    """Judge every cell of a multi-scenario sweep; formulas: sql/66_safe_region_cells.sql, sql/67_safe_region.sql.

    summary_csv: an exp04 summary, see `input_file`. By default the latest sweep of the warehouse counts; when it holds
    none, the summary that exp04 wrote.
    Raises: WarehouseError when the file is missing (exit code 2), lacks a column or holds a cell that cannot be read.
    """
    sweep = latest_sweep(warehouse, SWEEP) if summary_csv is None else None
    if sweep is not None:
        return _judge("latest_runs", sweep.runs, str(sweep), sweep.reference_runs)
    table = read_table(input_file(warehouse, summary_csv or SUMMARY_CSV), _HINT)
    return _judge("scenario_summary", _summary(table), str(table.file))


def _judge(table: str, rows: pl.DataFrame, origin: str, reference_runs: int = 0) -> SafeRegion:
    condensed = ("scenario_summary",) if table == "latest_runs" else ()
    with views_over({table: rows}, [*condensed, *_VIEWS]) as connection:
        cells: pl.DataFrame = connection.sql("SELECT * FROM safe_region_cells").pl()
        by_profile: pl.DataFrame = connection.sql("SELECT * FROM safe_region").pl()
    return SafeRegion(cells, by_profile, origin, reference_runs)


def _summary(table: CsvTable) -> pl.DataFrame:
    """Return the columns of a summary in their order, those we know with their types."""
    table.require({name: (name,) for name in (*_TEXTS, *_NEEDED)})
    columns = [(column, column.strip().lower()) for column in table.cells.columns]
    return pl.DataFrame([_typed(table, column, name).alias(name) for column, name in columns if name not in _ADDED])


def _typed(table: CsvTable, column: str, name: str) -> pl.Series:
    if name == "kill_switch_frac":
        return table.fractions(column)
    if name in _NUMBERS:
        return table.numbers(column)
    return table.whole_numbers(column) if name == "num_runs" else table.cells[column]


def write_safe_region(warehouse: Warehouse, region: SafeRegion, out_dir: Path | None = None) -> list[Path]:
    """Write exp06_safe_region_per_cell.csv and exp06_safe_region_by_profile.csv, and return their paths."""
    folder = warehouse.folder_for(SAFE_REGION_FOLDER, out_dir)
    content = {folder / _CELLS_CSV: csv_bytes(region.cells), folder / _PROFILES_CSV: csv_bytes(region.by_profile)}
    for path, written in content.items():
        write_atomically(path, written)
    return list(content)
