"""Which fields of two JSON records differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldDifference:
    """A value that is not what it was: JSON values, None for null and for what is absent."""

    field: str
    recorded: Any
    now: Any


def differing_fields(recorded: Any, now: Any, path: str = "") -> Iterator[FieldDifference]:
    """Yield the innermost values that differ, in the order of the recorded fields.

    Paths are those of the contract, such as `fills[0].price`. Lists are compared as far as both go; then `len(fills)`
    stands for their lengths.
    """
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in recorded | now:
            yield from differing_fields(recorded.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(recorded, list) and isinstance(now, list):
        for place, (old, new) in enumerate(zip(recorded, now, strict=False)):
            yield from differing_fields(old, new, f"{path}[{place}]")
        if len(recorded) != len(now):
            yield FieldDifference(f"len({path})", len(recorded), len(now))
    elif json.dumps(recorded) != json.dumps(now):  # as text: -0.0 is not 0.0
        yield FieldDifference(path, recorded, now)


def tick_fields(recorded: str, now: str) -> Iterator[FieldDifference]:
    """Yield the differing fields of two stored ticks; undeclared fields go by their own paths."""
    return differing_fields(_record(recorded), _record(now))


def _record(text: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(text)
    undeclared: dict[str, Any] = json.loads(record.pop("extra") or "{}")
    return record | undeclared
