"""Confidence sequences: what runs with drawn seeds prove about a share, a mean or a quantile, at every look.

Runs come in the order in which their seeds were drawn, without replacement, from a space of so many seeds. A bet is
made on each before it is seen, at odds that are fair when the null hypothesis is true. Then the wealth of the bettor
exceeds 1 / alpha at any time with a chance of at most alpha (Ville 1939), so 1 / wealth is a p-value that holds at
every look: to look after each run costs nothing.

Source: Waudby-Smith and Ramdas, "Confidence sequences for sampling without replacement" (2020) for shares, where the
bet is the prediction of a beta-binomial mixture and the wealth the prior-posterior ratio; "Estimating means of bounded
random variables by betting" (2024) for means, where it is their approximation of GRAPA. Nothing is assumed of a
distribution but the range of its values.

A value that is not known, because its run failed, has a low and a high end: each side is proved with the worse one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# For seeds that were drawn from no known space: so large that no draw tells anything of the next.
ENDLESS: Final = 2**53
# How many further runs are thought of when it is worked out what would decide: more are not run to find out.
FURTHER: Final = 20_000
# Beta prior of a share: most of its weight near 0, where budgets are.
_PRIOR_HITS: Final = 0.25
_PRIOR_OTHERS: Final = 1.0
# The most that is staked of what one run can cost: with all of it the first worst case would leave nothing.
_MOST_STAKED: Final = 0.9
# Variance assumed before the first run, in units of the squared range.
_PRIOR_VARIANCE: Final = 0.05
# Of the range: bounds of means are exact to a millionth of a per cent of it.
_HALVINGS: Final = 26
# What the sum of many rounded values may be off by, in units of the range.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Known:
    """What is known of a quantity.

    lower, upper: bounds at the level asked for; each is wrong at any look with a chance of at most 1 - level.
    p_above, p_below: the alpha at which it is proved that the quantity is above, or at, its budget; below it or at it.
    """

    lower: float
    upper: float
    p_above: float
    p_below: float


def share(low: Values, high: Values, budget: float, space: int, level: float) -> Known:
    """Return what is known of the share of the seeds whose runs are hits, such as kills.

    low, high: 0 or 1 for each run, in the order of the draw. p_above is of a share above the budget, not at it.
    """
    p_above, p_below = p_of_share(low, high, budget, space)
    if low.size == space:
        return Known(float(low.mean()), float(high.mean()), p_above, p_below)
    alpha = 1 - level
    fewest = _largest(lambda seeds: _p_at_least(low, seeds, space) <= alpha, 0, space)
    others = _largest(lambda seeds: _p_at_most(high, space - seeds, space) <= alpha, 0, space)
    return Known(
        lower=fewest / space,
        upper=(space - others) / space,
        p_above=p_above,
        p_below=p_below,
    )


def p_of_share(low: Values, high: Values, budget: float, space: int) -> tuple[float, float]:
    """Return p_above and p_below of `share`."""
    if low.size == space:
        return _p_of_fact(low.mean() > budget), _p_of_fact(high.mean() <= budget)
    allowed = math.floor(budget * space * (1 + 1e-12))
    return _p_at_least(low, allowed + 1, space), _p_at_most(high, allowed, space)


def mean(low: Values, high: Values, budget: float, value_range: tuple[float, float], space: int, level: float) -> Known:
    """Return what is known of the mean over all seeds of a value that lies in a range.

    low, high: one value for each run, in the order of the draw, within the range.
    """
    start, end = value_range
    p_above, p_below = p_of_mean(low, high, budget, value_range, space)
    if low.size == space:
        return Known(math.fsum(low) / space, math.fsum(high) / space, p_above, p_below)
    width = end - start
    below, above = (low - start) / width, (end - high) / width
    limit = (budget - start) / width
    lower = _largest_mean(below, limit, space, 1 - level)
    upper = _largest_mean(above, 1 - limit, space, 1 - level)
    return Known(
        lower=start + width * lower,
        upper=end - width * upper,
        p_above=p_above,
        p_below=p_below,
    )


def p_of_mean(
    low: Values, high: Values, budget: float, value_range: tuple[float, float], space: int
) -> tuple[float, float]:
    """Return p_above and p_below of `mean`."""
    if low.size == space:
        return _p_of_fact(math.fsum(low) / space >= budget), _p_of_fact(math.fsum(high) / space <= budget)
    start, end = value_range
    width = end - start
    limit = (budget - start) / width
    return _p_mean_above((low - start) / width, limit, space), _p_mean_above((end - high) / width, 1 - limit, space)


def quantile(low: Values, high: Values, q: float, value_range: tuple[float, float], space: int, level: float) -> Known:
    """Return bounds of the q-quantile over all seeds; the p-values are those of the range, 1."""
    start, end = value_range
    if low.size == space:
        least, most = (float(np.quantile(values, q, method="inverted_cdf")) for values in (low, high))
        return Known(least, most, 1.0, 1.0)
    beyond = math.floor((1 - q) * space * (1 + 1e-12))
    alpha = 1 - level
    ups, downs = np.unique(high), np.unique(low)
    passed = _largest(
        lambda n: _p_at_most((high > ups[ups.size - n]).astype(float), beyond, space) <= alpha, 0, ups.size
    )
    reached = _largest(
        lambda n: _p_at_least((low >= downs[n - 1]).astype(float), beyond + 1, space) <= alpha, 0, downs.size
    )
    return Known(
        lower=float(downs[reached - 1]) if reached else start,
        upper=float(ups[ups.size - passed]) if passed else end,
        p_above=1.0,
        p_below=1.0,
    )


def runs_that_prove_few(hits: Values, further: int, budget: float, space: int, level: float) -> int | None:
    """Return after how many runs a share of hits is proved within its budget when none of the further ones is a hit.

    None when that takes more than so many further runs. With all seeds run the answer is exact, so the space suffices.
    """
    allowed = math.floor(budget * space * (1 + 1e-12))
    path = np.concatenate([hits, np.zeros(min(further, space - hits.size))])
    needed = _first(_evidence_of_at_most(path, allowed, space), 1 - level) if allowed < space else 1
    return needed or (space if path.size == space and path.sum() <= allowed else None)


def runs_that_prove_mean(
    values: Values, further: int, budget: float, value_range: tuple[float, float], space: int, level: float
) -> int | None:
    """Return after how many runs a mean is proved above its budget when the further runs repeat those there are.

    None when that takes more than so many further runs. For a mean below a budget, mirror values, budget and range.
    """
    start, end = value_range
    width, runs = end - start, min(values.size + further, space)
    if not values.size or runs <= values.size:
        return None
    path = np.resize((values - start) / width, runs)
    return _first(_evidence_of_mean_above(path, (budget - start) / width, space), 1 - level)


def _p_of_fact(holds: bool) -> float:
    """Return the p-value of what all seeds together say: nothing is left to chance."""
    return 0.0 if holds else 1.0


def _p_at_least(hits: Values, seeds: int, space: int) -> float:
    """Return the p-value against: fewer than so many seeds of the space are hits."""
    if seeds <= 0:
        return 0.0
    if seeds > space:
        return 1.0
    wealth, seen, runs = _wealth_of_share(hits, seeds - 1, space)
    # Elsewhere another number of hits, allowed by the null too, would explain the runs better.
    return _p(np.where(seen * (space + 1) >= (seeds - 1) * runs, wealth, -np.inf))


def _p_at_most(hits: Values, seeds: int, space: int) -> float:
    """Return the p-value against: more than so many seeds of the space are hits."""
    if seeds >= space:
        return 0.0
    return 1.0 if seeds < 0 else _p(_evidence_of_at_most(hits, seeds, space))


def _evidence_of_at_most(hits: Values, seeds: int, space: int) -> Values:
    wealth, seen, runs = _wealth_of_share(hits, seeds + 1, space)
    return np.where(seen * (space + 1) < (seeds + 2) * runs, wealth, -np.inf)


def _wealth_of_share(hits: Values, seeds: int, space: int) -> tuple[Values, Values, Values]:
    """Return the logarithm of the wealth after each run against: exactly so many seeds are hits; hits and runs seen."""
    before = np.arange(hits.size, dtype=float)
    seen = np.cumsum(hits)
    earlier = seen - hits
    predicted = (_PRIOR_HITS + earlier) / (_PRIOR_HITS + _PRIOR_OTHERS + before)
    expected = np.clip((seeds - earlier) / (space - before), 0, 1)
    with np.errstate(divide="ignore"):
        odds = np.where(hits > 0, predicted / expected, (1 - predicted) / (1 - expected))
    return np.cumsum(np.log(odds)), seen, before + 1


def _p_mean_above(values: Values, null: float, space: int) -> float:
    """Return the p-value against: the mean of values in [0, 1] over the whole space is below the null."""
    if null <= 0:
        return 0.0
    return 1.0 if null >= 1 else _p(_evidence_of_mean_above(values, null, space))


def _evidence_of_mean_above(values: Values, null: float, space: int) -> Values:
    """Return the logarithm of the wealth after each value."""
    before = np.arange(values.size, dtype=float)
    earlier = np.cumsum(values) - values
    left = (null * space - earlier) / (space - before)
    predicted = ((1 + null) / 2 + earlier) / (1 + before)
    squares = np.cumsum((values - predicted) ** 2)
    variance = (_PRIOR_VARIANCE + np.concatenate([[0.0], squares[:-1]])) / (1 + before)
    edge = predicted - left
    fair = np.clip(left, _ROUNDING, 1)
    stake = np.where(left < 1, np.clip(edge / (variance + edge * edge), 0, _MOST_STAKED / fair), 0)
    step = np.log1p(stake * (values - fair))
    # The runs seen add up to more than the null allows for the whole space.
    return np.cumsum(np.where(left < -_ROUNDING * space, np.inf, step))


def _largest_mean(values: Values, budget: float, space: int, alpha: float) -> float:
    """Return the largest null that is rejected; on the same side of the budget as the verdict on it."""
    low, high = 0.0, 1.0
    if 0 < budget < 1:
        low, high = (budget, 1.0) if _p_mean_above(values, budget, space) <= alpha else (0.0, budget)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _p_mean_above(values, middle, space) <= alpha else (low, middle)
    return low


def _largest(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest number from low to high for which something holds that holds for low and all up to it."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _p(wealth: Values) -> float:
    """Return the p-value of the largest wealth ever, given its logarithm after each run."""
    return math.exp(-max(0.0, float(wealth.max()))) if wealth.size else 1.0


def _first(wealth: Values, alpha: float) -> int | None:
    """Return after how many runs the wealth suffices, None when it never does."""
    suffices = wealth >= -math.log(alpha)
    return int(suffices.argmax()) + 1 if suffices.any() else None
