"""Comparisons of presets of the reference engine: equal ones are not promoted, and common seeds find a shift early.

Equal presets: both sides are the runs of one preset over one population of seeds, the second in a random order of its
own, so that over all seeds nothing differs; the draw of the pairs is random. What is proved at any look stays
proved: one at the last pair but one tells of all. The last pair would make the answer exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.typing import NDArray

from paraphina_wh.engine.seeds import SEED_SPACE, seeds_of
from paraphina_wh.evidence.bounds import ENDLESS, mean
from paraphina_wh.evidence.compare import SetComparison, compare_sets
from paraphina_wh.evidence.sides import Side
from paraphina_wh.reference_engine.config import load_config
from paraphina_wh.reference_engine.simulator import Simulator
from tests.torture.figures import Figure

LEVEL: Final = 0.95
TRIALS: Final = 400
ORDERS: Final = 20
PROFILE: Final = "aggressive"
_ENGINE: Final = "a population"
# A tick a second, so that a short run sees several phases of the market.
BASE: Final[Mapping[str, str]] = {"PARAPHINA_MAIN_LOOP_INTERVAL_MS": "1000"}
SHIFTED: Final[Mapping[str, str]] = {**BASE, "PARAPHINA_HEDGE_BAND_BASE": "15"}
# After so many ticks few enough runs are killed that the score alone stands between equal presets and a promotion.
_TICKS_WITHIN_BUDGET: Final = 150
# Of final PnLs, after the view evidence_ranges.
_SPAN_USD: Final = 8000.0

Runs = pl.DataFrame
Values = NDArray[np.float64]


def runs_of(knobs: Mapping[str, str], runs: int, ticks: int) -> Runs:
    """Return pnl_usd, drawdown_usd and kill_switch of runs of the reference engine, with the seeds of the key 1."""
    seeds = seeds_of("1", SEED_SPACE["reference"], 1, runs)
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(partial(_run, dict(knobs), ticks), seeds, chunksize=16))
    return pl.DataFrame(rows, schema=["seed", "pnl_usd", "drawdown_usd", "kill_switch"], orient="row")


def _run(knobs: Mapping[str, str], ticks: int, seed: int) -> tuple[int, float, float, bool]:
    simulator = Simulator(load_config(PROFILE, knobs)[0], seed)
    pnl = []
    for _ in range(ticks):
        simulator.step()
        pnl.append(simulator.pnl_total_usd)
        if simulator.risk.kill_switch:
            break
    return seed, pnl[-1], float((np.maximum.accumulate(pnl) - pnl).max()), simulator.risk.kill_switch


def equal_trials(runs: Runs, trials: int, seed: int) -> Iterator[SetComparison]:
    """Yield comparisons of runs with the same runs in another order, over all seeds but one."""
    rng = np.random.default_rng(seed)
    # An engine that tells these seeds apart, and no others.
    with patch.dict(SEED_SPACE, {_ENGINE: runs.height}):
        for _ in range(trials):
            orders = [rng.permutation(runs.height)[: runs.height - 1] for _ in "ab"]
            made = compare_sets(*(_side(runs[order], runs.height) for order in orders), level=LEVEL)
            # Where no verdict were possible none would be wrong.
            assert made.verdict.criteria[0].lower is not None, made.verdict.reason
            yield made


def _side(runs: Runs, space: int) -> Side:
    """Return runs as they come, each at its place of one order; the market of a place is not common to both sides."""
    place = pl.int_range(1, runs.height + 1, dtype=pl.Int64)
    drawn = {"seed_origin": pl.lit("drawn"), "seed_key": pl.lit("1"), "seed_first": pl.lit(1), "is_whole": pl.lit(True)}
    config = {"kind": pl.lit("config"), "config": pl.lit("c"), "engine": pl.lit(_ENGINE)}
    settings = {"profile": pl.lit(PROFILE), "ticks_requested": pl.lit(1), "seed_space": pl.lit(space)}
    seeds = pl.Series(seeds_of("1", space, 1, runs.height), dtype=pl.UInt64)
    placed = runs.with_columns(seed=seeds, seed_index=place, arrival=place)
    return Side("equal", placed.with_columns(**drawn, **config, **settings))


def pairs_to_find(differences: Values) -> int:
    """Return how many pairs prove that the mean final PnL differs; one more than there are when all do not."""
    low, high = 1, differences.size + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if middle > differences.size or _is_found(differences[:middle]) else (middle + 1, high)
        )
    return low


def _is_found(differences: Values) -> bool:
    known = mean(differences, differences, 0.0, (-_SPAN_USD, _SPAN_USD), ENDLESS, LEVEL)
    return min(known.p_above, known.p_below) <= 1 - LEVEL


def needed(base: Runs, shifted: Runs, orders: int, seed: int) -> tuple[int, int]:
    """Return how many pairs of common seeds and of other seeds find the shift: medians over orders of the seeds."""
    rng = np.random.default_rng(seed)
    before, after = (runs["pnl_usd"].to_numpy() for runs in (base, shifted))
    common, other = [], []
    for _ in range(orders):
        one, two = (rng.permutation(before.size) for _ in "ab")
        common.append(pairs_to_find(after[one] - before[one]))
        other.append(pairs_to_find(after[one] - before[two]))
    return int(np.median(common)), int(np.median(other))


def variances(base: Runs, shifted: Runs) -> tuple[float, float]:
    """Return the variance of the difference of final PnL of other seeds, and of common ones, in usd^2."""
    before, after = (runs["pnl_usd"].to_numpy() for runs in (base, shifted))
    return float(before.var() + after.var()), float((after - before).var())


def attack(seed: int, runs: int = 2000, ticks: int = 400) -> list[Figure]:
    """Return what came of both: see the module."""
    base, shifted = (runs_of(knobs, runs, ticks) for knobs in (BASE, SHIFTED))
    made = list(equal_trials(runs_of(BASE, runs, _TICKS_WITHIN_BUDGET), TRIALS, seed))
    promoted = sum(each.verdict.decision == "promote" for each in made)
    must = round(TRIALS * LEVEL)
    common, other = needed(base, shifted, ORDERS, seed)
    unpaired, paired = variances(base, shifted)
    return [
        Figure(
            f"equal presets compared, {TRIALS} trials, a look after every pair: {promoted} promoted",
            *(must, min(must, TRIALS - promoted), "trials that must not be", seed),
        ),
        Figure(
            f"a shift of {_shift(base, shifted):.0f} usd, common seeds: {common} pairs; other seeds: {other}",
            *(3, min(3, other // common), "times fewer", seed),
        ),
        Figure(
            f"variance of the difference of final PnL: {unpaired:,.0f} usd^2, on common seeds {paired:,.0f}",
            *(5, min(5, int(unpaired / paired)), "times smaller", seed),
        ),
    ]


def _shift(base: Runs, shifted: Runs) -> float:
    differences = shifted["pnl_usd"].to_numpy() - base["pnl_usd"].to_numpy()
    return float(differences.mean())
