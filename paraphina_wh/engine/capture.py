"""What a process prints: straight to a file, kept whole under its final name or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final, Self

HEAD_BYTES: Final = 64 * 1024
TAIL_BYTES: Final = 1024 * 1024


class Capture:
    """A file for the output of one process. Leaving the block deletes it, unless it was kept.

    It lies hidden beside its target, so that the last step is a rename; without target it has no name.
    """

    def __init__(self, target: Path | None) -> None:
        """Open the file, empty; what a killed predecessor left there is overwritten."""
        self._target = target
        self._partial = None if target is None else target.with_name(f".{target.name}.partial")
        # Closed by __exit__.
        self.file = tempfile.TemporaryFile() if self._partial is None else self._partial.open("w+b")  # noqa: SIM115

    def __enter__(self) -> Self:
        """Return the capture itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.file.close()
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)

    def keep(self) -> None:
        """Move the finished file to its target, durably; without target there is nothing to keep."""
        if self._partial is not None and self._target is not None:
            os.fsync(self.file.fileno())
            self._partial.replace(self._target)

    def text(self) -> str:
        """Return the text, invalid UTF-8 replaced.

        Of a file longer than both together, only the first 64 KiB (the banner) and the last 1 MiB (the
        summary) are read; a note between them says how much was left out. The file keeps everything.
        """
        handle = self.file.fileno()
        size = os.fstat(handle).st_size
        left_out = size - HEAD_BYTES - TAIL_BYTES
        if left_out <= 0:
            return os.pread(handle, size, 0).decode("utf-8", errors="replace")
        # No white space around the note: a number cut in half must not look complete to the parser.
        pieces = (
            os.pread(handle, HEAD_BYTES, 0),
            f"[{left_out} bytes left out]".encode(),
            os.pread(handle, TAIL_BYTES, size - TAIL_BYTES),
        )
        return b"".join(pieces).decode("utf-8", errors="replace")
