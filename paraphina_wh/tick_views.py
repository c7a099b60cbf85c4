"""The views of ticks, fitted to one warehouse: with its promoted columns, and over files of earlier versions."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Final

from paraphina_wh.promoted import Promotion, item_sql, read_promotions, tick_sql
from paraphina_wh.tables import ticks_columns
from paraphina_wh.telemetry.shape import TICKS, record_shape
from paraphina_wh.warehouse import no_glob, sql_text

# Where the .sql file of a view makes room: behind the star at the end of its columns.
_ROOM: Final = re.compile(r"\*\n( *)-- promoted: .*")
_FOLDERS: Final = re.compile(r"hive_partitioning = true,\s+hive_types = \{[^}]*\}")
_KEYS: Final = "url_decode(regexp_extract(filename, '/profile=([^/]*)/label=([^/]*)/[^/]*$', {n})) AS {name}"
_OLDER: Final = "schema-*.parquet"


def fitted(view: str, text: str, base: Path) -> str:
    """Return the text of a view's file as the warehouse folder base needs it; most are the same for all."""
    if not _ROOM.search(text):
        return text
    if view == "ticks":
        return _fitted_ticks(text, base)
    item = record_shape(TICKS.record).fields[view].shape.item
    declared = item.fields if item else {}
    shown = [
        p for p in read_promotions(base) if p.view == view and (p.item_column not in declared or p.item_column == p.key)
    ]
    return _with_columns(text, "*", [], {p.item_column: item_sql(p) for p in shown}, declared)


def is_fitted(view: str, text: str, base: Path) -> bool:
    """Tell whether a view of this warehouse differs from its file."""
    return fitted(view, text, base) != text


def older_schema_name(digest: str) -> str:
    """Return the name, without its ending, of the file that keeps the columns of ticks of an earlier version."""
    return _OLDER.removesuffix("*.parquet") + digest


def holds_older_ticks(base: Path) -> bool:
    """Tell whether files of ticks in the warehouse folder base may have other columns than the record declares."""
    return any(older_schemas(base))


def older_schemas(base: Path) -> Iterator[Path]:
    """Yield the files that keep the columns of ticks of earlier versions."""
    yield from (base / "telemetry" / "profile=any" / "label=any").glob(_OLDER)


def shown_in_ticks(base: Path) -> list[Promotion]:
    """Return the promotions of the warehouse folder base that have a column in `ticks`.

    A field that has come to be declared under its own name shares the column of the record; where another has come
    to be declared under the name, that one has it.
    """
    declared = ticks_columns()
    return [p for p in read_promotions(base) if p.column not in declared or p.column == p.field]


def ticks_in(files: Sequence[Path], *, older: bool = False) -> str:
    """Return a query of the ticks in files.

    older: some may be of an earlier version; they get the declared columns, null where they have none.
    """
    named = ", ".join(sql_text(no_glob(str(file))) for file in files)
    schema = f", schema = MAP {{{_schema()}}}" if older else ""
    return f"FROM read_parquet([{named}], hive_partitioning = false{schema})"


def _fitted_ticks(text: str, base: Path) -> str:
    columns = {p.column: tick_sql(p) for p in shown_in_ticks(base)}
    star, keys = "*", []
    if holds_older_ticks(base):
        # By name and with the declared types, which costs no look into the files before the query; DuckDB takes
        # that only without its folder keys.
        text = _FOLDERS.sub(lambda match: f"filename = true,\n    schema = MAP {{{_schema()}}}", text, count=1)
        star = "* EXCLUDE (filename)"
        keys = [_KEYS.format(n=n, name=name) for n, name in ((2, "label"), (1, "profile"))]
    return _with_columns(text, star, keys, columns, ticks_columns())


def _with_columns(text: str, star: str, keys: list[str], columns: dict[str, str], declared: Container[str]) -> str:
    """Return the text of a view with more columns, name -> SQL; those that the record declares take their place."""
    if not (columns or keys):
        return text
    replaced = [f'{sql} AS "{name}"' for name, sql in columns.items() if name in declared]
    added = [f'{sql} AS "{name}"' for name, sql in columns.items() if name not in declared]
    star += f" REPLACE ({', '.join(replaced)})" if replaced else ""
    return _ROOM.sub(lambda match: f",\n{match[1]}".join([star, *keys, *added]), text, count=1)


def _schema() -> str:
    return ", ".join(
        f"{sql_text(name)}: {{name: {sql_text(name)}, type: {sql_text(kind)}, default_value: NULL}}"
        for name, kind in ticks_columns().items()
    )
