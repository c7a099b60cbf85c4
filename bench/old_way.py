"""Child: the way of old, a pandas process a run. `python -m bench.old_way FILE OUT`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd


def research_row(file: Path) -> dict[str, object]:
    """Return the research row of one telemetry file."""
    ticks = pd.read_json(file, lines=True).sort_values("t")
    pnl, regime = ticks["pnl_total"], ticks["risk_regime"]
    return {
        "timestamp_utc": datetime.now(UTC).isoformat(),
        "label": file.stem,
        "profile": file.stem.split("_")[0],
        "telemetry_path": str(file),
        "num_ticks": len(ticks),
        "final_pnl": float(pnl.iloc[-1]),
        "max_pnl": float(pnl.max()),
        "min_pnl": float(pnl.min()),
        "max_drawdown": float((pnl.cummax() - pnl).max()),
        "frac_normal": float((regime == "Normal").mean()),
        "frac_warning": float((regime == "Warning").mean()),
        "frac_hard": float((regime == "HardLimit").mean()),
        "kill_switch": bool(ticks["kill_switch"].any()),
    }


if __name__ == "__main__":
    row = research_row(Path(sys.argv[1]))
    with Path(sys.argv[2]).open("a") as out:
        out.write(json.dumps(row) + "\n")
