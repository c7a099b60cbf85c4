"""Why a table is turned down, with file, row and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import duckdb

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.plan import NEW_PROFILE, Options
from paraphina_wh.ingest.sinks import ERRORS_SHOWN
from paraphina_wh.ingest.table import Table, run_import
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.known import check_profile, known_profiles
from paraphina_wh.warehouse import key_problem

# One folder each: more are a mistake.
_MOST_NAMES: Final = 100
_REPAIR: Final = "repair the table, then ingest it again; rows count from 1 below the header"
_EXPECTED: Final = {
    "number": "a number",
    "integer": "an integer of 64 bits",
    "flag": "one of true, false, yes, no, 1, 0",
    "seed": "an unsigned integer of 64 bits",
}


@dataclass(frozen=True)
class Problems:
    """Why a table is turned down: the first reasons, how many there are, and the next step."""

    reasons: list[str]
    count: int
    hint: str = _REPAIR


def turned_down(table: Table, problems: Problems) -> Outcome:
    """Return the outcome of a table that did not get in."""
    return Outcome(
        file=table.origin,
        status="rejected",
        errors=problems.reasons,
        error_count=problems.count,
        hint=problems.hint,
    )


def unfit(connection: duckdb.DuckDBPyConnection, table: Table, kinds: Mapping[int, str]) -> Problems | None:
    """Return what is wrong with the rows and cells of a table; None when nothing is.

    kinds: place of a column -> what its cells must hold (number, integer, seed, flag); place 0 is no column.
    """
    if table.problems:
        return Problems(table.problems, table.problem_count, "every row needs as many cells as the header")
    if not table.rows:
        return Problems(["no rows below the header"], 1, "look at what wrote the table")
    checked = [{"place": place, "kind": kind} for place, kind in kinds.items() if place]
    found = run_import(connection, "table_bad_cells", checked=checked).fetchall()
    reasons = [
        f"row {row}: {table.header.names[place - 1]}: {text[:80]!r} is not {_EXPECTED[kind]}"
        for row, place, kind, text in found[:ERRORS_SHOWN]
    ]
    return Problems(reasons, len(found)) if found else None


def unnamed(connection: duckdb.DuckDBPyConnection) -> Problems | None:
    """Return the rows of `table_runs` whose profile or experiment is missing or cannot be a folder."""
    lacking = connection.execute("SELECT source_row FROM table_runs WHERE profile IS NULL ORDER BY 1").fetchall()
    if lacking:
        reasons = [f"row {row}: no profile" for (row,) in lacking[:ERRORS_SHOWN]]
        return Problems(reasons, len(lacking), "give it with --profile conservative|balanced|aggressive")
    for key in ("profile", "experiment"):
        values = distinct(connection, key)
        if len(values) > _MOST_NAMES:
            return Problems([f"more than {_MOST_NAMES} values of {key}"], 1, f"does column {key} hold what it says?")
        reasons = [f"{key} {value[:80]!r} {problem}" for value in values if (problem := key_problem(key, value))]
        if reasons:
            return Problems(reasons, len(reasons), f"choose another {key}")
    return None


def unknown_profile(connection: duckdb.DuckDBPyConnection, options: Options) -> Problems | None:
    """Return the first profile of `table_runs` that is not known, unless new ones are welcome."""
    known = known_profiles(connection)
    try:
        for profile in [] if options.new_profile else distinct(connection, "profile"):
            check_profile(profile, known, NEW_PROFILE)
    except WarehouseError as error:
        return Problems([error.message], 1, error.hint)
    return None


def distinct(connection: duckdb.DuckDBPyConnection, column: str) -> list[str]:
    """Return the values of a column of `table_runs`, sorted, no more than are allowed and one."""
    rows = connection.execute(f"SELECT DISTINCT {column} FROM table_runs ORDER BY 1 LIMIT {_MOST_NAMES + 1}").fetchall()
    return [value for (value,) in rows]


def mistaken(connection: duckdb.DuckDBPyConnection) -> Problems | None:
    """Return the rows whose telemetry is here under another profile than theirs."""
    found = connection.execute(
        "SELECT row_no, row_profile, any_value(run_id), any_value(profile) FROM table_files WHERE is_meant "
        "GROUP BY row_no, row_profile HAVING bool_and(profile <> row_profile) ORDER BY row_no"
    ).fetchall()
    if not found:
        return None
    reasons = [
        f"row {row}: profile {profile!r}, but its telemetry is here as run {run_id} of profile {other!r}"
        for row, profile, run_id, other in found[:ERRORS_SHOWN]
    ]
    hint = "correct the one that is wrong: the table, or the run (forget it, then ingest it with --profile)"
    return Problems(reasons, len(found), hint)


def conflicts(connection: duckdb.DuckDBPyConnection, options: Options) -> Problems | None:
    """Return the rows whose label stands for other results already, in the table or in the warehouse."""
    clashes = connection.execute(
        "SELECT source_row, clashes_with FROM table_run_fates WHERE clashes_with IS NOT NULL ORDER BY 1"
    ).fetchall()
    if clashes:
        reasons = [f"row {row}: settings and repeat of row {other}, with other results" for row, other in clashes]
        return Problems(reasons[:ERRORS_SHOWN], len(clashes), "number the repeats in a column `repeat`")
    taken = connection.execute(
        "SELECT source_row, left(label, 200), taken_by FROM table_run_fates WHERE taken_by IS NOT NULL ORDER BY 1"
    ).fetchall()
    if not taken or options.replace:
        return None
    reasons = [
        f"row {row}: label {label!r} is taken by run {run_id} with other results" for row, label, run_id in taken
    ]
    return Problems(reasons[:ERRORS_SHOWN], len(taken), "take the old runs out with --replace")
