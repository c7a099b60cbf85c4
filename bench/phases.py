"""Child: where the time of an ingest goes, on one thread. `python -m bench.phases ROOT FOLDER`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.ingest import set_up
from paraphina_wh import commit
from paraphina_wh.ingest import Options, batch, ingest_paths, stage

# What is timed: phase -> where its function is looked up. None of them calls another.
PHASES: dict[str, tuple[Any, str]] = {
    "strict pass": (stage, "read_strict"),
    "columnar read and Parquet": (stage, "convert"),
    "hash of the Parquet files": (stage, "file_sha256"),
    "condensing": (batch, "write_ledger"),
    "commit: record, fsync, rename": (commit, "commit"),
}


def measure(root: Path, folder: Path) -> dict[str, float]:
    """Return the seconds of each phase and of what is left."""
    spent = dict.fromkeys(PHASES, 0.0)
    for phase, (owner, name) in PHASES.items():
        setattr(owner, name, _timed(getattr(owner, name), phase, spent))
    warehouse = set_up(root)
    spent["commit: record, fsync, rename"] = 0.0
    started = time.perf_counter()
    ingest_paths(warehouse, [folder], Options(), jobs=1)
    return spent | {"everything else": time.perf_counter() - started - sum(spent.values())}


def _timed(function: Callable[..., Any], phase: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[phase] += time.perf_counter() - started

    return timed


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))))
