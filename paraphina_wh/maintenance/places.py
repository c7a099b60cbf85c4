"""What lies in a warehouse folder, place by place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import ArrowException

from paraphina_wh.warehouse import Warehouse

# What every warehouse has beside its tables; all of it can be made again, but for the promoted fields.
KNOWN_AT_TOP = ("FORMAT", "init.sql", "paraphina.duckdb", "promoted.json", ".gitignore", "README.md")
_BATCH_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}\.parquet")
_TICKS_NAME = re.compile(r"[0-9a-f]{32}\.parquet")


def stored_files(warehouse: Warehouse) -> Iterator[Path]:
    """Yield every file of the tables and of the lines put aside; links are not followed, but yielded themselves.

    Hidden files are left out unless a view would read them: a glob takes them like any other.
    """
    for folder in warehouse.tables:
        yield from _below(folder)
    yield from _in_quarantine(warehouse)


def _in_quarantine(warehouse: Warehouse) -> Iterator[Path]:
    if warehouse.quarantine.is_symlink():
        yield warehouse.quarantine
        return
    yield from (path for path in _in(warehouse.quarantine) if path != damaged_folder(warehouse))


def other_files(warehouse: Warehouse) -> Iterator[Path]:
    """Yield what lies beside the tables and is none of ours."""
    ours = {folder.name for folder in warehouse.tables} | {"quarantine", "commits", "experiments", "_staging"}
    for path in _in(warehouse.path):
        if path.name not in ours and path.name not in KNOWN_AT_TOP and not path.name.startswith("paraphina.duckdb"):
            yield path


def damaged_folder(warehouse: Warehouse) -> Path:
    """Return where damaged files are moved to."""
    return warehouse.quarantine / "files"


def is_ticks_file(warehouse: Warehouse, path: Path) -> bool:
    """Tell whether a path has the form that an ingest gives to the ticks of a run."""
    parts = path.relative_to(warehouse.path).parts
    keys = [part.partition("=")[0] for part in parts[1:3]]
    return (
        len(parts) == 4
        and parts[0] == warehouse.telemetry.name
        and keys == ["profile", "label"]
        and _TICKS_NAME.fullmatch(parts[3]) is not None
    )


def is_of_table(warehouse: Warehouse, path: Path) -> bool:
    """Tell whether a file has the name and the columns that a commit gives to one of a table other than the ticks."""
    parts = path.relative_to(warehouse.path).parts
    tables = {table.name: table for table in warehouse.tables}
    if len(parts) != 3 or parts[0] not in tables or not _BATCH_NAME.fullmatch(parts[2]):
        return False
    try:
        wanted = pq.read_schema(next(tables[parts[0]].glob("*=any/schema.parquet"))).names
        # One of an earlier version lacks columns.
        return bool(names := set(pq.read_schema(path).names)) and names <= set(wanted)
    except (ArrowException, OSError, ValueError, StopIteration):
        return False


def is_of_source(warehouse: Warehouse, path: Path) -> bool:
    """Tell whether lines put aside are those of a file of Monte Carlo runs that lies in the warehouse."""
    # A kill may leave the folder of a commit that never came.
    return path.parent == warehouse.quarantine and any((warehouse.mc_runs / f"source={path.stem}").glob("*.parquet"))


def is_schema(path: str) -> bool:
    """Tell whether a path is that of a file which fixes the columns of a table."""
    folder, _, name = path.rpartition("/")
    return folder.endswith("=any") and name.startswith("schema")


def _below(folder: Path) -> Iterator[Path]:
    if folder.is_symlink():
        yield folder
        return
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if Path(root, name).is_symlink()]
        yield from (Path(root, name) for name in sorted([*names, *links]) if _counts(name))


def _counts(name: str) -> bool:
    return not name.startswith(".") or name.endswith(".parquet")


def _in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
