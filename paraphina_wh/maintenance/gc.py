"""Sweeping: what no committed state refers to, and nobody may still be reading or writing."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError
from paraphina_wh.maintenance.exclusive import exclusive
from paraphina_wh.maintenance.integrity import compare
from paraphina_wh.maintenance.places import is_of_source, is_ticks_file, stored_files
from paraphina_wh.maintenance.reading import runs_told
from paraphina_wh.records import Records, StoredFile, read_records
from paraphina_wh.temporary import abandoned_folders, is_abandoned
from paraphina_wh.warehouse import Warehouse, batch_time

DEFAULT_AGE_S: Final = 3600.0


@dataclass(frozen=True)
class Leftover:
    """Something that answers for nothing.

    kind: `staging` (an unfinished write), `temporary` (of a process that is gone, among the temporary files of the
    machine), `replaced` (a committed change took it out of the answers), `orphaned`
    (ticks whose commit never came) or `record` (announces a commit that never came, or is in a folded file too).
    path: relative to the warehouse; absolute outside of it. age_s: seconds since it was last touched, or taken out.
    """

    kind: str
    path: str
    bytes: int
    age_s: float


def collect(warehouse: Warehouse, *, older_than_s: float = DEFAULT_AGE_S, delete: bool = False) -> list[Leftover]:
    """Return what may go, and with delete remove it and return what is gone.

    older_than_s: what is younger may belong to a write or a query that is under way, and stays. Writers wait while
    files are being removed; nothing that a commit put in place, and none took out again, is ever touched.
    Raises: WarehouseError when another maintenance command is at work, a record is damaged, or the ledger cannot be
    read: then nobody can tell what answers for something.
    """
    with exclusive(warehouse):
        found = _leftovers(warehouse, older_than_s)
        if not delete:
            return found
        commit.settle(warehouse)
        if not found:
            return []
        with commit.nobody_commits(warehouse):
            gone = [leftover for leftover in _leftovers(warehouse, older_than_s) if _remove(warehouse, leftover)]
            _remove_empty_folders(warehouse)
        return gone


def frame(found: list[Leftover]) -> pl.DataFrame:
    """Return a row for each leftover."""
    schema = {"kind": pl.String, "path": pl.String, "bytes": pl.Int64, "age_s": pl.Float64}
    rows = [(each.kind, each.path, each.bytes, round(each.age_s, 1)) for each in found]
    return pl.DataFrame(rows, schema=schema, orient="row")


# What may go


def _leftovers(warehouse: Warehouse, older_than_s: float) -> list[Leftover]:
    records = read_records(warehouse)
    if records.unreadable:
        raise WarehouseError(
            f"the record {records.unreadable[0]} is damaged: what it accounts for cannot be told from leftovers",
            "paraphina-wh check, then paraphina-wh repair",
        )
    now, found = time.time(), []
    for kind, path, since in _candidates(warehouse, records):
        size, touched = _size_and_time(path)
        name = str(path if kind == "temporary" else path.relative_to(warehouse.path))
        found.append(Leftover(kind, name, size, max(0.0, now - max(since, touched))))
    return [each for each in found if each.age_s >= older_than_s]


def _candidates(warehouse: Warehouse, records: Records) -> Iterator[tuple[str, Path, float]]:
    """Yield kind, path and when it was taken out; 0 where the path itself tells how old it is."""
    yield from (("staging", path, 0.0) for path in _unlocked(warehouse))
    yield from (("temporary", path, 0.0) for path in abandoned_folders())
    yield from _replaced(warehouse, records)
    yield from (("orphaned", path, 0.0) for path in _orphans(warehouse, records))
    yield from (("record", path, 0.0) for path in records.unfinished)
    yield from _folded(records)
    # Half-written small files, whose names nobody reads.
    for folder in (warehouse.path, warehouse.commits, warehouse.path / "experiments"):
        yield from (("staging", path, 0.0) for path in sorted(folder.glob(".*")) if _is_temporary(warehouse, path))


def _is_temporary(warehouse: Warehouse, path: Path) -> bool:
    """Tell whether a hidden file was made on the way to one of ours: `.init.sql.x1y2z3w4`."""
    ours = path.name.startswith((".FORMAT.", ".init.sql.", ".promoted.json."))
    return path.is_file() and (ours or path.parent != warehouse.path)


def _unlocked(warehouse: Warehouse) -> Iterator[Path]:
    """Yield the staging folders whose process is gone: a living one holds a lock on its folder."""
    if warehouse.staging.is_symlink() or not warehouse.staging.is_dir():
        return
    for path in sorted(warehouse.staging.iterdir()):
        if not path.is_dir() or path.is_symlink():
            yield path
        elif path.name.startswith("spill-"):
            if is_abandoned(path.name):
                yield path
        elif not _is_locked(path):
            yield path


def _is_locked(folder: Path) -> bool:
    try:
        with commit.held(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
    except (BlockingIOError, FileNotFoundError):
        return True


def _replaced(warehouse: Warehouse, records: Records) -> Iterator[tuple[str, Path, float]]:
    """Yield the files that a commit took out of the answers, and when: readers began until then."""
    there = {name: by for name, by in records.dropped.items() if _is_there(warehouse, name)}
    if not there:
        return
    _, live = runs_told(warehouse)
    by_name = {record.name: record for record in records.all}
    whole = {by: _is_whole(warehouse, records, by_name[by].files) for by in set(there.values())}
    for name, by in sorted(there.items()):
        # A record that was lost may have put it back; and what took its place must be there.
        if whole[by] and not (is_ticks_file(warehouse, warehouse.path / name) and Path(name).stem in live):
            yield "replaced", warehouse.path / name, batch_time(by).timestamp()


def _is_whole(warehouse: Warehouse, records: Records, files: list[StoredFile]) -> bool:
    """Tell whether files that took the place of others are what they should be, or were replaced in turn."""
    return not any(
        file.path in records.damaged
        or (file.path in records.files and compare(warehouse, file.path, [f for f, _ in records.files[file.path]]))
        for file in files
    )


def _is_there(warehouse: Warehouse, name: str) -> bool:
    path = warehouse.path / name
    return path.is_symlink() or path.exists()


def _orphans(warehouse: Warehouse, records: Records) -> Iterator[Path]:
    """Yield ticks and lines put aside that no record and no run answers for."""
    known = records.files.keys() | records.dropped.keys()
    strangers = [path for path in stored_files(warehouse) if str(path.relative_to(warehouse.path)) not in known]
    ours = [path for path in strangers if _is_ours(warehouse, path) and not path.is_symlink()]
    told = runs_told(warehouse)[0] if ours else set()
    yield from (path for path in ours if path.stem not in told)


def _is_ours(warehouse: Warehouse, path: Path) -> bool:
    lines = path.parent == warehouse.quarantine and path.suffix == ".jsonl" and not is_of_source(warehouse, path)
    return lines or is_ticks_file(warehouse, path)


def _folded(records: Records) -> Iterator[tuple[str, Path, float]]:
    """Yield the record files whose records the last folded file holds too."""
    if not records.folded:
        return
    since = records.folded.stat().st_ctime
    inside = records.held.get(records.folded, set())
    for path, names in records.held.items():
        if path != records.folded and names <= inside:
            yield "record", path, since


def _size_and_time(path: Path) -> tuple[int, float]:
    """Return the bytes of a file or of what is in a folder, and when something of it was last written or renamed."""
    size, touched = 0, 0.0
    for each in [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]:
        # Its owner may be about to remove it.
        with suppress(FileNotFoundError):
            state = each.lstat()
            size += 0 if each.is_dir() else state.st_size
            touched = max(touched, state.st_ctime)
    return size, touched


# Removing it


def _remove(warehouse: Warehouse, leftover: Leftover) -> bool:
    """Remove a leftover and tell whether it is gone; nothing is removed through a link that leads elsewhere."""
    path = warehouse.path / leftover.path
    if leftover.kind != "temporary" and not path.parent.resolve().is_relative_to(warehouse.path.resolve()):
        return False
    if path.is_symlink() or not path.is_dir():
        commit.remove(path)
        return True
    try:
        # Its process would have to wait for the lock, and makes the folder anew.
        with commit.held(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(path, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


def _remove_empty_folders(warehouse: Warehouse) -> None:
    for table in warehouse.tables:
        for folder, _, _ in os.walk(table, topdown=False):
            if Path(folder) != table and not table.is_symlink():
                with suppress(OSError):
                    Path(folder).rmdir()
