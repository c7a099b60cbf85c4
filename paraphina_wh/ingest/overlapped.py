"""The columnar read of a large file, under way while the strict pass reads it too."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import duckdb

from paraphina_wh.ingest.columnar import Columnar, convert

# After every block the thread waits for the interpreter, which the strict pass is busy with: few blocks, short waits.
_HASH_BLOCK = 16 << 20


class Overlapped:
    """One conversion in a thread of its own: first the hash of the file, which names the run, then the read.

    DuckDB and the hash leave the interpreter free, so all cores work. The result counts only if the strict pass
    accepts every line, and if the file is as it was when the reading began: the caller looks.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: Path, job_of: Callable[[str], Columnar]) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(1)
        self._digest = self._pool.submit(file_sha256, source)
        self._rows = self._pool.submit(lambda: self._convert(job_of(self._digest.result())))

    def _convert(self, job: Columnar) -> int:
        try:
            return convert(self._connection, job)
        except duckdb.Error:
            # Its threads hold on to the buffers of what they read last; threads that end do not.
            ((threads,),) = self._connection.execute("SELECT current_setting('threads')").fetchall()
            self._connection.execute(f"SET threads = 1; SET threads = {threads}")
            raise

    def sha256(self) -> str:
        """Return the hash of the file."""
        return self._digest.result()

    def cancel(self) -> None:
        """Stop the read and forget what it made."""
        self._rows.cancel()
        while not self._rows.done():
            self._connection.interrupt()
            time.sleep(0.01)
        self._pool.shutdown()

    def rows(self) -> int | None:
        """Wait for the rows written; None when DuckDB objected and the file must be converted again."""
        try:
            return self._rows.result()
        except duckdb.Error:
            return None
        finally:
            self._pool.shutdown()


def file_sha256(path: Path) -> str:
    """Return the hash of a file as it lies on disk."""
    with path.open("rb", buffering=0) as stream:
        return stream_sha256(stream)


def stream_sha256(stream: IO[bytes]) -> str:
    """Return the hash of what is left of a stream."""
    digest = hashlib.sha256()
    while block := stream.read(_HASH_BLOCK):
        digest.update(block)
    return digest.hexdigest()
