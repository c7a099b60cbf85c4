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
from paraphina_wh.telemetry.source import is_cut_off

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
# The reason that tells a cut-off end from a bad line, in the quarantine too; what stands behind it follows.
CUT_OFF: Final = "cut off at the end of the file"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that breaks the contract: where it stands, what it holds, what is wrong.

    line counts from 1, offset from 0; raw has no line end, and holds the start alone when the line is too long, or ends
    in the zero bytes of blocks that never reached the disk.
    breaches: the first of them. size: bytes of the whole line, without its end.
    """

    line: int
    offset: int
    raw: bytes
    breaches: tuple[Breach, ...]
    size: int


class End(msgspec.Struct, frozen=True):
    """How things stand after a tick, in US dollars; the kill switch is on once it latched."""

    pnl_realised: float
    pnl_unrealised: float
    pnl_total: float
    kill_switch: bool


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
    truncated: the last line is cut off (it counts as quarantined); of packed data that is cut off behind a whole line,
               that is a line of no bytes. cut_behind: what stands there instead, in words; mostly nothing.
    longest_line: bytes of the longest row, without its end.
    verbatim: a columnar reader may be given the file as it is: every line of it is a row.
    setbacks: lines that break no other rule than that the index rises: two runs in one file, or more.
    put_aside: hash of the numbers of the bad lines, a cut-off end left out; empty when there is none.
    killed: a row has the kill switch on. last: what the last line holds, None when it is a bad one.
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
    setbacks: int = 0
    carriage_returns: bool = False
    no_final_newline: bool = False
    truncated: bool = False
    cut_behind: str = ""
    sha256: str = ""
    put_aside: str = ""
    unknown: dict[str, Unknown] = field(default_factory=dict)
    killed: bool = field(default=False, compare=False)
    last: object = field(default=None, compare=False, repr=False)

    @property
    def end(self) -> End | None:
        """Return how things stand at the end of telemetry; None when its last line is a bad one."""
        return None if self.last is None else msgspec.convert(self.last, End, from_attributes=True)

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
            found.append(f"line {self.lines}: {CUT_OFF}{self.cut_behind}")
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
        for lines, complete, size, zeros in _lines(source, note, self.max_line):
            if not complete and (zeros or is_cut_off(source)):
                self._take_end(lines[0], size, zeros, is_cut_off(source))
            elif size > self.max_line:
                self._refuse_long(lines[0], size, complete)
            elif not any(lines):
                # By the million where nothing but newlines was packed tight.
                self._count_blank(len(lines), len(lines))
            else:
                self._take(lines, complete)
            # One may be of megabytes, and the next is read before this is let go of.
            del lines
        if is_cut_off(source) and not ledger.truncated:
            self._take_end(b"", 0, 0, is_packed=True)
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
            record = accept(line) if 0 < size <= fast else None
            if record is None or last is None or record.t != last + 1 or not complete or b"\r" in line:
                ledger.last_index = last
                self._slow(line, record, complete)
                last = ledger.last_index
                continue
            last = record.t
            ledger.last = record
            if record.kill_switch:
                ledger.killed = True
            ledger.rows += 1
            ledger.lines += 1
            ledger.row_bytes += size + 1
            ledger.bytes += size + 1
            if size > ledger.longest_line:
                ledger.longest_line = size
            if clean is not None:
                clean.write(line + b"\n")
        ledger.last_index = last

    def _slow(self, line: bytes, record: Tick | None, complete: bool) -> None:
        ledger, size = self.ledger, len(line)
        if size > self.max_line:
            self._refuse_long(line, size, complete)
        elif not line or line.isspace():
            self._count_blank(1, size + complete)
        else:
            ledger.carriage_returns |= b"\r" in line
            verdict = Verdict(index=record.t, record=record) if record else judge(line, self.contract)
            self._check_order(verdict)
            if verdict.breaches:
                self._reject(line, size, complete, verdict)
            else:
                self._admit(line, complete, verdict)

    def _take_end(self, start: bytes, size: int, zeros: int, is_packed: bool) -> None:
        """Take a last line of which is known that the engine wrote more.

        start: what stands before zero bytes. is_packed: it is where packed data is cut off.
        """
        if not is_packed and start.strip() and not start.lstrip().startswith(b"{"):
            self._reject(start, size, False, judge(start + b"\0", self.contract))
            return
        behind = f", {zeros} zero bytes behind it" if zeros else ""
        self.ledger.cut_behind = behind + ", where the packed data ends" * is_packed
        self._cut(start, size)

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
            # The index of a line that is bad anyway says nothing.
            self.ledger.setbacks += not verdict.breaches
            verdict.add(Breach(self.contract.index, f"{index} is not above the previous {last}"))

    def _reject(self, line: bytes, size: int, complete: bool, verdict: Verdict) -> None:
        if verdict.cut and not complete and line.lstrip().startswith(b"{"):
            self._cut(line, size)
        else:
            self.put_aside.update(b"%d\n" % (self.ledger.lines + 1))
            self._put_aside(line, size, complete, verdict)

    def _cut(self, start: bytes, size: int) -> None:
        self.ledger.truncated = True
        self._put_aside(start, size, False, refusal(CUT_OFF + self.ledger.cut_behind))

    def _put_aside(self, line: bytes, size: int, complete: bool, verdict: Verdict) -> None:
        ledger = self.ledger
        offset = self._count_line(size + complete)
        ledger.last = None
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
        ledger.last = _declared_end(verdict.record)
        ledger.killed |= _is_killed(verdict.record)
        ledger.rows += 1
        ledger.row_bytes += size + complete
        ledger.longest_line = max(ledger.longest_line, size)
        ledger.no_final_newline |= not complete
        if verdict.unknown:
            verdict.record = None
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


def _declared_end(record: object) -> object:
    """Return what `End` takes of a record: an undeclared text of megabytes is not to be held until the next line."""
    if not isinstance(record, dict):
        return record
    return {name: record[name] for name in End.__struct_fields__ if name in record}


def _is_killed(record: object) -> bool:
    return bool(record["kill_switch"] if isinstance(record, dict) else getattr(record, "kill_switch", False))


def _fast_path(contract: Contract, find_duplicates: bool) -> Callable[[bytes], Tick | None]:
    """Return a function line -> accepted record, None for any line it cannot vouch for."""
    if contract is not TICKS:
        # The slow path alone knows the full range of the unsigned seeds of mc_runs.
        return lambda line: None
    decode = msgspec.json.Decoder(Tick).decode
    encode_into = msgspec.json.Encoder().encode_into
    scratch = bytearray(BLOCK_BYTES)

    def accept(line: bytes) -> Tick | None:
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
        return record

    return accept


def _lines(
    source: IO[bytes], note: Callable[[bytes], None], max_line: int
) -> Iterator[tuple[list[bytes], bool, int, int]]:
    """Yield (lines without line end, whether they had one, bytes of the first, zero bytes left out at its end).

    A line longer than the limit comes alone, and of one that goes on beyond its block the start alone. Zero bytes are
    left out of a last line without end only.
    """
    held = _Held(max_line)
    while block := source.read(BLOCK_BYTES):
        note(block)
        lines = block.split(b"\n")
        tail = lines.pop()
        if lines and held.size:
            held.add(lines.pop(0))
            line, size = held.content(), held.size
            # What it is made of goes before it is judged: both could be of megabytes.
            held = _Held(max_line)
            yield [line], True, size, 0
            del line
        if lines:
            yield lines, True, 0, 0
        held.add(tail)
    if held.size:
        yield [bytes(held.start)], False, held.size, held.zeros


class _Held:
    """What is held of a line that goes on beyond its block: all, or the start alone when it is too long.

    size: of the line so far, with the zero bytes at its end, of which there may be any number: they are but counted.
    """

    def __init__(self, max_line: int) -> None:
        self.start = bytearray()
        self.size = 0
        self.zeros = 0
        self._max_line = max_line

    def add(self, piece: bytes) -> None:
        """Take the next piece of the line."""
        content = piece.rstrip(b"\0")
        if content:
            if self.size + len(content) <= self._max_line:
                self.start += bytes(self.zeros) + content
            else:
                self.start += bytes(min(self.zeros, KEPT_BYTES)) + content[:KEPT_BYTES]
                del self.start[KEPT_BYTES:]
            self.zeros = 0
        self.zeros += len(piece) - len(content)
        self.size += len(piece)

    def content(self) -> bytes:
        """Return what is held of the line, the zero bytes at its end included."""
        return bytes(self.start) + bytes(self.zeros if self.size <= self._max_line else 0)


def _without_positions(path: str) -> str:
    """Return a path with its list positions removed: `fills[3].rank` -> `fills[].rank`."""
    parts = path.split("[")
    return parts[0] + "".join("[" + p[p.index("]") :] if "]" in p else "[" + p for p in parts[1:])


def _json_type(value: Any) -> str:
    names = {bool: "boolean", str: "string", list: "array", type(None): "null"}
    return names.get(type(value), "object" if isinstance(value, dict) else "number")
