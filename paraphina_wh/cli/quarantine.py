"""Lines put aside: `quarantine list`, `show`, `replay` and `drop`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from paraphina_wh.cli.group import CommandGroup, complain
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, print_frames, warn
from paraphina_wh.cli.progress import progress
from paraphina_wh.errors import WarehouseError

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.quarantine import Replayed, Shown
    from paraphina_wh.warehouse import Warehouse

Command = TypeVar("Command", bound=Callable[..., Any])

COMMANDS = {
    "list": "paraphina_wh.cli.quarantine:list_",
    "show": "paraphina_wh.cli.quarantine:show",
    "replay": "paraphina_wh.cli.quarantine:replay",
    "drop": "paraphina_wh.cli.quarantine:drop",
}

_TERMINAL_LINES = 50
_RAW = ["file", "line", "offset", "reasons", "raw", "raw_base64"]
_COLUMNS = {
    "json": _RAW,
    "jsonl": _RAW,
    "csv": ["file", "line", "offset", "field", "reason", "raw", "raw_base64"],
    "table": ["line", "offset", "field", "reason", "raw"],
    "markdown": ["file", "line", "offset", "field", "reason", "raw"],
}


def _label_option(command: Command) -> Command:
    return click.option("--label", "labels", multiple=True, help="The runs of this label; repeatable.")(command)


@click.group(cls=CommandGroup, commands_at=COMMANDS)
@examples("paraphina-wh quarantine list", "paraphina-wh quarantine show --label exp13_balanced_r001")
def quarantine() -> None:
    """Look at the lines that an ingest put aside, and deal with them.

    RUN is a run_id or its first characters; for Monte Carlo runs the id of their file, as `list` shows it.
    """


@click.command("list")
@click.option("--experiment", metavar="NAME", help="The runs of an experiment alone.")
@format_option
@examples("paraphina-wh quarantine list --experiment exp13")
@pass_warehouse
def list_(warehouse: Warehouse, experiment: str | None, style: str) -> None:
    """List the runs with lines put aside.

    cut_off tells that the last line of the file was cut off; it counts. Exit code 1 when the quarantine is damaged.
    """
    from paraphina_wh.quarantine import list_quarantine

    listing = list_quarantine(warehouse, experiment)
    print_frame(listing.frame, style)
    if listing.dropped:
        notice(f"not in the list, since their lines were dropped: {listing.dropped}")
    for run_id in listing.damaged:
        complain(f"{run_id}: the file of its lines is damaged", f"paraphina-wh quarantine show {run_id}")
    if listing.damaged:
        click.get_current_context().exit(1)


@click.command()
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--label", help="The run of this label.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"The most lines; by default all, but {_TERMINAL_LINES} in a terminal's table.",
)
@format_option
@examples("paraphina-wh quarantine show 3f2a", "paraphina-wh quarantine show 3f2a --format jsonl > lines.jsonl")
@pass_warehouse
def show(warehouse: Warehouse, run_id: str | None, label: str | None, limit: int | None, style: str) -> None:
    """Show the lines of a run that were put aside.

    Where each stands, what is wrong with it, and its bytes: raw, or raw_base64 when they are no UTF-8. The table
    shortens them, json, jsonl and csv hold all that was kept: every byte, of a line beyond the limit the first 64 KiB.
    What --format jsonl writes can be corrected and replayed.
    """
    from paraphina_wh.quarantine import find
    from paraphina_wh.quarantine import show as lines_of

    if (run_id is None) == (label is None):
        raise click.UsageError("name a run, or a label with --label")
    found = find(warehouse, [run_id] if run_id is not None else [], [label] if label is not None else [])
    if len(found) > 1:
        named = ", ".join(f"{held.run_id} ({held.profile})" for held in found)
        raise WarehouseError(f"label {label!r} has {len(found)} runs", f"name one: {named}", exit_code=2)
    shown = lines_of(warehouse, found[0])
    if limit is None and style == "table" and sys.stdout.isatty():
        limit = _TERMINAL_LINES
    _print_lines(shown, limit, style)
    if shown.damaged:
        complain(f"{shown.held}: the file of its lines is damaged, some of them are gone", f"read {shown.held.file}")
        click.get_current_context().exit(1)


def _print_lines(shown: Shown, limit: int | None, style: str) -> None:
    held, shortened = shown.held, []
    in_table = style in ("table", "markdown")

    def frames() -> Iterator[pl.DataFrame]:
        for frame in shown.frames(limit):
            if in_table:
                shortened.append(_is_shortened(frame))
            yield (_with_start(frame) if in_table else frame).select(_COLUMNS[style])

    print_frames(frames(), style, title=f"{held}, {held.file}")
    if limit is not None and limit < shown.kept:
        warn(f"the first {limit} of {shown.kept} lines are shown; --limit N or --format jsonl gives more")
    if any(shortened):
        notice("raw is shortened; --format jsonl has all that was kept")


def _is_shortened(frame: pl.DataFrame) -> bool:
    import polars as pl

    return bool(frame.select((pl.col("size") > pl.col("start").str.len_bytes()).any()).item())


def _with_start(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the start of each line as raw, and how long it is when that is not all of it."""
    import polars as pl

    size = pl.format("{} ... ({} bytes)", "start", "size")
    return frame.with_columns(
        raw=pl.when(pl.col("size") > pl.col("start").str.len_bytes()).then(size).otherwise("start")
    )


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@_label_option
@click.option("--all", "every", is_flag=True, help="Every run in the list, but for those with a cut-off tail alone.")
@click.option(
    "--lines",
    type=click.Path(),
    metavar="FILE",
    help="Corrected lines of the one run, as `show --format jsonl` writes them.",
)
@format_option
@examples(
    "paraphina-wh quarantine replay 3f2a",
    "paraphina-wh quarantine replay --label exp13_balanced_r001 --lines lines.jsonl",
)
@pass_warehouse
def replay(
    warehouse: Warehouse,
    run_ids: tuple[str, ...],
    labels: tuple[str, ...],
    every: bool,
    lines: str | None,
    style: str,
) -> None:
    """Take runs in again after their files were repaired.

    The repaired content takes the place of the run, under the same profile, label and provenance. It goes in when it
    leaves fewer lines aside and loses no good one; lines that are still bad stay in the quarantine.

    With --lines FILE (or -, standard input) the file of the run stays as it is, and corrected lines stand in for its
    bad ones: raw, or raw_base64. An empty raw takes the line out; a line that FILE does not hold stays bad.

    Exit code 1 when bad lines are left, or nothing was repaired.
    """
    from paraphina_wh.quarantine import choose, choose_all
    from paraphina_wh.quarantine import replay as take_in_again

    if every == bool(run_ids or labels):
        raise click.UsageError("name runs, or give --all")
    chosen = choose_all(warehouse) if every else choose(warehouse, run_ids, labels)
    if lines is not None and (every or len(chosen.runs) + len(chosen.done) > 1):
        raise click.UsageError("--lines holds the lines of one run: name it")
    with progress(len(chosen.runs), unit="runs", label="replay") as bar:
        done = take_in_again(warehouse, chosen, lines=lines, keep_going=every, on_done=lambda _: bar.advance())
    print_frame(_rows(done), style)
    if chosen.left_out:
        notice(f"left out, with nothing but a cut-off last line: {chosen.left_out}; name them to replay them")
    for run in done:
        _tell(run, mended=lines is not None)
    if not all(run.is_good for run in done):
        click.get_current_context().exit(1)


