"""Baseline and candidate compared in pairs over common seeds: from names to a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from paraphina_wh.catalog import connect, sql_folder, steady, view_sql
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence import check_level
from paraphina_wh.evidence.paired import Terms, Verdict, assumption, judge
from paraphina_wh.evidence.sample import latest_part, planned
from paraphina_wh.evidence.sides import VIEWS, Order, Side, find_side, order_of
from paraphina_wh.known import TIERS, no_budget
from paraphina_wh.scratch import scratch_database
from paraphina_wh.warehouse import Warehouse

_CONSTANTS: Final = ("risk_tiers", "engine_presets", "evidence_settings", "evidence_ranges")


@dataclass(frozen=True)
class SetComparison:
    """What runs of two configurations prove, in pairs over common seeds.

    basis: what the bounds rest on: drawn, all, assumed or listed. assuming: what they assume of each run.
    left_out: seeds that only one side has come to yet.
    pairs: columns of sql/import/paired_runs.sql.
    """

    baseline: Side
    candidate: Side
    basis: str
    assuming: str
    left_out: int
    pairs: pl.DataFrame
    verdict: Verdict

    def report(self) -> dict[str, Any]:
        """Return decision, guardrails and criteria as plain values, for pipelines."""
        verdict = self.verdict
        sizes = {"pairs": verdict.pairs, "holes": verdict.holes, "left_out": self.left_out}
        return {
            "decision": verdict.decision,
            "reason": verdict.reason,
            "basis": self.basis,
            "assuming": self.assuming,
            "level": verdict.level,
            "baseline": _told(self.baseline),
            "candidate": _told(self.candidate),
            "sample_sizes": sizes,
            "guardrails": [asdict(finding) for finding in verdict.guardrails],
            "criteria": [asdict(finding) for finding in verdict.criteria],
        }


def _told(side: Side) -> dict[str, Any]:
    return {"name": side.name, "config": side.config, "profile": side.tier, "runs": side.runs.height}


@steady
def find_sides(warehouse: Warehouse, baseline: str, candidate: str, profile: str | None = None) -> tuple[Side, Side]:
    """Return the runs that two names stand for. profile: only runs of this one.

    Raises: WarehouseError (exit code 2) for a name that nothing has, and for runs of several configurations.
    """
    with connect(warehouse, views=VIEWS) as connection:
        return find_side(connection, baseline, profile), find_side(connection, candidate, profile)


def compare_sets(
    baseline: Side, candidate: Side, *, level: float | None = None, assume_independent: bool = False
) -> SetComparison:
    """Compare the runs of two configurations in pairs over common seeds, and give a verdict: promote, hold or reject.

    level: one-sided confidence; None is that of the view `evidence_settings`. assume_independent: give a verdict on
    seeds that were not drawn at random, too.
    Raises: WarehouseError (exit code 2) for a level that is none, and for a profile without budgets.
    """
    if level is not None:
        check_level(level)
    for side in (baseline, candidate):
        if side.tier not in TIERS:
            raise WarehouseError(f"{side.name}: {no_budget(side.tier)}", exit_code=2)
    order = order_of(baseline, candidate, assume_independent=assume_independent)
    if order.basis == "drawn":
        baseline, candidate = (replace(side, runs=latest_part(side.runs)) for side in (baseline, candidate))
    placed = pl.concat([_placed(baseline, order, "a"), _placed(candidate, order, "b")])
    places = _places(baseline, candidate, order, placed)
    with scratch_database(threads=1) as connection:
        for name in _CONSTANTS:
            connection.execute(view_sql(name, Path()))
        tiers = {"baseline": baseline.tier, "candidate": candidate.tier}
        terms: pl.DataFrame = connection.sql(_query("comparison_terms"), params=tiers).pl()
        if level is None:
            [(level,)] = connection.execute("SELECT level FROM evidence_settings").fetchall()
        for name, frame in (("placed_runs", placed), ("places", places), ("comparison_terms", terms)):
            connection.register(name, frame.to_arrow())
        pairs: pl.DataFrame = connection.sql(_query("paired_runs")).pl()
    measured = Terms(**terms.row(0, named=True))
    verdict = judge(pairs, measured, order.space, level, order.open_because)
    left_out = placed["seed"].n_unique() - pairs["seed"].drop_nulls().n_unique()
    return SetComparison(baseline, candidate, order.basis, assumption(measured), left_out, pairs, verdict)


def _query(name: str) -> str:
    return (sql_folder() / "import" / f"{name}.sql").read_text()


def _placed(side: Side, order: Order, name: str) -> pl.DataFrame:
    """Return the runs of a side with their places in the order."""
    rank = pl.col("arrival").min().over("seed").rank("dense").cast(pl.Int64)
    place = {"drawn": pl.col("seed_index"), "all": pl.col("seed").cast(pl.Int64)}.get(order.basis, rank)
    return side.runs.filter(pl.col("seed").is_not_null()).select(
        pl.lit(name).alias("side"),
        place.alias("place"),
        *("seed", "is_whole", "kill_switch", "pnl_usd", "drawdown_usd"),
    )


def _places(a: Side, b: Side, order: Order, placed: pl.DataFrame) -> pl.DataFrame:
    """Return the places that both sides have come to, those included at which there is no run.

    What one side has behind them has no partner yet. To stop there is to look early, which the bounds allow.
    """
    if order.basis == "drawn" and not order.open_because:
        one, two = (planned(side.runs) for side in (a, b))
        return one.filter(one.is_in(two.implode())).alias("place").to_frame()
    last = placed.group_by("side").agg(pl.col("place").max())["place"]
    both = placed.filter(pl.col("place") <= last.min()) if len(last) == 2 else placed.clear()
    return both.select(pl.col("place").unique().sort())
