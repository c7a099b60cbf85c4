"""Text from files and arguments, made safe to show: it must not steer a terminal, break a table or hide in it."""

from __future__ import annotations

import re
from typing import Final

# Letters and marks that leave no trace on the screen, though Python calls them printable: fillers, the blank Braille
# pattern, variation selectors.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# What Markdown takes for its own: backslashes first of all, lest they undo the escapes. An underscore between letters
# or digits is plain text.
_MARKDOWN: Final = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")


def printable(text: str) -> str:
    """Return a text with all that cannot be seen escaped: controls, direction marks, fillers, odd white space."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() and not _INVISIBLE.match(c) else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        # A byte of a file name or an argument that is no UTF-8, as Python keeps it.
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def printable_lines(text: str) -> str:
    """Return a text of several lines, each made printable; line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def markdown_text(text: str) -> str:
    """Return a text as a piece of Markdown that shows it: no markup, no HTML, no end of a table cell."""
    html = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN.sub(r"\\\g<0>", html)


def is_utf8(text: str) -> bool:
    """Tell whether a text can be written as UTF-8: arguments and file names may hold other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
