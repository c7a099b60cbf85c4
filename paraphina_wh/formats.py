"""Rows as text and files: CSV, JSON, JSON lines and Parquet, written batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
import polars as pl

from paraphina_wh.errors import WarehouseError
from paraphina_wh.text import csv_bytes, instants_as_text

if TYPE_CHECKING:
    import pyarrow as pa

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Batches(Protocol):
    """Rows in Arrow batches of one schema, and the same rows as frames, at least one."""

    schema: pa.Schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the frames."""


def csv_chunks(frames: Iterable[pl.DataFrame], *, spreadsheet_safe: bool = False) -> Iterator[bytes]:
    """Yield CSV text, the header once; the frames have the same columns. spreadsheet_safe: as `csv_bytes`."""
    header = 0
    for frame in frames:
        yield csv_bytes(frame, spreadsheet_safe=spreadsheet_safe)[header:]
        header = header or len(csv_bytes(frame.clear(), spreadsheet_safe=spreadsheet_safe))


def json_chunks(frames: Iterable[pl.DataFrame]) -> Iterator[bytes]:
    """Yield one JSON array of objects, an object a line; null stands for numbers that are not finite."""
    before = b"[\n"
    for frame in frames:
        for row in instants_as_text(frame).iter_rows(named=True):
            yield before + _encode(row)
            before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def jsonl_chunks(frames: Iterable[pl.DataFrame]) -> Iterator[bytes]:
    """Yield one JSON object a line; null stands for numbers that are not finite."""
    for frame in frames:
        for row in instants_as_text(frame).iter_rows(named=True):
            yield _encode(row) + b"\n"


def json_object(sections: Mapping[str, pl.DataFrame]) -> bytes:
    """Return several frames as one JSON object: name -> list of rows."""
    rows = (f'"{name}": '.encode() + b"".join(json_chunks([frame])).rstrip() for name, frame in sections.items())
    return b"{\n" + b",\n".join(rows) + b"\n}\n"


def in_section(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with the name of its section as the first column."""
    return frame.select(pl.lit(name).alias("section"), pl.all())


_CHUNKS = {"csv": csv_chunks, "json": json_chunks, "jsonl": jsonl_chunks}


def chunks_of(form: str, *, spreadsheet_safe: bool = False) -> Callable[[Iterable[pl.DataFrame]], Iterator[bytes]]:
    """Return the function that turns frames into text: `csv`, `json` or `jsonl`. spreadsheet_safe: of CSV alone."""
    if form == "csv":
        return partial(csv_chunks, spreadsheet_safe=spreadsheet_safe)
    return _CHUNKS[form]


def writer_of(path: Path, *, spreadsheet_safe: bool = False) -> Callable[[Batches, Path], int]:
    """Return the function that writes batches to a file of this name and returns the number of rows.

    spreadsheet_safe: of CSV alone.
    Raises: WarehouseError (exit code 2) for an ending that is not known.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending == "parquet":
        return write_parquet
    if ending in _CHUNKS:
        return partial(_write_text, chunks_of(ending, spreadsheet_safe=spreadsheet_safe))
    known = ", ".join(f".{name}" for name in ("parquet", *_CHUNKS))
    raise WarehouseError(f"cannot tell the form of {path} from its ending", f"endings known: {known}", exit_code=2)


def write_parquet(batches: Batches, path: Path) -> int:
    """Write batches as Parquet (zstd) and return the number of rows."""
    import pyarrow.parquet as pq

    rows = 0
    with pq.ParquetWriter(path, batches.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _write_text(chunks: Callable[[Iterable[pl.DataFrame]], Iterator[bytes]], batches: Batches, path: Path) -> int:
    rows = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for frame in batches.frames():
            rows += len(frame)
            yield frame

    with path.open("wb") as out:
        out.writelines(chunks(counted()))
    return rows
