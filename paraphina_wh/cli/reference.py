"""The page docs/commands.md, from the help of the commands: `python -m paraphina_wh.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from paraphina_wh.cli import main

_WIDTH = 110


def command_reference() -> str:
    """Return the page: the help text of every command, in the order of the work they do."""
    sections = [f"## {path}\n\n```\n{text}\n```\n" for path, text in _helps(main, "paraphina-wh", None)]
    return "# Commands\n\nWhat `--help` says, for every command.\n\n" + "\n".join(sections)


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    # The settings of the whole program are those of main; commands below it inherit them from their parent.
    settings = main.context_settings if parent is None else {}
    context = click.Context(
        command, info_name=name, parent=parent, max_content_width=_WIDTH, terminal_width=_WIDTH, **settings
    )
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None:
                yield from _helps(child, child_name, context)


if __name__ == "__main__":
    click.echo(command_reference(), nl=False)
