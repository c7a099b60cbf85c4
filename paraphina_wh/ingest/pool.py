"""Many batches on many cores: worker processes, each fed by a thread."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.plan import Plan
from paraphina_wh.ingest.task import Outcome, Task
from paraphina_wh.ingest.worker import Reply
from paraphina_wh.warehouse import Warehouse


def run_batches(warehouse: Warehouse, plan: Plan, jobs: int) -> Iterator[list[Outcome]]:
    """Take in the batches of a plan on `jobs` processes and yield the outcomes of each as it is committed.

    Raises: WarehouseError when a batch could not be committed; those yielded before stay committed.
    """
    waiting: queue.Queue[list[Task]] = queue.Queue()
    for batch in plan.batches:
        waiting.put(batch)
    done: queue.Queue[Reply] = queue.Queue()
    place = (str(warehouse.root), str(warehouse.path), plan.newest_batch)
    command = [sys.executable, "-m", "paraphina_wh.ingest.worker", *place]
    workers = [_Worker(command, waiting, done) for _ in range(min(jobs, len(plan.batches)))]
    try:
        for _ in plan.batches:
            reply = done.get()
            if reply.error:
                raise WarehouseError(reply.error, reply.hint, exit_code=reply.exit_code)
            yield reply.outcomes
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """One process, and the thread that feeds it."""

    def __init__(self, command: list[str], waiting: queue.Queue[list[Task]], done: queue.Queue[Reply]) -> None:
        # A session of its own: Ctrl-C reaches the command alone, which then stops its workers.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.feeder = threading.Thread(target=self._feed, args=(waiting, done), daemon=True)
        self.feeder.start()

    def _feed(self, waiting: queue.Queue[list[Task]], done: queue.Queue[Reply]) -> None:
        while True:
            try:
                tasks = waiting.get_nowait()
            except queue.Empty:
                return
            done.put(self._ask(tasks))

    def _ask(self, tasks: list[Task]) -> Reply:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(msgspec.json.encode(tasks) + b"\n")
            self.process.stdin.flush()
            return msgspec.json.decode(self.process.stdout.readline(), type=Reply)
        except (OSError, msgspec.DecodeError):
            # No reply, or a part of one: the process is gone.
            code = self.process.wait()
            return Reply(error=f"an ingest process ended (return code {code})", hint="repeat the command: it resumes")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        # Its pipes must stay open while it may still use them; a dead process answers at once.
        self.feeder.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                # An order that the process never read is still in the buffer.
                with suppress(BrokenPipeError):
                    pipe.close()
