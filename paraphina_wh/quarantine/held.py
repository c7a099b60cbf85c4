"""What has lines put aside: found by run_id, by its start, or by label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import msgspec

from paraphina_wh.catalog import connect
from paraphina_wh.errors import WarehouseError
from paraphina_wh.quarantine.files import files_kept, query
from paraphina_wh.warehouse import Warehouse

_LIST = "paraphina-wh quarantine list"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A run with lines put aside, as the ledger has it, or a file of Monte Carlo runs.

    run_id: of such a file its source id; it has no profile, label and experiment, and no numbers.
    file: the source, relative to ROOT when below it. quarantined: lines put aside, of so many lines.
    cut_off: the last of them is the end of the file, cut off.
    """

    run_id: str
    profile: str | None
    label: str | None
    experiment: str | None
    file: str
    source_sha256: str
    quarantined: int | None
    quarantined_bytes: int | None
    lines: int | None
    rows: int
    cut_off: bool
    ingested_at: str

    @property
    def is_run(self) -> bool:
        """Tell whether this is a run; else it is a file of Monte Carlo runs."""
        return self.profile is not None

    @property
    def only_cut_off(self) -> bool:
        """Tell whether nothing is put aside but a last line that was cut off."""
        return self.cut_off and self.quarantined == 1

    def __str__(self) -> str:
        """Return how messages call it."""
        return f"run {self.run_id} ({self.profile}, {self.label})" if self.is_run else f"source {self.run_id}"


@contextmanager
def open_held(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with the table `held` and the views that tell of runs."""
    with connect(warehouse, views=("run_ledger", "runs", "mc_runs")) as connection:
        sources = [file.stem for file in files_kept(warehouse)]
        connection.execute(f"CREATE TEMP TABLE held AS {query('held')}", {"sources": sources})
        yield connection


def find(warehouse: Warehouse, names: Sequence[str] = (), labels: Sequence[str] = ()) -> list[Held]:
    """Return what run_ids (or their first characters) and labels name, each once.

    Raises: WarehouseError (exit code 2) when a name has no lines put aside, or a shortened run_id stands for several.
    """
    with open_held(warehouse) as connection:
        found = [find_name(connection, name) for name in names]
        found += [held for label in labels for held in find_label(connection, label)]
    return list({held.run_id: held for held in found}.values())


def find_name(connection: duckdb.DuckDBPyConnection, name: str) -> Held:
    """Return what a run_id or its first characters name. Raises: as `find`."""
    matches = select(connection, "starts_with(run_id, $name) AND $name <> ''", name=name)
    if len(matches) > 1:
        raise WarehouseError(f"{name!r} starts {len(matches)} run_ids", "give more of it", exit_code=2)
    return matches[0] if matches else _nothing(connection, name)


def find_label(connection: duckdb.DuckDBPyConnection, label: str) -> list[Held]:
    """Return the runs of a label that have lines put aside. Raises: as `find`."""
    matches = select(connection, "label = $name", name=label)
    return matches or [_nothing(connection, label, by="label")]


def _nothing(connection: duckdb.DuckDBPyConnection, name: str, by: str = "") -> Held:
    condition = "label = $name" if by else "starts_with(run_id, $name) AND $name <> ''"
    known = connection.execute(f"SELECT run_id, label FROM runs WHERE {condition} LIMIT 1", {"name": name}).fetchone()
    if known:
        raise WarehouseError(f"run {known[0]} ({known[1]}) has no lines put aside", _LIST, exit_code=2)
    raise WarehouseError(f"no run {f'with {by} ' if by else ''}{name!r}", f"{_LIST} names those there are", exit_code=2)


def select(connection: duckdb.DuckDBPyConnection, condition: str, **values: Any) -> list[Held]:
    """Return the rows of `held` that meet a condition, the oldest first."""
    columns = "* REPLACE (utc_text(ingested_at) AS ingested_at)"
    query = f"SELECT {columns} FROM held WHERE {condition} ORDER BY held.ingested_at, run_id"
    result = connection.execute(query, values or None)
    names = [column[0] for column in result.description or []]
    return [msgspec.convert(dict(zip(names, row, strict=True)), Held) for row in result.fetchall()]
