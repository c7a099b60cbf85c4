"""What all commands that run engines share: their options, and what they tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from paraphina_wh.cli.output import notice, warn
from paraphina_wh.cli.progress import progress

if TYPE_CHECKING:
    from paraphina_wh.engine import Engine, EngineRunResult
    from paraphina_wh.experiments.runner import Progress
    from paraphina_wh.experiments.spec import Spec

Command = TypeVar("Command", bound=Callable[..., Any])


def _knobs(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    wrong = next((value for value, (name, sign, _) in zip(values, pairs, strict=True) if not (name and sign)), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} is not KNOB=VALUE")
    return {name: text for name, _, text in pairs}


def _names(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in value.split(","))


def grid_options(spec: Spec, repeats: str = "--repeats") -> Callable[[Command], Command]:
    """Add the options that change the grid of an experiment, with its values as defaults."""
    profiles = ", ".join(spec.profiles)
    options = [
        click.option("--ticks", type=int, help=f"Ticks a run.  [default: {spec.ticks or 'as the engine: 2000'}]"),
        click.option(repeats, "repeats", type=int, help=f"Runs of each point.  [default: {spec.repeats}]"),
        click.option(
            "--profiles",
            multiple=True,
            callback=_names,
            metavar="P",
            help=f"Profiles; repeatable, or a,b,c.  [default: {profiles}]",
        ),
        click.option("--new-profile", is_flag=True, help="Run a profile that is none of the three."),
    ]
    default = f"seeds from {spec.seed_start} on" if spec.seed_start is not None else str(spec.seed)
    return _all([*options, *_seed_options(default)])


def seed_options(default: str) -> Callable[[Command], Command]:
    """Add the options on the seeds of a sweep. default: what holds without them."""
    return _all(_seed_options(default))


def _seed_options(default: str) -> list[Callable[[Command], Command]]:
    return [
        click.option(
            "--seed",
            metavar="KEY|none",
            help="Draw seeds at random: run i of each profile gets the i-th of the order that KEY names; none passes "
            f"none.  [default: {default}]",
        ),
        click.option("--seed-start", type=int, metavar="N", help="Seeds N, N+1, ... in place of drawn ones."),
        click.option(
            "--seed-space",
            type=int,
            metavar="N",
            help="Draw from the seeds 0 to N - 1, all that the engine tells apart.  [default: 10000; reference: 2^31]",
        ),
    ]


def engine_options(timeout_sec: float) -> Callable[[Command], Command]:
    """Add the options on the engine and on how a session goes."""
    options = [
        click.option(
            "--set", "knobs", multiple=True, callback=_knobs, metavar="KNOB=VALUE", help="Set an engine knob."
        ),
        click.option(
            "--engine", metavar="PATH|reference", help="Engine to run; by default PARAPHINA_ENGINE or the one found."
        ),
        click.option("--jobs", type=click.IntRange(min=1), help="Engines at a time; by default one a core."),
        click.option(
            "--timeout", "timeout_sec", type=float, metavar="S", help=f"Seconds a run.  [default: {timeout_sec:g}]"
        ),
        click.option(
            "--retries", type=click.IntRange(min=0), default=0, show_default=True, help="Further attempts a run."
        ),
        click.option("--fresh", is_flag=True, help="Run all anew; the runs of the same labels are taken out."),
    ]
    return _all(options)


def _all(options: list[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@contextmanager
def told_progress(label: str) -> Iterator[Progress]:
    """Show a session on stderr: the engine, the plan, a bar, and every failure."""
    from paraphina_wh.experiments.runner import Progress

    done = 0
    with progress(unit="runs", label=label) as bar:

        def plan(to_run: int, kept: int) -> None:
            # A command may plan several times: the bar goes on from where it is.
            bar.set_total(done + to_run)
            there = f", {kept} already there" if kept else ""
            notice(f"{label}: {to_run} runs{there}")

        def count(result: EngineRunResult) -> None:
            nonlocal done
            done += 1
            bar.advance()
            if result.error:
                warn(f"{result.run_id}: {result.error}{_last_words(result)}")

        yield Progress(tell_engine, plan, count)


def tell_engine(engine: Engine) -> None:
    """Say which engine was found when none was asked for."""
    if engine.notice:
        notice(f"notice: {engine.notice}")


def _last_words(result: EngineRunResult) -> str:
    """Return the last line an engine that gave up wrote to stderr."""
    lines = result.stderr.split("\n")
    said = [line.strip() for line in lines if line.strip()] if result.returncode else []
    return f" ({said[-1][:200]})" if said else ""
