"""Files that are not one run: each kind to the module that takes it in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb

from paraphina_wh import commit
from paraphina_wh.errors import WarehouseError, machine_error
from paraphina_wh.ingest.dataset import take_in_dataset
from paraphina_wh.ingest.inputs import Input
from paraphina_wh.ingest.kinds import Kind, why_unknown
from paraphina_wh.ingest.mc_runs import take_in_mc_runs
from paraphina_wh.ingest.plan import Options, check_name, printable, refused
from paraphina_wh.ingest.run_table import take_in_runs
from paraphina_wh.ingest.summary_table import take_in_summary
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.ingest.view_rows import compare_view_rows
from paraphina_wh.warehouse import Warehouse, new_batch

TakeIn = Callable[[Warehouse, Path, Options, Path], Outcome]

_BY_KIND: Final[dict[Kind, TakeIn]] = {
    "dataset": take_in_dataset,
    "mc_runs": take_in_mc_runs,
    "runs_table": take_in_runs,
    "summary_table": take_in_summary,
}
_TOLD_ELSEWHERE: Final[dict[Kind, str]] = {
    "exported": "an experiment or an analysis step made it of runs, which count themselves",
    "shorter": "the same runs stand beside it with more columns, in the table _with_ts",
}


def take_in(warehouse: Warehouse, found: Input, options: Options, staging: Path, take: TakeIn | None = None) -> Outcome:
    """Take in one file and return what became of it; a file that cannot be taken in is an outcome too.

    staging: folder for unfinished files; what is left in it goes when the ingest ends.
    take: what takes the file in, when not what is for its kind.
    Raises: WarehouseError when the warehouse cannot be written to.
    """
    try:
        check_name(found.path)
        if found.kind in _TOLD_ELSEWHERE:
            return _told_elsewhere(warehouse, found)
        if found.kind in ("unknown", "foreign"):
            reason, hint = why_unknown(found.path)
            raise WarehouseError(f"{found.path}: {reason}", hint)
        if options.label is not None:
            raise WarehouseError(f"{found.path}: --label names one run, this is not one", "leave it out")
        with commit.staging_folder(staging, new_batch()) as folder:
            if found.kind == "view_rows":
                return compare_view_rows(warehouse, found, folder)
            return (take or _BY_KIND[found.kind])(warehouse, found.path, options, folder)
    except WarehouseError as error:
        return refused(warehouse, found.path, error)
    except duckdb.IOException as error:
        where = f"cannot write below {warehouse.path}"
        unknown = WarehouseError(f"{where}: {error}", "free disk space, repeat")
        raise machine_error(error, where) or unknown from error
    except OSError as error:
        what = f"cannot take in {found.path}"
        return refused(warehouse, found.path, machine_error(error, what) or WarehouseError(f"{what}: {error.strerror}"))


def _told_elsewhere(warehouse: Warehouse, found: Input) -> Outcome:
    origin = printable(warehouse.relative(found.path))
    size = found.path.stat().st_size
    return Outcome(file=origin, status="unchanged", bytes=size, notices=[_TOLD_ELSEWHERE[found.kind]])
