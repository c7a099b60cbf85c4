"""The strict reader: one exact pass over a JSONL file.

Every byte is accounted for: lines = rows + quarantined + blank, and their bytes add up to the file. Memory
does not grow with the file: 256 KiB blocks, one line at a time, and a limit on all that is collected.

Source: the engine's telemetry schema, version 1 (life of the file, numbers, validation rules).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final, Protocol

import msgspec

from paraphina_wh.errors import WarehouseError
from paraphina_wh.telemetry.judge import LONGEST_PATH, Breach, Verdict, extra_text, judge, refusal
from paraphina_wh.telemetry.record import Tick
from paraphina_wh.telemetry.shape import TICKS, Contract

BLOCK_BYTES: Final = 1 << 18
MAX_LINE_BYTES: Final = 64 << 20
LIMIT_NAME: Final = "PARAPHINA_WH_MAX_LINE"
_LARGEST_LIMIT: Final = 1 << 30
# What is kept of a line beyond the limit: enough to recognise it. The file and the offset lead to the rest.
KEPT_BYTES: Final = 1 << 16
# Longer lines go the exact way alone, which turns down those that would cost too much memory.
LONGEST_FAST_LINE: Final = 1 << 20
# Different undeclared fields that the ledger lists; OTHERS stands for all that come later.
MOST_UNKNOWN: Final = 10_000
OTHERS: Final = "*"
# A file like this is no telemetry: reading on would cost time and disk, and say nothing new.
MOST_BAD_LINES: Final = 100_000
BAD_LINES_A_ROW: Final = 100


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that breaks the contract: where it stands, what it holds, what is wrong.

    line counts from 1, offset from 0; raw has no line end, and holds the start alone when the line is too long.
    breaches: the first of them. size: bytes of the whole line, without its end.
    """

    line: int
    offset: int
    raw: bytes
    breaches: tuple[Breach, ...]
    size: int


@dataclass(slots=True)
class Unknown:
    """An undeclared field: the line that first held it, how many records hold it, the JSON types seen."""

    first_line: int
    count: int = 0
    types: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Ledger:
    """The account of one file.

    lines = rows + quarantined + blank; the three *_bytes add up to bytes, line ends included.
    truncated: the last line is cut off (it counts as quarantined).
    longest_line: bytes of the longest row, without its end.
    verbatim: a columnar reader may be given the file as it is: every line of it is a row.
    put_aside: hash of the numbers of the bad lines, a cut-off end left out; empty when there is none.
    unknown: path without list positions -> what was seen there; long paths are cut, and OTHERS stands for the rest
             when there are too many.
    """

    lines: int = 0
    rows: int = 0
    quarantined: int = 0
    blank: int = 0
    bytes: int = 0
    row_bytes: int = 0
    quarantined_bytes: int = 0
    blank_bytes: int = 0
    longest_line: int = 0
    errors: int = 0
    first_index: int | None = None
    last_index: int | None = None
    gaps: int = 0
    carriage_returns: bool = False
    no_final_newline: bool = False
    truncated: bool = False
    sha256: str = ""
    put_aside: str = ""
    unknown: dict[str, Unknown] = field(default_factory=dict)

    @property
    def verbatim(self) -> bool:
        """Tell whether every line of the file is a row in a form all JSON readers agree on."""
        return not (self.quarantined or self.blank or self.carriage_returns)

    def warnings(self) -> list[str]:
        """Return what is odd but allowed, in plain words."""
        if not self.rows and not self.quarantined:
            return ["the file holds no record"]
        found = []
        if self.truncated:
            found.append(f"line {self.lines}: cut off at the end of the file")
        if self.no_final_newline:
            found.append(f"line {self.lines}: no newline at the end of the file")
        if self.carriage_returns:
            found.append("lines end with CRLF or hold carriage returns")
        if self.first_index not in (None, 0):
            found.append(f"the first index is {self.first_index}, not 0")
        if self.gaps:
            found.append(f"{self.gaps} gap(s) in the index")
        return found


class Lines(Protocol):
    """What takes lines: a file, or somebody who looks at them."""

    def write(self, line: bytes, /) -> object:
        """Take a line."""


@dataclass(slots=True)
class Sinks:
    """Where the pass sends what it sees; each is optional.

    bad: called with every line that breaks the contract.
    extra: called with (index, JSON text of the unknown fields) of every row that has some.
    clean: receives the rows, one a line, in a form all JSON readers agree on.
    """

    bad: Callable[[BadLine], None] | None = None
    extra: Callable[[int, str], None] | None = None
    clean: Lines | None = None


