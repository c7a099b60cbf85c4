"""The command line as a whole: help, streams, exit codes, start-up time."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from paraphina_wh.cli import COMMANDS, main
from paraphina_wh.cli.group import CommandGroup
from paraphina_wh.cli.output import printable
from paraphina_wh.cli.progress import progress, progress_line
from paraphina_wh.errors import WarehouseError
from tests.conftest import Command, Invoke
from tests.records import run_of

HEAVY = ("duckdb", "polars", "pyarrow", "rich", "numpy")


def test_the_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout == "paraphina-wh, version 0.1.0\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(invoke: Invoke, name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: paraphina-wh {name}" in result.stdout
    assert "\n  Example:\n    " in result.stdout


def test_the_help_lists_every_command_with_a_whole_sentence(invoke: Invoke) -> None:
    result = invoke("--help")
    listed = [text.split()[0] for text in result.stdout.partition("Commands:\n")[2].splitlines()]
    assert listed == list(COMMANDS)
    assert "\n  Example:\n    paraphina-wh --root" in result.stdout


def test_without_a_command_the_help_is_shown(invoke: Invoke) -> None:
    result = invoke()
    assert (result.stdout, result.exit_code) == ("", 2)
    assert result.stderr.startswith("Usage: paraphina-wh [OPTIONS] COMMAND [ARGS]...\n")


def test_the_program_runs_as_a_module(command: Command) -> None:
    done = command("--version")
    assert (done.stdout, done.stderr, done.returncode) == ("paraphina-wh, version 0.1.0\n", "", 0)


@pytest.mark.parametrize("arguments", [["--help"], ["query", "--help"], ["check", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert _loaded(f"from paraphina_wh.cli import main\ntry: main({arguments})\nexcept SystemExit: pass") == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _loaded("import paraphina_wh") == []


def _loaded(code: str) -> list[str]:
    """Return which heavy packages a fresh interpreter has loaded after running the code."""
    show = f"import sys, json\nprint(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded


# Errors


def test_wrong_usage_exits_2_with_a_hint(invoke: Invoke) -> None:
    for arguments, message, hint in [
        (["zzz", "x"], "no command 'zzz'; there are: run, ingest", "paraphina-wh --help"),
        (["statu"], "no command 'statu'; did you mean status?", "paraphina-wh --help"),
        (["quarantine", "lst"], "no command 'lst'; did you mean list?", "paraphina-wh quarantine --help"),
        (["run", "lop"], "no experiment named 'lop'", "did you mean loop?"),
        (["schema", "runz"], "no view named 'runz'", "did you mean runs?"),
        (["check", "--deeper", "x"], "No such option '--deeper'.", "paraphina-wh check --help"),
        (["--rot", "x"], "No such option '--rot'.", "paraphina-wh --help"),
    ]:
        result = invoke(*arguments)
        assert result.stderr.startswith(f"error: {message}")
        assert result.stderr.endswith(f"hint: {hint}\n")
        assert (result.stdout, result.exit_code) == ("", 2)


def test_an_error_is_two_lines_and_a_traceback_only_with_debug(invoke: Invoke) -> None:
    plain = invoke("check", "nowhere")
    assert plain.stderr == "error: no such file or folder: nowhere\nhint: check the path\n"
    debug = invoke("--debug", "check", "nowhere")
    assert debug.stderr.startswith("Traceback (most recent call last):\n")
    assert debug.stderr.endswith(plain.stderr)
    assert (plain.exit_code, debug.exit_code) == (2, 2)


@pytest.mark.usefixtures("empty_warehouse")
def test_root_and_warehouse_are_options_or_environment(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "error: no such folder: /nowhere\nhint: name an existing folder with --root\n"
    assert invoke("--root", "/nowhere", "status").stderr == message
    monkeypatch.setenv("PARAPHINA_WH_ROOT", "/nowhere")
    assert invoke("status").stderr == message
    assert invoke("--root", ".", "status").exit_code == 0


def test_a_warehouse_of_another_format_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "FORMAT").write_text("99\n")
    result = invoke("--warehouse", "elsewhere", "status")
    assert "has format '99', this program knows '1'" in result.stderr
    assert result.exit_code == 2


def test_a_broken_setting_does_not_stop_commands_without_a_warehouse(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(run_of(1))
    assert invoke("--root", "/nowhere", "check", "run.jsonl").exit_code == 0


@click.command()
@click.argument("kind")
def failing(kind: str) -> None:
    """Fail."""
    if kind == "interrupted":
        raise KeyboardInterrupt
    if kind == "broken":
        raise WarehouseError("the file is broken", "mend it")
    raise ZeroDivisionError


def test_how_failures_end() -> None:
    group = CommandGroup("program", commands_at={"fail": f"{__name__}:failing"})
    broken = CliRunner().invoke(group, ["fail", "broken"])
    assert (broken.stderr, broken.exit_code) == ("error: the file is broken\nhint: mend it\n", 1)
    interrupted = CliRunner().invoke(group, ["fail", "interrupted"])
    assert interrupted.stderr == (
        "error: interrupted\nhint: what was committed stays; repeat the same command to go on from there\n"
    )
    assert interrupted.exit_code == 130
    ours = CliRunner().invoke(group, ["fail", "mistake"])
    assert isinstance(ours.exception, ZeroDivisionError)


def test_names_the_terminal_cannot_show_are_escaped(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2Jb.jsonl").write_bytes(run_of(1))
    done = command("check", ".")
    assert done.stdout == "OK: 1 records in a\\x1b[2Jb.jsonl (telemetry)\n"
    done = command("check", "nowhere\x1b[2J")
    assert done.stderr.startswith("error: no such file or folder: nowhere\\x1b[2J\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é 損", "plain é 損"), ("a\x1b[31m\r\n\x00b", "a\\x1b[31m\\r\\n\\x00b"), ("\u202e", "\\u202e")],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


# The process


def interrupted_after(module: str, folder: Path) -> tuple[int, list[str]]:
    """Let a command get Ctrl-C in the moment it looks for a module; return its exit code and what it said."""
    code = f"""
