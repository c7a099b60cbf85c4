"""The lines of one run that were put aside, with the reasons and every byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.quarantine.files import file_of, load_put_aside, longest_line, paths, query, sizes
from paraphina_wh.quarantine.held import Held
from paraphina_wh.warehouse import Warehouse

_BATCH_ROWS: Final = 2000
_BATCH_BYTES: Final = 64 << 20
_SCHEMA: Final = pl.Schema(
    {
        "file": pl.String(),
        "line": pl.Int64(),
        "offset": pl.Int64(),
        "field": pl.String(),
        "reason": pl.String(),
        "reasons": pl.List(pl.Struct({"field": pl.String(), "reason": pl.String()})),
        "raw": pl.String(),
        "raw_base64": pl.String(),
        "start": pl.String(),
        "size": pl.Int64(),
    }
)


class Shown:
    """The lines of one run: how many there are, and their rows.

    kept: lines that can be read. damaged: the file is not what it was when it was written.
    """

    def __init__(self, held: Held, file: Path) -> None:
        self.held = held
        self._file = file
        with in_memory() as connection:
            load_put_aside(connection, [file])
            found = connection.execute("SELECT entries, readable FROM put_aside").fetchone()
        entries, self.kept = found or (0, 0)
        self.damaged = entries != self.kept or held.quarantined not in (None, entries)

    def frames(self, limit: int | None = None) -> Iterator[pl.DataFrame]:
        """Yield the lines in the order of their file, at least one frame; limit: the most lines.

        Columns as in sql/quarantine/lines.sql. Memory does not grow with the number of lines.
        """
        if not self.kept:
            yield pl.DataFrame(schema=_SCHEMA)
            return
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, longest_line(self._file))))
        with in_memory() as connection:
            values = {"file": paths([self._file])} | sizes(connection, [self._file])
            lines = connection.sql(query("lines"), params=values)
            batches = (lines if limit is None else lines.limit(limit)).to_arrow_reader(rows)
            yield pl.DataFrame(schema=_SCHEMA)
            for batch in batches:
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                yield frame


def show(warehouse: Warehouse, held: Held) -> Shown:
    """Return the lines of a run that were put aside.

    Raises: WarehouseError (exit code 2) when they are no longer kept.
    """
    file = file_of(warehouse, held.run_id)
    if not file.is_file():
        raise gone(held)
    return Shown(held, file)


def gone(held: Held) -> WarehouseError:
    """Return the error for lines that are no longer kept."""
    return WarehouseError(
        f"the {held.quarantined} lines of {held} that were put aside are no longer kept: they were dropped",
        f"the source may have them still: {held.file}",
        exit_code=2,
    )
