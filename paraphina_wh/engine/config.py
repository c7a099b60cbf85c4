"""What to run: the configuration of one engine run, and the rules for its label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraphina_wh.engine.ending import NOTHING_ASKED, Asked
from paraphina_wh.errors import WarehouseError

LabelValue = str | int | float | bool

RESERVED_LABEL_KEYS: Final = frozenset(
    {
        "run_id",
        "duration_sec",
        "returncode",
        "pnl_realised",
        "pnl_unrealised",
        "pnl_total",
        "kill_switch",
        "metrics_parse_error",
        "timeout",
    }
)


@dataclass(frozen=True)
class EngineRunConfig:
    """One engine run to be done.

    cmd: the whole command line, flags included.
    env: the knobs, named with or without `PARAPHINA_`; values are turned to text.
    label: flat metadata that travels with the result.
    run_id: default `run_<i>` by position in the batch.
    cwd: working directory; default that of the caller.
    telemetry_path: where the engine shall write telemetry. An older file there is deleted before the run,
        and a run that leaves none counts as failed.
    stdout_path, stderr_path: where the two texts are kept; default beside the telemetry as
        `<name>.stdout.txt` and `<name>.stderr.txt`, and nowhere without telemetry.
    asked: what the command line asks for; a run that did something else, or less without a kill, counts as failed.
    """

    cmd: Sequence[str]
    env: Mapping[str, object]
    label: Mapping[str, LabelValue]
    run_id: str | None = None
    cwd: Path | None = None
    telemetry_path: Path | None = None
    stdout_path: Path | None = None
    stderr_path: Path | None = None
    asked: Asked = NOTHING_ASKED


def check_label(label: Mapping[str, LabelValue]) -> dict[str, LabelValue]:
    """Return a copy of the label.

    Raises: WarehouseError (exit code 2) on a value that is not a flat, finite JSON scalar and on a key
            that would hide a column of the run table.
    Source: the engine contract, section on run records.
    """
    for key, value in label.items():
        if not isinstance(key, str) or not key:
            raise WarehouseError(f"label key {key!r} is not a name", exit_code=2)
        if key in RESERVED_LABEL_KEYS:
            raise WarehouseError(
                f"label key {key!r} is a column of every run",
                f"choose another name; taken: {', '.join(sorted(RESERVED_LABEL_KEYS))}",
                exit_code=2,
            )
        if not _is_flat_scalar(value):
            raise WarehouseError(f"label {key!r}: {value!r} is not text, a finite number or a boolean", exit_code=2)
    return dict(label)


def _is_flat_scalar(value: object) -> bool:
    if isinstance(value, str):
        # A lone surrogate (undecodable bytes on a command line) has no JSON text.
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int)
