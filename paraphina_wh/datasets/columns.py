"""What is stored of a dataset line, and the names under which a column may stand in a file."""

from __future__ import annotations

from typing import Final

# Columns of a `datasets` Parquet file; meaning and units: sql/30_dataset_rows.sql.
COLUMNS: Final = {
    "line_no": "BIGINT",
    "byte_offset": "BIGINT",
    "bytes": "BIGINT",
    "line": "VARCHAR",
    "dataset_path": "VARCHAR",
    "is_blank": "BOOLEAN",
    "is_run": "BOOLEAN",
    "is_complete": "BOOLEAN",
    "timestamp_utc": "VARCHAR",
    "label": "VARCHAR",
    "profile": "VARCHAR",
    "telemetry_path": "VARCHAR",
    "notes": "VARCHAR",
    "num_ticks": "BIGINT",
    "final_pnl": "DOUBLE",
    "max_pnl": "DOUBLE",
    "min_pnl": "DOUBLE",
    "max_drawdown": "DOUBLE",
    "frac_normal": "DOUBLE",
    "frac_warning": "DOUBLE",
    "frac_hard": "DOUBLE",
    "kill_prob": "DOUBLE",
    "run_id": "VARCHAR",
    "experiment": "VARCHAR",
    "engine": "VARCHAR",
}

# The names of other tools, best first; a dot is part of the key. Source: the artefact contract, alignment.
CANDIDATES: Final = {
    "profile": ["profile", "risk_profile", "tier"],
    "final_pnl": ["final_pnl", "metrics.final_pnl", "pnl_total", "metrics.pnl_total"],
    "max_drawdown": ["max_drawdown", "metrics.max_drawdown"],
    "kill_prob": ["p_kill_switch", "kill_switch", "kill", "kill_prob", "metrics.kill_prob"],
}
