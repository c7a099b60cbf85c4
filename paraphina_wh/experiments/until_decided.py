"""exp13 until every budget is decided: seeds in batches, with an error rate that stays honest under repeated looks.

When to look, and how sure each look must be, is planned before the first run and kept in a file beside the
telemetry: a larger number of runs chosen after a disappointing look would spend an error that was not planned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import polars as pl

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.commit import write_atomically
from paraphina_wh.engine import Engine, check_knobs, find_engine
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence import BUDGETS, Look, looks, min_runs
from paraphina_wh.experiments.exp13 import Exp13, run_exp13
from paraphina_wh.experiments.planning import RunOptions, adapted, folder_of, plan_runs
from paraphina_wh.experiments.read import find_experiment
from paraphina_wh.experiments.runner import Progress, missing_runs
from paraphina_wh.experiments.spec import Spec
from paraphina_wh.presets import risk_tiers
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

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
    """What looks were planned for: the runs they are of, and when they take place."""

    label_prefix: str
    profiles: tuple[str, ...]
    seed: str
    ticks: int | None
    knobs: dict[str, str]
    profile_knobs: dict[str, dict[str, str]]
    engine_sha256: str
    first: int
    max_runs: int
    level: float

    def shares_runs(self, other: _Plan) -> bool:
        """Tell whether two plans look at the same runs, under whatever label."""
        same = (self.ticks, self.knobs, self.profile_knobs, self.engine_sha256)
        theirs = (other.ticks, other.knobs, other.profile_knobs, other.engine_sha256)
        return same == theirs and bool(set(self.profiles) & set(other.profiles)) and self.seed == other.seed


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
        if self.verdicts.is_empty():
            return ["nothing was judged"]
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
    A look whose runs are not all there, because one failed, decides nothing and ends it: repeat the command.
    Raises: WarehouseError (exit code 2) when looks at any of these runs were planned otherwise, or when the runs were
            there before the looks were planned.
    """
    _check(options)
    experiment = find_experiment("exp13")
    spec = adapted(experiment.spec, options)
    engine = find_engine(options.engine, warehouse.root)
    first = max(options.repeats or 1, min(min_runs(), max_runs))
    planned = looks(first, max_runs, level)
    plan = _plan_of(options, spec, engine, planned, level)
    folder = folder_of(warehouse, spec)
    name = f"until_decided_{quote(plan.label_prefix, safe='')}"
    if not (folder / f"{name}.json").is_file():
        _refuse_known_runs(warehouse, replace(options, repeats=max_runs), spec, engine)
    _keep_plan(folder, f"{name}.json", plan)
    verdicts: dict[tuple[str, str], dict[str, Any]] = {}
    complete = True
    for look in planned:
        open_profiles = tuple(profile for profile in spec.profiles if _is_open(verdicts, profile))
        if not (open_profiles and complete):
            break
        session = replace(options, repeats=look.runs_per_profile, profiles=open_profiles)
        made = run_exp13(warehouse, session, dataset, progress, allow_mixed=allow_mixed)
        # A look counts all its runs or none: which ones fail may have to do with what they would show.
        complete = made.session.complete and len(made.session.run_ids) == len(made.session.planned)
        if complete and made.alignment is not None:
            seen = align(warehouse, made.appended.file, level=look.level, run_ids=made.session.run_ids)
            _judge(verdicts, seen, open_profiles, look)
    frame = pl.DataFrame(list(verdicts.values()), schema=_SCHEMA)
    write_atomically(folder / f"{name}.csv", csv_bytes(frame))
    return Decided(made, frame, folder / f"{name}.csv", complete)


def planned_looks(options: RunOptions, max_runs: int, level: float = 0.95) -> list[Look]:
    """Return the looks that `run_until_decided` would take.

    Raises: WarehouseError (exit code 2) for numbers that make no plan.
    """
    _check(options)
    return looks(max(options.repeats or 1, min(min_runs(), max_runs)), max_runs, level)


def _check(options: RunOptions) -> None:
    if options.fresh:
        raise WarehouseError(
            "runs that were looked at are not run --fresh",
            "choose another --label-prefix and another --seed",
            exit_code=2,
        )
    if options.seed is not None and str(options.seed).lower() == "none":
        raise WarehouseError(
            "without seeds all runs are copies of one", "name an order of seeds with --seed", exit_code=2
        )
    strangers = [profile for profile in options.profiles if profile not in _tiers()]
    if strangers:
        raise WarehouseError(
            f"profile {strangers[0]!r} has no budget to decide", f"budgets: {', '.join(_tiers())}", exit_code=2
        )


def _tiers() -> list[str]:
    tiers: list[str] = risk_tiers()["risk_tier"].to_list()
    return tiers


def _plan_of(options: RunOptions, spec: Spec, engine: Engine, planned: list[Look], level: float) -> _Plan:
    return _Plan(
        label_prefix=str(spec.constants["label_prefix"]),
        profiles=tuple(spec.profiles),
        seed=f"from {spec.seed_start}" if spec.seed_start is not None else str(spec.seed),
        ticks=spec.ticks,
        knobs=check_knobs(options.knobs),
        profile_knobs={profile: check_knobs(knobs) for profile, knobs in options.profile_knobs.items()},
        engine_sha256=engine.sha256,
        first=planned[0].runs_per_profile,
        max_runs=planned[-1].runs_per_profile,
        level=level,
    )


def _refuse_known_runs(warehouse: Warehouse, options: RunOptions, spec: Spec, engine: Engine) -> None:
    """Raise a WarehouseError when the warehouse holds runs that the looks would be of: they may have been looked at."""
    grid = plan_runs(warehouse, msgspec.structs.replace(spec, repeats=options.repeats), options, engine)
    known = len(grid) - len(missing_runs(warehouse, grid))
    if known:
        raise WarehouseError(
            f"{known} of these runs are there already, and may have been looked at before the looks were planned",
            "choose another --label-prefix, and seeds that were not run yet with --seed",
            exit_code=2,
        )


def _keep_plan(folder: Path, name: str, plan: _Plan) -> None:
    """Keep the plan of the looks.

    Raises: WarehouseError (exit code 2) when another plan, of whatever prefix, looks at some of the same runs.
    """
    for file in sorted(folder.glob("until_decided_*.json")):
        kept = _read_plan(file)
        if kept != plan and (file.name == name or kept.shares_runs(plan)):
            raise WarehouseError(
                f"looks at these runs were planned for {_told(kept)}, not for {_told(plan)}: "
                "looking again under another plan would raise the error rate",
                "keep the plan, or choose another --label-prefix with another --seed",
                exit_code=2,
            )
    write_atomically(folder / name, msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")


def _read_plan(file: Path) -> _Plan:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WarehouseError(f"{file} is no plan of looks: {error}", "restore it, or move it away") from error


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
