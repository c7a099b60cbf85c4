"""Telemetry files made from a string of bytes: good ones, and ones with any number of small things wrong.

The bytes are a tape of choices. Whoever turns the tape (hypothesis, a coverage-guided fuzzer, a random generator)
turns the file, and the same tape gives the same file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from tests import oracle

T = TypeVar("T")

_NUMBERS = ("0.0", "1.5", "-0.5", "0", "3", "1e-7", "7.1E+5", "-0.0", "250.25", "1e16")
_INTEGERS = ("0", "1", "-1", "3.0", "1e2", "9223372036854775807", "-9223372036854775808")
_TEXTS = ('"None"', '""', '"Normal"', '"HardLimit"', r'"\"a\\"', r'"\ud83d\ude00"', '"損失"', r'"\u0000"')
_ODD = (
    *("null", "true", "false", "1", "1.0", "2", "-1", "1.5", "-1.5e-3", '"1"', '"t"', "[]", "{}", "[null]", "[[]]"),
    *("[1,[2,{}]]", '{"a":1}', '{"a":1,"a":2}', '[{"t":1}]', "[true]", '["a",null]', '{"a":{"b":[1e999]}}'),
    *("1e400", "-1e400", "1e308", "1.7976931348623159e308", "9" * 309, "1" + "0" * 308, "9" * 401, "1e-999"),
    *("9223372036854775808", "-9223372036854775809", "9223372036854775807.0", "18446744073709551615"),
    *("18446744073709551616", "-0", "1e18", "1e19", "0.9999999999999999", "1.0000000000000000000001"),
    *("NaN", "Infinity", "-Infinity", "nan", "01", "1.", ".5", "-", "+1", "1e", "0x1", "1_0", "None", "'a'"),
    *(r'"\ud800"', r'"\udc00\ud800"', r'{"\ud800":1}', '"\t"', '"\x7f"', r'"\x41"', r'"\u00e"', '"', "", "[1,]"),
    *("[" * 255 + "]" * 255, "[" * 256 + "]" * 256, "[" * 2000, '{"a":' * 300 + "1" + "}" * 300, "tru", '{"a"}'),
)
_TOKENS = (
    *(b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b"1", b"-", b".", b"e", b"0", b" ", b"\r", b"\t", b"\0"),
    *(b"null", b"true", b'"t":', b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x0c", b"\x0b", b"\xc2\x85"),
    *(b"NaN", b"\\u0074", b"\\ud800", b"\xf0\x9f\x98\x80", b"\n", b'{"t":', b"//", b"'", b"\xe2\x80\xa8"),
)
_BLANKS = (b"", b" ", b"\t ", b"\r", b"\x0c", b"\x0b \r", b" " * 900, b"\xc2\xa0", b"\0", b"\x1c")


def _by_kind(rules: oracle.Rules) -> tuple[tuple[str, ...], ...]:
    """Return the fields of each type, so that a rare type comes up as often as any."""
    kinds = sorted(set(rules.fields.values()))
    return tuple(tuple(sorted(name for name, of in rules.fields.items() if of == kind)) for kind in kinds)


_NAMES = {rules.index: _by_kind(rules) for rules in (oracle.TICKS, oracle.RUNS)}


class Tape:
    """A string of bytes read as choices; at its end every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, most: int) -> int:
        """Return a number from 0 to most - 1."""
        size = 1 if most <= 256 else 2
        piece = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(piece, "little") % most

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]

    def take(self, most: int) -> bytes:
        """Return some bytes of the tape as they are."""
        size = self.below(most + 1)
        self._at += size
        return self._data[self._at - size : self._at]


def file_of(tape: Tape, rules: oracle.Rules = oracle.TICKS) -> bytes:
    """Return a file of a few lines."""
    index = tape.pick((0, 0, 0, 1, -1, 2**63 - 3))
    lines = []
    for _ in range(1 + tape.below(5)):
        lines.append(_line(tape, rules, index))
        index += tape.pick((1, 1, 1, 1, 1, 2, 0, -1))
    content = b"".join(lines)
    cut = content[: len(content) - tape.pick((0, 0, 0, 0, 1, 2, 30, 300))]
    return cut + bytes(tape.pick((0, 0, 0, 0, 0, 0, 1, 700)))


