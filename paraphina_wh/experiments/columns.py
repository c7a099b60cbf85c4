"""The columns of an experiment's table: `SOURCE`, `STATISTIC(SOURCE)`, `as NAME`, and `?`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_COLUMN: Final = re.compile(
    r"\s*(?:(?P<statistic>[a-z]+\d*)\s*\(\s*(?P<measured>\w+)?\s*(?:=\s*(?P<value>[\w.+-]+))?\s*\)|(?P<plain>\w+))"
    r"(?:\s+as\s+(?P<name>\w+))?\s*(?P<optional>\?)?\s*",
    re.ASCII,
)
_PERCENTILE: Final = re.compile(r"p(\d{1,2})")

# Statistic -> SQL over a column of numbers; percentiles are made by their number.
_SQL: Final = {
    "mean": "mean_of({0})",
    "frac": "mean_of({0})",
    "std": "std_of({0})",
    "min": "min({0})",
    "max": "max({0})",
    "median": "median({0})",
    "sum": "sum_of({0})",
}
STATISTICS: Final = ("count", "first", *_SQL, "pNN")
# Where a run stands in the grid; no source and no variable can have this name.
PLACE: Final = '" place"'


@dataclass(frozen=True)
class Column:
    """A column. source: None for a bare count. value: counts the share of this text. optional: left out when empty."""

    name: str
    source: str | None
    statistic: str | None
    value: str | None
    optional: bool

    @property
    def measures(self) -> bool:
        """Tell whether the source must be a number."""
        return self.statistic not in (None, "count", "first") and self.value is None

    @property
    def sql(self) -> str:
        """Return the expression of the column in a grouped table; every part of it is a word."""
        if self.source is None:
            return "count(*)"
        if self.statistic is None:
            return f'"{self.source}"'
        if self.statistic == "count":
            return f'count("{self.source}")'
        if self.statistic == "first":
            return f'first("{self.source}" ORDER BY {PLACE})'
        measured = f'CAST("{self.source}" AS DOUBLE)'
        if self.value is not None:
            same = f"""lower(CAST("{self.source}" AS VARCHAR)) = '{self.value.lower()}'"""
            measured = f'CASE WHEN {same} THEN 1e0 WHEN "{self.source}" IS NOT NULL THEN 0e0 END'
        percent = _PERCENTILE.fullmatch(self.statistic)
        if percent:
            return f"quantile_cont({measured}, {int(percent[1]) / 100})"
        return _SQL[self.statistic].format(measured)


def parse_column(text: str, keys: Sequence[str]) -> Column:
    """Return a column; keys: those of a grouped table, none for a table of runs.

    Raises: ValueError saying what is wrong with the text.
    """
    match = _COLUMN.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a column; write `SOURCE as NAME` or `mean(SOURCE)`")
    statistic, source = match["statistic"], match["measured"] or match["plain"]
    if statistic and not keys:
        raise ValueError(f"{text!r} takes no statistic: the table has a row per run")
    if not statistic and keys and source not in keys:
        raise ValueError(f"{text!r} needs a statistic, such as mean(pnl_total), or to be a key of the table")
    if statistic and statistic not in ("count", "first", *_SQL) and not _PERCENTILE.fullmatch(statistic):
        raise ValueError(f"{text!r}: no statistic {statistic!r}; there are {', '.join(STATISTICS)}")
    if source is None and statistic != "count":
        raise ValueError(f"{text!r}: {statistic} of what?")
    if match["value"] and statistic != "frac":
        raise ValueError(f"{text!r}: only frac() compares with a value")
    default = f"{source}_{statistic}" if statistic and source else source or "num_runs"
    return Column(match["name"] or default, source, statistic, match["value"], bool(match["optional"]))
