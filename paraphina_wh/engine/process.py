"""Running one engine process to its end, and making sure that none outlives its sweep."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from paraphina_wh.engine import watch
from paraphina_wh.engine.capture import Ends
from paraphina_wh.engine.guard import Guard
from paraphina_wh.errors import WarehouseError

GRACE_S: Final = 0.5
"""Seconds between SIGTERM and SIGKILL."""
_POLL_MAX_MS: Final = 2**31 - 1  # 24 days
_BLOCK_BYTES: Final = 1 << 16
_MOST_IN_A_PIPE: Final = 1 << 20  # more than a pipe holds by default


@dataclass(frozen=True)
class Launch:
    """One process to start: its command, whole environment and working directory; and what it prints, as it comes."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path | None
    stdout: Ends = field(default_factory=Ends)
    stderr: Ends = field(default_factory=Ends)


@dataclass(frozen=True)
class ProcessEnd:
    """How a process ended. returncode: -n for signal n, -1 when it ran out of time."""

    returncode: int
    duration_sec: float
    started_at: datetime
    timed_out: bool


class ProcessGroups:
    """The live processes of one sweep, each with all that it started. Leaving the block kills them.

    Threads that start or still wait for a process then get CancelledError.
    """

    def __init__(self) -> None:
        """Start the guard, below which the processes run."""
        self._live: set[_Process] = set()
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

    @contextmanager
    def started(self, launch: Launch) -> Iterator[_Process]:
        """Run the process for the length of the block; it, and all that it started, is killed at the end."""
        with self._changed:
            self.refuse_when_stopping()
            process = _Process(launch, self._guard)
            self._live.add(process)
        try:
            yield process
        finally:
            process.end()
            with self._changed:
                self._live.remove(process)
                self._changed.notify_all()
                self.refuse_when_stopping()

    def refuse_when_stopping(self) -> None:
        """Raise CancelledError when the sweep is being stopped: nothing new may start."""
        if self._stopping:
            raise CancelledError

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            try:
                for process in self._live:
                    process.terminate()
                self._changed.wait_for(lambda: not self._live, GRACE_S)
            finally:  # also when a second Ctrl-C cuts the grace short
                for process in self._live:
                    process.kill()
            self._changed.wait_for(lambda: not self._live)


def run_process(launch: Launch, groups: ProcessGroups, timeout: float | None) -> ProcessEnd:
    """Run a process to its end and return how it ended; what it prints goes to the launch.

    timeout: seconds after which it is ended with all that it started, SIGTERM first; None waits for ever.
    Raises: CancelledError when the sweep is stopped meanwhile, WarehouseError (exit code 2) when the
            system cannot start the command.
    """
    with groups.started(launch) as process:
        started_at, clock = datetime.now(UTC), time.monotonic()
        timed_out = not process.ended_within(timeout)
        duration = time.monotonic() - clock
        if timed_out:
            process.terminate()
            process.ended_within(GRACE_S)
    if timed_out and timeout is not None:
        return ProcessEnd(-1, timeout, started_at, timed_out=True)
    return ProcessEnd(process.returncode, duration, started_at, timed_out=False)


class _Process:
    """A process below its supervisor, and the pipes it prints to."""

    def __init__(self, launch: Launch, guard: Guard) -> None:
        self._program = launch.command[0]
        self._returncode: int | None = None
        self._pipes: dict[int, Ends] = {}
        writers = []
        for ends in (launch.stdout, launch.stderr):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            self._pipes[reader] = ends
            writers.append(writer)
        try:
            self._supervisor = guard.start(launch.command, launch.environment, launch.cwd, *writers)
        except OSError as error:
            self._close_pipes()
            raise self._cannot_start(error.errno) from error
        finally:
            for writer in writers:
                os.close(writer)
        self._poll = select.poll()
        for descriptor in (self._supervisor.fileno(), *self._pipes):
            self._poll.register(descriptor, select.POLLIN)

    @property
    def returncode(self) -> int:
        """Return -n for signal n; the process must have ended."""
        assert self._returncode is not None
        return self._returncode

    def ended_within(self, seconds: float | None) -> bool:
        """Take what the process prints until it has ended, and all that it started with it; True when it has.

        Raises: WarehouseError (exit code 2) when the system could not start it.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while self._returncode is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            for descriptor, _ in self._poll.poll(None if left is None else min(left * 1000, _POLL_MAX_MS)):
                if descriptor in self._pipes:
                    self._take(descriptor)
                else:
                    self._returncode = self._read_end()
        return True

    def terminate(self) -> None:
        """Send the group of the process a SIGTERM."""
        self._tell(watch.TERMINATE)

    def kill(self) -> None:
        """Have the process killed, and all that it started."""
        self._tell(b"K")

    def end(self) -> None:
        """Kill what is left, wait for it to end, and take the last of what was printed."""
        try:
            self.kill()
            self.ended_within(None)
            # A stranger may hold a pipe open, and even write to it: what was in it by now is enough.
            for descriptor in list(self._pipes):
                for _ in range(_MOST_IN_A_PIPE // _BLOCK_BYTES):
                    if not self._take(descriptor):
                        break
        finally:
            self._supervisor.close()
            self._close_pipes()

    def _tell(self, order: bytes) -> None:
        with suppress(OSError):  # it has ended
            self._supervisor.send(order)

    def _take(self, descriptor: int) -> bool:
        """Take what is in a pipe; tell whether there may be more."""
        try:
            block = os.read(descriptor, _BLOCK_BYTES)
        except BlockingIOError:
            return False
        if block:
            self._pipes[descriptor].feed(block)
        else:
            self._poll.unregister(descriptor)
            del self._pipes[descriptor]
            os.close(descriptor)
        return bool(block)

    def _read_end(self) -> int:
        answer = b""
        with suppress(ConnectionResetError):
            answer = self._supervisor.recv(2 * watch.SIZE, socket.MSG_WAITALL)
        if not answer:
            return -signal.SIGKILL  # somebody killed the supervisor: the guard ends the rest
        errno, code = (int.from_bytes(answer[i : i + watch.SIZE], sys.byteorder, signed=True) for i in (0, watch.SIZE))
        if errno:
            self._returncode = -signal.SIGKILL
            raise self._cannot_start(errno)
        return code

    def _cannot_start(self, errno: int | None) -> WarehouseError:
        return WarehouseError(
            f"cannot start {self._program}: {os.strerror(errno or 0)}",
            "is it a program for this machine, or a script with a #! line?",
            exit_code=2,
        )

    def _close_pipes(self) -> None:
        for descriptor in self._pipes:
            os.close(descriptor)
        self._pipes.clear()
