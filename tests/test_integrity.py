"""`check` without a path, and `repair`: every file is what its commit put there, or it is named, and made anew."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import duckdb
import pytest

from paraphina_wh import commit
from paraphina_wh.ingest.forget import forget
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.maintenance.deep import Recount, check_deeply
from paraphina_wh.maintenance.integrity import check_warehouse
from paraphina_wh.maintenance.repair import repair
from paraphina_wh.records import Record, read_records
from paraphina_wh.telemetry.reader import LIMIT_NAME
from paraphina_wh.warehouse import Warehouse, new_batch
from tests.conftest import Invoke, Report
from tests.records import MC_RUN, line, run_of
from tests.telemetry_maker import ask, files_below, ingest, write
from tests.torture.damage import EDITS, RECORDS, STRANGERS, copied, flip_bits, is_found, is_named, sources_away
from tests.torture.everything import KINDS, answers, file_of
from tests.torture.figures import Figure

SEED = 4


@pytest.fixture
def everything(tmp_path: Path) -> Warehouse:
    """Return a warehouse with every kind of file in it, its sources beside it."""
    return copied(tmp_path)


def problems(warehouse: Warehouse) -> list[tuple[str, str]]:
    return [(each.problem, each.path) for each in check_warehouse(warehouse).findings]


def damage(warehouse: Warehouse, *kinds: str) -> dict[str, Path]:
    """Change a byte in the middle of files of some kinds."""
    files = {kind: file_of(warehouse, kind) for kind in kinds}
    for file in files.values():
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    return files


WITH_SOURCE = [kind for kind in KINDS if kind not in RECORDS]


# What is found


def test_a_whole_warehouse_is_told_so_in_numbers(everything: Warehouse, invoke: Invoke) -> None:
    before = files_below(everything.path)
    done = invoke("check")
    assert (done.exit_code, done.stdout) == (0, "")
    files = len(read_records(everything).files)
    assert done.stderr.startswith(f"OK: {files} files of ")
    assert done.stderr.endswith(" bytes are as committed, 7 runs add up\n")
    assert files_below(everything.path) == before


def test_no_warehouse_is_a_usage_error(invoke: Invoke) -> None:
    done = invoke("check")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no warehouse in ")


def test_every_kind_of_file_is_named_with_what_it_held(everything: Warehouse, invoke: Invoke) -> None:
    files = damage(everything, *WITH_SOURCE)
    done = invoke("check", "--format", "jsonl")
    assert done.exit_code == 1
    for kind, file in files.items():
        assert f'"changed","path":"{file.relative_to(everything.path)}"' in done.stdout.replace(": ", ":"), kind
    assert '"held":"7 ticks of run ' in done.stdout.replace(": ", ":")
    assert f"FAILED: {len(files)} findings" in done.stderr


def test_damage_of_every_byte_class_and_every_other_kind_is_found(everything: Warehouse, report: Report) -> None:
    """The short form of tests/torture/damage.py."""
    chance = random.Random(SEED)
    flips = [found for kind in KINDS for found in flip_bits(everything, kind, chance, 2)]
    report(Figure("damage found by check: flipped bits", len(flips), sum(flips), "single bits", SEED))
    edits = [*EDITS, "swapped"]
    tried = [(kind, edits[i % len(edits)]) for i, kind in enumerate(WITH_SOURCE)]
    found = [is_found(everything, kind, edit, chance) for kind, edit in [*tried, *((kind, "cut") for kind in RECORDS)]]
    found += [is_named(everything, kind, name) for kind, name in zip(WITH_SOURCE, STRANGERS, strict=False)]
    report(Figure("damage found by check: everything else", len(found), sum(found), "edits", SEED))


def test_a_hidden_file_that_a_view_would_read_is_found(everything: Warehouse) -> None:
    ticks = file_of(everything, "ticks")
    hidden = shutil.copy(ticks, ticks.with_name(".copy.parquet"))
    assert ask(everything, "SELECT count(*) FROM ticks WHERE run_id = $run", run=ticks.stem) == [(14,)]
    assert problems(everything) == [("foreign", str(Path(hidden).relative_to(everything.path)))]


def test_a_folder_that_is_a_link_is_found(everything: Warehouse, tmp_path: Path) -> None:
    shutil.move(everything.mc_runs, tmp_path / "elsewhere")
    everything.mc_runs.symlink_to(tmp_path / "elsewhere")
    assert problems(everything) == [("foreign", "mc_runs")]


def test_work_that_goes_on_meanwhile_is_no_damage(everything: Warehouse) -> None:
    """A run comes in, another is replaced and a third withdrawn after the check has read what there should be."""

    def others_at_work(files: int) -> None:
        new = write(everything.root / "new/balanced_r7.jsonl", run_of(4))
        ingest(everything, new)
        ingest(everything, write(everything.root / "sweep/balanced_r2.jsonl", run_of(3)), replace=True)
        forget(everything, labels=["exp13_balanced_r001"])
        compact(everything)

    assert check_warehouse(everything, on_plan=others_at_work).findings == []


def test_broken_texts_that_have_no_record_are_found(everything: Warehouse) -> None:
    write(everything.path / "promoted.json", "[")
    write(everything.path / "experiments/experiment=exp13.json", "{")
    assert problems(everything) == [("broken", "promoted.json"), ("broken", "experiments/experiment=exp13.json")]


# The deep check


def rewrite_ledger(warehouse: Warehouse, kind: str, change: str) -> None:
    """Commit a ledger file anew with a column changed: a wrong value, honestly recorded."""
    old = file_of(warehouse, kind)
    batch = new_batch(after=max(record.name for record in read_records(warehouse).all))
    with commit.staging(warehouse, batch) as folder, duckdb.connect(":memory:") as connection:
        connection.execute(f"COPY (SELECT * REPLACE ({change}) FROM '{old}') TO '{folder}/new.parquet'")
        put = commit.Put(folder / "new.parquet", old.with_name(f"{batch}.parquet"), "changed by hand")
        commit.commit(warehouse, Record(batch), [put], drops=[old])


def test_the_deep_check_finds_a_wrong_metric_and_a_wrong_count(everything: Warehouse, invoke: Invoke) -> None:
    assert invoke("check", "--deep").exit_code == 0
    rewrite_ledger(
        everything,
        "ledger",
        "CASE WHEN label = 'two' THEN final_pnl + 1e-12 ELSE final_pnl END AS final_pnl, "
        "CASE WHEN label = 'two_s2' THEN NULL ELSE max_pnl END AS max_pnl",
    )
    rewrite_ledger(
        everything,
        "folded ledger",
        "CASE WHEN label LIKE '%r001' THEN lines + 1 ELSE lines END AS lines, "
        "CASE WHEN label LIKE '%r001' THEN blank + 1 ELSE blank END AS blank",
    )
    assert invoke("check").exit_code == 0, "the account adds up, and files are what was committed"
    done = invoke("check", "--deep", "--format", "jsonl")
    assert done.exit_code == 1
    found = [(each.problem, each.held, each.detail) for each in check_deeply(everything, Recount())]
    assert found == [
        ("condensed", "balanced, two", "final_pnl is stored as 1.000000000001, its ticks say 1.0"),
        ("condensed", "balanced, two_s2", "max_pnl is stored as None, its ticks say 1.0"),
        ("source", "balanced, exp13_balanced_r001", "lines is stored as 9, sweep/balanced_r1.jsonl has 8"),
        ("source", "balanced, exp13_balanced_r001", "blank is stored as 1, sweep/balanced_r1.jsonl has 0"),
    ]
    assert done.stdout.count("\n") == 4


def test_the_deep_check_leaves_damaged_ticks_and_edited_sources_to_others(everything: Warehouse) -> None:
    damage(everything, "ticks")
    write(everything.root / "sweep/balanced_r0.jsonl", run_of(1))
    recount = Recount()
    assert list(check_deeply(everything, recount, check_warehouse(everything).paths)) == []
    # Of five runs with ticks: one is damaged, and one source edited.
    assert (recount.condensed, recount.recounted, recount.gone, recount.compared) == (4, 4, 1, 3)


# What is made anew


def test_everything_is_made_anew_from_its_source(everything: Warehouse, invoke: Invoke) -> None:
    before = answers(everything)
    files = damage(everything, *WITH_SOURCE)
    done = invoke("repair")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[-1] == f"{len(files)} restored"
    assert answers(everything) == before
    assert invoke("check", "--deep").exit_code == 0
    assert not (everything.quarantine / "files").exists()
    assert "nothing to repair" in invoke("repair").stderr


def test_without_a_source_answers_go_on_without_it_and_say_so(everything: Warehouse, invoke: Invoke) -> None:
    before = answers(everything)
    damage(everything, "ticks", "mirror", "mc_runs", "ledger of a table")
    with sources_away(everything):
        done = invoke("repair")
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1] == "4 quarantined"
        assert "its source sweep/balanced_r1.jsonl is not there any more" in done.stdout
        asked = invoke("query", "select count(*) from ticks", "--format", "csv")
        assert (asked.exit_code, asked.stdout) == (0, "count_star()\n23\n")
        assert "damaged files were put aside" in asked.stderr
        checked = invoke("check")
        assert checked.exit_code == 1
        assert checked.stdout.count("quarantined") == 4
    assert answers(everything) != before
    assert invoke("repair").exit_code == 0
    assert answers(everything) == before
    assert invoke("check").stderr.startswith("OK: ")


def test_an_edited_source_does_not_count(everything: Warehouse) -> None:
    damage(everything, "ticks", "folded mirror")
    write(everything.root / "sweep/balanced_r1.jsonl", run_of(7))
    dataset = everything.root / "research_dataset_v001.jsonl"
    write(dataset, dataset.read_text().replace("no run", "no rum"))
    assert [(each.result, each.detail) for each in repair(everything)] == [
        ("quarantined", "its source sweep/balanced_r1.jsonl has other content by now"),
        ("quarantined", "its source research_dataset_v001.jsonl has other content by now"),
    ]


def test_a_source_of_which_other_lines_are_put_aside_today_is_no_source(
    warehouse: Warehouse, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would give ticks that the ledger does not know; a replay brings them in, with a row that does."""
    monkeypatch.setenv(LIMIT_NAME, "1000")
    long = line(t=1, kill_reason="x" * 1000)
    ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", line(t=0) + long), on_error="quarantine")
    monkeypatch.delenv(LIMIT_NAME)
    for file in (*warehouse.telemetry.glob("*/*r001/*.parquet"), *warehouse.quarantine.glob("*.jsonl")):
        file.write_bytes(b"?")
    why = "of its source balanced_r1.jsonl other lines are put aside today"
    assert [(each.result, each.detail) for each in repair(warehouse)] == [("quarantined", why)] * 2
    assert ask(warehouse, "SELECT (SELECT count(*) FROM ticks), rows FROM runs") == [(0, 1)]
    assert invoke("quarantine", "replay", "--label", "exp13_balanced_r001").exit_code == 0
    assert ask(warehouse, "SELECT (SELECT count(*) FROM ticks), rows FROM runs") == [(2, 2)]
    repair(warehouse)
    assert problems(warehouse) == []


