"""The closed loop: sweep, presets, harness, alignment, tuning, and the harness again with the tuned knobs.

Every step leaves its artefacts in a folder of its own below `runs/<name>/`. Repeating it resumes: runs that are there
are not run again, and the other steps give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from paraphina_wh.commit import write_atomically
from paraphina_wh.engine.seeds import Part
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.exp13 import Exp13, run_exp13
from paraphina_wh.experiments.experiment import run_experiment
from paraphina_wh.experiments.planning import RunOptions
from paraphina_wh.experiments.read import Experiment, find_experiment
from paraphina_wh.experiments.runner import Progress
from paraphina_wh.presets import preset_environment, select_presets, tune_presets, write_presets, write_tuned
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

REPORT: Final = "loop_report.csv"
NOT_APPLIED: Final = "delta_limit_usd_base: the engine has no knob for it, so it is reported and not applied"
_KNOBS: Final = ("initial_q_tao", "loss_limit_usd", "hedge_band_base", "size_eta", "vol_ref", "delta_limit_usd_base")
_MEASURED: Final = ("n_runs", "emp_kill_prob", "emp_max_drawdown_mean", "emp_final_pnl_mean", "emp_score")
# What the sweep said of the preset that it chose: the best of many look better than they are.
_DESIGNED: Final = ("kill_prob", "max_drawdown_mean", "final_pnl_mean")
_VERDICTS: Final = ("kill_verdict", "dd_verdict", "pnl_verdict")


@dataclass(frozen=True)
class LoopOptions:
    """How to run the loop.

    name: folder below `runs/` and start of every label. sweep_repeats: runs of each point of the sweep.
    runs_per_profile: runs of each harness. The rest as in `RunOptions`; ticks and knobs hold for all steps.
    """

    name: str = "loop"
    sweep_repeats: int | None = None
    runs_per_profile: int = 10
    session: RunOptions = field(default_factory=RunOptions)


@dataclass(frozen=True)
class Loop:
    """What the loop came to.

    report: one row per tier and phase (before, after the tuning): knobs, measured metrics, verdicts. warnings: what a
    user should know of presets and tuning. complete: every run of every step ended well.
    """

    report: pl.DataFrame
    path: Path
    warnings: list[str]
    complete: bool
    is_reference: bool


@dataclass(frozen=True)
class LoopProgress:
    """Who is told: the step that begins, and how its runs go."""

    on_step: Callable[[str], None] = lambda text: None
    runs: Progress = field(default_factory=Progress)


def run_loop(warehouse: Warehouse, options: LoopOptions, progress: LoopProgress | None = None) -> Loop:
    """Run the loop from the sweep to the proof of the tuned presets.

    Raises: WarehouseError when a step leaves nothing that the next one could use, and (exit code 2) as the steps do.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", options.name):
        raise WarehouseError(f"{options.name!r} cannot name a loop", "letters, digits, `_` and `-`", exit_code=2)
    progress = progress or LoopProgress()
    folder = warehouse.root / "runs" / options.name
    progress.on_step("1 risk-regime sweep")
    sweep = run_experiment(
        warehouse,
        _named(find_experiment("exp04_risk_regime"), options.name, "sweep"),
        replace(options.session, repeats=options.sweep_repeats, folder=_step(options, "1_sweep")),
        progress.runs,
    )
    progress.on_step("2 presets (exp07)")
    presets = select_presets(warehouse, sweep.written[0])
    if presets.frame.is_empty():
        raise WarehouseError("the sweep left no candidate for a preset", "look at its failures above, and repeat")
    preset_files = write_presets(warehouse, presets, folder / "2_presets")
    progress.on_step("3 harness (exp13) and alignment (exp11) with the presets")
    before = _harness(warehouse, options, presets.frame, "prove", progress.runs)
    progress.on_step("4 tuned presets (exp12)")
    tuned = tune_presets(warehouse, preset_files[0], _needed(before.alignment_csv, "before"))
    write_tuned(warehouse, tuned, folder / "4_tuned")
    progress.on_step("5 harness (exp13) and alignment (exp11) with the tuned presets")
    after = _harness(warehouse, options, tuned.frame, "prove again", progress.runs)
    report = loop_report(presets.frame, before, tuned.frame, after)
    write_atomically(folder / REPORT, csv_bytes(report))
    return Loop(
        report=report,
        path=folder / REPORT,
        warnings=[*presets.warnings, *tuned.warnings],
        complete=sweep.session.complete and before.session.complete and after.session.complete,
        is_reference=sweep.session.engine.kind == "reference",
    )


