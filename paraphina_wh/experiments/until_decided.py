"""exp13 until it is decided whether each profile keeps its budgets: runs in batches, a look after each.

The bounds hold at every look, so nothing is planned and nothing is spent: stop, go on, raise the number of runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.engine import find_engine
from paraphina_wh.engine.seeds import SEED_SPACE
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence import BUDGETS, bounds, check_level
from paraphina_wh.experiments.exp13 import Exp13, run_exp13
from paraphina_wh.experiments.planning import RunOptions, adapted
from paraphina_wh.experiments.read import find_experiment
from paraphina_wh.experiments.runner import Progress
from paraphina_wh.presets import risk_tiers
from paraphina_wh.warehouse import Warehouse

_FIRST: Final = 10
# A look takes as long as some runs: the more there are, the fewer looks.
_GROWTH: Final = 4


@dataclass(frozen=True)
class Decided:
    """What the looks came to.

    made: exp13 as after its last session. looks: how many there were. complete: every run of the last batch ended well.
    seen: the alignment of the runs of these configurations, of the profiles that were run; None without usable runs.
    """

    made: Exp13
    looks: int
    complete: bool
    seen: Alignment | None

    @property
    def is_decided(self) -> bool:
        """Tell whether it is known of every profile whether it keeps its budgets."""
        return self.seen is not None and not any(map(_is_undecided, self.seen.evidence.iter_rows(named=True)))

    @property
    def verdicts(self) -> pl.DataFrame:
        """Return one row per tier and budget: estimate, bounds, limit, level, basis, verdict and reason."""
        tiers = self.seen.evidence.iter_rows(named=True) if self.seen else ()
        rows = [
            {
                "risk_tier": tier["risk_tier"],
                "budget": budget.name,
                "verdict": tier[f"{budget.key}_verdict"],
                "n_independent": tier[f"{budget.key}_n"],
                "estimate": tier[budget.estimate],
                "lower": tier[f"{budget.key}_lower"],
                "upper": tier[f"{budget.key}_upper"],
                "limit": tier[budget.limit],
                "level": tier["level"],
                "basis": tier["basis"],
                "reason": tier[f"{budget.key}_reason"],
            }
            for tier in tiers
            for budget in BUDGETS
        ]
        return pl.DataFrame(rows, schema=_SCHEMA)


_SCHEMA: Final = {
    **dict.fromkeys(("risk_tier", "budget", "verdict"), pl.String),
    "n_independent": pl.Int64,
    **dict.fromkeys(("estimate", "lower", "upper", "limit", "level"), pl.Float64),
    **dict.fromkeys(("basis", "reason"), pl.String),
}


def run_until_decided(
    warehouse: Warehouse,
    options: RunOptions,
    max_runs: int,
    dataset: str | Path | None = None,
    progress: Progress | None = None,
    *,
    level: float | None = None,
    allow_mixed: bool = False,
) -> Decided:
    """Add runs until every profile is proved to keep its budgets, or to break one, or has max_runs runs.

    A profile of which that is known gets no more runs. The looks count the runs of these configurations,
    those that the dataset held before included: another label is no second chance. A batch with a failed run ends it:
    repeat the command.
    Raises: WarehouseError (exit code 2) for runs that can decide nothing.
    """
    _check(options, level)
    profiles: tuple[str, ...] = tuple(adapted(find_experiment("exp13").spec, options).profiles)
    undecided, run_ids, looks = profiles, set[str](), 0
    runs = min(options.repeats or _FIRST, max_runs)
    while True:
        session = replace(options, repeats=runs, profiles=undecided)
        made = run_exp13(warehouse, session, dataset, progress, allow_mixed=allow_mixed, level=level)
        run_ids |= set(made.session.run_ids)
        seen, looks = _look(warehouse, made, run_ids, profiles, level), looks + 1
        complete = made.session.complete
        undecided = tuple(profile for profile in profiles if seen is None or _is_open(seen, profile))
        if not (complete and undecided and runs < max_runs):
            return Decided(made, looks, complete, seen)
        runs = min(runs + max(_FIRST, runs // _GROWTH), max_runs)


def _look(
    warehouse: Warehouse, made: Exp13, run_ids: set[str], profiles: tuple[str, ...], level: float | None
) -> Alignment | None:
    if made.alignment is None:
        return None
    seen = align(warehouse, made.appended.file, level=level, run_ids=sorted(run_ids), and_alike=True)
    of_profiles = pl.col("risk_tier").is_in(profiles)
    return replace(seen, frame=seen.frame.filter(of_profiles), evidence=seen.evidence.filter(of_profiles))


def _is_open(seen: Alignment, profile: str) -> bool:
    return _is_undecided(seen.evidence.filter(risk_tier=profile).row(0, named=True))


def _is_undecided(tier: dict[str, Any]) -> bool:
    """Tell whether nobody knows if a tier keeps its budgets: none is broken, and not all are kept."""
    verdicts = {tier[f"{budget.key}_verdict"] for budget in BUDGETS}
    return "undecided" in verdicts and "fail" not in verdicts


def runs_to_decide(warehouse: Warehouse, options: RunOptions, max_runs: int, level: float) -> pl.DataFrame:
    """Return what so many runs could decide: a row per profile, with the kill-free runs that would prove its budget.

    Columns: risk_tier, budget, kill_free_runs, fits. How many the means take depends on what the runs will show.
    """
    _check(options, level)
    space = options.seed_space or SEED_SPACE[find_engine(options.engine, warehouse.root).kind]
    profiles = adapted(find_experiment("exp13").spec, options).profiles
    rows = []
    for tier in risk_tiers().filter(pl.col("risk_tier").is_in(list(profiles))).iter_rows(named=True):
        budget = tier["max_kill_prob"]
        runs = bounds.runs_that_prove_few(np.zeros(0), bounds.FURTHER, budget, space, level)
        rows.append((tier["risk_tier"], f"kill probability <= {budget:g}", runs, runs is not None and runs <= max_runs))
    return pl.DataFrame(rows, schema=["risk_tier", "budget", "kill_free_runs", "fits"], orient="row")


def _check(options: RunOptions, level: float | None) -> None:
    if level is not None:
        check_level(level)
    if options.fresh:
        raise WarehouseError(
            "--fresh would run all anew at every look", "choose another --label-prefix, or leave it out", exit_code=2
        )
    spec = adapted(find_experiment("exp13").spec, options)
    if spec.seed_start is not None or not spec.has_seeds:
        raise WarehouseError(
            "only seeds that are drawn at random decide anything", "name an order of seeds with --seed", exit_code=2
        )
    tiers: list[str] = risk_tiers()["risk_tier"].to_list()
    strangers = [profile for profile in options.profiles if profile not in tiers]
    if strangers:
        raise WarehouseError(
            f"profile {strangers[0]!r} has no budget to decide", f"budgets: {', '.join(tiers)}", exit_code=2
        )
