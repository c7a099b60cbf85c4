"""`python -m paraphina_wh`: the command line as a process of its own."""

from __future__ import annotations

import os
import sys

from paraphina_wh.interrupt import end_at_once, end_at_once_while_loading


def main() -> None:
    """Run the command line of this process."""
    end_at_once_while_loading()
    _open_closed_streams()
    # Only now: loading it takes long enough for a Ctrl-C.
    from paraphina_wh.cli import main as command_line

    try:
        command_line()
    finally:
        # The work is done: what is left is the end of the interpreter, which would answer with a traceback.
        end_at_once()


def _open_closed_streams() -> None:
    """Send to nowhere what would be printed to a closed stream: the next file to be opened would get its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


# Worker processes import this module again: only the first process is a command.
if __name__ == "__main__":
    main()
