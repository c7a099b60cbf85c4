"""Child: take a folder in. `python -m bench.ingest ROOT FOLDER`; ROOT/warehouse is set up already."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

# Loaded before the clock starts, like DuckDB on the other side; workers load theirs on the clock.
import paraphina_wh.ingest.batch
import paraphina_wh.ingest.pool  # noqa: F401
from paraphina_wh import catalog
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.warehouse import Warehouse


def set_up(root: Path) -> Warehouse:
    """Return the warehouse of a folder, set up."""
    warehouse = Warehouse(root, root / "warehouse")
    catalog.set_up(warehouse)
    return warehouse


def main(root: Path, folder: Path) -> None:
    """Take everything in the folder in and print the seconds it took."""
    warehouse = Warehouse(root, root / "warehouse")
    started = time.perf_counter()
    report = ingest_paths(warehouse, [folder], Options())
    seconds = time.perf_counter() - started
    if not report or any(outcome.status != "ingested" for outcome in report):
        raise SystemExit("not everything was ingested")
    print(json.dumps({"seconds": seconds, "bytes": sum(outcome.bytes for outcome in report)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
