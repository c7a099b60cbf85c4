"""A dataset file under its lock: what every writer of a shared, append-only file must go through."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import new_batch

_CHUNK_BYTES = 4 << 20
_APPEND = os.O_RDWR | os.O_APPEND


@dataclass(frozen=True)
class LockedFile:
    """A file nobody else with a lock reads or writes. is_new: it was missing, and has been made under the lock."""

    path: Path
    descriptor: int
    is_new: bool = False

    @property
    def size(self) -> int:
        """Return the length of the file in bytes."""
        return os.fstat(self.descriptor).st_size

    def read_from(self, offset: int) -> bytes:
        """Return everything from a byte on."""
        with os.fdopen(self.descriptor, "rb", closefd=False) as source:
            source.seek(offset)
            return source.read()

    def byte_at(self, offset: int) -> bytes:
        """Return one byte, nothing behind the end."""
        return os.pread(self.descriptor, 1, offset)

    def sha256(self, length: int) -> str:
        """Return the SHA-256 of the first bytes of the file."""
        digest = hashlib.sha256()
        for start in range(0, length, _CHUNK_BYTES):
            digest.update(os.pread(self.descriptor, min(_CHUNK_BYTES, length - start), start))
        return digest.hexdigest()

    def unfinished_line(self) -> bytes:
        """Return what stands behind the last newline: nothing, unless a kill or an editor took the newline."""
        size = self.size
        return b"" if not size or self.byte_at(size - 1) == b"\n" else self.read_from(0).rpartition(b"\n")[2]

    def append(self, content: bytes) -> None:
        """Add bytes in one write and force them to disk; what the disk took only in part is taken back.

        Raises: WarehouseError when the disk does not take them.
        """
        if not content:
            return
        try:
            commit.append(self.path, self.descriptor, content)
        except OSError as error:
            raise _cannot("write", self.path, error) from error


@contextmanager
def locked(path: Path, *, write: bool = True, first: bytes = b"") -> Iterator[LockedFile]:
    """Hold the exclusive lock of a file, waiting for it; to write, a missing file is made.

    The kernel frees the lock when the process ends, however it ends. A file made here that is still empty when the
    work fails is removed again.
    first: what a file made here holds; it appears whole and locked, so nobody finds it empty in between.
    Raises: WarehouseError when the file cannot be opened (exit code 2 if it is to be read only).
    """
    try:
        file = (_make(path, first) if write else None) or _open_locked(path, _APPEND if write else os.O_RDONLY)
    except OSError as error:
        raise _cannot("write" if write else "read", path, error) from error
    try:
        yield file
    except BaseException:
        if file.is_new and not file.size:
            commit.remove(path)
        raise
    finally:
        os.close(file.descriptor)


def _make(path: Path, content: bytes) -> LockedFile | None:
    """Make a file that is missing, and its folder; None when it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return None
    staged = path.with_name(f".{path.name[:100]}.{new_batch()}")
    file = LockedFile(path, os.open(staged, _APPEND | os.O_CREAT | os.O_EXCL, 0o666), is_new=True)
    try:
        _publish_new(file, staged, content)
    except FileExistsError:
        os.close(file.descriptor)
        return None
    except BaseException:
        os.close(file.descriptor)
        raise
    finally:
        commit.remove(staged)
    return file


def _publish_new(file: LockedFile, staged: Path, content: bytes) -> None:
    commit.lock(file.descriptor, fcntl.LOCK_EX, file.path)
    file.append(content)
    commit.publish_new(staged, file.path)


def _open_locked(path: Path, flags: int) -> LockedFile:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    while True:
        descriptor = os.open(path, flags | os.O_CREAT * (flags == _APPEND), 0o666)
        commit.lock(descriptor, fcntl.LOCK_EX, path)
        # The file may have been removed while we waited: a lock on what nobody can find any more protects nothing.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return LockedFile(path, descriptor)
        os.close(descriptor)


def _cannot(verb: str, path: Path, error: OSError) -> WarehouseError:
    hint = "`paraphina-wh dataset list` shows the datasets" if verb == "read" else "check the disk and the permissions"
    return WarehouseError(f"cannot {verb} {path}: {error.strerror}", hint, exit_code=2 if verb == "read" else 1)
