"""Repeated telemetry against the stored ticks: the fast way by hash, else tick by tick in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from paraphina_wh import commit
from paraphina_wh.catalog import no_glob, sql_folder
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.columnar import open_reader
from paraphina_wh.ingest.overlapped import file_sha256
from paraphina_wh.ingest.stage import Stager
from paraphina_wh.ingest.task import Outcome, Task
from paraphina_wh.rerun.fields import FieldDifference, tick_fields
from paraphina_wh.rerun.recorded import Recorded
from paraphina_wh.tables import ticks_columns, zero_rows
from paraphina_wh.warehouse import Warehouse, sql_text

FIELDS_KEPT = 100


@dataclass(frozen=True)
class TicksComparison:
    """Where recorded and repeated ticks part.

    sha256: of the repeated telemetry, None when there is none. recorded, now, differing: numbers of ticks.
    t: the first differing tick. fields: what differs in it, at most 100; empty when only one side has that tick.
    """

    sha256: str | None
    recorded: int
    now: int
    differing: int = 0
    t: int | None = None
    fields: tuple[FieldDifference, ...] = ()
    notes: tuple[str, ...] = ()


def compare_ticks(warehouse: Warehouse, recorded: Recorded, task: Task, folder: Path) -> TicksComparison:
    """Compare the telemetry of a task with the stored ticks of a run. folder: for unfinished files.

    Of a run that was cut off or had lines put aside, the ticks that are stored are compared.
    Raises: WarehouseError when the stored ticks are not where they should be.
    """
    ticks = recorded.row.rows or 0
    if task.source is None:
        return TicksComparison(None, ticks, 0, differing=ticks, notes=("the repeated run left no telemetry",))
    sha256 = file_sha256(Path(task.source))
    if sha256 == recorded.row.source_sha256:
        return TicksComparison(sha256, ticks, ticks)
    with (
        commit.staging_folder(folder, "comparison") as private,
        open_reader(spill=private) as connection,
    ):
        staged = Stager(connection, private, "").stage(task)
        if isinstance(staged, Outcome):
            unusable = f"the repeated telemetry is not usable: {staged.errors[0]}"
            return TicksComparison(sha256, ticks, 0, differing=ticks, notes=(unusable,))
        assert staged.ticks is not None
        whole = not recorded.is_partial
        found = _differences(connection, _stored(warehouse, recorded), staged.ticks, whole=whole)
    return _comparison(recorded, sha256, found, staged.outcome)


def compare_stored(warehouse: Warehouse, a: Recorded, b: Recorded) -> TicksComparison | None:
    """Compare the stored ticks of two runs, b as the repetition of a; None when one has none.

    Ticks that only one of them has count, unless a is not stored whole.
    Raises: WarehouseError when the ticks are not where they should be.
    """
    if not (a.has_ticks and b.has_ticks):
        return None
    with in_memory() as connection:
        found = _differences(connection, _stored(warehouse, a), _stored(warehouse, b), whole=not a.is_partial)
    return _parting(b.row.source_sha256, found)


def _stored(warehouse: Warehouse, recorded: Recorded) -> Path:
    row = recorded.row
    path = warehouse.ticks_file(row.profile, row.label, row.run_id)
    if not path.is_file():
        raise WarehouseError(f"{recorded}: its ticks are missing: {path}", "ingest its telemetry again")
    return path


def _differences(connection: duckdb.DuckDBPyConnection, stored: Path, fresh: Path, *, whole: bool) -> dict[str, Any]:
    for name, path in (("recorded_ticks", stored), ("fresh_ticks", fresh)):
        # Files of earlier versions lack the columns that were added since.
        connection.execute(
            f"CREATE VIEW {name} AS SELECT * EXCLUDE (run_id) FROM ({zero_rows(ticks_columns())} UNION ALL BY NAME "
            f"FROM read_parquet([{sql_text(no_glob(str(path)))}], hive_partitioning = false))"
        )
    query = (sql_folder() / "import" / "tick_differences.sql").read_text()
    result = connection.execute(query, {"whole": whole})
    (row,) = result.fetchall()
    return dict(zip((column[0] for column in result.description or []), row, strict=True))


def _comparison(recorded: Recorded, sha256: str, found: dict[str, Any], fresh: Outcome) -> TicksComparison:
    return _parting(sha256, found, tuple(_notes(recorded, found["ticks_differing"], fresh)))


def _parting(sha256: str | None, found: dict[str, Any], notes: tuple[str, ...] = ()) -> TicksComparison:
    old, now = found["recorded"], found["now"]
    return TicksComparison(
        sha256,
        found["ticks_recorded"],
        found["ticks_now"],
        found["ticks_differing"],
        found["t"],
        tuple(islice(tick_fields(old, now), FIELDS_KEPT)) if old and now else (),
        notes,
    )


def _notes(recorded: Recorded, differing: int, fresh: Outcome) -> Iterator[str]:
    """Yield what a reader of the verdict must know about the files behind it."""
    row = recorded.row
    if row.truncated:
        yield f"the stored telemetry was cut off: its {row.rows} ticks are compared"
    elif row.quarantined:
        yield f"{row.quarantined} lines of the stored telemetry were put aside: its {row.rows} ticks are compared"
    elif not differing:
        yield "the bytes of the telemetry differ, every value is the same"
    if fresh.errors:
        yield f"{fresh.quarantined} lines of the repeated telemetry break the contract: {fresh.errors[0]}"
