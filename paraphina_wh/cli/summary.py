"""`paraphina-wh summary`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_json, print_sections, warn

if TYPE_CHECKING:
    from paraphina_wh.summary import Summary
    from paraphina_wh.warehouse import Warehouse


@click.command()
@click.option("--dataset", type=click.Path(path_type=Path), help="Dataset file; by default the newest version.")
@click.option("--profile", help="Runs of this profile alone.")
@click.option("--label-contains", metavar="TEXT", help="Runs whose label contains this text.")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Runs of the ranking.")
@format_option
@examples("paraphina-wh summary --profile balanced --limit 5")
@pass_warehouse
def summary(
    warehouse: Warehouse,
    dataset: Path | None,
    profile: str | None,
    label_contains: str | None,
    limit: int,
    style: str,
) -> None:
    """Summarise a dataset: overall, by profile, and its best runs."""
    from paraphina_wh.summary import summarise

    made = summarise(warehouse, dataset, profile=profile, label_contains=label_contains, limit=limit)
    _print(made, style)
    tell_killed(made)
    if made.skipped_lines:
        warn(f"{made.file.name}: {made.skipped_lines} lines are no complete runs, left out")


def tell_killed(made: Summary) -> None:
    """Say that the ranking goes by utility alone, when killed runs are in it."""
    killed = int(made.runs["killed"].sum())
    if killed:
        notice(f"utility does not count kills: {killed} of the {len(made.runs)} runs ranked were killed")


def _print(made: Summary, style: str) -> None:
    import polars as pl

    from paraphina_wh.summary import REFERENCE_NOTE, summary_json, summary_text

    if style == "table":
        click.echo(summary_text(made), nl=False)
    elif style == "json":
        print_json(summary_json(made))
    else:
        if made.reference_runs:
            warn(REFERENCE_NOTE)
        print_sections({"global": pl.DataFrame([made.overall]), "profiles": made.profiles, "runs": made.runs}, style)
