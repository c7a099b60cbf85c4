"""From paths to inputs: links, odd entries, files of known layouts that are no runs. Nothing is left out in silence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.folders import entries_below, named_by
from paraphina_wh.ingest import LeftOut
from paraphina_wh.ingest.kinds import leftover, rotated_parts
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.records import line, run_of
from tests.telemetry_maker import ask, ingest, verdicts, write


@pytest.fixture
def folder(warehouse: Warehouse) -> Path:
    """Return a folder with two runs."""
    for name in ("balanced_r1", "balanced_r2"):
        write(warehouse.root / "in" / f"{name}.jsonl", line(t=0, pnl_total=float(name[-1])) + line(t=1))
    return warehouse.root / "in"


def below(folder: Path) -> dict[str, str]:
    return {str(each.path.relative_to(folder)): each.problem for each in entries_below(folder)}


# --- links ----------------------------------------------------------------------------------------------------


def test_links_to_folders_are_followed_once_and_loops_do_no_harm(warehouse: Warehouse, folder: Path) -> None:
    write(warehouse.root / "disk2" / "auto" / "balanced_r3.jsonl", run_of(3))
    (folder / "auto").symlink_to(warehouse.root / "disk2" / "auto")
    (folder / "auto_again").symlink_to(warehouse.root / "disk2" / "auto")
    (folder / "loop").symlink_to(".")
    (folder / "up").symlink_to("..")
    (warehouse.root / "disk2" / "auto" / "back").symlink_to(folder)
    report = ingest(warehouse, folder)
    assert verdicts(report) == dict.fromkeys(
        ["balanced_r1.jsonl", "balanced_r2.jsonl", "balanced_r3.jsonl"], "ingested"
    )
    loop = "a link to a folder that it lies in"
    assert report.left_out == [LeftOut(str(folder / name), loop) for name in ("loop", "up")]
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(3,)]


def test_a_folder_goes_by_its_own_name_rather_than_by_a_link(folder: Path) -> None:
    write(folder / "z" / "balanced_r3.jsonl", run_of(1))
    (folder / "a").symlink_to("z")
    assert list(below(folder)) == ["balanced_r1.jsonl", "balanced_r2.jsonl", "z/balanced_r3.jsonl"]


@pytest.mark.parametrize("paths", [["in", "in"], ["in", "in/balanced_r1.jsonl"], ["in/../in", "lnk"], ["lnk", "in/*"]])
def test_a_file_reached_in_two_ways_counts_once(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str]
) -> None:
    monkeypatch.chdir(warehouse.root)
    Path("lnk").symlink_to("in")
    assert [outcome.status for outcome in ingest(warehouse, *paths)] == ["ingested", "ingested"]


def test_a_link_to_a_file_beside_it_is_that_file(warehouse: Warehouse, folder: Path) -> None:
    (folder / "latest.jsonl").symlink_to("balanced_r2.jsonl")
    report = ingest(warehouse, folder)
    assert list(verdicts(report)) == ["balanced_r1.jsonl", "balanced_r2.jsonl"]
    target = folder / "balanced_r2.jsonl"
    assert report.left_out == [LeftOut(str(folder / "latest.jsonl"), f"a link to {target}, which is taken in")]


def test_links_into_a_store_are_runs_under_their_names(warehouse: Warehouse) -> None:
    """Tools for large files keep equal repeats once, and link to them."""
    store = write(warehouse.root / "store" / "5f" / "ab12", run_of(2))
    (warehouse.root / "in").mkdir()
    for number in (1, 2):
        (warehouse.root / "in" / f"balanced_r{number}.jsonl").symlink_to(store)
    assert len(verdicts(ingest(warehouse, warehouse.root / "in"))) == 2
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(2,)]


def test_the_warehouse_is_no_input_through_a_link_either(warehouse: Warehouse, folder: Path) -> None:
    ingest(warehouse, folder)
    (folder / "wh").symlink_to(warehouse.path)
    assert set(verdicts(ingest(warehouse, folder)).values()) == {"unchanged"}


# --- odd entries ----------------------------------------------------------------------------------------------


def odd(folder: Path) -> None:
    (folder / "balanced_r3.jsonl").symlink_to("/nowhere/x.jsonl")
    (folder / "balanced_r4.jsonl").symlink_to("balanced_r4.jsonl")
    (folder / "notes").symlink_to("/nowhere/notes")
    os.mkfifo(folder / "control")
    os.mkfifo(folder / "balanced_r5.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        # A socket's path may have 107 bytes.
        os.chdir(folder)
        server.bind("engine.sock")
        os.chdir(here)


ODD = {
    "balanced_r3.jsonl": "a link to /nowhere/x.jsonl, which is not there",
    "balanced_r4.jsonl": "cannot be read: Too many levels of symbolic links",
    "balanced_r5.jsonl": "a FIFO, not a file",
}


def test_odd_entries_are_named_while_the_rest_comes_in(warehouse: Warehouse, folder: Path) -> None:
    odd(folder)
    report = ingest(warehouse, folder)
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(2,)]
    rejected = {Path(each.file).name: each.errors[0] for each in report if each.status == "rejected"}
    assert rejected == {name: f"{folder / name}: {problem}" for name, problem in ODD.items()}
    assert [(Path(each.path).name, each.what) for each in report.left_out] == [
        ("control", "a FIFO, not a file"),
        ("engine.sock", "a socket, not a file"),
        ("notes", "a link to /nowhere/notes, which is not there"),
    ]


@pytest.mark.parametrize("quoted", [True, False])
def test_a_glob_that_names_odd_entries_too_brings_in_the_rest(invoke: Invoke, tmp_path: Path, quoted: bool) -> None:
    write(tmp_path / "in" / "balanced_r1.jsonl", run_of(2))
    odd(tmp_path / "in")
    paths = ["in/*.jsonl"] if quoted else sorted(f"in/{path.name}" for path in (tmp_path / "in").glob("*.jsonl"))
    result = invoke("ingest", *paths, "--jobs", "1")
    assert result.exit_code == 1
    assert "error: in/balanced_r3.jsonl: a link to /nowhere/x.jsonl, which is not there\n" in result.stderr
    assert "1 ingested" in result.stderr


def test_check_of_a_folder_names_them_too(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "in" / "balanced_r1.jsonl", run_of(2))
    write(tmp_path / "elsewhere" / "balanced_r2.jsonl", run_of(3))
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "loop").symlink_to("..")
    assert invoke("check", "in").stdout.splitlines() == [
        "OK: 2 records in in/balanced_r1.jsonl (telemetry)",
        "OK: 3 records in in/linked/balanced_r2.jsonl (telemetry)",
    ]
    (tmp_path / "in" / "balanced_r3.jsonl").symlink_to("/nowhere/x.jsonl")
    result = invoke("check", "in")
    assert (result.exit_code, "no such file: in/balanced_r3.jsonl" in result.stdout) == (2, True)


AS_NOBODY = """
import os, sys
from pathlib import Path
from typing import Any
from paraphina_wh.folders import entries_below
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(*(f"{each.path.name}: {each.problem}" for each in entries_below(Path(sys.argv[1]))), sep="\\n")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs a user who may become another")
def test_a_folder_that_may_not_be_read_is_named() -> None:
    # Others may not enter the folders of the tests.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for inside, mode in (("closed", 0o700), ("no_search", 0o744), ("open", 0o755)):
            write(folder / inside / f"{inside}.jsonl", run_of(1))
            (folder / inside).chmod(mode)
        command = [sys.executable, "-c", AS_NOBODY, name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    assert sorted(done.stdout.splitlines()) == [
        "closed: cannot be read: Permission denied",
        "no_search.jsonl: cannot be read: Permission denied",
        "open.jsonl: ",
    ]


def test_odd_entries_alone_are_refused_before_anything_is_created(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "balanced_r1.jsonl").symlink_to("nowhere")
    with pytest.raises(WarehouseError, match="which is not there") as refused:
        ingest(warehouse, tmp_path / "balanced_r1.jsonl")
    assert refused.value.exit_code == 2
    assert not warehouse.path.exists()


# --- globs ----------------------------------------------------------------------------------------------------


def test_a_glob_of_any_depth_goes_through_loops_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "in/a.jsonl",
        "in/deep/b.jsonl",
        "in/deep/c.txt",
        "in/deep/exp1/d.jsonl",
        "out/e.jsonl",
        "in/.git/f.jsonl",
    ):
        write(Path(name), b"")
    for number in range(8):
        Path(f"in/loop{number}").symlink_to(".")
        Path(f"in/deep/up{number}").symlink_to("..")
    Path("in/linked").symlink_to("../out")
    assert names("in/**/*.jsonl") == ["in/a.jsonl", "in/deep/b.jsonl", "in/deep/exp1/d.jsonl", "in/linked/e.jsonl"]
    assert names("**/exp*") == ["in/deep/exp1/d.jsonl"]
    assert names("in/d*/**/*.jsonl") == ["in/deep/b.jsonl", "in/deep/exp1/d.jsonl"]
    assert names("in/[ab].jsonl") == ["in/a.jsonl"]
    assert names("nowhere/**/*.jsonl") == []


