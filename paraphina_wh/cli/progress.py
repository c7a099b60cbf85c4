"""Progress on stderr: a bar on a terminal, now and then a line when piped, nothing with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from paraphina_wh.cli.output import is_quiet, say
from paraphina_wh.escape import printable

LINE_EVERY_S = 5.0


class Bar(Protocol):
    """How far the work has come."""

    def advance(self, n: int = 1) -> None:
        """Note that n more units are done."""

    def set_total(self, total: int) -> None:
        """Note how many units there are, once this is known."""


@contextmanager
def progress(total: int | None = None, *, unit: str = "files", label: str = "") -> Iterator[Bar]:
    """Show the progress of work that takes more than about a second, with count, rate and time left.

    total: number of units, None while it is not known.
    """
    label = printable(label)
    if is_quiet():
        yield _Silent()
    elif sys.stderr.isatty():
        from paraphina_wh.cli.bar import terminal_bar

        with terminal_bar(total, unit, label) as bar:
            yield bar
    else:
        yield _Lines(total, unit, label)


class _Silent:
    """No progress."""

    def advance(self, n: int = 1) -> None:
        """Show nothing."""

    def set_total(self, total: int) -> None:
        """Show nothing."""


class _Lines:
    """A plain line every few seconds."""

    def __init__(self, total: int | None, unit: str, label: str) -> None:
        self._total, self._unit, self._label = total, unit, label
        self._done = 0
        self._began = self._last = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """Count, and write a line when the last one is old enough."""
        self._done += n
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_S:
            self._last = now
            say(progress_line(self._label, self._unit, self._done, self._total, now - self._began))

    def set_total(self, total: int) -> None:
        """Note the total."""
        self._total = total


def progress_line(label: str, unit: str, done: int, total: int | None, seconds: float) -> str:
    """Return a line such as `ingest: 120/300 files, 40.0/s, 5 s left`."""
    rate = done / seconds if seconds > 0 else 0.0
    count = f"{done}/{total} {unit}" if total is not None else f"{done} {unit}"
    left = f", {(total - done) / rate:.0f} s left" if total is not None and rate > 0 else ""
    return f"{label + ': ' if label else ''}{count}, {rate:.1f}/s{left}"
