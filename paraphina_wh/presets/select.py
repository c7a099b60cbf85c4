"""exp07: the presets of each risk tier, chosen from the candidates of a risk-regime sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from paraphina_wh.commit import write_atomically
from paraphina_wh.errors import WarehouseError
from paraphina_wh.presets.columns import ENGINE_KNOBS, PRESET, SOURCE
from paraphina_wh.presets.detect import detect_source
from paraphina_wh.presets.inputs import input_file
from paraphina_wh.presets.source import Source, read_source, warehouse_source
from paraphina_wh.presets.views import views_over
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

PRESETS_CSV: Final = Path("runs/exp07_optimal_presets/exp07_presets.csv")
_SOURCE_CSV: Final = "exp07_source_summary.csv"
# From the runs of a warehouse to the ranking; a file stands for one of them.
_CHAIN: Final = ("latest_runs", "preset_runs", "preset_source", "presets")


@dataclass(frozen=True)
class Presets:
    """The best candidates of each tier.

    frame: the columns of exp07_presets.csv. source: those of exp07_source_summary.csv, one row per candidate.
    ranking: the view `presets`, every candidate of every tier. origin: where the runs come from, for the user.
    relaxed_tiers: tiers whose budgets no candidate keeps. notices: what was left out or passed over.
    reference_runs: runs of the reference engine among those of the warehouse.
    """

    frame: pl.DataFrame
    source: pl.DataFrame
    ranking: pl.DataFrame
    origin: str
    relaxed_tiers: list[str]
    notices: list[str]
    reference_runs: int

    @property
    def shown(self) -> pl.DataFrame:
        """Return the presets with a column that says how each was selected, for people."""
        relaxed = pl.when(pl.col("risk_tier").is_in(self.relaxed_tiers)).then(
            pl.lit("relaxed: no candidate keeps them")
        )
        return self.frame.with_columns(budgets=relaxed.otherwise(pl.lit("kept")))

    @property
    def warnings(self) -> list[str]:
        """Return what a user should know before relying on the presets, a sentence each."""
        nothing = ["there are no candidates, so there are no presets"] if self.frame.is_empty() else []
        relaxed = [f"{tier}: no candidate keeps the budgets, so all were ranked" for tier in self.relaxed_tiers]
        return [*self.notices, *nothing, *relaxed]


def select_presets(warehouse: Warehouse, runs_csv: str | Path | None = None, *, top_per_tier: int = 1) -> Presets:
    """Choose the presets of each risk tier; see sql/62_presets.sql for score and ranking.

    runs_csv: a per-run or summary CSV, see `input_file`. By default the latest risk-regime sweep of the warehouse
    counts; when it holds none, the newest such CSV below ROOT/runs.
    Raises: WarehouseError when a file is missing (exit code 2), lacks a column or holds a cell that cannot be read.
    """
    if top_per_tier < 1:
        raise WarehouseError("a tier needs at least one preset", "--top-per-tier starts at 1", exit_code=2)
    if runs_csv is not None:
        return rank(read_source(input_file(warehouse, runs_csv)), top_per_tier)
    held = warehouse_source(warehouse)
    if held is not None:
        return rank(held, top_per_tier)
    detected = detect_source(warehouse)
    return rank(detected.source, top_per_tier, detected.passed_over)


def rank(source: Source, top_per_tier: int = 1, notices: Sequence[str] = ()) -> Presets:
    """Rank the candidates of a source within each tier and take the best of each."""
    views = ["risk_tiers", *_CHAIN[_CHAIN.index(source.table) + 1 :]]
    with views_over({source.table: source.rows}, views) as connection:
        candidates: pl.DataFrame = connection.sql("SELECT * FROM preset_source ORDER BY candidate_order").pl()
        ranking: pl.DataFrame = connection.sql(
            "SELECT * FROM presets ORDER BY tier_order, rank_within_tier NULLS LAST, candidate_order"
        ).pl()
    left_out = [f"{source.left_out} rows without inventory or loss limit left out"] if source.left_out else []
    return Presets(
        frame=_best(ranking, top_per_tier),
        source=candidates.select(*SOURCE, *source.knobs),
        ranking=ranking,
        origin=source.origin,
        relaxed_tiers=ranking.filter("relaxed")["risk_tier"].unique(maintain_order=True).to_list(),
        notices=[*notices, *left_out],
        reference_runs=source.reference_runs,
    )


def _best(ranking: pl.DataFrame, top_per_tier: int) -> pl.DataFrame:
    best = ranking.filter(pl.col("rank_within_tier") <= top_per_tier).select(PRESET)
    if top_per_tier == 1:
        return best
    return best.with_columns(name=pl.format("{}_{}", "risk_tier", "rank_within_tier"))


def write_presets(warehouse: Warehouse, presets: Presets, out_dir: Path | None = None) -> list[Path]:
    """Write exp07_presets.csv, exp07_presets.json and exp07_source_summary.csv, and return their paths.

    Without candidates the CSV files are a header and the JSON file is `[]`. Other files of the folder stay.
    """
    csv = warehouse.folder_for(PRESETS_CSV.parent, out_dir) / PRESETS_CSV.name
    content = {
        csv: csv_bytes(presets.frame),
        csv.with_suffix(".json"): json.dumps(presets.frame.to_dicts(), indent=2, allow_nan=False).encode(),
        csv.with_name(_SOURCE_CSV): csv_bytes(presets.source),
    }
    for path, written in content.items():
        write_atomically(path, written)
    return list(content)


def preset_environment(preset: Mapping[str, Any]) -> dict[str, str]:
    """Return the engine's knobs for a row of a preset table, full `PARAPHINA_*` names, values as text.

    Knobs that the preset leaves open are left out, and so is the delta limit: the engine has no knob for it.
    """
    knobs = {knob: preset[column] for knob, column in ENGINE_KNOBS.items() if preset[column] is not None}
    # The engine takes the loss limit without its sign.
    return {knob: repr(abs(value) if knob == "PARAPHINA_DAILY_LOSS_LIMIT" else value) for knob, value in knobs.items()}
