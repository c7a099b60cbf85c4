"""Where in a TOML text something stands: the standard reader knows lines of syntax errors alone."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

Path = Sequence[str | int]

# A line on which a key or a table may begin. Lines of a long list are none, so that it costs one reading, not many.
_START: Final = re.compile(r"\s*(\[|[^#\s].*=)")


def line_of(text: str, path: Path) -> int:
    """Return the line, from 1, on which a key or a table begins; of something missing, that of what should hold it.

    text: a TOML document that can be read. path: keys and, in arrays, indices. An element of an array that is no
    table stands where the array begins.
    """
    document = tomllib.loads(text)
    while path and not _holds(document, path):
        path = path[:-1]
    lines = text.splitlines(keepends=True)
    starts = [place for place, line in enumerate(lines) if _START.match(line)]
    for start, end in pairwise([*starts, len(lines)]):
        if path and _begins_before(lines[:end], path):
            return start + 1
    return 1


def _begins_before(lines: Sequence[str], path: Path) -> bool:
    try:
        return _holds(tomllib.loads("".join(lines)), path)
    except tomllib.TOMLDecodeError:
        return False  # a value goes on


def _holds(document: Any, path: Path) -> bool:
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True
