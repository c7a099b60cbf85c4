"""The click group: commands are imported when asked for, and errors become text here and nowhere else."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

import click

from paraphina_wh.cli.options import Settings
from paraphina_wh.cli.output import printable
from paraphina_wh.errors import WarehouseError

INTERRUPTED = 130


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
            raise click.UsageError(f"no command {cmd_name!r}; there are: {', '.join(self.commands_at)}", ctx)
        module, attribute = self.commands_at[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a WarehouseError ends it with its text and its exit code."""
        try:
            super().invoke(ctx)
            # A full disk or a reader that left shows here, not after the last line of Python.
            sys.stdout.flush()
        except WarehouseError as error:
            if ctx.ensure_object(Settings).debug:
                traceback.print_exc()
            complain(error.message, error.hint)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            complain("no space left on device", "free some disk space and repeat the command")
            _drop_stdout()
            ctx.exit(1)
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
            complain(error.format_message(), f"{command} --help")
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(INTERRUPTED)


def _interrupted(ctx: click.Context) -> NoReturn:
    complain("interrupted", "what was committed stays; repeat the same command to go on from there")
    ctx.exit(INTERRUPTED)


def _drop_stdout() -> None:
    """Send what stdout still holds nowhere: Python would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str, hint: str = "") -> None:
    """Write an error and the next step to stderr."""
    click.echo(f"error: {printable(message)}", err=True)
    if hint:
        click.echo(f"hint: {printable(hint)}", err=True)
