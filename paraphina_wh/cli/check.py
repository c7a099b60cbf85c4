"""`paraphina-wh check`."""

from __future__ import annotations

from pathlib import Path

import click

from paraphina_wh.cli.options import examples
from paraphina_wh.cli.output import notice, print_lines, warn
from paraphina_wh.cli.progress import progress


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option(
    "--max-errors", type=click.IntRange(min=0), default=10, show_default=True, help="Errors shown of each file."
)
@examples("paraphina-wh check runs/exp13_auto")
@click.pass_context
def check(context: click.Context, paths: tuple[Path, ...], max_errors: int) -> None:
    """Validate telemetry and mc_runs files; nothing is written.

    PATH is a file or a folder, which stands for every .jsonl file below it; .gz and .zst are unpacked.
    Exit codes: 0 all valid; 1 contract breach or damaged data; 2 missing file, or one without a schema.
    """
    from paraphina_wh.check import check_paths, exit_code_of

    with progress(label="check") as bar:
        reports = check_paths(paths, max_errors, bar.set_total, bar.advance)
    for report in reports:
        print_lines(report.text())
        for warning in report.warnings:
            warn(f"{report.path}: {warning}")
    if not reports:
        notice("no telemetry file found")
    context.exit(exit_code_of(reports))
