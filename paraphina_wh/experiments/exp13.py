"""exp13 end to end: run, take in, append to the dataset, summarise, align."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.datasets import Appended, Selection, append_research_rows, check_engine_of, open_dataset
from paraphina_wh.engine import find_engine
from paraphina_wh.evidence.sample import EVERYTHING, Choice
from paraphina_wh.experiments.planning import RunOptions
from paraphina_wh.experiments.read import Experiment, find_experiment
from paraphina_wh.experiments.runner import Progress, Session, run_grid
from paraphina_wh.export import write_alignment
from paraphina_wh.presets import input_file, preset_environment, read_presets, read_tuned
from paraphina_wh.summary import Summary, summarise
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Exp13:
    """What exp13 made. The last four are None when no run of the dataset is usable."""

    session: Session
    appended: Appended
    summary: Summary | None = None
    alignment: Alignment | None = None
    alignment_csv: Path | None = None


def knobs_of_presets(warehouse: Warehouse, presets: str) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return risk tier -> knobs of its best preset, and warnings.

    presets: a preset CSV (relative paths are below ROOT, else in the current folder), or `tuned` for what exp12 wrote.
    Raises: WarehouseError (exit code 2) when there is none.
    """
    if presets == "tuned":
        table, warnings = read_tuned(warehouse)
    else:
        table, warnings = read_presets(input_file(warehouse, presets)), []
    ranked = table.rows.sort("rank_within_tier", nulls_last=True, maintain_order=True)
    best = ranked.drop_nulls("risk_tier").unique("risk_tier", keep="first", maintain_order=True)
    return {row["risk_tier"]: preset_environment(row) for row in best.iter_rows(named=True)}, warnings


def run_exp13(
    warehouse: Warehouse,
    options: RunOptions,
    dataset: str | Path | None = None,
    progress: Progress | None = None,
    *,
    allow_mixed: bool = False,
    experiment: Experiment | None = None,
    out_dir: Path | None = None,
    level: float | None = None,
    choice: Choice = EVERYTHING,
    own_runs_only: bool = False,
) -> Exp13:
    """Run the telemetry harness and bring dataset, summary and alignment up to date.

    Summary and alignment cover the whole dataset file, rows of earlier sessions included.
    experiment: a variant of exp13. out_dir: for the alignment, by default the folder of the contract.
    level, choice: as `align` takes them. own_runs_only: it counts the runs of this grid alone.
    Raises: WarehouseError (exit code 2) before the first run when the plan cannot be run.
    """
    progress = progress or Progress()
    file = open_dataset(warehouse, dataset)
    engine = find_engine(options.engine, warehouse.root)
    progress.on_engine(engine)
    if not allow_mixed:
        check_engine_of(file, engine.kind)
    session = run_grid(warehouse, experiment or find_experiment("exp13"), options, engine, progress)
    selection = Selection(run_ids=tuple(session.run_ids))
    appended = append_research_rows(warehouse, file, selection=selection, allow_mixed=allow_mixed)
    if not (appended.appended or appended.already_there):
        return Exp13(session, appended)
    alignment = align(warehouse, file, level=level, run_ids=session.run_ids if own_runs_only else None, choice=choice)
    written = write_alignment(warehouse, alignment, out_dir)
    return Exp13(session, appended, summarise(warehouse, file), alignment, written)
