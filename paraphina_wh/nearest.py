"""The known name that a mistyped one stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_SHOWN: Final = 3


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the question that names the known names closest to a mistyped one, in whatever case.

    otherwise: what is said when none is close.
    """
    by_lower = {each.lower(): each for each in known}
    close = [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower, n=_SHOWN)]
    return f"did you mean {' or '.join(close)}?" if close else otherwise
