"""Many batches on many cores: worker processes, each fed by a thread."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import msgspec

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.plan import Plan
from paraphina_wh.ingest.task import Order, Outcome, Reply
from paraphina_wh.interrupt import wake_from_waits
from paraphina_wh.warehouse import Warehouse


class Pool:
    """Processes that wait for batches; use it as a context manager, it ends them.

    They start at once, so that they are ready when the plan is.
    """

    def __init__(self, warehouse: Warehouse, jobs: int) -> None:
        self.waiting: queue.Queue[Order] = queue.Queue()
        self.done: queue.Queue[Reply] = queue.Queue()
        # -P: a random.py in the user's folder must not pass for Python's.
        command = [sys.executable, "-P", "-m", "paraphina_wh.ingest.worker", str(warehouse.root), str(warehouse.path)]
        self.workers = [_Worker(command) for _ in range(jobs)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for worker in self.workers:
            worker.stop()

    def run(self, plan: Plan) -> Iterator[list[Outcome]]:
        """Take in the batches of a plan and yield the outcomes of each as it is committed.

        Raises: WarehouseError when a batch could not be committed; those yielded before stay committed.
        """
        for batch in plan.batches:
            self.waiting.put(Order(batch, plan.newest_batch))
        for worker in self.workers:
            worker.feed(self.waiting, self.done)
        for _ in plan.batches:
            wake_from_waits()
            reply = self.done.get()
            if reply.error:
                raise WarehouseError(reply.error, reply.hint, exit_code=reply.exit_code)
            yield reply.outcomes


class _Worker:
    """One process, and the thread that feeds it."""

    def __init__(self, command: list[str]) -> None:
        # A session of its own: Ctrl-C reaches the command alone, which then stops its workers.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.feeder: threading.Thread | None = None

    def feed(self, waiting: queue.Queue[Order], done: queue.Queue[Reply]) -> None:
        """Give the process one order after the other until none is waiting."""
        self.feeder = threading.Thread(target=self._feed, args=(waiting, done), daemon=True)
        self.feeder.start()

    def _feed(self, waiting: queue.Queue[Order], done: queue.Queue[Reply]) -> None:
        while True:
            try:
                order = waiting.get_nowait()
            except queue.Empty:
                return
            done.put(self._ask(order))

    def _ask(self, order: Order) -> Reply:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(msgspec.json.encode(order) + b"\n")
            self.process.stdin.flush()
            return msgspec.json.decode(self.process.stdout.readline(), type=Reply)
        except (OSError, msgspec.DecodeError):
            # No reply, or a part of one: the process is gone.
            code = self.process.wait()
            return Reply(error=f"an ingest process ended (return code {code})", hint="repeat the command: it resumes")

    def stop(self) -> None:
        """End the process, whatever it is at: what it has not committed does not count."""
        self.process.kill()
        self.process.wait()
        # Its pipes must stay open while it may still use them; a dead process answers at once.
        if self.feeder:
            self.feeder.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                # An order that the process never read is still in the buffer.
                with suppress(BrokenPipeError):
                    pipe.close()
