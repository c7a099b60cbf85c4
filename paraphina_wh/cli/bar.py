"""The progress bar of a terminal. Apart from the rest because rich takes long to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SHOWN_AFTER_S = 1.0


class TerminalBar:
    """One bar of rich."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown, self._task = shown, task

    def advance(self, n: int = 1) -> None:
        """Move the bar on."""
        self._shown.advance(self._task, n)

    def set_total(self, total: int) -> None:
        """Give the bar its length."""
        self._shown.update(self._task, total=total)


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, empty until it is known."""
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


@contextmanager
def terminal_bar(total: int | None, unit: str, label: str) -> Iterator[TerminalBar]:
    """Show a bar on stderr once the work has taken a second, and wipe it at the end."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"), _Rate(), TimeRemainingColumn())
    shown = Progress(
        TextColumn("{task.description}", markup=False), *columns, console=Console(stderr=True), transient=True
    )
    task = shown.add_task(label, total=total, unit=unit)
    later = Timer(SHOWN_AFTER_S, shown.start)
    later.daemon = True
    later.start()
    try:
        yield TerminalBar(shown, task)
    finally:
        later.cancel()
        later.join()
        shown.stop()
