"""The commit path: the only code that puts files in place, adds to them, or takes them away.

A file is whole and final, or it is not there: it is written under a staging name on the same file system,
forced to disk, and renamed. Kill the process at any instant and the next command sees the old state or the
new one. Every call that changes the disk is a step at which a test can make it fail (failpoints.py).

What becomes part of a warehouse goes through `commit`, which also records it (records.py).
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import duckdb
import msgspec

from paraphina_wh.errors import MACHINE_HINTS, WarehouseError, machine_error
from paraphina_wh.failpoints import step
from paraphina_wh.interrupt import wake_from_waits
from paraphina_wh.records import PENDING, Record, StoredFile, dropped_by, encode, file_sha256, unsettled
from paraphina_wh.shell_door import is_elsewhere, state_of, with_state
from paraphina_wh.warehouse import Warehouse, new_batch

_NOW = fcntl.LOCK_NB
_NO_HINT = "repeat the command once this is solved"


@dataclass(frozen=True)
class Put:
    """A staged file and where it goes. holds: what is in it, in plain words. sha256: its hash, where it is known."""

    staged: Path
    final: Path
    holds: str = ""
    sha256: str = ""


def commit(
    warehouse: Warehouse, record: Record, puts: Sequence[Put], *, drops: Sequence[Path] = (), keep_dropped: bool = False
) -> None:
    """Put files in place that belong together, and record them.

    The last one is the commit: readers ignore what came before it until it is there. All files, and the record, are
    on disk before the first rename, all other renames before that of the commit, and everything before this returns.
    record: what to record beside the files. drops: files that nothing answers for from then on; they are removed,
    unless readers that have begun should find them still (keep_dropped): then `gc` does it.
    Raises: WarehouseError when the disk does not take it; then nothing has changed.
    """
    with _disk_errors("cannot write to"), _committing(warehouse):
        _sync_all(put.staged for put in puts)
        full = msgspec.structs.replace(
            record,
            files=[stored(warehouse, put) for put in puts],
            drops=[*record.drops, *(str(path.relative_to(warehouse.path)) for path in drops)],
            keeps_dropped=keep_dropped,
        )
        name, content = encode(full)
        pending, final = warehouse.commits / (name + PENDING), warehouse.commits / name
        moves = [(put.staged, put.final) for put in puts]
        try:
            _write(pending, content)
            _mark(warehouse, full.name)
            _rename(moves[:-1], warehouse.path)
            _rename(moves[-1:], warehouse.path)
        except BaseException:
            if puts[-1].staged.exists():
                _unlink(pending)
            raise
        if keep_dropped or not drops:
            _rename([(pending, final)])
            return
    # Until then the record is pending: whoever finds it so does what is left to do.
    settle(warehouse)


def _mark(warehouse: Warehouse, state: str) -> None:
    """Give `init.sql` another state before the data get one: that of a copy of the warehouse keeps the old one."""
    init = warehouse.path / "init.sql"
    if init.is_file():
        with held(warehouse.runs, fcntl.LOCK_EX):
            write_atomically(init, with_state(init.read_bytes(), state))


def write_script(warehouse: Warehouse, script: bytes) -> None:
    """Put `init.sql` in place; only that of this very folder hands its state on."""
    init = warehouse.path / "init.sql"
    with held(warehouse.runs, fcntl.LOCK_EX):
        state = "" if is_elsewhere(warehouse) else state_of(init.read_bytes())
        write_atomically(init, with_state(script, state or new_batch()))


@contextmanager
def _committing(warehouse: Warehouse) -> Iterator[None]:
    """Share the lock of all who commit: they wait for none but `gc`, while it removes files."""
    _stay_below(warehouse.path, warehouse.commits / "record")
    if not warehouse.commits.is_dir():
        step("mkdir")
        warehouse.commits.mkdir(parents=True, exist_ok=True)
        _sync(warehouse.path)
    with held(warehouse.commits, fcntl.LOCK_SH):
        yield


@contextmanager
def nobody_commits(warehouse: Warehouse) -> Iterator[None]:
    """Wait until nobody commits, and keep all from it meanwhile: what is looked up stays true."""
    if not warehouse.commits.is_dir():
        yield
        return
    with held(warehouse.commits, fcntl.LOCK_EX):
        yield


def settle(warehouse: Warehouse) -> None:
    """Finish what a process that was killed after its commit left undone: files to remove, a record to name.

    While others commit there is nothing to be told from their work: then the next call will do it. A file that is put
    in place again while others take it out answers for something, and stays.
    """
    if not list(warehouse.commits.glob(f"*{PENDING}")):
        return
    with _disk_errors("cannot write to"), suppress(BlockingIOError), held(warehouse.commits, fcntl.LOCK_EX | _NOW):
        for path, record in unsettled(warehouse):
            for dropped in () if record.keeps_dropped else dropped_by(warehouse, record):
                _unlink(warehouse.path / dropped)
            _rename([(path, path.with_name(path.name.removesuffix(PENDING)))])


def write_record(warehouse: Warehouse, record: Record) -> None:
    """Record what needs no new file: the record itself is the commit."""
    name, content = encode(record)
    _mark(warehouse, record.name)
    write_atomically(warehouse.commits / name, content)


def retire(warehouse: Warehouse, paths: Sequence[Path]) -> None:
    """Take files out of a warehouse for good, and record it."""
    newest = max((path.name for path in warehouse.commits.glob("[!.]*")), default="")
    names = [str(path.relative_to(warehouse.path)) for path in paths]
    write_record(warehouse, Record(new_batch(after=newest), drops=names))
    for path in paths:
        remove(path)


def publish(moves: Sequence[tuple[Path, Path]]) -> None:
    """Put staged files in place outside of a warehouse: (staged, final) pairs, renamed in the order given."""
    with _disk_errors("cannot write to"):
        _sync_all(staged for staged, _ in moves)
        _rename(moves)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole; the old content stays until the new one is on disk."""
    with _disk_errors(f"cannot write {path}:"):
        step("mkdir")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        os.close(descriptor)
        staged = Path(name)
        try:
            _write(staged, content)
            # mkstemp makes files nobody else can read; artefacts are for everybody the umask allows.
            staged.chmod(0o666 & ~_umask())
            _rename([(staged, path)])
        except BaseException:
            _unlink(staged)
            raise


