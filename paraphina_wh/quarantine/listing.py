"""Every run with lines put aside, in one table."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from paraphina_wh.known import check_experiment
from paraphina_wh.quarantine.files import files_kept, load_put_aside, query
from paraphina_wh.quarantine.held import open_held
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Listing:
    """The runs with lines put aside, a row each.

    damaged: run_ids whose quarantine file is not what it was when it was written.
    dropped: the number of runs that had lines put aside whose lines are no longer kept.
    """

    frame: pl.DataFrame
    damaged: list[str]
    dropped: int


def list_quarantine(warehouse: Warehouse, experiment: str | None = None) -> Listing:
    """Return what lies in the quarantine, the oldest first; columns as in sql/quarantine/list.sql.

    Memory does not grow with the files, but with the longest line.
    Raises: WarehouseError (exit code 2) for an experiment without a run.
    """
    with open_held(warehouse) as connection:
        if experiment is not None:
            check_experiment(connection, experiment)
        load_put_aside(connection, files_kept(warehouse))
        frame = connection.sql(query("list"), params={"experiment": experiment}).pl()
        dropped = connection.execute(
            "SELECT count(*) FROM held WHERE ($1 IS NULL OR experiment = $1) "
            "AND run_id NOT IN (SELECT run_id FROM put_aside)",
            [experiment],
        ).fetchone()
    damaged = frame.filter("damaged")["run_id"].to_list()
    return Listing(frame, damaged, dropped[0] if dropped else 0)
