"""`paraphina-wh status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_sections

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse


@click.command()
@format_option
@examples("paraphina-wh status --format json")
@pass_warehouse
def status(warehouse: Warehouse, style: str) -> None:
    """Show what the warehouse holds, and what deserves a look."""
    from paraphina_wh.status import read_status

    found = read_status(warehouse)
    print_sections(found, style)
    if not found["totals"]["runs"][0]:
        notice("no runs yet: `paraphina-wh ingest PATH` takes some in, `paraphina-wh run exp13` makes some")
    elif found["datasets"].is_empty():
        notice("no dataset yet: `paraphina-wh export dataset` makes one of the runs, for the alignment")
