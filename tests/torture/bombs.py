"""Inputs made to fill memory, disk or time: lines of any size, packed data that unpacks to far more.

Each goes through `check` and `ingest` in a process of its own, whose memory and time are measured.
"""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from tests.records import MC_RUN, line
from tests.torture.figures import Figure

LIMIT: Final = 64 << 20
# A line beyond the limit is held no further than the limit; of one within it the readers make several forms.
MIB_REFUSED: Final = 400
MIB_TAKEN: Final = 700
SECONDS: Final = 300
# Runs a command as its own child and tells what it took: what a parent uses does not count.
MEASURE: Final = (
    "import os, resource, subprocess, sys\n"
    "code = subprocess.run(sys.argv[1:], stdout=2).returncode\n"
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)"
)
_QUARANTINE: Final = ("--on-error", "quarantine")
_SPLIT: Final = (*_QUARANTINE, "--split-on-reset")


@dataclass(frozen=True)
class Bomb:
    """A file, what must be said of it, and how much memory that may take. options: of `ingest`."""

    name: str
    write: Callable[[Path], object]
    says: str
    mib: int = MIB_REFUSED
    exit_codes: tuple[int, int] = (1, 1)
    options: tuple[str, ...] = ()


def attack(seed: int, seconds: float = 600) -> Figure:
    """Send every bomb through `check` and `ingest` and return how many were stopped in time, memory and disk.

    seed: of no use, nothing is random. seconds: no bomb is begun later; each takes a few.
    """
    ends = time.monotonic() + seconds
    tried = held = 0
    for bomb in bombs():
        if time.monotonic() > ends:
            break
        with tempfile.TemporaryDirectory() as folder:
            for wrong in _runs(bomb, Path(folder)):
                tried, held = tried + 1, held + (wrong is None)
                if wrong:
                    print(f"bombs: {bomb.name}: {wrong}", file=sys.stderr)
    return Figure("long lines and decompression bombs", tried, held, "commands")


def _runs(bomb: Bomb, folder: Path) -> Iterator[str | None]:
    file = folder / bomb.name
    bomb.write(file)
    ingest = ("ingest", file.name, "--jobs", "2", "--profile", "balanced", *bomb.options)
    for arguments, code in zip((("check", file.name), ingest), bomb.exit_codes, strict=True):
        yield _run(folder, arguments, code, bomb)


def _run(folder: Path, arguments: tuple[str, ...], code: int, bomb: Bomb) -> str | None:
    """Run a command and return what is wrong with how it went, or None."""
    command = [sys.executable, "-m", "paraphina_wh", "--quiet", *arguments]
    try:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{arguments[0]} did not end in {SECONDS} s"
    ended, mib = map(int, done.stdout.split())
    if ended != code or bomb.says not in done.stderr or "Traceback" in done.stderr:
        return f"{arguments[0]} exited {ended}, not {code}, and said: {done.stderr[-600:]}"
    left = sum(path.stat().st_size for path in (folder / "warehouse").rglob("*") if path.is_file())
    if mib > bomb.mib or left > 2 * LIMIT:
        return f"{arguments[0]} took {mib} MiB of memory and left {left} bytes"
    return None


