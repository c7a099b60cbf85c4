"""Give an undeclared field a typed column in the views, and take it back; no file of ticks is touched."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import duckdb
import polars as pl

from paraphina_wh import catalog, commit
from paraphina_wh.drift.report import damaged_of, problems_of, query_text, runs_with_ticks
from paraphina_wh.errors import WarehouseError
from paraphina_wh.promoted import (
    COLUMN_NAME,
    Kind,
    Promotion,
    declared_lists,
    declared_types,
    read_promotions,
    value_sql,
    write_promotions,
)
from paraphina_wh.warehouse import Warehouse

_POSITION: Final = re.compile(r"\[[^\[\]]*\]")
_LISTED: Final = 20


@dataclass(frozen=True)
class Promoted:
    """A field that has a column now.

    is_new: it had none before. values: how many the ticks hold; misfits: those that are null in the column, being of
    another type. first_misfit: (run_id, t, JSON text). problems: runs whose ticks cannot be read, in plain words.
    """

    promotion: Promotion
    is_new: bool
    runs: int
    values: int
    misfits: int
    first_misfit: tuple[str, int, str] | None
    problems: list[str]

    def frame(self) -> pl.DataFrame:
        """Return one row: field, column, type, view_column, runs, values, misfits."""
        made = self.promotion
        view = f"{made.view}.{made.item_column}" if made.view else None
        return pl.DataFrame(
            [(made.field, made.column, made.kind, view, self.runs, self.values, self.misfits)],
            schema={
                "field": pl.String,
                "column": pl.String,
                "type": pl.String,
                "view_column": pl.String,
                "runs": pl.Int64,
                "values": pl.Int64,
                "misfits": pl.Int64,
            },
            orient="row",
        )


@dataclass(frozen=True)
class _Values:
    """What is known of the values of a field; see sql/drift/kinds.sql."""

    values: int = 0
    runs: int = 0
    integers: int = 0
    long_integers: int = 0
    numbers: int = 0
    booleans: int = 0
    strings: int = 0
    keys: list[str] | None = None

    @property
    def kind(self) -> Kind:
        """Return the kind that loses none of them."""
        kinds: dict[Kind, int] = {
            "bigint": self.integers - self.long_integers,
            "double": self.integers - self.long_integers + self.numbers,
            "boolean": self.booleans,
            "varchar": self.strings,
        }
        return next((kind for kind, count in kinds.items() if 0 < count == self.values), "json")


def promote(warehouse: Warehouse, field: str, kind: Kind | None = None, name: str | None = None) -> Promoted:
    """Give a field a column in `ticks`, and where it stands in a list that has a view, in that view.

    field: as `drift` lists it. kind: by default the one that all values fit. name: by default made of the path.
    Repeated, it changes nothing. Raises: WarehouseError (exit code 2) for a field that no run has, one that is promoted
    in another way, and a name that is taken or no plain name.
    """
    with runs_with_ticks(warehouse) as connection:
        found = _Field(connection, field)
        # One at a time: the names must stay apart, and what is promoted is written as a whole.
        with commit.held(warehouse.telemetry, fcntl.LOCK_EX):
            promotions = read_promotions(warehouse.path)
            held = found.among(promotions, kind, name)
            made = held or found.promotion(kind, name)
            misfits, first = found.misfits(made.kind)
            if held is None:
                _check_name(warehouse, made)
                write_promotions(warehouse.path, (*promotions, made))
            catalog.set_up(warehouse)
        values = found.values
        return Promoted(made, held is None, values.runs, values.values, misfits, first, found.problems())


def demote(warehouse: Warehouse, name: str) -> list[Promotion]:
    """Take back the column of a field, named by the field or by the column, and return what was taken back.

    Raises: WarehouseError (exit code 2) when nothing of this name is promoted, with what is.
    """
    warehouse.check_exists()
    promotions = read_promotions(warehouse.path)
    if promotions:
        with commit.held(warehouse.telemetry, fcntl.LOCK_EX):
            promotions = read_promotions(warehouse.path)
            gone = [promotion for promotion in promotions if name in (promotion.field, promotion.column)]
            if gone:
                write_promotions(warehouse.path, tuple(p for p in promotions if p not in gone))
                catalog.set_up(warehouse)
                return gone
    columns = ", ".join(promotion.column for promotion in promotions)
    raise WarehouseError(f"{name!r} is not promoted", f"promoted: {columns or 'nothing yet'}", exit_code=2)


class _Field:
    """An undeclared field in the ticks of the runs that have it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, given: str) -> None:
        self.connection = connection
        self.path, self.key = _listed(connection, given)
        self.within = next((name for name in declared_lists() if self.path.startswith(f"{name}[].")), None)
        files = [file for (file,) in self._rows(query_text("files_with"), field=self.path)]
        self.damaged = damaged_of(
            files,
            lambda some: self._rows(
                "SELECT count(extra) FROM read_parquet($files, hive_partitioning = false)", files=some
            ),
        )
        self.files = [file for file in files if file not in self.damaged]

    @cached_property
    def values(self) -> _Values:
        return _Values(*self._of_values(query_text("kinds"))) if self.files else _Values()

    def misfits(self, kind: Kind) -> tuple[int, tuple[str, int, str] | None]:
        """Return how many values are of another kind, and the first: run_id, t, JSON text."""
        if not self.files:
            return 0, None
        query = "SELECT count(*), min((run_id, t, text)) FROM drift_field_values WHERE"
        count, first = self._of_values(f"{query} {value_sql(kind, 'text')} IS NULL")
        return count, first and tuple(first)

    def among(self, promotions: Sequence[Promotion], kind: Kind | None, name: str | None) -> Promotion | None:
        """Return what the field is promoted as; a WarehouseError when that is not what is asked for."""
        held = next((p for p in promotions if p.field == self.path and self.key in (None, p.key)), None)
        if held and (kind not in (None, held.kind) or name not in (None, held.column)):
            raise WarehouseError(
                f"{self.path!r} is promoted already, as {held.column} ({held.kind})",
                f"take that back first: paraphina-wh drift demote {held.column}",
                exit_code=2,
            )
        return held

    def promotion(self, kind: Kind | None, name: str | None) -> Promotion:
        """Return the promotion that is asked for."""
        column = name or re.sub(r"(\[\])?\.", "_", self.key or self.path)
        if not re.fullmatch(COLUMN_NAME, column):
            raise WarehouseError(
                f"{column!r} is no plain name for a column",
                "give one with --as NAME: letters without accents, digits and _, not a digit first, at most 63",
                exit_code=2,
            )
        key = self.path.removeprefix(f"{self.within}[].") if self.within else self._only_key()
        return Promotion(self.path, column, kind or self.values.kind, key, self.within)

    def problems(self) -> list[str]:
        """Return the runs whose values are not counted, in plain words."""
        return problems_of(self.connection, self.damaged)

    def _only_key(self) -> str:
        """Return the key of a field that is in no list; its name may hold brackets, which `drift` empties."""
        keys = [self.key] if self.key else self.values.keys or [self.path]
        if len(keys) > 1:
            raise WarehouseError(
                f"{self.path!r} stands for several fields: {', '.join(keys)}", "name one of them", exit_code=2
            )
        return keys[0]

    def _of_values(self, query: str) -> tuple[Any, ...]:
        """Return the only row of a query of drift_field_values."""
        values = query_text("values").rstrip().removesuffix(";")
        text = f"WITH drift_field_values AS (\n{values}\n)\n{query}"
        (row,) = self._rows(text, files=self.files, field=self.path, key=self.key)
        return row

    def _rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, values).fetchall()


