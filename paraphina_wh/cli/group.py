"""The click group: commands are imported when asked for, and errors become text here and nowhere else."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from paraphina_wh import interrupt
from paraphina_wh.cli.options import Settings, take_global_options
from paraphina_wh.cli.output import say
from paraphina_wh.errors import WarehouseError, machine_error
from paraphina_wh.escape import is_utf8, printable, printable_lines
from paraphina_wh.nearest import did_you_mean

# The reader of stdout had enough, as `head` does: 128 + SIGPIPE, as shells tell of any program that ends so. Not 0:
# a gate or a check may not have come to its verdict.
PIPE_CLOSED: Final = 141
_OTHER_HINTS: Final = {errno.ENOENT: "was it removed meanwhile? repeat the command; --debug shows the details"}


class CommandGroup(click.Group):
    """A group whose commands are named as `module:attribute`, so that one command does not load the others."""

    def __init__(self, *args: Any, commands_at: dict[str, str], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the work they do."""
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; an unknown name is answered with those there are."""
        if cmd_name not in self.commands_at:
            meant = did_you_mean(cmd_name, self.commands_at, f"there are: {', '.join(self.commands_at)}")
            raise click.UsageError(f"no command {cmd_name!r}; {meant}", ctx)
        module, attribute = self.commands_at[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        take_global_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant, under a name that can be shown; a name that is no text is no command."""
        if not is_utf8(args[0]):
            raise click.UsageError(f"not UTF-8: {args[0]}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        return name and printable(name), command, rest

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; `--help` and its like print here."""
        with _quiet_about_a_closed_pipe():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a WarehouseError ends it with its text and its exit code."""
        try:
            with _quiet_about_a_closed_pipe():
                super().invoke(ctx)
                # A full disk or a reader that left shows here, not after the last line of Python.
                sys.stdout.flush()
        except WarehouseError as error:
            if ctx.ensure_object(Settings).debug:
                click.echo(printable_lines(traceback.format_exc()), err=True, nl=False)
            complain(error.message, error.hint)
            ctx.exit(error.exit_code)
        except _system_errors():
            if ctx.ensure_object(Settings).debug:
                click.echo(printable_lines(traceback.format_exc()), err=True, nl=False)
            raise
        except KeyboardInterrupt:
            _interrupted(ctx)
        except RuntimeError as error:
            # What DuckDB makes of Ctrl-C in the main thread.
            if str(error) != "Query interrupted":
                raise
            _interrupted(ctx)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line and end the process with its exit code."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # File names may hold what the terminal cannot show.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            sys.exit(super().main(*args, **{**extra, "standalone_mode": False}))
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "paraphina-wh"
            # click lists choices a line each.
            complain(error.format_message().replace("\n\t", " "), f"{command} --help")
            sys.exit(error.exit_code)
        except _system_errors() as error:
            problem = _machine_error(error)
            if problem is None:
                raise
            complain(problem.message, problem.hint)
            _drop_stdout()
            sys.exit(1)
        except (click.Abort, KeyboardInterrupt):
            complain(interrupt.MESSAGE, interrupt.HINT)
            sys.exit(interrupt.EXIT_CODE)


@contextmanager
def _quiet_about_a_closed_pipe() -> Iterator[None]:
    """End without a word when nobody reads stdout any more; any other broken pipe is an error like others."""
    try:
        yield
    except BrokenPipeError:
        pipe = select.poll()
        pipe.register(sys.stdout.fileno(), select.POLLOUT)
        if not any(event & select.POLLERR for _, event in pipe.poll(0)):
            raise
        _drop_stdout()
        sys.exit(PIPE_CLOSED)


def _interrupted(ctx: click.Context) -> NoReturn:
    complain(interrupt.MESSAGE, interrupt.HINT)
    ctx.exit(interrupt.EXIT_CODE)


def _system_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the system, and those in which DuckDB, if it was loaded, wraps them."""
    duckdb = sys.modules.get("duckdb")
    return (OSError, duckdb.IOException, duckdb.TransactionException) if duckdb else (OSError,)


def _machine_error(error: Exception) -> WarehouseError | None:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        # Of stdout: what was printed so far is no longer whole.
        return WarehouseError("no space left on device", "free some disk space and repeat the command")
    known = machine_error(error)
    if known or not (isinstance(error, OSError) and error.strerror):
        return known
    hint = _OTHER_HINTS.get(
        error.errno or 0, "look at the disk and at what is mounted there; --debug shows the details"
    )
    return WarehouseError(": ".join(filter(None, (error.filename and str(error.filename), error.strerror))), hint)


def _drop_stdout() -> None:
    """Send what stdout still holds nowhere: Python would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str, hint: str = "") -> None:
    """Write an error and the next step to stderr."""
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
