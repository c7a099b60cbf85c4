"""The alignment: does each risk tier keep its budgets in a dataset?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from paraphina_wh.datasets import dataset_file, read_dataset
from paraphina_wh.datasets.read import check_columns, count_reference_runs, count_skipped
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Alignment:
    """The view `alignment` of one dataset file.

    frame: the 15 columns of the contract, one row per risk tier in the order conservative, balanced, aggressive.
    skipped_lines: lines that are no runs; blank ones are not counted.
    reference_runs: runs of the reference engine, which are no evidence about the real one.
    """

    file: Path
    frame: pl.DataFrame
    skipped_lines: int
    reference_runs: int

    @property
    def warnings(self) -> list[str]:
        """Return a sentence for each tier that has no verdict."""
        unmeasured = self.frame.filter(pl.col("emp_score").is_null())
        return [
            f"{tier}: no runs in {self.file.name}" if not n_runs else f"{tier}: a metric is null in every run"
            for tier, n_runs in unmeasured.select("risk_tier", "n_runs").iter_rows()
        ]


def align(warehouse: Warehouse, dataset: str | Path | None = None) -> Alignment:
    """Compare the runs of a dataset file with the risk budgets; see sql/52_alignment.sql for the formulas.

    A run is a JSON object with a final PnL and a drawdown under one of the accepted names. The number of ticks is
    not asked for, unlike in the summary: the smallest record that other tools write has none.

    Raises: WarehouseError when the file is missing (exit code 2), holds no runs, or names a column nowhere.
    """
    file = dataset_file(warehouse, dataset)
    with read_dataset(file) as connection:
        check_columns(connection, file)
        frame: pl.DataFrame = connection.sql("SELECT * EXCLUDE (dataset) FROM alignment").pl()
        return Alignment(file, frame, count_skipped(connection, "is_run"), count_reference_runs(connection))
