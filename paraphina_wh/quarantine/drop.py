"""Lines that nobody will repair, forgotten for good; the ledger keeps their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from paraphina_wh.quarantine.files import drop_file, file_of, load_put_aside
from paraphina_wh.quarantine.held import Held, open_held
from paraphina_wh.quarantine.show import gone
from paraphina_wh.warehouse import Warehouse


def drop(warehouse: Warehouse, runs: Sequence[Held]) -> pl.DataFrame:
    """Remove the lines of runs that were put aside, and return what went: run_id, label, file, lines, bytes.

    The rows and the numbers of the runs stay as they are.
    Raises: WarehouseError (exit code 2), before anything is removed, when the lines of a run are no longer kept.
    """
    files = [file_of(warehouse, held.run_id) for held in runs]
    for held, file in zip(runs, files, strict=True):
        if not file.is_file():
            raise gone(held)
    with open_held(warehouse) as connection:
        load_put_aside(connection, files)
        dropped: pl.DataFrame = connection.sql(
            "SELECT run_id, label, file, coalesce(quarantined, readable) AS lines, "
            "coalesce(quarantined_bytes, p.bytes) AS bytes "
            "FROM held JOIN put_aside p USING (run_id) ORDER BY ingested_at, run_id"
        ).pl()
    for held in runs:
        drop_file(warehouse, held.run_id)
    return dropped
