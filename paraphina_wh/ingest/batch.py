"""A batch: stage its runs, condense them, commit them with one rename."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import duckdb
import msgspec

from paraphina_wh import commit
from paraphina_wh.catalog import view_files
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.columnar import SMALLEST_OBJECT_BYTES
from paraphina_wh.ingest.rows import withdrawal_row
from paraphina_wh.ingest.stage import Staged, Stager
from paraphina_wh.ingest.task import Outcome, Task
from paraphina_wh.ledger import LEDGER, LedgerRow
from paraphina_wh.tables import ticks_columns, zero_rows
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.warehouse import Warehouse, key_problem, new_batch, sql_text

# Telemetry that came alone, without sidecar and stdout, still says which config release wrote it.
_LEDGER_WITH_METRICS = """
SELECT
    s.* REPLACE (
        coalesce(s.cfg_version, c.config_version_id) AS cfg_version,
        coalesce(s.engine, CASE WHEN c.config_version_id LIKE '%reference%' THEN 'reference'
                                WHEN c.config_version_id IS NOT NULL THEN 'external' END) AS engine,
        -- Half a cent, and a little for the sum of two roundings.
        abs(c.final_pnl_realised - s.stdout_pnl_realised) <= 0.00501
            AND abs(c.final_pnl_unrealised - s.stdout_pnl_unrealised) <= 0.00501
            AND abs(c.final_pnl - s.stdout_pnl_total) <= 0.00501
            AND c.kill_switch = coalesce(s.stdout_kill_switch, false) AS dq_stdout
    ),
    c.* EXCLUDE (profile, label, run_id)
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
        # Made by DuckDB when memory runs out, and removed by it at the end.
        self.spill = str(warehouse.staging / f"spill-{os.getpid()}")
        self.reader = self._connect(threads)
        # One thread: the order of floating-point sums, and so their last digit, must not depend on the machine.
        self.condenser = self.reader if threads == 1 else self._connect(1)

    def _connect(self, threads: int) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(":memory:", config={"temp_directory": self.spill, "threads": threads})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.reader.close()
        self.condenser.close()

    def ingest(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Take in runs and return what became of each, in order.

        The runs of an experiment become visible at once, with the rename of its ledger rows; killed before, none
        does.
        """
        batch = self.newest_batch = new_batch(after=self.newest_batch)
        with commit.staging_folder(self.warehouse.staging, batch) as folder:
            stager = Stager(self.reader, folder, batch, self.threads)
            try:
                results = [stager.stage(task) for task in tasks]
                staged = [result for result in results if isinstance(result, Staged)]
                if staged:
                    self._commit(folder, batch, staged)
            except (duckdb.IOException, OSError) as error:
                where = f"cannot write below {self.warehouse.path}: {error}"
                raise WarehouseError(where, "free disk space, repeat") from error
        _drop_superseded(self.warehouse, staged)
        return [result.outcome if isinstance(result, Staged) else result for result in results]

    def _commit(self, folder: Path, batch: str, staged: Sequence[Staged]) -> None:
        for experiment in sorted({run.experiment for run in staged}):
            runs = [run for run in staged if run.experiment == experiment]
            rows = [row for run in runs for row in (run.row, *_further_removals(batch, run))]
            ledger = write_ledger(self.condenser, folder, rows, [run.ticks for run in runs if run.ticks])
            moves = [move for run in runs for move in _moves(self.warehouse, run)]
            commit.publish([*moves, (ledger, self.warehouse.runs_file(experiment, batch))])


def _moves(warehouse: Warehouse, run: Staged) -> Iterator[tuple[Path, Path]]:
    """Yield where the staged files of a run go."""
    row = run.row
    if run.ticks:
        yield run.ticks, warehouse.ticks_file(row.profile, row.label, row.run_id)
    if run.quarantine:
        yield run.quarantine, warehouse.quarantine / f"{row.run_id}.jsonl"


def _further_removals(batch: str, run: Staged) -> list[LedgerRow]:
    """Return rows that take out what else stood under the label: two ingesters may have raced for it."""
    return [
        withdrawal_row(batch, run_id, run.row.profile, run.row.label)
        for run_id in run.superseded[1:]
        if run_id != run.row.run_id
    ]


def write_ledger(
    connection: duckdb.DuckDBPyConnection, folder: Path, rows: Sequence[LedgerRow], ticks: Sequence[Path]
) -> Path:
    """Write ledger rows with the condensed metrics of their staged ticks, and return the Parquet file."""
    lines, target = folder / "ledger.jsonl", folder / "ledger.parquet"
    encoded = [msgspec.json.encode(row) for row in rows]
    lines.write_bytes(b"\n".join(encoded))
    longest = max(SMALLEST_OBJECT_BYTES, *map(len, encoded)) + 1024
    columns = ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in column_types(LEDGER).items())
    connection.execute(
        f"CREATE OR REPLACE TABLE staged AS FROM read_json([{sql_text(str(lines))}], "
        f"format = 'newline_delimited', maximum_object_size = {longest}, columns = {{{columns}}})"
    )
    _condense(connection, ticks)
    connection.execute(f"COPY ({_LEDGER_WITH_METRICS}) TO {sql_text(str(target))} (FORMAT parquet, COMPRESSION zstd)")
    return target


def _condense(connection: duckdb.DuckDBPyConnection, ticks: Sequence[Path]) -> None:
    """Make the view `condensed_ticks` answer for staged files."""
    files = ", ".join(sql_text(str(path)) for path in ticks)
    source = f"read_parquet([{files}])" if ticks else f"({zero_rows(ticks_columns())})"
    connection.execute(
        f"CREATE OR REPLACE VIEW ticks AS SELECT t.*, s.profile, s.label FROM {source} t JOIN staged s USING (run_id)"
    )
    connection.execute(view_files()["condensed_ticks"].read_text())


def _drop_superseded(warehouse: Warehouse, staged: Sequence[Staged]) -> None:
    """Remove the ticks of runs that committed ones took the place of; nothing answers for them any more."""
    for run in staged:
        for run_id in set(run.superseded) - {run.row.run_id}:
            drop_ticks(warehouse, run.row.profile, run.row.label, run_id)


def drop_ticks(warehouse: Warehouse, profile: str, label: str, run_id: str) -> None:
    """Remove the ticks and the quarantine of a run that the ledger has taken out of the answers."""
    # A label too long for a folder name belongs to a run without ticks.
    if key_problem("label", label) is None:
        commit.remove(warehouse.ticks_file(profile, label, run_id))
    commit.remove(warehouse.quarantine / f"{run_id}.jsonl")
