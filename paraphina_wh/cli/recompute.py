"""`paraphina-wh recompute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, say
from paraphina_wh.cli.progress import progress

if TYPE_CHECKING:
    from paraphina_wh.maintenance.recompute import Recomputed
    from paraphina_wh.warehouse import Warehouse

_DATASETS = (
    "rows that datasets hold stay as they were appended: `paraphina-wh dataset new`, then `export dataset` has the new "
    "values"
)


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--label", "labels", multiple=True, help="The runs of this label; repeatable.")
@click.option("--profile", help="The runs of this profile alone.")
@click.option("--experiment", help="The runs of this experiment alone.")
@click.option("--all", "every", is_flag=True, help="Those too whose metrics are of the definition of today.")
@click.option("--dry-run", is_flag=True, help="Show what would change; nothing is written.")
@format_option
@examples("paraphina-wh recompute --dry-run", "paraphina-wh recompute --experiment exp13")
@pass_warehouse
def recompute(
    warehouse: Warehouse,
    run_ids: tuple[str, ...],
    labels: tuple[str, ...],
    profile: str | None,
    experiment: str | None,
    every: bool,
    dry_run: bool,
    style: str,
) -> None:
    """Compute metrics anew from the stored ticks.

    When a version of this program defines a metric anew, or another one, runs that are in the warehouse keep what they
    came in with. This brings them up to date: all whose metrics are of another definition, or of those the runs named.
    Everything else about a run stays. Killed at any moment, it goes on with the rest when it is repeated.

    Prints for each metric how many runs have another value by now, and the first of them. Exit code 1 when the ticks
    of a run are damaged or gone: it stays as it was.
    """
    from paraphina_wh.maintenance.recompute import Chosen
    from paraphina_wh.maintenance.recompute import recompute as compute_anew

    chosen = Chosen(run_ids, labels, profile, experiment, every)
    with progress(unit="runs", label="recompute") as bar:
        done = compute_anew(warehouse, chosen, dry_run=dry_run, on_plan=bar.set_total, on_runs=bar.advance)
    print_frame(done.changes, style)
    _tell(done, dry_run)
    if done.left:
        click.get_current_context().exit(1)


def _tell(done: Recomputed, dry_run: bool) -> None:
    if done.runs:
        would = "would be" if dry_run else "were"
        notice(f"{done.runs} runs {would} computed anew, {done.changed} of them with other values")
    elif not done.left:
        notice("every metric is of the definition of today: nothing to compute anew")
    if done.changed:
        notice(_DATASETS)
    if done.replaced:
        notice(f"{done.replaced} runs were replaced or withdrawn meanwhile")
    for run in done.left:
        say(f"error: run {run.run_id} ({run.profile}, {run.label}) stays as it was: {run.why}")
    if done.left:
        say("hint: `paraphina-wh repair` makes damaged ticks anew from their sources; then repeat this")
