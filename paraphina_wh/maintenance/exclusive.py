"""One maintenance command at a time; none of them keeps readers or ingests from their work."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse


@contextmanager
def exclusive(warehouse: Warehouse) -> Iterator[None]:
    """Hold the lock of maintenance; the kernel frees it when the process ends, however it ends.

    Raises: WarehouseError when another process holds it; with exit code 2 when there is no warehouse.
    """
    warehouse.check_exists()
    with ExitStack() as lock:
        try:
            lock.enter_context(commit.held(warehouse.path, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise WarehouseError(
                f"another compact, gc, repair or recompute is at work in {warehouse.path}",
                "repeat the command when it is done",
            ) from error
        yield
