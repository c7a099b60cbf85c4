"""The strict reader on any bytes: it says what the oracle says, without a crash, a hang or a heap of memory.

The long form is guided by coverage (atheris, the extra `torture`) and runs in a process of its own, since the fuzzer
ends its process. Repeat a finding with `python -m tests.torture.fuzz_reader FILE`.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from paraphina_wh.errors import WarehouseError
from paraphina_wh.telemetry.judge import MOST_BREACHES
from paraphina_wh.telemetry.reader import MAX_LINE_BYTES, BadLine, Ledger, Sinks, read_strict
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS
from paraphina_wh.telemetry.source import Unpacked
from tests import oracle
from tests.records import MC_RUN, line, run_of
from tests.torture.figures import Figure
from tests.torture.mutated import Tape, file_of

SECONDS_AN_INPUT: Final = 10
MEMORY_MIB: Final = 1024
LONGEST_INPUT: Final = 1 << 14
_PROJECT: Final = Path(__file__).parents[2]
_CONTRACTS: Final = {oracle.TICKS.index: (TICKS, oracle.TICKS), oracle.RUNS.index: (MC_RUNS, oracle.RUNS)}


def attack(seed: int, seconds: float) -> Figure:
    """Read mutated files for so long and return how many gave the oracle's verdict."""
    if importlib.util.find_spec("atheris") is None:
        print("fuzz_reader: atheris is not installed (pip install -e '.[torture]'): plain random", file=sys.stderr)
        return _random_attack(seed, seconds)
    with tempfile.TemporaryDirectory() as folder:
        return _guided_attack(seed, seconds, Path(folder))


def finding(data: bytes) -> str | None:
    """Return what is wrong with the reader on one input, or None.

    The first byte says how to read: as gzip or zstd data, or as a file of either contract, given as text or as a tape
    of choices, with or without the search for duplicate keys, in small pieces or whole, with a low limit or none.
    """
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    if flags >= 0xC0:
        return _unpacking(rest, "gzip" if flags & 1 else "zstd")
    rules = oracle.RUNS if flags & 2 else oracle.TICKS
    content = file_of(Tape(rest), rules) if flags & 1 else rest
    return difference(
        content,
        rules,
        find_duplicates=not flags & 4,
        piece=7 if flags & 8 else 0,
        limit=600 if flags & 16 else MAX_LINE_BYTES,
    )


def difference(
    content: bytes,
    rules: oracle.Rules = oracle.TICKS,
    *,
    find_duplicates: bool = True,
    piece: int = 0,
    limit: int = MAX_LINE_BYTES,
) -> str | None:
    """Return where reader and oracle differ on a file, or None.

    piece: bytes of a read, 0 for as many as asked for. Without the search for duplicate keys the reader may pass a
    line that has some: then only its account of the file is looked at.
    """
    bad: list[BadLine] = []
    extra: list[tuple[int, str]] = []
    clean = io.BytesIO()
    sinks = Sinks(bad.append, lambda index, text: extra.append((index, text)), clean)
    ledger = read_strict(
        _Pieces(content, piece),
        _CONTRACTS[rules.index][0],
        sinks,
        find_duplicates=find_duplicates,
        max_line_bytes=limit,
    )
    if clean.getvalue().count(b"\n") != ledger.rows:
        return "the clean copy holds other rows"
    wrong = _account(ledger, bad, content)
    if wrong or (not find_duplicates and _has_duplicates(content)):
        return wrong
    said = oracle.opinion(content, rules, limit)
    return _verdict(ledger, bad, said) or _carried(extra, said)


class _Pieces(io.BytesIO):
    """Bytes that come in pieces of some size."""

    def __init__(self, content: bytes, piece: int) -> None:
        super().__init__(content)
        self._piece = piece

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._piece or size)


def _account(ledger: Ledger, bad: list[BadLine], content: bytes) -> str | None:
    if ledger.bytes != len(content) or ledger.bytes != (
        ledger.row_bytes + ledger.quarantined_bytes + ledger.blank_bytes
    ):
        return f"bytes do not add up: {ledger}"
    if ledger.lines != content.count(b"\n") + bool(content and not content.endswith(b"\n")):
        return f"lines do not add up: {ledger}"
    for one in bad:
        whole = content[one.offset : one.offset + one.size]
        if not whole.startswith(one.raw) or whole[len(one.raw) :].strip(b"\0"):
            return f"line {one.line} is not what stands at {one.offset}"
    return None


def _verdict(ledger: Ledger, bad: list[BadLine], said: oracle.Opinion) -> str | None:
    found = [(one.line, sorted(breach.field for breach in one.breaches)) for one in bad]
    if len(found) != len(said.bad) or not all(map(_same, found, said.bad)):
        return f"bad lines: reader {found}, oracle {said.bad}"
    rows = said.rows
    gaps = sum(later > before + 1 for before, later in pairwise(rows))
    expected = (len(rows), rows[:1], rows[-1:], gaps, said.blank, said.truncated, sum(len(f) for _, f in said.bad))
    first, last = ([] if index is None else [index] for index in (ledger.first_index, ledger.last_index))
    got = (ledger.rows, first, last, ledger.gaps, ledger.blank, ledger.truncated, ledger.errors)
    return None if got == expected else f"account: reader {got}, oracle {expected}"


def _same(found: tuple[int, list[str]], said: tuple[int, list[str]]) -> bool:
    """Tell whether both name the same line and fields; the reader keeps the first of very many."""
    if len(said[1]) <= MOST_BREACHES:
        return found == said
    return found[0] == said[0] and len(found[1]) == MOST_BREACHES and not Counter(found[1]) - Counter(said[1])


