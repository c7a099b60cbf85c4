"""Has the engines of a sweep killed when the sweep itself is gone, even by SIGKILL.

A separate process does it (watch.py), because nothing inside the sweep survives a SIGKILL. The kernel's own means, a
parent death signal, would miss what an engine started in turn, fires when the starting *thread* ends, and needs Python
code between fork and exec, which is unsafe in a process with threads.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from paraphina_wh.engine import watch


class Guard:
    """The sweep's side: starts the guard process and tells it which groups live."""

    def __init__(self) -> None:
        """Start the guard in a session of its own, so that Ctrl-C does not reach it."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", watch.__file__, str(os.getpid())],
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
            self._process.stdin.write(number.to_bytes(watch.SIZE, sys.byteorder, signed=True))
