"""`run NAME` and `run FILE.toml`: a command for every experiment file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from paraphina_wh.cli.ingest import tell
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, printable
from paraphina_wh.cli.sessions import engine_options, grid_options, tell_engine, told_progress
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from paraphina_wh.experiments.planning import RunOptions
    from paraphina_wh.experiments.read import Experiment


def experiment_command(name: str, experiment: Experiment) -> click.Command:
    """Return the command that runs an experiment; name: as it was called."""

    @click.command(name=name, help=_help(name, experiment))
    @grid_options(experiment.spec)
    @engine_options(experiment.spec.timeout_sec)
    @click.option("--dry-run", is_flag=True, help="Print the runs and what would be done, and stop.")
    @format_option
    @pass_warehouse
    def run_it(warehouse: Warehouse, /, dry_run: bool, style: str, **options: Any) -> None:
        from paraphina_wh.experiments.planning import RunOptions

        session = RunOptions(**options)
        if dry_run:
            print_plan(warehouse, experiment, session, style)
        else:
            _run(warehouse, experiment, session, style)

    return run_it


def _help(name: str, experiment: Experiment) -> str:
    def text() -> None: ...

    text.__doc__ = (
        f"{experiment.spec.about[0].upper()}{experiment.spec.about[1:]}.\n\n"
        "Runs what is missing of the grid, takes everything in and writes the tables. Repeating the command resumes. "
        "Exit code 1 when a run failed."
    )
    examples(f"paraphina-wh run {printable(name)} --dry-run")(text)
    return text.__doc__


def _run(warehouse: Warehouse, experiment: Experiment, options: RunOptions, style: str) -> None:
    from paraphina_wh.experiments.experiment import run_experiment
    from paraphina_wh.summary import REFERENCE_NOTE

    with told_progress(experiment.spec.name) as told:
        made = run_experiment(warehouse, experiment, options, told)
    tell(made.session.report)
    if made.session.engine.kind == "reference":
        click.echo(REFERENCE_NOTE, err=style != "table")
    if made.shown is not None:
        print_frame(made.shown, style)
    for path in made.written:
        notice(f"wrote {warehouse.relative(path)}")
    if not made.session.complete:
        click.get_current_context().exit(1)


def print_plan(warehouse: Warehouse, experiment: Experiment, options: RunOptions, style: str) -> None:
    """Print the grid of an experiment and what would be done with each run."""
    from paraphina_wh.experiments.preview import preview

    plan = preview(warehouse, experiment, options)
    tell_engine(plan.engine)
    print_frame(plan.frame, style)
    notice(f"{plan.frame.height} runs, {plan.frame['action'].eq('run').sum()} to be run; nothing was run")