def _carried(extra: list[tuple[int, str]], said: oracle.Opinion) -> str | None:
    """Compare the undeclared fields that are kept; equal paths of different fields are kept under other names."""
    kept = [(index, sorted(json.loads(text))) for index, text in extra]
    stated = [(index, paths) for index, paths in zip(said.rows, said.undeclared, strict=True) if paths]
    for (at, paths), (index, expected) in zip(kept, stated, strict=False):
        if at != index or len(paths) != len(expected) or (len(set(expected)) == len(expected) and paths != expected):
            return f"undeclared: reader {at} {paths}, oracle {index} {expected}"
    return None if len(kept) == len(stated) else f"undeclared: reader {kept}, oracle {stated}"


def _has_duplicates(content: bytes) -> bool:
    twice = False

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal twice
        twice |= len(dict(pairs)) < len(pairs)
        return dict(pairs)

    for text in content.split(b"\n"):
        try:
            json.loads(text, object_pairs_hook=look)
        except (ValueError, RecursionError):
            continue
    return twice


def _unpacking(packed: bytes, packing: str) -> str | None:
    """Unpack and compare with the standard library, which knows gzip alone."""
    try:
        got: bytes | None = io.BufferedReader(Unpacked("input", io.BytesIO(packed), packing)).read()
    except WarehouseError:
        got = None
    if packing == "zstd":
        return None
    try:
        expected: bytes | None = gzip.decompress(packed) if packed else None
    except (EOFError, OSError, zlib.error):
        expected = None
    return None if got == expected or not packed else f"gzip: got {got!r}, expected {expected!r}"


def seeds(seed: int) -> Iterator[bytes]:
    """Yield inputs to begin with: good files, tapes, packed data."""
    chance = random.Random(seed)
    yield b"\x00" + run_of(2)
    yield b"\x02" + line(base=MC_RUN)
    yield b"\xc1" + gzip.compress(run_of(1)) * 2
    yield b"\xc0\x28\xb5\x2f\xfd\x24\x03\x19\x00\x00abc\x8b\x5f\x3c\x0e"
    for _ in range(200):
        yield bytes([chance.randrange(0x20) | 1]) + chance.randbytes(chance.randrange(20, 200))


def _guided_attack(seed: int, seconds: float, folder: Path) -> Figure:
    corpus, found = folder / "corpus", folder / "found"
    corpus.mkdir()
    found.mkdir()
    for number, data in enumerate(seeds(seed)):
        (corpus / str(number)).write_bytes(data)
    words = folder / "words"
    words.write_text("".join(f'"\\"{name}\\":"\n' for name in oracle.TICKS.fields))
    options = {
        "seed": seed % (1 << 31) or 1,
        "max_total_time": max(1, round(seconds)),
        "max_len": LONGEST_INPUT,
        "timeout": 10 * SECONDS_AN_INPUT,  # of the clock, on a machine that may be busy
        "rss_limit_mb": MEMORY_MIB,
        "dict": words,
        "artifact_prefix": f"{found}/",
        "print_final_stats": 1,
        "verbosity": 1,
    }
    command = [sys.executable, "-m", "tests.torture.fuzz_child", *(f"-{key}={value}" for key, value in options.items())]
    done = subprocess.run(
        [*command, str(corpus)],
        cwd=_PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    stats = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stdout)
    tried = int(stats[1]) if stats else 0
    failed = bool(done.returncode or not tried)
    if failed:
        _tell(done.stdout, found, seed)
    return Figure("strict reader against the oracle (atheris)", max(1, tried), max(1, tried) - failed, "inputs", seed)


def _tell(said: str, found: Path, seed: int) -> None:
    """Print what the fuzzer said last, and keep what it found."""
    last = [text for text in said.splitlines() if not text.startswith("#")][-40:]
    print("\n".join(last), file=sys.stderr)
    for path in sorted(found.iterdir()):
        _keep(path.read_bytes(), seed)


def _keep(data: bytes, seed: int) -> None:
    with tempfile.NamedTemporaryFile(prefix="fuzz_reader-", suffix=".bin", delete=False) as out:
        out.write(data)
    print(f"fuzz_reader: seed {seed}; repeat: python -m tests.torture.fuzz_reader {out.name}", file=sys.stderr)


def _random_attack(seed: int, seconds: float) -> Figure:
    """Do without coverage: random tapes, and random edits of the inputs to begin with."""
    chance, corpus, ends = random.Random(seed), list(seeds(seed)), time.monotonic() + seconds
    tried = held = 0
    while time.monotonic() < ends:
        data = _edited(chance, chance.choice(corpus))
        began = time.process_time()
        wrong = finding(data)
        if time.process_time() - began > SECONDS_AN_INPUT:
            wrong = f"took {time.process_time() - began:.0f} s"
        tried, held = tried + 1, held + (wrong is None)
        if wrong:
            print(wrong, file=sys.stderr)
            _keep(data, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    if peak > MEMORY_MIB:
        print(f"fuzz_reader: {peak} MiB of memory", file=sys.stderr)
        held -= 1
    return Figure(
        "strict reader against the oracle (plain random: atheris is not installed)", tried, held, "inputs", seed
    )


def _edited(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.7:
        return bytes([chance.randrange(0x20) | 1]) + chance.randbytes(chance.randrange(200))
    edited = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(edited) + 1)
        edited[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
    return bytes(edited)


if __name__ == "__main__":
    findings = [finding(Path(name).read_bytes()) for name in sys.argv[1:]]
    print("\n".join(text or "as it should be" for text in findings))
    sys.exit(any(findings))
