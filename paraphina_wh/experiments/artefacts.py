"""Every artefact by its name: what `export` writes, each to its contract path or to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.alignment import align
from paraphina_wh.catalog import connect, steady, views_named_in
from paraphina_wh.commit import write_atomically
from paraphina_wh.datasets import Appended, Selection, append_research_rows, dataset_file, open_dataset, read_dataset
from paraphina_wh.datasets.rows import count_left_out, let_truncated_in
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.read import read_experiment, shipped
from paraphina_wh.experiments.record import read_record
from paraphina_wh.experiments.spec import Spec
from paraphina_wh.experiments.tables import experiment_tables, tables_of, write_tables
from paraphina_wh.export import (
    ALIGNMENT_CSV,
    EVIDENCE_CSV,
    export_alignment,
    export_dataset,
    export_runs,
    export_summary,
)
from paraphina_wh.known import check_experiment, check_profile, known_profiles
from paraphina_wh.presets import (
    latest_sweep,
    safe_region,
    select_presets,
    tune_presets,
    world_model_alignment,
    write_presets,
    write_safe_region,
    write_tuned,
    write_world_model_alignment,
)
from paraphina_wh.summary import summarise
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

_SWEEP_OF_PRESETS: Final = "exp04_risk_regime"
_SWEEP_OF_REGION: Final = "exp04_multi_scenario"
_HARNESS: Final = "exp13"


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where to.

    dataset: dataset file, None is the newest version. selection: of research rows. experiment: of runs and summaries.
    out: a file instead of the contract path; an artefact of several files then writes the first of them alone.
    """

    dataset: str | Path | None = None
    selection: Selection = field(default_factory=Selection)
    experiment: str | None = None
    allow_mixed: bool = False
    out: Path | None = None


@dataclass
class Exported:
    """What was written. appended: what became of the dataset file. skipped: a sentence per artefact left out."""

    written: list[Path] = field(default_factory=list)
    appended: Appended | None = None
    skipped: list[str] = field(default_factory=list)


def export_artefact(warehouse: Warehouse, what: str, options: ExportOptions | None = None) -> Exported:
    """Write one artefact, or `all` that the warehouse has the runs for, and say what was written.

    Files are written as a whole, and twice gives the same bytes. `all` brings the dataset up to date first.
    Raises: WarehouseError (exit code 2) for an unknown profile or experiment; WarehouseError when the warehouse lacks
    what an artefact is made of; `all` leaves it out instead.
    """
    options = options or ExportOptions()
    if what in ("all", "dataset"):
        _check_selection(warehouse, options.selection)
    if options.out is not None:
        warehouse.check_target(options.out)
    done = Exported()
    if what != "all":
        _EXPORTS[what](warehouse, options, done)
        return done
    if options.out is not None:
        raise WarehouseError("`all` writes several files: leave out -o", "paraphina-wh export --help", exit_code=2)
    missing = dict(_missing(warehouse, options))
    options, sweeps = _without_sweeps(warehouse, options)
    if sweeps:
        done.skipped.append(f"dataset: runs of {', '.join(sweeps)}; `export dataset --experiment NAME` appends them")
    for name, export in _EXPORTS.items():
        if name == "evidence":
            continue  # written beside the alignment
        if name in missing:
            done.skipped.append(f"{name}: {missing[name]}")
        else:
            export(warehouse, options, done)
    return done


@steady
def _check_selection(warehouse: Warehouse, selection: Selection) -> None:
    """Raise a WarehouseError (exit code 2) for a profile or an experiment that no run has: nothing would be said."""
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        known = known_profiles(connection)
        for profile in selection.profiles or ():
            check_profile(profile, known)
        if selection.experiment is not None:
            check_experiment(connection, selection.experiment)


@steady
def _without_sweeps(warehouse: Warehouse, options: ExportOptions) -> tuple[ExportOptions, list[str]]:
    """Return options whose research rows leave out the runs of sweeps, unless an experiment is named, and their names.

    A sweep turns the knobs far from any profile: its runs say nothing about the budgets of one.
    """
    if options.selection.experiment is not None:
        return options, []
    with connect(warehouse, views=views_named_in("research_rows")) as connection:
        let_truncated_in(connection, options.selection.allow_truncated)
        rows = connection.execute("SELECT experiment, run_id FROM research_rows ORDER BY ALL").fetchall()
    sweeps = [name for name in dict.fromkeys(name for name, _ in rows) if _is_sweep(warehouse, name)]
    kept = tuple(run_id for name, run_id in rows if name not in sweeps)
    return replace(options, selection=replace(options.selection, run_ids=kept)), sweeps


def _is_sweep(warehouse: Warehouse, name: str) -> bool:
    record = read_record(warehouse, name)
    spec = record.spec if record else _shipped_spec(name)
    return spec is not None and name != _HARNESS