def _listed(connection: duckdb.DuckDBPyConnection, given: str) -> tuple[str, str | None]:
    """Return the path under which a field is listed, and its own key where brackets in its name are part of it.

    Raises: WarehouseError (exit code 2) for a field that is not listed, with those that are.
    """
    listed = [
        path for (path,) in connection.execute("SELECT DISTINCT path FROM drift_unknown ORDER BY path").fetchall()
    ]
    path = _POSITION.sub("[]", given)
    in_list = any(path.startswith(f"{name}[].") for name in declared_lists())
    if path in listed:
        return path, None if path == given or in_list else given
    if given in declared_types():
        hint = "paraphina-wh schema ticks shows the columns"
        raise WarehouseError(f"{given!r} is declared: it has its place in ticks already", hint, exit_code=2)
    shown = ", ".join(listed[:_LISTED])
    more = f" and {len(listed) - _LISTED} more: paraphina-wh drift" if len(listed) > _LISTED else ""
    raise WarehouseError(
        f"no run has an undeclared field {given!r}",
        f"undeclared fields: {shown}{more}" if listed else "there is no undeclared field in any run",
        exit_code=2,
    )


def _check_name(warehouse: Warehouse, made: Promotion) -> None:
    """Raise a WarehouseError (exit code 2) when a column has the name already, or a view would take it for its own."""
    if made.column == made.field in declared_types():
        # Once a field is declared, the values in extra go into its own column.
        return
    wanted = {"ticks": made.column} | ({made.view: made.item_column} if made.view else {})
    with catalog.connect(warehouse, views=catalog.views_named_in(" ".join(wanted))) as connection:
        for view, column in wanted.items():
            held = [name for name, *_ in connection.execute(f"DESCRIBE {view}").fetchall()]
            same = next((name for name in held if name.lower() == column.lower()), None)
            if same and not (made.field in declared_types() and column == made.key):
                raise _taken(column, f"{view} has a column {same}")
    inside = catalog.views_over_ticks_that_use(made.column)
    if inside:
        raise _taken(made.column, f"it is used inside {', '.join(inside)}")


def _taken(name: str, why: str) -> WarehouseError:
    hint = "give another with --as NAME; paraphina-wh schema ticks shows the columns"
    return WarehouseError(f"the name {name!r} is taken: {why}", hint, exit_code=2)
