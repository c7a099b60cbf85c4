"""exp12: the preset of each tier, scaled down to what a dataset says about the tier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.commit import write_atomically
from paraphina_wh.presets.csv_table import CsvTable
from paraphina_wh.presets.measured import Measured, measure_tiers
from paraphina_wh.presets.preset_table import PresetTable, preset_table, read_presets
from paraphina_wh.presets.views import risk_tiers, views_over
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

TUNED_FOLDER: Final = Path("runs/exp12_profile_safety_tuner")
# The slip of an older tool: read from, never written to.
MISSPELT_FOLDER: Final = Path("runs/exp12_profile_saftey_tuner")
TUNED_CSV: Final = "exp12_tuned_presets.csv"
REPORT_CSV: Final = "exp12_tuning_report.csv"
SIZE_ETA_CAVEAT: Final = (
    "caveat: tuning lowers size_eta, but quote size is edge / size_eta: a smaller size_eta means larger quotes, "
    "so this part of the tuning raises market-making risk"
)
_ADDED: Final = ("base_name_exp12", "risk_scale_exp12")
_VIEWS: Final = ("risk_tiers", "analysis_settings", "tier_presets", "tuning_report", "tuned_presets")


@dataclass(frozen=True)
class Tuned:
    """The tuned presets and why they are what they are.

    frame: the columns of exp12_tuned_presets.csv, those of the preset file first. report: those of
    exp12_tuning_report.csv. Both have one row per tier that has a preset, in tier order.
    origins: where presets and metrics come from, for the user. warnings: what a user should know, a sentence each.
    reference_runs: runs of the reference engine behind presets or metrics, if known.
    """

    frame: pl.DataFrame
    report: pl.DataFrame
    origins: tuple[str, str]
    warnings: list[str]
    reference_runs: int


def tune_presets(
    warehouse: Warehouse, presets_csv: str | Path | None = None, alignment_csv: str | Path | None = None
) -> Tuned:
    """Scale the preset of each tier down to the risk that was measured; formulas: sql/64_tuning_report.sql.

    presets_csv: by default the presets of the warehouse, else those that exp07 wrote.
    alignment_csv: by default the alignment of the default dataset, else the file that exp11 wrote.
    Raises: WarehouseError when a file is missing (exit code 2), lacks a column or holds a cell that cannot be read.
    """
    return tune(preset_table(warehouse, presets_csv), measure_tiers(warehouse, alignment_csv))


def tune(presets: PresetTable, measured: Measured) -> Tuned:
    """Scale presets down to what was measured."""
    with views_over({"presets": presets.rows, "alignment": measured.rows}, _VIEWS) as connection:
        tuned: pl.DataFrame = connection.sql("SELECT * EXCLUDE (dataset) FROM tuned_presets").pl()
        report: pl.DataFrame = connection.sql("SELECT * EXCLUDE (dataset) FROM tuning_report").pl()
        places: pl.DataFrame = connection.sql("SELECT candidate_order FROM tier_presets ORDER BY tier_order").pl()
    return Tuned(
        frame=tuned if presets.given is None else _as_given(tuned, presets.given, places["candidate_order"]),
        report=report,
        origins=(presets.origin, measured.origin),
        warnings=[*_without_preset(presets, report), *measured.warnings],
        reference_runs=presets.reference_runs + measured.reference_runs,
    )


def _as_given(tuned: pl.DataFrame, given: CsvTable, places: pl.Series) -> pl.DataFrame:
    """Return the tuned presets in the columns of the file they come from; those we do not know are copied as texts.

    What an earlier tuning added is left out and added anew.
    """
    copied = given.cells[places.to_list()]
    ours = {name: key for name in given.cells.columns if (key := name.strip().lower()) not in _ADDED}
    columns = [tuned[key].alias(name) if key in tuned.columns else copied[name] for name, key in ours.items()]
    return pl.DataFrame([*columns, *(tuned[key] for key in _ADDED)])


def _without_preset(presets: PresetTable, report: pl.DataFrame) -> list[str]:
    tiers = risk_tiers()["risk_tier"].to_list()
    named = presets.rows["risk_tier"].drop_nulls().unique(maintain_order=True).to_list()
    return [
        *(f"{tier}: no preset, so nothing to tune" for tier in tiers if tier not in report["risk_tier"].to_list()),
        *(f"presets of {tier!r} left out: it is no risk tier" for tier in named if tier not in tiers),
    ]


def write_tuned(warehouse: Warehouse, tuned: Tuned, out_dir: Path | None = None) -> list[Path]:
    """Write exp12_tuned_presets.csv and exp12_tuning_report.csv, and return their paths; no tier, no rows."""
    folder = warehouse.folder_for(TUNED_FOLDER, out_dir)
    content = {folder / TUNED_CSV: csv_bytes(tuned.frame), folder / REPORT_CSV: csv_bytes(tuned.report)}
    for path, written in content.items():
        write_atomically(path, written)
    return list(content)


def read_tuned(warehouse: Warehouse) -> tuple[PresetTable, list[str]]:
    """Return the tuned presets that exp12 wrote, and a warning when they lie in the misspelt folder of an older tool.

    Raises: WarehouseError (exit code 2) when there are none.
    """
    file, warnings = find_tuned(warehouse)
    return read_presets(file, "make them with `paraphina-wh run exp12`"), warnings


def find_tuned(warehouse: Warehouse, name: str = TUNED_CSV) -> tuple[Path, list[str]]:
    """Return where a file of exp12 lies, and a warning when that is the misspelt folder of an older tool.

    name: TUNED_CSV or REPORT_CSV. When there is neither, the path is where it should be.
    """
    path, misspelt = (warehouse.root / folder / name for folder in (TUNED_FOLDER, MISSPELT_FOLDER))
    if path.is_file() or not misspelt.is_file():
        return path, []
    return misspelt, [f"{name} is read from the misspelt folder {MISSPELT_FOLDER}: move it to {TUNED_FOLDER}"]
