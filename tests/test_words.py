"""What is printed when something is wrong: an error, a next step, an exit code; and no traceback."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from paraphina_wh.warehouse import Warehouse
from tests.conftest import Command, Invoke
from tests.records import run_of
from tests.telemetry_maker import ingest, write

HARNESS = ("run", "exp13", "--engine", "reference", "--profiles", "balanced", "--runs-per-profile", "1", "--ticks", "5")


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    """Return a warehouse with one run of two ticks."""
    write(warehouse.root / "in" / "balanced_r1.jsonl", run_of(2))
    ingest(warehouse, warehouse.root / "in")
    return warehouse


# The machine


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EACCES])
@pytest.mark.parametrize("arguments", [("ingest", "in"), ("gc",), ("export", "dataset"), HARNESS])
def test_a_file_system_without_locks_is_an_error_in_plain_words(
    invoke: Invoke, filled: Warehouse, monkeypatch: pytest.MonkeyPatch, code: int, arguments: tuple[str, ...]
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    write(filled.root / "in" / "balanced_r2.jsonl", run_of(3))
    monkeypatch.setattr(fcntl, "flock", refuse)
    refused = invoke(*arguments)
    assert f": {os.strerror(code)}\nhint: its file system gives no locks: mount it with them" in refused.stderr
    assert (refused.stdout, refused.exit_code) == ("", 1)


@pytest.mark.parametrize("code", ["EIO", "EINVAL", "ENODEV"])
@pytest.mark.parametrize("arguments", [("ingest", "in"), ("dataset", "new"), ("export", "dataset")])
def test_a_write_that_fails_in_whatever_way_leaves_no_traceback(
    command: Command, filled: Warehouse, code: str, arguments: tuple[str, ...]
) -> None:
    write(filled.root / "in" / "balanced_r2.jsonl", run_of(3))
    for number in (1, 3, 5, 8):
        done = command(*arguments, env={"PARAPHINA_WH_FAILPOINT": f"{number}:{code}"})
        lines = [text for text in done.stderr.splitlines() if text.startswith(("error: ", "hint: ", "Traceback"))]
        if done.returncode:
            assert [text.partition(":")[0] for text in lines] == ["error", "hint"], done.stderr
            assert os.strerror(getattr(errno, code)) in lines[0]
            assert done.returncode == 1


def test_a_folder_of_runs_that_vanishes_is_an_error_and_debug_shows_where(command: Command, tmp_path: Path) -> None:
    engine = write(tmp_path / "engine", f"#!/bin/sh\n[ $1 = --version ] && exit 0\nrm -rf {tmp_path}/runs\n")
    engine.chmod(0o755)
    arguments = ["run", "exp13", "--engine", str(engine), "--profiles", "balanced", "--runs-per-profile", "1"]
    plain = command(*arguments)
    assert "Traceback" not in plain.stderr
    assert ": No such file or directory\nhint: was it removed meanwhile?" in plain.stderr
    assert plain.returncode == 1
    assert "Traceback" in command("--debug", *arguments).stderr


def test_a_current_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f"cd {gone}; rmdir {gone}; {sys.executable} -P -m paraphina_wh status"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=600)
    assert (done.stderr, done.returncode) == ("error: the current folder is gone\nhint: go to one that exists: cd\n", 2)


# Options of the program behind the command


@pytest.mark.parametrize(
    "arguments",
    [
        *("status --root {root} --format csv", "status --format csv --root={root} -q", "check --root {root}"),
        *("query --root {root} runs", "quarantine --root {root} list", "quarantine list --warehouse {root}/warehouse"),
        *("drift --root {root}", "forget --label exp13_balanced_r001 --dry-run --root {root}"),
        "run exp13 --engine reference --label-prefix x --dry-run --root {root}",
    ],
)
def test_options_of_the_program_may_stand_behind_the_command(
    invoke: Invoke,
    filled: Warehouse,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    words = [word.format(root=filled.root) for word in arguments.split()]
    done = invoke(*("FROM runs" if word == "runs" else word for word in words))
    assert done.exit_code == 0, done.stderr
    assert list(elsewhere.iterdir()) == []


def test_what_stands_behind_the_command_counts_for_all_of_it(invoke: Invoke, filled: Warehouse) -> None:
    assert invoke("ingest", "in").stderr != ""
    assert invoke("ingest", "in", "--quiet").stderr == ""
    assert invoke("forget", "nope", "--debug").stderr.startswith("Traceback")
    (filled.root / "other").mkdir()
    assert invoke("run", "--new", "night", "--root", "other").stdout == "other/night.toml\n"
    # A value is a value, whatever it looks like.
    assert "no run with label '--root'" in invoke("forget", "--label=--root").stderr


# What to do next


@pytest.mark.parametrize(
    ("options", "differing"),
    [
        (("--ticks", "6"), "ticks 5 there, 6 here"),
        (("--set", "VOL_REF=0.02"), "PARAPHINA_VOL_REF unset there, 0.02 here"),
        (
            ("--ticks", "7", "--set", "MM_SIZE_ETA=2"),
            "ticks 5 there, 7 here; PARAPHINA_MM_SIZE_ETA unset there, 2 here",
        ),
        (("--ticks", "6", "--seed-start", "3"), "ticks 5 there, 6 here; seed 127353520 there, 3 here"),
    ],
)
def test_a_label_that_is_taken_says_by_what(
    invoke: Invoke, first: Warehouse, options: tuple[str, ...], differing: str
) -> None:
    refused = invoke("--root", first.root, *HARNESS, *options)
    said = f"error: label 'exp13_balanced_r001' is taken by a run with other options: {differing}\n"
    assert said in refused.stderr
    assert refused.exit_code == 2


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with one run of the harness."""
    from paraphina_wh.warehouse import locate
    from tests.conftest import command_line

    root = tmp_path_factory.mktemp("first")
    assert command_line("--root", root, *HARNESS).exit_code == 0
    return locate(root)


