"""What a query may use."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from paraphina_wh.errors import WarehouseError
from paraphina_wh.scratch import scratch_database

UNTRUSTED_TIMEOUT_S: Final = 60.0
UNTRUSTED_MEMORY: Final = "1GB"
_LONGEST_TIMEOUT_S: Final = 1e7
_UNTRUSTED_THREADS: Final = 4
# What DuckDB may count of the memory of an untrusted query; values in the making are not in its count.
_COUNTED: Final = 0.7
# A sort that does not fit into memory goes to disk, and leaves the half of what is free to others.
_SPILL: Final = 0.5


@dataclass(frozen=True)
class Limits:
    """What a query may use.

    timeout_s: seconds; None is no limit, 60 when untrusted.
    memory: a size with its unit, such as `2GB`; None is DuckDB's own limit, 1GB when untrusted.
    untrusted: run in a process of its own that the kernel holds to the limits, see `apart.py`.
    """

    timeout_s: float | None = None
    memory: str | None = None
    untrusted: bool = False

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not 0 < self.timeout_s <= _LONGEST_TIMEOUT_S:
            raise WarehouseError(f"not a time limit: {self.timeout_s}", "write it in seconds: 60", exit_code=2)


NO_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Share:
    """What DuckDB gets of the machine: bytes of memory, threads, and where it may spill; None is its own choice.

    No spill folder means that nothing goes to disk.
    """

    memory: int | None
    threads: int | None
    spill: Path | None
    spill_bytes: int = 0


def share_of(limits: Limits, private: Path) -> Share:
    """Return what a query in this process gets. Raises: as `memory_bytes`."""
    memory = None if limits.memory is None else memory_bytes(limits.memory)
    return Share(memory, None, private / "spill", int(shutil.disk_usage(private).free * _SPILL))


def untrusted_share(memory: int) -> Share:
    """Return what a query in a process of its own gets, where memory is the bytes of the whole process."""
    return Share(int(memory * _COUNTED), min(_UNTRUSTED_THREADS, os.cpu_count() or 1), None)


def memory_bytes(size: str) -> int:
    """Return a size such as `2GB` as bytes. Raises: WarehouseError (exit code 2) when it is none."""
    with scratch_database(threads=1) as connection:
        try:
            [(count,)] = connection.execute("SELECT parse_formatted_bytes($1)", [size]).fetchall()
        except duckdb.Error:
            count = 0
    if count <= 0:
        raise WarehouseError(f"not a memory size: {size!r}", "write it as 500MB or 2GB", exit_code=2)
    return int(count)
