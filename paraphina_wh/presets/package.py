"""exp08 packaging: one set of optimal knobs as a preset of every profile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import polars as pl

from paraphina_wh.catalog import sql_folder
from paraphina_wh.commit import write_atomically
from paraphina_wh.errors import WarehouseError
from paraphina_wh.presets.inputs import input_file
from paraphina_wh.presets.views import views_over
from paraphina_wh.text import cell_texts, csv_bytes
from paraphina_wh.warehouse import Warehouse

KNOBS_JSON: Final = Path("runs/exp07_optimal_presets/optimal_knobs.json")
PACKAGE_FOLDER: Final = Path("runs/exp08_profile_validation")
_PACKAGED_CSV: Final = "exp08_presets.csv"
_SUMMARY_TEXT: Final = "summary.txt"
_HINT: Final = "name a file with --knobs-json: band_base, from 0, and mm_size_eta, vol_ref and vol_scale, above 0"


_Positive = Annotated[float, msgspec.Meta(gt=0)]


class _Knobs(msgspec.Struct):
    """The knobs that the profiles share, within what engines take without clamping; the file may hold others."""

    band_base: Annotated[float, msgspec.Meta(ge=0)]
    mm_size_eta: _Positive
    vol_ref: _Positive
    vol_scale: _Positive


@dataclass(frozen=True)
class Packaged:
    """The columns of exp08_presets.csv, one row per profile: aggressive, balanced, conservative."""

    frame: pl.DataFrame
    knobs_json: Path


def package_presets(warehouse: Warehouse, knobs_json: str | Path | None = None) -> Packaged:
    """Make a preset of every profile from optimal knobs; loss limit and inventory are those of profile_centres.

    knobs_json: see `input_file`; by default runs/exp07_optimal_presets/optimal_knobs.json.
    Raises: WarehouseError when the file is missing (exit code 2), lacks a knob or has one that engines do not take.
    """
    file = input_file(warehouse, knobs_json or KNOBS_JSON)
    query = (sql_folder() / "import" / "packaged_presets.sql").read_text()
    with views_over({}, ["profile_centres"]) as connection:
        frame: pl.DataFrame = connection.sql(query, params=msgspec.structs.asdict(_read_knobs(file))).pl()
    return Packaged(frame, file)


def _read_knobs(file: Path) -> _Knobs:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Knobs)
    except OSError as error:
        raise WarehouseError(f"cannot read {file}: {error.strerror}", _HINT, exit_code=2) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WarehouseError(f"{file}: not a set of knobs: {error}", _HINT) from error


def write_packaged(warehouse: Warehouse, packaged: Packaged, out_dir: Path | None = None) -> list[Path]:
    """Write exp08_presets.csv and summary.txt, and return their paths."""
    folder = warehouse.folder_for(PACKAGE_FOLDER, out_dir)
    content = {
        folder / _PACKAGED_CSV: csv_bytes(packaged.frame),
        folder / _SUMMARY_TEXT: _summary_text(warehouse, packaged).encode(),
    }
    for path, written in content.items():
        write_atomically(path, written)
    return list(content)


def _summary_text(warehouse: Warehouse, packaged: Packaged) -> str:
    """Return the presets as text, a block for each profile."""
    blocks = [
        "\n".join([row["profile"], *(f"  {name:16} {value}" for name, value in row.items() if name != "profile")])
        for row in cell_texts(packaged.frame).to_dicts()
    ]
    return "\n\n".join([f"Presets of the profiles, from {warehouse.relative(packaged.knobs_json)}", *blocks]) + "\n"
