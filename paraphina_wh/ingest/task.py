"""What goes into the ingest of one run and what comes out of it."""

from __future__ import annotations

from typing import Final

import msgspec

from paraphina_wh.engine.ending import NOTHING_ASKED, Asked, Ending
from paraphina_wh.ledger import LedgerRow
from paraphina_wh.sidecar import Sidecar

# Stands for the status of a run in place that is about to be told anew.
RETOLD: Final = "retold"


class InPlace(msgspec.Struct, frozen=True):
    """A run that the warehouse holds under the same profile and label.

    content: the run_id that its content has when no line is put aside. is_gone: the file of its ticks is not there.
    bytes: of its telemetry, decompressed. lines: of it; quarantined: those put aside; cut_off: the last one is.
    end_known: something proves that it is whole. has_stdout: it came in with the engine's stdout.
    is_row: of a table; what the engine itself left of the run takes its place.
    """

    run_id: str
    content: str
    is_gone: bool
    status: str
    ticks: int = 0
    bytes: int = 0
    plan_key: str | None = None
    lines: int = 0
    quarantined: int = 0
    cut_off: bool = False
    end_known: bool = False
    has_stdout: bool = False
    is_row: bool = False


class Task(msgspec.Struct, kw_only=True):
    """One run to take in.

    source: telemetry file, None for a run that wrote none. origin: what to call it (differs for spooled input).
    stdout: file with the engine's stdout, if there is one.
    asked: what it was asked for. ending: how it ended; None as long as nobody has looked.
    in_place: runs the warehouse holds under this profile and label.
    again: take in what the warehouse holds already: its lines may be judged otherwise now.
    told: what the row of a table says of it.
    """

    source: str | None
    origin: str
    profile: str
    label: str
    experiment: str
    size_bytes: int
    stdout: str | None = None
    sidecar: Sidecar | None = None
    asked: Asked = NOTHING_ASKED
    ending: Ending | None = None
    on_error: str = "reject"
    replace: bool = False
    in_place: list[InPlace] = []
    again: bool = False
    told: LedgerRow | None = None

    @property
    def failed(self) -> bool:
        """Tell whether the engine failed or ran out of time, or what it left proves that the run is no good one."""
        by_proof = self.ending is not None and self.ending.problem is not None
        return by_proof or (self.sidecar is not None and self.sidecar.status != "ok")

    def is_told_by(self, held: InPlace) -> bool:
        """Tell whether a run in place with the same content says all that this one would say.

        A run that failed and now ended well is told anew, and so is one of another plan when it is to be replaced.
        """
        if self.again or held.is_gone or held.status == RETOLD:
            return False
        if self.sidecar is None or self.failed:
            return True
        return held.status == "ok" and (held.plan_key == self.sidecar.plan_key or not self.replace)

    def retelling(self, content: str) -> Task:
        """Return this task, with a run in place marked of which it knows the end and the warehouse does not.

        content: the run_id of its content. A run that came in alone is told anew when stdout or sidecar turn up: what
        was good as far as known may prove a failure, and stands in the way of that no longer. So is a run with stdout
        of which an earlier version did not ask how it ended. A run taken in again takes its own place in any case.
        """

        def knows_more_of(held: InPlace) -> bool:
            if self.again:
                return True
            if held.content != content or held.status != "ok" or held.end_known:
                return False
            before, now = (
                (held.has_stdout, held.plan_key is not None),
                (self.stdout is not None, self.sidecar is not None),
            )
            is_unasked = held.has_stdout and not held.cut_off
            return (before != now or is_unasked) and all(n or not b for b, n in zip(before, now, strict=True))

        marked = [msgspec.structs.replace(old, status=RETOLD) if knows_more_of(old) else old for old in self.in_place]
        return msgspec.structs.replace(self, in_place=marked)

    @property
    def usable_in_place(self) -> list[InPlace]:
        """Return the runs in place that are no failures, and no rows of tables."""
        return [old for old in self.in_place if old.status == "ok" and not old.is_row]

    @property
    def superseded(self) -> list[str]:
        """Return the runs that this one takes the place of: failures give way, but never a good run to a failure."""
        return [old.run_id for old in self.in_place if not (self.failed and old.status == "ok")]


class Outcome(msgspec.Struct, kw_only=True):
    """What became of one input.

    status: `ingested`, `unchanged`, `quarantined` (the good lines went in) or `rejected`.
    run_id: None for files that are not one run. ticks: rows taken in. bytes: decompressed input.
    lines: of telemetry and Monte Carlo runs. quarantined: those put aside, with the last one if it is cut_off.
    errors: at most 10 lines, error_count has them all. notices: what was found, in plain words.
    failure: why the run went in as a failed one; empty for a good one.
    """

    file: str
    status: str
    run_id: str | None = None
    profile: str | None = None
    label: str | None = None
    ticks: int = 0
    bytes: int = 0
    lines: int = 0
    quarantined: int = 0
    cut_off: bool = False
    error_count: int = 0
    errors: list[str] = []
    warnings: list[str] = []
    notices: list[str] = []
    hint: str = ""
    failure: str = ""

    @property
    def bad_lines(self) -> int:
        """Return how many lines broke the contract; a last line that was cut off is none of them."""
        return self.quarantined - self.cut_off

    @property
    def verdict(self) -> str:
        """Return the status as it is printed: `quarantined 3` tells how many lines were put aside."""
        return f"quarantined {self.quarantined}" if self.status == "quarantined" else self.status


class Order(msgspec.Struct):
    """A batch to take in; newest_batch: the last one the warehouse holds."""

    tasks: list[Task]
    newest_batch: str


class Reply(msgspec.Struct):
    """What became of a batch; error tells why none of it was committed."""

    outcomes: list[Outcome] = []
    error: str = ""
    hint: str = ""
    exit_code: int = 1
