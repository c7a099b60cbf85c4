"""The two ends of a text of any length: what an engine prints, and what a log file holds."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 64 * 1024
TAIL_BYTES: Final = 1024 * 1024
_MARKS: Final = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
GAP: Final = re.compile(r"\[[0-9]+ bytes left out\]")
"""What stands in the place of the bytes between the ends."""


class Ends:
    """The first 64 KiB of a stream of bytes (the banner) and the last 1 MiB (the summary); the rest is counted.

    A stream that is no longer than both together is kept whole. Memory does not grow with the stream.
    """

    def __init__(self) -> None:
        """Begin with an empty stream."""
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the stream."""
        room = HEAD_BYTES - len(self._head)
        self._head += block[:room]
        self._tail += block[room:]
        # Not at every block: each cut moves what stays.
        if len(self._tail) > 2 * TAIL_BYTES:
            self._left_out += len(self._tail) - TAIL_BYTES
            del self._tail[:-TAIL_BYTES]

    def content(self) -> bytes:
        """Return the whole stream, or its ends with a note between them of how much was left out."""
        left_out = self._left_out + max(0, len(self._tail) - TAIL_BYTES)
        # No white space around the note: a number cut in half must not look complete to the parser.
        note = f"[{left_out} bytes left out]".encode(self._encoding()) if left_out else b""
        return b"".join((self._head, note, self._tail[-TAIL_BYTES:]))

    def text(self) -> str:
        """Return the content as text: UTF-8, or the UTF-16 of a PowerShell; what is neither is replaced."""
        return self.content().decode(self._encoding(), errors="replace").removeprefix("\ufeff")

    def _encoding(self) -> str:
        return next((name for mark, name in _MARKS if self._head.startswith(mark)), "utf-8")


def keep(content: bytes, target: Path) -> None:
    """Write a file, durably: it is there whole or not at all."""
    # Always the same name: what a killed predecessor left there is overwritten.
    partial = target.with_name(f".{target.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
