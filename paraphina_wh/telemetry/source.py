"""Telemetry files as streams of decompressed bytes, whatever they are packed in."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

from paraphina_wh.errors import WarehouseError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A file may unpack to this much whatever its size, and beyond it to so many times what was read of it. Recorded
# telemetry packs 10 to 21 times, even at the hardest settings; an engine that writes the same full record again and
# again 140 times with gzip and 2400 times with zstd. Zeros pack 1029 times with gzip and 30,000 times with zstd.
FREE_BYTES: Final = 1 << 30
MOST_TIMES: Final = 200

_PACKED: Final = (".gz", ".zst")
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BUFFER_BYTES: Final = 1 << 18
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def plain_name(path: Path) -> str:
    """Return the name of a file without .gz or .zst: every rule about names looks at this."""
    return path.stem if path.suffix.lower() in _PACKED else path.name


def ending_of(path: Path) -> str:
    """Return the ending of a file's name without .gz or .zst, in small letters: `RUN.JSONL.gz` -> `.jsonl`."""
    return Path(plain_name(path)).suffix.lower()


@contextmanager
def open_source(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain, gzip or zstd file and give its decompressed bytes; the content tells which it is.

    Raises: WarehouseError with exit code 2 when the file cannot be opened or read, and with exit code 1, while
    reading, when the compressed data is cut off, damaged, or unpacks to far more than telemetry does.
    """
    try:
        file = io.BufferedReader(_File(path), _BUFFER_BYTES)
    except OSError as error:
        raise _cannot_read(path, error) from error
    with file:
        packing = packing_of(file.peek(4))
        if packing is None:
            yield file
        else:
            with io.BufferedReader(Unpacked(str(path), file, packing), _BUFFER_BYTES) as unpacked:
                yield unpacked


def packing_of(head: bytes) -> str | None:
    """Return what the first bytes of a file say: `gzip`, `zstd`, or None for plain bytes."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else None


def _cannot_read(path: Path, error: OSError) -> WarehouseError:
    if isinstance(error, FileNotFoundError):
        return WarehouseError(f"no such file: {path}", "check the path", exit_code=2)
    return WarehouseError(f"cannot read {path}: {error.strerror}", "check the path and its permissions", exit_code=2)


class _File(io.FileIO):
    """A file whose reading fails with an error that names it: the caller may be writing another one meanwhile."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        kind = os.fstat(self.fileno()).st_mode
        if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
            self.close()
            raise WarehouseError(f"cannot read {path}: a device, which may never end", "name a file", exit_code=2)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise _cannot_read(self._path, error) from error

    def readall(self) -> bytes:
        try:
            return super().readall()
        except OSError as error:
            raise _cannot_read(self._path, error) from error


class Unpacked(io.RawIOBase):
    """Decompressed bytes; damage, and more of them than telemetry gives, becomes an error that names the file.

    free_bytes: what may come out of a file of any size.
    """

    def __init__(self, name: str, file: _Stream, packing: str, free_bytes: int = FREE_BYTES) -> None:
        self._name = name
        self._packing = packing
        self._free_bytes = free_bytes
        self._packed = _Counted(file)
        self._stream: _Stream = _Gunzip(self._packed) if packing == "gzip" else _zstd_stream(self._packed)
        self._bytes = 0

    def readable(self) -> bool:
        """Tell that bytes can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer and return how many bytes it got; 0 at the end."""
        target = memoryview(buffer)
        try:
            block = self._stream.read(len(target))
        except (EOFError, OSError, zlib.error) as error:
            raise self._damaged(error) from error
        self._bytes += len(block)
        if self._bytes > max(self._free_bytes, MOST_TIMES * self._packed.bytes):
            raise self._bomb()
        target[: len(block)] = block
        return len(block)

    def _damaged(self, error: Exception) -> WarehouseError:
        if "too much memory" in str(error):
            return WarehouseError(
                f"{self._name}: unpacking the {self._packing} data takes more than 128 MiB of memory",
                "pack it again without --long, or unpack it and give the plain file",
            )
        cut = isinstance(error, EOFError) or "Truncated" in str(error)
        what = "is cut off" if cut else f"is damaged ({error})"
        return WarehouseError(
            f"{self._name}: the {self._packing} data {what}",
            "get a whole copy of the file, or unpack what is left of it and check that",
        )

    def _bomb(self) -> WarehouseError:
        return WarehouseError(
            f"{self._name}: {self._packed.bytes} bytes of {self._packing} data unpack to {self._bytes} and more, "
            f"over {MOST_TIMES} times as many",
            "telemetry packs 10 to 60 times: if the file is what it should be, unpack it and give the plain file",
        )


class _Counted:
    """A stream that counts what was read of it. closed: what pyarrow asks of a file."""

    closed = False

    def __init__(self, file: _Stream) -> None:
        self._file = file
        self.bytes = 0

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self.bytes += len(block)
        return block

    def close(self) -> None:
        """Leave the file open: whoever opened it closes it."""


class _Gunzip:
    """The content of gzip members, one after the other, with zero bytes between them or none.

    The standard library reads a header byte by byte, and a header may hold a name of gigabytes.
    """

    def __init__(self, packed: _Counted) -> None:
        self._packed = packed
        self._member: zlib._Decompress | None = zlib.decompressobj(_GZIP_WINDOW)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return some bytes, at most so many; none at the end."""
        while True:
            if self._member is None:
                self._rest = self._rest.lstrip(b"\0") or self._next_after_padding()
                if not self._rest:
                    return b""
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            block = self._member.decompress(self._rest, size)
            self._rest = self._member.unused_data or self._member.unconsumed_tail
            if self._member.eof:
                self._member = None
            if block:
                return block
            if self._member is not None:
                self._refill()

    def _next_after_padding(self) -> bytes:
        while block := self._packed.read(_BUFFER_BYTES):
            if stripped := block.lstrip(b"\0"):
                return stripped
        return b""

    def _refill(self) -> None:
        self._rest = self._rest or self._packed.read(_BUFFER_BYTES)
        if not self._rest:
            raise EOFError


def _zstd_stream(packed: _Counted) -> _Stream:
    # pyarrow takes long to import, and only zstd needs it.
    import pyarrow as pa

    stream: _Stream = pa.CompressedInputStream(packed, "zstd")
    return stream
