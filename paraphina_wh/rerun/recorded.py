"""The runs to be repeated: found by name or by experiment, with all that the warehouse knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import msgspec

from paraphina_wh.catalog import connect, steady
from paraphina_wh.errors import WarehouseError
from paraphina_wh.known import no_runs
from paraphina_wh.ledger import LEDGER, LedgerRow
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.warehouse import Warehouse

_SHOWN = 10
_COLUMNS = ", ".join(
    f'utc_text("{name}") AS "{name}"' if kind == "TIMESTAMPTZ" else f'"{name}"'
    for name, kind in column_types(LEDGER).items()
)


class Recorded(msgspec.Struct, frozen=True):
    """A run as the warehouse holds it."""

    row: LedgerRow
    experiment: str

    @property
    def has_ticks(self) -> bool:
        """Tell whether the warehouse holds telemetry of the run."""
        return self.row.telemetry_path is not None

    @property
    def names_telemetry(self) -> bool:
        """Tell whether the engine was asked for telemetry; a run known by its label keys alone only read stdout."""
        return self.has_ticks or self.row.label != self.row.label_json

    @property
    def is_partial(self) -> bool:
        """Tell whether the warehouse holds less than the engine wrote: cut off, or lines put aside."""
        return bool(self.row.truncated or self.row.quarantined)

    def __str__(self) -> str:
        """Return how messages call the run."""
        return f"run {self.row.run_id} ({self.row.profile}, {self.row.label})"


@steady
def find_runs(warehouse: Warehouse, names: Sequence[str]) -> list[Recorded]:
    """Return the runs of these names, each once: run_ids, labels, or first characters of run_ids.

    Raises: WarehouseError (exit code 2) for a name that no run has, or more than one.
    """
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        found = [_only(name, _named(connection, name)) for name in names]
    return list({run.row.run_id: run for run in found}.values())


@steady
def runs_of(warehouse: Warehouse, experiment: str, *other_names: str) -> tuple[list[Recorded], int]:
    """Return the runs of an experiment that ended well, by label, and the number of those that did not.

    other_names: what else it goes by; the first name that runs carry counts.
    Raises: WarehouseError (exit code 2) when there is no good one, naming the experiments there are.
    """
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        by_name = (_select(connection, "experiment = $name", name) for name in (experiment, *other_names))
        found = next(filter(None, by_name), [])
        good = [run for run in found if run.row.status == "ok"]
        if not good:
            raise no_runs(connection, experiment, "good runs")
    return good, len(found) - len(good)


def _named(connection: duckdb.DuckDBPyConnection, name: str) -> list[Recorded]:
    if not name:
        return []
    return _select(connection, "run_id = $name OR label = $name", name) or _select(
        connection, "starts_with(run_id, $name)", name
    )


def _select(connection: duckdb.DuckDBPyConnection, condition: str, name: str) -> list[Recorded]:
    query = f"SELECT {_COLUMNS}, experiment FROM runs WHERE {condition} ORDER BY label, profile, run_id"
    result = connection.execute(query, {"name": name})
    columns = [column[0] for column in result.description or []]
    return [_recorded(dict(zip(columns, row, strict=True))) for row in result.fetchall()]


def _recorded(row: dict[str, Any]) -> Recorded:
    return Recorded(experiment=row.pop("experiment"), row=msgspec.convert(row, LedgerRow))


def _only(name: str, matches: Sequence[Recorded]) -> Recorded:
    if not matches:
        raise WarehouseError(f"no run {name!r}", "paraphina-wh query 'select run_id, label from runs'", exit_code=2)
    if len(matches) > 1:
        shown = "; ".join(f"{run.row.run_id} {run.row.profile} {run.row.label}" for run in matches[:_SHOWN])
        more = f"; and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
        raise WarehouseError(f"{name!r} names {len(matches)} runs", f"give one run_id: {shown}{more}", exit_code=2)
    return matches[0]
