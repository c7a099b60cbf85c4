"""Bounds that hold at every look: against hand-made values, a second formula, and all orders of small populations."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest

from paraphina_wh.evidence.bounds import ENDLESS, Known, mean, p_of_mean, quantile, share
from tests.coverage_of_bounds import ALPHA, Metric, metrics, orders_of, wrong


def kills(values: list[int] | np.ndarray, budget: float, space: int, level: float = 0.95) -> Known:
    seen = np.array(values, dtype=float)
    return share(seen, seen, budget, space, level)


def mean_of(values: list[float], budget: float, space: int, value_range: tuple[float, float] = (0, 1)) -> Known:
    seen = np.array(values, dtype=float)
    return mean(seen, seen, budget, value_range, space, 0.95)


@pytest.mark.parametrize(
    ("budget", "runs_of_10000_seeds", "runs_of_endless_seeds"), [(0.15, 24, 24), (0.05, 82, 82), (0.01, 445, 461)]
)
def test_so_many_kill_free_runs_prove_a_budget(
    budget: float, runs_of_10000_seeds: int, runs_of_endless_seeds: int
) -> None:
    for space, runs in ((10_000, runs_of_10000_seeds), (ENDLESS, runs_of_endless_seeds)):
        assert kills([0] * (runs - 1), budget, space).p_below > ALPHA
        known = kills([0] * runs, budget, space)
        assert known.p_below <= ALPHA
        assert known.upper <= budget
        assert known.lower == 0


def test_the_wealth_is_the_prior_over_the_posterior_of_a_beta_binomial() -> None:
    a, b, space, seen = 0.25, 1.0, 20, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]

    def beta_binomial(k: int, n: int, a: float, b: float) -> float:
        def beta(x: float, y: float) -> float:
            return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

        return math.comb(n, k) * math.exp(beta(k + a, n - k + b) - beta(a, b))

    def ratio(killed: int, runs: int) -> float:
        hits = sum(seen[:runs])
        posterior = beta_binomial(killed - hits, space - runs, a + hits, b + runs - hits)
        return beta_binomial(killed, space, a, b) / posterior

    # More than 8 of 20 seeds are killed: under 9 the runs are likeliest, but where they show more already.
    most_wealth = max(ratio(9, runs) for runs in range(1, len(seen) + 1) if sum(seen[:runs]) * 21 < 10 * runs)
    assert most_wealth > 1
    assert kills(seen, 0.4, space).p_below == pytest.approx(1 / most_wealth)


@pytest.mark.parametrize("killed", range(8))
def test_no_order_of_a_population_is_judged_wrongly_more_often_than_allowed(killed: int) -> None:
    space, level = 7, 0.6
    orders = [[int(place in places) for place in range(space)] for places in _subsets(space, killed)]
    for budget_seeds in range(space):
        budget = budget_seeds / space
        wrong = 0
        for order in orders:
            looks = [kills(order[:runs], budget, space, level) for runs in range(1, space + 1)]
            assert looks[-1].lower == looks[-1].upper == killed / space
            if killed > budget_seeds:
                wrong += any(look.p_below <= 1 - level for look in looks)
            else:
                wrong += any(look.p_above <= 1 - level for look in looks)
        assert wrong <= (1 - level) * len(orders)


def _subsets(space: int, size: int) -> list[set[int]]:
    return [{i for i in range(space) if bits >> i & 1} for bits in range(2**space) if bits.bit_count() == size]


@pytest.mark.parametrize("values", [(0, 0, 0, 0, 0, 1), (0, 0.1, 0.2, 0.9, 1, 1), (0.4, 0.4, 0.5, 0.5, 0.6, 1)])
def test_no_order_of_values_is_judged_wrongly_more_often_than_allowed(values: tuple[float, ...]) -> None:
    space, level = len(values), 0.7
    true = sum(values) / space
    orders = list(permutations(values))
    too_high = too_low = 0
    for order in orders:
        # The p-value of so many runs is that of the best look at them or fewer; with all of them it is no chance.
        seen = np.array(order[:-1])
        p_above, p_below = p_of_mean(seen, seen, true, (0, 1), space)
        too_high += p_above <= 1 - level
        too_low += p_below <= 1 - level
    assert too_high <= (1 - level) * len(orders)
    assert too_low <= (1 - level) * len(orders)


def test_all_seeds_give_the_answer_itself() -> None:
    known = mean_of([0.1, 0.2, 0.6, 0.9], 0.3, 4)
    assert known.lower == pytest.approx(0.45, abs=1e-6)
    assert known.upper == pytest.approx(0.45, abs=1e-6)
    assert (known.p_above, known.p_below) == (0, 1)


def test_a_bound_and_the_verdict_at_its_level_agree() -> None:
    random = np.random.default_rng(1)
    for runs, centre in product((3, 20, 100), (0.2, 0.5, 0.8)):
        values = np.clip(random.normal(centre, 0.1, runs), 0, 1)
        known = mean_of(list(values), 0.5, 10_000)
        assert (known.p_above <= ALPHA) == (known.lower >= 0.5)
        assert (known.p_below <= ALPHA) == (known.upper <= 0.5)


def test_units_of_the_range_do_not_matter() -> None:
    in_units = mean_of([0.5, 0.75, 0.5, 0.75] * 20, 0.3, 10_000)
    in_usd = mean_of([0.0, 500.0, 0.0, 500.0] * 20, -400.0, 10_000, (-1000.0, 1000.0))
    assert in_usd.p_above == pytest.approx(in_units.p_above)
    assert in_usd.lower == pytest.approx(2000 * in_units.lower - 1000)


def test_a_run_that_failed_is_taken_for_the_worse_of_both() -> None:
    low, high = np.zeros(40), np.zeros(40)
    assert share(low, high, 0.15, 10_000, 0.95).p_below <= ALPHA
    # Nobody knows what the third run came to: it may have been killed, and may not.
    high[2] = 1
    known = share(low, high, 0.15, 10_000, 0.95)
    assert known.p_below > ALPHA
    assert (known.lower, known.p_above) == (0, 1)


def test_a_verdict_once_reached_stays() -> None:
    good = [0] * 24
    assert kills(good + [1] * 5, 0.15, 10_000).p_below == kills(good, 0.15, 10_000).p_below


def test_no_run_proves_nothing() -> None:
    assert kills([], 0.15, 10_000) == Known(0, 1, 1, 1)
    assert mean_of([], 0.5, 10_000) == Known(0, 1, 1, 1)


def test_what_the_range_alone_says_needs_no_run() -> None:
    known = mean_of([], 0.0, 10_000)
    assert (known.p_above, known.p_below) == (0, 1)


def test_a_quantile_lies_between_values_that_were_seen_or_the_ends_of_the_range() -> None:
    values = np.arange(1.0, 101.0)
    few = quantile(values[:10], values[:10], 0.95, (0, 1000), 10_000, 0.95)
    assert few.upper == 1000
    all_of_them = quantile(values, values, 0.95, (0, 1000), 100, 0.95)
    # 5 of the 100 values lie above 95.
    assert (all_of_them.lower, all_of_them.upper) == (95, 95)


@pytest.mark.parametrize(
    "metric", [m for m in metrics() if m.ends], ids=lambda metric: f"{metric.population}, {metric.name}"
)
def test_at_the_true_value_verdicts_are_wrong_as_seldom_as_they_say(metric: Metric) -> None:
    """The short form of `python -m tests.coverage_of_bounds`: 5 %, give or take three standard errors."""
    rng = np.random.default_rng(20261130)
    trials = 200
    counts = wrong(metric, [rng.permutation(metric.values.size) for _ in range(trials)])
    assert max(counts) <= trials * (ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / trials))


def test_orders_of_keys_do_no_worse_than_orders_of_chance() -> None:
    kills = Metric("one in fifty", "kills", (np.arange(10_000) % 50 == 0).astype(float), None)
    assert max(wrong(kills, orders_of(20))) <= 4