def _rows(done: Iterable[Replayed]) -> pl.DataFrame:
    import polars as pl

    text = ("run_id", "label", "status", "new_run_id", "file")
    names = ["run_id", "label", "status", "lines_before", "lines_left", "new_run_id", "rows_before", "rows", "file"]
    schema = {name: pl.String if name in text else pl.Int64 for name in names}
    return pl.DataFrame([[getattr(run, name) for name in names] for run in done], schema=schema, orient="row")


def _tell(run: Replayed, *, mended: bool) -> None:
    """Write to stderr what is still wrong, and what else there is to know."""
    name = run.label or run.run_id
    if run.status == "superseded":
        notice(f"{name}: run {run.new_run_id} took the place of {run.run_id} before")
    if run.status == "replayed" and run.is_good and run.cut_off:
        warn(f"{name}: the last line is cut off")
    if run.status == "replayed" and mended:
        notice(f"{run.file} is as it was: the corrected lines are in the warehouse alone")
    if run.is_good:
        return
    if run.status == "replayed":
        complain(f"{name}: {run.lines_left} of {run.lines_before} lines are still bad")
    texts = [text if run.file in text else f"{run.file}: {text}" for text in run.errors]
    if run.error_count > len(texts):
        texts.append(f"{run.file}: and {run.error_count - len(texts)} more")
    for text in texts[:-1]:
        complain(text)
    complain(texts[-1], run.hint)


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@_label_option
@format_option
@examples("paraphina-wh quarantine drop 3f2a")
@pass_warehouse
def drop(warehouse: Warehouse, run_ids: tuple[str, ...], labels: tuple[str, ...], style: str) -> None:
    """Forget the lines themselves for good.

    Asks nothing, and prints what it dropped. The ledger keeps their numbers; the source files are not touched.
    """
    from paraphina_wh.quarantine import drop as forget_lines
    from paraphina_wh.quarantine import find

    if not run_ids and not labels:
        raise click.UsageError("name a run, or a label with --label")
    print_frame(forget_lines(warehouse, find(warehouse, run_ids, labels)), style)
