"""The presets that later steps start from: those of the warehouse, or a table of presets that a user hands in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.presets.columns import PRESET_NUMBERS
from paraphina_wh.presets.csv_table import CsvTable, read_table
from paraphina_wh.presets.inputs import input_file
from paraphina_wh.presets.select import PRESETS_CSV, rank
from paraphina_wh.presets.source import warehouse_source
from paraphina_wh.warehouse import Warehouse

_HINT: Final = "choose presets with `paraphina-wh run exp07`, or name a file with --presets-csv"


@dataclass(frozen=True)
class PresetTable:
    """Presets under the names and types of the view `presets`.

    origin: where they come from, for the user. given: the file as it is, if they come from one.
    reference_runs: runs of the reference engine behind them, if known.
    """

    rows: pl.DataFrame
    origin: str
    given: CsvTable | None = None
    reference_runs: int = 0


def preset_table(warehouse: Warehouse, presets_csv: str | Path | None = None) -> PresetTable:
    """Return the presets of a file; by default those of the warehouse, else those that exp07 wrote.

    presets_csv: a table with a column risk_tier, see `input_file`.
    Raises: WarehouseError when the file is missing (exit code 2), lacks the column or holds a cell that cannot be read.
    """
    held = warehouse_source(warehouse) if presets_csv is None else None
    if held is None:
        return read_presets(input_file(warehouse, presets_csv or PRESETS_CSV))
    ranked = rank(held)
    return PresetTable(ranked.ranking, ranked.origin, reference_runs=ranked.reference_runs)


def read_presets(file: Path, hint: str = _HINT) -> PresetTable:
    """Return the presets of a CSV file; a column that it lacks is null, rows keep their order.

    hint: the next step when the file cannot be read.
    Raises: WarehouseError as `preset_table` does.
    """
    table = read_table(file, hint)
    column = table.require({"risk_tier": ("risk_tier",)})
    name = table.find(["name"])
    rows = pl.DataFrame(
        {
            "name": table.cells[name] if name is not None else table.texts(None),
            "risk_tier": table.texts(column["risk_tier"]),
            "rank_within_tier": table.whole_numbers(table.find(["rank_within_tier"])),
            **{number: table.numbers(table.find([number])) for number in PRESET_NUMBERS},
            "kill_prob": table.fractions(table.find(["kill_prob"])),
        }
    )
    magnitude = pl.col("max_drawdown_mean").abs()
    ordered = rows.with_row_index("candidate_order").with_columns(max_drawdown_abs_mean=magnitude)
    return PresetTable(ordered, str(file), table)
