"""The telemetry harness, `run exp13`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from paraphina_wh.cli.exp11 import gate_option, holds, level_option, mark_reference, print_alignment, sample_options
from paraphina_wh.cli.experiment import print_plan
from paraphina_wh.cli.ingest import tell
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, print_json, tell_appended, warn
from paraphina_wh.cli.sessions import engine_options, grid_options, told_progress
from paraphina_wh.cli.summary import tell_killed
from paraphina_wh.experiments.read import find_experiment
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from paraphina_wh.alignment import Gate
    from paraphina_wh.engine.seeds import Part
    from paraphina_wh.experiments.exp13 import Exp13
    from paraphina_wh.experiments.planning import RunOptions

_SPEC = find_experiment("exp13").spec


@click.command()
@grid_options(_SPEC, "--runs-per-profile")
@click.option("--label-prefix", default="exp13", show_default=True, help="Start of the labels.")
@click.option(
    "--dataset", type=click.Path(), metavar="FILE", help="Dataset to append to; by default the newest version."
)
@click.option(
    "--presets",
    type=click.Path(),
    metavar="FILE|tuned",
    help="Run each profile with the knobs of its preset, on seeds that chose nothing; tuned: what exp12 wrote.",
)
@engine_options(_SPEC.timeout_sec)
@click.option("--dry-run", is_flag=True, help="Print the runs and what would be done, and stop.")
@click.option("--allow-mixed", is_flag=True, help="Let rows of the reference and a real engine share the dataset.")
@click.option(
    "--until-decided",
    is_flag=True,
    help="Add runs until it is known which profiles keep their budgets.",
)
@click.option("--max-runs", type=click.IntRange(min=1), metavar="N", help="With --until-decided: most runs a profile.")
@level_option
@sample_options
@gate_option
@format_option
@examples(
    "paraphina-wh run exp13 --runs-per-profile 10 --set MM_SIZE_ETA=2",
    "paraphina-wh run exp13 --engine target/release/paraphina --dry-run",
    "paraphina-wh run exp13 --presets tuned --label-prefix tuned",
)
@pass_warehouse
def exp13(
    warehouse: Warehouse,
    /,
    label_prefix: str,
    dataset: str | None,
    presets: str | None,
    dry_run: bool,
    allow_mixed: bool,
    until_decided: bool,
    max_runs: int | None,
    level: float | None,
    configs: tuple[str, ...],
    assume_independent: bool,
    gate: Gate | None,
    style: str,
    **options: Any,
) -> None:
    """Run the telemetry harness end to end.

    Runs every profile and repeat, takes the telemetry in, appends to the dataset, prints summary and alignment.
    Repeating the command resumes: finished runs are not run again. Exit code 1 when a run failed.

    With --until-decided runs are added in batches until each profile is proved to keep its budgets, or to break one, or
    has --max-runs. The bounds hold at every look: stop, repeat with more, nothing is spent.
    """
    from paraphina_wh.evidence.sample import Choice
    from paraphina_wh.experiments.exp13 import knobs_of_presets, run_exp13
    from paraphina_wh.experiments.planning import RunOptions

    knobs, warnings = knobs_of_presets(warehouse, presets) if presets else ({}, [])
    for text in warnings:
        warn(text)
    # Other seeds than those that chose the presets, and those that tuned them.
    part: Part = "prove again" if presets == "tuned" else "prove" if presets else "choose"
    session = RunOptions(constants={"label_prefix": label_prefix}, profile_knobs=knobs, seed_part=part, **options)
    if until_decided != (max_runs is not None):
        raise click.UsageError("--until-decided and --max-runs N go together")
    if until_decided and (configs or assume_independent):
        raise click.UsageError(
            "--until-decided judges drawn seeds of what it runs: no --config, no --assume-independent"
        )
    if dry_run and max_runs is not None:
        _print_needs(warehouse, session, max_runs, level or 0.95, style)
        return
    if dry_run:
        print_plan(warehouse, find_experiment("exp13"), session, style)
        return
    if max_runs is not None:
        _until_decided(warehouse, session, max_runs, dataset, level, allow_mixed, gate, style)
        return
    with told_progress("exp13") as told:
        choice = Choice(configs, assume_independent)
        made = run_exp13(warehouse, session, dataset, told, allow_mixed=allow_mixed, level=level, choice=choice)
    _print_exp13(warehouse, made, style)
    if not made.session.complete or made.alignment is None or (gate and not holds(made.alignment, gate)):
        click.get_current_context().exit(1)


def _print_needs(warehouse: Warehouse, session: RunOptions, max_runs: int, level: float, style: str) -> None:
    from paraphina_wh.experiments.until_decided import runs_to_decide

    print_frame(runs_to_decide(warehouse, session, max_runs, level), style)
    notice(
        f"kill-free runs that prove each budget at {100 * level:.6g} %, a kill costs more; what the means take depends "
        "on what the runs show, and each look says it; nothing was run"
    )


def _until_decided(
    warehouse: Warehouse,
    session: RunOptions,
    max_runs: int,
    dataset: str | None,
    level: float | None,
    allow_mixed: bool,
    gate: Gate | None,
    style: str,
) -> None:
    from paraphina_wh.evidence import verdict_table
    from paraphina_wh.experiments.until_decided import run_until_decided

    with told_progress("exp13") as told:
        done = run_until_decided(warehouse, session, max_runs, dataset, told, level=level, allow_mixed=allow_mixed)
    if style == "table":
        _print_exp13(warehouse, done.made, style)
        click.echo("\n=== Verdicts on these configurations ===")
    print_frame(verdict_table(done.seen.evidence) if style == "table" and done.seen else done.verdicts, style)
    notice(f"{done.looks} looks: {'all is decided' if done.is_decided else 'not all is decided'}")
    if not done.complete or not done.seen or (gate and not holds(done.seen, gate)):
        click.get_current_context().exit(1)


def _print_exp13(warehouse: Warehouse, made: Exp13, style: str) -> None:
    from paraphina_wh.export import evidence_beside

    tell(made.session.report)
    tell_appended(made.appended)
    if made.summary is None or made.alignment is None:
        warn("no usable run: no summary and no alignment")
        return
    if style == "table":
        from paraphina_wh.summary import summary_text

        click.echo(summary_text(made.summary))
        tell_killed(made.summary)
    elif style == "json":
        from paraphina_wh.summary import summary_json

        print_json({"summary": summary_json(made.summary), "alignment": made.alignment.frame.to_dicts()})
    if style != "table":
        mark_reference(made.alignment, style)
    if style != "json":
        print_alignment(made.alignment, style)
    if made.alignment_csv is not None:
        notice(f"wrote {warehouse.relative(made.alignment_csv)}")
        notice(f"wrote {warehouse.relative(evidence_beside(made.alignment_csv))}")
