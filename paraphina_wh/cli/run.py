"""Running experiments and analysis steps: `run NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.exp11 import gate_option, holds, mark_reference, print_alignment
from paraphina_wh.cli.group import CommandGroup
from paraphina_wh.cli.ingest import tell
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, tell_appended, warn
from paraphina_wh.cli.progress import progress
from paraphina_wh.experiments.spec import find_spec, shipped
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from paraphina_wh.engine import EngineRunResult
    from paraphina_wh.experiments.exp13 import Exp13
    from paraphina_wh.experiments.harness import HarnessOptions

COMMANDS = {"exp11": "paraphina_wh.cli.exp11:exp11", "exp13": "paraphina_wh.cli.run:exp13"}
_DEFAULTS = find_spec("exp13").defaults


def _show_list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo("exp11  alignment of a dataset with the risk budgets")
        for spec in shipped().values():
            click.echo(f"{spec.name}  {spec.about}")
        context.exit()


@click.group(cls=CommandGroup, commands_at=COMMANDS)
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_show_list, help="List them.")
@examples("paraphina-wh run exp13 --runs-per-profile 4")
def run() -> None:
    """Run an experiment or an analysis step."""


class _Seed(click.ParamType[int | None]):
    name = "N|none"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if str(value).lower() == "none":
            return None
        if not str(value).isdecimal():
            self.fail(f"{value!r} is neither a whole number nor none", param, ctx)
        return int(str(value))


def _knobs(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    wrong = next((value for value, (name, sign, _) in zip(values, pairs, strict=True) if not (name and sign)), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} is not KNOB=VALUE")
    return {name: text for name, _, text in pairs}


def _profiles(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    named = tuple(name.strip() for value in values for name in value.split(","))
    return named or _DEFAULTS.profiles


@click.command()
@click.option("--ticks", type=int, default=_DEFAULTS.ticks, show_default=True, help="Ticks a run.")
@click.option("--runs-per-profile", type=int, default=_DEFAULTS.runs_per_profile, show_default=True, help="Repeats.")
@click.option("--profiles", multiple=True, callback=_profiles, metavar="P", help="Profiles; repeatable, or a,b,c.")
@click.option("--label-prefix", default=_DEFAULTS.label_prefix, show_default=True, help="Start of the labels.")
@click.option("--dataset", metavar="FILE", help="Dataset to append to; by default the newest version.")
@click.option(
    "--seed", type=_Seed(), default=_DEFAULTS.seed, show_default=True, help="Run i gets N + i - 1; none passes none."
)
@click.option("--set", "knobs", multiple=True, callback=_knobs, metavar="KNOB=VALUE", help="Set an engine knob.")
@click.option("--engine", metavar="PATH|reference", help="Engine to run; by default PARAPHINA_ENGINE or the one found.")
@click.option("--jobs", type=click.IntRange(min=1), help="Engines at a time; by default one a core.")
@click.option("--timeout", "timeout_sec", type=float, default=_DEFAULTS.timeout_sec, show_default=True, metavar="S")
@click.option("--retries", type=click.IntRange(min=0), default=0, show_default=True, help="Further attempts a run.")
@click.option("--fresh", is_flag=True, help="Run all anew; the runs of the same labels are taken out.")
@click.option("--dry-run", is_flag=True, help="Print the runs and what would be done, and stop.")
@click.option("--allow-mixed", is_flag=True, help="Let rows of the reference and a real engine share the dataset.")
@gate_option
@format_option
@examples(
    "paraphina-wh run exp13 --runs-per-profile 10 --set MM_SIZE_ETA=2",
    "paraphina-wh run exp13 --engine target/release/paraphina --dry-run",
)
@pass_warehouse
def exp13(
    warehouse: Warehouse,
    /,
    dataset: str | None,
    dry_run: bool,
    allow_mixed: bool,
    gate: str | None,
    style: str,
    **options: object,
) -> None:
    """Run the telemetry harness end to end.

    Runs every profile and repeat, takes the telemetry in, appends to the dataset, prints summary and alignment.
    Repeating the command resumes: finished runs are not run again. Exit code 1 when a run failed.
    """
    from paraphina_wh.experiments.exp13 import run_exp13
    from paraphina_wh.experiments.harness import HarnessOptions, Progress

    harness = HarnessOptions(**options)  # type: ignore[arg-type]
    if dry_run:
        _print_plan(warehouse, harness, style)
        return
    with progress(unit="runs", label="exp13") as bar:

        def count(result: EngineRunResult) -> None:
            bar.advance()
            if result.error:
                warn(f"{result.run_id}: {result.error}{_last_words(result)}")

        made = run_exp13(
            warehouse,
            harness,
            dataset,
            Progress(lambda engine: _tell_engine(engine.notice), _tell_plan(bar.set_total), count),
            allow_mixed=allow_mixed,
        )
    _print_exp13(made, style)
    incomplete = made.session.failed or not made.session.report.complete or made.alignment is None
    if incomplete or (gate and not holds(made.alignment)):
        click.get_current_context().exit(1)


def _last_words(result: EngineRunResult) -> str:
    """Return the last line an engine that gave up wrote to stderr."""
    lines = result.stderr.split("\n")
    said = [line.strip() for line in lines if line.strip()] if result.returncode else []
    return f" ({said[-1][:200]})" if said else ""


def _tell_plan(set_total: Callable[[int], None]) -> Callable[[int, int], None]:
    def tell(to_run: int, kept: int) -> None:
        set_total(to_run)
        there = f", {kept} already there" if kept else ""
        notice(f"exp13: {to_run} runs{there}")

    return tell


def _print_plan(warehouse: Warehouse, options: HarnessOptions, style: str) -> None:
    from paraphina_wh.experiments.preview import preview

    plan = preview(warehouse, find_spec("exp13"), options)
    _tell_engine(plan.engine.notice)
    print_frame(plan.frame, style)
    notice(f"{plan.frame.height} runs, {plan.frame['action'].eq('run').sum()} to be run; nothing was run")


def _tell_engine(text: str | None) -> None:
    if text:
        notice(f"notice: {text}")


def _print_exp13(made: Exp13, style: str) -> None:
    tell(made.session.report)
    tell_appended(made.appended)
    if made.summary is None or made.alignment is None:
        warn("no usable run: no summary and no alignment")
        return
    if style == "table":
        from paraphina_wh.summary import summary_text

        click.echo(summary_text(made.summary))
    elif style == "json":
        from paraphina_wh.summary import summary_json

        _print_json({"summary": summary_json(made.summary), "alignment": made.alignment.frame.to_dicts()})
    if style != "table":
        mark_reference(made.alignment, style)
    if style != "json":
        print_alignment(made.alignment, style)
    notice(f"wrote {made.alignment_csv}")


def _print_json(value: object) -> None:
    import json

    click.echo(json.dumps(value, indent=2))
