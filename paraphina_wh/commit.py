"""The commit path: the only code that puts files in place.

A file is whole and final, or it is not there: it is written under a staging name on the same file system,
forced to disk, and renamed. Kill the process at any instant and the next command sees the old state or the
new one.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from paraphina_wh.errors import WarehouseError


def publish(moves: Sequence[tuple[Path, Path]]) -> None:
    """Put staged files in place: (staged, final) pairs, renamed in the order given.

    The last pair is the commit: readers ignore what came before it until it is there. All files are on disk
    before the first rename, all other renames before that of the commit, and that one before this returns.
    """
    with _disk_errors("cannot write to"):
        _sync_all(staged for staged, _ in moves)
        _rename(moves[:-1])
        _rename(moves[-1:])


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole; the old content stays until the new one is on disk."""
    with _disk_errors(f"cannot write {path}:"):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
            # mkstemp makes files nobody else can read; artefacts are for everybody the umask allows.
            staged.chmod(0o666 & ~_umask())
            publish([(staged, path)])
        finally:
            staged.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file that nothing answers for any more; one that is gone already is fine."""
    with _disk_errors("cannot remove"):
        path.unlink(missing_ok=True)


@contextmanager
def staging_folder(parent: Path, name: str) -> Iterator[Path]:
    """Make a folder for unfinished files below parent, and remove it with what is left in it at the end."""
    folder = parent / name
    with _disk_errors(f"cannot write below {parent}:"):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rename(moves: Sequence[tuple[Path, Path]]) -> None:
    """Rename files into place, folders made as needed, and force the new names to disk."""
    changed: set[Path] = set()
    for staged, final in moves:
        missing = takewhile(lambda folder: not folder.exists(), final.parents)
        changed |= {final.parent, *(folder.parent for folder in missing)}
        final.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(final)
    _sync_all(changed)


def _sync_all(paths: Iterable[Path]) -> None:
    """Force files or folders to disk, several at a time: the disk gathers them into fewer writes."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sync, list(paths)))


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
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
        hints = {
            errno.ENOSPC: "free some disk space and repeat the command: nothing was half-written",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "check the permissions of the folder",
        }
        where = f" {error.filename}" if error.filename else ""
        raise WarehouseError(
            f"{what}{where}: {error.strerror}", hints.get(error.errno or 0, "repeat the command once this is solved")
        ) from error