def _missing(warehouse: Warehouse, options: ExportOptions) -> Iterator[tuple[str, str]]:
    """Yield what `all` leaves out, and why."""
    with connect(warehouse, views=views_named_in("research_rows")) as connection:
        [(rows, runs)] = connection.execute(
            "SELECT (SELECT count(*) FROM research_rows), (SELECT count(*) FROM runs)"
        ).fetchall()
    file = dataset_file(warehouse, options.dataset)
    if not rows and not file.is_file():
        yield "dataset", "the warehouse holds no run with telemetry"
    if not rows and not _has_runs(file):
        yield "alignment", "the dataset holds no runs"
        yield "summary", "the dataset holds no runs"
    if not runs:
        yield "runs", "the warehouse holds no runs"
    if latest_sweep(warehouse, _SWEEP_OF_PRESETS) is None:
        for name in ("presets", "tuned-presets", "world-model"):
            yield name, f"no runs of {_SWEEP_OF_PRESETS}"
    if latest_sweep(warehouse, _SWEEP_OF_REGION) is None:
        yield "safe-region", f"no runs of {_SWEEP_OF_REGION}"


def _has_runs(file: Path) -> bool:
    if not file.is_file():
        return False
    with read_dataset(file) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM dataset_rows WHERE is_run").fetchall()
    return bool(count)


def _dataset(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    file = None if options.out else open_dataset(warehouse, options.dataset)
    if file is None:
        done.written.append(
            export_dataset(warehouse, selection=options.selection, allow_mixed=options.allow_mixed, out=options.out)
        )
    else:
        done.appended = append_research_rows(
            warehouse, file, selection=options.selection, allow_mixed=options.allow_mixed
        )
        done.written.append(done.appended.file)
    if left_out := count_left_out(warehouse, options.selection, file.stem if file else None):
        done.skipped.append(f"dataset: {left_out} runs whose telemetry is cut off; --allow-truncated takes them in")


def _alignment(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    done.written.append(export_alignment(warehouse, options.dataset, out=options.out))
    if options.out is None:
        done.written.append(done.written[-1].with_name(EVIDENCE_CSV))


def _evidence(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    default = warehouse.root / ALIGNMENT_CSV.parent / EVIDENCE_CSV
    _write(options.out or default, align(warehouse, options.dataset).evidence, done)


def _summary(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    done.written.append(export_summary(warehouse, summarise(warehouse, options.dataset), out=options.out))


def _presets(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    presets = select_presets(warehouse)
    _step(options, done, presets.frame, lambda: write_presets(warehouse, presets))


def _tuned(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    tuned = tune_presets(warehouse)
    _step(options, done, tuned.frame, lambda: write_tuned(warehouse, tuned))


def _safe_region(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    region = safe_region(warehouse)
    _step(options, done, region.cells, lambda: write_safe_region(warehouse, region))


def _world_model(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    aligned = world_model_alignment(warehouse)
    _step(options, done, aligned.frame, lambda: write_world_model_alignment(warehouse, aligned))


def _step(options: ExportOptions, done: Exported, main: pl.DataFrame, write: Callable[[], list[Path]]) -> None:
    """Write all files of a step to their places, or its main table to the file that was named."""
    if options.out is None:
        done.written += write()
    else:
        _write(options.out, main, done)


def _runs(warehouse: Warehouse, options: ExportOptions, done: Exported) -> None:
    if options.experiment is None and options.out is not None:
        problem = "one file holds the runs of one experiment: name it with --experiment"
        raise WarehouseError(problem, "paraphina-wh export --help", exit_code=2)
    names = [options.experiment] if options.experiment is not None else _experiments(warehouse)
    for name in names:
        done.written += _runs_of(warehouse, name, options.out)


def _runs_of(warehouse: Warehouse, name: str, out: Path | None) -> list[Path]:
    """Write the tables of an experiment whose file is known, else every column of its runs."""
    record = read_record(warehouse, name)
    spec = record.spec if record else _shipped_spec(name)
    if spec is None or not tables_of(spec) or name not in _experiments(warehouse):
        return [export_runs(warehouse, name, out=out)]
    plan_keys = record.plan_keys if record else None
    if out is None:
        return write_tables(warehouse, spec, plan_keys=plan_keys)
    [(_, runs), *_] = experiment_tables(warehouse, spec, plan_keys)
    write_atomically(out, csv_bytes(runs))
    return [out]


def _shipped_spec(name: str) -> Spec | None:
    specs = (read_experiment(path).spec for path in shipped().values())
    return next((spec for spec in specs if spec.name == name), None)


@steady
def _experiments(warehouse: Warehouse) -> list[str]:
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        names = connection.execute("SELECT DISTINCT experiment FROM runs ORDER BY experiment").fetchall()
    return [name for (name,) in names]


def _write(path: Path, frame: pl.DataFrame, done: Exported) -> None:
    write_atomically(path, csv_bytes(frame))
    done.written.append(path)


_EXPORTS: Final[dict[str, Callable[[Warehouse, ExportOptions, Exported], None]]] = {
    "dataset": _dataset,
    "alignment": _alignment,
    "evidence": _evidence,
    "summary": _summary,
    "runs": _runs,
    "presets": _presets,
    "tuned-presets": _tuned,
    "safe-region": _safe_region,
    "world-model": _world_model,
}
ARTEFACTS: Final = (*_EXPORTS, "all")
