"""`compact` and `gc`: rows stay what they are, and only what answers for nothing is removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh import commit
from paraphina_wh.catalog import renew_doors
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import Ingester
from paraphina_wh.ingest.inputs import Input
from paraphina_wh.ingest.plan import Options, make_plan
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.maintenance.exclusive import exclusive
from paraphina_wh.maintenance.gc import Leftover, collect
from paraphina_wh.maintenance.integrity import check_warehouse
from paraphina_wh.maintenance.repair import repair
from paraphina_wh.records import read_records
from paraphina_wh.temporary import owned_name
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke, Report
from tests.records import run_of
from tests.telemetry_maker import ask, files_below, ingest, parquet_of, write
from tests.torture import concurrency
from tests.torture.everything import ROW
from tests.torture.figures import Figure

LEDGER = "SELECT * FROM run_ledger ORDER BY ALL"
LINES = "SELECT * FROM dataset_rows ORDER BY line_no"


def take_in(warehouse: Warehouse, run: int, ticks: int, **options: Any) -> Path:
    """Take a run in, a batch of its own, and return its source."""
    source = write(warehouse.root / "in" / f"balanced_r{run}.jsonl", run_of(ticks))
    assert ingest(warehouse, source, **options).complete
    return source


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of temporary files that no other test, and nobody else, leaves anything in."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("three")
    for run in range(3):
        take_in(locate(root), run, 3 + run)
    return root


@pytest.fixture
def three(made: Path, tmp_path: Path) -> Warehouse:
    """Return a warehouse of three runs, a batch each."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    warehouse = locate(tmp_path)
    renew_doors(warehouse)
    return warehouse


def ledger_files(warehouse: Warehouse) -> list[Path]:
    return sorted((warehouse.runs / "experiment=exp13").iterdir())


def paths(found: Sequence[Leftover], kind: str) -> list[str]:
    return [each.path for each in found if each.kind == kind]


# Compaction


def test_many_small_files_become_one_and_rows_stay_as_they_are(three: Warehouse, invoke: Invoke) -> None:
    before, ticks = ask(three, LEDGER), files_below(three.telemetry)
    done = invoke("compact")
    assert done.exit_code == 0
    folder, records = done.stdout.splitlines()[2:]
    assert folder.split() == ["runs/experiment=exp13", "3", "3"]
    assert records.split()[0] == "commits"
    assert done.stderr.endswith("folded into 2; `gc --delete` removes them after an hour\n")
    assert ask(three, LEDGER) == before
    assert len(ledger_files(three)) == 4
    collect(three, older_than_s=0, delete=True)
    (folded,) = ledger_files(three)
    assert ask(three, f"SELECT count(*) FROM read_parquet('{folded}')") == [(3,)]
    assert ask(three, LEDGER) == before
    assert files_below(three.telemetry) == ticks
    assert check_warehouse(three).findings == []


def test_twice_is_as_once(three: Warehouse, invoke: Invoke) -> None:
    compact(three)
    before = files_below(three.path)
    done = invoke("compact")
    assert (done.exit_code, done.stderr) == (0, "nothing to fold\n")
    assert files_below(three.path) == before


def test_lines_of_datasets_are_folded_too(warehouse: Warehouse, invoke: Invoke) -> None:
    dataset = warehouse.root / "research_dataset_v001.jsonl"
    for lines in (1, 2, 3):
        write(dataset, ROW % "a" * lines)
        assert invoke("ingest", dataset).exit_code == 0
    before = ask(warehouse, LINES)
    folded = [(each.folder, each.files, each.rows) for each in compact(warehouse)]
    assert folded[0] == ("datasets/dataset=research_dataset_v001", 3, 3)
    collect(warehouse, older_than_s=0, delete=True)
    assert ask(warehouse, LINES) == before


