"""How many bad lines a file may have before the exit code says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from paraphina_wh.errors import WarehouseError

_SHARE: Final = re.compile(r"(\d{1,9}(?:\.\d{0,18})?|\.\d{1,18})\s*%")
_COUNT: Final = re.compile(r"\d{1,18}")


@dataclass(frozen=True)
class MaxBad:
    """The most bad lines of a file: so many, or a share of its lines. text: as it was given."""

    text: str
    count: int | None = None
    share: Fraction | None = None

    def is_exceeded(self, bad: int, lines: int) -> bool:
        """Tell whether so many bad lines of so many are too many; a share is compared without rounding."""
        if self.count is not None:
            return bad > self.count
        return self.share is not None and bad > self.share * lines


def read_max_bad(text: str) -> MaxBad:
    """Return the threshold that a text such as `0.1%` (of the lines of a file) or `10` (lines) stands for.

    Raises: WarehouseError (exit code 2) for any other text, and for more than 100%.
    """
    share, count = _SHARE.fullmatch(text.strip()), _COUNT.fullmatch(text.strip())
    if share and Fraction(share[1]) <= 100:
        return MaxBad(text, share=Fraction(share[1]) / 100)
    if count:
        return MaxBad(text, count=int(count[0]))
    raise WarehouseError(
        f"not a number of bad lines, nor a share of them: {text!r}",
        "write --max-bad 10 for ten lines of a file, --max-bad 0.1% for one line in a thousand",
        exit_code=2,
    )


def share_text(bad: int, lines: int) -> str:
    """Return a count with its share: `5 of 100 lines (5 %)`."""
    share = 100 * bad / lines if lines else 0.0
    return f"{bad} of {lines} lines ({share:.3g} %)"
