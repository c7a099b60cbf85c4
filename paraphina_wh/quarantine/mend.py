"""A telemetry file with corrected lines in the place of bad ones, as a copy; the file itself stays as it is."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec

from paraphina_wh.errors import WarehouseError
from paraphina_wh.telemetry.reader import BadLine, Sinks, read_strict
from paraphina_wh.telemetry.source import is_cut_off, open_source

_PIECE: Final = 1 << 20
_FORM: Final = "one JSON object a line with `line` and `raw`, as `quarantine show RUN --format jsonl` writes them"


class _Entry(msgspec.Struct):
    """A corrected line. raw goes before raw_base64; what else the entry holds does not count."""

    line: Annotated[int, msgspec.Meta(ge=1)]
    raw: str | None = None
    raw_base64: bytes | None = None


@dataclass
class Mending:
    """A source that is to be mended.

    sha256: of its content. bad: the numbers of its bad lines, rising. starts: number of a line that is too long ->
    hash of the start of it that the quarantine holds; an entry with this alone was not corrected.
    """

    source: Path
    origin: str
    sha256: str = ""
    bad: array[int] = field(default_factory=lambda: array("q"))
    starts: dict[int, bytes] = field(default_factory=dict)

    def read(self) -> None:
        """Find the bad lines. Raises: WarehouseError when the source cannot be read."""

        def note(bad: BadLine) -> None:
            self.bad.append(bad.line)
            if bad.size > len(bad.raw):
                self.starts[bad.line] = _hash(bad.raw)

        with open_source(self.source, may_be_cut=True) as stream:
            self.sha256 = read_strict(stream, sinks=Sinks(bad=note)).sha256
            if is_cut_off(stream):
                # What is made of it would look like all there was.
                raise WarehouseError(
                    f"{self.origin}: the packed data is cut off: lines of it cannot be corrected one by one",
                    "unpack what is left of it, repair that, and ingest it with --replace",
                )

    def write(self, corrected: Path, name: str, target: Path) -> None:
        """Write the content with corrected lines to a file. Memory does not grow with either file.

        corrected: file of entries in the order of their lines; an empty raw leaves a blank line. name: what to call it.
        Raises: WarehouseError naming the entry when it is none, or is about a line that is not bad.
        """
        with open_source(corrected) as entries, open_source(self.source) as source, target.open("wb") as out:
            fixes = self._fixes(entries, name)
            fix = next(fixes, None)
            if fix is None:
                raise WarehouseError(f"{name} holds no corrected line", _FORM)
            for number, piece, is_start in _pieces(source):
                if fix and number > fix[0]:
                    fix = next(fixes, None)
                if fix is None or number != fix[0]:
                    out.write(piece)
                elif is_start:
                    out.write(fix[1] + b"\n")
            # What is left of the entries is read for its mistakes alone.
            deque(fixes, maxlen=0)

    def _fixes(self, entries: IO[bytes], name: str) -> Iterator[tuple[int, bytes]]:
        """Yield (line, content) of the entries, checked."""
        last = 0
        for number, text in enumerate(entries, 1):
            if not text.strip():
                continue
            where = f"{name}: line {number}"
            line, content = _read(text, where)
            if line <= last:
                problem = "is corrected twice" if line == last else f"stands after line {last}"
                raise WarehouseError(f"{where}: line {line} {problem}", "one entry a line, in the order of the lines")
            if not self._is_bad(line):
                raise WarehouseError(
                    f"{where}: line {line} of {self.origin} is no bad line", "correct the lines that were put aside"
                )
            last = line
            if self.starts.get(line) != _hash(content):
                yield line, content

    def _is_bad(self, line: int) -> bool:
        place = bisect_left(self.bad, line)
        return place < len(self.bad) and self.bad[place] == line


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _read(text: bytes, where: str) -> tuple[int, bytes]:
    """Return line number and content of an entry."""
    try:
        entry = msgspec.json.decode(text, type=_Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WarehouseError(f"{where}: {error}", _FORM) from error
    content = entry.raw_base64 if entry.raw is None else entry.raw.encode()
    if content is None:
        raise WarehouseError(f"{where}: line {entry.line} has no raw", 'an empty one, "raw":"", takes the line out')
    if b"\n" in content:
        raise WarehouseError(f"{where}: the raw of line {entry.line} holds a line end", "one line is one record")
    return entry.line, content


def _pieces(source: IO[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (number of the line, piece of it, whether the line starts with it); no piece is long."""
    number, is_start = 0, True
    while piece := source.readline(_PIECE):
        number += is_start
        yield number, piece, is_start
        is_start = piece.endswith(b"\n")
