"""`paraphina-wh export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, pass_warehouse
from paraphina_wh.cli.output import notice, print_lines, tell_appended

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse

_WHAT = (
    *("dataset", "alignment", "evidence", "summary", "runs"),
    *("presets", "tuned-presets", "safe-region", "world-model", "all"),
)


@click.command()
@click.argument("what", type=click.Choice(_WHAT))
@click.option("--dataset", type=click.Path(path_type=Path), help="Dataset file; by default the newest version.")
@click.option("--profile", "profiles", multiple=True, help="dataset: rows of this profile; repeatable.")
@click.option("--experiment", help="dataset, runs: rows of this experiment.")
@click.option("--label-contains", metavar="TEXT", help="dataset: rows whose label contains this text.")
@click.option("--allow-mixed", is_flag=True, help="dataset: let rows of the reference engine and real ones meet.")
@click.option(
    "--allow-truncated", is_flag=True, help="dataset: rows of runs whose telemetry is cut off, too; their kill is null."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead.")
@examples("paraphina-wh export alignment", "paraphina-wh export runs --experiment exp03_stress_search")
@pass_warehouse
def export(
    warehouse: Warehouse,
    what: str,
    dataset: Path | None,
    profiles: tuple[str, ...],
    experiment: str | None,
    label_contains: str | None,
    allow_mixed: bool,
    allow_truncated: bool,
    output: Path | None,
) -> None:
    """Write an artefact to its contract path or to a file.

    The paths written are printed.
    `dataset` appends the research rows that the dataset does not hold yet; with -o the rows go to that file and
    the dataset stays as it is. `runs` writes the tables of an experiment file, or all columns where there is none.
    `all` writes the dataset first, then whatever the warehouse has the runs for.
    """
    from paraphina_wh.datasets import Selection
    from paraphina_wh.experiments.artefacts import ExportOptions, export_artefact

    selection = Selection(profiles or None, experiment, label_contains, allow_truncated=allow_truncated)
    done = export_artefact(warehouse, what, ExportOptions(dataset, selection, experiment, allow_mixed, output))
    if done.appended:
        tell_appended(done.appended)
    for text in done.skipped:
        notice(f"left out {text}")
    print_lines(warehouse.relative(path) for path in done.written)
