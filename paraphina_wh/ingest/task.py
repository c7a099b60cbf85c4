"""What goes into the ingest of one run and what comes out of it."""

from __future__ import annotations

import msgspec

from paraphina_wh.ledger import LedgerRow
from paraphina_wh.sidecar import Sidecar


class InPlace(msgspec.Struct, frozen=True):
    """A run that the warehouse holds under the same profile and label.

    content: the run_id that its content has when no line is put aside. is_gone: the file of its ticks is not there.
    bytes: of its telemetry, decompressed. lines: of it; quarantined: those put aside; cut_off: the last one is.
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
    is_row: bool = False


class Task(msgspec.Struct, kw_only=True):
    """One run to take in.

    source: telemetry file, None for a run that wrote none. origin: what to call it (differs for spooled input).
    stdout: file with the engine's stdout, if there is one.
    crashed: a stdout log without sidecar ends before its summary.
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
    crashed: bool = False
    on_error: str = "reject"
    replace: bool = False
    in_place: list[InPlace] = []
    again: bool = False
    told: LedgerRow | None = None

    @property
    def failed(self) -> bool:
        """Tell whether the engine failed, or ran out of time."""
        return self.crashed if self.sidecar is None else self.sidecar.status != "ok"

    def is_told_by(self, held: InPlace) -> bool:
        """Tell whether a run in place with the same content says all that this one would say.

        A run that failed and now ended well is told anew, and so is one of another plan when it is to be replaced.
        """
        if self.again or held.is_gone:
            return False
        if self.sidecar is None or self.failed:
            return True
        return held.status == "ok" and (held.plan_key == self.sidecar.plan_key or not self.replace)

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