def _line(tape: Tape, rules: oracle.Rules, index: int) -> bytes:
    kind = tape.below(12)
    if kind == 10:
        return tape.pick(_BLANKS) + b"\n"
    if kind == 11:
        return tape.take(40) + b"\n"
    text = _record(tape, rules, index).encode("utf-8", "surrogatepass")
    for _ in range(tape.pick((0, 0, 0, 0, 1, 1, 2, 3))):
        at = tape.below(len(text) + 1)
        text = text[:at] + tape.pick(_TOKENS) + text[at + tape.pick((0, 0, 1, 1, 2, 9)) :]
    return text + tape.pick((b"\n", b"\n", b"\n", b"\r\n", b" \n", b"}\n"))


def _record(tape: Tape, rules: oracle.Rules, index: int) -> str:
    pairs = [[json.dumps(name), _fit(rules.fields[name])] for name in sorted(rules.required)]
    for pair in pairs:
        if pair[0] == f'"{rules.index}"':
            pair[1] = str(index)
    for _ in range(tape.pick((0, 1, 1, 2, 3, 4))):
        _edit(tape, pairs, rules)
    colon, comma = tape.pick(((":", ","), (": ", ", "), (" :", "\t,")))
    return "{" + comma.join(colon.join(pair) for pair in pairs) + "}"


def _edit(tape: Tape, pairs: list[list[str]], rules: oracle.Rules) -> None:
    """Change a record, given as texts of keys and values."""
    at, kind = tape.below(len(pairs)) if pairs else 0, tape.below(10)
    if kind == 0 and pairs:
        del pairs[at]
    elif kind == 1 and pairs:
        pairs[at][1] = tape.pick(_ODD)
    elif kind == 2 and pairs:
        pairs.append([pairs[at][0], tape.pick((pairs[at][1], tape.pick(_ODD)))])
    elif kind == 3:
        pairs.insert(at, [tape.pick(('"later"', '"a.b"', '"fills[0].x"', '""', r'"\u0074"', '"x" ', r'"\ud800"')), "1"])
    elif kind == 4:
        pairs.insert(at, [json.dumps("k" * tape.pick((1, 199, 200, 201, 700))), tape.pick(_ODD)])
    else:
        name = tape.pick(tape.pick(_NAMES[rules.index]))
        pairs.append([json.dumps(name), _value(tape, rules.fields[name])])


def _value(tape: Tape, kind: str, depth: int = 0) -> str:
    """Return a value for a field of some type, now and then one of another."""
    if tape.below(4) == 0:
        return tape.pick(_ODD)
    if kind.startswith("["):
        return "[" + ",".join(_value(tape, kind[1:-1], depth + 1) for _ in range(tape.below(4))) + "]"
    if kind in oracle.STRUCTS:
        names = (*oracle.STRUCTS[kind], "later")
        chosen = [tape.pick(names) for _ in range(tape.below(4))]
        inner = (f'"{name}":{_value(tape, oracle.STRUCTS[kind].get(name, "any"), depth + 1)}' for name in chosen)
        return "{" + ",".join(inner) + "}"
    return tape.pick(_OF_KIND[kind])


_OF_KIND = {
    "num": _NUMBERS,
    "int": _INTEGERS,
    "u64": (*_INTEGERS, "18446744073709551615"),
    "str": _TEXTS,
    "bool": ("true", "false"),
    "one": ("1", "1.0", "1e0"),
    "regime": ('"Normal"', '"Warning"', '"HardLimit"'),
    "any": ("null", "{}", "[1]", '{"a":[null]}', '"x"'),
}


def _fit(kind: str) -> str:
    return _OF_KIND[kind][0]
