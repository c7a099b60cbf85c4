"""The suite itself: what it runs on, and that whoever runs it is told which test failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import PROJECT

FAILING = """
import os

def test_that_holds(): pass
def test_of_text_that_is_no_unicode(): assert "a\\udc80" == "b"
def test_that_takes_its_process_down(): os._exit(3)
"""


def test_the_readme_names_the_versions_that_are_supported() -> None:
    asked = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = dict(line.split("==") for line in (PROJECT / "constraints.txt").read_text().splitlines() if "==" in line)
    rows = [f"| {name} | {lowest} | {pinned[name]} |\n" for name, lowest in (each.split(">=") for each in asked)]
    assert f"|---|---|---|\n{''.join(rows)}" in (PROJECT / "README.md").read_text()


@pytest.mark.parametrize("ci", ["", "1"])
def test_what_failed_stands_at_the_end(tmp_path: Path, ci: str) -> None:
    (tmp_path / "test_it.py").write_text(FAILING)
    # As `make test` runs it, and without what it keeps between runs.
    options = ["-n", "2", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(PROJECT / "pyproject.toml")]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_it.py")]
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, "CI": ci}, capture_output=True, text=True, timeout=600
    )
    # Where `CI` is set, pytest shows the whole message behind a name.
    _, summary = done.stdout.split(" short test summary info ")
    names = sorted(re.findall(r"^FAILED .*::(\w+) - ", summary, re.MULTILINE))
    assert names == ["test_of_text_that_is_no_unicode", "test_that_takes_its_process_down"], done.stdout
    assert summary.splitlines()[-1].startswith("2 failed, 1 passed in ")
