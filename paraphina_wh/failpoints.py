"""Steps of the commit path at which a test makes the process fail: no-ops unless the environment asks.

`PARAPHINA_WH_FAILPOINT=<n>:<what>`: at the n-th step of this process, from 1, do what: `kill` sends SIGKILL, `sigint`
SIGINT, and the name of an errno, such as `EIO`, raises that OSError.
`PARAPHINA_WH_STEPS=<file>`: append every step to a file, its name and the line of code it stands in, so that a test
knows how many there are and which were reached.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

_FAIL = "PARAPHINA_WH_FAILPOINT"
_TRACE = "PARAPHINA_WH_STEPS"


def _nothing(name: str) -> None:
    """Go on: what every step is in normal use."""


def armed() -> Callable[[str], None]:
    """Return the step of a process under attack, as the environment asks for it now."""
    number, _, what = os.environ.get(_FAIL, "0:").partition(":")
    trace, steps = os.environ.get(_TRACE), count(1)

    def step(name: str) -> None:
        if trace:
            caller = sys._getframe(1)
            with Path(trace).open("a") as out:
                out.write(f"{name} {Path(caller.f_code.co_filename).name}:{caller.f_lineno}\n")
        if next(steps) == int(number):
            _fail(what, name)

    return step


def _fail(what: str, name: str) -> None:
    signals = {"kill": signal.SIGKILL, "sigint": signal.SIGINT}
    if what in signals:
        os.kill(os.getpid(), signals[what])
        return
    code = getattr(errno, what)
    raise OSError(code, f"{os.strerror(code)} (at step {name!r})")


step = armed() if {_FAIL, _TRACE} & os.environ.keys() else _nothing
