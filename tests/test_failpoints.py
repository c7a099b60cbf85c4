"""Failpoints: at every call of the commit path that changes the disk, and nowhere in the way of normal use."""

from __future__ import annotations

import ast
import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paraphina_wh import commit, failpoints
from tests.conftest import PROJECT, Report
from tests.telemetry_maker import write
from tests.torture.crash import call_sites
from tests.torture.figures import Figure

CHANGES = {"rename", "unlink", "fsync", "mkdir", "link", "write", "ftruncate", "rmtree"}
# What is removed there is unfinished, and `gc` removes it when a kill leaves it.
NO_STEP = {("staging_folder", "rmtree")}

# Puts two files in place that belong together and replaces one, adds to a file, and makes and removes another.
WORK = """
import os, sys
from pathlib import Path
from paraphina_wh.commit import append, publish, publish_new, remove, staging_folder, write_atomically
root = Path(sys.argv[1])
with staging_folder(root / "_staging", "batch") as folder:
    for name in ("ticks", "ledger"):
        (folder / name).write_text(name)
    publish([(folder / "ticks", root / "a" / "ticks"), (folder / "ledger", root / "b" / "ledger")])
write_atomically(root / "artefact", b"new")
publish_new(root / "artefact", root / "linked")
remove(root / "linked")
descriptor = os.open(root / "lines", os.O_WRONLY | os.O_APPEND)
append(root / "lines", descriptor, b"two\\n")
"""
OLD = {"artefact": "old", "lines": "one\n"}
NEW = {"a/ticks": "ticks", "artefact": "new", "b/ledger": "ledger", "lines": "one\ntwo\n"}


def test_every_call_of_the_commit_path_that_changes_the_disk_has_a_failpoint(report: Report) -> None:
    tree = ast.parse((PROJECT / "paraphina_wh" / "commit.py").read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    changes = {(function.name, call) for function in functions for call in calls_of(function) & CHANGES}
    steps = {(function.name, name) for function in functions for name in steps_of(function)}
    assert changes - steps == NO_STEP
    assert steps - changes == set()
    report(Figure("calls of the commit path with a failpoint", len(changes - NO_STEP), len(steps), "calls"))


def calls_of(function: ast.FunctionDef) -> set[str]:
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {call.attr for call in calls if isinstance(call, ast.Attribute)}


def steps_of(function: ast.FunctionDef) -> set[str]:
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    return {str(ast.literal_eval(call.args[0])) for call in calls if call.func.id == "step"}  # type: ignore[attr-defined]


def work(root: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Do the work in a process of its own, in a folder that holds what is old."""
    for name, content in OLD.items():
        write(root / name, content)
    return subprocess.run(
        [sys.executable, "-c", WORK, root], env={**os.environ, **env}, cwd=PROJECT, capture_output=True, text=True
    )


def content_of(root: Path) -> dict[str, str]:
    """Return what a folder holds beside unfinished files."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    named = {str(path.relative_to(root)): path.read_text() for path in files}
    return {name: text for name, text in named.items() if not name.startswith((".", "_staging"))}


def test_in_normal_use_a_step_does_nothing(tmp_path: Path) -> None:
    assert vars(commit)["step"] is failpoints.step is failpoints._nothing
    assert work(tmp_path).returncode == 0
    assert content_of(tmp_path) == NEW


def test_the_steps_are_traced_with_the_line_of_code_they_stand_in(tmp_path: Path) -> None:
    trace = tmp_path / "steps"
    assert work(tmp_path / "root", PARAPHINA_WH_STEPS=str(trace)).returncode == 0
    steps = [line.partition(" ")[0] for line in trace.read_text().splitlines()]
    publishing = ["fsync"] * 2 + ["mkdir", "rename"] * 2 + ["fsync"] * 3
    replacing = ["mkdir", "write", "fsync", "mkdir", "rename", "fsync"]
    assert steps == ["mkdir", *publishing, *replacing, "link", "fsync", "unlink", "write", "fsync"]
    sites = {line.partition(" ")[2] for line in trace.read_text().splitlines()}
    assert sites <= call_sites()


def test_killed_at_any_step_each_file_is_old_or_new(tmp_path: Path) -> None:
    for number in (1, 2, 6, 9, 12, 15, 20):
        root = tmp_path / str(number)
        assert work(root, PARAPHINA_WH_FAILPOINT=f"{number}:kill").returncode == -signal.SIGKILL
        for name, text in content_of(root).items():
            assert text in (OLD.get(name), NEW.get(name), NEW["artefact"] if name == "linked" else None)


def test_an_error_is_that_of_the_system_and_leaves_what_is_old(tmp_path: Path) -> None:
    failed = work(tmp_path, PARAPHINA_WH_FAILPOINT="4:ENOSPC")
    assert failed.returncode == 1
    assert failed.stderr.endswith("WarehouseError: cannot write to: No space left on device (at step 'mkdir')\n")
    assert content_of(tmp_path) == OLD
    assert list((tmp_path / "_staging").iterdir()) == []


def test_an_interrupt_leaves_what_is_old(tmp_path: Path) -> None:
    assert work(tmp_path, PARAPHINA_WH_FAILPOINT="11:sigint").stderr.endswith("KeyboardInterrupt\n")
    assert content_of(tmp_path) == {**NEW, **OLD}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_append_that_the_disk_takes_in_part_is_taken_back(tmp_path: Path) -> None:
    path = write(tmp_path / "lines", "one\n")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        with files_of_at_most(6), pytest.raises(OSError, match="the disk took only 2 of 4 bytes") as failed:
            commit.append(path, descriptor, b"two\n")
    finally:
        os.close(descriptor)
    assert failed.value.errno == errno.ENOSPC
    assert path.read_text() == "one\n"
