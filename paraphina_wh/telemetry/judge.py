"""The exact slow path: judge one line and list what is wrong with it.

The fast path (msgspec) hands over every line it does not accept; what is said here is final. Strict JSON in
the sense of RFC 8259: UTF-8, no NaN or Infinity, no trailing commas, no duplicate keys, no lone surrogates.
A line that would cost more memory than any record is worth is turned down before it is parsed.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from typing import Any, Final

from paraphina_wh.telemetry.shape import Contract, Shape, record_shape

_NAMES = {
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "str": "string",
    "list": "array",
    "struct": "object",
}
# A record has about two thousand values, four levels deep. A line of 64 MiB could hold twenty million and cost
# gigabytes; and how deep Python can go depends on who calls it, while a verdict must not: depth is looked at first.
MOST_VALUES: Final = 1 << 20
DEEPEST: Final = 256
# What is kept of what is wrong with one line: the rest is counted.
MOST_BREACHES: Final = 100
LONGEST_PATH: Final = 200
# The smallest that a disk leaves unwritten.
_EMPTY_BLOCK: Final = bytes(512)
_TOO_DEEP: Final = f"nested deeper than {DEEPEST} levels"
# Longer integers are out of any range here, and converting them costs quadratic time.
_LONGEST_INT: Final = 400
# Whole numbers of 64 bits that are written no longer, with a fraction or an exponent that is not negative, are doubles.
_EXACT_LENGTH: Final = 8
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken rule: the field's path (empty for the line as a whole; long ones are cut) and the reason."""

    field: str
    reason: str


@dataclass(slots=True)
class Verdict:
    """What one line is.

    breaches: the first broken rules, empty when the line is accepted; errors has them all.
    cut: the line is no JSON text, as one that is cut off is not.
    index: the value of the index field when it is valid.
    unknown: path -> value of the fields that the record does not declare; of use when the line is accepted.
    record: what the line holds, once it is parsed.
    """

    breaches: list[Breach] = field(default_factory=list)
    errors: int = 0
    cut: bool = False
    index: int | None = None
    unknown: dict[str, Any] = field(default_factory=dict)
    record: object = None

    def add(self, breach: Breach) -> None:
        """Take a broken rule."""
        self.errors += 1
        if len(self.breaches) < MOST_BREACHES:
            self.breaches.append(breach)


class _Object(dict[str, Any]):
    """A JSON object that held keys twice."""

    duplicates: tuple[str, ...] = ()


class _OutOfRange:
    """Stands for a number that no double can hold."""


class _Inexact(float):
    """A number that reads as a whole one, and is none, or another: `3.0000000000000001`, `9007199254740993.0`."""


class _NotJsonError(ValueError):
    """A token that Python's parser takes but JSON does not know."""


def judge(line: bytes, contract: Contract) -> Verdict:
    """Judge one line (without its line end) against a contract."""
    brackets = line.count(b"[") + line.count(b"{")
    if brackets + line.count(b",") > MOST_VALUES:
        return refusal(f"more than {MOST_VALUES} commas and brackets")
    if brackets > DEEPEST and _depth(line) > DEEPEST:
        return refusal(_TOO_DEEP)
    try:
        value = _parse(line)
    except UnicodeDecodeError as error:
        return refusal(f"not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}", cut=True)
    except _NotJsonError as error:
        return refusal(str(error), cut=True)
    except json.JSONDecodeError as error:
        if _EMPTY_BLOCK in line:
            return refusal("not JSON: a block of zero bytes, as a crash or a power loss leaves it", cut=True)
        return refusal(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}", cut=True)
    verdict = Verdict()
    no_index = not isinstance(value, dict)
    for breach in _breaches(value, record_shape(contract.record), "", verdict.unknown):
        verdict.add(breach)
        no_index |= breach.field == contract.index
    verdict.index = None if no_index else int(value[contract.index])
    verdict.record = value
    return verdict


def refusal(reason: str, cut: bool = False) -> Verdict:
    """Return the verdict on a line that is wrong as a whole. cut: it may be one that is cut off."""
    return Verdict(breaches=[Breach("", reason)], errors=1, cut=cut)


def _depth(line: bytes) -> int:
    """Return how many brackets are open at once at most, those in strings left out, in whatever the line is."""
    brackets = _STRING.sub(b"", line).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if each in b"[{" else -1 for each in brackets), default=0)


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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    times = Counter(key for key, _ in pairs)
    twice = _Object(made)
    twice.duplicates = tuple(key for key, n in times.items() if n > 1)
    return twice


def _float(text: str) -> Any:
    number = float(text)
    if not math.isfinite(number):
        return _OutOfRange()
    is_plain = len(text) <= _EXACT_LENGTH and "-" not in text[1:]
    return number if is_plain or not number.is_integer() or not _is_other(text, number) else _Inexact(number)


def _is_other(text: str, number: float) -> bool:
    """Tell whether a text says another number than the double that it is read as, and is not how that is written."""
    try:
        return Decimal(text) not in (Decimal(number), Decimal(repr(number)))
    except InvalidOperation:
        # An exponent of nineteen digits.
        return True


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


def _object_breaches(value: dict[str, Any], shape: Shape, path: str, unknown: dict[str, Any]) -> Iterator[Breach]:
    prefix = f"{path}." if path else ""
    yield from _duplicate_keys(value, prefix)
    for name, declared in shape.fields.items():
        if name in value:
            yield from _breaches(value[name], declared.shape, prefix + name, unknown)
        elif declared.required:
            yield Breach(prefix + name, "required field is missing")
    for key, item in value.items():
        if key not in shape.fields:
            yield from _foreign_breaches(item, _shown(prefix + key), key)
            unknown[_free(prefix + key, unknown)] = item


def _duplicate_keys(value: dict[str, Any], prefix: str) -> Iterator[Breach]:
    if isinstance(value, _Object):
        for key in value.duplicates:
            yield Breach(_shown(prefix + key), "duplicate key")


def _free(path: str, unknown: dict[str, Any]) -> str:
    """Return the path, or the next free one: a key may be spelled like the path of another."""
    while path in unknown:
        path += "'"
    return path


def _foreign_breaches(value: Any, path: str, key: str = "") -> Iterator[Breach]:
    """Yield what makes a value of no declared type unfit to be kept as JSON text."""
    if _lone_surrogate(key) or (isinstance(value, str) and _lone_surrogate(value)):
        yield Breach(path, "string holds a lone surrogate")
    elif isinstance(value, _OutOfRange):
        yield Breach(path, "number out of range")
    elif isinstance(value, dict):
        yield from _duplicate_keys(value, f"{path}.")
        for name, item in value.items():
            yield from _foreign_breaches(item, _shown(f"{path}.{name}"), name)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _foreign_breaches(item, _shown(f"{path}[{i}]"))


def _type_breach(value: Any, shape: Shape) -> str | None:
    """Return why a value does not have its declared type, or None."""
    if isinstance(value, _OutOfRange):
        return "number out of range"
    if isinstance(value, _Inexact) and shape.kind in ("int", "choice"):
        return "expected integer, got a number that is read as another"
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
    return _SURROGATE.search(text) is not None


def _shown(path: str) -> str:
    """Return a path as it is reported: of any length and with any characters, the text stays small and printable."""
    short = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"
    return short.encode("utf-8", "backslashreplace").decode()


def _name(value: Any, show: bool = False) -> str:
    if show and isinstance(value, int | float | str) and not isinstance(value, bool):
        return json.dumps(value[:80] if isinstance(value, str) else value)[:80]
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
