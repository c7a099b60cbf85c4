"""The command line: `paraphina-wh` and `python -m paraphina_wh`."""

from __future__ import annotations

import click

from paraphina_wh.cli.group import CommandGroup
from paraphina_wh.cli.options import Settings, examples

COMMANDS = {
    "run": "paraphina_wh.cli.run:run",
    "ingest": "paraphina_wh.cli.ingest:ingest",
    "forget": "paraphina_wh.cli.ingest:forget",
    "quarantine": "paraphina_wh.cli.quarantine:quarantine",
    "rerun": "paraphina_wh.cli.rerun:rerun",
    "compare": "paraphina_wh.cli.compare:compare",
    "query": "paraphina_wh.cli.query:query",
    "summary": "paraphina_wh.cli.summary:summary",
    "export": "paraphina_wh.cli.export:export",
    "dataset": "paraphina_wh.cli.dataset:dataset",
    "check": "paraphina_wh.cli.check:check",
    "repair": "paraphina_wh.cli.maintenance:repair",
    "recompute": "paraphina_wh.cli.recompute:recompute",
    "compact": "paraphina_wh.cli.maintenance:compact",
    "gc": "paraphina_wh.cli.maintenance:gc",
    "status": "paraphina_wh.cli.status:status",
    "drift": "paraphina_wh.cli.drift:drift",
    "schema": "paraphina_wh.cli.schema:schema",
}


@click.group(
    cls=CommandGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--root",
    metavar="DIR",
    envvar="PARAPHINA_WH_ROOT",
    show_envvar=True,
    help="Where warehouse/, runs/ and the dataset files lie; by default the current folder.",
)
@click.option(
    "--warehouse",
    metavar="DIR",
    envvar="PARAPHINA_WH_WAREHOUSE",
    show_envvar=True,
    help="The warehouse folder; by default ROOT/warehouse, created on first write.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress and no notices; warnings and errors stay.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="paraphina-wh", prog_name="paraphina-wh")
@examples("paraphina-wh --root ~/research ingest runs/exp13_auto")
@click.pass_context
def main(context: click.Context, root: str | None, warehouse: str | None, quiet: bool, debug: bool) -> None:
    """Columnar research warehouse for the Paraphina market-making engine.

    --root, --warehouse, --quiet and --debug may stand behind the command, too.

    Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 contract violation, failed run,
    failed gate or damaged data; 2 wrong usage, missing file or missing engine; 130 interrupted (Ctrl-C, SIGTERM,
    SIGHUP); 141 the reader of stdout closed the pipe.
    """
    context.obj = Settings(root, warehouse, quiet, debug)
