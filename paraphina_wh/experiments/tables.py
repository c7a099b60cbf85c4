"""The CSV tables of an experiment: one row per run, and grouped; every number comes from `experiment_runs`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import polars as pl

from paraphina_wh.catalog import connect, no_glob
from paraphina_wh.commit import write_atomically
from paraphina_wh.experiments.columns import Column, parse_column
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
    "SELECT sweep_id FROM experiment_runs WHERE experiment = $experiment ORDER BY started_at DESC NULLS LAST LIMIT 1"
)
# Column -> ending of the file an engine's words are kept in, and how many of its last lines are shown.
_CAPTURED = {"stdout_truncated": (".stdout.txt", 20), "stderr_truncated": (".stderr.txt", 10)}


def write_tables(
    warehouse: Warehouse, spec: Spec, *, out_dir: Path | None = None, run_ids: Sequence[str] | None = None
) -> list[Path]:
    """Write the tables of an experiment into its folder, or into out_dir, and return their paths.

    Rows are in the order of the grid; failed runs are included. run_ids: these runs alone, by default those of the
    latest sweep that the warehouse holds. Twice gives the same bytes.
    """
    folder = out_dir or folder_of(warehouse, spec)
    paths = []
    for table, frame in experiment_tables(warehouse, spec, run_ids):
        write_atomically(folder / table.file, csv_bytes(frame))
        paths.append(folder / table.file)
    return paths


def experiment_tables(
    warehouse: Warehouse, spec: Spec, run_ids: Sequence[str] | None = None
) -> list[tuple[Table, pl.DataFrame]]:
    """Return the tables of an experiment as frames."""
    tables = tables_of(spec)
    # One thread: the order of floating-point sums, and so their last digit, must not depend on the machine.
    with connect(warehouse, threads=1, views=_VIEWS) as connection:
        _collect(warehouse, connection, spec, tables, run_ids)
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
    run_ids: Sequence[str] | None,
) -> None:
    """Make the table `collected`: every column that the tables ask for, a row per run, `place` from 0."""
    values = _values(spec)
    columns = [parse_column(text, table.group_by) for table in tables for text in table.columns]
    sources = dict.fromkeys(column.source for column in columns if column.source)
    sources |= dict.fromkeys(key for table in tables for key in table.group_by)
    order = [_grid_order(values, name) for name in ("profile", *spec.swept)]
    expressions = [f'{_source(spec, values, name)} AS "{name}"' for name in sources if name not in _CAPTURED]
    named = spec.run_name or spec.has_telemetry
    stem = f"{'r.run_name' if named else STEM_SQL} AS stem"
    ordering = ", ".join([*order, "repeat", "label", "run_id"])
    connection.execute(
        f"CREATE TEMP TABLE collected AS SELECT row_number() OVER (ORDER BY {ordering}) - 1 AS place, r.run_id AS id,"
        f" {', '.join([*expressions, stem])} FROM experiment_runs r"
        " WHERE experiment = $experiment AND CASE WHEN $run_ids IS NOT NULL THEN list_contains($run_ids, r.run_id)"
        f" ELSE sweep_id IS NOT DISTINCT FROM ({_LATEST_SWEEP}) END"
        # Beside a good run of its label a failure has had its say.
        " QUALIFY row_number() OVER (PARTITION BY r.profile, r.label ORDER BY status = 'ok' DESC, started_at DESC) = 1"
        " ORDER BY place",
        {
            "experiment": spec.name,
            "run_ids": None if run_ids is None else list(run_ids),
            **({"root": str(warehouse.root)} if "telemetry_path" in sources else {}),
        },
    )
    if "run_id" in sources and not named:
        connection.execute("UPDATE collected SET run_id = 'run_' || place")
    for name in (name for name in _CAPTURED if name in sources):
        _add_captured(warehouse, connection, spec, name)


def _values(spec: Spec) -> dict[str, list[Value]]:
    """Return variable -> its values in the order of the grid."""
    found: dict[str, dict[Value, None]] = {"profile": dict.fromkeys(spec.profiles)}
    for axis in spec.axis:
        for name, values in axis.items():
            found[name] = dict.fromkeys(axis_values(values))
    first = next(expand(spec))
    return {name: [value] for name, value in first.items()} | {name: list(values) for name, values in found.items()}


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
    connection.execute(f'ALTER TABLE collected ADD COLUMN "{name}" VARCHAR')
    if not any(folder.glob(f"*{ending}")):
        return
    connection.execute(
        f'UPDATE collected SET "{name}" = kept.tail FROM (SELECT parse_filename(filename) AS file,'
        f" array_to_string(list_slice(string_split(rtrim(content, chr(10)), chr(10)), -{lines}, -1), chr(10)) AS tail"
        " FROM (SELECT filename, TRY(decode(content)) AS content FROM read_blob($files))) kept"
        " WHERE kept.file = collected.stem || $ending",
        {"files": f"{no_glob(str(folder))}/*{ending}", "ending": ending},
    )


def _frame(connection: duckdb.DuckDBPyConnection, table: Table) -> pl.DataFrame:
    columns = [parse_column(text, table.group_by) for text in table.columns]
    query = _grouped(table.group_by, columns) if table.group_by else _plain(columns)
    frame: pl.DataFrame = connection.sql(query).pl()
    empty = [c.name for c in columns if c.optional and frame[c.name].null_count() == len(frame)]
    return frame.drop(empty)


def _plain(columns: Sequence[Column]) -> str:
    chosen = ", ".join(f'"{column.source}" AS "{column.name}"' for column in columns)
    return f"SELECT {chosen} FROM collected ORDER BY place"


def _grouped(keys: Sequence[str], columns: Sequence[Column]) -> str:
    """Return the query of a grouped table; keys that have no place among the columns come first."""
    placed = {column.source for column in columns if column.statistic is None}
    chosen = [f'"{key}"' for key in keys if key not in placed] + [
        f'{column.sql} AS "{column.name}"' for column in columns
    ]
    named = ", ".join(f'"{key}"' for key in keys)
    return f"SELECT {', '.join(chosen)} FROM (FROM collected ORDER BY place) g GROUP BY {named} ORDER BY {named}"
