"""`paraphina-wh status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import print_sections

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse


@click.command()
@format_option
@examples("paraphina-wh status --format json")
@pass_warehouse
def status(warehouse: Warehouse, style: str) -> None:
    """Show what the warehouse holds, and what deserves a look."""
    from paraphina_wh.status import read_status

    print_sections(read_status(warehouse), style)