def names(pattern: str) -> list[str]:
    """Return what a glob names, the loops left out, of which each is named and none gone through."""
    return [str(path) for path in named_by(pattern) if path.name[:-1] not in ("loop", "up")]


# --- known layouts --------------------------------------------------------------------------------------------

LEFTOVERS = {
    "run_summary.json": "the summary of one run, not a run",
    "mc_summary.json": "the summary of Monte Carlo runs, not the runs",
    "trials.jsonl": "trials of an optimizer, not runs",
    "metrics.jsonl.gz": "metrics that no schema is known of, not runs",
    "trajectories.jsonl": "trajectories that no schema is known of, not runs",
    **dict.fromkeys(
        ["x.jsonl.1", "x.jsonl.12.gz", "x.jsonl.gz.3", "x.jsonl-20261130", "x.ndjson.2026-11-30", "x.stdout.txt.1"],
        "an older part of a file that was rotated, not a run of its own",
    ),
    **dict.fromkeys(
        [
            "x.jsonl~",
            "x.jsonl.~2~",
            "x.jsonl.bak",
            "X.JSONL.BAK",
            "x.csv.orig",
            "x.jsonl.old",
            "#x.jsonl#",
            "x.jsonl.swp",
        ],
        "a copy that an editor left",
    ),
    **dict.fromkeys(
        ["x.jsonl.partial", "x.jsonl.gz.part", "x.jsonl.tmp", "x.csv.crdownload"],
        "a part of a file, from a copy that did not end",
    ),
    **dict.fromkeys(
        ["x.jsonl.xz", "x.jsonl.bz2", "x.csv.zip"], "packed in a way that is not read: pack it with gzip or zstd"
    ),
}