def test_monte_carlo_runs_come_in_again_though_other_lines_are_put_aside_today(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT_NAME, "1000")
    long = line(base=MC_RUN, run_index=1, kill_reason="x" * 1000)
    ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", line(base=MC_RUN) + long), on_error="quarantine")
    monkeypatch.delenv(LIMIT_NAME)
    (rows,) = warehouse.mc_runs.glob("*/2*.parquet")
    (aside,) = warehouse.quarantine.glob("*.jsonl")
    for file in (rows, aside):
        file.write_bytes(b"?")
    assert [(each.result, each.path) for each in repair(warehouse)] == [
        ("quarantined", str(aside.relative_to(warehouse.path))),
        ("restored", str(rows.relative_to(warehouse.path))),
    ]
    assert ask(warehouse, "SELECT run_index FROM mc_runs ORDER BY 1") == [(0,), (1,)]
    assert problems(warehouse) == []
    assert not any("quarantine" in name for name in files_below(warehouse.path))


def test_a_damaged_ledger_needs_no_source_and_resurrects_nothing(everything: Warehouse) -> None:
    """Six ticks were replaced by nine, and r009 was withdrawn: all of it stood in the one folded file."""
    labels = "SELECT label, rows, batch_id, ingested_at FROM runs ORDER BY ALL"
    before = ask(everything, labels)
    history = "SELECT event, run_id, batch_id, supersedes, label, ingested_at FROM run_ledger ORDER BY ALL"
    told = ask(everything, history)
    damage(everything, "folded ledger", "ledger")
    with sources_away(everything):
        assert {each.result for each in repair(everything)} == {"restored"}
    assert ask(everything, labels) == before
    assert ask(everything, history) == told
    assert problems(everything) == []


