"""Child processes with a stop watch: wall time, CPU time and peak memory of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.data import CACHE

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Sample:
    """One measurement.

    seconds: from the first start to the last end. inner: what the child says the work itself took.
    cpu: of all processes. memory: MB, peak of the largest single process. output: what the first child printed.
    """

    seconds: float
    inner: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    output: dict[str, float] = field(default_factory=dict)


Contender = Callable[[], Sample]


def rounds(contenders: Mapping[str, Contender], count: int) -> dict[str, list[Sample]]:
    """Return count samples of each contender, taken in turns so that noise hits all."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(count):
        order = list(contenders) if number % 2 == 0 else list(contenders)[::-1]
        for name in order:
            samples[name].append(contenders[name]())
    return samples


def module(name: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of this folder."""
    return [sys.executable, "-m", f"bench.{name}", *map(str, arguments)]


def run(*commands: Sequence[str]) -> Sample:
    """Run commands side by side and measure them; what others wrote before is on disk first.

    This process stays small: a child's peak memory starts at the size of the process that started it.
    """
    os.sync()
    started = time.perf_counter()
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    outputs, cpu, memory = [], 0.0, 0.0
    for command, child in zip(commands, children, strict=True):
        assert child.stdout
        outputs.append(child.stdout.read())
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command[:4])} ... ended with {child.returncode}")
        cpu += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss / 1024)
    seconds = time.perf_counter() - started
    said = _said(outputs[0])
    return Sample(seconds, said.get("seconds", 0.0), cpu, memory, said)


def _said(output: str) -> dict[str, float]:
    """Return the numbers that a child printed, if it printed any."""
    found: dict[str, float] = json.loads(output) if output.startswith("{") else {}
    return found


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder on the disk of the data, gone afterwards."""
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix="scratch-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Spread:
    """Median, least and most of some numbers."""

    middle: float
    least: float
    most: float

    def text(self, pattern: str) -> str:
        """Return them as text: `1.20 (1.10–1.31)`."""
        return f"{pattern} ({pattern}–{pattern})".format(self.middle, self.least, self.most)


def spread(numbers: Sequence[float]) -> Spread:
    """Return the median and the range of numbers."""
    return Spread(median(numbers), min(numbers), max(numbers))


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return the ratio of two contenders, taken round by round."""
    return spread([a / b for a, b in zip(over, under, strict=True)])
