"""What commands print: rows on stdout; notices, warnings and progress on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import click

from paraphina_wh.cli.options import Settings, is_spreadsheet_safe
from paraphina_wh.escape import markdown_text
from paraphina_wh.escape import printable as printable

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.datasets import Appended

_LEAST_COLUMN_WIDTH = 12


def is_quiet() -> bool:
    """Tell whether --quiet was given."""
    context = click.get_current_context(silent=True)
    settings = context.find_object(Settings) if context else None
    return settings is not None and settings.quiet


def notice(text: str) -> None:
    """Write a line to stderr, unless --quiet was given."""
    if not is_quiet():
        say(text)


def warn(text: str) -> None:
    """Write a warning to stderr; --quiet does not silence it."""
    say(f"warning: {text}")


def say(text: str) -> None:
    """Write a line to stderr, made printable. Talk that nobody can hear fails nothing."""
    with suppress(OSError):
        click.echo(printable(text), err=True)


def print_frame(frame: pl.DataFrame, style: str = "table", title: str = "") -> None:
    """Print the rows of a frame; the title is for tables alone."""
    print_frames([frame], style, title=title)


def print_frames(
    frames: Iterable[pl.DataFrame], style: str = "table", *, limit: int | None = None, title: str = ""
) -> None:
    """Print the rows of frames with the same columns, at least one frame.

    limit: the most rows of a table on a terminal, where the rest is left out with a notice.
    """
    if style == "table":
        _print_table(frames, limit if sys.stdout.isatty() else None, title)
    elif style == "markdown":
        _write(line.encode() for line in _markdown(frames))
    else:
        from paraphina_wh.formats import chunks_of

        _write(chunks_of(style, spreadsheet_safe=is_spreadsheet_safe())(frames))


def _write(chunks: Iterable[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.writelines(chunks)
    sys.stdout.buffer.flush()


def _print_table(frames: Iterable[pl.DataFrame], limit: int | None, title: str) -> None:
    import polars as pl

    rows_left = limit
    taken = []
    for frame in frames:
        taken.append(frame if rows_left is None else frame.head(rows_left + 1))
        rows_left = None if rows_left is None else rows_left - len(taken[-1])
        if rows_left is not None and rows_left < 0:
            break
    table, title = pl.concat(taken), printable(title)
    if limit is not None and len(table) > limit:
        table = table.head(limit)
        warn(f"the first {limit} rows are shown; --limit N, --format csv or -o FILE gives more")
    if sys.stdout.isatty():
        _print_rich(table, title)
    else:
        _write(f"{line.rstrip()}\n".encode() for line in _plain_table(table, title))


def _print_rich(frame: pl.DataFrame, title: str) -> None:
    """Print a table on a terminal: long cells are folded, nothing in a cell is cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = _columns_that_fit(frame)
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for name, kind in shown.schema.items():
        side: Literal["right", "left"] = "right" if kind.is_numeric() else "left"
        table.add_column(Text(printable(name)), justify=side, overflow="fold")
    for row in _cells(shown):
        table.add_row(*map(Text, row))
    Console().print(table)


def _plain_table(frame: pl.DataFrame, title: str) -> Iterator[str]:
    """Yield the lines of a table as wide as its data: for pipes, where rich would take long."""
    from rich.cells import cell_len

    rows = [[printable(name) for name in frame.columns], *_cells(frame)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    right = [kind.is_numeric() for kind in frame.dtypes]
    rows.insert(1, ["-" * width for width in widths])
    yield from [title] if title else []
    for row in rows:
        padding = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = zip(row, padding, right, strict=True)
        yield "  ".join(space + cell if numeric else cell + space for cell, space, numeric in cells)


def _columns_that_fit(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out the last columns where a terminal has no room for all, and say so."""
    room = shutil.get_terminal_size().columns // (_LEAST_COLUMN_WIDTH + 2)
    if frame.width <= max(1, room):
        return frame
    warn(f"the first {max(1, room)} of {frame.width} columns are shown; select fewer, or use --format json")
    return frame.select(frame.columns[: max(1, room)])


def _cells(frame: pl.DataFrame, shown: Callable[[str], str] = printable) -> Iterator[list[str]]:
    """Yield the rows as texts that are safe to show; null is empty."""
    from paraphina_wh.text import cell_texts

    for row in cell_texts(frame).iter_rows():
        yield ["" if cell is None else shown(cell) for cell in row]


def _markdown(frames: Iterable[pl.DataFrame]) -> Iterator[str]:
    for n, frame in enumerate(frames):
        if n == 0:
            yield _markdown_row(map(markdown_text, frame.columns))
            yield _markdown_row("--:" if kind.is_numeric() else "---" for kind in frame.dtypes)
        for row in _cells(frame, markdown_text):
            yield _markdown_row(row)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def print_sections(sections: Mapping[str, pl.DataFrame], style: str = "table") -> None:
    """Print several frames under their names: in JSON as one object, in JSON lines with a field `section`."""
    from paraphina_wh.formats import in_section, json_object

    if style == "json":
        _write([json_object(sections)])
        return
    for n, (name, frame) in enumerate(sections.items()):
        if style == "jsonl":
            print_frame(in_section(name, frame), style)
            continue
        click.echo("\n" * bool(n) + f"## {name}\n\n" * (style == "markdown"), nl=False)
        print_frame(frame, style, title=name)


def print_json(value: object) -> None:
    """Print a value as JSON with line breaks."""
    import msgspec

    _write([msgspec.json.format(msgspec.json.encode(value)), b"\n"])


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of text to stdout."""
    for line in lines:
        click.echo(printable(line))


def tell_appended(appended: Appended) -> None:
    """Say what became of a dataset file, and which labels stand in it twice."""
    name = appended.file.name
    notice(f"{name}: {appended.appended} rows appended, {appended.already_there} already there")
    if appended.restored_lines:
        warn(f"{name} was gone: {appended.restored_lines} lines written back from the warehouse")
    for label in appended.repeated_labels:
        warn(f"{name}: label {label!r} stood there already, for the same file; both rows count")
