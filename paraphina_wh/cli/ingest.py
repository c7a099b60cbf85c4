"""Taking runs in and out: `ingest` and `forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, printable, say, warn
from paraphina_wh.cli.progress import progress
from paraphina_wh.warehouse import Warehouse

_LEFT_OUT_SHOWN = 5

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.ingest import Report


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH...")
@click.option(
    "--profile",
    help="Risk profile of the runs; by default what the sidecar, the banner, the table or the file name says.",
)
@click.option("--new-profile", is_flag=True, help="Take in runs of a profile that is none of the three.")
@click.option("--label", help="Label of the one run; by default from the sidecar or the file name.")
@click.option("--label-prefix", default="exp13", show_default=True, help="Start of labels made from file names.")
@click.option(
    "--experiment", help="Experiment of the runs; by default what the sidecar, the table or the file name says."
)
@click.option(
    "--on-error",
    type=click.Choice(["reject", "quarantine"]),
    default="reject",
    show_default=True,
    help="What to do with a file that has bad lines: reject it, or put the lines aside and keep the rest.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Take out a run of the same profile and label, or what came from the same file before.",
)
@click.option("--split-on-reset", is_flag=True, help="Make a run of every stretch of rising t.")
@click.option(
    "--max-bad",
    metavar="N|P%",
    help="Put bad lines aside, and end with exit code 1 when a file has more than N of them, or than P % of its lines.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; by default one a core.")
@format_option
@examples(
    "paraphina-wh ingest runs/exp13_auto", "zcat run.jsonl.gz | paraphina-wh ingest - --profile balanced --label a"
)
@pass_warehouse
def ingest(
    warehouse: Warehouse,
    paths: tuple[str, ...],
    profile: str | None,
    new_profile: bool,
    label: str | None,
    label_prefix: str,
    experiment: str | None,
    on_error: str,
    replace: bool,
    split_on_reset: bool,
    max_bad: str | None,
    jobs: int | None,
    style: str,
) -> None:
    """Take telemetry and what else experiments leave into the warehouse.

    PATH is a file, a folder, a glob, or - for standard input.

    The content tells what a file is: telemetry, stdout of an engine, a CSV of runs or of their summary, a research
    dataset, runs of the Monte Carlo harness. Files may be compressed (.gz, .zst). Repeating an ingest changes
    nothing. Exit code 1 when a file was rejected, or has more bad lines than --max-bad; the others are taken in all
    the same.
    """
    from paraphina_wh.ingest import Options, ingest_paths

    if max_bad is not None and _is_given("on_error") and on_error == "reject":
        raise click.UsageError("--max-bad puts bad lines aside, --on-error reject does not: leave one out")
    options = Options(profile, label, label_prefix, experiment, on_error, replace, split_on_reset, max_bad, new_profile)
    with progress(unit="files", label="ingest") as bar:
        report = ingest_paths(
            warehouse, paths, options, jobs=jobs, on_plan=bar.set_total, on_outcomes=lambda done: bar.advance(len(done))
        )
    print_frame(_rows(report), style)
    tell(report)
    if not report.complete or report.too_bad:
        click.get_current_context().exit(1)


def _is_given(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source == click.core.ParameterSource.COMMANDLINE


def _rows(report: Report) -> pl.DataFrame:
    import polars as pl

    schema = {"file": pl.String, "run_id": pl.String, "status": pl.String, "ticks": pl.Int64, "bytes": pl.Int64}
    rows = [(o.file, o.run_id, o.verdict, o.ticks, o.bytes) for o in report]
    return pl.DataFrame(rows, schema=schema, orient="row")


def tell(report: Report) -> None:
    """Write the warnings, the reasons for rejections and the files with too many bad lines to stderr."""
    for text in report.warnings:
        warn(text)
    for outcome in report:
        for text in outcome.notices:
            notice(f"{outcome.file}: {text}")
        for text in outcome.warnings:
            warn(f"{outcome.file}: {text}")
        if outcome.status == "rejected":
            _tell_rejection(outcome.file, outcome.errors, outcome.error_count, outcome.hint)
    if report.settled:
        notice(f"{report.settled} rows of tables tell of runs that are here now: counted once")
    if report.left_out:
        shown = ", ".join(report.left_out[:_LEFT_OUT_SHOWN])
        more = f" and {len(report.left_out) - _LEFT_OUT_SHOWN} more" if len(report.left_out) > _LEFT_OUT_SHOWN else ""
        notice(f"left out, of no known kind: {shown}{more}")
    counts = {status: sum(o.status == status for o in report) for status in dict.fromkeys(o.status for o in report)}
    notice(", ".join(f"{count} {status}" for status, count in counts.items()))
    _tell_bad_lines(report)


def _tell_bad_lines(report: Report) -> None:
    """Name the files that have too many bad lines, and say where the lines put aside can be seen."""
    from paraphina_wh.ingest.threshold import share_text

    for outcome in report.too_bad:
        limit = report.max_bad.text if report.max_bad else ""
        bad = share_text(outcome.bad_lines, outcome.lines)
        say(f"error: {outcome.file}: {bad} are bad, more than --max-bad {limit}")
    if report.too_bad:
        say(f"hint: paraphina-wh quarantine show {report.too_bad[0].run_id or 'RUN'}")
    elif any(outcome.status == "quarantined" for outcome in report):
        notice("paraphina-wh quarantine list shows the runs with lines put aside")


def _tell_rejection(file: str, errors: list[str], total: int, hint: str) -> None:
    for text in errors:
        say(f"error: {text}" if text.startswith(file) else f"error: {file}: {text}")
    if total > len(errors):
        say(f"error: {file}: and {total - len(errors)} more")
    if hint:
        say(f"hint: {hint}")


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--label", "labels", multiple=True, help="Withdraw the run of this label; repeatable.")
@click.option("--profile", help="Of the runs that are named, those of this profile.")
@click.option("--experiment", metavar="NAME", help="Of the runs that are named, those of this experiment.")
@click.option("--all", "every", is_flag=True, help="Withdraw all that fit, not just one.")
@click.option("--dry-run", is_flag=True, help="List what would be withdrawn, and stop.")
@examples("paraphina-wh forget --label exp13_balanced_r001", "paraphina-wh forget --experiment night --all --dry-run")
@pass_warehouse
def forget(
    warehouse: Warehouse,
    run_ids: tuple[str, ...],
    labels: tuple[str, ...],
    profile: str | None,
    experiment: str | None,
    every: bool,
    dry_run: bool,
) -> None:
    """Withdraw wrongly ingested runs.

    Name them by run_id (or its start) or by label; or by --profile and --experiment alone. They leave every view; the
    ledger keeps that they were there. The source files are not touched. Where a label fits several runs they are
    listed, and none is withdrawn without --all.
    """
    from paraphina_wh.ingest.forget import Narrowed
    from paraphina_wh.ingest.forget import forget as withdraw

    if not (run_ids or labels or profile or experiment):
        raise click.UsageError("name a run, or a label with --label")
    withdrawn = withdraw(warehouse, run_ids, labels, Narrowed(profile, experiment, every), dry_run=dry_run)
    for run in withdrawn:
        click.echo(printable(f"{run.run_id} {run.profile} {run.label}"))
    if dry_run:
        notice(f"{len(withdrawn)} runs would be withdrawn; none was")
