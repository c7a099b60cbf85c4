"""Verdicts with evidence: what the runs of a dataset prove about each risk budget, and how that reads.

What counts as one run is SQL: sql/52_evidence_units.sql. What it is a sample of is in sample.py, the bounds in
bounds.py, the verdicts in verdicts.py; the view `evidence` gives what was judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from paraphina_wh.errors import WarehouseError


@dataclass(frozen=True)
class Budget:
    """A risk budget and its columns in the evidence; `<key>_n`, `_lower`, `_verdict`, `_reason` ... are its own too."""

    key: str
    name: str
    estimate: str
    relation: str
    limit: str


BUDGETS: Final = (
    Budget("kill", "kill probability", "kill_prob", "<=", "budget_max_kill_prob"),
    Budget("dd", "mean drawdown", "dd_mean", "<=", "budget_max_dd_abs"),
    Budget("pnl", "mean final PnL", "pnl_mean", ">=", "budget_min_final_pnl_mean"),
)


def check_level(level: float) -> None:
    """Raise a WarehouseError (exit code 2) for what is no confidence level of a one-sided bound."""
    if not 0.5 < level < 1:  # false for NaN too
        raise WarehouseError(
            f"{level} is no confidence level", "a level is above 0.5 and below 1, such as 0.95", exit_code=2
        )


def level_of_family(level: float, tiers: int) -> float:
    """Return the level at which a budget counts as broken when all budgets of the tiers are looked at together.

    Then the chance that any budget that is kept counts as broken is at most 1 - level (Bonferroni).
    """
    return 1 - (1 - level) / (tiers * len(BUDGETS))


def verdict_table(evidence: pl.DataFrame) -> pl.DataFrame:
    """Return the evidence for people to read, one row per tier and budget, numbers shortened to four digits.

    Columns: risk_tier, budget, seen (estimate and runs), verdict, reason.
    """
    rows = [
        (
            tier["risk_tier"],
            f"{budget.name} {budget.relation} {short(tier[budget.limit])}",
            _seen(tier, budget),
            tier[f"{budget.key}_verdict"] + (" (assumed)" if tier["basis"] == "assumed" else ""),
            tier[f"{budget.key}_reason"],
        )
        for tier in evidence.iter_rows(named=True)
        for budget in BUDGETS
    ]
    return pl.DataFrame(rows, schema=["risk_tier", "budget", "seen", "verdict", "reason"], orient="row")


def _seen(tier: Mapping[str, Any], budget: Budget) -> str:
    runs, estimate = tier[f"{budget.key}_n"], tier[budget.estimate]
    return "nothing" if estimate is None else f"{short(estimate)} in {runs} {'run' if runs == 1 else 'runs'}"


def short(number: float) -> str:
    """Return a number in four digits."""
    return f"{number:.4g}" if abs(number) < 9999.5 else f"{number:.0f}"
