"""`paraphina-wh drift`, and `drift promote` and `demote`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from paraphina_wh.cli.group import CommandGroup
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, print_lines, warn

if TYPE_CHECKING:
    from paraphina_wh.promoted import Kind
    from paraphina_wh.warehouse import Warehouse

COMMANDS = {
    "promote": "paraphina_wh.cli.drift:promote",
    "demote": "paraphina_wh.cli.drift:demote",
}
_KINDS = ("bigint", "double", "boolean", "varchar", "json")
_PROBLEMS_SHOWN = 10


@click.group(cls=CommandGroup, commands_at=COMMANDS, invoke_without_command=True)
@click.option("--experiment", help="Only the runs of this experiment.")
@click.option("--all", "every", is_flag=True, help="Declared fields that every run has, or none, too.")
@format_option
@examples("paraphina-wh drift", "paraphina-wh drift promote queue_rank")
@click.pass_context
def drift(context: click.Context, /, **options: Any) -> None:
    """Show which telemetry fields came and went from run to run.

    Unknown: fields that the record does not declare; they are kept in ticks.extra. Missing: declared fields that
    some runs have and some have not. Runs count in the order in which they came in.
    """
    if context.invoked_subcommand is None:
        context.invoke(_report, **options)
        return
    given = (option.opts[0] for option in context.command.params if option.expose_value and _is_given(context, option))
    if shown := ", ".join(given):
        raise click.UsageError(f"{shown} does not go before {context.invoked_subcommand}", context)


def _is_given(context: click.Context, option: click.Parameter) -> bool:
    return context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE


@pass_warehouse
def _report(warehouse: Warehouse, experiment: str | None, every: bool, style: str) -> None:
    from paraphina_wh.drift import read_drift

    found = read_drift(warehouse, experiment, every=every)
    print_frame(found.fields, style)
    _warn_of(found.problems)
    if not found.runs:
        notice("no run with telemetry yet")
    elif found.never and not every:
        notice(f"{found.never} declared fields are in none of the {found.runs} runs; --all shows them")


@click.command()
@click.argument("field")
@click.option("--type", "kind", type=click.Choice(_KINDS), help="By default the one that all values so far fit.")
@click.option("--as", "name", metavar="NAME", help="Name of the column; by default made of the path.")
@format_option
@examples("paraphina-wh drift promote 'fills[].queue_rank' --type bigint --as fills_rank")
@pass_warehouse
def promote(warehouse: Warehouse, field: str, kind: Kind | None, name: str | None, style: str) -> None:
    """Give an unknown field a column of its own in the view ticks.

    It holds for old and new files; none is rewritten. FIELD is a path as `paraphina-wh drift` lists it. A field in a
    list becomes a list, and a plain column in the view of that list. Values of another type are null in the column;
    they stay in extra.
    """
    from paraphina_wh.drift import promote

    done = promote(warehouse, field, kind, name)
    print_frame(done.frame(), style)
    _warn_of(done.problems)
    if not done.is_new:
        notice(f"{done.promotion.field} was promoted already")
    if done.first_misfit:
        run_id, t, text = done.first_misfit
        warn(
            f"{done.misfits} of {done.values} values are no {done.promotion.kind} and null in the column; "
            f"the first: {text[:80]} (run {run_id}, t {t})"
        )


@click.command()
@click.argument("name", metavar="FIELD")
@examples("paraphina-wh drift demote queue_rank")
@pass_warehouse
def demote(warehouse: Warehouse, name: str) -> None:
    """Take the column of a promoted field back.

    FIELD is the field or the column. The values stay in extra.
    """
    from paraphina_wh.drift import demote

    print_lines(f"{gone.column} is no column any more" for gone in demote(warehouse, name))


def _warn_of(problems: list[str]) -> None:
    for problem in problems[:_PROBLEMS_SHOWN]:
        warn(problem)
    if len(problems) > _PROBLEMS_SHOWN:
        warn(f"... and {len(problems) - _PROBLEMS_SHOWN} more runs; `paraphina-wh check --deep` lists all")
