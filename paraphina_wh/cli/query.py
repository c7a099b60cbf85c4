"""`paraphina-wh query`."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from paraphina_wh import interrupt
from paraphina_wh.cli.options import examples, format_option, is_spreadsheet_safe, pass_warehouse
from paraphina_wh.cli.output import notice, print_frames, print_lines
from paraphina_wh.errors import WarehouseError

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.warehouse import Warehouse

# In bytes, far more than a statement may have: whatever ends there is too long anyhow.
_LONGEST_TEXT: Final = 2_000_000
# A table is laid out as a whole, and its texts take some twenty times the memory of its values.
_LARGEST_TABLE: Final = 32_000_000
_BYTES_PER_CELL: Final = 8


@click.command()
@click.argument("sql", required=False)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="Read the SQL from a file.")
@format_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to .parquet, .csv, .json or .jsonl.")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="Rows of a terminal's table.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Stop after S seconds.")
@click.option("--memory", metavar="SIZE", help="Most memory to use, such as 2GB.")
@click.option("--untrusted", is_flag=True, help="A process of its own, held to 60 s and 1GB unless given otherwise.")
@examples(
    "paraphina-wh query 'SELECT profile, avg(final_pnl) AS mean_usd FROM runs GROUP BY profile'",
    "paraphina-wh query -f slippage.sql -o slippage.parquet",
)
@pass_warehouse
def query(
    warehouse: Warehouse,
    sql: str | None,
    file: Path | None,
    style: str,
    output: Path | None,
    limit: int,
    timeout: float | None,
    memory: str | None,
    untrusted: bool,
) -> None:
    """Answer one read-only SQL statement over the views.

    SQL is the statement, or `-` to read it from stdin. It cannot write, and reads nothing but the warehouse.
    Tables on a terminal are shortened to --limit rows; files and pipes get every row.
    SQL that you did not write belongs to --untrusted: whatever it does, it ends in time and takes no more memory.
    """
    from paraphina_wh.query import Limits, open_query, write_query

    text, limits = _statement(sql, file), Limits(timeout, memory, untrusted)
    with _ends_with_the_command():
        if output is not None:
            rows = write_query(warehouse, text, output, limits, spreadsheet_safe=is_spreadsheet_safe())
            notice(f"{rows} rows written to {output}")
            _tell_what_comes_first(warehouse, text)
            return
        with open_query(warehouse, text, limits) as answer:
            if style != "table":
                print_frames(answer.frames(), style, limit=limit)
            elif answer.is_plan:
                print_lines(_plan_lines(answer.frames()))
            else:
                print_frames(_no_larger_than_a_table(answer.frames()), style, limit=limit)
        _tell_what_comes_first(warehouse, text)


def _tell_what_comes_first(warehouse: Warehouse, sql: str) -> None:
    from paraphina_wh.query import what_comes_first

    if text := what_comes_first(warehouse, sql):
        notice(text)


def _plan_lines(frames: Iterable[pl.DataFrame]) -> Iterator[str]:
    for frame in frames:
        for plan in frame["explain_value"]:
            yield from plan.splitlines()


def _no_larger_than_a_table(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    size = 0
    for frame in frames:
        size += max(int(frame.estimated_size()), frame.height * frame.width * _BYTES_PER_CELL)
        if size > _LARGEST_TABLE:
            raise WarehouseError(
                "the answer is too large for a table", "--format csv or -o FILE takes any number of rows"
            )
        yield frame


@contextmanager
def _ends_with_the_command() -> Iterator[None]:
    """Let a query that cannot be stopped end when the command does, in the same way as the command."""
    from paraphina_wh.query import is_left_running

    try:
        yield
    except BaseException as error:
        if is_left_running():
            code = error.exit_code if isinstance(error, WarehouseError) else interrupt.EXIT_CODE
            # Python's own end would wait for DuckDB, or be torn down under it.
            atexit.register(os._exit, code)
        raise


def _statement(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise click.UsageError("give the SQL, or -f FILE, or - to read it from stdin")
    if sql is not None and sql != "-":
        return sql
    name = "stdin" if file is None else str(file)
    try:
        return _few_bytes(file).decode("utf-8-sig")
    except OSError as error:
        raise WarehouseError(f"cannot read {file}: {error.strerror}", "check the path", exit_code=2) from error
    except UnicodeDecodeError as error:
        raise WarehouseError(f"{name} is not UTF-8: byte {error.start + 1}", "save it as UTF-8", exit_code=2) from error


def _few_bytes(file: Path | None) -> bytes:
    """Return what a file or stdin holds, or enough of it to see that it is too long for a statement."""
    if file is None:
        return sys.stdin.buffer.read(_LONGEST_TEXT)
    with file.open("rb") as source:
        return source.read(_LONGEST_TEXT)
