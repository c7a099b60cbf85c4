"""A dataset file read as it is: the views on datasets, answering for this file alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from paraphina_wh.catalog import macros_sql, view_sql
from paraphina_wh.datasets.columns import CANDIDATES, COLUMNS
from paraphina_wh.datasets.held import checked_content
from paraphina_wh.datasets.lines import load_lines
from paraphina_wh.datasets.rows import check_engines
from paraphina_wh.errors import WarehouseError
from paraphina_wh.scratch import scratch_database
from paraphina_wh.tables import zero_rows
from paraphina_wh.warehouse import Warehouse, sql_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VIEWS = (
    *("risk_tiers", "engine_presets", "evidence_ranges", "evidence_settings", "research_summary", "run_ranking"),
    *("evidence_units", "evidence", "alignment"),
)

EMPTY: Final = "`paraphina-wh export dataset` appends the runs of the warehouse, `paraphina-wh run exp13` makes some"


@contextmanager
def read_dataset(file: Path, warehouse: Warehouse | None = None) -> Iterator[DuckDBPyConnection]:
    """Open a connection whose `dataset_rows`, and all views on it, are of one file.

    The rows stand in the temporary table `dataset_lines`, for the caller to narrow down.
    warehouse: what holds the lines that the file must still have; None takes the file as it is.
    Raises: WarehouseError when the file cannot be read (exit code 2), or was edited.
    """
    with rows_of(read_content(file, warehouse), file) as connection:
        yield connection


@contextmanager
def rows_of(content: bytes, file: Path) -> Iterator[DuckDBPyConnection]:
    """Open the connection of `read_dataset` for what is known to be the content of a file."""
    with scratch_database(threads=1, prepared=_views_over_no_lines()) as connection:
        load_lines(connection, content, str(file))
        connection.execute(
            "CREATE OR REPLACE VIEW dataset_rows AS"
            f" SELECT {sql_text(file.stem)} AS dataset, * FROM dataset_lines ORDER BY line_no"
        )
        yield connection


@cache
def _views_over_no_lines() -> tuple[str, ...]:
    no_lines = zero_rows({"dataset": "VARCHAR", **COLUMNS})
    return macros_sql(), f"CREATE VIEW dataset_rows AS {no_lines}", *(view_sql(name, Path()) for name in _VIEWS)


def keep_runs(connection: DuckDBPyConnection, run_ids: Sequence[str], *, and_alike: bool = False) -> None:
    """Take all rows but these for no runs; the lines stay. and_alike: but these and those of their configurations."""
    connection.execute(
        "UPDATE dataset_lines SET is_run = false"
        " WHERE (run_id IS NULL OR run_id NOT IN (SELECT unnest($run_ids::VARCHAR[])))"
        " AND NOT ($and_alike AND coalesce(config IN ("
        "SELECT config FROM dataset_lines WHERE config IS NOT NULL AND run_id IN (SELECT unnest($run_ids::VARCHAR[]))"
        "), false))",
        {"run_ids": list(run_ids), "and_alike": and_alike},
    )


def count_skipped(connection: DuckDBPyConnection, accepted: str) -> int:
    """Return how many lines are neither blank nor accepted; accepted: `is_run` or `is_complete`."""
    [(count,)] = connection.execute(
        f"SELECT count(*) FROM dataset_lines WHERE NOT is_blank AND NOT {accepted}"
    ).fetchall()
    return int(count)


def count_reference_runs(connection: DuckDBPyConnection) -> int:
    """Return how many of the runs come from the reference engine."""
    [(count,)] = connection.execute(
        "SELECT count(*) FROM dataset_lines WHERE is_run AND engine = 'reference'"
    ).fetchall()
    return int(count)


def check_columns(connection: DuckDBPyConnection, file: Path) -> None:
    """Raise a WarehouseError when no line names a column the alignment needs: what was tried, what there is."""
    [usable] = connection.execute(
        "SELECT count(*) FILTER (is_run), count(profile) FILTER (is_run), count(kill_prob) FILTER (is_run)"
        " FROM dataset_lines"
    ).fetchall()
    if all(usable):
        return
    present = _names_present(connection)
    tried = [f"{column} ({', '.join(names)})" for column, names in CANDIDATES.items() if not present & set(names)]
    if present and tried:
        raise WarehouseError(
            f"{file} has no column for {'; '.join(tried)}", f"columns present: {', '.join(sorted(present))}"
        )
    if not usable[0]:
        hint = "a run is a JSON object with a final PnL and a drawdown" if present else EMPTY
        raise WarehouseError(f"{file} holds no runs", hint)


def _names_present(connection: DuckDBPyConnection) -> set[str]:
    rows = connection.execute(
        "SELECT DISTINCT lower(unnest(json_keys(CASE WHEN json_valid(line) THEN line END))) FROM dataset_lines"
    ).fetchall()
    return {name for (name,) in rows}


def read_content(file: Path, warehouse: Warehouse | None) -> bytes:
    """Return the bytes of a dataset file; arguments and errors as for `read_dataset`."""
    try:
        return file.read_bytes() if warehouse is None else checked_content(warehouse, file)
    except OSError as error:
        raise WarehouseError(
            f"cannot read {file}: {error.strerror}",
            "`paraphina-wh dataset list` shows the datasets, `paraphina-wh export dataset` makes one",
            exit_code=2,
        ) from error


def check_engine_of(file: Path, engine: str) -> None:
    """Raise a WarehouseError (exit code 2) when rows of this engine must not join those of a dataset file."""
    if not file.is_file():
        return
    with read_dataset(file) as connection:
        held = connection.execute("SELECT DISTINCT engine FROM dataset_rows WHERE is_run").fetchall()
    check_engines(file, [engine, *(kind for (kind,) in held)], exit_code=2)
