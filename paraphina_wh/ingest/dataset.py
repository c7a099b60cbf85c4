"""Research datasets of earlier versions: their lines into the mirror, the file stays as it is."""

from __future__ import annotations

from pathlib import Path

from paraphina_wh.catalog import connect, steady
from paraphina_wh.datasets import dataset_name, mirror_dataset, read_dataset
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.kinds import holds_dataset_rows
from paraphina_wh.ingest.plan import NEW_PROFILE, Options, printable
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.known import check_profiles
from paraphina_wh.telemetry.source import packing_of
from paraphina_wh.warehouse import Warehouse


def take_in_dataset(warehouse: Warehouse, file: Path, options: Options, staging: Path) -> Outcome:
    """Take the lines of a dataset file that the warehouse lacks into it.

    Lines that are no runs are kept, and counted in a warning. Every row says what it is; of the options only
    new_profile applies.
    Raises: WarehouseError when the file is packed, holds no run or a run of an unknown profile, or is no longer what
    was read from it before.
    """
    with file.open("rb") as stream:
        if packing_of(stream.read(4)):
            raise WarehouseError(f"{file}: a packed dataset cannot be appended to", "unpack it first")
    if not holds_dataset_rows(file):
        raise WarehouseError(f"{file}: holds no runs", "a run is a JSON object with a final PnL and a drawdown")
    if not options.new_profile:
        _check_profiles(warehouse, file)
    before = _count(warehouse, file)[0]
    mirror_dataset(warehouse, file)
    lines, runs, others = _count(warehouse, file)
    new = lines - before
    return Outcome(
        file=printable(warehouse.relative(file)),
        status="ingested" if new else "unchanged",
        bytes=file.stat().st_size,
        warnings=[f"{others} lines that are no runs"] if others else [],
        notices=[f"{runs} runs" + (f", {new} lines new" if 0 < new < lines else "")],
    )


def _check_profiles(warehouse: Warehouse, file: Path) -> None:
    with read_dataset(file, warehouse) as connection:
        query = "SELECT DISTINCT lower(trim(profile)) FROM dataset_rows WHERE is_run AND profile IS NOT NULL"
        profiles = [profile for (profile,) in connection.execute(query).fetchall()]
    try:
        check_profiles(warehouse, profiles, NEW_PROFILE)
    except WarehouseError as error:
        raise WarehouseError(f"{file}: {error.message}", error.hint) from error


@steady
def _count(warehouse: Warehouse, file: Path) -> tuple[int, int, int]:
    """Return how many lines the warehouse holds of a dataset, how many are runs, and how many neither run nor blank."""
    with connect(warehouse, views=("dataset_rows",)) as connection:
        [counts] = connection.execute(
            "SELECT count(*), count(*) FILTER (is_run), count(*) FILTER (NOT is_run AND NOT is_blank) "
            "FROM dataset_rows WHERE dataset = ?",
            [dataset_name(file)],
        ).fetchall()
    lines, runs, others = counts
    return int(lines), int(runs), int(others)
