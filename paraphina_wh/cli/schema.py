"""`paraphina-wh schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import print_frame

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse


@click.command()
@click.argument("view", required=False)
@click.option(
    "--json-schema", type=click.Choice(["telemetry", "mc_runs", "experiment"]), help="Print the JSON Schema of a file."
)
@format_option
@examples("paraphina-wh schema fills")
@pass_warehouse
def schema(warehouse: Warehouse, view: str | None, json_schema: str | None, style: str) -> None:
    """Show columns with type, unit and meaning, or all views."""
    from paraphina_wh.dictionary import describe_view, json_schema_text, list_views
    from paraphina_wh.telemetry.shape import MC_RUNS, TICKS

    if view and json_schema:
        raise click.UsageError("give a VIEW or --json-schema, not both")
    if json_schema == "experiment":
        from paraphina_wh.experiments.reference import schema_text

        click.echo(schema_text(), nl=False)
    elif json_schema:
        contract = {contract.name: contract for contract in (TICKS, MC_RUNS)}[json_schema]
        click.echo(json_schema_text(contract), nl=False)
    else:
        print_frame(describe_view(warehouse, view) if view else list_views(), style)
