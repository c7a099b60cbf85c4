"""Where the strict pass puts what does not go the plain way: unknown fields and rejected lines."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

import msgspec

from paraphina_wh.telemetry.reader import BadLine

if TYPE_CHECKING:
    import pyarrow as pa

ERRORS_SHOWN = 10
# What is held of unknown fields before it is written.
_EXTRA_CHARACTERS, _EXTRA_ROWS = 1 << 22, 1 << 13


class _LazyFile:
    """A file that comes into being with its first line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._out: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._out:
            self._out.close()

    def write(self, value: object) -> None:
        if self._out is None:
            self._out = self.path.open("wb")
        self._out.write(msgspec.json.encode(value) + b"\n")


class ExtraFile:
    """Collects the unknown fields of a run, as an Arrow stream of (t, extra): a row for every tick that has some."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._index: list[int] = []
        self._text: list[str] = []
        self._characters = 0

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._index and kind is None:
            self._write()
        if self._writer:
            self._writer.close()

    def __call__(self, index: int, text: str) -> None:
        """Take the unknown fields of one tick, as JSON text."""
        self._index.append(index)
        self._text.append(text)
        self._characters += len(text)
        if self._characters > _EXTRA_CHARACTERS or len(self._index) == _EXTRA_ROWS:
            self._write()

    def _write(self) -> None:
        # It takes long to import, and few runs have such fields.
        import pyarrow as pa

        # Arrow's own pool would hold on to what a text of megabytes took.
        text = pa.array(self._text, pa.string(), memory_pool=pa.system_memory_pool())
        batch = pa.record_batch({"t": pa.array(self._index, pa.int64()), "extra": text})
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self.path, batch.schema)
        self._writer.write_batch(batch)
        self._index, self._text, self._characters = [], [], 0


class BadLineFile(_LazyFile):
    """Collects every rejected line for the quarantine, and the first reasons for the report."""

    def __init__(self, path: Path, origin: str) -> None:
        super().__init__(path)
        self.origin = origin
        self.reasons: list[str] = []

    def __call__(self, bad: BadLine) -> None:
        """Take one rejected line."""
        room = ERRORS_SHOWN - len(self.reasons)
        self.reasons += [reason_text(bad.line, b.field, b.reason) for b in bad.breaches][:room]
        self.write(_quarantined(self.origin, bad))


def reason_text(line: int, field: str, reason: str) -> str:
    """Return a breach as it is printed: `line 3: fills[0].price: expected number, got null`."""
    return f"line {line}: {field}: {reason}" if field else f"line {line}: {reason}"


def _quarantined(origin: str, bad: BadLine) -> dict[str, object]:
    """Return a rejected line as it is kept; bytes that are no text are kept in base64."""
    entry: dict[str, object] = {
        "file": origin,
        "line": bad.line,
        "offset": bad.offset,
        "reasons": [{"field": b.field, "reason": b.reason} for b in bad.breaches],
    }
    try:
        return entry | {"raw": bad.raw.decode("utf-8")}
    except UnicodeDecodeError:
        return entry | {"raw_base64": bad.raw}
