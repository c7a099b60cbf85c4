"""Where in a TOML text something stands: the standard reader knows lines of syntax errors alone."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

Path = Sequence[str | int]


def line_of(text: str, path: Path) -> int:
    """Return the line, from 1, on which a key or a table begins; of something missing, that of what should hold it.

    text: a TOML document that can be read. path: keys and, in arrays, indices. An element of an array that is no
    table stands where the array begins.
    """
    lines = text.splitlines(keepends=True)
    while path:
        if _holds(tomllib.loads(text), path):
            break
        path = path[:-1]
    if not path:
        return 1
    before = 0
    for end in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue  # a value goes on
        if _holds(document, path):
            return before + 1
        before = end
    return 1


def _holds(document: Any, path: Path) -> bool:
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True