import os, runpy, signal, sys
class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv = ["paraphina-wh", "status"]
runpy.run_module("paraphina_wh", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.usefixtures("empty_warehouse")
def test_ctrl_c_while_libraries_load_ends_like_any_other(tmp_path: Path) -> None:
    said = ["error: interrupted", "hint: what was committed stays; repeat the same command to go on from there"]
    moments = ("click._compat", "paraphina_wh.cli", "numpy._core", "pyarrow.lib", "polars._reexport", "_duckdb")
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda module: interrupted_after(module, tmp_path), moments))
    assert ends == [(130, said)] * len(moments)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("--version >&- <&-", 0, ""),
        ("status --format csv >&- 2>&-", 0, ""),
        (
            "--help > /dev/full",
            1,
            "error: no space left on device\nhint: free some disk space and repeat the command\n",
        ),
        ("chek 2> /dev/full", 2, ""),
    ],
)
@pytest.mark.usefixtures("empty_warehouse")
def test_streams_that_are_closed_or_full(tmp_path: Path, arguments: str, code: int, said: str) -> None:
    shell = f"{sys.executable} -m paraphina_wh {arguments}"
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


# Progress


def test_progress_lines_say_how_much_how_fast_and_how_long() -> None:
    assert progress_line("ingest", "files", 120, 300, 3.0) == "ingest: 120/300 files, 40.0/s, 4 s left"
    assert progress_line("", "runs", 5, None, 2.0) == "5 runs, 2.5/s"
    assert progress_line("", "runs", 0, 5, 1.0) == "0/5 runs, 0.0/s"


def test_short_work_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(3, unit="files", label="ingest") as bar:
        bar.advance()
        bar.set_total(5)
        bar.advance(4)
    assert capsys.readouterr() == ("", "")


def test_the_commands_are_those_of_the_group() -> None:
    assert main.list_commands(click.Context(main)) == list(COMMANDS)
