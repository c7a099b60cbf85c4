"""The columns of the stored tables; those of `runs` are in ledger.py and sql/21_condensed_ticks.sql."""

from __future__ import annotations

from functools import cache
from typing import Final

from paraphina_wh.telemetry.shape import MC_RUNS, TICKS, column_types

# Columns of a `datasets` Parquet file; meaning and units: sql/30_dataset_rows.sql.
DATASET_COLUMNS: Final = {
    "line_no": "BIGINT",
    "byte_offset": "BIGINT",
    "bytes": "BIGINT",
    "line": "VARCHAR",
    "raw": "BLOB",
    "is_terminated": "BOOLEAN",
    "prefix_sha256": "VARCHAR",
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
    "evidence_id": "VARCHAR",
    "seed": "UBIGINT",
    "cfg_hash": "VARCHAR",
    "truncated": "BOOLEAN",
    "ticks_requested": "BIGINT",
    "config": "VARCHAR",
    "seed_origin": "VARCHAR",
    "seed_key": "VARCHAR",
    "seed_index": "BIGINT",
    "seed_space": "BIGINT",
    "seed_first": "BIGINT",
    "evidence_json": "VARCHAR",
}

# Where a row of an imported file comes from; meaning: sql/44_mc_runs.sql.
_PROVENANCE: Final = {"source_path": "VARCHAR", "source_sha256": "VARCHAR", "ingested_at": "TIMESTAMPTZ"}

# Columns of a `mc_runs` Parquet file; the record is declared in telemetry/record.py.
MC_RUNS_COLUMNS: Final = {**_PROVENANCE, **column_types(MC_RUNS), "extra": "VARCHAR"}

# Columns of a `summaries` Parquet file; meaning and units: sql/45_imported_summaries.sql.
SUMMARY_COLUMNS: Final = {
    **_PROVENANCE,
    "row_no": "BIGINT",
    "experiment": "VARCHAR",
    "profile": "VARCHAR",
    "initial_q_tao": "DOUBLE",
    "loss_limit_usd": "DOUBLE",
    "final_pnl_mean": "DOUBLE",
    "final_pnl_std": "DOUBLE",
    "max_drawdown_mean": "DOUBLE",
    "kill_prob": "DOUBLE",
    "hedge_band_base": "DOUBLE",
    "size_eta": "DOUBLE",
    "vol_ref": "DOUBLE",
    "delta_limit_usd_base": "DOUBLE",
    "row_json": "VARCHAR",
}


def zero_rows(columns: dict[str, str]) -> str:
    """Return a query of these columns and types without rows."""
    return "SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items()) + " WHERE false"


@cache
def ticks_columns() -> dict[str, str]:
    """Return the columns of a telemetry Parquet file: run_id, the declared record, extra. Not to be changed: kept."""
    # JSON text is kept as VARCHAR: Polars and pyarrow have no plain type for Parquet's JSON.
    stored = {name: kind.replace("JSON", "VARCHAR") for name, kind in column_types(TICKS).items()}
    return {"run_id": "VARCHAR", **stored, "extra": "VARCHAR"}