def bombs() -> list[Bomb]:
    """Return what is tried."""
    over = f"longer than the limit of {LIMIT} bytes: {(300 << 20) + 1}"
    times = "over 200 times as many"
    return [
        Bomb("line.jsonl", _long_line, over),
        Bomb("aside.jsonl", _long_line, "", exit_codes=(1, 0), options=_QUARANTINE),
        Bomb("split.jsonl", _long_line, "", exit_codes=(1, 0), options=_SPLIT),
        Bomb("packed.jsonl.gz", lambda path: _pack(path, _long_line), over),
        Bomb("mc_runs.jsonl", lambda path: _long_line(path, line(base=MC_RUN)), over),
        Bomb("limit.jsonl", lambda path: _full_line(path, b"x"), "", MIB_TAKEN, (0, 0)),
        Bomb("wide.jsonl", lambda path: _full_line(path, "😀".encode()), "", MIB_TAKEN, (0, 0)),
        Bomb("quotes.jsonl", lambda path: _full_line(path, rb"\""), "", MIB_TAKEN, (0, 0)),
        Bomb("above.jsonl", lambda path: _full_line(path, b"x", 1), f"bytes: {LIMIT + 1}"),
        Bomb("values.jsonl", lambda path: _values(path, b"{},"), "commas and brackets", MIB_TAKEN),
        Bomb("depth.jsonl", lambda path: path.write_bytes(b"[" * LIMIT), "commas and brackets", MIB_TAKEN),
        Bomb("tail.jsonl", _zero_tail, "zero bytes behind it", exit_codes=(0, 0)),
        Bomb("tail.jsonl.gz", _zero_tail, "where the packed data ends", exit_codes=(0, 0)),
        Bomb("bad.jsonl", lambda path: path.write_bytes(b"x\n" * 5_000_000), "gave up at line 100001"),
        Bomb("zeros.jsonl.gz", lambda path: _repeat(path, gzip.compress(bytes(1 << 24), 9)), times),
        Bomb("zeros.jsonl.zst", lambda path: _repeat(path, _zstd(bytes(1 << 24))), times),
        Bomb("lines.jsonl.gz", lambda path: _repeat(path, gzip.compress(b"\n" * (1 << 24), 9)), times),
        Bomb("lines.jsonl.zst", lambda path: _repeat(path, _zstd(b"\n" * (1 << 24))), times),
        Bomb("rows.jsonl.zst", lambda path: _repeat(path, _zstd(line(t=0) * 20_000)), "gave up at line 100002"),
        Bomb("table.csv.gz", lambda path: _repeat(path, gzip.compress(b"final_pnl\n" * (1 << 21), 9)), ""),
        Bomb("window.jsonl.zst", lambda path: path.write_bytes(_window(31)), "takes more than 128 MiB"),
        Bomb("name.jsonl.gz", _named_member, "", exit_codes=(0, 1)),
        Bomb("members.jsonl.gz", lambda path: path.write_bytes(gzip.compress(b"") * 300_000), "", exit_codes=(0, 1)),
    ]


def _long_line(path: Path, first: bytes = line(t=0)) -> None:
    """Write a good line and one of 300 MiB; its zeros take no disk."""
    with path.open("wb") as out:
        out.write(first + b"{")
        out.seek(300 << 20, os.SEEK_CUR)
        out.write(b"\n")


def _zero_tail(path: Path) -> None:
    """Write a run that a power loss cut off: 3 GiB at its end are zeros, which take no disk."""
    content = b"".join(line(t=t) for t in range(2000)) + line(t=2000)[:40]
    path.write_bytes(gzip.compress(content)[:-9] if path.suffix == ".gz" else content)
    os.truncate(path, 3 << 30)


def _full_line(path: Path, piece: bytes, beyond: int = 0) -> None:
    """Write three good lines, the second so many bytes longer than the limit, full of a piece of text."""
    start, end = line(t=1, later="@")[:-1].split(b"@")
    room = LIMIT - len(start) - len(end) + beyond
    text = piece * (room // len(piece)) + b"." * (room % len(piece))
    path.write_bytes(line(t=0) + start + text + end + b"\n" + line(t=2))


def _values(path: Path, value: bytes) -> None:
    start, end = line(t=0, fills="@")[:-1].split(b'"@"')
    path.write_bytes(start + b"[" + value * ((LIMIT - 2000) // len(value)) + b"{}]" + end + b"\n")


def _pack(path: Path, write: Callable[[Path], object]) -> None:
    plain = path.with_suffix("")
    write(plain)
    with plain.open("rb") as source, gzip.open(path, "wb", compresslevel=1) as out:
        while block := source.read(1 << 20):
            out.write(block)
    plain.unlink()


def _repeat(path: Path, packed: bytes) -> None:
    """Write what unpacks to more than is free."""
    path.write_bytes(packed * 80)


def _zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def _window(power: int) -> bytes:
    """Return a zstd frame whose window is a power of two."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(power - 10) << 3]) + b"\x19\x00\x00abc"


def _named_member(path: Path) -> None:
    """Write an empty gzip member whose header holds a name of 300 MB."""
    empty = zlib.compressobj(9, zlib.DEFLATED, -15).flush() + struct.pack("<II", 0, 0)
    path.write_bytes(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 300_000_000 + b"\0" + empty)
