"""A batch: stage its runs, condense them, commit them with one rename."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Self

import duckdb
import msgspec

from paraphina_wh import commit
from paraphina_wh.catalog import macros_sql, no_glob, view_files
from paraphina_wh.duck import bounded
from paraphina_wh.errors import WarehouseError, machine_error
from paraphina_wh.ingest.columnar import SMALLEST_OBJECT_BYTES, open_reader
from paraphina_wh.ingest.rows import withdrawal_row
from paraphina_wh.ingest.stage import Staged, Stager
from paraphina_wh.ingest.task import Outcome, Task
from paraphina_wh.ledger import LEDGER, LedgerRow
from paraphina_wh.records import Record, SourceRun
from paraphina_wh.tables import ticks_columns, zero_rows
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.tick_views import ticks_in
from paraphina_wh.warehouse import Warehouse, key_problem, new_batch, sql_text

_LABELS_NAMED = 5
# What a window over the ticks of a batch may hold; beside it stays what the columnar read has not given back.
CONDENSE_MB: Final = 150

# Telemetry that came alone, without sidecar and stdout, still says which config release wrote it.
_LEDGER_WITH_METRICS = """
SELECT
    s.* REPLACE (
        coalesce(s.cfg_version, c.config_version_id) AS cfg_version,
        coalesce(s.engine, CASE WHEN c.config_version_id LIKE '%reference%' THEN 'reference'
                                WHEN c.config_version_id IS NOT NULL THEN 'external' END) AS engine,
        CASE WHEN c.run_id IS NOT NULL THEN {definition} END AS metrics_definition
    ),
    -- What is not whole may lack the kill: then it is unknown, not false.
    c.* EXCLUDE (profile, label, run_id) REPLACE (
        CASE WHEN c.kill_switch OR (s.status = 'ok' AND NOT coalesce(s.truncated, false)) THEN c.kill_switch END
            AS kill_switch
    )
FROM staged s
LEFT JOIN condensed_ticks c USING (run_id)
ORDER BY s.profile, s.label, s.run_id
"""


class Ingester:
    """Takes in batches, one after the other.

    threads: what DuckDB may use to read a file. newest_batch: the last one the warehouse holds; later ones sort
    behind it. Use it as a context manager.
    """

    def __init__(self, warehouse: Warehouse, threads: int = 1, newest_batch: str = "") -> None:
        self.warehouse = warehouse
        self.threads = threads
        self.newest_batch = newest_batch
        self.reader = open_reader(threads, warehouse.staging)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.reader.close()

    def ingest(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Take in runs and return what became of each, in order.

        The runs of an experiment become visible at once, with the rename of its ledger rows; killed before, none
        does.
        """
        batch = self.newest_batch = new_batch(after=self.newest_batch)
        with commit.staging(self.warehouse, batch) as folder:
            stager = Stager(self.reader, folder, batch, self.threads)
            try:
                results = [stager.stage(task) for task in tasks]
                staged = [result for result in results if isinstance(result, Staged)]
                if staged:
                    self._commit(folder, batch, staged)
            except (duckdb.IOException, OSError) as error:
                where = f"cannot write below {self.warehouse.path}"
                unknown = WarehouseError(f"{where}: {error}", "free disk space, repeat")
                raise machine_error(error, where) or unknown from error
        return [result.outcome if isinstance(result, Staged) else result for result in results]

    def _commit(self, folder: Path, batch: str, staged: Sequence[Staged]) -> None:
        for number, experiment in enumerate(sorted({run.experiment for run in staged})):
            runs = [run for run in staged if run.experiment == experiment]
            removals = [row for run in runs for row in _further_removals(batch, run)]
            rows = [*(run.row for run in runs), *removals]
            ledger = self._write_ledger(folder, rows, [run.ticks for run in runs if run.ticks])
            commit.commit(
                self.warehouse,
                Record(f"{batch}-{number}", runs=[_source_of(run) for run in runs], rows=recorded(rows)),
                [put for run in runs for put in _puts(self.warehouse, run)]
                + [commit.Put(ledger, self.warehouse.runs_file(experiment, batch), ledger_text(rows))],
                drops=_superseded_files(self.warehouse, runs),
            )

    def _write_ledger(self, folder: Path, rows: Sequence[LedgerRow], ticks: Sequence[Path]) -> Path:
        # One thread: what it holds in memory must not grow with the cores.
        self.reader.execute("SET threads = 1")
        try:
            return bounded(self.reader, CONDENSE_MB, lambda: write_ledger(self.reader, folder, rows, ticks))
        finally:
            self.reader.execute(f"SET threads = {self.threads}")


def _puts(warehouse: Warehouse, run: Staged) -> Iterator[commit.Put]:
    """Yield where the staged files of a run go."""
    row = run.row
    name = f"of run {row.run_id} ({row.profile}, {row.label})"
    if run.ticks:
        final = warehouse.ticks_file(row.profile, row.label, row.run_id)
        yield commit.Put(run.ticks, final, f"{row.rows} ticks {name}", row.stored_sha256 or "")
    if run.quarantine:
        final = warehouse.quarantine / f"{row.run_id}.jsonl"
        yield commit.Put(run.quarantine, final, f"{row.quarantined} lines put aside {name}")


