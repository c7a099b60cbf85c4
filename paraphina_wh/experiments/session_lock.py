"""One session at a time in a folder: two would delete each other's files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError


@contextmanager
def only_session(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if needed; the kernel frees it when the process ends, however it ends.

    Raises: WarehouseError (exit code 2) when another process holds it, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise WarehouseError(f"cannot write to {folder}: {error.strerror}", exit_code=2) from error
    try:
        commit.lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, folder)
    except BlockingIOError as error:
        raise WarehouseError(
            f"another session is running engines in {folder}", "wait for it, then repeat the command", exit_code=2
        ) from error
    else:
        yield
    finally:
        os.close(descriptor)
