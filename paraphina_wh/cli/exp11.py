"""The alignment step, `run exp11`, and what other commands share with it: the gate and the printed verdicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, warn
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.alignment import Alignment, Gate

gate_option = click.option(
    "--gate",
    type=click.Choice(["points", "evidence", "strict"]),
    help="Exit with 1 unless points: the means keep every budget; evidence: no verdict is fail; strict: all are pass.",
)
level_option = click.option(
    "--level", type=float, metavar="P", help="Confidence level of the one-sided bounds; by default 0.95."
)


def sample_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which runs are a sample of one another, and what to take them for."""
    command = click.option(
        "--assume-independent",
        is_flag=True,
        help="Give verdicts on seeds that were not drawn at random too; they are marked as assumed.",
    )(command)
    return click.option(
        "--config",
        "configs",
        multiple=True,
        metavar="ID|latest",
        help="Where a tier has runs of several configurations: the one that counts. May be given for each tier.",
    )(command)


def holds(alignment: Alignment | None, gate: Gate = "points") -> bool:
    """Tell whether the gate is open, and say on stderr which tiers and budgets keep it shut."""
    if alignment is None:
        return False
    objections = alignment.objections(gate)
    for text in objections:
        warn(f"gate {gate}: {text}")
    return not objections


def print_alignment(alignment: Alignment, style: str) -> None:
    """Print the alignment, its warnings and what was left out.

    A table is followed by that of the evidence; JSON objects hold both; CSV and Markdown are the contract's columns.
    """
    for text in alignment.warnings:
        warn(text)
    if alignment.skipped_lines:
        warn(f"{alignment.file.name}: {alignment.skipped_lines} lines are no runs, left out")
    if style == "table":
        click.echo("=== Alignment with the risk budgets ===")
        print_frame(upright(alignment.frame))
        _print_evidence(alignment)
    else:
        print_frame(alignment.combined if style in ("json", "jsonl") else alignment.frame, style)


class OfRuns(Protocol):
    """A result that knows how many runs of the reference engine are behind it."""

    @property
    def reference_runs(self) -> int:
        """Return their number."""


def mark_reference(result: OfRuns, style: str) -> None:
    """Say that runs of the embedded engine prove nothing about the real one: in the table, else beside the data."""
    from paraphina_wh.summary import REFERENCE_NOTE

    if result.reference_runs:
        click.echo(REFERENCE_NOTE, err=style != "table")


def upright(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame of few rows and many columns with its columns as rows: it fits a terminal."""
    from paraphina_wh.text import cell_texts

    first = frame.columns[0]
    return cell_texts(frame.drop(first)).transpose(
        include_header=True, header_name=first, column_names=frame[first].to_list()
    )


def _print_evidence(alignment: Alignment) -> None:
    from paraphina_wh.evidence import level_of_family, verdict_table

    level = alignment.evidence["level"][0]
    family = level_of_family(level, len(alignment.evidence))
    unproved = alignment.unproved
    if unproved:
        click.echo(f"ok columns compare means, and prove nothing; not proved: {', '.join(unproved)}")
    click.echo(f"\n=== Evidence: bounds at {100 * level:.6g} %, at every look, one seed counted once ===")
    print_frame(verdict_table(alignment.evidence))
    click.echo(
        f"Each verdict is wrong with a chance of at most {100 * (1 - level):.4g} %. Gate strict opens when all pass: "
        f"wrongly with at most as much. Gate evidence shuts on a fail at {100 * family:.4g} %: wrongly with at most as "
        "much for all budgets together."
    )


@click.command()
@click.option("--dataset", type=click.Path(), metavar="FILE", help="Dataset file; by default the newest version.")
@click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for the CSVs; by default the contract's.")
@level_option
@sample_options
@gate_option
@format_option
@examples(
    "paraphina-wh run exp11 --dataset research_dataset_v001.jsonl --gate points",
    "paraphina-wh run exp11 --level 0.99 --gate strict",
)
@pass_warehouse
def exp11(
    warehouse: Warehouse,
    dataset: str | None,
    out_dir: Path | None,
    level: float | None,
    configs: tuple[str, ...],
    assume_independent: bool,
    gate: Gate | None,
    style: str,
) -> None:
    """Compare a dataset with the risk budgets.

    Writes exp11_alignment.csv, and exp11_evidence.csv with bounds and verdicts (pass, fail, undecided).
    """
    from paraphina_wh.alignment import align
    from paraphina_wh.evidence.sample import Choice
    from paraphina_wh.export import evidence_beside, write_alignment

    alignment = align(warehouse, dataset, level=level, choice=Choice(configs, assume_independent))
    path = write_alignment(warehouse, alignment, out_dir)
    mark_reference(alignment, style)
    print_alignment(alignment, style)
    for written in (path, evidence_beside(path)):
        notice(f"wrote {warehouse.relative(written)}")
    if gate and not holds(alignment, gate):
        click.get_current_context().exit(1)
