"""Which run is which: labels, repeats, supersession, withdrawal, split files and sidecars."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh import catalog
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import Ingester
from paraphina_wh.ingest.forget import forget
from paraphina_wh.ingest.task import Task
from paraphina_wh.ledger import run_id_of
from paraphina_wh.warehouse import Warehouse, locate, new_batch, reads_as_number
from tests.records import line, run_of
from tests.telemetry_maker import SIDECAR, ask, ask_one, files_below, ingest, parquet_of, sidecar, verdicts, write

SHORT, LONG, OTHER = run_of(2), run_of(3), line(t=0, pnl_total=9.0) + line(t=1)


def add(warehouse: Warehouse, name: str, content: bytes, **options: Any) -> list[tuple[str, str | None]]:
    """Ingest a file of a folder of its own with the label `lab` and return (status, run_id)."""
    source = write(warehouse.root / name / "lab.jsonl", content)
    report = ingest(warehouse, source, **({"profile": "balanced"} | options))
    return [(outcome.status, outcome.run_id) for outcome in report]


def live(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return ask(warehouse, "SELECT label, num_ticks FROM runs ORDER BY label, num_ticks")


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("balanced", "exp13_balanced_r007", "exp13")),
        ({"label_prefix": "mine"}, ("balanced", "mine_balanced_r007", "mine")),
        ({"profile": "aggressive"}, ("aggressive", "exp13_balanced_r007", "exp13")),
        ({"label": "x", "experiment": "e"}, ("balanced", "x", "e")),
    ],
)
def test_a_harness_name_tells_profile_and_label(
    warehouse: Warehouse, options: dict[str, Any], expected: tuple[str, ...]
) -> None:
    ingest(warehouse, write(warehouse.root / "balanced_r7.jsonl", SHORT), **options)
    assert ask(warehouse, "SELECT profile, label, experiment FROM runs") == [expected]


def test_any_other_name_is_the_label(warehouse: Warehouse) -> None:
    ingest(warehouse, write(warehouse.root / "night.v2.jsonl.gz", SHORT), profile="balanced")
    assert ask(warehouse, "SELECT profile, label, experiment FROM runs") == [("balanced", "night.v2", "adhoc")]


@pytest.mark.parametrize("label", ["", "__HIVE_DEFAULT_PARTITION__", "x" * 250, "ü" * 42, "a\ud800"])
@pytest.mark.parametrize("key", ["label", "profile"])
def test_a_key_that_no_reader_gives_back_is_refused_before_anything_is_written(
    warehouse: Warehouse, key: str, label: str
) -> None:
    write(warehouse.root / "balanced_r1.jsonl", SHORT)
    options: dict[str, Any] = {key: label}
    with pytest.raises(WarehouseError, match=f"^{key} ") as refused:
        ingest(warehouse, warehouse.root / "balanced_r1.jsonl", **options)
    assert refused.value.exit_code == 2
    assert not warehouse.path.exists()


def test_a_label_from_a_sidecar_is_refused_the_same_way(warehouse: Warehouse) -> None:
    write(warehouse.root / "a.jsonl", SHORT)
    sidecar(warehouse.root / "a", label="__HIVE_DEFAULT_PARTITION__")
    (outcome,) = ingest(warehouse, warehouse.root / "a.jsonl")
    assert outcome.errors == ["label '__HIVE_DEFAULT_PARTITION__' means null to every reader of Parquet folders"]
    assert {path.name for path in warehouse.telemetry.rglob("*.parquet")} == {"schema.parquet"}


@pytest.mark.parametrize(
    ("label", "warned"),
    [("001", True), ("1e5", True), ("2026-11-01", True), ("true", True), (" 7 ", True), ("r7", False), ("1-2", False)],
)
def test_a_label_that_looks_like_a_number_goes_in_with_a_warning(
    warehouse: Warehouse, label: str, warned: bool
) -> None:
    assert reads_as_number(label) is warned
    report = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", SHORT), label=label)
    assert [f"label {label!r}" in text for text in report.warnings] == [True] * warned
    assert ask(warehouse, "SELECT label FROM runs") == [(label,)]


def test_a_profile_of_ones_own_goes_in_when_it_is_meant_with_a_warning(warehouse: Warehouse) -> None:
    report = ingest(warehouse, write(warehouse.root / "a.jsonl", SHORT), profile="bold", new_profile=True)
    assert report.warnings == [
        "a.jsonl: profile 'bold' has no risk budget, no verdict counts its runs; tiers: conservative, balanced, "
        "aggressive"
    ]
    assert ask(warehouse, "SELECT profile FROM ticks WHERE t = 0") == [("bold",)]


@pytest.mark.parametrize("folder", ["a=b", "profile=zz", "what?", "back\\slash"])
def test_a_warehouse_below_a_folder_that_would_change_its_columns_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    with pytest.raises(WarehouseError, match="the warehouse cannot lie in") as refused:
        locate(tmp_path / folder)
    assert refused.value.exit_code == 2
    assert locate(tmp_path / folder, tmp_path / "elsewhere").path == tmp_path / "elsewhere"


# --- repeats --------------------------------------------------------------------------------------------------


def test_the_same_content_is_the_same_run_wherever_it_lies(warehouse: Warehouse) -> None:
    ((_, run_id),) = add(warehouse, "here", SHORT)
    assert add(warehouse, "there", SHORT) == [("unchanged", run_id)]
    assert add(warehouse, "there", SHORT, label="other") == [("ingested", run_id_of("balanced", "other", SHA256))]
    assert run_id == run_id_of("balanced", "lab", SHA256)
    assert ask(warehouse, "SELECT count(DISTINCT evidence_id) FROM runs") == [(1,)]


SHA256 = hashlib.sha256(SHORT).hexdigest()


def test_a_copy_in_the_same_ingest_is_unchanged(warehouse: Warehouse) -> None:
    write(warehouse.root / "in" / "a" / "lab.jsonl", SHORT)
    write(warehouse.root / "in" / "b" / "lab.jsonl", SHORT)
    report = ingest(warehouse, warehouse.root / "in", profile="balanced")
    assert [(outcome.file, outcome.status) for outcome in report] == [
        ("in/a/lab.jsonl", "ingested"),
        ("in/b/lab.jsonl", "unchanged"),
    ]


# --- supersession ---------------------------------------------------------------------------------------------


def test_other_content_under_the_same_label_is_refused_naming_the_run(warehouse: Warehouse) -> None:
    ((_, first),) = add(warehouse, "a", SHORT)
    before = files_below(warehouse.path)
    (outcome,) = ingest(warehouse, write(warehouse.root / "b" / "lab.jsonl", OTHER), profile="balanced")
    assert outcome.status == "rejected"
    assert outcome.errors == [f"label 'lab' of profile 'balanced' is taken by run {first} with other content"]
    assert outcome.hint == "give another --label, or take the old run out with --replace"
    assert files_below(warehouse.path) == before


def test_the_same_label_of_another_profile_is_another_run(warehouse: Warehouse) -> None:
    add(warehouse, "a", SHORT)
    add(warehouse, "b", LONG, profile="aggressive")
    assert live(warehouse) == [("lab", 2), ("lab", 3)]


def test_replace_takes_the_old_run_out_and_its_file_goes(warehouse: Warehouse) -> None:
    add(warehouse, "a", SHORT)
    ((status, second),) = add(warehouse, "b", LONG, replace=True)
    assert status == "ingested"
    assert live(warehouse) == [("lab", 3)]
    assert [path.stem for path in parquet_of(warehouse, "lab")] == [second]
    assert ask(warehouse, "SELECT count(*) FROM ticks") == [(3,)]
    assert ask(warehouse, "SELECT count(*) FROM run_ledger") == [(2,)]


def test_what_was_replaced_can_come_back(warehouse: Warehouse) -> None:
    ((_, a),) = add(warehouse, "a", SHORT)
    add(warehouse, "b", LONG, replace=True)
    assert add(warehouse, "a", SHORT) == [("rejected", None)]
    assert add(warehouse, "a", SHORT, replace=True) == [("ingested", a)]
    assert live(warehouse) == [("lab", 2)]
    assert [path.stem for path in parquet_of(warehouse, "lab")] == [a]
    assert add(warehouse, "a", SHORT, replace=True) == [("unchanged", a)]


def task_of(source: Path) -> Task:
    return Task(
        source=str(source),
        origin=source.name,
        profile="balanced",
        label="lab",
        experiment="adhoc",
        size_bytes=source.stat().st_size,
    )


def as_if_raced(warehouse: Warehouse, *contents: bytes) -> None:
    """Commit contents under the label `lab`, each by a process that looked before the others had committed."""
    catalog.set_up(warehouse)
    for number, content in enumerate(contents):
        source = write(warehouse.root / f"race{number}" / "lab.jsonl", content)
        with Ingester(warehouse) as ingester:
            assert [outcome.status for outcome in ingester.ingest([task_of(source)])] == ["ingested"]


def test_two_ingesters_that_raced_for_a_label_both_show_and_replace_settles_it(warehouse: Warehouse) -> None:
    as_if_raced(warehouse, SHORT, LONG)
    assert live(warehouse) == [("lab", 2), ("lab", 3)]
    ((status, run_id),) = add(warehouse, "c", run_of(4), replace=True)
    assert (status, live(warehouse)) == ("ingested", [("lab", 4)])
    assert [path.stem for path in parquet_of(warehouse, "lab")] == [run_id]


def test_a_batch_sorts_behind_the_last_one_though_the_clock_was_set_back(warehouse: Warehouse) -> None:
    assert new_batch(after="29990101T000000.000000Z-00000000").startswith("29990101T000000.000001Z-")
    catalog.set_up(warehouse)
    source = write(warehouse.root / "lab.jsonl", SHORT)
    with Ingester(warehouse, newest_batch="29990101T000000.000000Z-00000000") as ingester:
        ingester.ingest([task_of(source)])
    forget(warehouse, labels=["lab"])
    assert live(warehouse) == []
    assert add(warehouse, "again", SHORT)[0][0] == "ingested"
    assert live(warehouse) == [("lab", 2)]


def test_two_contents_for_one_label_in_one_ingest_are_not_both_let_in(warehouse: Warehouse) -> None:
    write(warehouse.root / "in" / "a" / "lab.jsonl", SHORT)
    write(warehouse.root / "in" / "b" / "lab.jsonl", LONG)
    for replace in (False, True):
        report = ingest(warehouse, warehouse.root / "in", profile="balanced", replace=replace)
        assert [outcome.status for outcome in report] == ["unchanged" if replace else "ingested", "rejected"]
        assert live(warehouse) == [("lab", 2)]


def test_two_experiments_do_not_share_a_label_either(warehouse: Warehouse) -> None:
    for name, experiment, content in (("a", "e2", SHORT), ("b", "e1", LONG), ("c", "e1", SHORT)):
        write(warehouse.root / name / "lab.jsonl", content)
        sidecar(warehouse.root / name / "lab", label="lab", experiment=experiment)
    report = ingest(warehouse, warehouse.root, jobs=2)
    assert [outcome.status for outcome in report] == ["ingested", "rejected", "unchanged"]
    assert ask(warehouse, "SELECT experiment, num_ticks FROM runs") == [("e2", 2)]


def test_each_run_of_a_shared_label_group_goes_to_its_own_experiment(warehouse: Warehouse) -> None:
    for name, experiment, content in (("a", "e1", b"{}\n"), ("b", "e2", LONG)):
        write(warehouse.root / name / "lab.jsonl", content)
        sidecar(warehouse.root / name / "lab", label="lab", experiment=experiment)
    assert [outcome.status for outcome in ingest(warehouse, warehouse.root)] == ["rejected", "ingested"]
    assert ask(warehouse, "SELECT experiment, num_ticks FROM runs") == [("e2", 3)]


def test_a_failed_run_gives_way_to_one_that_ended_well(warehouse: Warehouse) -> None:
    write(warehouse.root / "lab.jsonl", SHORT)
    sidecar(warehouse.root / "lab", label="lab", status="failed", error="boom", returncode=1)
    (outcome,) = ingest(warehouse, warehouse.root / "lab.jsonl")
    assert outcome.status == "ingested"
    assert ask(warehouse, "SELECT status, error, returncode, num_ticks FROM runs") == [("failed", "boom", 1, 2)]
    assert ask(warehouse, "SELECT count(*) FROM research_rows") == [(0,)]
    write(warehouse.root / "lab.jsonl", LONG)
    sidecar(warehouse.root / "lab", label="lab", returncode=0)
    (outcome,) = ingest(warehouse, warehouse.root / "lab.jsonl")
    assert ask(warehouse, "SELECT status, num_ticks FROM runs") == [("ok", 3)]
    assert len(parquet_of(warehouse, "lab")) == 1


def test_two_processes_that_ingest_one_file_at_once_make_one_run(warehouse: Warehouse) -> None:
    """Both commit; the first committed answers."""
    source = write(warehouse.root / "balanced_r1.jsonl", run_of(200))
    ingest(warehouse, write(warehouse.root / "conservative_r1.jsonl", SHORT))
    code = (
        "import sys; from paraphina_wh.ingest import ingest_paths; from paraphina_wh.warehouse import locate;"
        "print('ready', flush=True); sys.stdin.readline();"
        "print(ingest_paths(locate(sys.argv[1]), [sys.argv[2]], jobs=1)[0].status)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, warehouse.root, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
    said = [process.communicate()[0].decode().strip() for process in processes]
    assert "ingested" in said and set(said) <= {"ingested", "unchanged"}
    committed = said.count("ingested")
    rows = ask(warehouse, "SELECT run_id, batch_id FROM run_ledger WHERE label LIKE '%balanced%' ORDER BY batch_id")
    assert len(rows) == committed and len({run_id for run_id, _ in rows}) == 1
    assert ask(warehouse, "SELECT run_id, batch_id FROM runs WHERE label LIKE '%balanced%'") == rows[:1]
    assert ask(warehouse, "SELECT count(*) FROM ticks WHERE label LIKE '%balanced%'") == [(200,)]
    assert list(warehouse.staging.iterdir()) == []


def test_a_ledger_row_stored_twice_counts_once(warehouse: Warehouse) -> None:
    """A compaction killed before it removed what it had gathered leaves the old files beside the new one."""
    add(warehouse, "a", SHORT)
    (ledger,) = (warehouse.runs / "experiment=adhoc").iterdir()
    ledger.with_name("compacted.parquet").write_bytes(ledger.read_bytes())
    assert ask(warehouse, "SELECT count(*) FROM run_ledger") == [(1,)]
    assert live(warehouse) == [("lab", 2)]
    assert ask(warehouse, "SELECT count(*) FROM ticks") == [(2,)]


# --- withdrawal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["label", "run_id", "start of the run_id"])
def test_forget_takes_a_run_out_of_every_view_and_keeps_it_in_the_ledger(warehouse: Warehouse, how: str) -> None:
    ((_, run_id),) = add(warehouse, "a", b"{bad}\n" + SHORT, on_error="quarantine")
    assert run_id
    add(warehouse, "b", LONG, label="stays")
    names: Sequence[str] = {"run_id": [run_id], "start of the run_id": [run_id[:12]]}.get(how, [])
    withdrawn = forget(warehouse, names, ["lab"] if how == "label" else [])
    assert [run.run_id for run in withdrawn] == [run_id]
    assert live(warehouse) == [("stays", 3)]
    assert ask(warehouse, "SELECT DISTINCT label FROM ticks") == [("stays",)]
    assert parquet_of(warehouse, "lab") == []
    assert list(warehouse.quarantine.iterdir()) == []
    assert ask(warehouse, "SELECT event, status FROM run_ledger WHERE label = 'lab' ORDER BY batch_id") == [
        ("run", "ok"),
        ("withdrawn", "withdrawn"),
    ]


def test_what_was_forgotten_can_be_ingested_again(warehouse: Warehouse) -> None:
    add(warehouse, "a", SHORT)
    forget(warehouse, labels=["lab"])
    ((status, _),) = add(warehouse, "a", SHORT)
    assert (status, live(warehouse)) == ("ingested", [("lab", 2)])


def test_forget_says_when_a_name_means_no_run_or_several(warehouse: Warehouse) -> None:
    ((_, run_id),) = add(warehouse, "a", SHORT)
    add(warehouse, "b", SHORT, label="other")
    for names, labels, message in (
        (["zz"], [], "no run 'zz'"),
        ([], ["nope"], "no run with label 'nope'"),
        ([""], [], "an empty name starts every run_id"),
        ([run_id or "", "zz"], [], "no run 'zz'"),
    ):
        with pytest.raises(WarehouseError, match=message) as refused:
            forget(warehouse, names, labels)
        assert refused.value.exit_code == 2
    assert len(live(warehouse)) == 2


# --- split ----------------------------------------------------------------------------------------------------

APPENDED = run_of(3) + run_of(2) + line(t=5) + run_of(1)


def test_t_that_starts_again_is_rejected_naming_the_line(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", APPENDED))
    assert outcome.errors[0] == "line 4: t: 0 is not above the previous 2"
    assert outcome.hint == (
        "if several runs were appended to one file, split them with --split-on-reset; if they were written at once, "
        "run them again, each into a file of its own"
    )


def test_split_on_reset_makes_a_run_of_every_stretch(warehouse: Warehouse) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", APPENDED)
    write(warehouse.root / "balanced_r1.stdout.txt", STDOUT)
    report = ingest(warehouse, source, split_on_reset=True)
    assert [(outcome.file, outcome.status, outcome.ticks) for outcome in report] == [
        ("balanced_r1.jsonl", "ingested", 3),
        ("balanced_r1.jsonl#s2", "ingested", 3),
        ("balanced_r1.jsonl#s3", "ingested", 1),
    ]
    label = "exp13_balanced_r001"
    assert live(warehouse) == [(label, 3), (f"{label}_s2", 3), (f"{label}_s3", 1)]
    # Nobody can tell whose stdout it is.
    assert ask(warehouse, "SELECT count(stdout_pnl_total) FROM runs") == [(0,)]
    assert {outcome.status for outcome in ingest(warehouse, source, split_on_reset=True)} == {"unchanged"}
    assert list(warehouse.staging.iterdir()) == []


def test_split_on_reset_changes_nothing_for_a_file_of_one_run(warehouse: Warehouse) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", SHORT)
    (first,) = ingest(warehouse, source, split_on_reset=True)
    (second,) = ingest(warehouse, source)
    assert (first.status, second.status, second.run_id) == ("ingested", "unchanged", first.run_id)


# --- sidecars -------------------------------------------------------------------------------------------------

STDOUT = """paraphina | cfg=v1 | cfg_hash=0x00000000000000ff | profile=Balanced | ticks=2 | seed=9

