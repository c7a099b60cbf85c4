"""Child: set a warehouse up, off the clock. `python -m bench.setup_warehouse ROOT`."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.ingest import set_up

if __name__ == "__main__":
    set_up(Path(sys.argv[1]))
