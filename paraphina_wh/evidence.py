"""Verdicts with evidence: the confidence level, its shares for repeated looks at growing data, and how it reads.

The bounds and verdicts themselves are SQL: sql/52_independent_runs.sql to sql/55_evidence.sql.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from paraphina_wh.errors import WarehouseError


@dataclass(frozen=True)
class Budget:
    """A risk budget and where it stands in the evidence: `<key>_lower`, `<key>_upper`, `<key>_verdict`."""

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


@dataclass(frozen=True)
class Look:
    """One look at the verdicts: after how many runs of each profile, and at which one-sided confidence level."""

    runs_per_profile: int
    level: float


def looks(first: int, most: int, level: float) -> list[Look]:
    """Return when to look at the verdicts of runs that keep coming, so that looking often does not prove more.

    The looks stand at `first` runs per profile and at `most`, most / 2, most / 4 ... down to `first`. The error that
    `level` allows, 1 - level, is shared out among them: by the look after n runs (1 - level) x (n / most)^2 is spent.
    The shares add up to 1 - level, so whatever the looks have in common, the chance that any of them gives a wrong
    pass to a budget is at most that; the same holds for a wrong fail. The plan must be made before the first look and
    kept: to stop once all is decided is part of it, a larger `most` is not.

    Raises: WarehouseError (exit code 2) unless 1 <= first <= most and 0.5 < level < 1.
    """
    check_level(level)
    if not 1 <= first <= most:
        raise WarehouseError(
            f"cannot look first after {first} of at most {most} runs a profile",
            "the first look needs at least one run, and at most the largest number of runs",
            exit_code=2,
        )
    halved = (most >> times for times in reversed(range(most.bit_length())))
    counts = [first, *(n for n in halved if n > first)]
    # The square keeps early looks strict: with a handful of skewed values the bounds of means hold less often.
    spent = [(1 - level) * (n / most) ** 2 for n in (0, *counts)]
    return [Look(n, 1 - (now - before)) for n, before, now in zip(counts, spent, spent[1:], strict=False)]


def check_level(level: float) -> None:
    """Raise a WarehouseError (exit code 2) for what is no confidence level of a one-sided bound."""
    if not 0.5 < level < 1:  # false for NaN too
        raise WarehouseError(
            f"{level} is no confidence level", "a level is above 0.5 and below 1, such as 0.95", exit_code=2
        )


def verdict_table(evidence: pl.DataFrame) -> pl.DataFrame:
    """Return the evidence for people to read, one row per tier and budget, numbers shortened to four digits.

    Columns: risk_tier, budget, evidence (estimate, bounds, independent runs), verdict, needs (what would settle it).
    """
    rows = [
        (tier["risk_tier"], f"{budget.name} {budget.relation} {_short(tier[budget.limit])}", *_reading(tier, budget))
        for tier in evidence.iter_rows(named=True)
        for budget in BUDGETS
    ]
    return pl.DataFrame(rows, schema=["risk_tier", "budget", "evidence", "verdict", "needs"], orient="row")


def _reading(tier: Mapping[str, Any], budget: Budget) -> tuple[str, str, str]:
    estimate, lower, upper = (tier[name] for name in (budget.estimate, f"{budget.key}_lower", f"{budget.key}_upper"))
    bounds = "no bounds" if lower is None or upper is None else f"{_short(lower)} .. {_short(upper)}"
    runs = "1 run" if tier["n_independent"] == 1 else f"{tier['n_independent']} runs"
    needed = tier["kill_free_runs_needed"] if budget.key == "kill" else None
    return (
        "nothing known" if estimate is None else f"{_short(estimate)} ({bounds}) from {runs}",
        tier[f"{budget.key}_verdict"],
        "" if needed is None else f"{needed} more kill-free runs would settle it",
    )


def _short(number: float) -> str:
    return f"{number:.4g}" if abs(number) < 9999.5 else f"{number:.0f}"