def _source_of(run: Staged) -> SourceRun:
    row, from_telemetry = run.row, run.row.source_kind == "telemetry"
    return SourceRun(
        kind="telemetry" if from_telemetry else "stdout",
        experiment=run.experiment,
        profile=row.profile,
        label=row.label,
        run_id=row.run_id,
        source=run.outcome.file,
        sha256=row.source_sha256 if from_telemetry else row.stdout_sha256,
    )


def recorded(rows: Sequence[LedgerRow]) -> list[msgspec.Raw]:
    """Return ledger rows as a record holds them: most columns of a row are empty, and left out."""
    told = ({name: value for name, value in msgspec.structs.asdict(row).items() if value is not None} for row in rows)
    return [msgspec.Raw(msgspec.json.encode(row)) for row in told]


def ledger_text(rows: Sequence[LedgerRow]) -> str:
    """Return what a ledger file holds, in plain words."""
    labels = [f"{row.label} ({row.event})" if row.event != "run" else row.label for row in rows]
    more = f" and {len(labels) - _LABELS_NAMED} more" if len(labels) > _LABELS_NAMED else ""
    return f"ledger of {len(rows)} runs: {', '.join(labels[:_LABELS_NAMED])}{more}"


def _further_removals(batch: str, run: Staged) -> list[LedgerRow]:
    """Return rows that take out what else stood under the label: two ingesters may have raced for it."""
    return [
        withdrawal_row(batch, run_id, run.row.profile, run.row.label)
        for run_id in run.superseded
        if run_id not in (run.row.run_id, run.row.supersedes)
    ]


@cache
def metrics_definition() -> str:
    """Return what names the definition of the metrics: the SQL that computes them, hashed without its comments."""
    text = re.sub(r"--[^\n]*", "", macros_sql() + view_files()["condensed_ticks"].read_text() + _LEDGER_WITH_METRICS)
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]


def write_ledger(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    rows: Sequence[LedgerRow],
    ticks: Sequence[Path],
    *,
    older: bool = False,
) -> Path:
    """Write ledger rows with the condensed metrics of their ticks, and return the Parquet file.

    older: some of the ticks may be of an earlier version of the record.
    """
    lines, target = folder / "ledger.jsonl", folder / "ledger.parquet"
    encoded = [msgspec.json.encode(row) for row in rows]
    lines.write_bytes(b"\n".join(encoded))
    longest = max(SMALLEST_OBJECT_BYTES, *map(len, encoded)) + 1024
    types = column_types(LEDGER)
    # Rows that are restored from records of earlier versions may hold any text there.
    instants = [name for name, kind in types.items() if kind == "TIMESTAMPTZ"]
    read_as = types | dict.fromkeys(instants, "VARCHAR")
    columns = ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in read_as.items())
    casts = ", ".join(f"TRY_CAST({name} AS TIMESTAMPTZ) AS {name}" for name in instants)
    connection.execute(
        f"CREATE OR REPLACE TABLE staged AS SELECT * REPLACE ({casts}) "
        f"FROM read_json([{sql_text(no_glob(str(lines)))}], "
        "format = 'newline_delimited', records = 'true', auto_detect = false, compression = 'uncompressed', "
        f"hive_partitioning = false, maximum_object_size = {longest}, columns = {{{columns}}})"
    )
    _condense(connection, ticks, older)
    query = _LEDGER_WITH_METRICS.replace("{definition}", sql_text(metrics_definition()))
    connection.execute(f"COPY ({query}) TO {sql_text(str(target))} (FORMAT parquet, COMPRESSION zstd)")
    return target


def _condense(connection: duckdb.DuckDBPyConnection, ticks: Sequence[Path], older: bool) -> None:
    """Make the view `condensed_ticks` answer for files of ticks."""
    source = f"({ticks_in(ticks, older=older) if ticks else zero_rows(ticks_columns())})"
    connection.execute(
        f"CREATE OR REPLACE VIEW ticks AS SELECT t.*, s.profile, s.label FROM {source} t JOIN staged s USING (run_id)"
    )
    connection.execute(macros_sql() + view_files()["condensed_ticks"].read_text())


def _superseded_files(warehouse: Warehouse, runs: Sequence[Staged]) -> list[Path]:
    """Return the files of runs that others take the place of: nothing will answer for them any more."""
    return [
        path
        for run in runs
        for run_id in sorted(set(run.superseded) - {run.row.run_id})
        for path in files_of_run(warehouse, run.row.profile, run.row.label, run_id)
    ]


def files_of_run(warehouse: Warehouse, profile: str, label: str, run_id: str) -> list[Path]:
    """Return the files that lie in the warehouse for one run: its ticks, and the lines of it that were put aside."""
    paths = [warehouse.quarantine / f"{run_id}.jsonl"]
    # A label too long for a folder name belongs to a run without ticks.
    if key_problem("label", label) is None:
        paths.append(warehouse.ticks_file(profile, label, run_id))
    return [path for path in paths if path.exists()]
