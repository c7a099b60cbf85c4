"""The process of an untrusted query: an order on stdin, an Arrow stream on stdout, a complaint on stderr.

First the trusted part: the order is read, DuckDB is loaded, the views are brought up to date. Then the process gives
up what the query shall not have, and only then looks at the SQL.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

import duckdb
import msgspec
import pyarrow as pa

from paraphina_wh import catalog
from paraphina_wh.errors import WarehouseError
from paraphina_wh.sandbox import statement
from paraphina_wh.sandbox.failure import in_plain_words
from paraphina_wh.sandbox.here import answered_here
from paraphina_wh.sandbox.limits import Share, untrusted_share
from paraphina_wh.sandbox.order import READY, Complaint, Order
from paraphina_wh.warehouse import Warehouse

# The command that asked kills this process when the time is up; should it be gone, the kernel does, a little later.
_LATER_S: Final = 5
_OPEN_FILES: Final = 512


def main() -> None:
    """Answer the order on stdin."""
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    # Stray prints of a library must not end up in the stream.
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(1, 0)
    warehouse = Warehouse(Path(order.root), Path(order.path))
    share = untrusted_share(order.memory)
    try:
        # One view of constants: this loads DuckDB, and its threads count for what the process has before the query.
        with catalog.connect(warehouse, threads=share.threads, views=catalog.view_names()[:1]):
            give_up(order, share)
        stream.write(READY)
        stream.flush()
        _answer(warehouse, order, share, stream)
    except WarehouseError as error:
        _complain(error)
    except (duckdb.Error, pa.ArrowException) as error:
        _complain(in_plain_words(error))
    except (MemoryError, RuntimeError) as error:
        # Python cannot start a thread without memory either.
        _complain(in_plain_words(MemoryError(str(error))))
    # Without the end of the interpreter: nothing is left to do in it, and a query may still be running.
    os._exit(0)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone: nobody waits for the answer."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _complain(error: WarehouseError) -> NoReturn:
    said = Complaint(error.message, error.hint, 2 if error.exit_code == 2 else 1)
    os.write(2, msgspec.json.encode(said) + b"\n")
    os._exit(1)


def give_up(order: Order, share: Share) -> None:
    """Let the kernel hold this process to its limits from here on; none of them can be raised again."""
    seconds = math.ceil(order.timeout_s) + _LATER_S
    for limit, most in (
        # Rather than the address space, of which DuckDB's threads reserve far more than they use.
        (resource.RLIMIT_DATA, _data() + order.memory),
        (resource.RLIMIT_CPU, seconds * (share.threads or 1)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, allowed = resource.getrlimit(limit)
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(limit, (most, most))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _data() -> int:
    """Return the bytes of memory that this process may write to so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


def _answer(warehouse: Warehouse, order: Order, share: Share, stream: BinaryIO) -> None:
    with (
        answered_here(warehouse, statement.checked(order.sql), share) as rows,
        pa.ipc.new_stream(stream, rows.schema) as out,
    ):
        for batch in rows.batches:
            out.write_batch(batch)
    stream.flush()


if __name__ == "__main__":
    main()
