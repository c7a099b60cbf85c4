"""The records of the warehouse: what each commit put in place, what it took away, where it came from.

One small JSON file a commit, `commits/<name>.<digest>.json`; the digest is of its own content, so a record that was
damaged tells. A record is written before the files that it is about are in place, as `*.pending`, and gets its name
right after the commit: whatever is in place is accounted for, even by a process that was killed in between.
`compact` folds many into one file, `commits/<name>.<digest>.folded`: a line each, with a digest of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from paraphina_wh.warehouse import Warehouse

PENDING: Final = ".pending"
_SUFFIX: Final = ".json"
_FOLDED: Final = ".folded"


class StoredFile(msgspec.Struct, frozen=True):
    """A file as it was put in place. path: relative to the warehouse. holds: what was in it, in plain words."""

    path: str
    bytes: int
    sha256: str
    holds: str = ""


class SourceRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run, or a file of many runs, that came in with a commit, and what it was made of.

    run_id: of a file of many runs its source id.
    source: relative to ROOT when below it; `-` for standard input. sha256: of the decompressed source.
    bytes: of a dataset, how many of the file the hash is of; it may have grown since.
    given: options that named what a table leaves open, profile and experiment.
    """

    kind: Literal["telemetry", "stdout", "csv", "mc_runs", "imported_summaries", "dataset"]
    experiment: str = ""
    profile: str = ""
    label: str = ""
    run_id: str = ""
    source: str | None = None
    sha256: str | None = None
    bytes: int = 0
    given: dict[str, str] = {}


