"""The sidecar of a run: `<name>.run.json` beside `<name>.jsonl`.

Every engine run started by this program writes one. It carries the identity and provenance that the telemetry
lacks, so a run keeps them whoever ingests it, and whenever.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError
from paraphina_wh.masking import Masking
from paraphina_wh.telemetry.record import INT64_MAX, INT64_MIN, UINT64_MAX, UInt64

SUFFIX = ".run.json"
STDOUT_SUFFIX = ".stdout.txt"
# The last words of an engine may be long, but not without end.
MOST_BYTES: Final = 64 << 20

SeedOrigin = Literal["drawn", "listed", "none"]

_Int = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]


class Sidecar(msgspec.Struct, kw_only=True):
    """What was run, by what, and how it ended.

    profile, label: identity of the run. labels: the label as separate keys.
    sweep_id: equal for runs of one experiment that can be compared: same engine, ticks and overrides.
    knobs: the effective `PARAPHINA_*` overlay, as text. seed: None when none was passed.
    seed_origin ...: how it came about, see `RunSeed`; None in sidecars of earlier versions, where nobody knows.
    ticks: ticks asked for. started_at: ISO 8601, see `in_utc`. duration_sec: wall time in seconds.
    status: `planned` until the engine has ended; telemetry beside such a sidecar is not finished.
    """

    sidecar_version: Literal[1] = 1
    experiment: str
    run_name: str
    plan_key: str
    sweep_id: str | None = None
    profile: str
    label: str
    labels: dict[str, str | int | float | bool] = {}
    repeat: _Int | None = None
    seed: UInt64 | None = None
    seed_origin: SeedOrigin | None = None
    seed_key: str | None = None
    seed_index: _Int | None = None
    seed_space: _Int | None = None
    seed_first: _Int | None = None
    ticks: _Int | None = None
    knobs: dict[str, str] = {}
    engine: str | None = None
    engine_path: str | None = None
    engine_version: str | None = None
    engine_sha256: str | None = None
    engine_commit: str | None = None
    command: list[str] = []
    started_at: str | None = None
    duration_sec: float | None = None
    returncode: _Int | None = None
    attempts: _Int | None = None
    status: Literal["planned", "ok", "failed", "timeout"] = "ok"
    error: str | None = None


def sidecar_path(telemetry: Path) -> Path:
    """Return where the sidecar of a telemetry file (compressed or not) lies."""
    return telemetry.with_name(stem(telemetry) + SUFFIX)


def stdout_path(telemetry: Path) -> Path:
    """Return where the stdout of the run of a telemetry file lies."""
    return telemetry.with_name(stem(telemetry) + STDOUT_SUFFIX)


def stem(telemetry: Path) -> str:
    """Return the name of a telemetry file without its endings: `a_r1.jsonl.gz` -> `a_r1`."""
    name = telemetry.name
    for ending in (".gz", ".zst", ".jsonl", ".ndjson"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def masked(sidecar: Sidecar) -> tuple[Sidecar, list[str]]:
    """Return a sidecar without the secrets that names in it speak of, and those names."""
    masking = Masking()
    knobs, labels = masking.settings(sidecar.knobs), masking.settings(sidecar.labels)
    label, command = sidecar.label, masking.words(sidecar.command)
    if labels != sidecar.labels and label == _json(sidecar.labels):
        # Of runs without telemetry the labels are the label.
        label = _json(labels)
    texts = {
        name: masking.text(value)
        for name in ("error", "engine_path", "engine_version")
        if (value := getattr(sidecar, name)) is not None
    }
    replaced = msgspec.structs.replace(sidecar, knobs=knobs, labels=labels, label=label, command=command, **texts)
    return replaced, masking.names


def _json(labels: dict[str, str | int | float | bool]) -> str:
    return msgspec.json.encode(labels, order="sorted").decode()


def in_utc(text: str | None) -> str | None:
    """Return an instant in ISO 8601 as one in UTC: `2026-11-01T09:30:00+09:00` -> `2026-11-01T00:30:00+00:00`.

    Without an offset it is taken as UTC. None for what is no instant, or not in the years 1970 to 9998.
    """
    try:
        read = datetime.fromisoformat(text or "")
        instant = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant.isoformat() if 1970 <= instant.year < 9999 else None


def write_sidecar(telemetry: Path, sidecar: Sidecar) -> None:
    """Write the sidecar of a run, as a whole or not at all, and without secrets: the engine has them."""
    text = msgspec.json.format(msgspec.json.encode(masked(sidecar)[0]), indent=2)
    commit.write_atomically(sidecar_path(telemetry), text + b"\n")


def read_sidecar(path: Path) -> Sidecar | None:
    """Return a sidecar, None when there is none.

    Raises: WarehouseError naming file and field when it is not one.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise WarehouseError(f"{path}: longer than the limit of {MOST_BYTES} bytes", "delete it, or repair it")
        sidecar = msgspec.json.decode(text, type=Sidecar)
        if sidecar.seed is not None and sidecar.seed > UINT64_MAX:
            raise msgspec.ValidationError(f"Expected `int` <= {UINT64_MAX} - at `$.seed`")
        return sidecar
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WarehouseError(f"cannot read {path}: {error.strerror}", "check the file and its permissions") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WarehouseError(f"{path}: not a run sidecar: {error}", "delete it, or repair it") from error
