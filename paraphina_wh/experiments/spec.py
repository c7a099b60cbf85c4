"""The experiments that ship with the package."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from paraphina_wh.errors import WarehouseError


class Defaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run of the harness does unless told otherwise. ticks: a run; timeout_sec: seconds."""

    ticks: int
    runs_per_profile: int
    profiles: tuple[str, ...]
    label_prefix: str
    seed: int
    timeout_sec: float


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An experiment. folder: where its files lie, below ROOT."""

    name: str
    about: str
    folder: str
    defaults: Defaults


@cache
def shipped() -> dict[str, Spec]:
    """Return name -> experiment of all that ship with the package."""
    specs = [_read(path) for path in sorted(Path(__file__).parent.glob("*.toml"))]
    return {spec.name: spec for spec in specs}


def _read(path: Path) -> Spec:
    return msgspec.convert(tomllib.loads(path.read_text()), Spec)


def find_spec(name: str) -> Spec:
    """Return an experiment by name.

    Raises: WarehouseError (exit code 2) that lists the names there are.
    """
    if name not in shipped():
        known = ", ".join(shipped())
        raise WarehouseError(f"no experiment named {name!r}", f"experiments: {known}", exit_code=2)
    return shipped()[name]