def test_views_of_datasets_say_that_there_is_none(invoke: Invoke, filled: Warehouse) -> None:
    said = (
        "the warehouse holds no dataset, which these views are about: "
        "`paraphina-wh export dataset` makes one of its runs\n"
    )
    for sql in ("FROM alignment", "FROM research_summary"):
        assert invoke("query", sql, "--format", "csv").stderr == said
    assert invoke("query", "FROM runs", "--format", "csv").stderr == ""
    assert (
        invoke("status").stderr
        == "no dataset yet: `paraphina-wh export dataset` makes one of the runs, for the alignment\n"
    )
    assert invoke("export", "dataset").exit_code == 0
    assert invoke("query", "FROM alignment", "--format", "csv").stderr == ""
    assert invoke("status").stderr == ""


def test_datasets_of_earlier_versions_say_that_nothing_was_judged(invoke: Invoke, filled: Warehouse) -> None:
    assert invoke("export", "dataset").exit_code == 0
    (batch,) = (filled.datasets / "dataset=research_dataset_v001").glob("*.parquet")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * EXCLUDE (dataset, evidence_json) FROM '{batch}'")
        connection.execute(f"COPY rows TO '{batch}' (FORMAT parquet)")
    said = "the datasets came in with an earlier version, which judged nothing: `paraphina-wh run exp11` does\n"
    assert invoke("query", "FROM evidence", "--format", "csv").stderr == said
    assert invoke("query", "FROM research_summary", "--format", "csv").stderr == ""


@pytest.mark.usefixtures("empty_warehouse")
def test_an_empty_warehouse_and_an_empty_dataset_say_what_comes_first(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("status").stderr.startswith("no runs yet: `paraphina-wh ingest PATH` takes some in, ")
    write(tmp_path / "research_dataset_v001.jsonl", "")
    for arguments in (("summary",), ("run", "exp11"), ("export", "alignment")):
        refused = invoke(*arguments)
        assert "\nhint: `paraphina-wh export dataset` appends the runs of the warehouse, " in refused.stderr
        assert refused.exit_code == 1
