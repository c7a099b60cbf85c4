"""What a dataset says about each risk tier, for the tuner: from the default dataset or from an alignment CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.alignment import align
from paraphina_wh.datasets import default_dataset
from paraphina_wh.presets.csv_table import CsvTable, read_table
from paraphina_wh.presets.inputs import input_file
from paraphina_wh.presets.views import risk_tiers
from paraphina_wh.warehouse import Warehouse

ALIGNMENT_CSV: Final = Path("runs/exp11_research_alignment/exp11_alignment.csv")
METRICS: Final = ("emp_final_pnl_mean", "emp_max_drawdown_mean", "emp_kill_prob")
# From these the mean magnitude of drawdowns of both signs.
_OF_MAGNITUDES: Final = ("budget_max_dd_abs", "emp_dd_margin")
# Column of the alignment -> column of risk_tiers.
_BUDGETS: Final = {
    "budget_max_kill_prob": "max_kill_prob",
    "budget_max_dd_abs": "max_drawdown_abs",
    "budget_min_final_pnl_mean": "min_final_pnl_mean",
}
_HINT: Final = "make one with `paraphina-wh run exp11`, or name a file with --alignment-csv"


@dataclass(frozen=True)
class Measured:
    """The empirical metrics of each tier, one row per tier of risk_tiers; null where they are not known.

    rows: dataset, risk_tier, METRICS, budget and margin of the drawdown as stated. origin: where they come from, for
    the user.
    reference_runs: runs of the reference engine behind them, if known.
    """

    rows: pl.DataFrame
    origin: str
    warnings: list[str] = field(default_factory=list)
    reference_runs: int = 0


def measure_tiers(warehouse: Warehouse, alignment_csv: str | Path | None = None) -> Measured:
    """Return what an alignment CSV says; by default the default dataset, else the file that exp11 wrote.

    alignment_csv: a table with a column risk_tier, see `input_file`.
    Raises: WarehouseError when the file is missing (exit code 2), lacks the column or holds a cell that cannot be read.
    """
    dataset = default_dataset(warehouse)
    if alignment_csv is None and dataset.is_file():
        found = align(warehouse, dataset)
        return _of_all_tiers(found.frame, dataset, reference_runs=found.reference_runs)
    table = read_table(input_file(warehouse, alignment_csv or ALIGNMENT_CSV), _HINT)
    return _of_all_tiers(_rows(table), table.file, _other_budgets(table))


def _rows(table: CsvTable) -> pl.DataFrame:
    column = table.require({"risk_tier": ("risk_tier",)})
    return pl.DataFrame(
        {
            "risk_tier": table.texts(column["risk_tier"]),
            **{name: table.numbers(table.find([name])) for name in (*METRICS, *_BUDGETS, "emp_dd_margin")},
            "emp_kill_prob": table.fractions(table.find(["emp_kill_prob"])),
        }
    )


def _of_all_tiers(rows: pl.DataFrame, origin: Path, warnings: Sequence[str] = (), reference_runs: int = 0) -> Measured:
    """Give every tier a row, the first of the file; say where a metric is not known."""
    first = rows.select("risk_tier", *METRICS, *_OF_MAGNITUDES).unique("risk_tier", keep="first", maintain_order=True)
    full = risk_tiers().select("risk_tier").join(first, on="risk_tier", how="left", maintain_order="left")
    unknown = full.filter(pl.any_horizontal(pl.col("emp_max_drawdown_mean", "emp_kill_prob").is_null()))
    not_scaled = [
        f"{tier}: {origin.name} does not tell both drawdown and kill probability; what is missing scales nothing"
        for tier in unknown["risk_tier"]
    ]
    named = full.with_columns(dataset=pl.lit(origin.stem))
    return Measured(named, str(origin), [*warnings, *not_scaled], reference_runs)


def _other_budgets(table: CsvTable) -> list[str]:
    """Return a sentence for each tier whose budgets in the file are not those of risk_tiers."""
    both = _rows(table).join(risk_tiers(), on="risk_tier")
    differ = both.filter(pl.any_horizontal(pl.col(stated) != pl.col(ours) for stated, ours in _BUDGETS.items()))
    return [
        f"{tier}: the budgets in {table.file.name} are not those of risk_tiers, which count"
        for tier in differ["risk_tier"]
    ]
