"""Two recorded runs side by side: what was set, what came of it, and where their ticks part."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from paraphina_wh.catalog import connect, steady
from paraphina_wh.ingest.rows import KNOB_COLUMNS
from paraphina_wh.rerun.recorded import find_runs
from paraphina_wh.rerun.ticks import TicksComparison, compare_stored
from paraphina_wh.warehouse import Warehouse

_VIEWS: Final = ("engine_presets", "run_ledger", "runs", "experiment_runs")
# As the engine took them: what the run set, else what it takes for the profile.
_SETTINGS: Final = ("profile", *KNOB_COLUMNS, "delta_limit_usd_base", "ticks", "seed")
_ENGINE: Final = ("engine", "engine_version", "engine_sha256", "cfg_version", "cfg_hash")
_METRICS: Final = (
    *("final_pnl", "max_pnl", "min_pnl", "max_drawdown", "max_drawdown_time", "num_ticks", "kill", "kill_tick"),
    *("frac_normal", "frac_warning", "frac_hard", "inventory_max_abs_tao", "inventory_final_tao"),
    *("n_fills", "n_hedges", "n_exits", "volume_tao", "fees_usd"),
)


@dataclass(frozen=True)
class RunComparison:
    """What differs between two runs.

    a, b: run_ids. settings: setting, a, b: those that differ, as text. metrics: metric, a, b, difference (b - a); null
    where a run does not tell; a kill is 1. ticks: where the ticks part, a as the recorded run; None when one has none.
    """

    a: str
    b: str
    settings: pl.DataFrame
    metrics: pl.DataFrame
    ticks: TicksComparison | None


def compare_runs(warehouse: Warehouse, a: str, b: str) -> RunComparison:
    """Compare two runs by run_id.

    Raises: WarehouseError when there is no such run (exit code 2), or its ticks are not where they should be.
    """
    [run_a], [run_b] = (find_runs(warehouse, [name]) for name in (a, b))
    told = [_told(warehouse, run.row.run_id) for run in (run_a, run_b)]
    ticks = compare_stored(warehouse, run_a, run_b)
    return RunComparison(run_a.row.run_id, run_b.row.run_id, _settings(*told), _metrics(*told), ticks)


@steady
def _told(warehouse: Warehouse, run_id: str) -> dict[str, Any]:
    with connect(warehouse, views=_VIEWS) as connection:
        run, as_experiment = (
            connection.sql(f"SELECT * FROM {view} WHERE run_id = $run_id", params={"run_id": run_id}).pl()
            for view in ("runs", "experiment_runs")
        )
    told: dict[str, Any] = run.row(0, named=True) | as_experiment.row(0, named=True)
    # Without telemetry stdout says it, to the cent.
    return told | {"kill": told["kill_flag"], "final_pnl": _first(told["final_pnl"], told["stdout_pnl_total"])}


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _settings(a: dict[str, Any], b: dict[str, Any]) -> pl.DataFrame:
    values = [_set(told) for told in (a, b)]
    names = dict.fromkeys([*values[0], *values[1]])
    rows = [(name, *(told.get(name) for told in values)) for name in names]
    schema = {"setting": pl.String, "a": pl.String, "b": pl.String}
    return pl.DataFrame([row for row in rows if row[1] != row[2]], schema=schema, orient="row")


def _set(told: dict[str, Any]) -> dict[str, str | None]:
    """Return what a run was told to do, as text; knobs without a column of their own by their names."""
    knobs = json.loads(told["knobs_json"] or "{}")
    others = {name: value for name, value in sorted(knobs.items()) if name not in KNOB_COLUMNS.values()}
    return {name: _text(value) for name, value in [*((n, told[n]) for n in _SETTINGS), *others.items()]} | {
        name: _text(told[name]) for name in _ENGINE
    }


def _text(value: object) -> str | None:
    return None if value is None else f"{value}"


def _metrics(a: dict[str, Any], b: dict[str, Any]) -> pl.DataFrame:
    schema = {"metric": pl.String, "a": pl.Float64, "b": pl.Float64}
    rows = [(name, *(None if told[name] is None else float(told[name]) for told in (a, b))) for name in _METRICS]
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(difference=pl.col("b") - pl.col("a"))
