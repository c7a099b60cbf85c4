"""Comparisons: `compare A B`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from paraphina_wh.cli.exp11 import level_option
from paraphina_wh.cli.options import examples, format_option, pass_warehouse
from paraphina_wh.cli.output import notice, print_frame, print_json, print_lines, print_sections
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from paraphina_wh.evidence.compare import SetComparison
    from paraphina_wh.rerun.two_runs import RunComparison

_EXIT_CODES: Final = {"promote": 0, "hold": 0, "reject": 1}
# What the pipelines of the engine expect of a gate.
_GATE_CODES: Final = {"promote": 0, "hold": 1, "reject": 2}
_GATE_ERROR: Final = 3
_FIELDS_SHOWN: Final = 5
_COLUMNS: Final = (
    *("name", "baseline", "candidate", "difference", "lower", "upper", "limit", "pairs", "state", "reason"),
)
_DIGITS: Final = 6


@click.command()
@click.argument("baseline", metavar="A")
@click.argument("candidate", metavar="B")
@click.option("--profile", metavar="NAME", help="Only runs of this profile, on both sides.")
@level_option
@click.option("--assume-independent", is_flag=True, help="Give a verdict on seeds that nobody drew at random, too.")
@click.option(
    "--gate",
    type=click.Choice(["promote"]),
    help="Exit codes of a gate: promote 0, hold 1, reject 2, cannot be judged 3.",
)
@format_option
@examples(
    "paraphina-wh compare exp13 exp13_tuned --profile balanced",
    "paraphina-wh compare 3f0c9a52b1de 9b1e77c0aa41 --gate promote --format json",
    "paraphina-wh compare exp13_balanced_r001 exp13_balanced_r002",
)
@pass_warehouse
def compare(
    warehouse: Warehouse,
    /,
    baseline: str,
    candidate: str,
    profile: str | None,
    level: float | None,
    assume_independent: bool,
    gate: str | None,
    style: str,
) -> None:
    """Compare two runs, or baseline A and candidate B in pairs over common seeds.

    A and B are each a run_id, a label, an experiment, a configuration (12 hex digits), a sweep_id, a profile, or a
    pattern of labels such as 'exp13_*'. Of two runs it shows settings and metrics that differ, and the first tick and
    field where they part.

    Else it gives a verdict. promote: B is proved not worse in final PnL, drawdown and kills by more than a margin, its
    kill probability is within the budget, and its score is higher. reject: one of the four is proved broken. hold:
    neither, or the seeds were not drawn at random. Exit codes: 1 for reject, 0 for the others, unless --gate.
    """
    try:
        code = _compare(
            warehouse, baseline, candidate, profile, level, style, gate, assume_independent=assume_independent
        )
    except WarehouseError as error:
        if gate is None:
            raise
        raise WarehouseError(error.message, error.hint, exit_code=_GATE_ERROR) from error
    click.get_current_context().exit(code)


def _compare(
    warehouse: Warehouse,
    a: str,
    b: str,
    profile: str | None,
    level: float | None,
    style: str,
    gate: str | None,
    *,
    assume_independent: bool,
) -> int:
    from paraphina_wh.evidence.compare import compare_sets, find_sides

    baseline, candidate = find_sides(warehouse, a, b, profile)
    if baseline.is_one_run and candidate.is_one_run:
        from paraphina_wh.rerun.two_runs import compare_runs

        if gate:
            raise WarehouseError("two runs prove nothing", "name sets of runs, such as two configurations", exit_code=2)
        _print_runs(compare_runs(warehouse, *(side.runs["run_id"][0] for side in (baseline, candidate))), style)
        return 0
    made = compare_sets(baseline, candidate, level=level, assume_independent=assume_independent)
    _print_sets(made, style)
    return (_GATE_CODES if gate else _EXIT_CODES)[made.verdict.decision]


def _print_runs(made: RunComparison, style: str) -> None:
    parting = _parting(made)
    shown = parting.head(_FIELDS_SHOWN) if style == "table" else parting
    print_sections({"settings": made.settings, "metrics": _rounded(made.metrics, style), "parting": shown}, style)
    if made.ticks is None:
        notice("one of the runs has no telemetry: no ticks are compared")
        return
    notice(f"{made.ticks.differing} of {max(made.ticks.recorded, made.ticks.now)} ticks differ")
    if len(shown) < len(parting):
        notice(f"at t={made.ticks.t} {len(parting) - len(shown)} more fields differ; --format json shows them")


def _parting(made: RunComparison) -> pl.DataFrame:
    """Return the first differing tick: a row for each field that differs in it."""
    import polars as pl

    schema = {"t": pl.Int64, "field": pl.String, "a": pl.String, "b": pl.String}
    rows = []
    if made.ticks and made.ticks.differing:
        rows = [(made.ticks.t, each.field, f"{each.recorded}", f"{each.now}") for each in made.ticks.fields]
        rows = rows or [(made.ticks.t, "number of ticks", f"{made.ticks.recorded}", f"{made.ticks.now}")]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _print_sets(made: SetComparison, style: str) -> None:
    verdict = made.verdict
    line = f"{verdict.decision}: {verdict.reason}"
    if style == "json":
        print_json(made.report())
    else:
        print_frame(_rounded(_findings(made), style), style)
    if style == "table":
        print_lines([line])
    else:
        notice(line)
    left = f"; {made.left_out} seeds have no partner yet" if made.left_out else ""
    notice(f"basis {made.basis}: {verdict.pairs} pairs, {verdict.holes} of them not known in full{left}")
    notice(f"assuming of each run {made.assuming}; each bound holds at {100 * verdict.level:.6g} %, whenever you look")


def _rounded(frame: pl.DataFrame, style: str) -> pl.DataFrame:
    """Return a frame with numbers for people, in tables."""
    import polars.selectors as cs

    return frame.with_columns(cs.float().round_sig_figs(_DIGITS)) if style == "table" else frame


def _findings(made: SetComparison) -> pl.DataFrame:
    import polars as pl

    rows = [[getattr(each, name) for name in _COLUMNS] for each in (*made.verdict.guardrails, *made.verdict.criteria)]
    names = {"name": "metric", "baseline": "a", "candidate": "b", "state": "reading"}
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row").rename(names)
