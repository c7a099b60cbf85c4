"""The guard process: kills the engines of a sweep when the sweep itself is gone, even by SIGKILL. Run as a script.

It reads on stdin, as fixed-size integers, each process group that the sweep starts (+n) and each that has ended (-n);
end of file while groups are alive means the sweep died. It imports nothing that loads slowly: every sweep starts it.
"""

from __future__ import annotations

import os
import select
import sys

SIZE = 8
"""Bytes of a message."""
_POLL_S = 1.0
_SIGKILL = 9  # the module that names it takes longer to load than everything else here


def _watch(parent: int) -> set[int]:
    """Return the groups alive when the parent process is gone."""
    live: set[int] = set()
    while True:
        if select.select([0], [], [], _POLL_S)[0]:
            message = os.read(0, SIZE)
            if not message:
                return live
            number = int.from_bytes(message, sys.byteorder, signed=True)
            live.add(number) if number > 0 else live.discard(-number)
        elif os.getppid() != parent:  # another child of the parent still holds the pipe open
            return live


def _main() -> None:
    for group in _watch(parent=int(sys.argv[1])):
        try:
            os.killpg(group, _SIGKILL)
        except (ProcessLookupError, PermissionError):  # already gone
            continue


if __name__ == "__main__":
    _main()
