"""Names of temporary folders, which tell the process they belong to: whoever finds one knows whether it is abandoned.

A process is known by its number, when it started (numbers are used again) and where it runs: another machine, or
another container, may share the folder and has processes of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "paraphina-wh-"
_NAME: Final = re.compile(r"(?:paraphina-wh-)?(?:spill-)?([0-9a-f]{8})-([0-9]+)-([0-9]+)-[0-9a-z_]+")
# Earlier versions named spill folders by the number alone, and other folders by no process.
_EARLIER: Final = re.compile(r"(?:paraphina-wh-)?spill-()()([0-9]+)-[0-9]+")


def owned_name() -> str:
    """Return a name that tells of this process; what is added to it after a `-` makes it one of a kind."""
    pid = os.getpid()
    return f"{_here()}-{_started(pid) or 0}-{pid}"


def temporary_prefix() -> str:
    """Return how the names of this process's folders among the temporary files begin."""
    return f"{_PREFIX}{owned_name()}-"


def is_abandoned(name: str) -> bool:
    """Tell of the name of a temporary folder whether its process is gone; not of one that runs elsewhere."""
    found = _NAME.fullmatch(name) or _EARLIER.fullmatch(name)
    if not found or not Path("/proc/self/stat").exists():
        return False
    where, began, pid = found.groups()
    started = _started(int(pid))
    return where in ("", _here()) and (started is None or began not in ("", str(started)))


def abandoned_folders() -> Iterator[Path]:
    """Yield the folders among the temporary files that processes of this user and program left there."""
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        if is_abandoned(path.name) and _is_own_folder(path):
            yield path


def _is_own_folder(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _here() -> str:
    """Return a short word for the machine and the container: where process numbers mean what they mean here."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:  # not Linux
        space = ""
    return hashlib.sha256(f"{os.uname().nodename} {space}".encode()).hexdigest()[:8]


def _started(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the machine did; None when there is no such process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(status.rpartition(b")")[2].split()[19])
