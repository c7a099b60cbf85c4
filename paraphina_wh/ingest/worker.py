"""A worker of the ingest pool: batches in on stdin, outcomes out on stdout, one JSON document a line.

Its arguments are ROOT and the warehouse folder.

A process of its own rather than a fork or a re-import of the caller's script: DuckDB does not survive a fork,
and a script without a main guard must be able to call the ingest.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import Ingester
from paraphina_wh.ingest.task import Order, Reply
from paraphina_wh.warehouse import Warehouse


def serve(ingester: Ingester, orders: BinaryIO, replies: BinaryIO) -> None:
    """Take in batches until stdin ends."""
    with ingester:
        for line in orders:
            order = msgspec.json.decode(line, type=Order)
            replies.write(msgspec.json.encode(answer(ingester, order)) + b"\n")
            replies.flush()


def answer(ingester: Ingester, order: Order) -> Reply:
    """Take in one batch."""
    ingester.newest_batch = max(ingester.newest_batch, order.newest_batch)
    try:
        return Reply(ingester.ingest(order.tasks))
    except WarehouseError as error:
        return Reply(error=error.message, hint=error.hint, exit_code=error.exit_code)


if __name__ == "__main__":
    # Stray prints of a library must not end up among the replies.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    root, folder = map(Path, sys.argv[1:])
    # The command that asked may be gone: what was committed stays, and nobody is left to tell.
    with suppress(BrokenPipeError):
        serve(Ingester(Warehouse(root, folder)), sys.stdin.buffer, replies)
