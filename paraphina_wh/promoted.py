"""Promoted fields: undeclared fields of the telemetry that have a typed column of their own in the views.

No file of ticks is rewritten: the column is read from `extra`, and costs nothing where nobody asks for it. What is
promoted stands in `promoted.json` in the warehouse; tick_views.py puts the columns into the views.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError
from paraphina_wh.telemetry.shape import TICKS, Shape, dictionary, record_shape
from paraphina_wh.warehouse import sql_text

FILE: Final = "promoted.json"
COLUMN_NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,62}"
Kind = Literal["bigint", "double", "boolean", "varchar", "json"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

# The value of a kind from its JSON text; null where the text is of another: "3" is no number, 2.5 no integer.
_VALUES: Final[dict[Kind, str]] = {
    "bigint": "TRY_CAST(regexp_extract({text}, '^(-?[0-9]+)([.]0+)?$', 1) AS BIGINT)",
    "double": "TRY_CAST({text} AS DOUBLE)",
    "boolean": "TRY_CAST(regexp_extract({text}, '^(true|false)$') AS BOOLEAN)",
    "varchar": "json_extract_string({text}, '$')",
    "json": "NULLIF({text}, 'null')",
}
# The lists of the record that have a view of their own, named after them: one row an element.
_UNFOLDED: Final = ("fills", "orders", "hedges", "exits", "quote_levels", "risk_events")


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field with a column of its own.

    field: its path as `drift` lists it, list positions removed. column: its name in `ticks`.
    key: its key in `extra`; for a field in a list, what stands there behind `fills[0].`. within: that declared list.
    """

    field: str
    column: Annotated[str, msgspec.Meta(pattern=f"^{COLUMN_NAME}$")]
    kind: Kind
    key: str
    within: str | None = None

    @property
    def view(self) -> str | None:
        """Return the view that unfolds its list, when there is one."""
        return self.within if self.within in _UNFOLDED else None

    @property
    def item_column(self) -> str:
        """Return its name in that view: without the name of the list in front."""
        return self.column.removeprefix(f"{self.within}_")

    def column_in(self, view: str) -> str | None:
        """Return the name of its column in a view, when it has one there."""
        return self.column if view == "ticks" else self.item_column if view == self.view else None


def read_promotions(base: Path) -> tuple[Promotion, ...]:
    """Return what is promoted in the warehouse folder base, in the order in which it was.

    Raises: WarehouseError when the file is not what `drift promote` writes.
    """
    path = base / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=tuple[Promotion, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    names = [promotion.column.lower() for promotion in found]
    lists = {promotion.within for promotion in found} - {None}
    if len(set(names)) < len(names) or not lists <= set(declared_lists()):
        raise _damaged(path, "a column stands there twice, or a list that the record does not declare")
    return found


def promoted_meanings(view: str, base: Path) -> dict[str, tuple[str, str]]:
    """Return (unit, meaning) of the promoted columns of a view in the warehouse folder base."""
    return {
        column: ("-", f"promoted from extra: {promotion.field} ({promotion.kind})")
        for promotion in read_promotions(base)
        if (column := promotion.column_in(view)) and promotion.field not in declared_types()
    }


def _damaged(path: Path, reason: str) -> WarehouseError:
    hint = "remove it, and promote the fields again: no data is lost with it"
    return WarehouseError(f"{path} is not what `drift promote` writes: {reason}", hint)


def write_promotions(base: Path, promotions: tuple[Promotion, ...]) -> None:
    """Replace what is promoted in the warehouse folder base."""
    commit.write_atomically(base / FILE, msgspec.json.format(msgspec.json.encode(promotions)) + b"\n")


@cache
def declared_lists() -> tuple[str, ...]:
    """Return the lists of the record whose elements have fields: `fills`, `treasury_guidance.venues`."""
    return tuple(_lists("", record_shape(TICKS.record)))


def _lists(prefix: str, shape: Shape) -> Iterator[str]:
    for name, field in shape.fields.items():
        if field.shape.item and field.shape.item.fields:
            yield prefix + name
        yield from _lists(f"{prefix}{name}.", field.shape)


@cache
def declared_types() -> dict[str, str]:
    """Return path -> DuckDB type of all declared fields, nested ones as `fills[].price`."""
    return {path: kind.replace("JSON", "VARCHAR") for path, kind, *_ in dictionary(TICKS)}


# The SQL of promoted columns


def value_sql(kind: Kind, text: str) -> str:
    """Return the SQL of a value of a kind, given the SQL of its JSON text."""
    return _VALUES[kind].format(text=text)


def tick_sql(promotion: Promotion) -> str:
    """Return the SQL of a column of `ticks`: a value, or a list as long as the list that holds the field."""
    if promotion.within is None:
        return _value_of(promotion, _quoted(promotion.field))
    within = _quoted(promotion.within)
    value = _value_of(promotion, f"{within}[place + 1].{_quoted(promotion.key)}", "place")
    return f"[{value} FOR place IN range(len({within}))]"


def item_sql(promotion: Promotion) -> str:
    """Return the SQL of a column of the view that unfolds the list, where `item` is the element at `position`."""
    return _value_of(promotion, f"item.{_quoted(promotion.key)}", "position")


def _value_of(promotion: Promotion, declared: str, place: str = "") -> str:
    """Return the SQL of the value in `extra`; once the record declares the field, its own column goes first."""
    value = _value_in_extra(promotion, place)
    kind = declared_types().get(promotion.field)
    return f"coalesce({declared}, TRY_CAST({value} AS {kind}))" if kind else value


def _value_in_extra(promotion: Promotion, place: str) -> str:
    # A JSON pointer, unlike a JSON path, can name any key at all.
    key = promotion.key.replace("~", "~0").replace("/", "~1")
    if promotion.within is None:
        pointer = _text(f"/{key}")
    else:
        pointer = f"{_text(f'/{promotion.within}[')} || {place} || {_text(f'].{key}')}"
    if promotion.kind == "varchar":
        return f"json_extract_string(extra, {pointer})"
    return value_sql(promotion.kind, f"json_extract(extra, {pointer})::VARCHAR")


def _text(text: str) -> str:
    """Return a text as SQL that any shell reads as it is: what cannot be printed stands there as its number."""
    pieces = ("".join(run) if shown else run for shown, run in groupby(text, str.isprintable))
    return " || ".join(
        sql_text(piece) if isinstance(piece, str) else " || ".join(f"chr({ord(sign)})" for sign in piece)
        for piece in pieces
    )


def _quoted(path: str) -> str:
    return ".".join(f'"{name}"' for name in path.split("."))