def test_a_damaged_file_is_not_folded_into_a_good_one(three: Warehouse) -> None:
    """Its rows would come with a new hash, and nobody could tell any more."""
    file = ledger_files(three)[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    with pytest.raises(WarehouseError, match="is changed: its SHA-256"):
        compact(three)
    assert len(ledger_files(three)) == 3
    repair(three)
    assert [each.folder for each in compact(three)] == ["runs/experiment=exp13", "commits"]


def test_folded_records_say_what_the_single_ones_said(three: Warehouse) -> None:
    compact(three)
    before = read_records(three)
    assert len([path for path in three.commits.iterdir() if path.suffix == ".folded"]) == 1
    collect(three, older_than_s=0, delete=True)
    after = read_records(three)
    assert [path.suffix for path in three.commits.iterdir()] == [".folded"]
    assert (after.all, after.files, after.dropped) == (before.all, before.files, before.dropped)
    take_in(three, 7, 3)
    compact(three)
    collect(three, older_than_s=0, delete=True)
    assert [path.suffix for path in three.commits.iterdir()] == [".folded"]
    assert len(read_records(three).all) == len(after.all) + 2
    assert check_warehouse(three).findings == []


def test_one_maintenance_command_at_a_time(three: Warehouse, invoke: Invoke) -> None:
    with exclusive(three):
        for command in (["compact"], ["gc"], ["repair"]):
            done = invoke(*command)
            assert (done.exit_code, done.stdout) == (1, "")
            assert done.stderr.startswith("error: another compact, gc, repair or recompute is at work in ")
        assert invoke("check").exit_code == 0
        take_in(three, 8, 3)


@pytest.mark.parametrize("command", ["compact", "gc", "repair"])
def test_no_warehouse_is_a_usage_error(invoke: Invoke, command: str) -> None:
    done = invoke(command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no warehouse in ")


# Sweeping


def test_a_dry_run_lists_and_removes_nothing(three: Warehouse, invoke: Invoke) -> None:
    compact(three)
    before = files_below(three.path)
    done = invoke("gc", "--older-than", "0s", "--format", "csv")
    assert done.exit_code == 0
    assert done.stdout.count("replaced,runs/experiment=exp13/") == 3
    assert "may go; --delete removes them" in done.stderr
    assert files_below(three.path) == before


def test_what_is_young_stays(three: Warehouse, invoke: Invoke) -> None:
    compact(three)
    before = files_below(three.path)
    done = invoke("gc", "--delete")
    assert (done.exit_code, done.stderr) == (0, "nothing to remove\n")
    assert files_below(three.path) == before


def test_an_old_file_that_was_just_folded_counts_as_young(three: Warehouse) -> None:
    """How long ago it was written says nothing of the queries that still read it."""
    for file in ledger_files(three):
        os.utime(file, (0, 0))
    compact(three)
    assert collect(three, older_than_s=60) == []


def test_an_age_is_a_number_with_a_unit(three: Warehouse, invoke: Invoke) -> None:
    done = invoke("gc", "--older-than", "soon")
    assert done.exit_code == 2
    assert "'soon' is no age: write it as 90s, 10m, 2h or 7d" in done.stderr


def test_staging_of_a_living_process_stays_and_that_of_a_dead_one_goes(three: Warehouse) -> None:
    dead = write(three.staging / "20200101T000000.000000Z-0000dead" / "1.parquet", "half").parent
    spill = write(three.staging / "spill-4194305-0" / "block", "half").parent
    ours = write(three.staging / f"spill-{os.getpid()}-0" / "block", "half").parent
    with commit.staging(three, "alive") as alive:
        found = collect(three, older_than_s=0, delete=True)
        assert alive.is_dir()
    assert sorted(paths(found, "staging")) == sorted(str(each.relative_to(three.path)) for each in (dead, spill))
    assert not dead.exists()
    assert ours.exists()


def test_temporary_folders_of_processes_that_are_gone_go(
    three: Warehouse, temporary: Path, tmp_path: Path, invoke: Invoke
) -> None:
    """A query that spills, before it is killed and after."""
    where, started, number = owned_name().split("-")
    others = [
        temporary / f"paraphina-wh-{owned_name()}-a1b2c3_4",
        temporary / f"paraphina-wh-00000000-{started}-4194305-0",  # of another machine or container
        temporary / "paraphina-wh-2024-01",  # somebody's own
        temporary / f"spill-{where}-{started}-4194305-0",
    ]
    for folder in others:
        folder.mkdir()
    (temporary / f"paraphina-wh-{where}-{started}-4194305-link").symlink_to(tmp_path)
    # The number was used again: the process that had it began at another time.
    used_again = temporary / f"paraphina-wh-{where}-{int(started) - 1}-{number}-x"
    used_again.mkdir()
    earlier = temporary / "paraphina-wh-spill-4194305-0"
    earlier.mkdir()

    sql = "SELECT count(*) FROM (FROM range(1000000000) ORDER BY hash(range))"
    command = [sys.executable, "-m", "paraphina_wh", "--root", str(three.root), "query", sql, "--memory", "60MB"]
    with subprocess.Popen(command, env=os.environ | {"TMPDIR": str(temporary)}) as query:
        while not (spilled := [path for path in temporary.rglob("spill/*") if f"-{query.pid}-" in str(path)]):
            assert query.poll() is None
            time.sleep(0.01)
        live = spilled[0].parents[1]
        assert paths(collect(three, older_than_s=0), "temporary") == sorted(map(str, (used_again, earlier)))
        query.kill()
    assert collect(three, older_than_s=60) == []
    listed = invoke("gc", "--older-than", "0s", "--format", "json")
    assert sorted(row["path"] for row in json.loads(listed.stdout)) == sorted(map(str, (used_again, earlier, live)))
    gone = collect(three, older_than_s=0, delete=True)
    assert paths(gone, "temporary") == sorted(map(str, (used_again, earlier, live)))
    assert max(leftover.bytes for leftover in gone) > 0
    assert sorted(path for path in temporary.iterdir() if path.is_dir() and not path.is_symlink()) == sorted(others)


def test_a_staging_folder_that_gc_takes_before_it_is_locked_is_made_again(
    three: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, swept = commit.held, [Leftover("", "", 0, 0)]

    def held_too_late(folder: Path, how: int) -> Any:
        if folder.name == "new":
            monkeypatch.undo()
            swept.extend(collect(three, older_than_s=0, delete=True))
        return held(folder, how)

    monkeypatch.setattr(commit, "held", held_too_late)
    with commit.staging(three, "new") as folder:
        assert paths(swept, "staging") == ["_staging/new"]
        assert folder.is_dir()
        assert collect(three, older_than_s=0, delete=True) == []


def orphan(warehouse: Warehouse) -> Path:
    """Leave ticks in place whose commit never came."""
    ticks = parquet_of(warehouse, "exp13_balanced_r000")[0]
    left = warehouse.ticks_file("balanced", "never", "0" * 32)
    left.parent.mkdir(parents=True)
    shutil.copy(ticks, left)
    return left


def test_ticks_whose_commit_never_came_go_when_they_are_old(three: Warehouse) -> None:
    left = orphan(three)
    assert collect(three, older_than_s=60, delete=True) == []
    found = collect(three, older_than_s=0, delete=True)
    assert paths(found, "orphaned") == [str(left.relative_to(three.path))]
    assert not left.parent.exists(), "an empty folder would stay a label to other readers"
    assert len(list(three.telemetry.glob("profile=balanced/*/*.parquet"))) == 3


def test_with_a_damaged_record_nothing_is_removed(three: Warehouse, invoke: Invoke) -> None:
    left = orphan(three)
    record = min(three.commits.iterdir())
    record.write_bytes(record.read_bytes() + b" ")
    done = invoke("gc", "--delete", "--older-than", "0s")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: the record {record.name} is damaged")
    assert left.exists()


def test_with_a_damaged_ledger_nothing_is_removed(three: Warehouse, invoke: Invoke) -> None:
    left = orphan(three)
    ledger_files(three)[0].write_bytes(b"PAR1")
    done = invoke("gc", "--delete", "--older-than", "0s")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: cannot read the warehouse: Invalid Input Error: ")
    assert left.exists()


def test_folded_files_stay_until_what_took_their_place_is_whole(three: Warehouse) -> None:
    before = ask(three, LEDGER)
    compact(three)
    folded = ledger_files(three)[-1]
    folded.unlink()
    assert paths(collect(three, older_than_s=0, delete=True), "replaced") == []
    assert ask(three, LEDGER) == before
    assert [each.result for each in repair(three)] == ["restored"]
    assert len(paths(collect(three, older_than_s=0, delete=True), "replaced")) == 3
    assert ask(three, LEDGER) == before


def test_ticks_of_a_run_that_counts_stay_though_a_record_was_lost(three: Warehouse) -> None:
    """A was replaced by B and B by A: without the last record, the ticks of A are those that were replaced."""
    take_in(three, 0, 9, replace=True)
    take_in(three, 0, 3, replace=True)
    last = max(path for path in three.commits.iterdir() if path.suffix == ".json")
    last.unlink()
    (ticks,) = parquet_of(three, "exp13_balanced_r000")
    assert str(ticks.relative_to(three.path)) in read_records(three).dropped
    assert collect(three, older_than_s=0, delete=True) == []
    assert ask(three, "SELECT count(*) FROM ticks WHERE label LIKE '%r000'") == [(3,)]


def test_ticks_put_in_place_again_while_others_replace_them_stay(warehouse: Warehouse) -> None:
    """Two ingesters: one puts B in the place of A, while the other, who began before A was there, brings A."""

    def planned(ticks: int, **options: Any) -> Any:
        source = write(warehouse.root / str(ticks) / "balanced_r0.jsonl", run_of(ticks))
        found = [Input(source, "telemetry", named=True)]
        return make_plan(warehouse, found, Options(**options), warehouse.staging, jobs=1)

    late = planned(3)
    take_in(warehouse, 0, 3)
    replacing = planned(5, replace=True)
    # The later name is committed first.
    late.newest_batch = "99990101T000000.000000Z-00000000"
    for plan in (late, replacing):
        with Ingester(warehouse, newest_batch=plan.newest_batch) as ingester:
            ingester.ingest(plan.batches[0])
    counted = "SELECT rows, (SELECT count(*) FROM ticks t WHERE t.run_id = r.run_id) FROM runs r ORDER BY 1"
    assert ask(warehouse, counted) == [(3, 3), (5, 5)]
    assert check_warehouse(warehouse).findings == []


def test_nothing_is_removed_through_a_link_that_leads_out_of_the_warehouse(three: Warehouse, tmp_path: Path) -> None:
    compact(three)
    shutil.move(three.runs, tmp_path / "elsewhere")
    three.runs.symlink_to(tmp_path / "elsewhere")
    before = files_below(tmp_path / "elsewhere")
    assert paths(collect(three, older_than_s=0, delete=True), "replaced") == []
    assert files_below(tmp_path / "elsewhere") == before


def test_everybody_at_once(tmp_path: Path, report: Report) -> None:
    """The short form of tests/torture/concurrency.py: a few seconds, fewer of each kind."""
    concurrency.write_inputs(tmp_path, groups=6)
    kinds = {"ingester": 2, "compactor": 1, "sweeper": 1, "reader": 1}
    told = concurrency.let_work(tmp_path, seed=5, seconds=2, kinds=kinds, kill_each_s=0.5)
    assert not told["problems"]
    assert told["kills"] >= 1
    rows = told["rows checked"]
    held = concurrency.is_complete(locate(tmp_path))
    report(Figure("ingests, compaction, gc and reads at once", rows, rows if held else 0, "rows read", 5))
