"""Files to which several runs were appended, split where `t` starts again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from paraphina_wh.ingest.task import Task
from paraphina_wh.telemetry.source import open_source


class _Index(msgspec.Struct):
    t: Any = None


def split_on_reset(task: Task, staging: Path) -> list[Task]:
    """Return one task for each stretch of rising t; a file without reset gives the task itself.

    The stretches are copied to staging. From the second on, labels end in `_s2`, `_s3` ...
    """
    pieces = list(_pieces(Path(task.source or ""), staging))
    if len(pieces) == 1:
        pieces[0].unlink()
        return [task]
    return [_stretch(task, piece, number) for number, piece in enumerate(pieces, 1)]


def _pieces(source: Path, staging: Path) -> Iterator[Path]:
    """Copy each stretch to a file of its own and yield it."""
    piece = _next_name(staging)
    out = piece.open("wb")
    last = None
    with open_source(source) as stream:
        for line in stream:
            index = _index(line)
            if index is not None and last is not None and index < last:
                out.close()
                yield piece
                piece = _next_name(staging)
                out = piece.open("wb")
            last = last if index is None else index
            out.write(line)
    out.close()
    yield piece


def _next_name(staging: Path) -> Path:
    return staging / f"stretch{len(list(staging.glob('stretch*')))}.jsonl"


_decode = msgspec.json.Decoder(_Index).decode


def _index(line: bytes) -> int | None:
    """Return t of a line; the strict pass will say what is wrong with a line that has none."""
    try:
        index = _decode(line).t
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return int(index) if isinstance(index, int | float) else None


def _stretch(task: Task, piece: Path, number: int) -> Task:
    first = number == 1
    return msgspec.structs.replace(
        task,
        source=str(piece),
        origin=task.origin if first else f"{task.origin}#s{number}",
        # Nobody can tell which of the runs it belongs to.
        stdout=None,
        label=task.label if first else f"{task.label}_s{number}",
        size_bytes=piece.stat().st_size,
    )
