"""Two datasets compared: the runs that only one holds, and how far the metrics of each profile moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import duckdb
import polars as pl

from paraphina_wh.catalog import macros_sql, sql_folder, view_sql
from paraphina_wh.datasets.files import dataset_file
from paraphina_wh.datasets.lines import load_lines
from paraphina_wh.datasets.read import read_content
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Diff:
    """What changed from dataset a to dataset b.

    runs: runs added and missing; columns: sql/import/dataset_diff_runs.sql.
    metrics: one row per profile and metric; columns and units: sql/import/dataset_diff_metrics.sql.
    warnings: why the two may not compare.
    """

    a: Path
    b: Path
    runs: pl.DataFrame
    metrics: pl.DataFrame
    warnings: tuple[str, ...]


def diff_datasets(warehouse: Warehouse, a: str | Path, b: str | Path, *, level: float = 0.95) -> Diff:
    """Compare the runs of two dataset files; those of the alignment count.

    a, b: as for `dataset_file`. level: two-sided confidence of the intervals.
    Raises: WarehouseError (exit code 2) when a file is missing, or the level is not between 0 and 1; exit code 1 when a
    file was edited.
    """
    if not 0 < level < 1:
        raise WarehouseError(
            f"{level} is no confidence level", "a level is above 0 and below 1, such as 0.95", exit_code=2
        )
    files = {"a": dataset_file(warehouse, a), "b": dataset_file(warehouse, b)}
    with in_memory() as connection:
        for side, file in files.items():
            _load(connection, side, file, read_content(file, warehouse))
        connection.execute(macros_sql())
        connection.execute(view_sql("evidence_units", Path()))
        runs: pl.DataFrame = connection.sql(_query("dataset_diff_runs")).pl()
        values = {"level": level, "z": NormalDist().inv_cdf((1 + level) / 2)}
        metrics: pl.DataFrame = connection.sql(_query("dataset_diff_metrics"), params=values).pl()
        return Diff(files["a"], files["b"], runs, metrics, tuple(_warnings(connection, files)))


def _load(connection: duckdb.DuckDBPyConnection, side: str, file: Path, content: bytes) -> None:
    """Add the lines of a file to `dataset_rows`, under its side as the name of the dataset."""
    load_lines(connection, content, str(file))
    connection.execute("CREATE TABLE IF NOT EXISTS dataset_rows AS SELECT '' AS dataset, * FROM dataset_lines LIMIT 0")
    connection.execute("INSERT INTO dataset_rows SELECT $side, * FROM dataset_lines", {"side": side})


def _query(name: str) -> str:
    return (sql_folder() / "import" / f"{name}.sql").read_text()


def _warnings(connection: duckdb.DuckDBPyConnection, files: dict[str, Path]) -> list[str]:
    counted = connection.execute(
        "SELECT dataset, count(*) FILTER (is_run), count(*) FILTER (NOT is_run AND NOT is_blank),"
        " count(*) FILTER (is_run AND engine = 'reference') FROM dataset_rows GROUP BY dataset ORDER BY dataset"
    ).fetchall()
    skipped = [f"{files[side].name}: {lines} lines are no runs, left out" for side, _, lines, _ in counted if lines]
    shares = {reference / runs for _, runs, _, reference in counted if runs}
    mixed = ["runs of the reference engine meet runs of a real engine: their metrics do not compare"]
    return skipped + (mixed if shares not in ({0.0}, {1.0}, set()) else [])
