"""What a run came to, and when it counts as failed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from paraphina_wh.engine.config import LabelValue
from paraphina_wh.engine.ending import Asked, Left, asks_for_nothing, ending_of
from paraphina_wh.engine.process import ProcessEnd
from paraphina_wh.engine.stdout import parse_stdout, problem_of_summary
from paraphina_wh.telemetry.reader import End

# Longer than any record: the last one is looked for in the last so many bytes.
_BLOCK: Final = 1 << 20

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


def find_problem(end: ProcessEnd, stdout: str, telemetry: Path | None, asked: Asked) -> str | None:
    """Return why the run cannot be used as evidence, None when it can.

    What the ingest will say of its files is said here, before an attempt counts; what is in each line, it will judge.
    """
    if end.timed_out:
        return f"timed out after {end.duration_sec:g} s"
    if end.returncode < 0:
        return f"killed by signal {-end.returncode}"
    if end.returncode > 0:
        return f"exit code {end.returncode}"
    said = parse_stdout(stdout)
    if telemetry is None or (asks_for_nothing(asked, said) and not telemetry.exists()):
        return ending_of(asked, said, None).problem
    if problem := _telemetry_problem(telemetry):
        return "; ".join(filter(None, [problem_of_summary(said), problem]))
    return ending_of(asked, said, _glance(telemetry)).problem


def _telemetry_problem(telemetry: Path) -> str | None:
    if not telemetry.is_file():
        return "no telemetry written"
    if not telemetry.stat().st_size:
        return "no telemetry written: the file is empty"
    with telemetry.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        # An engine exits 0 also when a full disk took but a part.
        return None if file.read(1) == b"\n" else "telemetry cut off: its last line has no end"


def _glance(telemetry: Path) -> Left | None:
    """Return what telemetry tells of its end, from the number of its lines and the last one.

    None when that is no record: the strict reader names what is wrong with it.
    """
    lines = 0
    with telemetry.open("rb") as file:
        while block := file.read(_BLOCK):
            lines += block.count(b"\n")
        file.seek(max(0, file.tell() - _BLOCK))
        tail = file.read()
    try:
        end = msgspec.json.decode(tail[tail[:-1].rfind(b"\n") + 1 :], type=End)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Left(lines, end, end.kill_switch)
