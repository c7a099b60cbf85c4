"""`paraphina-wh export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, pass_warehouse
from paraphina_wh.cli.output import print_lines, tell_appended

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse


@click.command()
@click.argument("what", type=click.Choice(["dataset", "alignment", "summary", "runs", "all"]))
@click.option("--dataset", type=click.Path(path_type=Path), help="Dataset file; by default the newest version.")
@click.option("--profile", "profiles", multiple=True, help="dataset: rows of this profile; repeatable.")
@click.option("--experiment", help="dataset, runs: rows of this experiment.")
@click.option("--label-contains", metavar="TEXT", help="dataset: rows whose label contains this text.")
@click.option("--allow-mixed", is_flag=True, help="dataset: let rows of the reference engine and real ones meet.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead.")
@examples("paraphina-wh export alignment", "paraphina-wh export dataset --experiment exp13 -o rows.jsonl")
@pass_warehouse
def export(
    warehouse: Warehouse,
    what: str,
    dataset: Path | None,
    profiles: tuple[str, ...],
    experiment: str | None,
    label_contains: str | None,
    allow_mixed: bool,
    output: Path | None,
) -> None:
    """Write an artefact to its contract path or to a file.

    The paths written are printed.
    `dataset` appends the research rows that the dataset does not hold yet; with -o the rows go to that file and
    the dataset stays as it is. `all` writes the dataset first, then what is made of it.
    """
    from paraphina_wh.datasets import Selection, append_research_rows, open_dataset
    from paraphina_wh.export import export_alignment, export_dataset, export_summary
    from paraphina_wh.summary import summarise

    if what == "all" and output is not None:
        raise click.UsageError("`all` writes several files: leave out -o")
    written: list[Path] = []
    if what in ("dataset", "all"):
        selection = Selection(profiles or None, experiment, label_contains)
        if output is None:
            appended = append_research_rows(
                warehouse, open_dataset(warehouse, dataset), selection=selection, allow_mixed=allow_mixed
            )
            tell_appended(appended)
            written.append(appended.file)
        else:
            written.append(export_dataset(warehouse, selection=selection, allow_mixed=allow_mixed, out=output))
    if what in ("alignment", "all"):
        written.append(export_alignment(warehouse, dataset, out=output))
    if what in ("summary", "all"):
        written.append(export_summary(warehouse, summarise(warehouse, dataset), out=output))
    if what in ("runs", "all"):
        written.extend(_export_runs(warehouse, experiment, output))
    print_lines(warehouse.relative(path) for path in written)


def _export_runs(warehouse: Warehouse, experiment: str | None, output: Path | None) -> list[Path]:
    """Write the runs of one experiment, or of each into a file of its own."""
    from paraphina_wh.export import export_runs
    from paraphina_wh.query import run_query

    if experiment is not None:
        return [export_runs(warehouse, experiment, out=output)]
    if output is not None:
        raise click.UsageError("one file holds the runs of one experiment: name it with --experiment")
    names = run_query(warehouse, "SELECT DISTINCT experiment FROM runs ORDER BY experiment")["experiment"]
    return [export_runs(warehouse, name) for name in names]
