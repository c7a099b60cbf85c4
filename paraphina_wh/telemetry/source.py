"""Telemetry files as streams of decompressed bytes, whatever they are packed in."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from paraphina_wh.errors import WarehouseError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PACKED = (".gz", ".zst")
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BUFFER_BYTES = 1 << 18


def plain_name(path: Path) -> str:
    """Return the name of a file without .gz or .zst: every rule about names looks at this."""
    return path.stem if path.suffix.lower() in _PACKED else path.name


@contextmanager
def open_source(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain, gzip or zstd file and give its decompressed bytes; the content tells which it is.

    Raises: WarehouseError with exit code 2 when the file cannot be opened, and with exit code 1, also while
    reading, when the compressed data is cut off or damaged.
    """
    try:
        file = io.BufferedReader(path.open("rb", buffering=0), _BUFFER_BYTES)
    except OSError as error:
        raise _cannot_open(path, error) from error
    with file:
        packing = packing_of(file.peek(4))
        if packing is None:
            yield file
        else:
            with io.BufferedReader(_Unpacked(path, file, packing), _BUFFER_BYTES) as unpacked:
                yield unpacked


def packing_of(head: bytes) -> str | None:
    """Return what the first bytes of a file say: `gzip`, `zstd`, or None for plain bytes."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else None


def _cannot_open(path: Path, error: OSError) -> WarehouseError:
    if isinstance(error, FileNotFoundError):
        return WarehouseError(f"no such file: {path}", "check the path", exit_code=2)
    return WarehouseError(f"cannot read {path}: {error.strerror}", "check the path and its permissions", exit_code=2)


class _Unpacked(io.RawIOBase):
    """Decompressed bytes; damage becomes an error that names the file."""

    def __init__(self, path: Path, file: IO[bytes], packing: str) -> None:
        self._path = path
        self._packing = packing
        self._stream = gzip.GzipFile(fileobj=file) if packing == "gzip" else _zstd_stream(file)

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
        target[: len(block)] = block
        return len(block)

    def _damaged(self, error: Exception) -> WarehouseError:
        cut = isinstance(error, EOFError) or "Truncated" in str(error)
        what = "is cut off" if cut else f"is damaged ({error})"
        return WarehouseError(
            f"{self._path}: the {self._packing} data {what}",
            "get a whole copy of the file, or unpack what is left of it and check that",
        )


def _zstd_stream(file: IO[bytes]) -> IO[bytes]:
    # pyarrow takes long to import, and only zstd needs it.
    import pyarrow as pa

    stream: IO[bytes] = pa.CompressedInputStream(file, "zstd")
    return stream
