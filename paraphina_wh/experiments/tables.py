"""The CSV tables of an experiment: one row per run, and grouped; every number comes from `experiment_runs`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import polars as pl

from paraphina_wh.catalog import connect, steady
from paraphina_wh.commit import write_atomically
from paraphina_wh.experiments.columns import PLACE, Column, parse_column
from paraphina_wh.experiments.grid import axis_values, expand
from paraphina_wh.experiments.planning import STEM_SQL, folder_of, raw_folder
from paraphina_wh.experiments.spec import Spec, Table, Value
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

_VIEWS = ("engine_presets", "run_ledger", "runs", "experiment_runs")
_BASE = ("run_id", "duration_sec", "returncode")
_STDOUT = ("pnl_realised", "pnl_unrealised", "pnl_total")
_TELEMETRY = (
    "pnl_total_end",
    "max_drawdown",
    "max_drawdown_time",
    "time_to_kill",
    "regime_frac_normal",
    "regime_frac_warning",
    "regime_frac_hard",
    "num_ticks",
)
_TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}
_LATEST_SWEEP = (
    "SELECT sweep_id FROM experiment_runs WHERE experiment = $experiment"
    " ORDER BY status = 'ok' DESC, started_at DESC NULLS LAST, sweep_id DESC NULLS LAST LIMIT 1"
)
_STEM = '" stem"'
_FAILED = '" failed"'
_KILLS = {"kill_switch": "BOOLEAN", "kill_flag": "INTEGER"}
_TAILS = {"stem": pl.String, "tail": pl.String}
_TAIL_BYTES = 1 << 16
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Column -> ending of the file an engine's words are kept in, and how many of its last lines are shown.
_CAPTURED = {"stdout_truncated": (".stdout.txt", 20), "stderr_truncated": (".stderr.txt", 10)}


def write_tables(
    warehouse: Warehouse, spec: Spec, *, out_dir: Path | None = None, plan_keys: Sequence[str] | None = None
) -> list[Path]:
    """Write the tables of an experiment into its folder, or into out_dir, and return their paths.

    Rows are in the order of the grid; failed runs are included. plan_keys: the runs of these plans alone, by default
    those of the latest sweep that the warehouse holds. Twice gives the same bytes.
    """
    folder = out_dir or folder_of(warehouse, spec)
    paths = []
    for table, frame in experiment_tables(warehouse, spec, plan_keys):
        write_atomically(folder / table.file, csv_bytes(frame))
        paths.append(folder / table.file)
    return paths


@steady
def experiment_tables(
    warehouse: Warehouse, spec: Spec, plan_keys: Sequence[str] | None = None
) -> list[tuple[Table, pl.DataFrame]]:
    """Return the tables of an experiment as frames."""
    tables = tables_of(spec)
    with connect(warehouse, threads=1, views=_VIEWS) as connection:
        _collect(warehouse, connection, spec, tables, plan_keys)
        return [(table, _frame(connection, table)) for table in tables]


def tables_of(spec: Spec) -> list[Table]:
    """Return the tables of an experiment: those its file names, else one of runs and one grouped by what was swept."""
    if spec.table is not None:
        return spec.table
    metrics = [*(_STDOUT if spec.mode != "telemetry" else ()), *(_TELEMETRY if spec.has_telemetry else ())]
    runs = [name for name in (*_BASE, *spec.label_keys) if name not in metrics]
    summed = [name for name in metrics if name not in ("max_drawdown_time", "num_ticks")]
    statistics = [f"{statistic}({name})" for name in summed for statistic in _statistics(name)]
    return [
        Table(f"{spec.name}_runs.csv", [*runs, *metrics, "kill_switch"]),
        Table(f"{spec.name}_summary.csv", [*statistics, "frac(kill_switch)", "count()"], ["profile", *spec.swept]),
    ]


def _statistics(name: str) -> Sequence[str]:
    return ("mean", "std") if name in ("pnl_total", "pnl_total_end", "max_drawdown") else ("mean",)


def _collect(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    spec: Spec,
    tables: Sequence[Table],
    plan_keys: Sequence[str] | None,
) -> None:
    """Make the table `collected`: every column that the tables ask for, a row per run, and its place in the grid."""
    values = _values(spec)
    columns = [parse_column(text, table.group_by) for table in tables for text in table.columns]
    sources = dict.fromkeys(column.source for column in columns if column.source)
    sources |= dict.fromkeys(key for table in tables for key in table.group_by)
    order = [_grid_order(values, name) for name in ("profile", *spec.swept)]
    expressions = [f'{_source(spec, values, name)} AS "{name}"' for name in sources if name not in _CAPTURED]
    named = bool(spec.run_name or spec.has_telemetry)
    ordering = ", ".join([*order, "repeat", "label", "run_id"])
    connection.execute(
        f"CREATE TEMP TABLE collected AS SELECT row_number() OVER (ORDER BY {ordering}) - 1 AS {PLACE},"
        f" {', '.join([*expressions, 'r.run_name' if named else STEM_SQL])} AS {_STEM},"
        f" r.status = 'failed' AS {_FAILED} FROM experiment_runs r"
        " WHERE experiment = $experiment AND CASE WHEN $plan_keys IS NULL"
        f" THEN sweep_id IS NOT DISTINCT FROM ({_LATEST_SWEEP})"
        " ELSE plan_key IN (SELECT unnest($plan_keys)) END"
        # Beside a good run of its label a failure has had its say.
        " QUALIFY row_number() OVER (PARTITION BY r.profile, r.label"
        " ORDER BY status = 'ok' DESC, started_at DESC NULLS LAST, run_id) = 1"
        f" ORDER BY {PLACE}",
        {
            "experiment": spec.name,
            "plan_keys": None if plan_keys is None else list(plan_keys),
            **({"root": str(warehouse.root)} if "telemetry_path" in sources else {}),
        },
    )
    if "run_id" in sources and not named:
        connection.execute(f"UPDATE collected SET run_id = 'run_' || {PLACE}")
    for name in (name for name in _CAPTURED if name in sources):
        _add_captured(warehouse, connection, spec, name)


def _values(spec: Spec) -> dict[str, list[Value]]:
    """Return variable -> its values in the order of the grid; of those that are not swept, one of each type."""
    found: dict[str, dict[object, Value]] = {}
    for point in expand(spec):
        for name, value in point.items():
            found.setdefault(name, {}).setdefault(type(value), value)
    swept = {name: list(dict.fromkeys(axis_values(values))) for axis in spec.axis for name, values in axis.items()}
    return {name: list(kinds.values()) for name, kinds in found.items()} | swept | {"profile": list(spec.profiles)}


def _source(spec: Spec, values: dict[str, list[Value]], name: str) -> str:
    """Return the expression of a column: a label key, else a column of the view."""
    if name == "run_id":
        return "r.run_name"
    if name == "telemetry_path":
        return "CASE WHEN starts_with(telemetry_path, '/') THEN telemetry_path ELSE $root || '/' || telemetry_path END"
    if name not in spec.label_keys or name in ("experiment", "profile", "repeat", "seed", "ticks"):
        return f'r."{name}"'
    return _label_value(values, name)


def _label_value(values: dict[str, list[Value]], name: str) -> str:
    kinds = {type(value) for value in values[name]}
    kind = "DOUBLE" if kinds == {int, float} else _TYPES[kinds.pop()]
    return f"CAST(json_extract_string(r.label_json, '$.\"{name}\"') AS {kind})"


def _grid_order(values: dict[str, list[Value]], name: str) -> str:
    """Return the expression that sorts by place in the grid; values that the grid does not hold come last."""
    value = "r.profile" if name == "profile" else _label_value(values, name)
    places = " ".join(f"WHEN {_literal(known)} THEN {place}" for place, known in enumerate(values[name]))
    return f"CASE {value} {places} ELSE {len(values[name])} END, {value}"


def _literal(value: Value) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _add_captured(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, spec: Spec, name: str) -> None:
    """Add the last lines of what the engines printed, from the files kept beside the telemetry."""
    ending, lines = _CAPTURED[name]
    folder = raw_folder(warehouse, spec)
    stems = [stem for (stem,) in connection.execute(f"SELECT {_STEM} FROM collected").fetchall()]
    tails = [_tail(folder / f"{stem}{ending}", lines) for stem in stems]
    connection.register("tails", pl.DataFrame({"stem": stems, "tail": tails}, schema=_TAILS).to_arrow())
    connection.execute(f'ALTER TABLE collected ADD COLUMN "{name}" VARCHAR')
    connection.execute(f'UPDATE collected SET "{name}" = tails.tail FROM tails WHERE tails.stem = collected.{_STEM}')
    connection.unregister("tails")


def _tail(file: Path, lines: int) -> str | None:
    """Return the last lines of a text, whatever bytes it holds; control characters are escaped."""
    try:
        with file.open("rb") as source:
            source.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            text = source.read().decode("utf-8", "replace")
    except OSError:
        return None
    last = text.rstrip("\n").split("\n")[-lines:]
    return "\n".join(_CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), line) for line in last)


def _frame(connection: duckdb.DuckDBPyConnection, table: Table) -> pl.DataFrame:
    columns = [parse_column(text, table.group_by) for text in table.columns]
    query = _grouped(table.group_by, columns) if table.group_by else _plain(columns)
    frame: pl.DataFrame = connection.sql(query).pl()
    empty = [c.name for c in columns if c.optional and frame[c.name].null_count() == len(frame)]
    return frame.drop(empty)


def _plain(columns: Sequence[Column]) -> str:
    # Where the contract's parser finds no word on a kill it says false, of a crashed run too; no statistic counts that.
    said = {name: f'coalesce("{name}", CASE WHEN {_FAILED} THEN 0 END::{kind})' for name, kind in _KILLS.items()}
    cells = [(said.get(column.source or "", f'"{column.source}"'), column.name) for column in columns]
    chosen = ", ".join(f'{cell} AS "{name}"' for cell, name in cells)
    return f"SELECT {chosen} FROM collected ORDER BY {PLACE}"


def _grouped(keys: Sequence[str], columns: Sequence[Column]) -> str:
    """Return the query of a grouped table; keys that have no place among the columns come first."""
    placed = {column.source for column in columns if column.statistic is None}
    chosen = [f'"{key}"' for key in keys if key not in placed] + [
        f'{column.sql} AS "{column.name}"' for column in columns
    ]
    named = ", ".join(f'"{key}"' for key in keys)
    return f"SELECT {', '.join(chosen)} FROM (FROM collected ORDER BY {PLACE}) g GROUP BY {named} ORDER BY {named}"
