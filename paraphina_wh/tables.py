"""The columns of the stored tables; those of `runs` are in ledger.py and sql/21_condensed_ticks.sql."""

from __future__ import annotations

from typing import Final

from paraphina_wh.telemetry.shape import TICKS, column_types

# Columns of a `datasets` Parquet file; meaning and units: sql/30_dataset_rows.sql.
DATASET_COLUMNS: Final = {
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


def zero_rows(columns: dict[str, str]) -> str:
    """Return a query of these columns and types without rows."""
    return "SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items()) + " WHERE false"


def ticks_columns() -> dict[str, str]:
    """Return the columns of a telemetry Parquet file: run_id, the declared record, extra."""
    # JSON text is kept as VARCHAR: Polars and pyarrow have no plain type for Parquet's JSON.
    stored = {name: kind.replace("JSON", "VARCHAR") for name, kind in column_types(TICKS).items()}
    return {"run_id": "VARCHAR", **stored, "extra": "VARCHAR"}
