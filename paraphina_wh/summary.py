"""The console summary of a research dataset: overall, by profile, and the best runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from paraphina_wh.datasets import dataset_file, read_dataset
from paraphina_wh.datasets.read import EMPTY, count_reference_runs, count_skipped
from paraphina_wh.errors import WarehouseError
from paraphina_wh.escape import printable
from paraphina_wh.known import TIERS, check_profile
from paraphina_wh.warehouse import Warehouse

REFERENCE_NOTE = "engine: reference — not evidence about the real engine"
_METRICS = ("final_pnl", "max_drawdown", "max_pnl", "min_pnl")
_KILLED = {True: "Y", False: "N", None: "n/a"}
_RANKING = ("rank", "label", "profile", "final_pnl", "max_drawdown", "utility", "killed")


@dataclass(frozen=True)
class Summary:
    """What the runs of a dataset look like; columns and units: sql/50_research_summary.sql, sql/51_run_ranking.sql.

    overall: the global row. profiles: one row per profile, by name. runs: the best runs by utility.
    skipped_lines: lines of the file that are no complete runs; blank ones are not counted.
    reference_runs: summarised runs of the reference engine.
    """

    file: Path
    overall: dict[str, Any]
    profiles: pl.DataFrame
    runs: pl.DataFrame
    skipped_lines: int
    reference_runs: int


def summarise(
    warehouse: Warehouse,
    dataset: str | Path | None = None,
    *,
    profile: str | None = None,
    label_contains: str | None = None,
    limit: int = 20,
) -> Summary:
    """Summarise the runs of a dataset file that hold final_pnl, max_drawdown and num_ticks.

    profile: exactly this profile. label_contains: a plain piece of the label. limit: best runs to list.
    Raises: WarehouseError when the file is missing or the profile unknown (exit code 2), was edited, or no run is left.
    """
    file = dataset_file(warehouse, dataset)
    with read_dataset(file, warehouse) as connection:
        skipped = count_skipped(connection, "is_complete")
        if profile is not None:
            rows = connection.execute(
                "SELECT DISTINCT profile FROM dataset_rows WHERE is_complete ORDER BY 1"
            ).fetchall()
            check_profile(profile, dict.fromkeys((*TIERS, *(name for (name,) in rows if name is not None))))
        connection.execute(
            "DELETE FROM dataset_lines WHERE NOT (is_complete"
            " AND coalesce(profile = $profile, $profile IS NULL)"
            " AND coalesce(contains(label, $label_contains), $label_contains IS NULL))",
            {"profile": profile, "label_contains": label_contains},
        )
        overall = _rows(connection, "SELECT * FROM research_summary WHERE scope = 'global'")
        if overall.is_empty():
            raise WarehouseError(*_none_left(file, skipped, filtered=(profile or label_contains) is not None))
        return Summary(
            file=file,
            overall=overall.drop("dataset", "scope", "profile").to_dicts()[0],
            profiles=_rows(connection, "SELECT * FROM research_summary WHERE scope = 'profile'").drop(
                "dataset", "scope"
            ),
            runs=_rows(connection, f"SELECT {', '.join(_RANKING)} FROM run_ranking LIMIT {max(limit, 0)}"),
            skipped_lines=skipped,
            reference_runs=count_reference_runs(connection),
        )


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    rows: pl.DataFrame = connection.sql(query).pl()
    return rows


def _none_left(file: Path, skipped: int, *, filtered: bool) -> tuple[str, str]:
    if filtered:
        return f"no run of {file} passes the filters", "leave out --profile or --label-contains to see what there is"
    return (
        f"{file} holds no runs, {skipped} other lines",
        "a run is a JSON object with final_pnl, max_drawdown and num_ticks" if skipped else EMPTY,
    )


def summary_json(summary: Summary) -> dict[str, Any]:
    """Return a summary as one object: `engine`, `skipped_lines`, `global`, `profiles`, `runs`; full precision.

    engine: `reference` when any run is of the reference engine, else null.
    """
    return {
        "engine": "reference" if summary.reference_runs else None,
        "skipped_lines": summary.skipped_lines,
        "global": summary.overall,
        "profiles": summary.profiles.to_dicts(),
        "runs": summary.runs.to_dicts(),
    }


def summary_text(summary: Summary) -> str:
    """Return a summary as the three tables of the console; marked in the first line if of the reference engine."""
    blocks = [_global_block(summary.overall), _profile_block(summary.profiles), _ranking_block(summary.runs)]
    note = [REFERENCE_NOTE] if summary.reference_runs else []
    return "".join(f"{line}\n" for line in [*note, *(line for block in blocks for line in [*block, ""])])


def _global_block(row: dict[str, Any]) -> list[str]:
    return [
        "=== Global summary ===",
        f"Runs:          {row['n_runs']}",
        *(
            f"{metric:13} mean={_number(row[f'{metric}_mean'], 10)}"
            f"  median={_number(row[f'{metric}_median'], 10)}  std={_number(row[f'{metric}_std'], 10)}"
            for metric in _METRICS
        ),
        f"kill_switch:   {row['n_killed']} / {row['n_kill_known']}  ({_fraction(row['kill_frac'])} of runs)",
        f"utility score: mean={_number(row['utility_mean'])}  min={_number(row['utility_min'])}"
        f"  max={_number(row['utility_max'])}",
    ]


def _profile_block(profiles: pl.DataFrame) -> list[str]:
    header = (
        f"{'profile':12} {'runs':>4} {'final_pnl_mean':>14} {'final_pnl_med':>13} {'max_dd_mean':>12} {'kill_frac':>9}"
    )
    rows = (
        f"{printable(row['profile'] or 'n/a'):12} {row['n_runs']:4d} {_number(row['final_pnl_mean'], 14)}"
        f" {_number(row['final_pnl_median'], 13)} {_number(row['max_drawdown_mean'], 12)}"
        f" {_fraction(row['kill_frac']):>9}"
        for row in profiles.iter_rows(named=True)
    )
    return ["=== Per-profile summary ===", header, "-" * len(header), *rows]


def _ranking_block(runs: pl.DataFrame) -> list[str]:
    header = f"rank {'label':24} {'profile':10} {'final_pnl':>10} {'max_dd':>10} {'utility':>10} {'kill':>5}"
    rows = (
        f"{row['rank']:4d} {_cut(row['label'], 24)} {_cut(row['profile'], 10)} {_number(row['final_pnl'], 10)}"
        f" {_number(row['max_drawdown'], 10)} {_number(row['utility'], 10)} {_KILLED[row['killed']]:>5}"
        for row in runs.iter_rows(named=True)
    )
    return [
        f"=== Top {len(runs)} runs by utility (pnl - 0.5 * dd) ===",
        header,
        "-" * len(header),
        *rows,
    ]


def _cut(text: str | None, width: int) -> str:
    return f"{printable(text or 'n/a')[:width]:{width}}"


def _fraction(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _number(value: float | None, width: int = 0) -> str:
    return f"{'n/a' if value is None else f'{value:.2f}':>{width}}"
