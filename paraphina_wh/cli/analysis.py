"""The analysis steps around presets: `run exp06`, `exp07`, `exp08_presets`, `exp10` and `exp12`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.exp11 import mark_reference, upright
from paraphina_wh.cli.options import Command, examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, print_lines, warn
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.presets import Presets

_file = click.Path(path_type=Path)
out_dir_option = click.option(
    "--out-dir", type=_file, help="Folder for the files, from the current folder; by default the contract's below ROOT."
)


def input_option(name: str, about: str) -> Callable[[Command], Command]:
    """Return an option that names an input file; all of them find it in the same way."""
    return click.option(name, type=_file, help=f"{about} A relative path is below ROOT, else in the current folder.")


presets_option = input_option(
    "--presets-csv", "Presets of exp07; by default those of the warehouse, else the file of exp07."
)


@click.command()
@input_option("--runs-csv", "Runs or summary of a sweep; by default the latest of the warehouse.")
@click.option("--top-per-tier", type=click.IntRange(min=1), default=1, show_default=True, help="Presets a tier.")
@out_dir_option
@format_option
@examples("paraphina-wh run exp07", "paraphina-wh run exp07 --runs-csv sweep_runs.csv --top-per-tier 3")
@pass_warehouse
def exp07(warehouse: Warehouse, runs_csv: Path | None, top_per_tier: int, out_dir: Path | None, style: str) -> None:
    """Choose the presets of each risk tier from a risk-regime sweep.

    Writes exp07_presets.csv, exp07_presets.json and exp07_source_summary.csv. Where no candidate keeps the budgets of
    a tier, all of them are ranked, and the output says so.
    """
    from paraphina_wh.presets import select_presets, write_presets

    presets = select_presets(warehouse, runs_csv, top_per_tier=top_per_tier)
    written = write_presets(warehouse, presets, out_dir)
    notice(f"presets from {presets.origin}")
    mark_reference(presets, style)
    _print(presets.shown if style == "table" else presets.frame, style, "=== Presets ===")
    if style == "table":
        _print_environment(presets)
    _tell(warehouse, presets.warnings, written)


@click.command()
@presets_option
@input_option("--alignment-csv", "Alignment of exp11; by default that of the newest dataset.")
@out_dir_option
@format_option
@examples("paraphina-wh run exp12", "paraphina-wh run exp12 --presets-csv p.csv --alignment-csv a.csv")
@pass_warehouse
def exp12(
    warehouse: Warehouse, presets_csv: Path | None, alignment_csv: Path | None, out_dir: Path | None, style: str
) -> None:
    """Scale the preset of each tier down to the risk that was measured.

    Writes exp12_tuned_presets.csv and exp12_tuning_report.csv, and prints the report. A smaller size_eta means larger
    quotes: that part of the tuning raises market-making risk.
    """
    from paraphina_wh.presets import SIZE_ETA_CAVEAT, tune_presets, write_tuned

    tuned = tune_presets(warehouse, presets_csv, alignment_csv)
    written = write_tuned(warehouse, tuned, out_dir)
    notice("presets from {}; metrics from {}".format(*tuned.origins))
    mark_reference(tuned, style)
    _print(tuned.report, style, "=== Tuned presets ===")
    click.echo(SIZE_ETA_CAVEAT, err=style != "table")
    _tell(warehouse, tuned.warnings, written)


@click.command()
@input_option("--summary-csv", "Summary of exp04; by default the latest sweep of the warehouse.")
@out_dir_option
@format_option
@examples("paraphina-wh run exp06", "paraphina-wh run exp06 --summary-csv exp04_summary.csv --format csv")
@pass_warehouse
def exp06(warehouse: Warehouse, summary_csv: Path | None, out_dir: Path | None, style: str) -> None:
    """Find the starting points that are safe in all scenarios of exp04.

    Writes exp06_safe_region_per_cell.csv and exp06_safe_region_by_profile.csv, and prints the latter.
    """
    from paraphina_wh.presets import safe_region, write_safe_region

    region = safe_region(warehouse, summary_csv)
    written = write_safe_region(warehouse, region, out_dir)
    notice(f"cells from {region.origin}")
    mark_reference(region, style)
    print_frame(_said(region.by_profile) if style == "table" else region.by_profile, style)
    _tell(warehouse, [], written)


@click.command("exp08_presets")
@input_option("--knobs-json", "Optimal knobs; by default optimal_knobs.json in the folder of exp07.")
@out_dir_option
@format_option
@examples("paraphina-wh run exp08_presets --knobs-json optimal_knobs.json")
@pass_warehouse
def exp08_presets(warehouse: Warehouse, knobs_json: Path | None, out_dir: Path | None, style: str) -> None:
    """Make a preset of every profile from one set of optimal knobs.

    Writes exp08_presets.csv and summary.txt.
    """
    from paraphina_wh.presets import package_presets, write_packaged

    packaged = package_presets(warehouse, knobs_json)
    written = write_packaged(warehouse, packaged, out_dir)
    print_frame(packaged.frame, style)
    _tell(warehouse, [], written)


@click.command()
@presets_option
@input_option("--profile-summary-csv", "Summary of exp08; by default the latest validation sweep.")
@out_dir_option
@format_option
@examples("paraphina-wh run exp10", "paraphina-wh run exp10 --profile-summary-csv exp08_profile_summary.csv")
@pass_warehouse
def exp10(
    warehouse: Warehouse, presets_csv: Path | None, profile_summary_csv: Path | None, out_dir: Path | None, style: str
) -> None:
    """Compare presets and their validation with the budgets of the tiers.

    Writes exp10_alignment.csv. Without a validation its columns are empty.
    """
    from paraphina_wh.presets import world_model_alignment, write_world_model_alignment

    found = world_model_alignment(warehouse, presets_csv, profile_summary_csv)
    written = write_world_model_alignment(warehouse, found, out_dir)
    notice("presets from {}; validation from {}".format(*found.origins))
    mark_reference(found, style)
    _print(found.frame, style, "=== Presets and validation against the risk budgets ===")
    _tell(warehouse, found.warnings, written)


def _print(frame: pl.DataFrame, style: str, title: str) -> None:
    """Print a frame of few rows: in the table its columns are the rows."""
    if style == "table":
        click.echo(title)
        print_frame(_said(upright(frame)) if frame.height else frame)
    else:
        print_frame(frame, style)


def _said(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose nulls are n/a."""
    from paraphina_wh.text import cell_texts

    unknown = [name for name in frame.columns if frame[name].null_count()]
    return frame.with_columns(cell_texts(frame.select(unknown)).fill_null("n/a").get_columns()) if unknown else frame


def _print_environment(presets: Presets) -> None:
    """Print the knobs of each tier's first preset as lines of environment variables."""
    from paraphina_wh.presets import preset_environment

    for preset in presets.frame.filter(rank_within_tier=1).iter_rows(named=True):
        settings = [f"{knob}={value}" for knob, value in preset_environment(preset).items()]
        limit = preset["delta_limit_usd_base"]
        no_knob = [f"# delta_limit_usd_base={limit}: the engine has no knob for it"] if limit is not None else []
        print_lines(["", f"# {preset['name']}", *settings, *no_knob])


def _tell(warehouse: Warehouse, warnings: Iterable[str], written: Iterable[Path]) -> None:
    for text in warnings:
        warn(text)
    for path in written:
        notice(f"wrote {warehouse.relative(path)}")
