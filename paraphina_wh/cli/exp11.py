"""The alignment step, `run exp11`, and what other commands share with it: the gate and the printed verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, warn
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.alignment import Alignment

gate_option = click.option(
    "--gate",
    type=click.Choice(["points"]),
    help="Exit with 1 unless every budget holds: points compares the means of the CSV.",
)


def holds(alignment: Alignment | None) -> bool:
    """Tell whether every budget holds by its point estimate; a tier without runs proves nothing."""
    if alignment is None:
        return False
    verdicts = alignment.frame.select("emp_kill_ok", "emp_dd_ok", "emp_pnl_ok")
    return all(cell is True for row in verdicts.iter_rows() for cell in row)


def print_alignment(alignment: Alignment, style: str) -> None:
    """Print the alignment, its warnings and what was left out."""
    for text in alignment.warnings:
        warn(text)
    if alignment.skipped_lines:
        warn(f"{alignment.file.name}: {alignment.skipped_lines} lines are no runs, left out")
    if style == "table":
        click.echo("=== Alignment with the risk budgets ===")
    print_frame(upright(alignment.frame) if style == "table" else alignment.frame, style)


def mark_reference(alignment: Alignment, style: str) -> None:
    """Say that runs of the embedded engine prove nothing about the real one: in the table, else beside the data."""
    from paraphina_wh.summary import REFERENCE_NOTE

    if alignment.reference_runs:
        click.echo(REFERENCE_NOTE, err=style != "table")


def upright(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame of few rows and many columns with its columns as rows: it fits a terminal."""
    from paraphina_wh.text import cell_texts

    first = frame.columns[0]
    return cell_texts(frame.drop(first)).transpose(
        include_header=True, header_name=first, column_names=frame[first].to_list()
    )


@click.command()
@click.option("--dataset", metavar="FILE", help="Dataset file; by default the newest version.")
@click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for the CSV; by default the contract's.")
@gate_option
@format_option
@examples("paraphina-wh run exp11 --dataset research_dataset_v001.jsonl --gate points")
@pass_warehouse
def exp11(warehouse: Warehouse, dataset: str | None, out_dir: Path | None, gate: str | None, style: str) -> None:
    """Compare a dataset with the risk budgets and write exp11_alignment.csv."""
    from paraphina_wh.alignment import align
    from paraphina_wh.export import write_alignment

    alignment = align(warehouse, dataset)
    path = write_alignment(warehouse, alignment, out_dir)
    mark_reference(alignment, style)
    print_alignment(alignment, style)
    notice(f"wrote {path}")
    if gate and not holds(alignment):
        click.get_current_context().exit(1)
