"""The page docs/commands.md, from the help of the commands: `python -m paraphina_wh.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from paraphina_wh.cli import main

_WIDTH = 110


def command_reference() -> str:
    """Return the page: the help text of every command, in the order of the work they do."""
    sections = [f"## {path}\n\n```\n{text}\n```\n" for path, text in _helps(main, "paraphina-wh")]
    return "# Commands\n\nWhat `--help` says, for every command.\n\n" + "\n".join(sections)


def _helps(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=path, max_content_width=_WIDTH, terminal_width=_WIDTH)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _helps(child, f"{path} {name}")


if __name__ == "__main__":
    click.echo(command_reference(), nl=False)
