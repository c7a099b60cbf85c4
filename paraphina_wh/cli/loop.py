"""The closed loop, `run loop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from paraphina_wh.cli.exp11 import upright
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, warn
from paraphina_wh.cli.sessions import engine_options, seed_options, told_progress
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.experiments.loop import Loop


@click.command()
@click.option("--name", default="loop", show_default=True, help="Folder below runs/, and start of the labels.")
@click.option("--ticks", type=int, help="Ticks a run.  [default: 2000]")
@click.option("--sweep-repeats", type=int, help="Runs of each point of the sweep.  [default: 3]")
@click.option("--runs-per-profile", type=int, default=10, show_default=True, help="Runs of each harness.")
@seed_options("1")
@engine_options(600.0)
@format_option
@examples("paraphina-wh run loop --runs-per-profile 20")
@pass_warehouse
def loop(
    warehouse: Warehouse,
    /,
    name: str,
    ticks: int | None,
    sweep_repeats: int | None,
    runs_per_profile: int,
    style: str,
    **options: Any,
) -> None:
    """Close the loop: from a sweep to presets, and to tuned presets that are tried in turn.

    Risk-regime sweep, exp07, exp13 with the presets, exp11, exp12, exp13 with the tuned presets, exp11 again. Each
    step has a folder of its own in runs/NAME/. Repeating the command resumes. Exit code 1 when a run failed.
    """
    from paraphina_wh.experiments.loop import LoopOptions, LoopProgress, run_loop
    from paraphina_wh.experiments.planning import RunOptions

    loop = LoopOptions(name, sweep_repeats, runs_per_profile, RunOptions(ticks=ticks, **options))
    with told_progress(name) as told:
        done = run_loop(warehouse, loop, LoopProgress(lambda text: notice(f"--- {text}"), told))
    _print(done, style)
    notice(f"wrote {warehouse.relative(done.path)}")
    if not done.complete:
        click.get_current_context().exit(1)


def _print(done: Loop, style: str) -> None:
    from paraphina_wh.experiments.loop import NOT_APPLIED
    from paraphina_wh.presets import SIZE_ETA_CAVEAT
    from paraphina_wh.summary import REFERENCE_NOTE

    for text in done.warnings:
        warn(text)
    if done.is_reference:
        click.echo(REFERENCE_NOTE, err=style != "table")
    if style == "table":
        click.echo("=== Before and after the tuning ===")
    print_frame(_shown(done.report) if style == "table" else done.report, style)
    for text in (NOT_APPLIED, SIZE_ETA_CAVEAT):
        notice(text)


def _shown(report: pl.DataFrame) -> pl.DataFrame:
    """Return the report upright, a column per tier and phase."""
    import polars as pl

    named = report.select(pl.format("{} {}", "risk_tier", "phase").alias("preset"), pl.exclude("risk_tier", "phase"))
    return upright(named)
