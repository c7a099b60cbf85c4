"""The exact slow path: judge one line and list everything that is wrong with it.

The fast path (msgspec) hands over every line it does not accept; what is said here is final. Strict JSON in
the sense of RFC 8259: UTF-8, no NaN or Infinity, no trailing commas, no duplicate keys, no lone surrogates.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from paraphina_wh.telemetry.shape import Contract, Shape, record_shape

_NAMES = {
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "str": "string",
    "list": "array",
    "struct": "object",
}
# Longer integers are out of any range here, and converting them costs quadratic time.
_LONGEST_INT = 400


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken rule: the field's path (empty for the line as a whole) and the reason."""

    field: str
    reason: str


@dataclass(slots=True)
class Verdict:
    """What one line is.

    breaches: every broken rule, empty when the line is accepted.
    parsed: the line is JSON text, whatever its content (a cut line is not).
    index: the value of the index field when it is valid.
    unknown: path -> value of the fields that the record does not declare.
    """

    breaches: list[Breach] = field(default_factory=list)
    parsed: bool = True
    index: int | None = None
    unknown: dict[str, Any] = field(default_factory=dict)


class _Object(dict[str, Any]):
    """A JSON object that remembers the keys it held twice."""

    duplicates: tuple[str, ...] = ()


class _OutOfRange:
    """Stands for a number that no double can hold."""


class _NotJsonError(ValueError):
    """A token that Python's parser takes but JSON does not know."""


def judge(line: bytes, contract: Contract) -> Verdict:
    """Judge one line (without its line end) against a contract."""
    try:
        value = _parse(line)
    except UnicodeDecodeError as error:
        return _unparsed(f"not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}")
    except RecursionError:
        return _unparsed("nested too deeply")
    except _NotJsonError as error:
        return _unparsed(str(error))
    except json.JSONDecodeError as error:
        return _unparsed(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}")
    verdict = Verdict()
    try:
        verdict.breaches = list(_breaches(value, record_shape(contract.record), "", verdict.unknown))
    except RecursionError:
        return _unparsed("nested too deeply")
    if isinstance(value, dict) and not any(b.field == contract.index for b in verdict.breaches):
        verdict.index = int(value[contract.index])
    return verdict


def _unparsed(reason: str) -> Verdict:
    return Verdict(breaches=[Breach("", reason)], parsed=False)


def _parse(line: bytes) -> Any:
    if line.startswith(b"\xef\xbb\xbf"):
        raise _NotJsonError("not JSON: starts with a byte order mark")
    return json.loads(
        line.decode("utf-8"),
        object_pairs_hook=_object,
        parse_float=_float,
        parse_int=_int,
        parse_constant=_constant,
    )


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        times = Counter(key for key, _ in pairs)
        made.duplicates = tuple(key for key, n in times.items() if n > 1)
    return made


def _float(text: str) -> Any:
    number = float(text)
    return number if math.isfinite(number) else _OutOfRange()


def _int(text: str) -> Any:
    if len(text) > _LONGEST_INT:
        return _OutOfRange()
    number = int(text)
    try:
        float(number)
    except OverflowError:
        return _OutOfRange()
    return number


def _constant(token: str) -> Any:
    raise _NotJsonError(f"not JSON: {token} is not a JSON value")


def _breaches(value: Any, shape: Shape, path: str, unknown: dict[str, Any]) -> Iterator[Breach]:
    """Yield the breaches of a value against its shape, collecting unknown fields on the way."""
    if value is None and shape.nullable:
        return
    reason = _type_breach(value, shape)
    if reason:
        yield Breach(path, reason)
    elif shape.kind == "json":
        yield from _foreign_breaches(value, path)
    elif shape.kind == "struct":
        yield from _object_breaches(value, shape, path, unknown)
    elif shape.kind == "list":
        assert shape.item is not None
        for i, item in enumerate(value):
            yield from _breaches(item, shape.item, f"{path}[{i}]", unknown)


def _object_breaches(value: _Object, shape: Shape, path: str, unknown: dict[str, Any]) -> Iterator[Breach]:
    prefix = f"{path}." if path else ""
    for key in value.duplicates:
        yield Breach(prefix + key, "duplicate key")
    for name, declared in shape.fields.items():
        if name in value:
            yield from _breaches(value[name], declared.shape, prefix + name, unknown)
        elif declared.required:
            yield Breach(prefix + name, "required field is missing")
    for key in value.keys() - shape.fields.keys():
        problems = list(_foreign_breaches(value[key], prefix + key, key))
        yield from problems
        if not problems:
            unknown[prefix + key] = value[key]


def _foreign_breaches(value: Any, path: str, key: str = "") -> Iterator[Breach]:
    """Yield what makes a value of no declared type unfit to be kept as JSON text."""
    if _lone_surrogate(key) or (isinstance(value, str) and _lone_surrogate(value)):
        yield Breach(_printable(path), "string holds a lone surrogate")
    elif isinstance(value, _OutOfRange):
        yield Breach(path, "number out of range")
    elif isinstance(value, _Object):
        for name in value.duplicates:
            yield Breach(f"{path}.{name}", "duplicate key")
        for name, item in value.items():
            yield from _foreign_breaches(item, f"{path}.{name}", name)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _foreign_breaches(item, f"{path}[{i}]")


def _type_breach(value: Any, shape: Shape) -> str | None:
    """Return why a value does not have its declared type, or None."""
    if isinstance(value, _OutOfRange):
        return "number out of range"
    match shape.kind:
        case "json":
            return None
        case "choice":
            return _choice_breach(value, shape)
        case "int":
            return _int_breach(value, shape)
        case "float" if isinstance(value, int | float) and not isinstance(value, bool):
            return None
        case "bool" if isinstance(value, bool):
            return None
        case "str" if isinstance(value, str):
            return "string holds a lone surrogate" if _lone_surrogate(value) else None
        case "list" if isinstance(value, list):
            return None
        case "struct" if isinstance(value, dict):
            return None
    return f"expected {_NAMES[shape.kind]}, got {_name(value)}"


def _choice_breach(value: Any, shape: Shape) -> str | None:
    # True == 1 in Python, and 1.0 is a valid integer in JSON.
    if not isinstance(value, bool) and isinstance(value, int | float | str) and value in shape.choices:
        return None
    few = "" if len(shape.choices) == 1 else "one of "
    return f"expected {few}{', '.join(map(str, shape.choices))}, got {_name(value, show=True)}"


def _int_breach(value: Any, shape: Shape) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"expected integer, got {_name(value)}"
    if value != int(value):
        return f"expected integer, got {value!r}"
    return None if shape.low <= value <= shape.high else f"integer out of range: {int(value)}"


def _lone_surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def _name(value: Any, show: bool = False) -> str:
    if show and isinstance(value, int | float | str) and not isinstance(value, bool):
        return json.dumps(value)[:80]
    for kind, name in (
        (type(None), "null"),
        (bool, "boolean"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ):
        if isinstance(value, kind):
            return name
    return "number"


def extra_text(unknown: dict[str, Any]) -> str:
    """Return unknown fields as JSON text: path -> value, paths sorted."""
    return json.dumps(unknown, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
