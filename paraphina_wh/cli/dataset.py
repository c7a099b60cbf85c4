"""Versions of research datasets: `dataset new`, `seal`, `list`, `diff` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.group import CommandGroup, complain
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, print_lines, print_sections, warn

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse

COMMANDS = {
    "new": "paraphina_wh.cli.dataset:new",
    "seal": "paraphina_wh.cli.dataset:seal",
    "list": "paraphina_wh.cli.dataset:list_",
    "diff": "paraphina_wh.cli.dataset:diff",
    "restore": "paraphina_wh.cli.dataset:restore",
}


@click.group(cls=CommandGroup, commands_at=COMMANDS)
@examples("paraphina-wh dataset list", "paraphina-wh dataset diff v001 v002")
def dataset() -> None:
    """Manage the versions of the research dataset.

    A dataset is named by its file, or in short: v002 stands for research_dataset_v002.jsonl.
    """


@click.command()
@examples("paraphina-wh dataset new")
@pass_warehouse
def new(warehouse: Warehouse) -> None:
    """Open the next version.

    It becomes the default; the versions before it refuse appends.
    """
    from paraphina_wh.datasets import new_dataset

    print_lines([warehouse.relative(new_dataset(warehouse))])


@click.command()
@click.argument("dataset", type=click.Path(), metavar="DATASET")
@examples("paraphina-wh dataset seal v001")
@pass_warehouse
def seal(warehouse: Warehouse, dataset: str) -> None:
    """Close a dataset for good.

    It refuses appends, and any change of it is reported.
    The seal is a checksum file beside the dataset: sha256sum -c FILE.sealed.
    """
    from paraphina_wh.datasets import seal_dataset

    print_lines([warehouse.relative(seal_dataset(warehouse, dataset))])


@click.command("list")
@format_option
@examples("paraphina-wh dataset list --format json")
@pass_warehouse
def list_(warehouse: Warehouse, style: str) -> None:
    """List the datasets, what they hold and their state.

    States: open, superseded by a newer version, sealed, missing, changed: line N.
    Every file is compared with what the warehouse holds of it; exit code 1 when one was edited.
    """
    from paraphina_wh.datasets.listing import list_datasets

    listing = list_datasets(warehouse)
    print_frame(listing.frame, style)
    for name in listing.missing:
        warn(f"{name}: the file is gone; `paraphina-wh dataset restore {name}` writes it back")
    for error in listing.errors:
        complain(error.message, error.hint)
    if listing.errors:
        click.get_current_context().exit(1)


@click.command()
@click.argument("a", type=click.Path(), metavar="A")
@click.argument("b", type=click.Path(), metavar="B")
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence of the intervals, two-sided.")
@format_option
@examples("paraphina-wh dataset diff v001 v002 --level 0.99")
@pass_warehouse
def diff(warehouse: Warehouse, a: str, b: str, level: float, style: str) -> None:
    """Compare two datasets.

    Shows the runs added and missing in B, and the change of each metric by profile, with its standard error and an
    interval; is_clear tells that the interval leaves out 0.
    """
    from paraphina_wh.datasets.diff import diff_datasets

    made = diff_datasets(warehouse, a, b, level=level)
    print_sections({"runs": made.runs, "metrics": made.metrics}, style)
    for text in made.warnings:
        warn(text)


@click.command()
@click.argument("dataset", type=click.Path(), metavar="DATASET")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead.")
@examples("paraphina-wh dataset restore v001", "paraphina-wh dataset restore v001 -o as_taken_in.jsonl")
@pass_warehouse
def restore(warehouse: Warehouse, dataset: str, output: Path | None) -> None:
    """Write a lost or edited dataset file back.

    It is byte for byte as the warehouse took it in.
    An edited file is kept beside the restored one.
    """
    from paraphina_wh.datasets.restore import restore_dataset

    done = restore_dataset(warehouse, dataset, output)
    if not done.is_written:
        notice(f"{done.file.name} holds all lines of the warehouse: left as it is")
    if done.kept:
        notice(f"the edited file is kept as {warehouse.relative(done.kept)}")
    print_lines([warehouse.relative(done.file)])
