"""Kill the ingest at any instant: the next command sees the old state or the new one, and a repeat completes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from paraphina_wh.catalog import connect, view_names
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import run_of
from tests.telemetry_maker import ask, files_below, ingest, runs_content, write

LABELS = [f"exp13_{profile}_r{i:03d}" for profile in ("aggressive", "balanced", "conservative") for i in range(2)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 6 small runs; one has a bad line, one a cut tail."""
    folder = tmp_path_factory.mktemp("sources") / "runs"
    for i, label in enumerate(LABELS):
        _, profile, index = label.split("_")
        ending = {1: b"{bad}\n", 4: b'{"t":'}.get(i, b"")
        write(folder / f"{profile}_r{int(index[1:])}.jsonl", run_of(20 + i) + ending)
    return folder


@pytest.fixture(scope="module")
def undisturbed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = locate(tmp_path_factory.mktemp("undisturbed"))
    ingest(warehouse, sources, on_error="quarantine")
    return warehouse


def start(warehouse: Warehouse, sources: Path, jobs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "paraphina_wh", "--root", str(warehouse.root), "ingest", str(sources)]
    return subprocess.Popen(
        [*command, "--on-error", "quarantine", "--jobs", str(jobs)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def every_view_works(warehouse: Warehouse, asked: Sequence[str] = ()) -> None:
    """Bind every view to the files that are there, and ask all of them, or those named, for a row."""
    with connect(warehouse) as connection:
        for name in asked or view_names():
            connection.execute(f"SELECT * FROM {name} LIMIT 1").fetchall()


def outside_staging(warehouse: Warehouse) -> set[str]:
    """Return the files of a warehouse, the names of ledger batches left out."""
    files = {name for name in files_below(warehouse.path) if not name.startswith("_staging/")}
    return {f"{Path(name).parent}/batch" if name.startswith("runs/") else name for name in files}


def seconds_of_a_whole_ingest(tmp_path: Path, sources: Path) -> float:
    (tmp_path / "timed").mkdir()
    started = time.monotonic()
    assert start(locate(tmp_path / "timed"), sources, jobs=1).wait() == 0
    return time.monotonic() - started


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_ten_random_moments_and_repeated(
    sources: Path, undisturbed: Warehouse, tmp_path: Path, seed: int
) -> None:
    """The first moments hit the setting up of the warehouse, the last ones the commit."""
    whole = seconds_of_a_whole_ingest(tmp_path, sources)
    moments = random.Random(seed)
    warehouse = locate(tmp_path)
    for _ in range(10):
        process = start(warehouse, sources, jobs=1)
        time.sleep(moments.uniform(0.25, 1.05) * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
        every_view_works(warehouse, ["ticks", "research_rows", "dataset_rows"])
        labels = ask(warehouse, "SELECT label FROM runs ORDER BY label")
        assert len(labels) in (0, 6), "a batch is there as a whole or not at all"
        if labels:
            assert runs_content(warehouse) == runs_content(undisturbed)
            # Start over: what was committed must not protect the rest of the kills.
            warehouse = locate(fresh(tmp_path))
    assert start(warehouse, sources, jobs=1).wait() == 0
    every_view_works(warehouse)
    assert runs_content(warehouse) == runs_content(undisturbed)
    assert outside_staging(warehouse) == outside_staging(undisturbed)


def fresh(tmp_path: Path) -> Path:
    folder = tmp_path / f"again{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    return folder


def test_workers_orphaned_by_a_kill_do_no_harm(
    sources: Path, undisturbed: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is killed, its workers are not: they may still commit what they have at hand."""
    driver = (
        "import sys; from paraphina_wh.ingest import Options, ingest_paths, plan; plan.SMALLEST_BATCH_BYTES = 1;"
        "from paraphina_wh.warehouse import locate;"
        "ingest_paths(locate(sys.argv[1]), [sys.argv[2]], Options(on_error='quarantine'), jobs=2)"
    )
    warehouse = locate(tmp_path)
    for delay in (0.5, 0.9, 1.3):
        process = subprocess.Popen([sys.executable, "-c", driver, tmp_path, sources], stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
        every_view_works(warehouse)
    monkeypatch.setattr("paraphina_wh.ingest.plan.SMALLEST_BATCH_BYTES", 1)
    ingest(warehouse, sources, on_error="quarantine", jobs=2)
    assert runs_content(warehouse) == runs_content(undisturbed)
    wait_until_quiet(warehouse)
    assert runs_content(warehouse) == runs_content(undisturbed)
    assert outside_staging(warehouse) == outside_staging(undisturbed)


def wait_until_quiet(warehouse: Warehouse) -> None:
    """Wait until orphaned workers have ended: the folder stays the same for a while."""
    before: object = None
    while before != (before := files_below(warehouse.path)):
        time.sleep(0.3)


def test_ctrl_c_keeps_what_is_committed_and_ends_with_130(sources: Path, tmp_path: Path) -> None:
    warehouse = locate(tmp_path)
    process = start(warehouse, sources, jobs=1)
    while not warehouse.staging.is_dir():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() in (130, 0)
    every_view_works(warehouse)
    assert not warehouse.staging.is_dir() or list(warehouse.staging.iterdir()) == []


def test_what_a_killed_ingest_left_unfinished_is_in_no_view(warehouse: Warehouse, sources: Path) -> None:
    """Ticks in place whose ledger row never came: killed between the renames."""
    ingest(warehouse, sources / "balanced_r1.jsonl")
    for ledger in (warehouse.runs / "experiment=exp13").iterdir():
        ledger.unlink()
    assert len(list(warehouse.telemetry.glob("profile=balanced/*/*"))) == 1
    every_view_works(warehouse)
    assert ask(warehouse, "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM ticks)") == [(0, 0)]
    before = set(files_below(warehouse.telemetry))
    (outcome,) = ingest(warehouse, sources / "balanced_r1.jsonl")
    assert outcome.status == "ingested"
    assert set(files_below(warehouse.telemetry)) == before
    assert ask(warehouse, "SELECT label, num_ticks FROM runs") == [("exp13_balanced_r001", 23)]
