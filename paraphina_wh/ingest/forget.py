"""Withdrawal: take wrongly ingested runs out of every answer; the ledger keeps that they were there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import duckdb
import msgspec

from paraphina_wh import commit
from paraphina_wh.catalog import connect, steady
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import files_of_run, ledger_text, recorded, write_ledger
from paraphina_wh.ingest.plan import newest_batch
from paraphina_wh.ingest.rows import withdrawal_row
from paraphina_wh.known import check_experiment, check_profile, known_profiles
from paraphina_wh.records import Record
from paraphina_wh.warehouse import Warehouse, new_batch

_SHOWN: Final = 10


class Forgotten(msgspec.Struct):
    """A run that was withdrawn."""

    run_id: str
    profile: str
    label: str
    experiment: str


@dataclass(frozen=True)
class Narrowed:
    """Which of the runs that are named are meant. every: all of them, though a label fits several."""

    profile: str | None = None
    experiment: str | None = None
    every: bool = False


def forget(
    warehouse: Warehouse,
    run_ids: Sequence[str] = (),
    labels: Sequence[str] = (),
    narrowed: Narrowed = Narrowed(),
    *,
    dry_run: bool = False,
) -> list[Forgotten]:
    """Withdraw runs named by run_id (or its first characters) or by label, and return them; dry_run: withdraw none.

    Without a name, all runs of the profile and the experiment are meant.
    Raises: WarehouseError (exit code 2) when a name matches no run, or a shortened run_id more than one, or when a
    label fits several runs, unless every one is meant: then nothing is withdrawn.
    """
    runs, newest = find_meant(warehouse, run_ids, labels, narrowed, one_each=not (narrowed.every or dry_run))
    if dry_run:
        return runs
    for experiment, group in groupby(sorted(runs, key=lambda run: run.experiment), key=lambda run: run.experiment):
        _withdraw(warehouse, experiment, list(group), newest)
    return runs


@steady
def find_meant(
    warehouse: Warehouse, run_ids: Sequence[str], labels: Sequence[str], narrowed: Narrowed, *, one_each: bool
) -> tuple[list[Forgotten], str]:
    """Return the runs that are meant, and the newest batch.

    one_each: no label may fit several. Raises: WarehouseError (exit code 2) as `forget` does.
    """
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        _narrow(connection, narrowed)
        found: dict[str, Forgotten] = {}
        for run_id in run_ids:
            if not run_id:
                raise WarehouseError("an empty name starts every run_id", "name one run, or a --label", exit_code=2)
            matches = _select(connection, "starts_with(run_id, $name)", run_id)
            if len(matches) > 1:
                raise WarehouseError(f"{run_id!r} starts {len(matches)} run_ids", "give more of it", exit_code=2)
            found |= _named(matches, f"no run {run_id!r}")
        every_label: Sequence[None] = [] if run_ids else [None]
        for label in labels or every_label:
            matches = _select(connection, "coalesce(label = $name, true)", label)
            if one_each and len(matches) > 1:
                raise _several("these options fit" if label is None else f"label {label!r} fits", matches)
            found |= _named(matches, "no run with these options" if label is None else f"no run with label {label!r}")
        return list(found.values()), newest_batch(connection)


def _narrow(connection: duckdb.DuckDBPyConnection, narrowed: Narrowed) -> None:
    """Make the table `meant`: the runs of the profile and the experiment."""
    if narrowed.profile is not None:
        check_profile(narrowed.profile, known_profiles(connection))
    if narrowed.experiment is not None:
        check_experiment(connection, narrowed.experiment)
    connection.execute(
        "CREATE TEMP TABLE meant AS SELECT run_id, profile, label, experiment FROM runs "
        "WHERE profile = coalesce($1, profile) AND experiment = coalesce($2, experiment)",
        [narrowed.profile, narrowed.experiment],
    )


def _several(what: str, matches: Sequence[Forgotten]) -> WarehouseError:
    listed = [f"{run.run_id} {run.profile} {run.label} ({run.experiment})" for run in matches[:_SHOWN]]
    more = [f"and {len(matches) - _SHOWN} more, --dry-run lists them"] if len(matches) > _SHOWN else []
    return WarehouseError(
        f"{what} {len(matches)} runs, none was withdrawn: {'; '.join(listed + more)}",
        "name one by its run_id, narrow with --profile, --experiment or --label, or withdraw all with --all",
        exit_code=2,
    )


def _select(connection: duckdb.DuckDBPyConnection, condition: str, name: str | None) -> list[Forgotten]:
    query = f"SELECT run_id, profile, label, experiment FROM meant WHERE {condition} ORDER BY run_id"
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