def test_a_run_whose_ticks_are_lost_too_stays_out_until_its_source_is_back(everything: Warehouse) -> None:
    before = answers(everything)
    damage(everything, "ticks", "folded ledger")
    with sources_away(everything):
        results = {each.path.split("/")[0]: each.result for each in repair(everything)}
        assert results == {"telemetry": "quarantined", "runs": "quarantined"}
        labels = ask(everything, "SELECT label FROM runs WHERE label LIKE 'exp13%' ORDER BY 1")
        assert labels == [("exp13_balanced_r000",), ("exp13_balanced_r002",)]
        assert len(problems(everything)) == 2
        assert {each.result for each in repair(everything)} == {"quarantined"}
    assert {each.result for each in repair(everything)} == {"restored"}
    assert answers(everything) == before
    assert problems(everything) == []


def test_a_lost_record_is_made_up_for_by_adopting_its_files(everything: Warehouse, invoke: Invoke) -> None:
    before = answers(everything)
    ledger = file_of(everything, "ledger").stem
    (record,) = [path for path in everything.commits.iterdir() if path.name.startswith(ledger)]
    record.write_bytes(record.read_bytes()[:-2])
    assert ("changed", f"commits/{record.name}") in problems(everything)
    assert invoke("repair").exit_code == 1
    assert [problem for problem, _ in problems(everything)] == ["unrecorded"] * 3
    assert invoke("repair", "--adopt").exit_code == 0
    assert problems(everything) == []
    # What was adopted can be made anew like any other.
    damage(everything, "ledger")
    assert [each.result for each in repair(everything)] == ["restored"]
    assert answers(everything) == before


