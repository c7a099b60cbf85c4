"""Which byte of a Parquet file is what."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

_MAGIC: Final = b"PAR1"
# Of Thrift's compact protocol: the wire types that a page header uses, and what they are followed by.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
_COMPRESSED_SIZE: Final = 3


def regions(path: Path) -> dict[str, list[range]]:
    """Return byte class -> where it lies; every byte of the file is in one of them."""
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    found: dict[str, list[range]] = {
        "magic at the start": [range(4)],
        "page header": [],
        "page data": [],
        "footer": [range(len(content) - 8 - footer, len(content) - 8)],
        "footer length": [range(len(content) - 8, len(content) - 4)],
        "magic at the end": [range(len(content) - 4, len(content))],
    }
    for start, end in sorted(_chunks(path)):
        while start < end:
            head, size = _page_header(content, start)
            found["page header"].append(range(start, start + head))
            found["page data"].append(range(start + head, start + head + size))
            start += head + size
    taken = sorted((part for parts in found.values() for part in parts), key=lambda part: (part.start, part.stop))
    gaps = (range(a.stop, b.start) for a, b in pairwise(taken))
    found["between"] = [gap for gap in gaps if gap]
    assert sum(len(part) for parts in found.values() for part in parts) == len(content), path
    return {name: [part for part in parts if part] for name, parts in found.items() if any(parts)}


def _chunks(path: Path) -> Iterator[tuple[int, int]]:
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            starts = [chunk.data_page_offset]
            if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                starts.append(chunk.dictionary_page_offset)
            start = min(starts)
            yield start, start + chunk.total_compressed_size


def _page_header(content: bytes, start: int) -> tuple[int, int]:
    """Return the length of a page header, and that of the page behind it."""
    fields: dict[int, int] = {}
    end = _skip_struct(content, start, fields)
    return end - start, fields[_COMPRESSED_SIZE]


def _skip_struct(content: bytes, at: int, fields: dict[int, int]) -> int:
    """Return where a struct ends; fields takes the integers of its own fields."""
    number = 0
    while content[at]:
        kind, step = content[at] & 15, content[at] >> 4
        at += 1
        if step:
            number += step
        else:
            raw, at = _varint(content, at)
            number = raw >> 1
        at = _skip(content, at, kind, number, fields)
    return at + 1


def _skip(content: bytes, at: int, kind: int, number: int, fields: dict[int, int]) -> int:
    if kind in (_TRUE, _FALSE):
        return at
    if kind in (_BYTE, _DOUBLE):
        return at + (1 if kind == _BYTE else 8)
    if kind in (_I16, _I32, _I64):
        raw, at = _varint(content, at)
        fields[number] = raw >> 1
        return at
    if kind == _BINARY:
        length, at = _varint(content, at)
        return at + length
    assert kind == _STRUCT, f"a page header holds no type {kind}"
    return _skip_struct(content, at, {})


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