@pytest.mark.parametrize("name", LEFTOVERS)
def test_what_a_known_layout_holds_beside_runs_is_named(warehouse: Warehouse, folder: Path, name: str) -> None:
    write(folder / name, line(t=0) if "trials" not in name else b'{"mean_pnl": 1.0, "max_drawdown": 2.0}\n')
    report = ingest(warehouse, folder)
    assert verdicts(report) == {"balanced_r1.jsonl": "ingested", "balanced_r2.jsonl": "ingested"}
    assert report.left_out == [LeftOut(str(folder / name), LEFTOVERS[name])]
    (outcome,) = ingest(warehouse, folder / name)
    assert (outcome.status, outcome.errors) == ("rejected", [f"{folder / name}: {LEFTOVERS[name]}"])


@pytest.mark.parametrize(
    "name",
    ["balanced_r1.jsonl", "exp.1.jsonl", "a-2.csv", "research_dataset_v001.jsonl", "x.jsonl.gz", "my_trials.jsonl"],
)
def test_names_of_inputs_are_no_leftovers(name: str) -> None:
    assert leftover(Path(name)) == ""


def test_the_command_line_says_what_was_left_out_and_counts_the_rest(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "in" / "balanced_r1.jsonl", run_of(2))
    for name in ("balanced_r1.jsonl~", "trials.jsonl", "a.png", "b.png", "run.py", "Makefile", "c.csv"):
        write(tmp_path / "in" / name, b"x\n")
    for name in ("balanced_r1.run.json.d", ".hidden.jsonl", ".git/x.jsonl"):
        write(tmp_path / "in" / name, b"x\n")
    write(tmp_path / "in" / "balanced_r1.stdout.txt", b"x\n")
    write(tmp_path / "in" / "balanced_r1.stderr.txt", b"x\n")
    result = invoke("ingest", "in", "--jobs", "1")
    assert [text for text in result.stderr.splitlines() if text.startswith("left out")] == [
        "left out, 5 files of other endings: .png (2), none (1), .d (1), .py (1)",
        "left out, a copy that an editor left: in/balanced_r1.jsonl~",
        "left out, of no known kind: in/c.csv",
        "left out, trials of an optimizer, not runs: in/trials.jsonl",
    ]
    assert result.exit_code == 0


