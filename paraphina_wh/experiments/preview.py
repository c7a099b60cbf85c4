"""What a session of a runner would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from paraphina_wh.engine import Engine, find_engine
from paraphina_wh.experiments.planning import PlannedRun, RunOptions, adapted, plan_runs
from paraphina_wh.experiments.read import Experiment
from paraphina_wh.experiments.runner import missing_runs
from paraphina_wh.sidecar import read_sidecar, sidecar_path
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Preview:
    """The grid. frame: one row a run.

    action: `run`, `keep` a run that is already there, or `take in` one that has ended and waits on disk.
    """

    engine: Engine
    frame: pl.DataFrame


def preview(warehouse: Warehouse, experiment: Experiment, options: RunOptions) -> Preview:
    """Return the runs of the grid and what would be done with each; nothing is run or written.

    Raises: WarehouseError as `run_grid` does before its first run.
    """
    engine = find_engine(options.engine, warehouse.root)
    planned = plan_runs(warehouse, adapted(experiment.spec, options), options, engine)
    missing = planned if options.fresh else missing_runs(warehouse, planned)
    to_run = {run.key for run in missing}
    rows = [_row(warehouse, run, _action(run) if run.key in to_run else "keep") for run in planned]
    return Preview(engine, pl.DataFrame(rows, schema_overrides={"seed": pl.UInt64, "ticks": pl.Int64}))


def _action(run: PlannedRun) -> str:
    sidecar = read_sidecar(sidecar_path(run.telemetry))
    ended = sidecar is not None and sidecar.status == "ok" and sidecar.plan_key == run.sidecar.plan_key
    return "take in" if ended else "run"


def _row(warehouse: Warehouse, run: PlannedRun, action: str) -> dict[str, object]:
    return {
        "run": run.sidecar.run_name,
        "label": run.sidecar.label,
        "seed": run.sidecar.seed,
        "ticks": run.sidecar.ticks,
        "knobs": " ".join(f"{name}={value}" for name, value in run.sidecar.knobs.items()),
        "engine": run.sidecar.engine,
        "telemetry": warehouse.relative(run.telemetry) if run.has_telemetry else None,
        "action": action,
    }
