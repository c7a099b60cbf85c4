"""`paraphina-wh check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import current_warehouse, examples, format_option
from paraphina_wh.cli.output import notice, print_frame, print_lines, warn
from paraphina_wh.cli.progress import progress

if TYPE_CHECKING:
    from paraphina_wh.maintenance.integrity import Integrity
    from paraphina_wh.warehouse import Warehouse


_DAMAGED = "`paraphina-wh repair` makes damaged files anew from their sources, and puts the rest aside"
# What helps where `repair` has nothing to do.
_HINTS = (
    ({"foreign", "orphaned"}, "move what is foreign away; `paraphina-wh gc --delete` removes what is orphaned"),
    ({"broken"}, "bring it back from a backup; promoted.json and files of experiments/ may be moved away instead"),
    ({"outdated"}, "`paraphina-wh recompute` brings them up to date; with --dry-run it shows what changes"),
    (
        {"condensed", "source", "ticks"},
        "where the source is still there: `paraphina-wh forget` the run, then `ingest` it again",
    ),
)
_UNRECORDED = (
    "records are gone: bring the folder `commits` back; or `paraphina-wh repair --adopt` takes files as they are"
)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option(
    "--max-errors", type=click.IntRange(min=0), default=10, show_default=True, help="PATH: errors shown of each file."
)
@click.option(
    "--deep",
    is_flag=True,
    help="Warehouse: compute every metric and account anew, compare every value with its source.",
)
@format_option
@examples("paraphina-wh check runs/exp13_auto", "paraphina-wh check --deep")
@click.pass_context
def check(context: click.Context, paths: tuple[Path, ...], max_errors: int, deep: bool, style: str) -> None:
    """Validate telemetry and mc_runs files, or the warehouse; nothing is written.

    PATH is a file or a folder, which stands for every .jsonl file below it; .gz and .zst are unpacked.
    Without PATH it is the warehouse: every file against the hash that its commit recorded, the account of every run,
    datasets against their mirror. --format is for the findings in the warehouse.
    Exit codes: 0 all valid; 1 contract breach or damaged data; 2 missing file, or one without a schema.
    """
    if paths and deep:
        raise click.UsageError("--deep is for the warehouse: leave PATH out")
    context.exit(_files(paths, max_errors) if paths else _warehouse(current_warehouse(writes=False), deep, style))


def _files(paths: tuple[Path, ...], max_errors: int) -> int:
    from paraphina_wh.check import check_paths, exit_code_of

    with progress(label="check") as bar:
        reports = check_paths(paths, max_errors, bar.set_total, bar.advance)
    for report in reports:
        print_lines(report.text())
        for warning in report.warnings:
            warn(f"{report.path}: {warning}")
    if not reports:
        notice("no telemetry file found")
    return exit_code_of(reports)


def _warehouse(warehouse: Warehouse, deep: bool, style: str) -> int:
    from paraphina_wh.maintenance.deep import Recount, check_deeply
    from paraphina_wh.maintenance.integrity import check_warehouse

    with progress(label="check") as bar:
        found = check_warehouse(warehouse, bar.set_total, bar.advance)
    if deep and not found.is_readable(warehouse.runs):
        notice("the ledger is damaged: nothing can be computed anew before `paraphina-wh repair`")
    elif deep:
        recount = Recount()
        with progress(label="deep check", unit="runs") as bar:
            found.findings += check_deeply(warehouse, recount, found.paths, bar.set_total, bar.advance)
        notice(
            f"computed anew: {recount.condensed} runs from their ticks, {recount.recounted} from their sources, "
            f"{recount.compared} of them compared value by value; "
            f"{recount.gone} sources are gone, or give other runs today"
        )
        if recount.older:
            count = len(recount.older)
            notice(f"{count} runs have metrics of an older definition: `paraphina-wh recompute` brings them up to date")
    _tell(warehouse, found, style)
    if found.doors:
        notice(f"init.sql and paraphina.duckdb {found.doors}: a command that is no check writes them anew")
    return 0 if found.is_whole else 1


def _tell(warehouse: Warehouse, found: Integrity, style: str) -> None:
    if style != "table" or found.findings:
        print_frame(found.frame(), style)
    if found.leftovers:
        notice(f"{found.leftovers} files answer for nothing any more: `paraphina-wh gc` lists them")
    whole = f"{found.files} files of {found.bytes} bytes are as committed, {found.runs} runs add up"
    if found.is_whole:
        notice(f"OK: {whole}")
        return
    notice(f"FAILED: {len(found.findings)} findings in {warehouse.path}; {whole}")
    problems = {each.problem for each in found.findings}
    hints = (hint for kinds, hint in _HINTS if problems <= kinds)
    notice(f"hint: {_UNRECORDED if 'unrecorded' in problems else next(hints, _DAMAGED)}")
