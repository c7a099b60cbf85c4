"""DuckDB's work in a thread of its own, so that a time limit and Ctrl-C stop it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import duckdb
import pyarrow as pa

from paraphina_wh.errors import WarehouseError
from paraphina_wh.sandbox.failure import in_plain_words, too_long

T = TypeVar("T")

_LOOK_EVERY_S: Final = 0.05
# DuckDB looks for an interrupt between steps: planning a statement, or one function over huge texts, is one step.
_PATIENCE_S: Final = 2.0
_left_running: Final[list[threading.Event]] = []


def is_left_running() -> bool:
    """Tell whether a query that did not stop when told to is still at it: its thread ends with the process."""
    return not all(ended.is_set() for ended in _left_running)


class Watch:
    """Runs work within one limit of time, which starts now."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._end = math.inf if timeout_s is None else time.monotonic() + timeout_s

    def run(self, connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
        """Return what work on a connection returns. Raises: WarehouseError when it fails or takes too long."""
        if time.monotonic() > self._end:
            # Rows that come fast enough are never waited for.
            raise too_long(self._timeout_s or 0)
        results: list[T] = []
        failures: list[Exception] = []
        # Not join(): Ctrl-C in the middle of one makes Python take the thread for ended.
        ended = threading.Event()

        def attempt() -> None:
            try:
                results.append(work())
            except (duckdb.Error, pa.ArrowException, OSError, MemoryError, WarehouseError) as error:
                failures.append(error)
            finally:
                ended.set()

        # A daemon: a query that does not stop must not keep the process.
        threading.Thread(target=attempt, daemon=True).start()
        try:
            in_time = self._waits_for(ended)
        finally:
            stopped = _stop(ended, connection)
        if not in_time:
            raise too_long(self._timeout_s or 0, stuck=not stopped)
        for failure in failures:
            raise _ours(failure) from failure
        [result] = results
        return result

    def _waits_for(self, ended: threading.Event) -> bool:
        # A wait without end would sleep through Ctrl-C.
        while not ended.wait(_LOOK_EVERY_S):
            if time.monotonic() > self._end:
                return False
        return True


def _stop(ended: threading.Event, connection: duckdb.DuckDBPyConnection) -> bool:
    """Interrupt what is still running and tell whether it has ended."""
    give_up = time.monotonic() + _PATIENCE_S
    # An interrupt that comes before the query has begun is lost: repeat it.
    while not ended.is_set():
        if time.monotonic() > give_up:
            _left_running.append(ended)
            return False
        connection.interrupt()
        ended.wait(_LOOK_EVERY_S)
    return True


def _ours(error: Exception) -> WarehouseError:
    return error if isinstance(error, WarehouseError) else in_plain_words(error)
