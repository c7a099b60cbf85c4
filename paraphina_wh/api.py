"""The Python API: a warehouse as an object, Polars frames out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from paraphina_wh import catalog
from paraphina_wh.alignment import Alignment, align
from paraphina_wh.datasets import Appended, append_research_rows, open_dataset
from paraphina_wh.drift import read_drift, scan_ticks
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence.compare import SetComparison, compare_sets, find_sides
from paraphina_wh.experiments.experiment import Ran, run_experiment
from paraphina_wh.experiments.planning import RunOptions
from paraphina_wh.experiments.read import find_experiment
from paraphina_wh.ingest import Options, Report, ingest_paths
from paraphina_wh.known import TIERS, check_profile
from paraphina_wh.maintenance.integrity import check_warehouse
from paraphina_wh.maintenance.recompute import Chosen, Recomputed, recompute
from paraphina_wh.quarantine import list_quarantine
from paraphina_wh.query import NO_LIMITS, Limits, run_query
from paraphina_wh.rerun import Rerun, rerun
from paraphina_wh.rerun.two_runs import RunComparison, compare_runs
from paraphina_wh.summary import Summary, summarise
from paraphina_wh.warehouse import Warehouse, check_local, locate


class OpenWarehouse:
    """A warehouse and the ROOT it belongs to. Nothing is held open between calls."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def __repr__(self) -> str:
        return f"<paraphina-wh warehouse at {self.warehouse.path}>"

    def sql(self, query: str, limits: Limits = NO_LIMITS) -> pl.DataFrame:
        """Return the answer to one read-only SQL statement over the views.

        limits: time and memory; `wh.Limits(untrusted=True)` for SQL that somebody else wrote.
        Raises: WarehouseError for anything but a statement that reads, and for one that fails or passes a limit.
        """
        return run_query(self.warehouse, query, limits)

    def view(self, name: str) -> pl.DataFrame:
        """Return a whole view, such as `runs` or `alignment`; see `paraphina-wh schema` for the columns."""
        catalog.check_view(name)
        return self.sql(f"SELECT * FROM {name}")

    def ticks(self, profile: str | None = None, label: str | None = None) -> pl.LazyFrame:
        """Return the ticks of committed runs, read when collected.

        One row per tick; columns as in the view `ticks`, profile and label as text. Filters on profile and
        label read only the matching files.
        Raises: WarehouseError (exit code 2) for a profile that is no tier, and that no run has.
        """
        columns = self.sql("SELECT * FROM ticks WHERE false")
        live = self.sql("SELECT profile, label, run_id FROM runs WHERE num_ticks IS NOT NULL")
        if profile is not None:
            check_profile(profile, dict.fromkeys((*TIERS, *live["profile"])))
        wanted = [
            self.warehouse.ticks_file(*run)
            for run in live.iter_rows()
            if profile in (None, run[0]) and label in (None, run[1])
        ]
        # A damaged file may be in the quarantine: the view goes on without it, and so does this.
        wanted = [file for file in wanted if file.exists()]
        if not wanted:
            return columns.lazy()
        return scan_ticks(self.warehouse.path, wanted, columns.schema)

    def drift(self, experiment: str | None = None, *, every: bool = False) -> pl.DataFrame:
        """Return which telemetry fields came and went from run to run; see `paraphina-wh drift`.

        every: declared fields that all runs have, or none, too.
        """
        return read_drift(self.warehouse, experiment, every=every).fields

    def quarantine(self, experiment: str | None = None) -> pl.DataFrame:
        """Return the runs with lines put aside, the oldest first; columns as in sql/quarantine/list.sql.

        Raises: WarehouseError (exit code 2) for an experiment without a run.
        """
        return list_quarantine(self.warehouse, experiment).frame

    def check(self) -> pl.DataFrame:
        """Return what is not as it was committed: problem, path, detail, held; no row when all is well.

        Nothing is written; `paraphina-wh repair` mends.
        """
        return check_warehouse(self.warehouse).frame()

    def recompute(
        self, runs: Sequence[str] = (), *, experiment: str | None = None, every: bool = False, dry_run: bool = False
    ) -> Recomputed:
        """Compute metrics anew from the stored ticks where their definition has changed, and return what came of it.

        runs: run_ids, or their first characters; all by default. every: where it has not changed, too.
        Raises: WarehouseError when another maintenance command is at work, or no such run has ticks.
        """
        return recompute(self.warehouse, Chosen(runs, experiment=experiment, every=every), dry_run=dry_run)

    def ingest(
        self, paths: Sequence[str | Path] | str | Path, *, jobs: int | None = None, options: Options | None = None
    ) -> Report:
        """Take telemetry files and folders in, and return what became of each. Relative paths are below ROOT.

        Raises: WarehouseError (exit code 2) for a path that is not there; rejected files are in the report.
        """
        named = [paths] if isinstance(paths, str | Path) else list(paths)
        for path in named:
            check_local(path)
        return ingest_paths(self.warehouse, [self.warehouse.root / path for path in named], options, jobs=jobs)

    def run(self, experiment: str | Path, options: RunOptions | None = None) -> Ran:
        """Run an experiment by name, or by the path of its file (relative paths are below ROOT); as `run NAME` does.

        Raises: WarehouseError (exit code 2) before the first run when the plan cannot be run.
        """
        path = self.warehouse.root / experiment
        found = find_experiment(str(path if path.suffix == ".toml" else experiment))
        return run_experiment(self.warehouse, found, options or RunOptions())

    def rerun(self, run: str, *, engine: str | None = None, verify: bool = True, force: bool = False) -> Rerun:
        """Run a recorded run again, by run_id or label, and compare it with what the warehouse holds.

        Raises: WarehouseError (exit code 2) for a run that cannot be repeated.
        """
        return rerun(self.warehouse, run, engine=engine, verify=verify, force=force)

    def compare(
        self,
        baseline: str,
        candidate: str,
        *,
        profile: str | None = None,
        level: float | None = None,
        assume_independent: bool = False,
    ) -> SetComparison:
        """Compare two sets of runs in pairs over common seeds; its verdict says promote, hold or reject.

        baseline, candidate: experiment, configuration, sweep_id, profile, or pattern of labels. profile: of that one
        only. level: one-sided confidence of the bounds, by default 0.95. assume_independent: give a verdict on seeds
        that were not drawn at random, too.
        Raises: WarehouseError (exit code 2) for a name that nothing has, runs of several configurations, and a profile
        without budgets.
        """
        sides = find_sides(self.warehouse, baseline, candidate, profile)
        return compare_sets(*sides, level=level, assume_independent=assume_independent)

    def compare_runs(self, a: str, b: str) -> RunComparison:
        """Compare two runs, by run_id or label: settings, metrics, and the first tick and field where they part.

        Raises: WarehouseError (exit code 2) for a name that no run has, or more than one.
        """
        return compare_runs(self.warehouse, a, b)

    def summary(self, dataset: str | Path | None = None) -> Summary:
        """Return the summary of a dataset file, by default of the newest version."""
        return summarise(self.warehouse, dataset)

    def alignment(self, dataset: str | Path | None = None) -> Alignment:
        """Return the alignment of a dataset file with the risk budgets, by default of the newest version."""
        return align(self.warehouse, dataset)

    def export_dataset(self, dataset: str | Path | None = None) -> Appended:
        """Append the research rows that a dataset file lacks, by default to the newest version."""
        return append_research_rows(self.warehouse, open_dataset(self.warehouse, dataset))


def open_warehouse(root: str | Path = ".", warehouse: str | Path | None = None) -> OpenWarehouse:
    """Open the warehouse of a ROOT folder; one that does not exist yet is empty, and made by the first write.

    Raises: WarehouseError (exit code 2) when ROOT is missing or the warehouse has an unknown format.
    """
    found = locate(root, warehouse)
    with suppress(WarehouseError):
        catalog.renew_doors(found)
    return OpenWarehouse(found)


__all__ = ["OpenWarehouse", "open_warehouse"]
