"""Research rows of the warehouse, selected and written as the lines of a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs

from paraphina_wh.catalog import connect, sql_folder, steady
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What the queries of this stage read: with many views left out a connection is there at once.
VIEWS = ("profile_centres", "dataset_settings", "run_ledger", "runs", "dataset_rows", "research_rows")


@dataclass(frozen=True)
class Selection:
    """Which research rows of the warehouse are meant; None leaves a property open.

    label_contains: a plain piece of the label, case counts. allow_truncated: runs whose telemetry is cut off, too.
    """

    profiles: tuple[str, ...] | None = None
    experiment: str | None = None
    label_contains: str | None = None
    run_ids: tuple[str, ...] | None = None
    allow_truncated: bool = False


ALL_ROWS = Selection()


@steady
def research_lines(warehouse: Warehouse, selection: Selection = ALL_ROWS, *, allow_mixed: bool = False) -> bytes:
    """Return the selected research rows as JSON lines, whether a dataset holds them or not.

    Raises: WarehouseError when rows of the reference engine and of real engines meet, unless allowed.
    """
    with connect(warehouse, views=VIEWS) as connection:
        rows = selected_rows(connection, selection, dataset=None)
    if not allow_mixed:
        check_engines("the selection", rows["engine"])
    return json_lines(rows)


def selected_rows(connection: DuckDBPyConnection, selection: Selection, dataset: str | None) -> pl.DataFrame:
    """Return the selected columns of `research_rows`, then `is_held` (by the dataset) and `repeats_label`.

    repeats_label: the dataset holds another run of the same label and telemetry file.
    """
    query = (sql_folder() / "import" / "research_rows_of.sql").read_text()
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(selection).items()}
    del values["allow_truncated"]
    let_truncated_in(connection, selection.allow_truncated)
    rows: pl.DataFrame = connection.sql(query, params={"dataset": dataset, **values}).pl()
    return rows


def let_truncated_in(connection: DuckDBPyConnection, allowed: bool) -> None:
    """Let `research_rows` hold the runs whose telemetry is cut off, or leave them out."""
    connection.execute(f"CREATE OR REPLACE VIEW dataset_settings AS SELECT {str(allowed).lower()} AS allow_truncated")


@steady
def count_left_out(warehouse: Warehouse, selection: Selection, dataset: str | None) -> int:
    """Return how many selected runs, not held by the dataset, are left out because their telemetry is cut off."""
    if selection.allow_truncated:
        return 0
    with connect(warehouse, views=VIEWS) as connection:
        rows = selected_rows(connection, replace(selection, allow_truncated=True), dataset)
    return rows.filter(pl.col("truncated") & ~pl.col("is_held")).height


def json_lines(rows: pl.DataFrame) -> bytes:
    """Return research rows as the lines of a dataset: the contract's fields first, null for what is unknown."""
    plain = rows.drop("is_held", "repeats_label").with_columns(
        pl.when(cs.float().is_finite()).then(cs.float())  # JSON knows no NaN
    )
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in plain.iter_rows(named=True)).encode()


def check_engines(where: Path | str, engines: Iterable[str | None], *, exit_code: int = 1) -> None:
    """Raise a WarehouseError when rows of the reference engine and of real engines are about to mix."""
    kinds = {engine or "unknown" for engine in engines}
    if "reference" in kinds and len(kinds) > 1:
        others = ", ".join(sorted(kinds - {"reference"}))
        raise WarehouseError(
            f"{where}: rows of the reference engine would mix with rows of a real engine ({others})",
            "choose another file with --dataset, select with --experiment, --profile or --label-contains,"
            " or pass --allow-mixed",
            exit_code=exit_code,
        )
