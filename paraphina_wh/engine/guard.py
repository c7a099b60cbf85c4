"""Starts engines below a process that ends all they started, also when the sweep itself is gone, even by SIGKILL.

Another process does it (watch.py), because nothing inside the sweep survives a SIGKILL, and the sweep, which may be a
notebook, must not become the parent of strangers. A parent death signal would miss what an engine started in turn,
fires when the starting *thread* ends, and needs Python code between fork and exec, which is unsafe in a process with
threads.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from paraphina_wh.engine import watch


class Guard:
    """The sweep's side of the guard process."""

    def __init__(self) -> None:
        """Start the guard process."""
        self._requests, self._process = _start_guard()

    def start(
        self, command: tuple[str, ...], environment: Mapping[str, str], cwd: Path | None, stdout: int, stderr: int
    ) -> socket.socket:
        """Start a command that writes to two descriptors; return the socket to its supervisor.

        Raises: OSError when the working directory is gone.
        """
        with ExitStack() as stack:
            folder = os.open(cwd or ".", getattr(os, "O_PATH", os.O_RDONLY))
            stack.callback(os.close, folder)
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    self._send([theirs.fileno(), stdout, stderr, folder])
                ours.sendall(_request(command, environment))
            except BrokenPipeError:
                pass  # somebody killed the supervisor: the socket says so to whoever waits
            except BaseException:
                ours.close()
                raise
            return ours

    def close(self) -> None:
        """Have the guard end what it has taken over from a supervisor that was killed, and itself."""
        with self._requests, suppress(OSError):  # somebody killed it
            self._requests.shutdown(socket.SHUT_RDWR)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2 * watch.END_S)
        self._process.kill()
        self._process.wait()

    def _send(self, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._requests, [b"+"], descriptors)
        except (BrokenPipeError, ConnectionResetError):  # somebody killed the guard
            self.close()
            self._requests, self._process = _start_guard()
            socket.send_fds(self._requests, [b"+"], descriptors)


def _start_guard() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the guard in a session of its own, so that Ctrl-C does not reach it."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", watch.__file__, str(os.getpid())],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
    return ours, process


def _request(command: tuple[str, ...], environment: Mapping[str, str]) -> bytes:
    program = command[0]
    # As the system looks for it: a path counts from the working directory, a bare name from PATH.
    file = program if os.sep in program else shutil.which(program) or program
    variables = (f"{name}={value}" for name, value in environment.items())
    body = os.fsencode("\0".join((file, str(len(command)), *command, *variables)))
    return len(body).to_bytes(watch.SIZE, sys.byteorder) + body