=== Daily Summary ===
Daily PnL (realised / unrealised / total): +1.50 / -0.50 / +1.00
Kill switch: false
Risk regime: Normal
"""


def test_a_sidecar_tells_who_the_run_is_whatever_the_file_is_called(warehouse: Warehouse) -> None:
    write(warehouse.root / "night_7.jsonl", SHORT)
    write(warehouse.root / "night_7.stdout.txt", STDOUT)
    sidecar(
        warehouse.root / "night_7",
        labels={"experiment": "exp99", "init_q_tao": -20.0},
        repeat=2,
        ticks=2,
        knobs={"PARAPHINA_INIT_Q_TAO": "-20", "PARAPHINA_VOL_REF": "0.01", "PARAPHINA_HEDGE_BAND_BASE": "wide"},
        engine="reference",
        command=["engine", "--ticks", "2"],
        duration_sec=1.5,
        returncode=0,
    )
    ingest(warehouse, warehouse.root / "night_7.jsonl", label_prefix="other")
    assert ask_one(
        warehouse,
        "SELECT experiment, profile, label, run_name, plan_key, repeat, seed, ticks_requested, status, init_q_tao, "
        "vol_ref, band_base, engine, cfg_hash, duration_sec, stdout_pnl_total, label_json, command_json FROM runs",
    ) == {
        "experiment": "exp99",
        "profile": "balanced",
        "label": "lab",
        "run_name": "run_3",
        "plan_key": "p",
        "repeat": 2,
        "seed": 9,
        "ticks_requested": 2,
        "status": "ok",
        "init_q_tao": -20.0,
        "vol_ref": 0.01,
        "band_base": None,
        "engine": "reference",
        "cfg_hash": "0x00000000000000ff",
        "duration_sec": 1.5,
        "stdout_pnl_total": 1.0,
        "label_json": '{"experiment":"exp99","init_q_tao":-20.0}',
        "command_json": '["engine","--ticks","2"]',
    }


def test_the_experiment_is_no_part_of_the_identity(warehouse: Warehouse) -> None:
    write(warehouse.root / "a" / "lab.jsonl", SHORT)
    sidecar(warehouse.root / "a" / "lab")
    (first,) = ingest(warehouse, warehouse.root / "a")
    assert add(warehouse, "b", SHORT, experiment="other") == [("unchanged", first.run_id)]


def test_a_planned_run_is_not_taken_in_before_it_has_ended(warehouse: Warehouse) -> None:
    write(warehouse.root / "lab.jsonl", SHORT)
    sidecar(warehouse.root / "lab", status="planned")
    sidecar(warehouse.root / "silent", status="planned")
    (outcome,) = ingest(warehouse, warehouse.root)
    assert outcome.status == "rejected"
    assert outcome.errors[0].endswith("lab.jsonl: the run has not finished")


def test_a_failed_run_without_telemetry_is_recorded(warehouse: Warehouse) -> None:
    sidecar(warehouse.root / "lab", status="timeout", error="no end in 600 s", returncode=-9)
    write(warehouse.root / "lab.stdout.txt", STDOUT.splitlines()[0] + "\n")
    (outcome,) = ingest(warehouse, warehouse.root)
    assert (outcome.file, outcome.status, outcome.ticks) == ("lab.run.json", "ingested", 0)
    query = "SELECT status, error, returncode, num_ticks, stdout_usable, telemetry_path FROM runs"
    assert ask(warehouse, query) == [("timeout", "no end in 600 s", -9, None, False, None)]
    assert ask(warehouse, "SELECT count(*) FROM ticks") == [(0,)]


@pytest.mark.parametrize(("name", "left"), [("lab.jsonl", b"Segmentation fault\n"), ("lab.jsonl.gz", b"\x1f\x8b\x08")])
def test_a_failed_run_that_left_garbage_is_recorded_with_a_warning(
    warehouse: Warehouse, name: str, left: bytes
) -> None:
    write(warehouse.root / name, left)
    sidecar(warehouse.root / "lab", status="failed", error="boom")
    (outcome,) = ingest(warehouse, warehouse.root)
    assert outcome.status == "ingested"
    assert outcome.warnings
    assert ask(warehouse, "SELECT status, error, num_ticks FROM runs") == [("failed", "boom", None)]
    assert verdicts(ingest(warehouse, warehouse.root)) == {name: "unchanged"}


@pytest.mark.parametrize(
    "broken",
    [b"{", b"[]", b"\xff", b'{"experiment":1}', json.dumps(SIDECAR | {"seed": 2**64}).encode(), b"[" * 5000],
)
def test_a_broken_sidecar_rejects_its_run_naming_the_sidecar(warehouse: Warehouse, broken: bytes) -> None:
    write(warehouse.root / "lab.jsonl", SHORT)
    write(warehouse.root / "lab.run.json", broken)
    (outcome,) = ingest(warehouse, warehouse.root)
    assert outcome.status == "rejected"
    assert f"{warehouse.root}/lab.run.json: not a run sidecar" in outcome.errors[0]


def test_hostile_texts_of_a_sidecar_come_back_as_they_are(warehouse: Warehouse) -> None:
    label, experiment, error = "a\n'\"*?[x]\0", "e'x/../y", "x" * (17 << 20)
    write(warehouse.root / "lab.jsonl", SHORT)
    sidecar(warehouse.root / "lab", label=label, experiment=experiment, error=error, labels={"big": 10**40})
    (outcome,) = ingest(warehouse, warehouse.root)
    assert outcome.status == "ingested"
    assert ask(warehouse, "SELECT label, experiment, error, label_json FROM runs") == [
        (label, experiment, error, '{"big":1' + "0" * 40 + "}")
    ]
    assert ask(warehouse, "SELECT DISTINCT label FROM ticks") == [(label,)]


def test_numbers_on_stdout_that_no_column_holds_do_not_stop_the_run(warehouse: Warehouse) -> None:
    write(warehouse.root / "balanced_r1.jsonl", SHORT)
    write(warehouse.root / "balanced_r1.stdout.txt", STDOUT.replace("seed=9", f"seed={2**64}"))
    (outcome,) = ingest(warehouse, warehouse.root)
    assert outcome.status == "ingested"
    assert ask(warehouse, "SELECT seed, ticks_requested, stdout_pnl_total FROM runs") == [(None, 2, 1.0)]
