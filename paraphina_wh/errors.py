"""The one error class that users see."""

from __future__ import annotations


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
