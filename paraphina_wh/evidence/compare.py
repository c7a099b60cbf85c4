"""Baseline and candidate compared in pairs over common seeds: from names to a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from paraphina_wh.catalog import connect, sql_folder, steady, view_sql
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence import check_level
from paraphina_wh.evidence.paired import Terms, Verdict, assumption, judge
from paraphina_wh.evidence.sides import VIEWS, Order, Side, find_side, order_of
from paraphina_wh.known import TIERS, no_budget
from paraphina_wh.scratch import scratch_database
from paraphina_wh.warehouse import Warehouse

_CONSTANTS: Final = ("risk_tiers", "engine_presets", "evidence_settings", "evidence_ranges")


@dataclass(frozen=True)
class SetComparison:
    """What runs of two configurations prove, in pairs over common seeds.

    basis: what the bounds rest on: drawn, all, assumed or listed. assuming: what they assume of each run.
    first, last: places of the order that were looked at; left_out: seeds of either side at other places.
    pairs: columns of sql/import/paired_runs.sql.
    """

    baseline: Side
    candidate: Side
    basis: str
    assuming: str
    first: int
    last: int
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
    placed = pl.concat([_placed(baseline, order, "a"), _placed(candidate, order, "b")])
    first, last = _places(placed)
    inside = placed.filter(pl.col("place").is_between(first, last))
    with scratch_database(threads=1) as connection:
        for name in _CONSTANTS:
            connection.execute(view_sql(name, Path()))
        tiers = {"baseline": baseline.tier, "candidate": candidate.tier}
        terms: pl.DataFrame = connection.sql(_query("comparison_terms"), params=tiers).pl()
        if level is None:
            [(level,)] = connection.execute("SELECT level FROM evidence_settings").fetchall()
        for name, frame in (("placed_runs", placed), ("comparison_terms", terms)):
            connection.register(name, frame.to_arrow())
        # Places that are claimed falsely may be any number.
        is_order = order.basis in ("drawn", "all") and not order.open_because
        places = {"first": first, "last": last, "every_place": is_order}
        pairs: pl.DataFrame = connection.sql(_query("paired_runs"), params=places).pl()
    measured = Terms(**terms.row(0, named=True))
    verdict = judge(pairs, measured, order.space, level, order.open_because)
    left_out = placed["seed"].n_unique() - inside["seed"].n_unique()
    return SetComparison(baseline, candidate, order.basis, assumption(measured), first, last, left_out, pairs, verdict)


def _query(name: str) -> str:
    return (sql_folder() / "import" / f"{name}.sql").read_text()


def _placed(side: Side, order: Order, name: str) -> pl.DataFrame:
    """Return the runs of a side with their places; begin is the place from which its seeds were drawn."""
    runs = side.runs.filter(pl.col("seed").is_not_null())
    rank = pl.col("arrival").min().over("seed").rank("dense").cast(pl.Int64)
    place = {"drawn": pl.col("seed_index"), "all": pl.col("seed").cast(pl.Int64)}.get(order.basis, rank)
    begin = pl.col("seed_first").min() if order.basis == "drawn" else place.min()
    return runs.select(
        pl.lit(name).alias("side"),
        place.alias("place"),
        begin.alias("begin"),
        *("seed", "is_whole", "kill_switch", "pnl_usd", "drawdown_usd"),
    )


def _places(placed: pl.DataFrame) -> tuple[int, int]:
    """Return the first and the last place that both sides have come to; the last is before the first when none is.

    What a side has behind it has no partner yet. To stop there is to look early, which the bounds allow.
    """
    ends = placed.group_by("side").agg(pl.col("begin").min(), pl.col("place").max())
    if ends.height < 2:
        return 1, 0
    first: Any = ends["begin"].max()
    last: Any = ends["place"].min()
    return int(first), int(last)