# --- rotated telemetry ----------------------------------------------------------------------------------------

PARTS = ["balanced_r1.jsonl.1", "balanced_r1.jsonl.1.gz", "balanced_r1.1.jsonl", "balanced_r1-2026-11-30.jsonl"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("options", [{}, {"on_error": "quarantine"}, {"profile": "balanced"}])
def test_a_run_whose_start_was_rotated_away_is_not_whole(
    warehouse: Warehouse, part: str, options: dict[str, Any]
) -> None:
    """The peak of its PnL lies in the part: its drawdown would look like none."""
    write(warehouse.root / "in" / part, line(t=0, pnl_total=100.0) + line(t=1))
    write(warehouse.root / "in" / "balanced_r1.jsonl", line(t=2) + line(t=3))
    report = ingest(warehouse, warehouse.root / "in", **options)
    (outcome,) = report
    assert outcome.errors == [f"the run is not whole: its first t is 2, and parts were rotated away: {part}"]
    assert "join the parts" in outcome.hint
    assert [Path(each.path).name for each in report.left_out] == [part]
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(0,)]


def test_an_older_run_that_was_rotated_away_does_not_matter(warehouse: Warehouse) -> None:
    write(warehouse.root / "in" / "balanced_r1.jsonl.1", run_of(3))
    write(warehouse.root / "in" / "balanced_r1.jsonl", run_of(2))
    assert verdicts(ingest(warehouse, warehouse.root / "in")) == {"balanced_r1.jsonl": "ingested"}


def test_a_late_start_without_parts_is_a_warning_as_before(warehouse: Warehouse) -> None:
    write(warehouse.root / "in" / "balanced_r1.jsonl", line(t=2) + line(t=3))
    write(warehouse.root / "in" / "balanced_r10.jsonl", run_of(2))
    (late, _) = ingest(warehouse, warehouse.root / "in")
    assert (late.status, late.warnings) == ("ingested", ["the first index is 2, not 0"])


def test_what_counts_as_a_part(tmp_path: Path) -> None:
    for name in [*PARTS, "balanced_r10.jsonl", "balanced_r1.stdout.txt", "balanced_r1.jsonl", "aggressive_r1.jsonl.1"]:
        write(tmp_path / name, b"")
    assert [path.name for path in rotated_parts(tmp_path / "balanced_r1.jsonl")] == sorted(PARTS)
