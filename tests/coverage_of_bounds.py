"""How often a verdict is wrong: budgets set at the true value, seeds drawn by key, a look after every run.

`python -m tests.coverage_of_bounds` prints the tables of docs/evidence.md; it takes ten minutes. A pass of a budget
that is the true value counts as wrong, and so does a fail: nothing could be closer to the edge.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paraphina_wh.engine.seeds import seeds_of
from paraphina_wh.evidence.bounds import ENDLESS, p_of_mean, p_of_share, runs_that_prove_few
from tests.conftest import RECORDED

Values = NDArray[np.float64]
SPACE = 10_000
ALPHA = 0.05
# Of the tier balanced: sql/04_evidence_ranges.sql.
DRAWDOWN_RANGE, PNL_RANGE = (0.0, 40_000.0), (-7_500.0, 12_500.0)


class Metric(NamedTuple):
    """The values of all seeds. ends: the stated range; None for kills, 0 or 1."""

    population: str
    name: str
    values: Values
    ends: tuple[float, float] | None


def metrics() -> Iterator[Metric]:
    """Yield what the real engine gives for each of its seeds, where that was recorded, and made-up populations."""
    folder = Path(RECORDED or Path(__file__).parents[2] / "shared" / "recorded") / "seed_population"
    for file in sorted(folder.glob("*.csv")):
        with file.open() as lines:
            rows = list(csv.DictReader(lines))
        kills, pnl, drawdown = (
            np.array([float(row[name]) for row in rows]) for name in ("kill_switch", "final_pnl", "max_drawdown")
        )
        yield Metric(file.stem, "kills", kills, None)
        yield Metric(file.stem, "final PnL", pnl, PNL_RANGE)
        yield Metric(file.stem, "drawdown", drawdown, DRAWDOWN_RANGE)
        # No range could be narrower, and no bet larger.
        for name, values in (("final PnL", pnl), ("drawdown", drawdown)):
            yield Metric(file.stem, f"{name}, range as narrow as it is", values, (values.min(), values.max()))
    for name, draw in DRAWS.items():
        shape = draw(np.random.default_rng(1))
        yield Metric(name, "drawdown", np.clip(4000 * shape, *DRAWDOWN_RANGE), DRAWDOWN_RANGE)
        yield Metric(name, "final PnL", np.clip(1000 * (1 - shape), *PNL_RANGE), PNL_RANGE)


def _catastrophes(share: float) -> Callable[[np.random.Generator], Values]:
    """Return runs that cost little, but for some that cost the worst there is, and a mean of 1."""
    return lambda rng: np.where(rng.permutation(SPACE) < share * SPACE, 10.0, max(0.0, 1 - 10 * share) / (1 - share))


# All seeds of a made-up engine, about 1 in the mean.
DRAWS: dict[str, Callable[[np.random.Generator], Values]] = {
    "exponential": lambda rng: rng.exponential(size=SPACE),
    "lognormal 1": lambda rng: np.exp(rng.standard_normal(SPACE) - 0.5),
    "lognormal 1.5": lambda rng: np.exp(1.5 * rng.standard_normal(SPACE) - 1.125),
    "Pareto 2.5": lambda rng: 0.6 * (1 + rng.pareto(2.5, SPACE)),
    "1 % catastrophes": _catastrophes(0.01),
    "5 % catastrophes": _catastrophes(0.05),
    "10 % catastrophes": _catastrophes(0.10),
}


def wrong(metric: Metric, orders: list[NDArray[np.int64]]) -> tuple[int, int]:
    """Return with how many orders some look, of all but the last, proves the true value exceeded, and undercut.

    The p-value of so many runs is that of the best look at them or fewer.
    """
    exceeded = undercut = 0
    truth = math.fsum(metric.values) / SPACE
    for order in orders:
        seen = metric.values[order[:-1]]
        if metric.ends is None:
            above, below = p_of_share(seen, seen, truth, SPACE)
            # Above the true number of kills, and at it: one fewer would be as wrong as it gets.
            below = p_of_share(seen, seen, truth - 1 / SPACE, SPACE)[1]
        else:
            above, below = p_of_mean(seen, seen, truth, metric.ends, SPACE)
        exceeded, undercut = exceeded + (above <= ALPHA), undercut + (below <= ALPHA)
    return exceeded, undercut


def orders_of(keys: int) -> list[NDArray[np.int64]]:
    """Return the orders that so many keys name."""
    return [np.array(seeds_of(str(key), SPACE, 1, SPACE)) for key in range(1, keys + 1)]


def main(keys: int = 4000) -> None:
    """Print both tables, as Markdown."""
    orders = orders_of(keys)
    error = 100 * math.sqrt(ALPHA * (1 - ALPHA) / keys)
    print(f"{keys} keys, a look after each of 9,999 runs; Monte Carlo error {error:.1f} %:\n")
    print("| population | metric | true value | proved exceeded | proved undercut |\n|---|---|--:|--:|--:|")
    for metric in metrics():
        exceeded, undercut = (100 * count / keys for count in wrong(metric, orders))
        truth = math.fsum(metric.values) / SPACE
        print(f"| {metric.population} | {metric.name} | {truth:.6g} | {exceeded:.1f} % | {undercut:.1f} % |")
    print("\n| budget | kill-free runs of 10,000 seeds | of endless seeds | textbook, one look |\n|--:|--:|--:|--:|")
    for budget in (0.15, 0.05, 0.01):
        few, many = (runs_that_prove_few(np.zeros(0), 20_000, budget, space, 0.95) for space in (SPACE, ENDLESS))
        print(f"| {budget:.0%} | {few} | {many} | {math.ceil(math.log(ALPHA) / math.log(1 - budget))} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