def read_strict(
    source: IO[bytes],
    contract: Contract = TICKS,
    sinks: Sinks | None = None,
    *,
    find_duplicates: bool = True,
    hashed: bool = True,
    max_line_bytes: int | None = None,
) -> Ledger:
    """Read a whole stream of decompressed bytes and return its ledger.

    find_duplicates: notice duplicate keys. They cost a third of the speed; an ingest leaves them to its
    columnar read, which refuses them, and repeats the pass with this on to name the line.
    hashed: compute the SHA-256 on the way; without, the ledger's is empty, for a caller that has it from elsewhere.
    max_line_bytes: a longer line is a bad one, and its start is all that is held of it; by default `line_limit()`.
    Raises: WarehouseError when a file is so bad that it cannot be what it is read as.
    """
    digest = hashlib.sha256()
    limit = line_limit() if max_line_bytes is None else max_line_bytes
    ledger = _Pass(contract, sinks or Sinks(), find_duplicates, limit).run(
        source, digest.update if hashed else lambda block: None
    )
    ledger.sha256 = digest.hexdigest() if hashed else ""
    return ledger


def line_limit() -> int:
    """Return how many bytes a line may have, its end not counted: $PARAPHINA_WH_MAX_LINE, else 64 MiB.

    Raises: WarehouseError (exit code 2) when the variable says something else.
    """
    text = os.environ.get(LIMIT_NAME) or str(MAX_LINE_BYTES)
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 1 <= limit <= _LARGEST_LIMIT:
        raise WarehouseError(
            f"{LIMIT_NAME}={text[:80]} is no number of bytes from 1 to {_LARGEST_LIMIT}",
            f"leave it out for {MAX_LINE_BYTES}",
            exit_code=2,
        )
    return limit


