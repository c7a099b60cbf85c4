"""Keeping a warehouse in order: `compact`, `gc` and `repair`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame
from paraphina_wh.cli.progress import progress

if TYPE_CHECKING:
    from paraphina_wh.warehouse import Warehouse

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def _seconds(_: click.Context, __: click.Parameter, value: str) -> float:
    found = _AGE.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} is no age: write it as 90s, 10m, 2h or 7d")
    return float(found[1]) * _UNITS[found[2]]


@click.command()
@format_option
@examples("paraphina-wh compact")
@pass_warehouse
def compact(warehouse: Warehouse, style: str) -> None:
    """Fold the many small files of the ledger and of the datasets into few.

    Answers stay as they are, and nobody has to stop working. The folded files lie there for queries that have begun,
    until `gc` removes them. Telemetry is never touched. Twice is as once.
    """
    import polars as pl

    from paraphina_wh.maintenance.compact import compact as fold

    folded = fold(warehouse)
    schema = {"folder": pl.String, "files": pl.Int64, "rows": pl.Int64}
    rows = [(each.folder, each.files, each.rows) for each in folded]
    print_frame(pl.DataFrame(rows, schema=schema, orient="row"), style)
    files = sum(each.files for each in folded)
    done = f"{files} files folded into {len(folded)}; `gc --delete` removes them after an hour"
    notice(done if files else "nothing to fold")


@click.command()
@click.option("--delete", is_flag=True, help="Remove what is listed; without it nothing is.")
@click.option(
    "--older-than",
    "older_than_s",
    default="1h",
    show_default=True,
    callback=_seconds,
    metavar="AGE",
    help="Leave what is younger: a write or a query under way may need it. 90s, 10m, 2h or 7d.",
)
@format_option
@examples("paraphina-wh gc", "paraphina-wh gc --delete --older-than 1d")
@pass_warehouse
def gc(warehouse: Warehouse, delete: bool, older_than_s: float, style: str) -> None:
    """List, and with --delete remove, what no committed state refers to.

    Unfinished writes of processes that are gone, files that `compact`, `--replace` or `forget` took out of the answers,
    and ticks whose commit never came. A file that answers for something is never touched.
    """
    from paraphina_wh.maintenance.gc import collect, frame

    found = collect(warehouse, older_than_s=older_than_s, delete=delete)
    print_frame(frame(found), style)
    size = sum(each.bytes for each in found)
    done = "removed" if delete else "may go; --delete removes them"
    notice(f"{len(found)} leftovers of {size} bytes {done}" if found else "nothing to remove")


@click.command()
@click.option("--adopt", is_flag=True, help="Take files that no record accounts for as they are.")
@click.option("--give-up", is_flag=True, help="Forget the files that cannot be made anew, for good.")
@format_option
@examples("paraphina-wh repair")
@pass_warehouse
def repair(warehouse: Warehouse, adopt: bool, give_up: bool, style: str) -> None:
    """Make damaged files anew from the sources they came from.

    A source counts only if it is still there, with the very content that was taken in. A file that cannot be made anew
    is moved to quarantine/files in the warehouse: queries go on without it, and every command says so. Repeat it when
    a source is back. Exit code 1 when something could not be restored.
    """
    from paraphina_wh.maintenance.repair import frame
    from paraphina_wh.maintenance.repair import repair as make_anew

    with progress(unit="files", label="repair") as bar:
        done = make_anew(warehouse, adopt=adopt, give_up=give_up, on_plan=bar.set_total, on_file=bar.advance)
    print_frame(frame(done), style)
    counts = {result: sum(each.result == result for each in done) for result in dict.fromkeys(d.result for d in done)}
    notice(", ".join(f"{count} {result}" for result, count in counts.items()) or "nothing to repair")
    if counts.keys() & {"quarantined", "left"}:
        click.get_current_context().exit(1)
