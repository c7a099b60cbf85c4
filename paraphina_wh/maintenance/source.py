"""The sources that the records tell of: whether they are still there, and still what was taken in."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.overlapped import stream_sha256
from paraphina_wh.ingest.split import split_on_reset, stretch_sizes
from paraphina_wh.ingest.task import Task
from paraphina_wh.records import SourceRun
from paraphina_wh.telemetry.reader import BLOCK_BYTES
from paraphina_wh.telemetry.source import open_source
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_STRETCH: Final = re.compile(r"#s\d+$")


class NoSourceError(Exception):
    """Why a damaged file cannot be made anew, for `repair` alone: the file is put aside then, and said so.

    Whatever else fails ends the repair, and changes nothing.
    """


@contextmanager
def open_as_taken(warehouse: Warehouse, source: str, split: Collection[str]) -> Iterator[IO[bytes]]:
    """Open a source as a run was made of it: the whole of it, or one stretch of it.

    split: the sources of which stretches were taken in. Raises: WarehouseError when it cannot be opened or read.
    """
    base = without_stretch(source)
    with open_source(warehouse.root / (base if base in split else source), may_be_cut=True) as stream:
        if base not in split:
            yield stream
            return
        before = stretch_sizes(warehouse.root / base)
        number = int(source.rpartition("#s")[2]) if source != base else 1
        for size in before[: number - 1]:
            _skip(stream, size)
        yield io.BufferedReader(_Window(stream, sum(before[number - 1 : number])))


def without_stretch(source: str) -> str:
    """Return the file of a source: `sweep.jsonl#s2` is a stretch of one."""
    return _STRETCH.sub("", source)


def _skip(stream: IO[bytes], size: int) -> None:
    while size and (block := stream.read(min(size, BLOCK_BYTES))):
        size -= len(block)


class _Window(io.RawIOBase):
    """The next bytes of a stream, so many of them."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        """Tell that bytes can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer and return how many bytes it got; 0 at the end."""
        target = memoryview(buffer)
        block = self._stream.read(min(self._left, len(target)))
        target[: len(block)] = block
        self._left -= len(block)
        return len(block)


def identical_source(warehouse: Warehouse, made_of: SourceRun, staging: Path) -> Path:
    """Return the file that something was made of, or a copy of the stretch of it.

    staging: folder for the copy. Raises: NoSourceError when it is gone, cannot be read, or is another one by now.
    """
    try:
        return _identical(warehouse, made_of, staging)
    except WarehouseError as error:
        raise NoSourceError(error.message) from error


def _identical(warehouse: Warehouse, made_of: SourceRun, staging: Path) -> Path:
    named = made_of.source or "-"
    source = warehouse.root / (named if (warehouse.root / named).is_file() else without_stretch(named))
    if named == "-" or not source.is_file():
        raise NoSourceError(f"its source {named if named != '-' else 'standard input'} is not there any more")
    if _sha256(source, made_of.bytes) == made_of.sha256:
        return source
    for piece in _stretches(source, staging) if made_of.kind == "telemetry" else ():
        if _sha256(piece) == made_of.sha256:
            return piece
    raise NoSourceError(f"its source {named} has other content by now")


def _sha256(source: Path, first_bytes: int = 0) -> str:
    """Return the hash of a source, decompressed, or of its first bytes alone."""
    with open_source(source, may_be_cut=True) as stream:
        if first_bytes:
            return hashlib.sha256(stream.read(first_bytes)).hexdigest()
        return stream_sha256(stream)


def _stretches(source: Path, staging: Path) -> list[Path]:
    whole = Task(source=str(source), origin="", profile="", label="", experiment="", size_bytes=0)
    return [Path(piece.source) for piece in split_on_reset(whole, staging) if piece.source]