def _step(options: LoopOptions, name: str) -> str:
    return f"runs/{options.name}/{name}"


def _named(experiment: Experiment, name: str, step: str) -> Experiment:
    """Return an experiment under another name, so that its labels and rows stay apart from those of its own."""
    spec = experiment.spec
    changed = msgspec.structs.replace(spec, name=f"{name}_{step}", run_name=f"{name}_{step}_{spec.run_name}")
    return replace(experiment, spec=changed)


def _harness(
    warehouse: Warehouse, options: LoopOptions, presets: pl.DataFrame, part: Part, progress: Progress
) -> Exp13:
    """Run every tier with the knobs of its preset, into a dataset of its own, on seeds that chose nothing."""
    number, phase = (3, "before") if part == "prove" else (5, "after")
    name = f"{options.name}_{phase}"
    exp13 = find_experiment("exp13")
    folder = _step(options, f"{number}_{phase}")
    session = replace(
        options.session,
        repeats=options.runs_per_profile,
        profiles=tuple(presets["risk_tier"]),
        constants={"label_prefix": name},
        profile_knobs={row["risk_tier"]: _knobs(row) for row in presets.iter_rows(named=True)},
        folder=folder,
        seed_part=part,
    )
    return run_exp13(
        warehouse,
        session,
        f"{folder}/{name}.jsonl",
        progress,
        experiment=replace(exp13, spec=msgspec.structs.replace(exp13.spec, name=name)),
        out_dir=warehouse.root / folder,
        own_runs_only=True,
    )


def _knobs(preset: dict[str, Any]) -> dict[str, str]:
    return dict(preset_environment(preset))


def _needed(path: Path | None, phase: str) -> Path:
    if path is None:
        raise WarehouseError(f"no run of the harness {phase} the tuning is usable", "look at its failures, and repeat")
    return path


def loop_report(presets: pl.DataFrame, before: Exp13, tuned: pl.DataFrame, after: Exp13) -> pl.DataFrame:
    """Return one row per tier and phase: knobs, what the sweep said of the preset, what fresh seeds say, verdicts.

    Columns: `risk_tier`, `phase`, knobs, `risk_scale_exp12`, `designed_...`, `n_runs`, `emp_...`,
    `final_pnl_std_err_usd` (standard error of the mean on fresh seeds), verdicts.
    """
    frames = [
        _phase(presets.with_columns(risk_scale_exp12=pl.lit(1.0)), before, "before"),
        _phase(tuned, after, "after"),
    ]
    tiers = presets.select("risk_tier").with_row_index("place")
    return pl.concat(frames).join(tiers, on="risk_tier").sort("place", maintain_order=True).drop("place")


def _phase(presets: pl.DataFrame, made: Exp13, phase: str) -> pl.DataFrame:
    if made.alignment is None or made.summary is None:
        raise WarehouseError(f"no run of the harness {phase} the tuning is usable", "look at its failures, and repeat")
    errors = made.summary.profiles.select(
        pl.col("profile").alias("risk_tier"),
        (pl.col("final_pnl_std") / pl.col("n_runs").sqrt()).alias("final_pnl_std_err_usd"),
    )
    measured = made.alignment.combined.select("risk_tier", *_MEASURED, *_VERDICTS).join(
        errors, on="risk_tier", how="left"
    )
    knobs = presets.select(
        "risk_tier",
        pl.lit(phase).alias("phase"),
        *_KNOBS,
        "risk_scale_exp12",
        *(pl.col(name).alias(f"designed_{name}") for name in _DESIGNED),
    )
    fresh = ("risk_tier", *_MEASURED, "final_pnl_std_err_usd", *_VERDICTS)
    return knobs.join(measured.select(fresh), on="risk_tier", how="left")