class Withdrawn(msgspec.Struct, frozen=True):
    """A run that the rows of a table take out of the answers."""

    run_id: str
    profile: str
    label: str


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One commit.

    name: sorts by time. files: what it put in place; the last one is the commit itself.
    drops: paths of files that nothing answers for any more; they may still lie there, for readers that have begun.
    damaged: files that were moved to the quarantine, as they had been put in place.
    rows: the ledger rows of runs as they came in, metrics of ticks left out: a damaged ledger is made anew from them.
    keeps_dropped: readers that have begun should find the dropped files still: only `gc` removes them.
    """

    name: str
    files: list[StoredFile] = []
    drops: list[str] = []
    runs: list[SourceRun] = []
    withdrawn: list[Withdrawn] = []
    damaged: list[StoredFile] = []
    rows: list[msgspec.Raw] = []
    keeps_dropped: bool = False
    record_version: Literal[1] = 1


@dataclass
class Records:
    """All records of a warehouse together.

    files: path -> what must lie there, with the record that put it there; several for ticks that several ingests put in
    place, and any of them counts.
    dropped: path -> name of the record, of files that may still lie there; replaced: path -> what they are then, where
    it is known. damaged: path -> file that `repair` moved to the quarantine.
    all: the records in order. unreadable: names of record files that are not what they were.
    unsettled: pending records whose commit took place.
    unfinished: pending records of commits that did not.
    held: record file -> names of the records in it; folded: the last file that holds many.
    """

    files: dict[str, list[tuple[StoredFile, Record]]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, list[StoredFile]] = field(default_factory=dict)
    damaged: dict[str, StoredFile] = field(default_factory=dict)
    all: list[Record] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unsettled: list[Path] = field(default_factory=list)
    unfinished: list[Path] = field(default_factory=list)
    held: dict[Path, set[str]] = field(default_factory=dict)
    folded: Path | None = None

    def add(self, record: Record) -> None:
        """Take in the next record; later ones have the last word on a path."""
        self.all.append(record)
        for path in record.drops:
            if lying_there := self.files.pop(path, None):
                self.replaced[path] = [file for file, _ in lying_there]
            self.damaged.pop(path, None)
            self.dropped[path] = record.name
        for file in record.files:
            self.dropped.pop(file.path, None)
            self.replaced.pop(file.path, None)
            self.damaged.pop(file.path, None)
            # Two ingests of one run may write its ticks differently; whichever came last, both are right.
            earlier = self.files.get(file.path, []) if file.path.startswith("telemetry/") else []
            self.files[file.path] = [*earlier, (file, record)]
        for file in record.damaged:
            self.files.pop(file.path, None)
            self.damaged[file.path] = file


def encode(record: Record) -> tuple[str, bytes]:
    """Return the file name and the content of a record."""
    content = msgspec.json.encode(record) + b"\n"
    return f"{record.name}.{_digest(content)}{_SUFFIX}", content


def fold(records: Sequence[Record]) -> tuple[str, bytes]:
    """Return the file name and the content of one file that holds many records, in the order given."""
    content = b"".join(_digest(line).encode() + b" " + line for _, line in map(encode, records))
    return f"{records[-1].name}.{_digest(content)}{_FOLDED}", content


def read_records(warehouse: Warehouse) -> Records:
    """Return what the records of a warehouse say together; none when it has no records."""
    while True:
        with suppress(FileNotFoundError):
            # A record that is gone since the folder was listed is in the folded file that is there by now.
            return _read(warehouse)


def _read(warehouse: Warehouse) -> Records:
    records = Records()
    told: dict[str, Record] = {}
    for path, record in _records(warehouse, records):
        if path.name.endswith(PENDING):
            if not took_place(warehouse, record):
                records.unfinished.append(path)
                continue
            records.unsettled.append(path)
        records.held.setdefault(path, set()).add(record.name)
        told[record.name] = record
    for name in sorted(told):
        records.add(told[name])
    return records


def unsettled(warehouse: Warehouse) -> list[tuple[Path, Record]]:
    """Return the pending records, and where they lie, whose commit took place."""
    pending = ((path, decode(path)) for path in sorted(warehouse.commits.glob(f"*{PENDING}")))
    return [(path, record) for path, record in pending if record and took_place(warehouse, record)]


def dropped_by(warehouse: Warehouse, record: Record) -> list[str]:
    """Return the paths that a record drops and that neither it nor a later one puts in place."""
    if not any(
        path.name > record.name and not path.name.startswith(record.name) for path in warehouse.commits.iterdir()
    ):
        return [path for path in record.drops if path not in {file.path for file in record.files}]
    dropped = read_records(warehouse).dropped
    return [path for path in record.drops if path in dropped]


def _records(warehouse: Warehouse, records: Records) -> Iterator[tuple[Path, Record]]:
    """Yield record files in the order of their names, and what is in them; those that cannot be read are noted."""
    folder = warehouse.commits
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if path.is_symlink() or path.is_dir():
            records.unreadable.append(path.name)
            continue
        if path.name.endswith(_FOLDED):
            yield from ((path, record) for record in _unfolded(path, records))
            records.folded = path
            continue
        try:
            record = decode(path)
        except FileNotFoundError:
            # Settled by another process since the folder was listed, or given up.
            if not path.name.endswith(PENDING):
                raise
            path = path.with_name(path.name.removesuffix(PENDING))
            if not path.exists():
                continue
            record = decode(path)
        if record:
            yield path, record
        elif path.name.endswith(PENDING):
            # Half-written: the commit it announces was not even begun.
            records.unfinished.append(path)
        else:
            records.unreadable.append(path.name)


def _unfolded(path: Path, records: Records) -> Iterator[Record]:
    """Yield the records of a folded file, of a damaged one those that are whole."""
    content = path.read_bytes()
    if path.name.rpartition(".")[0].rpartition(".")[2] != _digest(content):
        records.unreadable.append(path.name)
    for line in content.splitlines(keepends=True):
        digest, _, text = line.partition(b" ")
        record = _whole(text, digest.decode(errors="replace"))
        if record:
            yield record


def decode(path: Path) -> Record | None:
    """Return a record; None when the file is not what it was when it was written, or no record at all."""
    content = path.read_bytes()
    return _whole(content, path.name.removesuffix(PENDING).removesuffix(_SUFFIX).rpartition(".")[2])


def _whole(content: bytes, digest: str) -> Record | None:
    if _digest(content) != digest:
        return None
    try:
        return msgspec.json.decode(content, type=Record)
    except msgspec.MsgspecError:
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def took_place(warehouse: Warehouse, record: Record) -> bool:
    """Tell whether the commit that a pending record announces was made: its last file is in place."""
    last = record.files[-1]
    path = warehouse.path / last.path
    return path.is_file() and file_sha256(path) == last.sha256


def file_sha256(path: Path) -> str:
    """Return the hash of a file as it lies on disk."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
