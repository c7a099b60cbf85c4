"""exp10: do the presets keep the budgets of their tiers, in the sweep and in the validation?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.commit import write_atomically
from paraphina_wh.presets.columns import VALIDATION
from paraphina_wh.presets.csv_table import read_table
from paraphina_wh.presets.inputs import input_file
from paraphina_wh.presets.preset_table import preset_table
from paraphina_wh.presets.views import ask, latest_sweep, risk_tiers
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

SWEEP: Final = "exp08_profile_validation"
VALIDATION_CSV: Final = Path("runs/exp08_profile_validation/exp08_profile_summary.csv")
WORLD_MODEL_CSV: Final = Path("runs/exp10_world_model_alignment/exp10_alignment.csv")
_HINT: Final = "run `paraphina-wh run exp08_validation`, or name a file with --profile-summary-csv"


@dataclass(frozen=True)
class WorldModelAlignment:
    """The presets and their validation against the risk tiers.

    frame: the columns of exp10_alignment.csv, one row per tier, in tier order.
    origins: where presets and validation come from, for the user. warnings: a sentence each.
    reference_runs: runs of the reference engine behind either, if known.
    """

    frame: pl.DataFrame
    origins: tuple[str, str]
    warnings: list[str]
    reference_runs: int


@dataclass(frozen=True)
class _Validation:
    rows: pl.DataFrame
    origin: str
    warnings: list[str] = field(default_factory=list)
    reference_runs: int = 0


def world_model_alignment(
    warehouse: Warehouse, presets_csv: str | Path | None = None, profile_summary_csv: str | Path | None = None
) -> WorldModelAlignment:
    """Compare presets and their validation with the budgets; formulas: sql/68_world_model_alignment.sql.

    presets_csv: by default the presets of the warehouse, else those that exp07 wrote.
    profile_summary_csv: by default the validation sweep of the warehouse, else the summary that exp08 wrote; without
    either the columns of the validation are empty, with a warning.
    Raises: WarehouseError when a named file or the presets are missing (exit code 2), when a file lacks a column or
            holds a cell that cannot be read.
    """
    presets = preset_table(warehouse, presets_csv)
    validation = _validation(warehouse, profile_summary_csv)
    frame = ask(
        {"presets": presets.rows, "validation_summary": validation.rows},
        ["risk_tiers", "tier_presets", "world_model_alignment"],
        "SELECT * FROM world_model_alignment",
    )
    no_preset = [f"{tier}: no preset" for tier in frame.filter(pl.col("preset_name").is_null())["risk_tier"]]
    return WorldModelAlignment(
        frame,
        (presets.origin, validation.origin),
        [*no_preset, *validation.warnings],
        presets.reference_runs + validation.reference_runs,
    )


def _validation(warehouse: Warehouse, given: str | Path | None) -> _Validation:
    sweep = latest_sweep(warehouse, SWEEP) if given is None else None
    if sweep is not None:
        rows = ask({"latest_runs": sweep.runs}, ["validation_summary"], "SELECT * FROM validation_summary")
        return _Validation(rows, str(sweep), reference_runs=sweep.reference_runs)
    file = input_file(warehouse, given or VALIDATION_CSV)
    if given is None and not file.is_file():
        return _Validation(_nothing(), "nowhere", [f"no validation: {_HINT}"])
    return _Validation(_read_validation(file), str(file))


def _read_validation(file: Path) -> pl.DataFrame:
    table = read_table(file, _HINT)
    column = table.require(VALIDATION)
    rows = pl.DataFrame(
        {
            "profile": table.texts(column["profile"]),
            **{name: table.numbers(column[name]) for name in ("final_pnl_mean", "max_drawdown_mean")},
            "kill_prob": table.fractions(column["kill_prob"]),
        }
    )
    first = rows.unique("profile", keep="first", maintain_order=True)
    return first.with_columns(max_drawdown_abs_mean=pl.col("max_drawdown_mean").abs())


def _nothing() -> pl.DataFrame:
    """Return a validation that says nothing about any tier."""
    unknown = [
        pl.lit(None, pl.Float64).alias(name) for name in (*VALIDATION, "max_drawdown_abs_mean") if name != "profile"
    ]
    return risk_tiers().select(pl.col("risk_tier").alias("profile"), *unknown)


def write_world_model_alignment(
    warehouse: Warehouse, alignment: WorldModelAlignment, out_dir: Path | None = None
) -> list[Path]:
    """Write exp10_alignment.csv and return its path."""
    folder = warehouse.folder_for(WORLD_MODEL_CSV.parent, out_dir)
    write_atomically(folder / WORLD_MODEL_CSV.name, csv_bytes(alignment.frame))
    return [folder / WORLD_MODEL_CSV.name]