class _Pass:
    """The state of one pass."""

    def __init__(self, contract: Contract, sinks: Sinks, find_duplicates: bool, max_line: int) -> None:
        self.contract = contract
        self.sinks = sinks
        self.max_line = max_line
        self.ledger = Ledger()
        self.put_aside = hashlib.sha256()
        self.accept = _fast_path(contract, find_duplicates)

    def run(self, source: IO[bytes], note: Callable[[bytes], None]) -> Ledger:
        ledger = self.ledger
        for lines, complete, size in _lines(source, note, self.max_line):
            if size > self.max_line:
                self._refuse_long(lines[0], size, complete)
            elif not any(lines):
                # By the million where nothing but newlines was packed tight.
                self._count_blank(len(lines), len(lines))
            else:
                self._take(lines, complete)
        assert ledger.lines == ledger.rows + ledger.quarantined + ledger.blank
        if ledger.quarantined > ledger.truncated:
            ledger.put_aside = self.put_aside.hexdigest()
        return ledger

    def _count_blank(self, lines: int, size: int) -> None:
        self.ledger.lines += lines
        self.ledger.blank += lines
        self.ledger.bytes += size
        self.ledger.blank_bytes += size

    def _take(self, lines: list[bytes], complete: bool) -> None:
        """Judge lines; the hot loop. Everything unusual about a line goes to `_slow`."""
        ledger, accept, last = self.ledger, self.accept, self.ledger.last_index
        clean, fast = self.sinks.clean, min(self.max_line, LONGEST_FAST_LINE)
        for line in lines:
            size = len(line)
            index = accept(line) if 0 < size <= fast else None
            if index is None or last is None or index != last + 1 or not complete or b"\r" in line:
                ledger.last_index = last
                self._slow(line, index, complete)
                last = ledger.last_index
                continue
            last = index
            ledger.rows += 1
            ledger.lines += 1
            ledger.row_bytes += size + 1
            ledger.bytes += size + 1
            if size > ledger.longest_line:
                ledger.longest_line = size
            if clean is not None:
                clean.write(line + b"\n")
        ledger.last_index = last

    def _slow(self, line: bytes, index: int | None, complete: bool) -> None:
        ledger, size = self.ledger, len(line)
        if size > self.max_line:
            self._refuse_long(line, size, complete)
        elif not line or line.isspace():
            self._count_blank(1, size + complete)
        else:
            ledger.carriage_returns |= b"\r" in line
            verdict = Verdict(index=index) if index is not None else judge(line, self.contract)
            self._check_order(verdict)
            if verdict.breaches:
                self._reject(line, size, complete, verdict)
            else:
                self._admit(line, complete, verdict)

    def _refuse_long(self, start: bytes, size: int, complete: bool) -> None:
        limit = f"longer than the limit of {self.max_line} bytes: {size}"
        self._reject(start[:KEPT_BYTES], size, complete, refusal(limit))

    def _count_line(self, size: int) -> int:
        """Enter a line of so many bytes, its end included, and return where it begins."""
        offset = self.ledger.bytes
        self.ledger.lines += 1
        self.ledger.bytes += size
        return offset

    def _check_order(self, verdict: Verdict) -> None:
        index, last = verdict.index, self.ledger.last_index
        if index is not None and last is not None and index <= last:
            verdict.add(Breach(self.contract.index, f"{index} is not above the previous {last}"))

    def _reject(self, line: bytes, size: int, complete: bool, verdict: Verdict) -> None:
        ledger = self.ledger
        offset = self._count_line(size + complete)
        if verdict.cut and not complete and line.lstrip().startswith(b"{"):
            ledger.truncated = True
            verdict = refusal("cut off at the end of the file")
        else:
            self.put_aside.update(b"%d\n" % ledger.lines)
        ledger.quarantined += 1
        ledger.quarantined_bytes += size + complete
        ledger.errors += verdict.errors
        if self.sinks.bad:
            self.sinks.bad(BadLine(ledger.lines, offset, line, tuple(verdict.breaches), size))
        if ledger.quarantined > MOST_BAD_LINES and ledger.quarantined > BAD_LINES_A_ROW * ledger.rows:
            raise WarehouseError(
                f"gave up at line {ledger.lines}: {ledger.quarantined} lines break the contract, {ledger.rows} keep it",
                f"is it {self.contract.name}?",
            )

    def _admit(self, line: bytes, complete: bool, verdict: Verdict) -> None:
        ledger, index, size = self.ledger, verdict.index, len(line)
        assert index is not None
        self._count_line(size + complete)
        if ledger.first_index is None:
            ledger.first_index = index
        elif ledger.last_index is not None and index > ledger.last_index + 1:
            ledger.gaps += 1
        ledger.last_index = index
        ledger.rows += 1
        ledger.row_bytes += size + complete
        ledger.longest_line = max(ledger.longest_line, size)
        ledger.no_final_newline |= not complete
        if verdict.unknown:
            self._note_unknown(index, verdict.unknown)
        if self.sinks.clean:
            # Outside strings a carriage return is white space; inside them JSON does not allow it.
            self.sinks.clean.write(line.replace(b"\r", b" ") + b"\n")

    def _note_unknown(self, index: int, unknown: dict[str, Any]) -> None:
        known, listed = self.ledger.unknown, set()
        for path, value in unknown.items():
            name = self._listed(path)
            known.setdefault(name, Unknown(self.ledger.lines)).types.add(_json_type(value))
            listed.add(name)
        for name in listed:
            known[name].count += 1
        if self.sinks.extra:
            text = extra_text(unknown)
            # A line at the limit is held in several forms as it is.
            unknown.clear()
            self.sinks.extra(index, text)

    def _listed(self, path: str) -> str:
        """Return the name under which the ledger counts an undeclared field."""
        name = _without_positions(path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…")
        known = self.ledger.unknown
        return name if name in known or len(known) < MOST_UNKNOWN else OTHERS


def _fast_path(contract: Contract, find_duplicates: bool) -> Callable[[bytes], int | None]:
    """Return a function line -> index of an accepted record, None for any line it cannot vouch for."""
    if contract is not TICKS:
        # The slow path alone knows the full range of the unsigned seeds of mc_runs.
        return lambda line: None
    decode = msgspec.json.Decoder(Tick).decode
    encode_into = msgspec.json.Encoder().encode_into
    scratch = bytearray(BLOCK_BYTES)

    def accept(line: bytes) -> int | None:
        try:
            record = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        # Any JSON: the decoder knows no limit of depth and size for it, and the columnar read, which keeps it as
        # text, does not look for duplicate keys in it.
        if record.policy_action_raw or record.policy_action_applied:
            return None
        # Without escapes every quote delimits a key or a string: a record written back has fewer of them
        # exactly when the decoder dropped one of two equal keys.
        if find_duplicates:
            encode_into(record, scratch)
            if b"\\" in line or line.count(b'"') != scratch.count(b'"'):
                return None
        return record.t

    return accept


def _lines(source: IO[bytes], note: Callable[[bytes], None], max_line: int) -> Iterator[tuple[list[bytes], bool, int]]:
    """Yield (lines without line end, whether they had one, bytes of the first).

    A line longer than the limit comes alone, and of one that goes on beyond its block the start alone.
    """
    held = bytearray()
    size = 0
    while block := source.read(BLOCK_BYTES):
        note(block)
        lines = block.split(b"\n")
        tail = lines.pop()
        if lines and size:
            size = _hold(held, size, lines.pop(0), max_line)
            line, held = bytes(held), bytearray()
            yield [line], True, size
            size = 0
        if lines:
            yield lines, True, 0
        size = _hold(held, size, tail, max_line)
    if size:
        yield [bytes(held)], False, size


def _hold(held: bytearray, size: int, piece: bytes, max_line: int) -> int:
    """Append a piece to what is held of a line, and return the size of the line so far."""
    if size + len(piece) <= max_line:
        held += piece
    else:
        held += piece[:KEPT_BYTES]
        del held[KEPT_BYTES:]
    return size + len(piece)


def _without_positions(path: str) -> str:
    """Return a path with its list positions removed: `fills[3].rank` -> `fills[].rank`."""
    parts = path.split("[")
    return parts[0] + "".join("[" + p[p.index("]") :] if "]" in p else "[" + p for p in parts[1:])


def _json_type(value: Any) -> str:
    names = {bool: "boolean", str: "string", list: "array", type(None): "null"}
    return names.get(type(value), "object" if isinstance(value, dict) else "number")
