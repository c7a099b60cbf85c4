"""What an engine said on stdout, from the file that holds it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from paraphina_wh.engine.capture import Ends
from paraphina_wh.telemetry.source import open_source

_BLOCK_BYTES: Final = 1 << 20


class Log(NamedTuple):
    """A stdout log. text: its ends, where it is longer than they are; sha256: of all of it, decompressed."""

    text: str
    sha256: str


def read_log(file: Path) -> Log:
    """Read a stdout log of any length.

    Raises: WarehouseError when it cannot be read, or its packing is damaged.
    """
    ends, digest = Ends(), hashlib.sha256()
    with open_source(file) as stream:
        while block := stream.read(_BLOCK_BYTES):
            ends.feed(block)
            digest.update(block)
    return Log(ends.text(), digest.hexdigest())
