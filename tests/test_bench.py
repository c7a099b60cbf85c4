"""The bench is not part of the tests, but it must not rot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT
from tests.telemetry_maker import reference_run


def test_the_profile_of_an_ingest_names_every_phase(tmp_path: Path) -> None:
    reference_run(tmp_path / "in" / "balanced_r1.jsonl", ticks=8, seed=1)
    line = [sys.executable, "-m", "bench.phases", str(tmp_path / "root"), str(tmp_path / "in")]
    (tmp_path / "root").mkdir()
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert all(seconds >= 0 for seconds in json.loads(done.stdout).values())
    assert set(json.loads(done.stdout)) >= {"strict pass", "columnar read and Parquet", "condensing"}
