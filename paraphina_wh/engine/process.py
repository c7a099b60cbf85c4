"""Running one engine process to its end, and making sure that none outlives its sweep."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from paraphina_wh.engine.guard import Guard
from paraphina_wh.errors import WarehouseError

GRACE_S: Final = 0.5
"""Seconds between SIGTERM and SIGKILL."""
_POLL_MAX_MS: Final = 2**31 - 1  # 24 days


@dataclass(frozen=True)
class Launch:
    """One process to start: its command, whole environment, working directory and output files."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path | None
    stdout: IO[bytes]
    stderr: IO[bytes]


@dataclass(frozen=True)
class ProcessEnd:
    """How a process ended. returncode: -n for signal n, -1 when it ran out of time."""

    returncode: int
    duration_sec: float
    started_at: datetime
    timed_out: bool


class ProcessGroups:
    """The live processes of one sweep, each the leader of its own group. Leaving the block kills them.

    Threads that start or still wait for a process then get CancelledError.
    """

    def __init__(self) -> None:
        """Start the guard that does the killing should this process die."""
        self._live: set[int] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._guard = Guard()

    def __enter__(self) -> ProcessGroups:
        """Return the groups, none alive yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every process: SIGTERM, a short grace, SIGKILL."""
        self._stop()  # if a further Ctrl-C gets through even here, the open guard does the killing
        self._guard.close()

    @contextlib.contextmanager
    def started(self, launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
        """Run the process for the length of the block; what is left of its group is killed at the end."""
        with self._changed:
            self.refuse_when_stopping()
            process = _start(launch)
            self._live.add(process.pid)
            self._guard.add(process.pid)
        try:
            yield process
        finally:
            self._end(process)

    def refuse_when_stopping(self) -> None:
        """Raise CancelledError when the sweep is being stopped: nothing new may start."""
        if self._stopping:
            raise CancelledError

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._changed:
            # Before the leader is reaped: until then no other process can get its number.
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
            self._live.remove(process.pid)
            self._guard.remove(process.pid)
            self._changed.notify_all()
            self.refuse_when_stopping()

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            try:
                self._signal_all(signal.SIGTERM)
                self._changed.wait_for(lambda: not self._live, GRACE_S)
            finally:  # also when a second Ctrl-C cuts the grace short
                self._signal_all(signal.SIGKILL)
            self._changed.wait_for(lambda: not self._live)

    def _signal_all(self, number: signal.Signals) -> None:
        for group in self._live:
            _signal_group(group, number)


def run_process(launch: Launch, groups: ProcessGroups, timeout: float | None) -> ProcessEnd:
    """Run a process to its end and return how it ended; its output goes straight to the files.

    timeout: seconds after which its whole group is ended, SIGTERM first; None waits for ever.
    Raises: CancelledError when the sweep is stopped meanwhile, WarehouseError (exit code 2) when the
            system cannot start the command.
    """
    with groups.started(launch) as process:
        started_at, clock = datetime.now(UTC), time.monotonic()
        timed_out = not _ended_within(process, timeout)
        duration = time.monotonic() - clock
        if timed_out:
            _signal_group(process.pid, signal.SIGTERM)
            _ended_within(process, GRACE_S)
    if timed_out and timeout is not None:
        return ProcessEnd(-1, timeout, started_at, timed_out=True)
    return ProcessEnd(process.returncode, duration, started_at, timed_out=False)


def _start(launch: Launch) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            launch.command,
            env=launch.environment,
            cwd=launch.cwd,
            stdin=subprocess.DEVNULL,
            stdout=launch.stdout,
            stderr=launch.stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise WarehouseError(
            f"cannot start {launch.command[0]}: {error.strerror}",
            "is it a program for this machine, or a script with a #! line?",
            exit_code=2,
        ) from error


def _ended_within(process: subprocess.Popen[bytes], seconds: float | None) -> bool:
    """Wait for the process; True when it has ended. Where the system allows, it is left to be reaped."""
    try:
        if sys.platform != "linux":
            raise OSError
        handle = os.pidfd_open(process.pid)
    except OSError:  # not Linux, or a kernel before 5.3: Popen.wait looks every 50 ms
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.returncode is not None
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(None if seconds is None else min(seconds * 1000, _POLL_MAX_MS)))
    finally:
        os.close(handle)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # already gone
        os.killpg(group, number)
