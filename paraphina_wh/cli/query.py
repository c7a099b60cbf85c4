"""`paraphina-wh query`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frames, print_lines
from paraphina_wh.errors import WarehouseError

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse


@click.command()
@click.argument("sql", required=False)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="Read the SQL from a file.")
@format_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to .parquet, .csv, .json or .jsonl.")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="Rows of a terminal's table.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Stop after S seconds.")
@click.option("--memory", metavar="SIZE", help="Most memory to use, such as 2GB.")
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
) -> None:
    """Answer one read-only SQL statement over the views.

    SQL is the statement, or `-` to read it from stdin. It cannot write, and reads nothing but the warehouse.
    Tables on a terminal are shortened to --limit rows; files and pipes get every row.
    """
    from paraphina_wh.query import Limits, open_query, write_query

    text, limits = _statement(sql, file), Limits(timeout, memory)
    if output is not None:
        rows = write_query(warehouse, text, output, limits)
        notice(f"{rows} rows written to {output}")
        return
    with open_query(warehouse, text, limits) as answer:
        if answer.is_plan and style == "table":
            print_lines(
                line for frame in answer.frames() for plan in frame["explain_value"] for line in plan.splitlines()
            )
        else:
            print_frames(answer.frames(), style, limit=limit)


def _statement(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise click.UsageError("give the SQL, or -f FILE, or - to read it from stdin")
    if sql is not None and sql != "-":
        return sql
    name = "stdin" if file is None else str(file)
    try:
        return (sys.stdin.buffer.read() if file is None else file.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise WarehouseError(f"cannot read {file}: {error.strerror}", "check the path", exit_code=2) from error
    except UnicodeDecodeError as error:
        raise WarehouseError(f"{name} is not UTF-8: byte {error.start + 1}", "save it as UTF-8", exit_code=2) from error
