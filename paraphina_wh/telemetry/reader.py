"""The strict reader: one exact pass over a JSONL file.

Every byte is accounted for: lines = rows + quarantined + blank, and their bytes add up to the file. Memory
does not grow with the file: 256 KiB blocks, one line at a time.

Source: the engine's telemetry schema, version 1 (life of the file, numbers, validation rules).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import msgspec

from paraphina_wh.telemetry.judge import Breach, Verdict, extra_text, judge
from paraphina_wh.telemetry.record import Tick
from paraphina_wh.telemetry.shape import TICKS, Contract

BLOCK_BYTES = 1 << 18
MAX_LINE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that breaks the contract: where it stands, what it holds, what is wrong.

    line counts from 1, offset from 0; raw has no line end, and is cut at the limit when the line is too long.
    """

    line: int
    offset: int
    raw: bytes
    breaches: tuple[Breach, ...]


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
    verbatim: a columnar reader may be given the file as it is: every line of it is a row.
    unknown: path without list positions -> what was seen there.
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


@dataclass(slots=True)
class Sinks:
    """Where the pass sends what it sees; each is optional.

    bad: called with every line that breaks the contract.
    extra: called with (index, JSON text of the unknown fields) of every row that has some.
    clean: receives the rows, one a line, in a form all JSON readers agree on.
    """

    bad: Callable[[BadLine], None] | None = None
    extra: Callable[[int, str], None] | None = None
    clean: IO[bytes] | None = None


