"""Metrics computed anew from the stored ticks, after their definition has changed.

Each run gets a ledger row that takes the place of its own: the same in all but the metrics. Its batch sorts right
behind the one that brought the run, so whatever replaces or withdraws the run, before or after, has the last word.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import duckdb
import msgspec
import polars as pl

from paraphina_wh import commit
from paraphina_wh.catalog import macros_sql, set_up, sql_folder
from paraphina_wh.duck import in_memory
from paraphina_wh.ingest.batch import metrics_definition, recorded, write_ledger
from paraphina_wh.ingest.forget import Narrowed, find_meant
from paraphina_wh.ledger import LEDGER, LedgerRow, columns_as_told
from paraphina_wh.maintenance.deep import in_chunks
from paraphina_wh.maintenance.exclusive import exclusive
from paraphina_wh.maintenance.integrity import compare
from paraphina_wh.maintenance.reading import parquet_list, runs_told, steadily, views
from paraphina_wh.records import Record, Records, read_records
from paraphina_wh.tables import zero_rows
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.tick_views import holds_older_ticks
from paraphina_wh.warehouse import Warehouse, new_batch, revised

# What a row says of its own coming about; everything else but the metrics stays as it is.
_OWN = ("batch_id", "supersedes", "metrics_definition")
_CHANGES = {
    "metric": pl.String,
    "runs": pl.Int64,
    "run_id": pl.String,
    "before": pl.String,
    "after": pl.String,
}


@dataclass(frozen=True)
class Chosen:
    """Which runs are meant: all that the properties given fit. run_ids: or their first characters.

    every: those too whose metrics are of the definition of today.
    """

    run_ids: Sequence[str] = ()
    labels: Sequence[str] = ()
    profile: str | None = None
    experiment: str | None = None
    every: bool = False


@dataclass(frozen=True)
class Left:
    """A run that stays as it is. why: what is wrong with its ticks."""

    run_id: str
    profile: str
    label: str
    why: str


@dataclass
class Recomputed:
    """What came of a recompute.

    runs: computed anew. changed: those of them with another value of any metric. left: those whose ticks cannot be
    read. replaced: those that somebody else took out meanwhile.
    changes: a row for each metric: metric, runs (with another value), and of the first of them run_id, before, after.
    """

    runs: int = 0
    changed: int = 0
    left: list[Left] = field(default_factory=list)
    replaced: int = 0
    changes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_CHANGES))


@dataclass(frozen=True)
class _Run:
    run_id: str
    profile: str
    label: str
    experiment: str
    rows: int
    definition: str | None


def recompute(
    warehouse: Warehouse,
    chosen: Chosen | None = None,
    *,
    dry_run: bool = False,
    on_plan: Callable[[int], None] = lambda total: None,
    on_runs: Callable[[int], None] = lambda count: None,
) -> Recomputed:
    """Compute the metrics of runs anew from their stored ticks, and say what changed.

    By default of those whose metrics are of another definition than today's. Some hundred runs are one commit: killed
    at any moment, the next call goes on with the rest. What datasets hold stays as it was appended.
    dry_run: nothing is written.
    Raises: WarehouseError when another maintenance command is at work, the ledger is damaged, or the disk does not take
            a file; with exit code 2 when there is no warehouse, or no such run.
    """
    warehouse.check_exists()
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(exclusive(warehouse))
            set_up(warehouse)
        # One thread, as at ingest: what it holds in memory must not grow with the cores.
        connection = held.enter_context(in_memory(threads=1))
        connection.execute(macros_sql())
        work = _Work(warehouse, connection, dry_run)
        runs = work.choose(chosen or Chosen())
        on_plan(len(runs))
        for _, group in groupby(runs, key=lambda run: run.experiment):
            for chunk in in_chunks(list(group)):
                work.compute(chunk)
                on_runs(len(chunk))
        return work.result()


class _Work:
    """One recompute; the runs as they are lie in the table `stored_runs`."""

    def __init__(self, warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, dry_run: bool) -> None:
        self.warehouse = warehouse
        self.connection = connection
        self.dry_run = dry_run
        self.records = read_records(warehouse)
        self.done = Recomputed()
        self.found: list[pl.DataFrame] = []
        steadily(self._load)
        self.newest = self._newest()

    def _load(self) -> None:
        with views(self.warehouse, "run_ledger", "runs") as source:
            self.connection.register("read_runs", source.sql("FROM runs").to_arrow_table())
        # A warehouse of an older version lacks columns.
        self.connection.execute(
            "CREATE OR REPLACE TABLE stored_runs AS "
            f"FROM ({zero_rows(column_types(LEDGER))}) UNION ALL BY NAME FROM read_runs"
        )
        self.connection.unregister("read_runs")

    def _newest(self) -> str:
        """Return the last batch or record there is: what is written now must sort behind it."""
        query = "SELECT coalesce(max(split_part(batch_id, '+', 2)), '') FROM stored_runs"
        [(revision,)] = self.connection.execute(query).fetchall()
        return max([str(revision), *(record.name for record in self.records.all)])

    # Which runs

    def choose(self, chosen: Chosen) -> list[_Run]:
        """Return the runs to be computed anew, those of an experiment together, in the order in which they came in."""
        meant = None
        if chosen.run_ids or chosen.labels or chosen.profile or chosen.experiment:
            narrowed = Narrowed(chosen.profile, chosen.experiment, every=True)
            found, _ = find_meant(self.warehouse, chosen.run_ids, chosen.labels, narrowed, one_each=False)
            meant = [run.run_id for run in found]
        rows = self.connection.execute(
            "SELECT run_id, profile, label, experiment, rows, metrics_definition FROM stored_runs "
            "WHERE rows > 0 AND coalesce(source_kind, 'telemetry') = 'telemetry' "
            "AND ($meant IS NULL OR list_contains($meant, run_id)) "
            "ORDER BY experiment, split_part(batch_id, '+', 1), profile, label",
            {"meant": meant},
        ).fetchall()
        runs = [_Run(*row) for row in rows]
        return [run for run in runs if chosen.every or run.definition != metrics_definition()]

    # A chunk of them

    def compute(self, runs: Sequence[_Run]) -> None:
        """Compute the metrics of runs of one experiment anew and commit them."""
        batch = self.newest = new_batch(self.newest)
        with self._folder(batch) as folder:
            # `gc` or another writer may take a file away between the look at it and the reading of it.
            whole, left, staged, differences = steadily(lambda: self._computed(runs, batch, folder))
            self.done.left += left
            if not whole:
                return
            differing = set(differences["run_id"])
            kept = [run for run in whole if run.definition != metrics_definition() or run.run_id in differing]
            if kept and not self.dry_run:
                if len(kept) < len(whole):
                    staged = self._write(kept, batch, folder)
                self._commit(kept, batch, staged)
        self.found.append(_by_metric(differences, pl.len().cast(pl.Int64).alias("runs")))
        self.done.runs += len(kept)
        self.done.changed += len(differing)

    def _computed(
        self, runs: Sequence[_Run], batch: str, folder: Path
    ) -> tuple[list[_Run], list[Left], Path, pl.DataFrame]:
        """Return the runs with ticks that are whole, the others, the ledger file of the former, and what it says."""
        problems = self._problems(runs)
        whole = [run for run in runs if run.run_id not in problems]
        left = [
            Left(run.run_id, run.profile, run.label, problems[run.run_id]) for run in runs if run.run_id in problems
        ]
        if not whole:
            return whole, left, folder, pl.DataFrame()
        staged = self._write(whole, batch, folder)
        # What was computed is compared column by column; that all else is as it was shows with it.
        self.connection.execute(
            f"CREATE OR REPLACE VIEW condensed_ticks AS SELECT * EXCLUDE ({', '.join(_OWN)}) "
            f"FROM read_parquet({parquet_list([staged])}, hive_partitioning = false)"
        )
        differences: pl.DataFrame = self.connection.sql((sql_folder() / "check" / "condensed.sql").read_text()).pl()
        return whole, left, staged, differences

    def _problems(self, runs: Sequence[_Run]) -> dict[str, str]:
        """Return run_id -> what is wrong with its ticks, of those where anything is."""
        found = {run.run_id: why for run in runs if (why := self._problem(self.records, run))}
        if found:
            # An ingest of the same source may have put them in place again.
            self.records = read_records(self.warehouse)
            found = {
                run.run_id: why for run in runs if run.run_id in found and (why := self._problem(self.records, run))
            }
        return found

    def _problem(self, records: Records, run: _Run) -> str | None:
        file = self._ticks(run)
        path = str(file.relative_to(self.warehouse.path))
        if expected := records.files.get(path):
            damage = compare(self.warehouse, path, [stored for stored, _ in expected])
            return f"its ticks are {damage.problem}: {damage.detail}" if damage else None
        if path in records.damaged:
            return "its ticks are damaged and put aside"
        return "no record tells whether its ticks are whole" if file.is_file() else "its ticks are gone"

    def _ticks(self, run: _Run) -> Path:
        return self.warehouse.ticks_file(run.profile, run.label, run.run_id)

    def _write(self, runs: Sequence[_Run], batch: str, folder: Path) -> Path:
        ticks = [self._ticks(run) for run in runs]
        older = holds_older_ticks(self.warehouse.path)
        return write_ledger(self.connection, folder, self._rows(runs, batch), ticks, older=older)

    def _rows(self, runs: Sequence[_Run], batch: str) -> list[LedgerRow]:
        """Return the ledger rows of runs as they are, as a revision of their own."""
        result = self.connection.execute(
            f"SELECT {columns_as_told()} FROM stored_runs WHERE list_contains($names, run_id) ORDER BY ALL",
            {"names": [run.run_id for run in runs]},
        )
        names = [column[0] for column in result.description or []]
        rows = [msgspec.convert(dict(zip(names, row, strict=True)), LedgerRow) for row in result.fetchall()]
        for row in rows:
            row.batch_id = revised(row.batch_id, batch)
            row.supersedes = row.run_id
            row.metrics_definition = None
        return rows

    def _commit(self, runs: Sequence[_Run], batch: str, staged: Path) -> None:
        rows = self._rows(runs, batch)
        final = self.warehouse.runs_file(runs[0].experiment, batch)
        holds = f"metrics of {len(rows)} runs, computed anew"
        commit.commit(self.warehouse, Record(batch, rows=recorded(rows)), [commit.Put(staged, final, holds)])

    @contextmanager
    def _folder(self, batch: str) -> Iterator[Path]:
        if self.dry_run:
            with tempfile.TemporaryDirectory(prefix="paraphina-wh-") as folder:
                yield Path(folder)
            return
        with commit.staging(self.warehouse, batch) as staging:
            yield staging

    def result(self) -> Recomputed:
        """Return what was done, a row for each metric that changed."""
        if self.done.left:
            live = runs_told(self.warehouse)[1]
            left = [run for run in self.done.left if run.run_id in live]
            self.done.replaced, self.done.left = len(self.done.left) - len(left), left
        if self.found:
            changes = _by_metric(pl.concat(self.found), pl.col("runs").sum())
            names = {"stored": "before", "computed": "after"}
            self.done.changes = changes.rename(names).select(list(_CHANGES)).sort("metric")
        return self.done


def _by_metric(differences: pl.DataFrame, runs: pl.Expr) -> pl.DataFrame:
    """Return a row for each metric: the number of runs, and what is said of the first of them."""
    first = (pl.col(name).first() for name in ("run_id", "stored", "computed"))
    return differences.group_by("metric", maintain_order=True).agg(runs, *first)
