"""What a run came to, and when it counts as failed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from paraphina_wh.engine.config import LabelValue
from paraphina_wh.engine.process import ProcessEnd
from paraphina_wh.engine.stdout import parse_stdout, problem_of_summary

Metrics = Mapping[str, float | bool | str]
RunStatus = Literal["ok", "failed", "timeout"]


@dataclass(frozen=True)
class EngineRunResult:
    """One engine run that was done; of several attempts, the last.

    env: the effective `PARAPHINA_*` overlay, and nothing else of the environment.
    returncode: -n when ended by signal n, -1 when out of time.
    duration_sec: wall time; the timeout when out of time. started_at: UTC.
    stdout, stderr: the texts; of one longer than 1 MiB + 64 KiB the two ends.
    metrics: what the parser made of stdout; only `timeout` when out of time, only `metrics_parse_error`
        when the parser failed.
    error: what went wrong, None when status is ok. attempts: 1 without retries.
    """

    run_id: str
    label: Mapping[str, LabelValue]
    cmd: tuple[str, ...]
    env: Mapping[str, str]
    returncode: int
    duration_sec: float
    started_at: datetime
    stdout: str
    stderr: str
    metrics: Metrics
    status: RunStatus
    error: str | None
    telemetry_path: Path | None
    attempts: int


def find_problem(end: ProcessEnd, stdout: str, telemetry: Path | None) -> str | None:
    """Return why the run cannot be used as evidence, None when it can.

    An engine exits 0 also when it wrote no telemetry, so the exit code alone says too little.
    """
    if end.timed_out:
        return f"timed out after {end.duration_sec:g} s"
    if end.returncode < 0:
        return f"killed by signal {-end.returncode}"
    if end.returncode > 0:
        return f"exit code {end.returncode}"
    problems = filter(None, (problem_of_summary(parse_stdout(stdout)), _telemetry_problem(telemetry)))
    return "; ".join(problems) or None


def _telemetry_problem(telemetry: Path | None) -> str | None:
    if telemetry is None:
        return None
    if not telemetry.is_file():
        return "no telemetry written"
    if not telemetry.stat().st_size:
        return "no telemetry written: the file is empty"
    with telemetry.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        # An engine exits 0 also when a full disk took but a part.
        return None if file.read(1) == b"\n" else "telemetry cut off: its last line has no end"
