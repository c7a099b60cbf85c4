"""One experiment end to end: find the engine, run the grid, take everything in, write the tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from paraphina_wh.commit import write_atomically
from paraphina_wh.engine import find_engine
from paraphina_wh.experiments.planning import RunOptions, folder_of
from paraphina_wh.experiments.read import Experiment
from paraphina_wh.experiments.runner import Progress, Session, run_grid
from paraphina_wh.experiments.spec import Show
from paraphina_wh.experiments.tables import experiment_tables
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Ran:
    """What an experiment made. written: its tables; shown: the rows worth printing, None when there is no table."""

    session: Session
    written: list[Path]
    shown: pl.DataFrame | None


def run_experiment(
    warehouse: Warehouse, experiment: Experiment, options: RunOptions, progress: Progress | None = None
) -> Ran:
    """Run an experiment and write its tables, which cover the whole grid, runs of earlier sessions included.

    Raises: WarehouseError (exit code 2) before the first run when the plan cannot be run.
    """
    progress = progress or Progress()
    engine = find_engine(options.engine, warehouse.root)
    progress.on_engine(engine)
    session = run_grid(warehouse, experiment, options, engine, progress)
    folder = folder_of(warehouse, session.spec)
    written, shown = [], None
    for table, frame in experiment_tables(warehouse, session.spec, session.plan_keys):
        write_atomically(folder / table.file, csv_bytes(frame))
        written.append(folder / table.file)
        if table.group_by:
            shown = _worth_printing(frame, session.spec.show)
    return Ran(session, written, shown)


def _worth_printing(frame: pl.DataFrame, show: Show | None) -> pl.DataFrame:
    if show is None:
        return frame
    low = [pl.col(name) < limit for name, limit in show.below.items()]
    return frame.filter(*low).sort(show.rank_by, descending=True, nulls_last=True, maintain_order=True).head(show.rows)
