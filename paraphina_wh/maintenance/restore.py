"""Damaged files made anew from the sources they came from, one kind of file after the other.

Each raises NoSourceError when there is no source any more, or another one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from paraphina_wh import catalog, commit
from paraphina_wh.datasets.locked import locked
from paraphina_wh.datasets.mirror import take_in
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.ingest.columnar import open_reader
from paraphina_wh.ingest.mc_runs import source_id_of
from paraphina_wh.ingest.sinks import BadLineFile
from paraphina_wh.ingest.stage import Staged, Stager
from paraphina_wh.ingest.task import Task
from paraphina_wh.maintenance.source import NoSourceError, identical_source
from paraphina_wh.records import Record, Records, SourceRun
from paraphina_wh.telemetry.reader import Sinks, read_strict
from paraphina_wh.telemetry.shape import MC_RUNS
from paraphina_wh.telemetry.source import open_source
from paraphina_wh.warehouse import Warehouse, folder_key


def schema(warehouse: Warehouse, path: str, batch: str) -> None:
    """Make a file that fixes the columns of a table anew; that of an earlier version need only be there."""
    catalog.write_zero_rows(warehouse)
    if Path(path).name != "schema.parquet":
        with commit.staging(warehouse, batch) as staging:
            staged = staging / "older.parquet"
            shutil.copyfile((warehouse.path / path).with_name("schema.parquet"), staged)
            put = commit.Put(staged, warehouse.path / path, "the columns of ticks, as they were")
            commit.commit(warehouse, Record(batch), [put])


def run_file(warehouse: Warehouse, records: Records, path: str, batch: str) -> None:
    """Make the ticks of a run, or lines that were put aside, anew, in the place where they were."""
    name = Path(path).stem
    made_of = next((run for run in _sources(records) if name == run.run_id), None)
    if made_of is None:
        raise NoSourceError("no record tells what it was made of")
    with commit.staging(warehouse, batch) as staging:
        source = identical_source(warehouse, made_of, staging)
        if made_of.kind == "mc_runs":
            staged, holds = _mc_lines(source, made_of, staging)
        else:
            staged, holds = _of_telemetry(source, made_of, staging, path)
        commit.commit(warehouse, Record(batch), [commit.Put(staged, warehouse.path / path, holds)])


def _sources(records: Records) -> list[SourceRun]:
    """Return what things were made of, the newest first."""
    return [run for record in reversed(records.all) for run in record.runs]


def _of_telemetry(source: Path, made_of: SourceRun, staging: Path, path: str) -> tuple[Path, str]:
    task = Task(
        source=str(source),
        origin=made_of.source or "",
        profile=made_of.profile,
        label=made_of.label,
        experiment=made_of.experiment,
        size_bytes=source.stat().st_size,
        on_error="quarantine",
        again=True,
    )
    with open_reader(threads=1) as connection:
        staged = Stager(connection, staging, staging.name).stage(task)
    if not isinstance(staged, Staged) or staged.row.run_id != made_of.run_id:
        raise NoSourceError(_read_otherwise(made_of))
    row, wanted = staged.row, staged.ticks if path.endswith(".parquet") else staged.quarantine
    if wanted is None:
        raise NoSourceError(f"its source {made_of.source} has no such lines any more")
    what = f"{row.rows} ticks" if wanted == staged.ticks else f"{row.quarantined} lines put aside"
    return wanted, f"{what} of run {row.run_id} ({row.profile}, {row.label})"


def _read_otherwise(made_of: SourceRun) -> str:
    return f"of its source {made_of.source} other lines are put aside today"


def _mc_lines(source: Path, made_of: SourceRun, staging: Path) -> tuple[Path, str]:
    lines = staging / "bad.jsonl"
    with BadLineFile(lines, made_of.source or "") as bad, open_source(source, may_be_cut=True) as stream:
        ledger = read_strict(stream, MC_RUNS, Sinks(bad))
    if source_id_of(ledger) != made_of.run_id:
        raise NoSourceError(_read_otherwise(made_of))
    if not lines.is_file():
        raise NoSourceError(f"its source {made_of.source} has no such lines any more")
    return lines, f"lines of {made_of.source} put aside"


def table_of_source(warehouse: Warehouse, records: Records, path: str, batch: str) -> None:
    """Take a file of Monte Carlo runs, or of summary rows, in again; what lay there has been moved aside."""
    put_there = [record for record in records.all if record.runs and any(file.path == path for file in record.files)]
    if not put_there:
        raise NoSourceError("no record tells what it was made of")
    made_of = put_there[-1].runs[0]
    options = Options(
        profile=made_of.given.get("profile"),
        experiment=made_of.given.get("experiment"),
        on_error="quarantine",
        replace=True,
        new_profile=True,
    )
    with commit.staging(warehouse, batch) as staging:
        source = identical_source(warehouse, made_of, staging)
        report = ingest_paths(warehouse, [source], options, jobs=1)
    if not report.complete:
        raise NoSourceError(f"its source {made_of.source} could not be taken in again: {report[0].errors[0]}")
    folder = (warehouse.path / path).parent
    if not list(folder.glob("*.parquet")):
        if made_of.kind != "mc_runs":
            raise NoSourceError(f"its source {made_of.source} no longer gives these rows")
        # Other lines of it are put aside today: the rows are in, as those of another source.
        commit.retire(warehouse, [warehouse.quarantine / f"{folder_key(folder.name)}.jsonl"])


def mirror(warehouse: Warehouse, records: Records, path: str, batch: str) -> None:
    """Mirror a dataset anew from its file as a whole, and take out what was mirrored of it before."""
    folder = Path(path).parent
    name = folder_key(folder.name)
    known = [run for run in _sources(records) if run.kind == "dataset" and run.label == name]
    if not known:
        raise NoSourceError("no record tells what it was made of")
    # All that was ever mirrored is the beginning of the file, as far as the longest of it goes.
    made_of = max(known, key=lambda run: run.bytes)
    before = [held for held in {**records.files, **records.damaged} if Path(held).parent == folder]
    nothing_held = Warehouse(warehouse.root, warehouse.path / "nothing")
    with commit.staging(warehouse, batch) as staging:
        source = identical_source(warehouse, made_of, staging)
        with (
            locked(source, write=False) as file,
            catalog.connect(nothing_held, views=("dataset_rows",), or_empty=True) as connection,
        ):
            take_in(warehouse, connection, file)
    commit.write_record(warehouse, Record(batch, drops=before))
    for held in before:
        commit.remove(warehouse.path / held)
