"""Ctrl-C, SIGTERM and SIGHUP: what is said, and a clean end while libraries are still being loaded."""

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
    """Make Ctrl-C end the process there and then while a module is being loaded; else it raises as ever.

    So does SIGTERM, which batch systems send, and SIGHUP, which a terminal sends when it closes: temporary files and
    engines are cleaned up just as well. A SIGHUP that is ignored, as `nohup` has it, stays ignored.

    An exception in the middle of an import comes out of a library as something else: a traceback, another exit code,
    or the end of the process by its C++ part. Nothing is written to the warehouse meanwhile, and files that are
    unfinished stay unfinished.
    """
    for each in (signal.SIGINT, signal.SIGTERM, *_hang_up()):
        signal.signal(each, _on_interrupt)


def end_at_once() -> None:
    """Make the same signals end the process there and then, without a word."""
    for each in (signal.SIGINT, signal.SIGTERM, *_hang_up()):
        signal.signal(each, signal.SIG_DFL)


def wake_from_waits() -> None:
    """Let Ctrl-C end a wait for a lock, a thread or a file lock: call it before one that may be long.

    Polars, once it is loaded, has the system go on waiting, and the answer to Ctrl-C comes after that.
    """
    signal.siginterrupt(signal.SIGINT, True)


def _hang_up() -> tuple[signal.Signals, ...]:
    return () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)


def _on_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    if number == signal.SIGHUP:
        # It may come twice, from the kernel and from the shell: the second must not cut the cleaning up short.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
