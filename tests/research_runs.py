"""Runs to make datasets of: the reference runs of the telemetry contract, and a way to commit rows of runs by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from paraphina_wh.catalog import set_up
from paraphina_wh.commit import publish, staging_folder
from paraphina_wh.scratch import scratch_database
from paraphina_wh.warehouse import Warehouse, new_batch, sql_text
from tests.conftest import RECORDED

Row = dict[str, Any]


def _row(label: str, profile: str, pnl: tuple[float, float, float, float], num_ticks: int, killed: bool) -> Row:
    final_pnl, max_pnl, min_pnl, max_drawdown = pnl
    return {
        "label": label,
        "profile": profile,
        "num_ticks": num_ticks,
        "final_pnl": final_pnl,
        "max_pnl": max_pnl,
        "min_pnl": min_pnl,
        "max_drawdown": max_drawdown,
        "kill_switch": killed,
    }


_CONSERVATIVE = (2084.6115984052044, 2240.7422768585056, 78.15841446219633, 156.13067845330124)
_BALANCED = (1346.4527619056712, 1462.1481748270521, 37.322028774792045, 115.69541292138092)
_AGGRESSIVE = (1737.3207703150993, 1815.9824317020084, 43.14034104038571, 78.66166138690915)
_LONG = (10.459708693012272, 10.459708693012272, 0.05310050958171082, 0.16663059920482226)

# The dataset of the worked examples: each reference run twice, and the run of 3000 ticks as balanced.
WORKED_ROWS = [
    _row("c1", "conservative", _CONSERVATIVE, 37, True),
    _row("c2", "conservative", _CONSERVATIVE, 37, True),
    _row("b1", "balanced", _BALANCED, 37, True),
    _row("b2", "balanced", _BALANCED, 37, True),
    _row("a1", "aggressive", _AGGRESSIVE, 37, True),
    _row("a2", "aggressive", _AGGRESSIVE, 37, True),
    _row("b3", "balanced", _LONG, 3000, False),
]


def write_lines(file: Path, rows: Iterable[Mapping[str, object] | str]) -> Path:
    """Write a dataset file: mappings as JSON, texts as they are."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def add_runs(warehouse: Warehouse, rows: Iterable[Row], *, experiment: str = "exp13_auto") -> None:
    """Commit one batch of ledger rows; what a row leaves out is null, the run_id is `id-<label>`."""
    set_up(warehouse)
    batch = new_batch()
    defaults = {"event": "run", "status": "ok", "batch_id": batch, "engine": "external"}
    full = [{"run_id": f"id-{row['label']}", **defaults, **row} for row in rows]
    schema = sql_text(str(warehouse.runs_file("any", "schema")))
    with scratch_database() as connection, staging_folder(warehouse.staging, batch) as staging:
        connection.execute(f"CREATE TABLE batch AS SELECT * FROM read_parquet({schema}, hive_partitioning = false)")
        connection.register("new_rows", pl.DataFrame(full, infer_schema_length=None).to_arrow())
        connection.execute("INSERT INTO batch BY NAME SELECT * FROM new_rows")
        connection.execute(f"COPY batch TO {sql_text(str(staging / 'runs.parquet'))} (FORMAT parquet)")
        publish([(staging / "runs.parquet", warehouse.runs_file(experiment, batch))])


def recorded(name: str) -> Path:
    """Return a recorded artefact of the real tools, or skip the test where there is none."""
    folder = RECORDED or Path(__file__).parents[2] / "shared" / "recorded"
    path = Path(folder) / "expected" / name
    if not path.is_file():
        pytest.skip(f"no recorded artefact {path}: set PARAPHINA_RECORDED to the folder that holds expected/{name}")
    return path


def same_but_for_rounding(one: Path, other: Path) -> bool:
    """Tell whether two texts differ in the last digits of numbers at most: recorded tools round each sum on the way."""
    parts = [re.split(r"(-?\d+\.\d+(?:e-?\d+)?)", path.read_text()) for path in (one, other)]
    if len(parts[0]) != len(parts[1]):
        return False
    return all(
        math.isclose(float(a), float(b), rel_tol=1e-14) if n % 2 else a == b
        for n, (a, b) in enumerate(zip(*parts, strict=True))
    )
