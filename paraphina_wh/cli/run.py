"""Running experiments and analysis steps: `run NAME`, `run FILE.toml`, `run --list`, `run --new`."""

from __future__ import annotations

import os

import click

from paraphina_wh.cli.group import CommandGroup
from paraphina_wh.cli.options import examples, take_global_options
from paraphina_wh.cli.output import printable, say

COMMANDS = {
    "exp06": "paraphina_wh.cli.analysis:exp06",
    "exp07": "paraphina_wh.cli.analysis:exp07",
    "exp08_presets": "paraphina_wh.cli.analysis:exp08_presets",
    "exp10": "paraphina_wh.cli.analysis:exp10",
    "exp11": "paraphina_wh.cli.exp11:exp11",
    "exp12": "paraphina_wh.cli.analysis:exp12",
    "exp13": "paraphina_wh.cli.exp13:exp13",
    "loop": "paraphina_wh.cli.loop:loop",
}
_STEPS = {
    "exp06": "safe region of the multi-scenario experiment",
    "exp07": "presets for every risk tier from the risk-regime sweep",
    "exp08_presets": "presets packaged from a file of optimal knobs",
    "exp10": "presets and their validation against the risk budgets",
    "exp11": "alignment of a dataset with the risk budgets, with evidence",
    "exp12": "presets tuned down to the budgets they broke",
    "loop": "the whole loop: sweep, presets, harness, alignment, tuning, and the harness again",
}


class _RunGroup(CommandGroup):
    """Every experiment file is a command, those of users too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return experiments and steps by name."""
        from paraphina_wh.experiments.read import shipped

        return sorted({*self.commands_at, *shipped()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a step, or the command of an experiment file."""
        if cmd_name in self.commands_at:
            return super().get_command(ctx, cmd_name)
        from paraphina_wh.cli.experiment import experiment_command
        from paraphina_wh.experiments.read import find_experiment

        command = experiment_command(cmd_name, find_experiment(cmd_name, self.commands_at))
        take_global_options(command)
        return command


def _show_list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from paraphina_wh.experiments.read import read_experiment, shipped

    about = _STEPS | {name: read_experiment(path).spec.about for name, path in shipped().items()}
    width = max(map(len, about))
    for name in sorted(about):
        click.echo(f"{name:{width}}  {about[name]}")
    context.exit()


def _start_file(context: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is None:
        return
    from paraphina_wh.cli.options import Settings
    from paraphina_wh.experiments.starter import write_starter
    from paraphina_wh.warehouse import locate

    settings = context.find_object(Settings) or Settings()
    path = write_starter(locate(settings.root, settings.warehouse), name)
    shown = os.path.relpath(path)
    click.echo(printable(shown))
    say(f"next: edit {shown}, then `paraphina-wh run {shown} --dry-run`")
    context.exit()


@click.group(cls=_RunGroup, commands_at=COMMANDS, subcommand_metavar="NAME|FILE.toml [OPTIONS]")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_show_list, help="List them.")
@click.option(
    "--new",
    metavar="NAME",
    expose_value=False,
    callback=_start_file,
    help="Write NAME.toml, a commented experiment file to start from.",
)
@examples("paraphina-wh run exp13 --runs-per-profile 4", "paraphina-wh run my_sweep.toml --dry-run")
def run() -> None:
    """Run an experiment or an analysis step.

    NAME is one of the list, or the path of your own experiment file.
    """
