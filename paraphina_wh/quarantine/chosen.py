"""What to replay, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from paraphina_wh.errors import WarehouseError
from paraphina_wh.quarantine.files import file_of, query
from paraphina_wh.quarantine.held import Held, find_label, find_name, open_held, select
from paraphina_wh.records import read_records
from paraphina_wh.warehouse import Warehouse, folder_key


class Replayed(msgspec.Struct, kw_only=True):
    """What became of one replay.

    status: `replayed`; `unchanged` when nothing was repaired; `rejected` when the run stays as it was, errors say why;
    `superseded` when this was done before. new_run_id: the run in its place.
    lines_before, lines_left: lines put aside, a last line that was cut off among them.
    errors: at most 10, error_count has them all.
    """

    run_id: str
    profile: str | None = None
    label: str | None = None
    file: str = ""
    status: str = "rejected"
    new_run_id: str | None = None
    rows_before: int | None = None
    rows: int | None = None
    lines_before: int | None = None
    lines_left: int | None = None
    cut_off: bool = False
    errors: list[str] = []
    error_count: int = 0
    hint: str = ""

    @property
    def is_good(self) -> bool:
        """Tell whether no bad line is left; a last line that was cut off is none."""
        return self.status in ("replayed", "superseded") and (self.lines_left or 0) <= self.cut_off


def result_of(held: Held, **fields: Any) -> Replayed:
    """Return the result of a replay; without fields, that of one that changed nothing."""
    before = {"lines_before": held.quarantined, "lines_left": held.quarantined, "rows": held.rows}
    return Replayed(
        run_id=held.run_id,
        profile=held.profile,
        label=held.label,
        file=held.file,
        rows_before=held.rows,
        **{**before, **fields},
    )


@dataclass
class Chosen:
    """What to replay. done: what was named and has been replayed before. left_out: runs with a cut-off tail alone."""

    runs: list[Held]
    done: list[Replayed] = field(default_factory=list)
    left_out: int = 0


def choose(warehouse: Warehouse, names: Sequence[str] = (), labels: Sequence[str] = ()) -> Chosen:
    """Return what run_ids, their first characters and labels name; a replay that is repeated finds what it has done.

    Raises: WarehouseError (exit code 2) when a name has no lines put aside, or a shortened run_id stands for several.
    """
    found: dict[str, Held] = {}
    done: dict[str, Replayed] = {}
    with open_held(warehouse) as connection:
        for name, is_label in [*((name, False) for name in names), *((label, True) for label in labels)]:
            try:
                named = find_label(connection, name) if is_label else [find_name(connection, name)]
            except WarehouseError:
                replaced = _superseded(connection, name) or ([] if is_label else _replaced(warehouse, name))
                if not replaced:
                    raise
                done |= {each.run_id: each for each in replaced}
            else:
                found |= {held.run_id: held for held in named}
    return Chosen(list(found.values()), list(done.values()))


def choose_all(warehouse: Warehouse) -> Chosen:
    """Return everything whose lines lie in the quarantine, but for runs that only have a cut-off tail."""
    with open_held(warehouse) as connection:
        kept = [held for held in select(connection, "true") if file_of(warehouse, held.run_id).is_file()]
    runs = [held for held in kept if not held.only_cut_off]
    return Chosen(runs, left_out=len(kept) - len(runs))


def _superseded(connection: duckdb.DuckDBPyConnection, name: str) -> list[Replayed]:
    """Return the runs of this name that others took the place of; it is no better when lines of those are bad."""
    result = connection.execute(query("replaced"), {"name": name})
    columns = [column[0] for column in result.description or []]
    rows = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
    return [_superseded_by(row) for row in rows]


def _superseded_by(row: dict[str, Any]) -> Replayed:
    bad = row["lines_left"] - row["cut_off"]
    errors = [f"{bad} lines are still bad"] if bad else []
    return Replayed(**row, status="superseded", errors=errors, error_count=len(errors))


def _replaced(warehouse: Warehouse, name: str) -> list[Replayed]:
    """Return the files of Monte Carlo runs of this source id, or the start of it, that others took the place of.

    No ledger has them, but the records do.
    """
    return [
        Replayed(run_id=old, file=made_of.source or "", status="superseded", new_run_id=made_of.run_id)
        for record in read_records(warehouse).all
        for made_of in record.runs
        if made_of.kind == "mc_runs"
        for old in sorted({folder_key(Path(path).parent.name) for path in record.drops if path.endswith(".parquet")})
        if name and old.startswith(name) and old != made_of.run_id
    ]
