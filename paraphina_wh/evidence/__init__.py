"""Verdicts with evidence: the confidence level, its shares for repeated looks at growing data, and how it reads.

The bounds and verdicts themselves are SQL: sql/52_independent_runs.sql to sql/55_evidence.sql.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from paraphina_wh.catalog import view_sql
from paraphina_wh.errors import WarehouseError
from paraphina_wh.scratch import scratch_database


@dataclass(frozen=True)
class Budget:
    """A risk budget and its columns in the evidence; `<key>_n`, `_lower`, `_upper` and `_verdict` are its own too."""

    key: str
    name: str
    estimate: str
    relation: str
    limit: str
    needed: str


BUDGETS: Final = (
    Budget("kill", "kill probability", "kill_prob", "<=", "budget_max_kill_prob", "kill_free_runs_needed"),
    Budget("dd", "mean drawdown", "dd_mean", "<=", "budget_max_dd_abs", "dd_runs_needed"),
    Budget("pnl", "mean final PnL", "pnl_mean", ">=", "budget_min_final_pnl_mean", "pnl_runs_needed"),
)


@dataclass(frozen=True)
class Look:
    """One look at the verdicts: after how many runs of each profile, and at which one-sided confidence level."""

    runs_per_profile: int
    level: float


@cache
def min_runs() -> int:
    """Return how many independent runs a mean needs for a verdict: that of the view `evidence_settings`."""
    with scratch_database() as connection:
        connection.execute(view_sql("evidence_settings", Path()))
        [(runs,)] = connection.execute("SELECT min_runs FROM evidence_settings").fetchall()
    return int(runs)


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
    known = f"{_short(estimate)} ({bounds}) from {_runs(tier[f'{budget.key}_n'])}" if estimate is not None else None
    return known or "nothing known", tier[f"{budget.key}_verdict"], _needs(tier[budget.needed], budget)


def _needs(runs: int | None, budget: Budget) -> str:
    if runs is None:
        return ""
    if budget.key == "kill":
        return f"{_runs(runs, 'more kill-free ')} would settle it"
    return f"{_runs(runs, 'more ')} would allow a verdict"


def _runs(count: int, kind: str = "") -> str:
    return f"{count} {kind}{'run' if count == 1 else 'runs'}"


def _short(number: float) -> str:
    return f"{number:.4g}" if abs(number) < 9999.5 else f"{number:.0f}"
