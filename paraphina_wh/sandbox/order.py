"""What the two ends of an untrusted query say to each other besides the rows."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

# The first byte of the process: it has given up what the query shall not have, and begins.
READY: Final = b"\n"


class Order(msgspec.Struct, frozen=True):
    """A query for a process of its own: the folders of the warehouse, the SQL, seconds, bytes of memory."""

    root: str
    path: str
    sql: str
    timeout_s: float
    memory: int


class Complaint(msgspec.Struct, frozen=True):
    """A WarehouseError of that process."""

    message: str
    hint: str
    exit_code: Literal[1, 2]
