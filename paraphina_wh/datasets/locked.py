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

from paraphina_wh.commit import sync
from paraphina_wh.errors import WarehouseError

_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class LockedFile:
    """A file nobody else with a lock reads or writes."""

    path: Path
    descriptor: int

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
        before = self.size
        try:
            written = os.write(self.descriptor, content)
            if written < len(content):
                os.ftruncate(self.descriptor, before)
                raise WarehouseError(f"cannot write {self.path}: the disk took only {written} of {len(content)} bytes")
            os.fsync(self.descriptor)
            if not before:
                sync(self.path.parent)
        except OSError as error:
            raise _cannot("write", self.path, error) from error


@contextmanager
def locked(path: Path, *, write: bool = True) -> Iterator[LockedFile]:
    """Hold the exclusive lock of a file, waiting for it; to write, a missing file is made.

    The kernel frees the lock when the process ends, however it ends. A file made here that is still empty when the
    work fails is removed again.
    Raises: WarehouseError when the file cannot be opened (exit code 2 if it is to be read only).
    """
    try:
        is_new = write and _make(path)
        descriptor = _open_locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT if write else os.O_RDONLY)
    except OSError as error:
        raise _cannot("write" if write else "read", path, error) from error
    file = LockedFile(path, descriptor)
    try:
        yield file
    except BaseException:
        if is_new and not file.size:
            path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _make(path: Path) -> bool:
    """Make an empty file and its folder; tell whether it was missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    return True


def _open_locked(path: Path, flags: int) -> int:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    while True:
        descriptor = os.open(path, flags, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The file may have been removed while we waited: a lock on what nobody can find any more protects nothing.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)


def _cannot(verb: str, path: Path, error: OSError) -> WarehouseError:
    return WarehouseError(f"cannot {verb} {path}: {error.strerror}", exit_code=2 if verb == "read" else 1)
