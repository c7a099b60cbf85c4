"""The one error class that users see, and what is said when the machine is at fault."""

from __future__ import annotations

import errno
import os
import re
from typing import Final

# The errors of a machine that is full, limited or broken: what to do about them.
MACHINE_HINTS: Final = {
    errno.ENOSPC: "free some disk space and repeat the command: nothing was half-written",
    errno.EDQUOT: "free some disk space and repeat the command: nothing was half-written",
    errno.EFBIG: "raise the limit of the size of files with `ulimit -f`",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "check the permissions of the folder",
    errno.EMFILE: "raise the limit of open files with `ulimit -n`, or use fewer --jobs",
    errno.ENFILE: "the system has too many files open: repeat the command when it has less to do",
    errno.EIO: "the disk reports an error: look at its health, then repeat the command",
}
# How DuckDB names a file that it failed to open or to write.
_FAILED_FILE: Final = re.compile(r"(?:Could not|Cannot) [a-z ]+ file \\?\"([^\"\\]+)")


class WarehouseError(Exception):
    """Something the user can act on.

    message: what is wrong and where (file, line, field, value).
    hint: the next step; empty when the message says it all.
    exit_code: 1 contract breach, failed run or damaged data; 2 usage, missing file or missing engine.
    """

    def __init__(self, message: str, hint: str = "", *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


def machine_error(error: Exception, where: str = "") -> WarehouseError | None:
    """Return what the user is to see of an error of the system, or of DuckDB, when the machine is at fault, else None.

    where: what could not be done, and where; by default the file that the error names.
    """
    number, text = getattr(error, "errno", None), str(error)
    code = next((code for code in MACHINE_HINTS if number == code or (not number and os.strerror(code) in text)), None)
    if code is None:
        return None
    found = _FAILED_FILE.search(text)
    named = found[1] if found else getattr(error, "filename", None)
    said = getattr(error, "strerror", None) or os.strerror(code)
    return WarehouseError(": ".join(filter(None, (where or named, said))), MACHINE_HINTS[code])
