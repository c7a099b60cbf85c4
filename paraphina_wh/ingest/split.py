"""Files to which several runs were appended, split where `t` starts again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO, Final

import msgspec

from paraphina_wh.engine.ending import NOTHING_ASKED
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.task import Task
from paraphina_wh.telemetry.reader import Lines, line_limit
from paraphina_wh.telemetry.source import is_cut_off, open_source

# Each is a file in staging and a run of its own.
MOST_STRETCHES: Final = 10_000


class _Index(msgspec.Struct):
    t: int | float | None = None


def split_on_reset(task: Task, staging: Path, most: int = MOST_STRETCHES) -> list[Task]:
    """Return one task for each stretch of rising t; a file without reset gives the task itself.

    The stretches are copied to staging. From the second on, labels end in `_s2`, `_s3` ...
    Raises: WarehouseError when t falls to where no run begins (two runs were written at once), or more often than
            some number of times: the stretches cannot be runs.
    """
    pieces = list(_pieces(Path(task.source or ""), staging, most))
    if len(pieces) == 1:
        pieces[0].unlink()
        return [task]
    return [_stretch(task, piece, number) for number, piece in enumerate(pieces, 1)]


def _pieces(source: Path, staging: Path, most: int) -> Iterator[Path]:
    """Copy each stretch to a file of its own and yield it."""
    taken = len(list(staging.glob("stretch*")))
    with open_source(source, may_be_cut=True) as stream:
        begun, first = b"", None
        for number in count():
            if number == most:
                raise WarehouseError(
                    f"{source}: more than {most} stretches of rising t", "is it the telemetry of runs?"
                )
            piece = staging / f"stretch{taken + number}.jsonl"
            with piece.open("wb") as out:
                out.write(begun)
                begun, start, last = _copy_stretch(stream, out, _index(begun))
            first = start if first is None else first
            if begun and first is not None and _begins_within(begun, first):
                raise WarehouseError(
                    f"{source}: t falls from {last} to {_index(begun)}, where no run begins: several runs are mixed",
                    "run them again, each into a file of its own",
                )
            yield piece
            if not begun:
                break
        if number and is_cut_off(stream):
            # A copy of the last stretch would look like all there was of it.
            raise WarehouseError(f"{source}: packed data that is cut off cannot be split", "split what it unpacks to")


def _begins_within(line: bytes, first: int) -> bool:
    """Tell whether a stretch starts behind the t at which a run starts, that of the first one or 0."""
    index = _index(line)
    return index is not None and index > max(first, 0)


def stretch_sizes(source: Path) -> list[int]:
    """Return the bytes of each stretch of rising t of a file, decompressed."""
    sizes, begun = [], b""
    with open_source(source) as stream:
        while True:
            counted = _Counted()
            counted.write(begun)
            begun, _, _ = _copy_stretch(stream, counted, _index(begun))
            sizes.append(counted.size)
            if not begun:
                return sizes


class _Counted:
    """Takes lines, and keeps their number of bytes alone."""

    size = 0

    def write(self, line: bytes, /) -> None:
        self.size += len(line)


def _copy_stretch(stream: IO[bytes], out: Lines, start: int | None) -> tuple[bytes, int | None, int | None]:
    """Copy lines as long as t rises; return the first line of the next stretch, none at the end of the file.

    start: t of the line that has been copied already. Also returned: the first and the last t of the stretch.

    Of a line beyond the limit no more is held than the limit: the strict pass will say what is wrong with it.
    """
    is_start, limit, last = True, line_limit(), start
    while line := stream.readline(limit + 1):
        index = _index(line) if is_start else None
        if index is not None and last is not None and index < last:
            return line, start, last
        last = last if index is None else index
        start = last if start is None else start
        is_start = line.endswith(b"\n")
        out.write(line)
    return b"", start, last


_decode = msgspec.json.Decoder(_Index).decode


def _index(line: bytes) -> int | None:
    """Return t of a line; the strict pass will say what is wrong with a line that has none."""
    try:
        index = _decode(line).t
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if index is None else int(index)


def _stretch(task: Task, piece: Path, number: int) -> Task:
    first = number == 1
    return msgspec.structs.replace(
        task,
        source=str(piece),
        origin=task.origin if first else f"{task.origin}#s{number}",
        # Nobody can tell which of the runs it belongs to, nor which of them was asked for what.
        stdout=None,
        asked=NOTHING_ASKED,
        label=task.label if first else f"{task.label}_s{number}",
        size_bytes=piece.stat().st_size,
    )
