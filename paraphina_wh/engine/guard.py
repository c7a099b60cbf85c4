"""Kills the engines of a sweep when the sweep itself is gone, even by SIGKILL. Run as a script.

A separate process, because nothing inside the sweep survives a SIGKILL. The kernel's own means, a parent
death signal, would miss what an engine started in turn, fires when the starting *thread* ends, and needs
Python code between fork and exec, which is unsafe in a process with threads. The sweep reports on stdin,
as fixed-size integers, each process group it starts (+n) and each that has ended (-n); end of file while
groups are alive means the sweep died.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from typing import Final

_SIZE: Final = 8
_POLL_S: Final = 1.0


class Guard:
    """The sweep's side: starts the guard process and tells it which groups live."""

    def __init__(self) -> None:
        """Start the guard in a session of its own, so that Ctrl-C does not reach it."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={},
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """Have the group killed should this process die."""
        self._send(group)

    def remove(self, group: int) -> None:
        """Forget a group that has ended."""
        self._send(-group)

    def close(self) -> None:
        """End the guard; its groups are left alone."""
        self._process.kill()
        self._process.communicate()

    def _send(self, number: int) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # somebody killed the guard: the sweep goes on without it
            self._process.stdin.write(number.to_bytes(_SIZE, sys.byteorder, signed=True))


def _watch(parent: int) -> set[int]:
    """Return the groups alive when the parent process is gone."""
    live: set[int] = set()
    while True:
        if select.select([0], [], [], _POLL_S)[0]:
            message = os.read(0, _SIZE)
            if not message:
                return live
            number = int.from_bytes(message, sys.byteorder, signed=True)
            live.add(number) if number > 0 else live.discard(-number)
        elif os.getppid() != parent:  # another child of the parent still holds the pipe open
            return live


def _main() -> None:
    for group in _watch(parent=int(sys.argv[1])):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    _main()