def append(path: Path, descriptor: int, content: bytes) -> None:
    """Add bytes to an open file in one write and force them to disk; what the disk took in part is taken back.

    Raises: OSError when the disk does not take them.
    """
    before = os.fstat(descriptor).st_size
    step("write")
    written = os.write(descriptor, content)
    if written < len(content):
        step("ftruncate")
        os.ftruncate(descriptor, before)
        raise OSError(errno.ENOSPC, f"the disk took only {written} of {len(content)} bytes")
    step("fsync")
    os.fsync(descriptor)
    if not before:
        _sync(path.parent)


def publish_new(staged: Path, final: Path) -> None:
    """Put a file, already on disk, in place that must not take the place of another, as a rename would.

    Raises: FileExistsError when somebody else was first.
    """
    step("link")
    os.link(staged, final)
    _sync(final.parent)


def remove(path: Path) -> None:
    """Remove a file that nothing answers for any more; one that is gone already is fine."""
    with _disk_errors("cannot remove"):
        _unlink(path)


@contextmanager
def staging(warehouse: Warehouse, name: str) -> Iterator[Path]:
    """Make a folder for the unfinished files of a batch, and remove it with what is left in it at the end.

    Raises: WarehouseError when the disk does not take what DuckDB writes there.
    """
    _stay_below(warehouse.path, warehouse.staging / name)
    with staging_folder(warehouse.staging, name) as folder:
        try:
            yield folder
        except (duckdb.IOException, duckdb.TransactionException) as error:
            where = f"cannot write below {warehouse.path}"
            raise machine_error(error, where) or WarehouseError(f"{where}: {error}", _NO_HINT) from error


@contextmanager
def staging_folder(parent: Path, name: str) -> Iterator[Path]:
    """Make a folder for unfinished files below parent, and remove it with what is left in it at the end.

    It is locked as long as the process lives: whoever cleans up can tell it from one that was left behind.
    """
    folder = parent / name
    with ExitStack() as lock:
        with _disk_errors(f"cannot write below {parent}:"):
            _make_locked(folder, lock)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _make_locked(folder: Path, lock: ExitStack) -> None:
    step("mkdir")
    folder.mkdir(parents=True)
    with suppress(FileNotFoundError):
        lock.enter_context(held(folder, fcntl.LOCK_SH))
    if not folder.is_dir():
        # `gc` took the empty folder away before the lock was there.
        _make_locked(folder, lock)


@contextmanager
def held(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock on a folder; the kernel frees it when the process ends, however it ends.

    Raises: as `lock`.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock(descriptor, how, folder)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, how: int, path: Path) -> None:
    """Take the lock of an open file or folder. path: what to call it.

    Raises: BlockingIOError when `how` says not to wait and somebody else has it; WarehouseError when the file system
            gives none.
    """
    wake_from_waits()
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise
    except OSError as error:
        hint = "its file system gives no locks: mount it with them, or use a folder on another one"
        raise WarehouseError(f"cannot lock {path}: {error.strerror}", hint) from error


def stored(warehouse: Warehouse, put: Put) -> StoredFile:
    """Return what is recorded of a file that goes, or lies, in its place."""
    sha256 = put.sha256 or file_sha256(put.staged)
    return StoredFile(str(put.final.relative_to(warehouse.path)), put.staged.stat().st_size, sha256, put.holds)


def _rename(moves: Sequence[tuple[Path, Path]], within: Path | None = None) -> None:
    """Rename files into place, folders made as needed, and force the new names to disk."""
    changed: set[Path] = set()
    for staged, final in moves:
        if within:
            _stay_below(within, final)
        missing = takewhile(lambda folder: not folder.exists(), final.parents)
        changed |= {final.parent, *(folder.parent for folder in missing)}
        step("mkdir")
        final.parent.mkdir(parents=True, exist_ok=True)
        step("rename")
        staged.rename(final)
    _sync_all(changed)


def _stay_below(folder: Path, path: Path) -> None:
    """Raise a WarehouseError when a symbolic link on the way to a path leads out of a folder."""
    there = next(parent for parent in path.parents if parent.exists())
    if not there.resolve().is_relative_to(folder.resolve()) and folder.exists():
        raise WarehouseError(
            f"{there} leads out of {folder}: nothing is written through symbolic links",
            "put a folder in the place of the link; --warehouse may name another disk as a whole",
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file of its own and force it to disk."""
    with path.open("wb") as out:
        step("write")
        out.write(content)
        out.flush()
        step("fsync")
        os.fsync(out.fileno())


def _unlink(path: Path) -> None:
    step("unlink")
    path.unlink(missing_ok=True)


def _sync_all(paths: Iterable[Path]) -> None:
    """Force files or folders to disk, several at a time: the disk gathers them into fewer writes."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_sync, list(paths)))


def _sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    step("fsync")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _disk_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise WarehouseError(
            f"{what}{where}: {error.strerror}", MACHINE_HINTS.get(error.errno or 0, _NO_HINT)
        ) from error
