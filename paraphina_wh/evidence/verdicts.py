"""The verdict on every budget of every tier: what the units of a dataset prove, and why they prove no more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

from paraphina_wh.evidence import bounds, short
from paraphina_wh.evidence.bounds import Values
from paraphina_wh.evidence.sample import EVERYTHING, Choice, Sample, check_configs, sample_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TAIL: Final = 0.95
# Larger spaces are as good as endless, and not named in a reason.
_COUNTED: Final = 1_000_000
# Where the tail may be cut for a bound of its mean, as shares of the stated range: 1/2, 1/4 ...
_CUTS: Final = 12


class Proof(NamedTuple):
    """What is known of one budget.

    n: runs that say something of it. estimate: their mean. p_kept, p_broken: the alpha at which that is proved.
    needed: further runs, alike or free of kills, that would prove it kept; None when it is decided, or nobody knows.
    """

    n: int
    estimate: float | None
    lower: float | None = None
    upper: float | None = None
    p_kept: float = 1.0
    p_broken: float = 1.0
    needed: int | None = None
    problem: str | None = None


def judge(connection: DuckDBPyConnection, choice: Choice = EVERYTHING, level: float | None = None) -> None:
    """Work out the evidence of the dataset in `dataset_lines`, and put it on its last line, for the view `evidence`.

    connection: as `read_dataset` gives it. level: confidence level of the bounds, by default that of
    `evidence_settings`.
    Raises: WarehouseError (exit code 2) for a configuration that no tier has.
    """
    units = connection.sql("SELECT * FROM evidence_units").pl()
    tiers = connection.sql("SELECT * FROM risk_tiers JOIN evidence_ranges USING (risk_tier) ORDER BY tier_order").pl()
    ((stated,),) = connection.sql("SELECT level FROM evidence_settings").fetchall()
    check_configs(units, choice)
    rows = [
        _tier(tier, units.filter(risk_tier=tier["risk_tier"]), choice, stated if level is None else level)
        for tier in tiers.iter_rows(named=True)
    ]
    connection.execute(
        "UPDATE dataset_lines SET evidence_json = $rows WHERE line_no = (SELECT max(line_no) FROM dataset_lines)",
        {"rows": msgspec.json.encode(rows).decode()},
    )


def _tier(tier: Mapping[str, Any], units: pl.DataFrame, choice: Choice, level: float) -> dict[str, Any]:
    sample = sample_of(units, choice)
    worst_dd, pnl_range = tier["worst_drawdown_usd"], (tier["worst_pnl_usd"], tier["best_pnl_usd"])
    found = {
        "kill": _kill(sample, tier["max_kill_prob"], level),
        "pnl": _mean(sample, "pnl", tier["min_final_pnl_mean"], pnl_range, level),
        "dd": _mean(sample, "dd", tier["max_drawdown_abs"], (0.0, worst_dd), level),
    }
    return {
        "risk_tier": tier["risk_tier"],
        "n_runs": int(units["copies"].sum()),
        "n_independent": len(sample.units) - sample.missing,
        "n_missing": sample.missing,
        "engine": next(iter(sample.units["engine"].drop_nulls()), None),
        "config": sample.config,
        "n_configs": sample.configs,
        "basis": sample.basis,
        "seed_key": sample.key,
        "seed_space": None if sample.key is None else sample.space,
        "kills": int((sample.units["kill_low"] == 1).sum()),
        "level": level,
        **{name: tier[name] for name in ("worst_drawdown_usd", "worst_pnl_usd", "best_pnl_usd")},
        **(tail := _tail(sample, worst_dd, level)),
        **{f"dd_{kind}_verdict": _within(tail, kind, tier[f"max_drawdown_{kind}_usd"]) for kind in ("q95", "cvar95")},
        **{name: value for key, each in found.items() for name, value in _columns(key, each, sample, level).items()},
    }


def _columns(key: str, found: Proof, sample: Sample, level: float) -> dict[str, Any]:
    return {
        f"{key}_n": found.n,
        "kill_prob" if key == "kill" else f"{key}_mean": found.estimate,
        f"{key}_lower": found.lower,
        f"{key}_upper": found.upper,
        f"{key}_p_kept": found.p_kept,
        f"{key}_p_broken": found.p_broken,
        f"{key}_verdict": verdict_of(found.p_kept, found.p_broken, 1 - level),
        f"{key}_reason": found.problem or _reason(key, found, sample, level),
        "kill_free_runs_needed" if key == "kill" else f"{key}_runs_needed": found.needed,
    }


def verdict_of(p_kept: float, p_broken: float, alpha: float) -> str:
    """Return pass, fail or undecided; where both were proved in turn, what the runs say more clearly."""
    if min(p_kept, p_broken) > alpha or p_kept == p_broken:
        return "undecided"
    return "pass" if p_kept < p_broken else "fail"


def _kill(sample: Sample, budget: float, level: float) -> Proof:
    n, estimate = _known(sample, "kill")
    if sample.problem:
        return Proof(n, estimate, problem=sample.problem)
    low, high = sample.ends("kill", 0.0, 1.0)
    known = bounds.share(low, high, budget, sample.space, level)
    needed = None
    if min(known.p_below, known.p_above) > 1 - level:
        runs = bounds.runs_that_prove_few(high, bounds.FURTHER, budget, sample.space, level)
        needed = None if runs is None else runs - low.size
    return Proof(n, estimate, known.lower, known.upper, known.p_below, known.p_above, needed)


def _mean(sample: Sample, name: str, budget: float, ends: tuple[float, float], level: float) -> Proof:
    n, estimate = _known(sample, name)
    problem = sample.problem or _beyond(sample, name, ends)
    if problem:
        return Proof(n, estimate, problem=problem)
    low, high = sample.ends(name, *ends)
    known = bounds.mean(low, high, budget, ends, sample.space, level)
    is_floor = name == "pnl"
    kept, broken = (known.p_above, known.p_below) if is_floor else (known.p_below, known.p_above)
    if known.lower == known.upper == budget:
        # All seeds were run, and the mean is the budget itself, which keeps it.
        broken = 1.0
    needed = None
    if min(kept, broken) > 1 - level:
        runs = (
            bounds.runs_that_prove_mean(low, bounds.FURTHER, budget, ends, sample.space, level)
            if is_floor
            else bounds.runs_that_prove_mean(-high, bounds.FURTHER, -budget, (-ends[1], -ends[0]), sample.space, level)
        )
        needed = None if runs is None else runs - low.size
    return Proof(n, estimate, known.lower, known.upper, kept, broken, needed)


def _known(sample: Sample, name: str) -> tuple[int, float | None]:
    """Return how many runs say something, and the mean of what they say."""
    told = sample.units.drop_nulls(f"{name}_high")
    low, high = (told[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
    return low.size, math.fsum(low / (2 * low.size) + high / (2 * low.size)) if low.size else None


def _beyond(sample: Sample, name: str, ends: tuple[float, float]) -> str | None:
    values = np.concatenate([sample.units[f"{name}_{end}"].drop_nulls().to_numpy() for end in ("low", "high")])
    beyond = values[(values < ends[0]) | (values > ends[1])]
    if not beyond.size:
        return None
    what = "final PnL" if name == "pnl" else "drawdown"
    return f"a {what} of {beyond[0]:.6g} usd is beyond the stated range of {ends[0]:.6g} to {ends[1]:.6g}"


def _reason(key: str, found: Proof, sample: Sample, level: float) -> str:
    """Return in words what a verdict rests on."""
    alpha, is_floor = 1 - level, key == "pnl"
    assert found.lower is not None and found.upper is not None
    at_least, at_most = f"at least {short(found.lower)}", f"at most {short(found.upper)}"
    verdict = verdict_of(found.p_kept, found.p_broken, alpha)
    if verdict == "undecided":
        said = f"{short(found.lower)} to {short(found.upper)}"
        if found.needed:
            kind = "kill-free runs" if key == "kill" else "runs like these"
            said += f", {found.needed} more {kind} would prove it"
    else:
        said = at_least if (verdict == "pass") == is_floor else at_most
    of_space = f" of {sample.space}" if sample.space <= _COUNTED else ""
    seeds = f"{len(sample.units)}{of_space} {'runs' if sample.key is None else 'seeds'}"
    said += {"all": ", all seeds run", "assumed": f" if these {seeds} are independent"}.get(
        str(sample.basis), f", {seeds}"
    )
    holes = len(sample.units) - found.n
    said += f"; {holes} unknown, the worse end counts" if holes else ""
    return said + (f"; {sample.left_out} others are not of the sample" if sample.left_out else "")


def _tail(sample: Sample, worst: float, level: float) -> dict[str, float | None]:
    """Return the 95 % quantile of the drawdown and the mean beyond it (CVaR), with bounds; null without a sample."""
    names = [f"dd_{kind}95{end}" for kind in ("q", "cvar") for end in ("", "_lower", "_upper")]
    if sample.problem or _beyond(sample, "dd", (0.0, worst)):
        return dict.fromkeys(names)
    low, high = sample.ends("dd", 0.0, worst)
    seen = np.sort(sample.units.drop_nulls("dd_high")["dd_low"].to_numpy())
    estimates = (float(np.quantile(seen, _TAIL, method="inverted_cdf")), _cvar(seen)) if seen.size else (None, None)
    of_quantile = bounds.quantile(low, high, _TAIL, (0.0, worst), sample.space, level)
    least, most = _bounds_of_cvar(low, high, of_quantile.lower, worst, sample.space, level)
    values = (estimates[0], of_quantile.lower, of_quantile.upper, estimates[1], least, most)
    return dict(zip(names, values, strict=True))


def _within(tail: Mapping[str, float | None], kind: str, budget: float | None) -> str | None:
    """Return the verdict on a tail, None where it has no budget."""
    lower, upper = tail[f"dd_{kind}_lower"], tail[f"dd_{kind}_upper"]
    if budget is None:
        return None
    if lower is None or upper is None:
        return "undecided"
    return "pass" if upper <= budget else "fail" if lower > budget else "undecided"


def _cvar(values: Values) -> float:
    """Return the mean of the largest 5 % of sorted values; one that stands on the border counts with its share."""
    beyond = (1 - _TAIL) * values.size
    weights = np.clip(beyond - np.arange(values.size), 0, 1)
    return math.fsum(weights * values[::-1]) / beyond


def _bounds_of_cvar(
    low: Values, high: Values, least: float, worst: float, space: int, level: float
) -> tuple[float, float]:
    """Return bounds of the mean beyond the 95 % quantile.

    Of every cut c, c plus the mean excess over c, divided by 5 %, is no less than it (Rockafellar and Uryasev 2000):
    the least of such bounds holds when each holds at its share of the level. It is no less than the quantile.
    """
    if low.size == space:
        return _cvar(np.sort(low)), _cvar(np.sort(high))
    share = 1 - (1 - level) / _CUTS
    most = worst
    for cut in (worst * 0.5**power for power in range(1, _CUTS + 1)):
        excess = np.maximum(high - cut, 0)
        mean = bounds.mean(excess, excess, 0.0, (0.0, worst - cut), space, share)
        most = min(most, cut + mean.upper / (1 - _TAIL))
    return least, most
