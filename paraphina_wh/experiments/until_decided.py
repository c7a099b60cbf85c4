"""exp13 until every budget is decided: seeds in batches, with an error rate that stays honest under repeated looks.

When to look, and how sure each look must be, is planned before the first run and kept in a file beside the
telemetry: a larger number of runs chosen after a disappointing look would spend an error that was not planned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.commit import write_atomically
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence import BUDGETS, Look, looks
from paraphina_wh.experiments.exp13 import Exp13, run_exp13
from paraphina_wh.experiments.planning import RunOptions, folder_of
from paraphina_wh.experiments.read import find_experiment
from paraphina_wh.experiments.runner import Progress
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

# The bounds of skewed means hold less often in smaller samples: measured in docs/evidence.md.
_LEAST_FIRST: Final = 10
_SCHEMA: Final = {
    "risk_tier": pl.String,
    "budget": pl.String,
    "verdict": pl.String,
    "n_runs": pl.Int64,
    "n_independent": pl.Int64,
    "estimate": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "limit": pl.Float64,
    "level": pl.Float64,
}


class _Plan(msgspec.Struct, frozen=True):
    """What the looks of a label prefix were planned for."""

    label_prefix: str
    profiles: tuple[str, ...]
    first: int
    max_runs: int
    level: float


@dataclass(frozen=True)
class Decided:
    """What the looks came to.

    made: exp13 as after its last session. verdicts: one row per tier and budget: the verdict of the look that decided
    it, else of the last; n_runs and level are those of that look. complete: every run of every session ended well.
    """

    made: Exp13
    verdicts: pl.DataFrame
    path: Path
    complete: bool

    def objections(self, gate: str) -> list[str]:
        """Return what keeps the gate `evidence` or `strict` shut, a phrase for each tier and budget."""
        closing = ("fail",) if gate == "evidence" else ("fail", "undecided")
        shut = self.verdicts.filter(pl.col("verdict").is_in(closing))
        return [f"{tier}: {budget} {verdict}" for tier, budget, verdict in shut[:, :3].iter_rows()]


def run_until_decided(
    warehouse: Warehouse,
    options: RunOptions,
    max_runs: int,
    dataset: str | Path | None = None,
    progress: Progress | None = None,
    *,
    level: float = 0.95,
    allow_mixed: bool = False,
) -> Decided:
    """Add runs until every budget of every profile has a verdict, or each profile has max_runs runs.

    A profile whose budgets are all decided gets no more runs. A verdict, once reached, stays: the chance of any wrong
    pass of a budget over all looks is at most 1 - level, see `paraphina_wh.evidence.looks`. The looks count the runs of
    this label prefix alone, not what the dataset held before.
    Raises: WarehouseError (exit code 2) when the looks of this label prefix were planned otherwise.
    """
    spec = find_experiment("exp13").spec
    profiles = options.profiles or tuple(spec.profiles)
    first = max(options.repeats or spec.repeats, min(_LEAST_FIRST, max_runs))
    planned = looks(first, max_runs, level)
    prefix = str(options.constants.get("label_prefix", spec.constants["label_prefix"]))
    folder = folder_of(warehouse, spec)
    _keep_plan(folder / f"until_decided_{prefix}.json", _Plan(prefix, profiles, first, max_runs, level), options.fresh)
    verdicts: dict[tuple[str, str], dict[str, Any]] = {}
    complete = True
    for look in planned:
        open_profiles = tuple(profile for profile in profiles if _is_open(verdicts, profile))
        if not open_profiles:
            break
        session = replace(options, repeats=look.runs_per_profile, profiles=open_profiles)
        made = run_exp13(warehouse, session, dataset, progress, allow_mixed=allow_mixed)
        complete = complete and made.session.complete
        if made.alignment is not None:
            seen = align(warehouse, made.appended.file, level=look.level, run_ids=made.session.run_ids)
            _judge(verdicts, seen, open_profiles, look)
    frame = pl.DataFrame(list(verdicts.values()), schema=_SCHEMA)
    path = folder / f"until_decided_{prefix}.csv"
    write_atomically(path, csv_bytes(frame))
    return Decided(made, frame, path, complete)


def _keep_plan(file: Path, plan: _Plan, fresh: bool) -> None:
    if file.is_file() and not fresh:
        kept = msgspec.json.decode(file.read_bytes(), type=_Plan)
        if kept != plan:
            raise WarehouseError(
                f"the looks of {plan.label_prefix!r} were planned for {_told(kept)}, not for {_told(plan)}: "
                "looking again under another plan would raise the error rate",
                "keep the plan, or begin anew with another --label-prefix or --fresh",
                exit_code=2,
            )
    write_atomically(file, msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")


def _told(plan: _Plan) -> str:
    return f"{plan.first} to {plan.max_runs} runs of {', '.join(plan.profiles)} at level {plan.level:g}"


def _is_open(verdicts: dict[tuple[str, str], dict[str, Any]], profile: str) -> bool:
    reached = [verdicts.get((profile, budget.key), {}).get("verdict", "undecided") for budget in BUDGETS]
    return "undecided" in reached


def _judge(
    verdicts: dict[tuple[str, str], dict[str, Any]], seen: Alignment, profiles: tuple[str, ...], look: Look
) -> None:
    for tier in seen.evidence.filter(pl.col("risk_tier").is_in(profiles)).iter_rows(named=True):
        for budget in BUDGETS:
            place = (tier["risk_tier"], budget.key)
            if verdicts.get(place, {}).get("verdict", "undecided") == "undecided":
                verdicts[place] = {
                    "risk_tier": tier["risk_tier"],
                    "budget": budget.name,
                    "verdict": tier[f"{budget.key}_verdict"],
                    "n_runs": tier["n_runs"],
                    "n_independent": tier["n_independent"],
                    "estimate": tier[budget.estimate],
                    "lower": tier[f"{budget.key}_lower"],
                    "upper": tier[f"{budget.key}_upper"],
                    "limit": tier[budget.limit],
                    "level": look.level,
                }
