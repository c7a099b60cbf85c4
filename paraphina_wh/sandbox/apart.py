"""The answer to a query, computed in a process of its own that the kernel holds to its limits.

The process is told what to do over stdin; it answers with an Arrow stream on stdout, and with an error on stderr: see
child.py. It gets nothing else: no environment but the names below, no open files, a folder of its own to stand in.
Nothing of what it sends is believed: bytes are counted, rows are validated, time is up when the clock says so.
"""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from paraphina_wh.errors import WarehouseError
from paraphina_wh.sandbox import exchange
from paraphina_wh.sandbox.failure import RAISE_MEMORY, too_long
from paraphina_wh.sandbox.limits import UNTRUSTED_MEMORY, UNTRUSTED_TIMEOUT_S, Limits, memory_bytes
from paraphina_wh.sandbox.order import READY, Complaint, Order
from paraphina_wh.sandbox.rows import Rows
from paraphina_wh.temporary import temporary_prefix
from paraphina_wh.warehouse import Warehouse

# What Python and DuckDB need to start and to read clocks as here; everything else may be a secret.
_PASSED_ON: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "TZ")
# Allocators that take memory ahead of need would use it up.
_THRIFTY: Final = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}
_START_S: Final = 60.0
_PIECE: Final = 1 << 20
_MOST_TALK: Final = 1 << 16
_OUT_OF_TIME: Final = (-signal.SIGXCPU, -signal.SIGALRM)


@contextmanager
def answered_apart(warehouse: Warehouse, sql: str, limits: Limits) -> Iterator[Rows]:
    """Give the rows of a statement; they can be read inside the `with` block alone.

    Raises: WarehouseError, with exit code 2 when the text is not one statement that reads, and with exit code 1 when
            it fails, passes a limit or takes its process down, also while the rows are read.
    """
    timeout_s = UNTRUSTED_TIMEOUT_S if limits.timeout_s is None else limits.timeout_s
    memory = memory_bytes(limits.memory or UNTRUSTED_MEMORY)
    with tempfile.TemporaryDirectory(prefix=temporary_prefix()) as name, _process(Path(name)) as process:
        _tell(process, Order(str(warehouse.root), str(warehouse.path), sql, timeout_s, memory))
        yield _Answer(process, timeout_s, memory).rows()


@contextmanager
def _process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give the process, and end it whatever it is at."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    process = subprocess.Popen(
        # -P: a random.py in a folder of the user must not pass for Python's.
        [sys.executable, "-P", "-m", "paraphina_wh.sandbox.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment | {"HOME": str(folder)} | _THRIFTY,
        # A session of its own: Ctrl-C reaches the command alone, which then ends the process.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                # An order that the process never read is still in the buffer.
                with suppress(BrokenPipeError):
                    pipe.close()


def _tell(process: subprocess.Popen[bytes], order: Order) -> None:
    assert process.stdin
    # A process that is gone already is noticed when its answer is read.
    with suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()


class _Answer:
    """What a process says, within the limits of time and bytes."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float, memory: int) -> None:
        assert process.stdout and process.stderr
        self._process = process
        # The time of the query starts when the process is ready for it: a busy machine takes long to start one.
        self._clock = _Clock(_START_S)
        self._ready = _Pipe(process.stdout.fileno(), self._clock, len(READY)).read(len(READY)) == READY
        self._clock = _Clock(timeout_s)
        self._stream = _Pipe(process.stdout.fileno(), self._clock, memory)
        self._talk = _Pipe(process.stderr.fileno(), self._clock, _MOST_TALK)

    def rows(self) -> Rows:
        """Return the rows once their columns are known."""
        if not self._ready:
            raise self._failure()
        try:
            reader = pa.ipc.open_stream(self._stream)
        except (pa.ArrowException, OSError) as error:
            # There is no stream when the query fails before its first row.
            raise self._failure() from error
        return Rows(reader.schema, self._batches(reader))

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while (batch := self._next(reader)) is not None:
            exchange.check_dates(batch)
            yield batch
        if self._return_code() != 0:
            raise self._failure()

    def _next(self, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        try:
            batch = next(reader, None)
            if batch is not None:
                batch.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise self._failure() from error
        return batch

    def _failure(self) -> WarehouseError:
        """Return why the answer is not whole."""
        talk = self._talk.read(_MOST_TALK)
        code = self._return_code()
        if code in _OUT_OF_TIME:
            return too_long(self._clock.seconds)
        with suppress(msgspec.DecodeError):
            said = msgspec.json.decode(talk[talk.rfind(b"\n", 0, -1) + 1 :], type=Complaint)
            return WarehouseError(said.message, said.hint, exit_code=said.exit_code)
        how = signal.Signals(-code).name if code < 0 else f"return code {code}"
        return WarehouseError(f"the process of the query died ({how})", f"most likely of memory: {RAISE_MEMORY}")

    def _return_code(self) -> int:
        try:
            return self._process.wait(max(0.0, self._clock.seconds_left))
        except subprocess.TimeoutExpired as error:
            raise too_long(self._clock.seconds) from error


class _Clock:
    """The time an answer may take, from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Return what is left, below zero when it is over."""
        return self._end - time.monotonic()


class _Pipe(io.RawIOBase):
    """The bytes of a pipe, as many as are allowed, as long as there is time."""

    def __init__(self, descriptor: int, clock: _Clock, most_bytes: int) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._most_bytes = self._left = most_bytes

    def readable(self) -> bool:
        """Tell Arrow that it may read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, fewer than asked for only at the end.

        Raises: WarehouseError when the time is up, or for more bytes than are allowed.
        """
        if not 0 <= size <= self._left:
            raise WarehouseError(f"the answer is larger than {self._most_bytes / 1e6:g} MB", RAISE_MEMORY)
        self._left -= size
        pieces = []
        while size and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        if self._clock.seconds_left <= 0 or not select.select([self._descriptor], [], [], self._clock.seconds_left)[0]:
            raise too_long(self._clock.seconds)
        return os.read(self._descriptor, min(size, _PIECE))
