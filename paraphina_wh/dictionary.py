"""The data dictionary: columns of every view with type, unit and meaning.

Nothing is declared here. A view's header comes first, then the telemetry record, the ledger row and the headers
of other views: a column keeps its meaning under its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

import polars as pl

from paraphina_wh import catalog
from paraphina_wh.ledger import LEDGER
from paraphina_wh.promoted import promoted_meanings
from paraphina_wh.telemetry.shape import TICKS, Contract, dictionary, json_schema
from paraphina_wh.warehouse import Warehouse

_COLUMN = re.compile(r"--   (\w+) +\| +(.+?) +\| +(.+)")
_FIELD = re.compile(r"-- +(\w+): +(.+)")

Meaning = tuple[str, str]


def list_views() -> pl.DataFrame:
    """Return one row per view: view, what it answers, grain."""
    headers = [(name, _header(name)) for name in catalog.view_names()]
    return pl.DataFrame(
        [(name, _sentence(header, name), _sentence(header, "Grain")) for name, header in headers],
        schema={"view": pl.String, "description": pl.String, "grain": pl.String},
        orient="row",
    )


def describe_view(warehouse: Warehouse, view: str) -> pl.DataFrame:
    """Return one row per column of a view: column, DuckDB type, unit (`-` when it has none), meaning.

    Raises: WarehouseError (exit code 2) listing the views when there is none of this name.
    """
    catalog.check_view(view)
    with catalog.connect(warehouse, views=catalog.views_named_in(view), or_empty=True) as connection:
        columns = connection.execute(f'DESCRIBE "{view}"').fetchall()
    promoted = promoted_meanings(view, warehouse.path)
    return pl.DataFrame(
        [(name, kind, *(promoted.get(name) or meaning_of(view, name) or ("", ""))) for name, kind, *_ in columns],
        schema={"column": pl.String, "type": pl.String, "unit": pl.String, "meaning": pl.String},
        orient="row",
    )


def meaning_of(view: str, column: str) -> Meaning | None:
    """Return (unit, meaning) of a column, or None when it is declared nowhere."""
    return next((found[column] for found in _sources(view) if column in found), None)


def json_schema_text(contract: Contract) -> str:
    """Return the JSON Schema of a kind of file, as text."""
    return json.dumps(json_schema(contract), indent=2, ensure_ascii=False) + "\n"


def _sources(view: str) -> Iterator[dict[str, Meaning]]:
    """Yield where the meaning of a view's columns may stand, the closest place first."""
    record = _declared(TICKS)
    yield header_columns(view)
    yield _below(record, f"{view}[].")
    if view == "venue_ticks":
        yield _below(record, "venue_")
    if view == "ticks":
        yield record
    yield _declared(LEDGER)
    for other in catalog.view_names():
        yield header_columns(other)
    yield record


@cache
def _declared(contract: Contract) -> dict[str, Meaning]:
    return {path: (unit, meaning) for path, _, unit, meaning in dictionary(contract)}


def _below(record: dict[str, Meaning], prefix: str) -> dict[str, Meaning]:
    return {path.removeprefix(prefix): meaning for path, meaning in record.items() if path.startswith(prefix)}


@cache
def _header(view: str) -> list[str]:
    """Return the comment lines that open a view's file."""
    lines = catalog.view_files()[view].read_text().splitlines()
    return lines[: next(i for i, line in enumerate(lines) if not line.startswith("--"))]


@cache
def header_columns(view: str) -> dict[str, Meaning]:
    """Return the columns that the header of a view declares, in order: name -> (unit, meaning)."""
    found = (_COLUMN.fullmatch(line) for line in _header(view))
    return {match[1]: (match[2], match[3]) for match in found if match}


def _sentence(header: list[str], name: str) -> str:
    """Return the first sentence that a header gives under a name, without its full stop."""
    found = next((match[2] for line in header if (match := _FIELD.fullmatch(line)) and match[1] == name), "")
    return found.partition(". ")[0].rstrip(".")
