"""How often the bounds of the view `evidence` hold, found by simulation through the view itself.

`python -m tests.coverage_of_bounds 20000` prints the table of docs/evidence.md. Trials are datasets, so that one query
answers thousands of them; each tier draws from another distribution.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from paraphina_wh.catalog import macros_sql, view_sql
from paraphina_wh.evidence import Look, looks, min_runs

VIEWS = ("independent_runs", "kill_evidence", "mean_evidence", "evidence")
TIERS = ("conservative", "balanced", "aggressive")
KILL_BUDGETS = (0.01, 0.05, 0.15)
DRAWDOWN_BUDGETS = (2000.0, 4000.0, 8000.0)
PNL_BUDGETS = (0.0, 0.0, -500.0)
Sample = dict[str, np.ndarray]
Size = tuple[int, int]


def _normal(rng: np.random.Generator, size: Size) -> np.ndarray:
    return 1 + 0.1 * rng.standard_normal(size)


def _exponential(rng: np.random.Generator, size: Size) -> np.ndarray:
    return rng.exponential(size=size)


def _lognormal(rng: np.random.Generator, size: Size) -> np.ndarray:
    return np.exp(0.5 * rng.standard_normal(size) - 0.125)


# What drawdowns may look like, positive and of mean 1: a tier draws from each.
DRAWS = (_normal, _exponential, _lognormal)


def draw(trials: int, n: int, seed: int) -> dict[str, Sample]:
    """Return per tier and column n runs of each trial, every true value exactly on its budget.

    The drawdown has its tail to the right; the PnL is the mirror image of such a draw, its tail to the left.
    """
    rng = np.random.default_rng(seed)
    size = (trials, n)
    return {
        tier: {
            "kill_prob": (rng.random(size) < kill).astype(float),
            "max_drawdown": drawdown * values(rng, size),
            "final_pnl": pnl + 1000 * (1 - values(rng, size)),
        }
        for tier, kill, drawdown, pnl, values in zip(
            TIERS, KILL_BUDGETS, DRAWDOWN_BUDGETS, PNL_BUDGETS, DRAWS, strict=True
        )
    }


VERDICTS = "SELECT * FROM evidence"
WITH_DRAWDOWNS = """
SELECT e.*, m.n, m.std, m.t
FROM evidence e JOIN mean_evidence m ON m.dataset = e.dataset AND m.risk_tier = e.risk_tier AND m.metric = 'drawdown'
"""


def evidence_of(samples: dict[str, Sample], level: float, query: str = VERDICTS) -> pl.DataFrame:
    """Return what the views say to a query, datasets named by their trial."""
    with duckdb.connect() as connection:
        connection.execute(macros_sql() + view_sql("risk_tiers", Path()))
        connection.execute("CREATE TABLE evidence_settings AS SELECT $1::DOUBLE AS level, 10 AS min_runs", [level])
        rows = pl.concat(_rows(tier, sample) for tier, sample in samples.items())
        connection.register("drawn", rows.to_arrow())
        connection.execute(
            "CREATE TABLE dataset_rows AS SELECT *, true AS is_run, NULL::DOUBLE AS max_pnl, NULL::DOUBLE AS min_pnl,"
            " NULL::BIGINT AS num_ticks, NULL::VARCHAR AS evidence_id FROM drawn"
        )
        for name in VIEWS:
            connection.execute(view_sql(name, Path()))
        found: pl.DataFrame = connection.sql(query).pl()
    return found


def _rows(tier: str, sample: Sample) -> pl.DataFrame:
    trials, n = sample["final_pnl"].shape
    cells = {name: values.ravel() for name, values in sample.items()}
    numbers = {"dataset": np.repeat(np.arange(trials), n), "line_no": np.tile(np.arange(n), trials)}
    return pl.DataFrame(numbers | cells).with_columns(pl.col("dataset").cast(pl.String), profile=pl.lit(tier))


def coverage(trials: int, n: int, *, seed: int, level: float = 0.95) -> pl.DataFrame:
    """Return one row per tier: how often each bound holds, and how wide it is.

    Columns: risk_tier, n; `kill_upper`, `kill_lower`, `dd_upper`, `dd_lower`, `pnl_lower`, `pnl_upper`: shares of
    trials in which the bound holds; `plain_dd_upper`: the same for Student's t alone; `dd_width`: mean distance of
    dd_upper from the mean, relative to the distance that someone would need who knows the distribution.
    """
    samples = draw(trials, n, seed)
    oracle = {
        tier: float(np.quantile(budget - samples[tier]["max_drawdown"].mean(axis=1), level))
        for tier, budget in zip(TIERS, DRAWDOWN_BUDGETS, strict=True)
    }
    truth = pl.DataFrame(
        {"risk_tier": TIERS, "kill": KILL_BUDGETS, "dd": DRAWDOWN_BUDGETS, "pnl": PNL_BUDGETS}
        | {"oracle": [oracle[tier] for tier in TIERS]}
    )
    found = evidence_of(samples, level, WITH_DRAWDOWNS).join(truth, on="risk_tier", maintain_order="left")
    return found.group_by("risk_tier", "n", maintain_order=True).agg(
        *((pl.col(f"{name}_upper") >= pl.col(name)).mean().alias(f"{name}_upper") for name in ("kill", "dd", "pnl")),
        *((pl.col(f"{name}_lower") <= pl.col(name)).mean().alias(f"{name}_lower") for name in ("kill", "dd", "pnl")),
        plain_dd_upper=(pl.col("dd_mean") + pl.col("t") * pl.col("std") / pl.col("n").sqrt() >= pl.col("dd")).mean(),
        dd_width=((pl.col("dd_upper") - pl.col("dd_mean")) / pl.col("oracle")).mean(),
    )


def wrong_passes(trials: int, plan: list[Look], *, seed: int) -> pl.DataFrame:
    """Return per tier the share of trials in which some look gives each budget a pass; every value is on its budget."""
    whole = draw(trials, plan[-1].runs_per_profile, seed)
    passes = [
        evidence_of(
            {
                tier: {name: values[:, : look.runs_per_profile] for name, values in sample.items()}
                for tier, sample in whole.items()
            },
            look.level,
        ).select("dataset", "risk_tier", pl.col("^.*_verdict$") == "pass")
        for look in plan
    ]
    ever = pl.concat(passes).group_by("dataset", "risk_tier").agg(pl.all().any())
    return ever.group_by("risk_tier").agg(pl.col("^.*_verdict$").mean()).sort("risk_tier")


if __name__ == "__main__":
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3, tbl_width_chars=140):
        print(pl.concat(coverage(int(sys.argv[1]), n, seed=n) for n in (3, 5, 10, 20, 30, 50, 100)))
        plan = looks(min_runs(), 64, 0.95)
        print("passes that are wrong at any look of a plan, and with 95 % at each look instead")
        print(wrong_passes(int(sys.argv[1]), plan, seed=4))
        print(wrong_passes(int(sys.argv[1]), [Look(look.runs_per_profile, 0.95) for look in plan], seed=4))
