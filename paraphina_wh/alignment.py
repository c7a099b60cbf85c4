"""The alignment: does each risk tier keep its budgets in a dataset, and how sure is that?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from paraphina_wh.datasets import dataset_file, read_dataset
from paraphina_wh.datasets.read import check_columns, count_reference_runs, count_skipped, keep_runs
from paraphina_wh.evidence import BUDGETS, Budget, check_level, level_of_family
from paraphina_wh.evidence.sample import EVERYTHING, Choice
from paraphina_wh.evidence.verdicts import judge
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Gate = Literal["points", "evidence", "strict"]

# The columns that both frames of an alignment begin with.
TIER_COLUMNS: Final = ("risk_tier", "n_runs", "budget_max_kill_prob", "budget_max_dd_abs", "budget_min_final_pnl_mean")
_LAST_CONTRACT_COLUMN: Final = "emp_score"


@dataclass(frozen=True)
class Alignment:
    """The view `alignment` of one dataset file, one row per risk tier in the order conservative, balanced, aggressive.

    frame: the 15 columns of the contract: point estimates, every line counted.
    evidence: risk_tier, n_runs, the budgets, then bounds and verdicts, one seed counted once.
    skipped_lines: lines that are no runs; blank ones are not counted.
    reference_runs: runs of the reference engine, which are no evidence about the real one.
    """

    file: Path
    frame: pl.DataFrame
    evidence: pl.DataFrame
    skipped_lines: int
    reference_runs: int

    @property
    def combined(self) -> pl.DataFrame:
        """Return the columns of the contract, followed by those of the evidence."""
        return pl.concat([self.frame, self.evidence.drop(TIER_COLUMNS)], how="horizontal")

    @property
    def warnings(self) -> list[str]:
        """Return a sentence for each tier that has no verdict."""
        unmeasured = self.frame.filter(pl.col("emp_score").is_null())
        return [
            f"{tier}: a metric is null in every run"
            if n_runs
            else f"{tier}: no runs in {self.file.name}; `paraphina-wh run exp13 --profiles {tier}` makes some"
            for tier, n_runs in unmeasured.select("risk_tier", "n_runs").iter_rows()
        ]

    @property
    def unproved(self) -> list[str]:
        """Return tier and budget of every ok column that is True without the verdict pass."""
        return [
            f"{row['risk_tier']} {budget.name}"
            for row, budget in self._budgets(self.combined)
            if row[f"emp_{budget.key}_ok"] and row[f"{budget.key}_verdict"] != "pass"
        ]

    @property
    def decided(self) -> bool:
        """Tell whether every budget of every tier has the verdict pass or fail."""
        return not any("undecided" in tier for tier in self.evidence.select(pl.col("^.*_verdict$")).iter_rows())

    def objections(self, gate: Gate) -> list[str]:
        """Return what keeps a gate shut, a phrase for each tier and budget; an empty list opens it.

        points: an ok column of the contract is not True. evidence: a budget is proved broken at the level of all
        budgets together, or no tier has runs, which would leave nothing to judge. strict: a budget is not proved kept;
        that one is wrongly, and the gate open, has a chance of at most 1 - level, since all must be.
        """
        if gate == "points":
            words = {False: "not within budget", None: "not measured"}
            return [
                f"{row['risk_tier']}: {budget.name} {words[ok]}"
                for row, budget in self._budgets(self.frame)
                if (ok := row[f"emp_{budget.key}_ok"]) in words
            ]
        if not self.evidence["n_runs"].sum():
            return ["no tier has runs"]
        return [
            f"{row['risk_tier']}: {budget.name} {row[f'{budget.key}_verdict']}: {row[f'{budget.key}_reason']}"
            for row, budget in self._budgets(self.evidence)
            if self._is_objection(gate, row, budget)
        ]

    def _is_objection(self, gate: Gate, row: dict[str, Any], budget: Budget) -> bool:
        if gate == "strict":
            return bool(row[f"{budget.key}_verdict"] != "pass")
        alpha = 1 - level_of_family(row["level"], len(self.evidence))
        return bool(row[f"{budget.key}_verdict"] == "fail" and row[f"{budget.key}_p_broken"] <= alpha)

    @staticmethod
    def _budgets(frame: pl.DataFrame) -> list[tuple[dict[str, Any], Budget]]:
        return [(row, budget) for row in frame.iter_rows(named=True) for budget in BUDGETS]


def align(
    warehouse: Warehouse,
    dataset: str | Path | None = None,
    *,
    level: float | None = None,
    run_ids: Sequence[str] | None = None,
    and_alike: bool = False,
    choice: Choice = EVERYTHING,
) -> Alignment:
    """Compare the runs of a dataset file with the risk budgets; see sql/55_evidence.sql, sql/56_alignment.sql.

    A run is a JSON object with a final PnL and a drawdown under one of the accepted names. The number of ticks is
    not asked for, unlike in the summary: the smallest record that other tools write has none.

    level: one-sided confidence level of the bounds; None is that of the view `evidence_settings`.
    run_ids: only these runs of the file count; None is all of them. and_alike: and those of their configurations: what
    was seen of them before is no longer open, whatever it was called. choice: of a configuration, and whether runs are
    taken for independent whose seeds were not drawn.
    Raises: WarehouseError when the file is missing, the level or a configuration is none (exit code 2), when the file
    holds no runs, names a column nowhere, or was edited.
    """
    if level is not None:
        check_level(level)
    file = dataset_file(warehouse, dataset)
    with read_dataset(file, warehouse) as connection:
        check_columns(connection, file)
        skipped = count_skipped(connection, "is_run")
        if run_ids is not None:
            keep_runs(connection, run_ids, and_alike=and_alike)
        judge(connection, choice, level)
        frame, evidence = _tables(connection)
        return Alignment(file, frame, evidence, skipped, count_reference_runs(connection))


def _tables(connection: DuckDBPyConnection) -> tuple[pl.DataFrame, pl.DataFrame]:
    both: pl.DataFrame = connection.sql("SELECT * EXCLUDE (dataset) FROM alignment").pl()
    contract = both.columns.index(_LAST_CONTRACT_COLUMN) + 1
    return both[:, :contract], both.select(*TIER_COLUMNS, *both.columns[contract:])
