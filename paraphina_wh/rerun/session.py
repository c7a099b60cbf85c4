"""Repeating recorded runs: run each from its provenance, compare or keep it, one after the other as they end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paraphina_wh import commit
from paraphina_wh.engine import Asked, EngineRunConfig, EngineRunResult, run_many
from paraphina_wh.errors import WarehouseError
from paraphina_wh.rerun.comparison import Comparison, compare
from paraphina_wh.rerun.keep import STDERR_SUFFIX, files_of, folders_of, keep, names_of, staging, telemetry_of
from paraphina_wh.rerun.recorded import Recorded, find_runs
from paraphina_wh.rerun.replay import Replay, plan_replays
from paraphina_wh.rerun.verdict import Rerun, rerun_of
from paraphina_wh.sidecar import STDOUT_SUFFIX
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Options:
    """How to repeat runs.

    engine: a path or `reference`, instead of the recorded place. verify: compare with what is stored.
    force: take an engine with another hash. out: folder that keeps the files; without it, and without verify, one
    below `runs/rerun`. jobs: engines at a time, by default one a core. timeout_sec: seconds a run.
    """

    engine: str | None = None
    verify: bool = True
    force: bool = False
    out: Path | None = None
    jobs: int | None = None
    timeout_sec: float = 600.0

    @property
    def keeps(self) -> bool:
        """Tell whether the files of the repeated runs stay."""
        return self.out is not None or not self.verify


def rerun(
    warehouse: Warehouse, run: str, *, engine: str | None = None, verify: bool = True, force: bool = False
) -> Rerun:
    """Run a recorded run again and return how it compares. As `rerun_many` with one name."""
    (done,) = rerun_many(warehouse, find_runs(warehouse, [run]), Options(engine=engine, verify=verify, force=force))
    return done


def rerun_many(
    warehouse: Warehouse,
    runs: Sequence[Recorded],
    options: Options | None = None,
    on_done: Callable[[Rerun], object] = lambda done: None,
) -> list[Rerun]:
    """Run recorded runs again, and return how each compares, in the same order. on_done is told as each ends.

    Nothing is taken into the warehouse. Ctrl-C stops the engines and leaves what was kept so far.
    Raises: WarehouseError, with exit code 2 before anything runs when a run cannot be repeated, and with exit code 1
    when the stored ticks of one are damaged.
    """
    options = options or Options()
    if options.verify:
        _check_verifiable(runs)
    replays = plan_replays(warehouse, runs, options.engine, force=options.force)
    names = names_of(replays)
    folders = folders_of(warehouse, names, options.out) if options.keeps else None
    with staging(warehouse, folders) as folder:
        session = _Session(warehouse, options, {name: folder / names[name] for name in names}, folders or {})
        return session.run(replays, on_done)


def _check_verifiable(runs: Sequence[Recorded]) -> None:
    late = next((run for run in runs if run.row.status == "timeout"), None)
    if late:
        raise WarehouseError(
            f"{late} ran out of time: what it left depends on the clock, so there is nothing to verify",
            "leave out --verify to run it again",
            exit_code=2,
        )


@dataclass(frozen=True)
class _Session:
    """Runs under way. bases: run_id -> its files without endings. folders: run_id -> where they are kept."""

    warehouse: Warehouse
    options: Options
    bases: dict[str, Path]
    folders: dict[str, Path]

    def run(self, replays: Sequence[Replay], on_done: Callable[[Rerun], object]) -> list[Rerun]:
        """Run all, and finish each as it ends: files that are not kept go before the next ones come."""
        by_id = {replay.recorded.row.run_id: replay for replay in replays}
        done: dict[str, Rerun] = {}

        def finish(result: EngineRunResult) -> None:
            done[result.run_id] = self._finish(by_id[result.run_id], result)
            on_done(done[result.run_id])

        run_many(
            [self._config(replay) for replay in replays],
            jobs=self.options.jobs or os.cpu_count() or 1,
            timeout=self.options.timeout_sec,
            on_result=finish,
            keep_texts=False,
        )
        return [done[run_id] for run_id in by_id]

    def _config(self, replay: Replay) -> EngineRunConfig:
        base = self.bases[replay.recorded.row.run_id]
        return EngineRunConfig(
            cmd=replay.command,
            env=replay.knobs,
            label={},
            run_id=replay.recorded.row.run_id,
            cwd=self.warehouse.root,
            telemetry_path=telemetry_of(base) if replay.recorded.names_telemetry else None,
            stdout_path=base.with_name(base.name + STDOUT_SUFFIX),
            stderr_path=base.with_name(base.name + STDERR_SUFFIX),
            asked=Asked(replay.recorded.row.ticks_requested, replay.recorded.row.seed),
        )

    def _finish(self, replay: Replay, result: EngineRunResult) -> Rerun:
        """Compare a run that has ended, then keep its files or delete them."""
        base = self.bases[result.run_id]
        comparison = self._compare(replay, result, base)
        kept = keep(replay, result, base, self.folders[result.run_id]) if self.options.keeps else []
        for path in files_of(base):
            commit.remove(path)
        return rerun_of(replay, result, comparison, [self.warehouse.relative(path) for path in kept])

    def _compare(self, replay: Replay, result: EngineRunResult, base: Path) -> Comparison | None:
        """Return the comparison; None when none is asked for, or the engine failed where it had not."""
        failed_anew = result.status != "ok" and replay.recorded.row.status == "ok"
        if not self.options.verify or failed_anew:
            return None
        return compare(self.warehouse, replay.recorded, result, base.with_name(base.name + STDOUT_SUFFIX))
