"""Peak memory of `ingest`, and of what reads its ticks later, while what nobody has declared grows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.records import line
from tests.torture.bombs import MEASURE
from tests.torture.figures import Figure

MOST_MIB: Final = 500
# `check --deep` holds a text of 50 MB in more forms: as its line, as it is stored, and as it should be.
MOST_MIB_OF_READERS: Final = 900
SIZES_MIB: Final = (50, 500, 2048)

# Kind of undeclared content -> the line of a tick that holds some.
KINDS: Final[dict[str, Callable[[int], bytes]]] = {
    "a text of 1 MB in every line": lambda t: line(t=t, note="x" * 1_000_000),
    "texts of 10 kB, no two alike": lambda t: line(t=t, note=f"{t:08x}" * 1250),
    "a text of 50 MB now and then": lambda t: line(t=t, note="x" * 50_000_000) if t % 100 == 50 else line(t=t),
    "two thousand fields in every line": lambda t: line({f"field{n}": n for n in range(2000)}, t=t),
}
# Each value of the last kind is judged by itself: gigabytes of them take an hour.
_LONGEST: Final = {"two thousand fields in every line": 50}


def attack(seed: int) -> Figure:
    """Take in files of every kind and size, and return for how many all commands stayed below the limit.

    seed: of no use, nothing is random.
    """
    tried = held = 0
    for kind in KINDS:
        for mib in SIZES_MIB:
            if mib <= _LONGEST.get(kind, mib):
                for command, peak in peaks(kind, mib):
                    print(f"memory: {kind}, {mib} MiB: {command} took {peak} MiB", file=sys.stderr)
                    tried, held = tried + 1, held + (peak <= limit_of(command))
    return Figure("memory of undeclared content of 50 MB to 2 GB", tried, held, "commands")


def peaks(kind: str, mib: int, jobs: int = 2) -> Iterator[tuple[str, int]]:
    """Yield (command, MiB at its peak) for an ingest of so much undeclared content, and for what reads it then."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ticks = _write(folder / "balanced_r1.jsonl", KINDS[kind], mib << 20)
        yield "ingest", _peak(folder, "ingest", "balanced_r1.jsonl", "--jobs", str(jobs))
        are_there = f"count(*) = {ticks} AND count(extra) > 0"
        query = f"SELECT if({are_there}, 'all', error('ticks are lost')) FROM ticks"
        # Without a limit DuckDB keeps what it has read, as long as there is room.
        yield "query", _peak(folder, "query", query, "--memory", "600MB")
        yield "check --deep", _peak(folder, "check", "--deep")
        yield "drift", _peak(folder, "drift")


def limit_of(command: str) -> int:
    """Return how many MiB a command may take."""
    return MOST_MIB if command == "ingest" else MOST_MIB_OF_READERS


def _write(path: Path, line_of: Callable[[int], bytes], size: int) -> int:
    """Write lines up to a size and return their number."""
    ticks = 0
    with path.open("wb") as out:
        while out.tell() < size:
            out.write(line_of(ticks))
            ticks += 1
    return ticks


def _peak(folder: Path, *arguments: str) -> int:
    """Run a command that must succeed, and return its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, "-m", "paraphina_wh", "--quiet", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    code, mib = map(int, done.stdout.split())
    assert code == 0, done.stderr
    return mib
