"""From DuckDB's types and values to those that every reader of Arrow knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from paraphina_wh.errors import WarehouseError
from paraphina_wh.sandbox import statement

BATCH_ROWS: Final = 20_000
# Types that Arrow's readers do not know, and what they are handed over as.
_PLAIN: Final = {
    "HUGEINT": "BIGINT",
    "UHUGEINT": "UBIGINT",
    "INTERVAL": "VARCHAR",
    "BIT": "VARCHAR",
    "TIME WITH TIME ZONE": "VARCHAR",
    "BIGNUM": "VARCHAR",
    "GEOMETRY": "VARCHAR",
    "VARIANT": "VARCHAR",
}
# For an answer with an integer beyond 64 bits: exact, in 38 digits.
_WIDE: Final = _PLAIN | {"HUGEINT": "DECIMAL(38,0)", "UHUGEINT": "DECIMAL(38,0)"}
# Values of enumerations and names of fields are matched so as to be left alone: they are quoted, or a type follows.
_WORDS: Final = re.compile(r""""(?:[^"]|"")*"|'(?:[^']|'')*'|(TIME WITH TIME ZONE)|\w+(?= ["\w])|(\w+)""")
# Arrow or Parquet have no place for these at all.
_AS_TEXT: Final = re.compile(r"""\bUNION\(|\bMAP\("NULL"|\bSTRUCT(?!\()""")
_OUT_OF_RANGE: Final = re.compile(r"U?INT128 with value .* out of range for the destination type U?INT64")


def start(connection: duckdb.DuckDBPyConnection, sql: str, *, wide: bool) -> pa.RecordBatchReader:
    """Begin a statement that was checked and return the reader of its rows.

    wide: give integers of 128 bits as decimals, otherwise as integers of 64 bits.
    """
    relation = connection.sql(sql)
    types = [str(kind) for kind in relation.types]
    plain = [_plain(kind, wide=wide) for kind in types]
    names = _distinct(relation.columns)
    if names != relation.columns or plain != types:
        # The text of the statement is put into another one: a comment at its end must not reach it.
        relation = connection.sql(statement.canonical(sql)).project(_columns(names, types, plain))
    return relation.to_arrow_reader(BATCH_ROWS)


def is_too_wide(message: str) -> bool:
    """Tell whether an answer failed because an integer needs more than 64 bits."""
    return bool(_OUT_OF_RANGE.search(message))


def check_dates(batch: pa.RecordBatch) -> None:
    """Raise a WarehouseError for a date that Python, Polars and the text formats cannot hold: infinity, year 290000."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for values in _leaves(column):
            if pa.types.is_date(values.type):
                _check_years(name, values, date(1, 1, 1), date(9999, 12, 31))
            elif pa.types.is_timestamp(values.type) and values.type.unit != "ns":
                # A day less at both ends: a time zone may move what is left.
                _check_years(
                    name, values.cast(pa.timestamp(values.type.unit)), datetime(1, 1, 2), datetime(9999, 12, 30)
                )


def _check_years(name: str, values: pa.Array, first: date, last: date) -> None:
    inside = pc.and_(
        pc.greater_equal(values, pa.scalar(first, values.type)), pc.less_equal(values, pa.scalar(last, values.type))
    )
    if pc.all(inside).as_py() is False:
        raise WarehouseError(
            f"column {name!r} holds a date outside of the years 1 to 9999",
            "cast it to VARCHAR, or filter it out: WHERE isfinite(...)",
        )


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    """Yield the plain arrays inside of lists, structs and maps."""
    kind = values.type
    if pa.types.is_struct(kind):
        for field in values.flatten():
            yield from _leaves(field)
    elif pa.types.is_map(kind):
        yield from _leaves(values.keys)
        yield from _leaves(values.items)
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(values.flatten())
    else:
        yield values


def _plain(kind: str, *, wide: bool) -> str:
    if _AS_TEXT.search(_WORDS.sub(_only_words, kind)):
        return "VARCHAR"
    known = _WIDE if wide else _PLAIN
    return _WORDS.sub(lambda word: known.get(word[1] or word[2], word[0]), kind)


def _only_words(word: re.Match[str]) -> str:
    return word[0] if word[0] == '"NULL"' or word[0][0] not in "\"'" else "_"


def _columns(names: list[str], types: list[str], plain: list[str]) -> str:
    """Return the columns by position, under distinct names and as plain types."""
    quoted = [name.replace('"', '""') for name in names]
    return ", ".join(
        f'#{i} AS "{name}"' if kind == other else f'#{i}::{other} AS "{name}"'
        for i, (name, kind, other) in enumerate(zip(quoted, types, plain, strict=True), start=1)
    )


def _distinct(names: list[str]) -> list[str]:
    """Number the later ones of equal column names: a, a_1, a_2."""
    distinct: dict[str, None] = {}
    last: dict[str, int] = {}
    for name in names:
        candidate = name
        while candidate in distinct:
            last[name] = last.get(name, 0) + 1
            candidate = f"{name}_{last[name]}"
        distinct[candidate] = None
    return list(distinct)
