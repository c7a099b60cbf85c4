"""Options and arguments that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from inspect import cleandoc
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from paraphina_wh.warehouse import Warehouse, locate

P = ParamSpec("P")
R = TypeVar("R")
Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "csv", "json", "jsonl", "markdown")


@dataclass(frozen=True)
class Settings:
    """The options given before the command."""

    root: str | None = None
    warehouse: str | None = None
    quiet: bool = False
    debug: bool = False


def pass_warehouse(command: Callable[Concatenate[Warehouse, P], R]) -> Callable[P, R]:
    """Give a command the warehouse of --root and --warehouse as its first argument."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        settings = click.get_current_context().find_object(Settings) or Settings()
        return command(locate(settings.root, settings.warehouse), *args, **kwargs)

    return update_wrapper(run, command)


def format_option(command: Command) -> Command:
    """Add `--format` to a command that prints rows."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="Form of the rows on stdout.",
    )(command)


def examples(*lines: str) -> Callable[[Command], Command]:
    """Show examples at the end of a command's help."""

    def add(command: Command) -> Command:
        # \b keeps click from joining the lines.
        shown = "\n".join(f"  {line}" for line in lines)
        command.__doc__ = f"{cleandoc(command.__doc__ or '')}\n\n\b\nExample:\n{shown}"
        return command

    return add
