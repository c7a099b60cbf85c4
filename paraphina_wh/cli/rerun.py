"""Replay: `rerun RUN --verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, print_json, print_lines, warn
from paraphina_wh.cli.progress import progress
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.rerun import Recorded, Rerun

_NAMED = 5


@click.command()
@click.argument("names", nargs=-1, metavar="[RUN]...")
@click.option("--experiment", metavar="NAME", help="Every good run of an experiment, instead of named ones.")
@click.option("--verify", is_flag=True, help="Compare with what the warehouse holds; exit code 1 when they differ.")
@click.option("--engine", metavar="PATH|reference", help="Where the engine lies; by default where it was recorded.")
@click.option("--force", is_flag=True, help="Run an engine with another hash than the recorded one.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep telemetry, stdout, stderr and sidecar here; without --verify the default is runs/rerun/<label>.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Engines at a time; by default one a core.")
@click.option("--timeout", "timeout_sec", type=float, default=600.0, show_default=True, metavar="S")
@format_option
@examples("paraphina-wh rerun exp13_balanced_r001 --verify", "paraphina-wh rerun --experiment exp13 --verify --jobs 2")
@pass_warehouse
def rerun(
    warehouse: Warehouse,
    /,
    names: tuple[str, ...],
    experiment: str | None,
    style: str,
    **options: object,
) -> None:
    """Run recorded runs again from their provenance.

    RUN is a run_id, its first characters, or a label. The engine must be the one that made the run, by its hash. With
    --verify the telemetry is compared tick by tick: identical, or the first differing tick and field. The warehouse
    does not change. Exit codes: 1 when a run differs or fails, 2 when one cannot be run again.
    """
    from paraphina_wh.rerun import Options, rerun_many

    runs = _find(warehouse, names, experiment)
    with progress(len(runs), unit="runs", label="rerun") as bar:
        done = rerun_many(warehouse, runs, Options(**options), lambda _: bar.advance())  # type: ignore[arg-type]
    _print(done, style, one=len(names) == 1)
    _tell(done)
    if not all(run.is_good for run in done):
        click.get_current_context().exit(1)


def _find(warehouse: Warehouse, names: Sequence[str], experiment: str | None) -> list[Recorded]:
    from paraphina_wh.rerun import find_runs, runs_of

    if bool(names) == (experiment is not None):
        raise click.UsageError("name runs, or an experiment with --experiment")
    if experiment is None:
        return find_runs(warehouse, names)
    runs, left_out = runs_of(warehouse, experiment, *_shipped_as(experiment))
    if left_out:
        notice(f"{experiment}: {left_out} failed runs left out; name them to run them again")
    return runs


def _shipped_as(name: str) -> list[str]:
    """Return the name that runs of a shipped experiment carry: `exp04` is `exp04_multi_scenario` to them."""
    from paraphina_wh.experiments.read import ALIASES, find_experiment, shipped

    return [find_experiment(name).spec.name] if name in {*shipped(), *ALIASES} else []


def _print(done: Sequence[Rerun], style: str, *, one: bool) -> None:
    """Print the verdict: of one run as a line or an object, of several as rows."""
    if one and style == "table":
        print_lines(f"{run.verdict}: {run.detail}" for run in done)
    elif one and style == "json":
        print_json(done[0])
    else:
        print_frame(_rows(done), style)


def _rows(done: Sequence[Rerun]) -> pl.DataFrame:
    import polars as pl

    schema = {"run_id": pl.String, "profile": pl.String, "label": pl.String, "verdict": pl.String, "detail": pl.String}
    return pl.DataFrame([[getattr(run, name) for name in schema] for run in done], schema=schema, orient="row")


def _tell(done: Sequence[Rerun]) -> None:
    """Write to stderr what does not fit the verdict, and the totals."""
    from paraphina_wh.rerun import difference_text

    for run in done:
        for text in run.notes:
            warn(f"{run.label}: {text}")
        if len(run.fields) > 1:
            more = [difference.field for difference in run.fields[1:]]
            notice(f"{run.label}: at t={run.t} also {', '.join(more[:_NAMED])}{' ...' * (len(more) > _NAMED)}")
        if run.ticks_differing:
            for difference in run.metrics:
                notice(f"{run.label}: {difference_text(difference)}")
        if run.kept and run.verdict != "done":
            notice(f"wrote {run.kept[0]}")
    if len(done) > 1:
        counts = Counter(run.verdict for run in done)
        notice(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