def read_strict(
    source: IO[bytes],
    contract: Contract = TICKS,
    sinks: Sinks | None = None,
    *,
    find_duplicates: bool = True,
    hashed: bool = True,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Ledger:
    """Read a whole stream of decompressed bytes and return its ledger.

    find_duplicates: notice duplicate keys. They cost a third of the speed; an ingest leaves them to its
    columnar read, which refuses them, and repeats the pass with this on to name the line.
    hashed: compute the SHA-256 on the way; without, the ledger's is empty, for a caller that has it from elsewhere.
    """
    digest = hashlib.sha256()
    ledger = _Pass(contract, sinks or Sinks(), find_duplicates, max_line_bytes).run(
        source, digest.update if hashed else lambda block: None
    )
    ledger.sha256 = digest.hexdigest() if hashed else ""
    return ledger


class _Pass:
    """The state of one pass."""

    def __init__(self, contract: Contract, sinks: Sinks, find_duplicates: bool, max_line: int) -> None:
        self.contract = contract
        self.sinks = sinks
        self.max_line = max_line
        self.ledger = Ledger()
        self.accept = _fast_path(contract, find_duplicates)

    def run(self, source: IO[bytes], note: Callable[[bytes], None]) -> Ledger:
        ledger = self.ledger
        for lines, complete, left_out in _lines(source, note, self.max_line):
            if left_out:
                self._slow(lines[0], None, complete, left_out)
            else:
                self._take(lines, complete)
        assert ledger.lines == ledger.rows + ledger.quarantined + ledger.blank
        return ledger

    def _take(self, lines: list[bytes], complete: bool) -> None:
        """Judge lines; the hot loop. Everything unusual about a line goes to `_slow`."""
        ledger, accept, last = self.ledger, self.accept, self.ledger.last_index
        clean = self.sinks.clean
        for line in lines:
            index = accept(line)
            if index is None or last is None or index != last + 1 or not complete or b"\r" in line:
                ledger.last_index = last
                self._slow(line, index, complete)
                last = ledger.last_index
                continue
            last = index
            size = len(line)
            ledger.rows += 1
            ledger.lines += 1
            ledger.row_bytes += size + 1
            ledger.bytes += size + 1
            if size > ledger.longest_line:
                ledger.longest_line = size
            if clean is not None:
                clean.write(line + b"\n")
        ledger.last_index = last

    def _slow(self, line: bytes, index: int | None, complete: bool, left_out: int = 0) -> None:
        ledger = self.ledger
        offset, size = ledger.bytes, len(line) + left_out + complete
        ledger.lines += 1
        ledger.bytes += size
        ledger.longest_line = max(ledger.longest_line, len(line) + left_out)
        if line.isspace() or not line:
            ledger.blank += 1
            ledger.blank_bytes += size
            return
        ledger.carriage_returns |= b"\r" in line
        verdict = Verdict(index=index) if index is not None else self._judge(line)
        cut = not verdict.parsed and not complete and line.lstrip().startswith(b"{")
        self._check_order(verdict)
        if verdict.breaches:
            ledger.truncated |= cut
            breaches = [Breach("", "cut off at the end of the file")] if cut else verdict.breaches
            self._reject(line, size, offset, breaches)
        else:
            self._admit(line, size, complete, verdict)

    def _judge(self, line: bytes) -> Verdict:
        if len(line) > self.max_line:
            limit = f"longer than the limit of {self.max_line} bytes"
            return Verdict(breaches=[Breach("", limit)], parsed=True)
        return judge(line, self.contract)

    def _check_order(self, verdict: Verdict) -> None:
        index, last = verdict.index, self.ledger.last_index
        if index is not None and last is not None and index <= last:
            verdict.breaches.append(Breach(self.contract.index, f"{index} is not above the previous {last}"))

    def _reject(self, line: bytes, size: int, offset: int, breaches: list[Breach]) -> None:
        self.ledger.quarantined += 1
        self.ledger.quarantined_bytes += size
        self.ledger.errors += len(breaches)
        if self.sinks.bad:
            self.sinks.bad(BadLine(self.ledger.lines, offset, line[: self.max_line], tuple(breaches)))

    def _admit(self, line: bytes, size: int, complete: bool, verdict: Verdict) -> None:
        ledger, index = self.ledger, verdict.index
        assert index is not None
        if ledger.first_index is None:
            ledger.first_index = index
        elif ledger.last_index is not None and index > ledger.last_index + 1:
            ledger.gaps += 1
        ledger.last_index = index
        ledger.rows += 1
        ledger.row_bytes += size
        ledger.no_final_newline |= not complete
        if verdict.unknown:
            self._note_unknown(index, verdict.unknown)
        if self.sinks.clean:
            # Outside strings a carriage return is white space; inside them JSON does not allow it.
            self.sinks.clean.write(line.replace(b"\r", b" ") + b"\n")

    def _note_unknown(self, index: int, unknown: dict[str, Any]) -> None:
        for path in {_without_positions(p): v for p, v in unknown.items()}:
            self.ledger.unknown.setdefault(path, Unknown(self.ledger.lines)).count += 1
        for path, value in unknown.items():
            self.ledger.unknown[_without_positions(path)].types.add(_json_type(value))
        if self.sinks.extra:
            self.sinks.extra(index, extra_text(unknown))


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
        # Kept as JSON text, so the columnar read does not look for duplicate keys in them.
        if record.policy_action_raw or record.policy_action_applied:
            return None
        return record.t

    def accept_without_duplicates(line: bytes) -> int | None:
        try:
            record = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        # Without escapes every quote delimits a key or a string: a record written back has fewer of them
        # exactly when the decoder dropped one of two equal keys.
        encode_into(record, scratch)
        if b"\\" in line or line.count(b'"') != scratch.count(b'"'):
            return None
        return record.t

    return accept_without_duplicates if find_duplicates else accept


def _lines(source: IO[bytes], note: Callable[[bytes], None], max_line: int) -> Iterator[tuple[list[bytes], bool, int]]:
    """Yield (lines without line end, whether they had one, bytes left out).

    A line longer than the limit comes alone and keeps one byte more than the limit.
    """
    held = bytearray()
    left_out = 0
    while block := source.read(BLOCK_BYTES):
        note(block)
        lines = block.split(b"\n")
        tail = lines.pop()
        if lines and (held or left_out):
            left_out += _hold(held, lines.pop(0), max_line)
            yield [bytes(held)], True, left_out
            held.clear()
            left_out = 0
        if lines:
            yield lines, True, 0
        left_out += _hold(held, tail, max_line)
    if held:
        yield [bytes(held)], False, left_out


def _hold(held: bytearray, piece: bytes, max_line: int) -> int:
    """Append a piece of a line up to the limit and one byte; return how many bytes did not fit."""
    room = max_line + 1 - len(held)
    held += piece[:room]
    return max(0, len(piece) - room)


def _without_positions(path: str) -> str:
    """Return a path with its list positions removed: `fills[3].rank` -> `fills[].rank`."""
    parts = path.split("[")
    return parts[0] + "".join("[" + p[p.index("]") :] if "]" in p else "[" + p for p in parts[1:])


def _json_type(value: Any) -> str:
    names = {bool: "boolean", str: "string", list: "array", type(None): "null"}
    return names.get(type(value), "object" if isinstance(value, dict) else "number")
