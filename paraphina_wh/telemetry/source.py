"""Telemetry files as streams of decompressed bytes, whatever they are packed in."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
# The last bytes of whole packed data may be zeros: of a checksum, of a size.
_LAST_ZEROS: Final = 16
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
def open_source(path: Path, *, may_be_cut: bool = False) -> Iterator[IO[bytes]]:
    """Open a plain, gzip or zstd file and give its decompressed bytes; the content tells which it is.

    may_be_cut: of packed data that is cut off give what is there, and let `is_cut_off` tell.
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
            unpacked = Unpacked(str(path), file, packing, may_be_cut=may_be_cut)
            with io.BufferedReader(unpacked, _BUFFER_BYTES) as stream:
                yield stream


def is_cut_off(source: IO[bytes]) -> bool:
    """Tell whether a source that was read to its end is packed data that lacks its own."""
    raw = getattr(source, "raw", None)
    return isinstance(raw, Unpacked) and raw.cut_off


def foreign_text(path: Path) -> tuple[str, str]:
    """Return how a file is written that is not in plain UTF-8, and the next step; nothing for any other file."""
    with open_source(path, may_be_cut=True) as source:
        head = source.read(4)
    if head.startswith(b"\xef\xbb\xbf"):
        text = r"take the three bytes out: sed -i '1s/^\xEF\xBB\xBF//' FILE (unpack it first, if it is packed)"
        return "starts with a byte order mark, which belongs to no record", text
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head in (b'{\0"\0', b'\0{\0"'):
        order = {b"\0{": " -f UTF-16BE", b"{\0": " -f UTF-16LE"}.get(head[:2], " -f UTF-16")
        return (
            "is UTF-16, as PowerShell writes",
            f"make it UTF-8: iconv{order} -t UTF-8 FILE > NEW, and give NEW its name",
        )
    return "", ""


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
    may_be_cut: data that ends too early, or in zero bytes, is no error if it can be read twice: cut_off tells of it.
    """

    def __init__(
        self, name: str, file: IO[bytes], packing: str, free_bytes: int = FREE_BYTES, *, may_be_cut: bool = False
    ) -> None:
        self._name = name
        self._file = file
        self._packing = packing
        self._free_bytes = free_bytes
        self._may_be_cut = may_be_cut and file.seekable()
        self._packed = _Packed(file)
        self._stream: _Stream = _Gunzip(self._packed) if packing == "gzip" else _zstd_stream(self._packed)
        self._bytes = 0
        self.cut_off = False

    def readable(self) -> bool:
        """Tell that bytes can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer and return how many bytes it got; 0 at the end."""
        target = memoryview(buffer)[:_BUFFER_BYTES]
        try:
            block = self._stream.read(len(target))
        except (EOFError, OSError, zlib.error) as error:
            if not (self._may_be_cut and self._is_cut(error)):
                raise self._damaged(error) from error
            block = self._left_over()
            self.cut_off, self._stream = True, io.BytesIO()
        self._bytes += len(block)
        if self._bytes > max(self._free_bytes, MOST_TIMES * self._packed.bytes):
            raise self._bomb()
        target[: len(block)] = block
        return len(block)

    def _is_cut(self, error: Exception) -> bool:
        """Tell whether the data ends too early: of zstd data, whatever goes wrong once there are but zeros left."""
        is_end = isinstance(error, EOFError) or "Truncated" in str(error)
        return is_end or (self._packing == "zstd" and self._packed.gave_zeros)

    def _left_over(self) -> bytes:
        """Return what was unpacked before the data broke off and not given: pyarrow drops it with its error.

        All is unpacked once more: up to there in blocks, then byte by byte, until the error comes again.
        """
        if self._packing == "gzip":
            return b""
        self._file.seek(0)
        stream = _zstd_stream(_Packed(self._file))
        for _ in range(self._bytes // _BUFFER_BYTES):
            stream.read(_BUFFER_BYTES)
        stream.read(self._bytes % _BUFFER_BYTES)
        found = bytearray()
        with suppress(OSError):
            while byte := stream.read(1):
                found += byte
        return bytes(found)

    def _damaged(self, error: Exception) -> WarehouseError:
        if "too much memory" in str(error):
            return WarehouseError(
                f"{self._name}: unpacking the {self._packing} data takes more than 128 MiB of memory",
                "pack it again without --long, or unpack it and give the plain file",
            )
        what = "is cut off" if self._is_cut(error) else f"is damaged ({error})"
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


class _Packed:
    """Packed bytes, counted. Of zero bytes at the end, however many, a few are given, and alone.

    A power loss leaves them where data should be, and unpacked they may give what never was in the file.
    gave_zeros: all has been given but zeros. closed: what pyarrow asks of a file.
    """

    closed = False

    def __init__(self, file: _Stream) -> None:
        self._file = file
        self._inner_zeros = 0
        self._due = b""
        self._last_zeros = 0
        self.gave_zeros = False
        self.bytes = 0

    def read(self, size: int) -> bytes:
        """Return some bytes, at most so many; none at the end."""
        if not (self._inner_zeros or self._due):
            self._fill(size)
        if self._inner_zeros:
            given = bytes(min(size, self._inner_zeros))
            self._inner_zeros -= len(given)
        elif self._due:
            given, self._due = self._due[:size], self._due[size:]
        else:
            given = bytes(min(size, _LAST_ZEROS, self._last_zeros))
            self._last_zeros, self.gave_zeros = 0, self.gave_zeros or bool(given)
        return given

    def _fill(self, size: int) -> None:
        """Read on until something comes that is no zero."""
        while block := self._file.read(size):
            self.bytes += len(block)
            self._due = block.rstrip(b"\0")
            zeros = len(block) - len(self._due)
            if self._due:
                self._inner_zeros, self._last_zeros = self._last_zeros, zeros
                return
            self._last_zeros += zeros

    def close(self) -> None:
        """Leave the file open: whoever opened it closes it."""


class _Gunzip:
    """The content of gzip members, one after the other, with zero bytes between them or none.

    The standard library reads a header byte by byte, and a header may hold a name of gigabytes.
    """

    def __init__(self, packed: _Packed) -> None:
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
        if not self._rest or (self._packed.gave_zeros and not _is_end(self._member, self._rest)):
            raise EOFError


def _is_end(member: zlib._Decompress | None, rest: bytes) -> bool:
    """Tell whether some bytes bring a gzip member to its end; the member is left as it is."""
    trial = member.copy() if member else zlib.decompressobj(_GZIP_WINDOW)
    try:
        trial.decompress(rest)
    except zlib.error:
        return False
    return trial.eof


def _zstd_stream(packed: _Packed) -> _Stream:
    # pyarrow takes long to import, and only zstd needs it.
    import pyarrow as pa

    stream: _Stream = pa.CompressedInputStream(packed, "zstd")
    return stream
