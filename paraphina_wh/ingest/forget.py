"""Withdrawal: take wrongly ingested runs out of every answer; the ledger keeps that they were there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import duckdb
import msgspec

from paraphina_wh import commit
from paraphina_wh.catalog import connect, steady
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import files_of_run, ledger_text, recorded, write_ledger
from paraphina_wh.ingest.plan import newest_batch
from paraphina_wh.ingest.rows import withdrawal_row
from paraphina_wh.records import Record
from paraphina_wh.warehouse import Warehouse, new_batch


class Forgotten(msgspec.Struct):
    """A run that was withdrawn."""

    run_id: str
    profile: str
    label: str
    experiment: str


def forget(warehouse: Warehouse, run_ids: Sequence[str] = (), labels: Sequence[str] = ()) -> list[Forgotten]:
    """Withdraw runs named by run_id (or its first characters) or by label, and return them.

    Raises: WarehouseError (exit code 2) when a name matches no run, or a shortened run_id more than one.
    """
    runs, newest = _find(warehouse, run_ids, labels)
    for experiment, group in groupby(sorted(runs, key=lambda run: run.experiment), key=lambda run: run.experiment):
        _withdraw(warehouse, experiment, list(group), newest)
    return runs


@steady
def _find(warehouse: Warehouse, run_ids: Sequence[str], labels: Sequence[str]) -> tuple[list[Forgotten], str]:
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        found: dict[str, Forgotten] = {}
        for run_id in run_ids:
            if not run_id:
                raise WarehouseError("an empty name starts every run_id", "name one run, or a --label", exit_code=2)
            matches = _select(connection, "starts_with(run_id, $name)", run_id)
            if len(matches) > 1:
                raise WarehouseError(f"{run_id!r} starts {len(matches)} run_ids", "give more of it", exit_code=2)
            found |= _named(matches, f"no run {run_id!r}")
        for label in labels:
            found |= _named(_select(connection, "label = $name", label), f"no run with label {label!r}")
        return list(found.values()), newest_batch(connection)


def _select(connection: duckdb.DuckDBPyConnection, condition: str, name: str) -> list[Forgotten]:
    query = f"SELECT run_id, profile, label, experiment FROM runs WHERE {condition} ORDER BY run_id"
    return [Forgotten(*row) for row in connection.execute(query, {"name": name}).fetchall()]


def _named(matches: list[Forgotten], problem: str) -> dict[str, Forgotten]:
    if not matches:
        raise WarehouseError(problem, "paraphina-wh query 'select run_id, profile, label from runs'", exit_code=2)
    return {run.run_id: run for run in matches}


def _withdraw(warehouse: Warehouse, experiment: str, runs: Sequence[Forgotten], after: str) -> None:
    batch = new_batch(after)
    rows = [withdrawal_row(batch, run.run_id, run.profile, run.label) for run in runs]
    with commit.staging(warehouse, batch) as folder, in_memory() as connection:
        ledger = write_ledger(connection, folder, rows, [])
        commit.commit(
            warehouse,
            Record(batch, rows=recorded(rows)),
            [commit.Put(ledger, warehouse.runs_file(experiment, batch), ledger_text(rows))],
            drops=[path for run in runs for path in files_of_run(warehouse, run.profile, run.label, run.run_id)],
        )
