"""What is compared: each contender runs once, in fresh processes and into a fresh folder, and is measured."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from bench.data import Data, size_of
from bench.measure import Contender, Sample, module, run, scratch

CORES = os.cpu_count() or 1


def ingest(folder: Path) -> Sample:
    """Run the whole ingest into a warehouse that is set up already."""
    with scratch() as root:
        run(module("setup_warehouse", root))
        return run(module("ingest", root, folder))


def ingested_sizes(folder: Path) -> tuple[int, int]:
    """Return the bytes of the telemetry of a folder, decompressed, and of the Parquet files it became."""
    with scratch() as root:
        run(module("setup_warehouse", root))
        said = run(module("ingest", root, folder)).output
        ticks = (root / "warehouse" / "telemetry").rglob("*.parquet")
        return int(said["bytes"]), size_of([file for file in ticks if file.stem != "schema"])


def raw_copy(data: Data, kind: str) -> Sample:
    """Run a raw COPY over the large file, one process with all cores; kind: declared, plain or inferred."""
    with scratch() as out:
        return run(module("raw_copy", kind, CORES, out, *data.files("large")))


def raw_copies(data: Data, kind: str = "declared") -> Sample:
    """Run the raw COPY over the small files, dealt round-robin to one process a core; kind: declared or named."""
    files = data.files("many")
    with scratch() as out:
        return run(*(module("raw_copy", kind, 1, out, *files[core::CORES]) for core in range(CORES)))


def old_way(data: Data, runs: int) -> Sample:
    """Run the old way on evenly picked runs, one process after the other; seconds are for those runs."""
    files = data.files("many")
    picked = files[:: len(files) // runs][:runs]
    with scratch() as out:
        samples = [run(module("old_way", file, out / "rows.jsonl")) for file in picked]
    return Sample(sum(sample.seconds for sample in samples), memory=max(sample.memory for sample in samples))


def starts() -> dict[str, Contender]:
    """Return the processes whose start is measured; the first does nothing."""
    python, program = sys.executable, Path(sys.executable).parent / "paraphina-wh"
    commands: dict[str, list[str]] = {
        "python -c pass": [python, "-c", "pass"],
        "import paraphina_wh": [python, "-c", "import paraphina_wh"],
        "paraphina-wh --help": [str(program), "--help"],
    }
    return {name: partial(run, command) for name, command in commands.items()}
