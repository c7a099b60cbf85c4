"""Branch coverage of the commit path by its own tests."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.torture.figures import Figure

PROJECT = Path(__file__).parents[2]
COMMIT_PATH = "paraphina_wh/commit.py"


def attack(seed: int) -> Figure:
    """Return how many branches and statements of the commit path its tests take; nothing here is random."""
    with tempfile.TemporaryDirectory(prefix="paraphina-wh-branches-") as name:
        data, found = Path(name, "coverage"), Path(name, "coverage.json")
        coverage = [sys.executable, "-m", "coverage"]
        tests = ["-m", "pytest", "-q", "tests/test_commit.py"]
        run = ["run", "--branch", f"--include={COMMIT_PATH}", f"--data-file={data}", *tests]
        subprocess.run([*coverage, *run], cwd=PROJECT, check=True, stdout=sys.stderr)
        subprocess.run([*coverage, "json", "-q", f"--data-file={data}", "-o", found], cwd=PROJECT, check=True)
        totals = json.loads(found.read_text())["totals"]
    tried = totals["num_statements"] + totals["num_branches"]
    return Figure(
        "tests of the commit path", tried, totals["covered_lines"] + totals["covered_branches"], "lines and branches"
    )
