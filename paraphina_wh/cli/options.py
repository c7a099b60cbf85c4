"""Options and arguments that several commands share, each declared once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import update_wrapper
from inspect import cleandoc
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from paraphina_wh.errors import WarehouseError
from paraphina_wh.escape import is_utf8
from paraphina_wh.shell_door import is_elsewhere, written_for
from paraphina_wh.warehouse import Warehouse, check_local, locate

P = ParamSpec("P")
R = TypeVar("R")
Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "csv", "json", "jsonl", "markdown")
_SPREADSHEET_SAFE = "paraphina_wh.spreadsheet_safe"


@dataclass
class Settings:
    """The options of the program as a whole, whether they stand before the command or behind it."""

    root: str | None = None
    warehouse: str | None = None
    quiet: bool = False
    debug: bool = False


def take_global_options(command: click.Command) -> None:
    """Let a command take the options of the program too: who has typed it adds them at the end."""
    if any(isinstance(param, _Global) for param in command.params):
        return
    command.params += [
        _Global(["--root"], metavar="DIR"),
        _Global(["--warehouse"], metavar="DIR"),
        _Global(["--quiet", "-q"], is_flag=True),
        _Global(["--debug"], is_flag=True),
    ]


class _Global(click.Option):
    """An option of the program, behind the command; the help shows it where it is documented."""

    def __init__(self, names: list[str], **extra: Any) -> None:
        # Eager: what else is given may need to know the warehouse.
        super().__init__(names, hidden=True, expose_value=False, is_eager=True, callback=_note, **extra)


def _note(context: click.Context, option: click.Parameter, value: object) -> None:
    if value:
        setattr(context.ensure_object(Settings), option.name or "", value)


def pass_warehouse(command: Callable[Concatenate[Warehouse, P], R]) -> Callable[P, R]:
    """Give a command the warehouse of --root and --warehouse as its first argument; its other ones must be UTF-8."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(current_warehouse(), *args, **kwargs)

    return update_wrapper(run, command)


def current_warehouse(*, writes: bool = True) -> Warehouse:
    """Return the warehouse that the command is about, for commands that do not always need one.

    writes: what a copy has of its original for the DuckDB shell is written anew.
    """
    context = click.get_current_context()
    _check_texts(context)
    settings = context.find_object(Settings) or Settings()
    warehouse = locate(settings.root, settings.warehouse)
    _tell_damage(warehouse)
    if writes:
        # Damage is for the command to tell.
        with suppress(WarehouseError):
            _renew_doors(warehouse)
    return warehouse


def _renew_doors(warehouse: Warehouse) -> None:
    """Write anew what a DuckDB shell opens where it is of another folder, or say that it is."""
    if not warehouse.exists or not is_elsewhere(warehouse):
        return
    if os.access(warehouse.path, os.W_OK):
        from paraphina_wh.catalog import renew_doors

        renew_doors(warehouse)
        return
    with suppress(OSError):
        click.echo(
            f"warning: init.sql and paraphina.duckdb are those of {written_for(warehouse)}, and cannot be written anew:"
            " ask through paraphina-wh, not in a DuckDB shell",
            err=True,
        )


def _tell_damage(warehouse: Warehouse) -> None:
    """Warn that answers go without damaged files, as long as `repair` has some put aside."""
    aside = warehouse.quarantine / "files"
    if aside.is_dir() and any(path.is_file() for path in aside.rglob("*")):
        with suppress(OSError):
            click.echo("warning: damaged files were put aside, answers go without them: `paraphina-wh check`", err=True)


def _check_texts(context: click.Context) -> None:
    """Raise a usage error for an argument that is not UTF-8: no table, label or JSON could hold it.

    Any number of paths, as a shell's `*` gives them, is another matter: the command judges each file by itself.
    Raises: WarehouseError for an address in the place of a path.
    """
    for param in context.command.params:
        is_path = isinstance(param.type, click.Path)
        for text in _texts(context.params.get(param.name or "")):
            if is_path:
                check_local(text)
            if not (is_path and param.nargs == -1) and not is_utf8(text):
                raise click.BadParameter(f"not UTF-8: {text}", context, param)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from _texts((*value, *value.values()))
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)


def format_option(command: Command) -> Command:
    """Add `--format` and `--spreadsheet-safe` to a command that prints rows."""
    return _format_option(_spreadsheet_option(command))


def _format_option(command: Command) -> Command:
    return click.option(
        "--format",
        "style",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="Form of the rows on stdout.",
    )(command)


def _spreadsheet_option(command: Command) -> Command:
    return click.option(
        "--spreadsheet-safe",
        is_flag=True,
        expose_value=False,
        callback=_note_spreadsheet_safe,
        help="In CSV, put an apostrophe before text that a spreadsheet would run as a formula.",
    )(command)


def _note_spreadsheet_safe(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    context.meta[_SPREADSHEET_SAFE] = wanted


def is_spreadsheet_safe() -> bool:
    """Tell whether --spreadsheet-safe was given."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_SPREADSHEET_SAFE))


def examples(*lines: str) -> Callable[[Command], Command]:
    """Show examples at the end of a command's help."""

    def add(command: Command) -> Command:
        # \b keeps click from joining the lines.
        shown = "\n".join(f"  {line}" for line in lines)
        command.__doc__ = f"{cleandoc(command.__doc__ or '')}\n\n\b\nExample:\n{shown}"
        return command

    return add