def test_of_damaged_folded_records_the_whole_ones_are_kept(everything: Warehouse) -> None:
    """The last record in the file is that of the fold itself; without it, its file is a foreign one."""
    folded = file_of(everything, "folded records")
    told = len(read_records(everything).held[folded])
    folded.write_bytes(folded.read_bytes()[:-10])
    (done,) = [each for each in repair(everything) if each.path.startswith("commits/")]
    assert done.detail == f"{told - 1} records in it were whole and are kept"
    assert [path.split("/")[0] for _, path in problems(everything)] in (["runs"], ["datasets"])


def test_what_cannot_be_made_anew_can_be_given_up(everything: Warehouse, invoke: Invoke) -> None:
    damage(everything, "ticks", "mirror")
    with sources_away(everything):
        assert invoke("repair").exit_code == 1
        done = invoke("repair", "--give-up")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "2 given up")
    assert problems(everything) == []
    assert "put aside" not in invoke("status").stderr


def test_a_file_that_waits_for_gc_and_is_damaged_is_found_and_removed(everything: Warehouse) -> None:
    """What was folded stays for queries that have begun; views read it, and damaged it would fail every answer."""
    before = answers(everything)
    (path, *_) = [path for path in read_records(everything).replaced if path.startswith("runs/")]
    waiting = everything.path / path
    if not waiting.exists():
        waiting.write_bytes(file_of(everything, "folded ledger").read_bytes())
    content = bytearray(waiting.read_bytes())
    content[len(content) // 2] ^= 1
    waiting.write_bytes(content)
    assert problems(everything) == [("changed", path)]
    assert [(each.result, each.path) for each in repair(everything)] == [("removed", path)]
    assert problems(everything) == []
    assert answers(everything) == before


@pytest.mark.parametrize("kind", ["ticks", "mirror", "ledger"])
def test_a_repair_that_was_killed_before_it_cleaned_up_is_completed(everything: Warehouse, kind: str) -> None:
    """The copy of the damaged file is in the quarantine still, though the file is in place again."""
    before = answers(everything)
    (file,) = damage(everything, kind).values()
    copy = everything.quarantine / "files" / file.relative_to(everything.path)
    damaged = file.read_bytes()
    assert [each.result for each in repair(everything)] == ["restored"]
    write(copy, damaged)
    assert repair(everything) == []
    assert not (everything.quarantine / "files").exists()
    assert answers(everything) == before


def test_what_was_put_aside_of_a_run_withdrawn_since_is_forgotten(everything: Warehouse) -> None:
    damage(everything, "ticks")
    with sources_away(everything):
        repair(everything)
    forget(everything, labels=["exp13_balanced_r001"])
    assert problems(everything) == []
    assert repair(everything) == []
    assert not (everything.quarantine / "files").exists()


def test_foreign_files_are_left_where_they_are(everything: Warehouse, invoke: Invoke) -> None:
    write(everything.path / "notes.txt", "mine")
    foreign = write(everything.telemetry / "profile=balanced" / "notes.txt", "mine")
    done = invoke("repair")
    assert done.exit_code == 1
    assert done.stdout.count("no commit put it there") == 2
    assert foreign.read_text() == "mine"


def test_without_records_nothing_is_certified_until_it_is_adopted(everything: Warehouse, invoke: Invoke) -> None:
    """A restore may have left them out, or files may be older than records: only whoever is asked can know."""
    before = answers(everything)
    away = everything.commits.rename(everything.root / "away")
    ingest(everything, write(everything.root / "new/balanced_r7.jsonl", run_of(4)))
    assert {problem for problem, _ in problems(everything)} == {"unrecorded"}
    done = invoke("check")
    assert "bring the folder `commits` back" in done.stderr.splitlines()[-1]
    assert (done.exit_code, len(list(everything.commits.iterdir()))) == (1, 1)
    # The records come back, and know better.
    damage(everything, "ticks")
    for record in away.iterdir():
        record.rename(everything.commits / record.name)
    assert [problem for problem, _ in problems(everything)] == ["changed"]
    assert [each.result for each in repair(everything)] == ["restored"]
    assert invoke("forget", "--label", "exp13_balanced_r007").exit_code == 0
    assert answers(everything)["ticks"] == before["ticks"]


def test_what_is_adopted_is_as_it_is(everything: Warehouse) -> None:
    before = answers(everything)
    shutil.rmtree(everything.commits)
    assert {each.result for each in repair(everything, adopt=True)} <= {"recorded", "restored"}
    assert problems(everything) == []
    assert answers(everything) == before
    damage(everything, "ledger of a table")
    (done,) = repair(everything)
    assert (done.result, done.detail) == ("quarantined", "no record tells what it held")


@pytest.mark.parametrize("place", ["../label=copied/{}", "../../profile=b.bak/label=copied/{}", "copy.parquet"])
def test_a_copy_of_ticks_is_foreign_and_is_not_adopted(everything: Warehouse, place: str) -> None:
    """It would be answered twice."""
    ticks = file_of(everything, "ticks")
    copy = Path(os.path.normpath(ticks.parent / place.format(ticks.name)))
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ticks, copy)
    path = str(copy.relative_to(everything.path))
    assert problems(everything) == [("foreign", path)]
    (left,) = repair(everything, adopt=True)
    assert (left.result, left.path, left.detail) == ("left", path, "no commit put it there: move it away")


def test_an_ingest_brings_back_ticks_that_are_gone(everything: Warehouse, invoke: Invoke) -> None:
    """Also when they were given up."""
    before = answers(everything)
    ticks = file_of(everything, "ticks")
    source = "sweep/balanced_r1.jsonl"
    ticks.unlink()
    assert "quarantined 1 " in invoke("ingest", "--on-error", "quarantine", source).stdout
    assert problems(everything) == []
    ticks.unlink()
    with sources_away(everything):
        assert invoke("repair", "--give-up").exit_code == 0
    assert answers(everything)["ticks"] != before["ticks"]
    invoke("ingest", "--on-error", "quarantine", source)
    assert answers(everything)["ticks"] == before["ticks"]
    assert problems(everything) == []
