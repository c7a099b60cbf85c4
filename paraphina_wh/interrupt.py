"""Ctrl-C, and SIGTERM: what is said, and a clean end while libraries are still being loaded."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final, NoReturn

EXIT_CODE: Final = 130
MESSAGE: Final = "interrupted"
HINT: Final = "what was committed stays; repeat the same command to go on from there"
_IMPORT_SYSTEM: Final = "<frozen importlib"


def end_at_once_while_loading() -> None:
    """Make Ctrl-C, or SIGTERM, end the process there and then while a module is being loaded; else it raises as ever.

    An exception in the middle of an import comes out of a library as something else: a traceback, another exit code,
    or the end of the process by its C++ part. Nothing is written to the warehouse meanwhile, and files that are
    unfinished stay unfinished.
    """
    signal.signal(signal.SIGINT, _on_interrupt)
    # What batch systems send: temporary files and engines are cleaned up just as well.
    signal.signal(signal.SIGTERM, _on_interrupt)


def _on_interrupt(_: int, frame: FrameType | None) -> NoReturn:
    if _is_loading(frame):
        os.write(2, f"error: {MESSAGE}\nhint: {HINT}\n".encode())
        os._exit(EXIT_CODE)
    raise KeyboardInterrupt


def _is_loading(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False
