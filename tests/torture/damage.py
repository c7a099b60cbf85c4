"""Damage every kind of file in a warehouse in every way: `check` names each, and `repair` makes it anew."""

from __future__ import annotations

import atexit
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from paraphina_wh.catalog import renew_doors
from paraphina_wh.maintenance.integrity import check_warehouse, compare
from paraphina_wh.maintenance.repair import repair
from paraphina_wh.records import decode, read_records
from paraphina_wh.warehouse import Warehouse, locate
from tests.telemetry_maker import write
from tests.torture.everything import KINDS, answers, file_of, make
from tests.torture.figures import Figure
from tests.torture.parquet_bytes import regions

# What has no source: a lost record leaves its files unaccounted for.
RECORDS: Final = ("record", "folded records")
_FLIPS: Final = 150
_TOGETHER: Final = 30
_MOST: Final = 8


def attack(seed: int) -> list[Figure]:
    """Flip thousands of bits, do everything else to every file, and repair what was damaged, alone and together."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        warehouse = copied(Path(folder) / "found")
        flips = [flipped for kind in KINDS for flipped in flip_bits(warehouse, kind, chance, _FLIPS)]
        edits = [is_found(warehouse, kind, name, chance) for kind in KINDS for name in EDITS]
        edits += [is_found(warehouse, kind, "swapped", chance) for kind in KINDS if kind not in RECORDS]
        edits += [is_named(warehouse, kind, name) for kind in KINDS if kind not in RECORDS for name in STRANGERS]
        repaired = [_repairs(Path(folder), kinds, chance) for kinds in _combinations(chance)]
    return [
        Figure("damage found by check: flipped bits", len(flips), sum(flips), "single bits", seed),
        Figure("damage found by check: everything else", len(edits), sum(edits), "edits", seed),
        Figure("damage made good by repair", len(repaired), sum(repaired), "warehouses", seed),
    ]


@cache
def _made() -> Path:
    """Return a ROOT with a warehouse of everything, made once a process."""
    root = Path(tempfile.mkdtemp(prefix="everything-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    make(root)
    return root


def copied(root: Path) -> Warehouse:
    """Return a warehouse of everything, with its sources, in a new ROOT."""
    shutil.copytree(_made(), root, symlinks=True, dirs_exist_ok=True)
    warehouse = locate(root)
    renew_doors(warehouse)
    return warehouse


@contextmanager
def as_it_was(*paths: Path) -> Iterator[None]:
    """Put files back as they were."""
    contents = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in contents.items():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            write(path, content)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Bits


def flip_bits(warehouse: Warehouse, kind: str, chance: random.Random, each: int) -> Iterator[bool]:
    """Flip random bits in every byte class of a file, one at a time, and tell of each whether it is found."""
    path = file_of(warehouse, kind)
    parts = regions(path) if path.suffix == ".parquet" else {"text": [range(path.stat().st_size)]}
    is_damaged = _question(warehouse, kind, path)
    with as_it_was(path):
        for name, ranges in parts.items():
            places = [at for part in ranges for at in part]
            for _ in range(each):
                at, bit = chance.choice(places), 1 << chance.randrange(8)
                _flip(path, at, bit)
                found = is_damaged()
                if not found:
                    _complain(f"{kind}: bit {bit} of byte {at} ({name}) was flipped and not found")
                yield found
                _flip(path, at, bit)


def _flip(path: Path, at: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= bit
    path.write_bytes(content)


def _question(warehouse: Warehouse, kind: str, path: Path) -> Callable[[], bool]:
    """Return what `check` asks of this file, without the rest of it."""
    if kind == "record":
        return lambda: decode(path) is None
    if kind == "folded records":
        return lambda: path.name in read_records(warehouse).unreadable
    name = str(path.relative_to(warehouse.path))
    expected = [file for file, _ in read_records(warehouse).files[name]]
    return lambda: compare(warehouse, name, expected) is not None


# Whole files


def _cut(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def _empty(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def _lengthen(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _flip_any(path: Path, chance: random.Random) -> None:
    _flip(path, chance.randrange(path.stat().st_size), 1 << chance.randrange(8))


def _remove(path: Path, chance: random.Random) -> None:
    path.unlink()


def _put_another_version(path: Path, chance: random.Random) -> None:
    """Put a good file of the same rows in its place, which is not the one that was committed."""
    if path.suffix == ".parquet":
        pq.write_table(pq.read_table(path, partitioning=None), path, compression="snappy")
    else:
        path.write_bytes(path.read_bytes() + b"\n")


def _put_link(path: Path, chance: random.Random) -> None:
    """Put a symbolic link to the very same bytes, outside of the warehouse, in its place."""
    elsewhere = path.parents[len(path.parts) - 4] / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _put_folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


EDITS: Final[dict[str, Callable[[Path, random.Random], None]]] = {
    "cut": _cut,
    "emptied": _empty,
    "lengthened": _lengthen,
    "a bit flipped": _flip_any,
    "removed": _remove,
    "another version": _put_another_version,
    "a link": _put_link,
    "a folder": _put_folder,
}


def is_found(warehouse: Warehouse, kind: str, edit: str, chance: random.Random) -> bool:
    """Damage a file, and tell whether `check` names it and what it held; then it is put back."""
    path = file_of(warehouse, kind)
    other = file_of(warehouse, next(name for name in KINDS if name not in (kind, *RECORDS)))
    with as_it_was(path, other):
        if edit == "swapped":
            content = path.read_bytes()
            path.write_bytes(other.read_bytes())
            other.write_bytes(content)
        else:
            EDITS[edit](path, chance)
        return _is_named(warehouse, kind, edit, path)


def _is_named(warehouse: Warehouse, kind: str, edit: str, path: Path) -> bool:
    name = str(path.relative_to(warehouse.path))
    findings = check_warehouse(warehouse).findings
    if kind in RECORDS and edit in ("removed", "a folder"):
        # The record cannot be named any more; what it accounted for is.
        named = any(each.problem in ("foreign", "unrecorded", "orphaned") for each in findings)
    else:
        named = any(each.path == name and each.held and each.problem != "foreign" for each in findings)
    if not named:
        _complain(f"{kind}: {edit}, and not named: {findings}")
    return named


# Files that nobody committed


STRANGERS: Final[dict[str, Callable[[Path], Path]]] = {
    "a Parquet file": lambda path: path.with_name("foreign.parquet"),
    "a hidden Parquet file": lambda path: path.with_name(".foreign.parquet"),
    "another file": lambda path: path.with_name("notes.txt"),
    "a file in a folder of its own": lambda path: path.parent / "more" / "notes.txt",
}


def is_named(warehouse: Warehouse, kind: str, stranger: str) -> bool:
    """Put a foreign file beside one of ours, and tell whether `check` names it."""
    path = STRANGERS[stranger](file_of(warehouse, kind))
    write(path, file_of(warehouse, "ticks").read_bytes())
    try:
        name = str(path.relative_to(warehouse.path))
        found = any(name.startswith(each.path) for each in check_warehouse(warehouse).findings if each.path)
        # What is hidden counts where views would read it.
        found |= path.name.startswith(".") and path.parent == warehouse.quarantine
    finally:
        path.unlink()
        if path.parent.name == "more":
            path.parent.rmdir()
    if not found:
        _complain(f"{stranger} beside {kind} is not named")
    return found


# Repair


def _combinations(chance: random.Random) -> Iterator[Sequence[str]]:
    """Yield kinds to damage at once: each alone, some together, and all."""
    kinds = [kind for kind in KINDS if kind not in RECORDS]
    yield from ([kind] for kind in kinds)
    for _ in range(_TOGETHER):
        yield chance.sample(kinds, chance.randint(2, _MOST))
    yield kinds


def _repairs(folder: Path, kinds: Sequence[str], chance: random.Random) -> bool:
    """Damage files at random; with the sources away nothing more is lost, with them back everything is as before."""
    warehouse = copied(folder / "repaired")
    before = answers(warehouse)
    edits = {kind: chance.choice(list(EDITS)) for kind in kinds}
    files = {kind: file_of(warehouse, kind) for kind in kinds}
    for kind, edit in edits.items():
        EDITS[edit](files[kind], chance)
    if chance.random() < 0.5:
        with sources_away(warehouse):
            repair(warehouse)
            answers(warehouse)
    done = repair(warehouse)
    after, findings = answers(warehouse), check_warehouse(warehouse).findings
    holds = after == before and not findings and all(each.result == "restored" for each in done)
    if not holds:
        _complain(f"{edits}: {done}\n{findings}\n{before}\n{after}")
    shutil.rmtree(warehouse.root)
    return holds


@contextmanager
def sources_away(warehouse: Warehouse) -> Iterator[None]:
    """Take away what the warehouse was made of."""
    away = warehouse.root.with_name(f"{warehouse.root.name}-away")
    away.mkdir()
    sources = [path for path in warehouse.root.iterdir() if path != warehouse.path]
    for path in sources:
        path.rename(away / path.name)
    yield
    for path in sources:
        (away / path.name).rename(path)
    away.rmdir()
