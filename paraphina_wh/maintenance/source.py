"""The sources that the records tell of: whether they are still there, and still what was taken in."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.overlapped import stream_sha256
from paraphina_wh.ingest.split import split_on_reset
from paraphina_wh.ingest.task import Task
from paraphina_wh.records import SourceRun
from paraphina_wh.telemetry.source import open_source
from paraphina_wh.warehouse import Warehouse

_STRETCH: Final = re.compile(r"#s\d+$")


class NoSourceError(Exception):
    """Why a damaged file cannot be made anew, for `repair` alone: the file is put aside then, and said so.

    Whatever else fails ends the repair, and changes nothing.
    """


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
    source = warehouse.root / (named if (warehouse.root / named).is_file() else _STRETCH.sub("", named))
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
