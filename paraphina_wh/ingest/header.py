"""The header of a CSV: its names, and whether it is one that can be worked with."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraphina_wh.errors import WarehouseError
from paraphina_wh.masking import is_secret_name, shown_names
from paraphina_wh.telemetry.source import open_source

LONGEST_BYTES: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
# What a data frame calls a column without a name when it is read again: it counted the rows.
_UNNAMED: Final = re.compile(r"Unnamed: \d+(?:_level_\d+|\.\d+)*")
_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Header:
    """The names of the columns, white space around them removed; columns without a name have an empty one.

    warnings: what is odd but allowed.
    """

    names: list[str]
    warnings: list[str]

    @property
    def secret(self) -> list[str]:
        """Return the names that speak of secrets."""
        return [name for name in self.names if is_secret_name(name)]


def read_header(file: Path) -> Header:
    """Return the header of a CSV.

    Raises: WarehouseError when the file is empty, has a name twice, or is no comma-separated UTF-8 text.
    """
    with open_source(file) as stream:
        start = stream.read(LONGEST_BYTES)
    if not start.strip():
        raise WarehouseError(f"{file}: the file is empty", "export it again")
    if start.startswith(_WIDE):
        raise WarehouseError(f"{file}: UTF-16 text", "save it as UTF-8")
    written = [name.strip() for name in _first_record(file, start.removeprefix(_BOM))]
    names = ["" if _UNNAMED.fullmatch(name) else name for name in written]
    _check_names(file, names)
    unnamed = [
        f"{place} ({name})" if name else str(place) for place, name in enumerate(written, 1) if not names[place - 1]
    ]
    warnings = ["starts with a byte order mark"] if start.startswith(_BOM) else []
    if unnamed:
        warnings.append(f"column {', '.join(unnamed)} has no name: left out")
    found = Header(names, warnings)
    if found.secret:
        warnings.append(f"columns named like a secret, masked: {shown_names(found.secret)}")
    return found


def _first_record(file: Path, start: bytes) -> list[str]:
    if b"\n" not in start and b"\r" not in start and len(start) >= LONGEST_BYTES - len(_BOM):
        raise WarehouseError(f"{file}: line 1 is longer than {LONGEST_BYTES} bytes", "is it a CSV?")
    text = start.decode("utf-8", "replace")
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise WarehouseError(f"{file}: line 1: {error}", "is it a CSV?") from error
    if not names:
        raise WarehouseError(f"{file}: line 1 is blank", "the first line must name the columns")
    if "\ufffd" in "".join(names):
        raise WarehouseError(f"{file}: line 1: not UTF-8", "save it as UTF-8")
    return names


def _check_names(file: Path, names: list[str]) -> None:
    if len(names) == 1:
        for separator, called in _OTHER_SEPARATORS.items():
            if separator in names[0]:
                raise WarehouseError(f"{file}: the cells are separated by {called}, not by commas", "save it anew")
    twice = [name for name, count in Counter(name.lower() for name in names if name).items() if count > 1]
    if twice:
        raise WarehouseError(f"{file}: column {twice[0]!r} stands there twice", "rename or remove one of them")
