"""From provenance to a command line that can run: the engine, its flags and its knobs.

What was recorded may come from anywhere, so nothing of it is trusted: the program is one that was found and hashed
now, and only flags of the engine contract are passed on, as arguments, never through a shell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from paraphina_wh.engine import PREFIX, Engine, check_knobs, find_engine
from paraphina_wh.engine.locate import REFERENCE_MODULE
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ledger import LedgerRow
from paraphina_wh.masking import MASK
from paraphina_wh.rerun.recorded import Recorded
from paraphina_wh.warehouse import Warehouse

# Source: the engine contract, section on the command line. Every argument is followed by a NUL.
_FLAGS = re.compile(
    r"(?:(?:--(?:ticks|seed)[=\0][0-9]+|--profile[=\0][A-Za-z0-9_][A-Za-z0-9_-]*|--verbose|-v+)\0)*", re.ASCII
)
_SHORT = 12


@dataclass(frozen=True)
class Replay:
    """A run that can be repeated. knobs: the overlay, without what says where telemetry goes."""

    recorded: Recorded
    engine: Engine
    command: tuple[str, ...]
    knobs: dict[str, str]

    @property
    def is_same_engine(self) -> bool:
        """Tell whether the engine is, to the byte, the one that made the recorded run."""
        return self.engine.sha256 == self.recorded.row.engine_sha256


def plan_replays(
    warehouse: Warehouse, runs: Sequence[Recorded], engine: str | None = None, *, force: bool = False
) -> list[Replay]:
    """Return how each run is repeated, by the engine that made it or by `engine` (a path, or `reference`).

    force: take an engine whose hash differs from the recorded one, or was not recorded.
    Raises: WarehouseError (exit code 2) naming the first run that cannot be repeated, and why.
    """
    engines: dict[str, Engine] = {}
    replays = []
    for run in runs:
        _check_provenance(run, force=force)
        choice = engine or _recorded_engine(warehouse, run.row)
        if choice not in engines:
            engines[choice] = _find(warehouse, choice, run)
        replay = Replay(run, engines[choice], (*engines[choice].command, *_flags(run)), _knobs(run))
        if not (force or replay.is_same_engine):
            raise _other_engine(replay)
        replays.append(replay)
    return replays


def _check_provenance(run: Recorded, *, force: bool) -> None:
    row = run.row
    needed = {
        "command_json": row.command_json not in (None, "[]"),
        "engine_path": row.engine_path is not None or row.engine == "reference",
        "engine_sha256": row.engine_sha256 is not None or force,
    }
    for name, recorded in (("knobs_json", row.knobs_json), ("command_json", row.command_json)):
        if recorded and MASK in recorded:
            raise WarehouseError(
                f"{run} cannot be repeated: a secret in its {name} was masked when it came in",
                "run the engine by hand with it, and ingest what it leaves",
                exit_code=2,
            )
    missing = [name for name, is_there in needed.items() if not is_there]
    if missing:
        raise WarehouseError(
            f"{run} cannot be repeated: its provenance lacks {', '.join(missing)}",
            "it stands in the sidecar <name>.run.json, which the runs of `paraphina-wh run` have",
            exit_code=2,
        )


def _recorded_engine(warehouse: Warehouse, row: LedgerRow) -> str:
    return "reference" if row.engine == "reference" else str(warehouse.root / str(row.engine_path))


def _find(warehouse: Warehouse, choice: str, run: Recorded) -> Engine:
    try:
        return find_engine(choice, warehouse.root)
    except WarehouseError as error:
        raise WarehouseError(f"{run}: {error.message}", "name where it lies now with --engine", exit_code=2) from error


def _flags(run: Recorded) -> list[str]:
    """Return what follows the engine's own command. Raises: WarehouseError (exit code 2) for anything unexpected."""
    command = msgspec.json.decode(run.row.command_json or "[]", type=list[str])
    heads = [[str(run.row.engine_path)]]
    if run.row.engine == "reference":
        # Whichever Python it was.
        heads = [[command[0], *options, "-m", REFERENCE_MODULE] for options in (["-P"], [])]
    head = next((head for head in heads if command[: len(head)] == head), None)
    if head is None:
        raise _refused(run, f"does not begin with its engine: {command}")
    flags = command[len(head) :]
    if not _FLAGS.fullmatch("".join(f"{flag}\0" for flag in flags)):
        raise _refused(run, f"has flags that engines do not know: {flags}")
    return flags


def _refused(run: Recorded, what: str) -> WarehouseError:
    hint = "look at command_json and engine_path in the view runs; an edited sidecar can be ingested with --replace"
    return WarehouseError(f"{run} is not repeated: the recorded command {what}", hint, exit_code=2)


def _knobs(run: Recorded) -> dict[str, str]:
    recorded = msgspec.json.decode(run.row.knobs_json or "{}", type=dict[str, str])
    try:
        checked = check_knobs(recorded)
    except WarehouseError as error:
        raise WarehouseError(f"{run} is not repeated: {error.message}", error.hint, exit_code=2) from error
    return {name: value for name, value in checked.items() if not name.startswith(f"{PREFIX}TELEMETRY_")}


def _other_engine(replay: Replay) -> WarehouseError:
    now, recorded = replay.engine.sha256, str(replay.recorded.row.engine_sha256)
    return WarehouseError(
        f"{replay.recorded}: the engine {replay.engine.path} is not the one that made it "
        f"(sha256 {now[:_SHORT]}..., recorded {recorded[:_SHORT]}...)",
        "name that one with --engine, or run this one all the same with --force",
        exit_code=2,
    )
