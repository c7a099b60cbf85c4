"""The telemetry file: opened at the first record, given up in silence when it cannot be written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO


class TelemetryFile:
    """Takes one line per tick. Switched off by a mode other than `jsonl`, a missing path or any write error."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        mode = environ.get("PARAPHINA_TELEMETRY_MODE", "").lower()
        self._path = environ.get("PARAPHINA_TELEMETRY_PATH", "") if mode == "jsonl" else ""
        append = environ.get("PARAPHINA_TELEMETRY_APPEND", "").lower() in ("1", "true", "yes")
        self._open_mode = "ab" if append else "wb"
        self._file: IO[bytes] | None = None

    @property
    def enabled(self) -> bool:
        """False when a record would go nowhere, so that none need be made."""
        return self._path != ""

    def write(self, line: str) -> None:
        """Write one record and its newline; the first call opens the file and makes its folder."""
        try:
            if self._file is None:
                os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)  # noqa: PTH103, PTH120
                self._file = open(self._path, self._open_mode, buffering=8192)  # noqa: PTH123, SIM115
            self._file.write(line.encode("ascii") + b"\n")
        except (OSError, ValueError):  # ValueError: a path no file system accepts, e.g. with a NUL
            self._path = ""

    def close(self) -> None:
        """Push out what is still buffered."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                self._path = ""
