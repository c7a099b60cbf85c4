"""Telemetry files for the tests of the ingest, and short ways to ingest and to ask."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from paraphina_wh.catalog import connect, view_names
from paraphina_wh.ingest import Options, Report, ingest_paths
from paraphina_wh.reference_engine.cli import main as run_reference_engine
from paraphina_wh.warehouse import Warehouse

# What an ingest writes into `runs` about itself: different every time.
ABOUT_THE_INGEST = ("ingested_at", "batch_id", "ingest_sec")

SIDECAR = {"experiment": "exp99", "run_name": "run_3", "plan_key": "p", "profile": "balanced", "label": "lab"}


def write(path: Path, content: bytes | str) -> Path:
    """Write a file with its folder, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def sidecar(base: Path, **fields: Any) -> Path:
    """Write the sidecar of the run whose files start with base."""
    return write(base.with_name(f"{base.name}.run.json"), json.dumps(SIDECAR | fields))


def reference_run(telemetry: Path, *, ticks: int, seed: int, knobs: Mapping[str, str] | None = None) -> Path:
    """Run the reference engine, in this process; the profile is the start of the file name, stdout goes beside it."""
    given = {"TELEMETRY_MODE": "jsonl", "TELEMETRY_PATH": str(telemetry), **(knobs or {})}
    options = ["--ticks", str(ticks), "--seed", str(seed), "--profile", telemetry.name.split("_")[0]]
    stdout = io.TextIOWrapper(io.BytesIO())
    with redirect_stdout(stdout), redirect_stderr(io.StringIO()):
        assert run_reference_engine(options, {f"PARAPHINA_{name}": value for name, value in given.items()}) == 0
    write(telemetry.with_suffix(".stdout.txt"), stdout.buffer.getvalue())
    return telemetry


def ingest(warehouse: Warehouse, *paths: Path | str, jobs: int = 1, **options: Any) -> Report:
    """Ingest and return the report."""
    return ingest_paths(warehouse, paths, Options(**options), jobs=jobs)


def verdicts(report: Report) -> dict[str, str]:
    """Return the name of each input -> what became of it."""
    return {Path(outcome.file).name: outcome.verdict for outcome in report}


def _views(query: str) -> list[str]:
    """Return the views that a query names, after those they read: to connect with all of them takes longer."""
    base = ("profile_centres", "dataset_settings", "run_ledger", "runs", "ticks")
    return [name for name in view_names() if name in base or re.search(rf"\b{name}\b", query)]


def ask(warehouse: Warehouse, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query over the views; of a warehouse that does not exist yet, those of an empty one."""
    return [tuple(row.values()) for row in _rows(warehouse, query, values)]


def ask_one(warehouse: Warehouse, query: str, **values: Any) -> dict[str, Any]:
    """Return the only row of a query, by column."""
    (row,) = _rows(warehouse, query, values)
    return row


def _rows(warehouse: Warehouse, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    # By way of Arrow: DuckDB itself asks for a further package to make datetimes of instants.
    with connect(warehouse, views=_views(query), or_empty=True) as connection:
        rows: list[dict[str, Any]] = connection.sql(query, params=values or None).to_arrow_table().to_pylist()
    return rows


def _answer(warehouse: Warehouse, query: str, values: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
    # By way of Arrow: DuckDB itself asks for a further package to make datetimes of instants.
    with connect(warehouse, views=_views(query), or_empty=True) as connection:
        table = connection.sql(query, params=values or None).to_arrow_table()
    return table.column_names, list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def runs_content(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return everything `runs` says but what concerns the ingest itself."""
    left_out = ", ".join(ABOUT_THE_INGEST)
    return ask(warehouse, f"SELECT * EXCLUDE ({left_out}) FROM runs ORDER BY profile, label, run_id")


def files_below(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return relative path -> size, modification time and inode of every file."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            state = path.stat()
            found[str(path.relative_to(folder))] = (state.st_size, state.st_mtime_ns, state.st_ino)
    return found


def parquet_of(warehouse: Warehouse, label: str) -> list[Path]:
    """Return the tick files that lie under a label, whatever the ledger says."""
    return sorted(warehouse.ticks_file("balanced", label, "x").parent.glob("*.parquet"))
