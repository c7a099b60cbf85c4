"""`quarantine`: lines put aside are listed, shown, replayed after a fix, and dropped; `ingest --max-bad`."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from paraphina_wh.catalog import set_up
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.ingest.threshold import read_max_bad
from paraphina_wh.ledger import run_id_of
from paraphina_wh.quarantine import choose, choose_all, find, list_quarantine, replay
from paraphina_wh.quarantine.files import longest_line
from paraphina_wh.quarantine.mend import Mending
from paraphina_wh.telemetry.reader import LIMIT_NAME, MAX_LINE_BYTES, Sinks, read_strict
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke
from tests.records import MC_RUN, line, run_of
from tests.telemetry_maker import ask, ask_one, files_below, ingest, sidecar, verdicts, write

# Six lines: the third is no JSON, the fifth no UTF-8, with a terminal escape.
NO_JSON = b'{"t":2,"a\x1b[31m'
NO_UTF8 = b'{"t":4,"\xff":"\xfe"}'
LINES = [line(t=0), line(t=1), NO_JSON + b"\n", line(t=3), NO_UTF8 + b"\n", line(t=5)]
BAD = b"".join(LINES)
GOOD = run_of(6)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = locate(tmp_path_factory.mktemp("root"))
    set_up(warehouse)
    return warehouse


@pytest.fixture
def warehouse(place: Warehouse) -> Iterator[Warehouse]:
    """Return a warehouse that was set up once and is empty again: setting one up takes longer than most tests."""
    yield place
    for path in place.root.iterdir():
        if path != place.path:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    held = [path for folder in place.tables for path in folder.iterdir() if not path.name.endswith("=any")]
    for path in (*held, place.quarantine, place.commits):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def invoke(warehouse: Warehouse, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(warehouse.root)
    return invoke


@pytest.fixture
def run_id(warehouse: Warehouse) -> str:
    """Return the run of a file with two bad lines of six."""
    return take_in(warehouse, "balanced_r1.jsonl", BAD)


def take_in(warehouse: Warehouse, name: str, content: bytes, **options: Any) -> str:
    (outcome,) = ingest(warehouse, write(warehouse.root / name, content), on_error="quarantine", **options)
    assert outcome.status in ("quarantined", "ingested"), outcome
    return outcome.run_id or ""


def adds_up(warehouse: Warehouse) -> None:
    """Check the account of every run, whatever became of it."""
    assert (
        ask(
            warehouse,
            "SELECT run_id FROM run_ledger WHERE event = 'run' AND (lines <> rows + quarantined + blank "
            "OR source_bytes <> row_bytes + quarantined_bytes + blank_bytes)",
        )
        == []
    )


def rewrite_ledger(warehouse: Warehouse, changes: str) -> None:
    """Make every ledger row say something else."""
    for file in warehouse.runs.glob("experiment=exp13/*.parquet"):
        with duckdb.connect(":memory:") as connection:
            rows = f"FROM read_parquet('{file}', hive_partitioning = false)"
            connection.execute(f"COPY (SELECT * REPLACE ({changes}) {rows}) TO '{file}.new' (FORMAT parquet)")
        file.with_name(f"{file.name}.new").rename(file)


def corrected(warehouse: Warehouse, *entries: dict[str, Any]) -> Path:
    return write(warehouse.root / "lines.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))


def good(t: int) -> str:
    return line(t=t).decode().rstrip("\n")


# --- list


def test_without_runs_the_list_is_empty(invoke: Invoke) -> None:
    result = invoke("quarantine", "list", "--format", "json")
    assert (result.stdout, result.stderr, result.exit_code) == ("[]\n", "", 0)


def test_the_list_has_a_row_for_each_run_with_lines_put_aside(warehouse: Warehouse, run_id: str) -> None:
    take_in(warehouse, "balanced_r2.jsonl", GOOD)
    (row,) = list_quarantine(warehouse).frame.drop("ingested_at").to_dicts()
    assert row == {
        "run_id": run_id,
        "label": "exp13_balanced_r001",
        "lines": 2,
        "of_lines": 6,
        "first_line": 3,
        "first_reason": "not JSON: Invalid control character at character 10",
        "file": "balanced_r1.jsonl",
        "profile": "balanced",
        "experiment": "exp13",
        "share": 2 / 6,
        "bytes": len(NO_JSON) + len(NO_UTF8) + 2,
        "cut_off": False,
        "damaged": False,
    }


def test_a_cut_off_last_line_counts_and_is_called_so(warehouse: Warehouse) -> None:
    take_in(warehouse, "balanced_r1.jsonl", GOOD[:-9])
    (row,) = list_quarantine(warehouse).frame.to_dicts()
    assert (row["lines"], row["of_lines"], row["cut_off"]) == (1, 6, True)
    assert row["first_reason"] == "cut off at the end of the file"


def test_the_list_can_be_asked_for_one_experiment(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    other = take_in(warehouse, "balanced_r2.jsonl", BAD, experiment="exp99")
    shown = invoke("quarantine", "list", "--experiment", "exp99", "--format", "jsonl")
    assert [json.loads(row)["run_id"] for row in shown.stdout.splitlines()] == [other]
    wrong = invoke("quarantine", "list", "--experiment", "exp9")
    assert wrong.stderr == "error: no runs of experiment 'exp9'\nhint: did you mean exp99 or exp13?\n"
    assert wrong.exit_code == 2


def test_a_damaged_file_is_named_and_hides_no_other(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    other = take_in(warehouse, "balanced_r2.jsonl", BAD)
    file = warehouse.quarantine / f"{run_id}.jsonl"
    whole = file.read_bytes()
    for damaged in (
        whole[:-40],
        whole.partition(b"\n")[2],
        b"\x00\xff" + whole[2:],
        whole.replace(b'"raw":', b'"war":'),
        b"",
        b"[]\n" * 2,
    ):
        file.write_bytes(damaged)
        result = invoke("quarantine", "list", "--format", "jsonl")
        rows = {row["run_id"]: row for row in map(json.loads, result.stdout.splitlines())}
        assert (rows[run_id]["damaged"], rows[run_id]["lines"], rows[other]["damaged"]) == (True, 2, False), damaged
        assert result.stderr.startswith(f"error: {run_id}: the file of its lines is damaged\n")
        assert result.exit_code == 1
        shown = invoke("quarantine", "show", run_id)
        assert "is damaged, some of them are gone" in shown.stderr
        assert shown.exit_code == 1


def test_monte_carlo_files_stand_in_the_list_under_their_source(warehouse: Warehouse) -> None:
    ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", line(base=MC_RUN) + b"{bad\n"), on_error="quarantine")
    ((source,),) = ask(warehouse, "SELECT DISTINCT source FROM mc_runs")
    (row,) = list_quarantine(warehouse).frame.to_dicts()
    assert (row["run_id"], row["label"], row["file"]) == (source, None, "mc_runs.jsonl")
    assert (row["lines"], row["of_lines"], row["bytes"], row["first_line"]) == (1, 2, 5, 2)


def test_the_longest_line_of_a_large_file_is_found_block_by_block(tmp_path: Path) -> None:
    file = write(tmp_path / "f", b"a\n" * 700_000 + b"b" * 2_500_000 + b"\nccc\n")
    assert longest_line(file) == 2_500_000
    assert longest_line(write(file, b"a" * 1_500_000)) == 1_500_000
    assert longest_line(write(file, b"12\n")) == 3


# --- show


def test_show_gives_every_byte(invoke: Invoke, run_id: str) -> None:
    result = invoke("quarantine", "show", run_id[:6], "--format", "jsonl")
    assert [json.loads(text) for text in result.stdout.splitlines()] == [
        {
            "file": "balanced_r1.jsonl",
            "line": 3,
            "offset": len(LINES[0] + LINES[1]),
            "reasons": [{"field": "", "reason": "not JSON: Invalid control character at character 10"}],
            "raw": NO_JSON.decode(),
            "raw_base64": None,
        },
        {
            "file": "balanced_r1.jsonl",
            "line": 5,
            "offset": len(b"".join(LINES[:4])),
            "reasons": [{"field": "", "reason": "not UTF-8: byte 9 is 0xff"}],
            "raw": None,
            "raw_base64": base64.b64encode(NO_UTF8).decode(),
        },
    ]
    assert (result.stderr, result.exit_code) == ("", 0)


def test_the_table_is_safe_to_look_at_and_says_what_it_shortens(invoke: Invoke, warehouse: Warehouse) -> None:
    run_id = take_in(warehouse, "balanced_r1.jsonl", BAD + line(t=6, pnl_total=None, kill_switch=3))
    result = invoke("quarantine", "show", "--label", "exp13_balanced_r001")
    title, _, _, *rows = result.stdout.splitlines()
    assert title == f"run {run_id} (balanced, exp13_balanced_r001), balanced_r1.jsonl"
    assert [row.split()[0] for row in rows] == ["3", "5", "7"]
    assert '{"t":2,"a\\x1b[31m' in rows[0]
    assert '{"t":4,"\\xFF":"\\xFE"}' in rows[1]
    assert "pnl_total" in rows[2]
    assert "expected number, got null (and 1 more)" in rows[2]
    assert f"({len(line(t=6, pnl_total=None, kill_switch=3)) - 1} bytes)" in rows[2]
    assert result.stderr == "raw is shortened; --format jsonl has all that was kept\n"


def test_show_can_be_limited_and_says_so(invoke: Invoke, run_id: str) -> None:
    result = invoke("quarantine", "show", run_id, "--limit", "1", "--format", "csv")
    header, row = result.stdout.splitlines()
    assert header == "file,line,offset,field,reason,raw,raw_base64"
    assert row.startswith("balanced_r1.jsonl,3,")
    assert result.stderr == "warning: the first 1 of 2 lines are shown; --limit N or --format jsonl gives more\n"


def test_a_name_without_lines_put_aside_is_answered(invoke: Invoke, warehouse: Warehouse) -> None:
    whole = take_in(warehouse, "balanced_r1.jsonl", GOOD)
    problems = {
        "zz": "no run 'zz'",
        "": "no run ''",
        whole[:9]: f"run {whole} (exp13_balanced_r001) has no lines put aside",
    }
    for name, problem in problems.items():
        result = invoke("quarantine", "show", name)
        assert result.stderr.startswith(f"error: {problem}\nhint: paraphina-wh quarantine list")
        assert (result.stdout, result.exit_code) == ("", 2)
    for command in ("show", "replay", "drop"):
        result = invoke("quarantine", command, "--label", "zz")
        assert result.stderr.startswith("error: no run with label 'zz'\n")
        assert result.exit_code == 2
        assert invoke("quarantine", command).exit_code == 2


def test_a_shortened_run_id_that_starts_several_asks_for_more(warehouse: Warehouse) -> None:
    """Of 17 run_ids two start with the same digit."""
    for i in range(17):
        write(warehouse.root / f"balanced_r{i}.jsonl", BAD)
    runs = [outcome.run_id or "" for outcome in ingest(warehouse, warehouse.root, on_error="quarantine")]
    first = next(run[0] for i, run in enumerate(runs) if run[0] in {other[0] for other in runs[:i]})
    with pytest.raises(WarehouseError, match=f"'{first}' starts") as caught:
        find(warehouse, [first])
    assert caught.value.exit_code == 2


# --- replay of a repaired file


def test_a_repaired_file_takes_the_place_of_its_run(invoke: Invoke, warehouse: Warehouse) -> None:
    """Profile, label, experiment, provenance and stdout stay, whatever the file name would say of them."""
    base = warehouse.root / "sweep" / "balanced_r7"
    sidecar(base, seed=9, knobs={"PARAPHINA_VOL_REF": "0.5"}, labels={"eta": 0.1}, started_at="2026-01-01T00:00:00Z")
    write(base.with_name("balanced_r7.stdout.txt"), "PnL realised: 1.00 | unrealised: 0.00 | total: 1.00\n")
    old = take_in(warehouse, "sweep/balanced_r7.jsonl", BAD)
    before = ask_one(warehouse, "SELECT * FROM runs")
    assert (before["label"], before["experiment"], before["seed"]) == ("lab", "exp99", 9)
    # The ledger knows the provenance: the sidecar may be gone.
    base.with_name("balanced_r7.run.json").unlink()
    write(warehouse.root / "sweep/balanced_r7.jsonl", GOOD)
    result = invoke("quarantine", "replay", old, "--format", "json")
    after = ask_one(warehouse, "SELECT * FROM runs")
    assert json.loads(result.stdout) == [
        {
            "run_id": old,
            "label": "lab",
            "status": "replayed",
            "lines_before": 2,
            "lines_left": 0,
            "new_run_id": after["run_id"],
            "rows_before": 4,
            "rows": 6,
            "file": "sweep/balanced_r7.jsonl",
        }
    ]
    assert (result.stderr, result.exit_code) == ("", 0)
    same = (
        *("profile", "label", "experiment", "run_name", "plan_key", "sweep_id", "repeat", "seed", "status", "vol_ref"),
        *("knobs_json", "label_json", "started_at", "stdout_sha256", "stdout_pnl_total", "telemetry_path"),
    )
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert after["supersedes"] == old
    assert (after["lines"], after["rows"], after["quarantined"]) == (6, 6, 0)
    adds_up(warehouse)
    assert not any(old in name for name in files_below(warehouse.path) if "commits" not in name)
    assert list_quarantine(warehouse).frame.is_empty()


def test_a_packed_file_is_replayed_too(warehouse: Warehouse) -> None:
    old = take_in(warehouse, "balanced_r1.jsonl.gz", gzip.compress(BAD))
    write(warehouse.root / "balanced_r1.jsonl.gz", gzip.compress(GOOD))
    (done,) = replay(warehouse, choose(warehouse, [old]))
    assert (done.status, done.lines_left, done.rows) == ("replayed", 0, 6)


def test_a_replay_that_is_repeated_finds_that_it_is_done(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    write(warehouse.root / "balanced_r1.jsonl", GOOD)
    assert invoke("quarantine", "replay", run_id).exit_code == 0
    for again in (["quarantine", "replay", run_id[:8]], ["quarantine", "replay", "--label", "exp13_balanced_r001"]):
        result = invoke(*again)
        assert f"took the place of {run_id} before" in result.stderr
        assert result.exit_code == 0
    assert len(ask(warehouse, "SELECT * FROM run_ledger")) == 2


def test_lines_that_are_still_bad_stay_in_the_quarantine(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    write(warehouse.root / "balanced_r1.jsonl", BAD.replace(LINES[2], line(t=2)))
    result = invoke("quarantine", "replay", run_id)
    new = ask_one(warehouse, "SELECT run_id, rows, quarantined FROM runs")
    assert (new["rows"], new["quarantined"], result.exit_code) == (5, 1, 1)
    assert result.stderr == (
        "error: exp13_balanced_r001: 1 of 2 lines are still bad\n"
        "error: balanced_r1.jsonl: line 5: not UTF-8: byte 9 is 0xff\n"
        f"hint: paraphina-wh quarantine show {new['run_id']}\n"
    )
    assert [path.stem for path in warehouse.quarantine.iterdir()] == [new["run_id"]]
    adds_up(warehouse)


def test_nothing_changes_when_nothing_is_gained(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    before = ask(warehouse, "SELECT * FROM run_ledger")
    name = f"run {run_id} (balanced, exp13_balanced_r001)"
    for content, status, problem in (
        (BAD, "unchanged", "the file is what it was: nothing was replayed"),
        (BAD + line(t=6), "rejected", f"2 bad lines, {name} has 2 put aside: nothing is gained"),
        (LINES[0] + LINES[1], "rejected", f"2 good lines, {name} has 4: some of them are gone"),
        (gzip.compress(BAD)[:-9], "rejected", f"3 bad lines, {name} has 2 put aside: nothing is gained"),
    ):
        write(warehouse.root / "balanced_r1.jsonl", content)
        result = invoke("quarantine", "replay", run_id, "--format", "json")
        (row,) = json.loads(result.stdout)
        assert (row["status"], row["lines_left"], row["new_run_id"]) == (status, 2, None)
        assert f"balanced_r1.jsonl: {problem}\n" in result.stderr
        assert "hint: " in result.stderr
        assert result.exit_code == 1
    assert ask(warehouse, "SELECT * FROM run_ledger") == before
    assert (warehouse.quarantine / f"{run_id}.jsonl").is_file()


@pytest.mark.parametrize("left", [0, 1])
def test_the_same_file_of_which_more_can_be_read_is_another_run(
    warehouse: Warehouse, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the limit of a line has grown; a later version may read more, too."""
    content = line(t=0) + line(t=1, kill_reason="x" * 1000) + line(t=2) + b"{bad}\n" * left
    monkeypatch.setenv(LIMIT_NAME, "1000")
    old = take_in(warehouse, "balanced_r1.jsonl", content)
    monkeypatch.delenv(LIMIT_NAME)
    assert dict(ask(warehouse, "SELECT run_id, count(*) FROM ticks GROUP BY ALL")) == {old: 2}
    (done,) = replay(warehouse, choose(warehouse, [old]))
    new = done.new_run_id
    assert (done.status, done.lines_before, done.lines_left) == ("replayed", left + 1, left)
    assert ask(warehouse, "SELECT run_id, supersedes, rows, quarantined FROM runs") == [(new, old, 3, left)]
    assert dict(ask(warehouse, "SELECT run_id, count(*) FROM ticks GROUP BY ALL")) == {new: 3}
    assert [path.stem for path in warehouse.quarantine.glob("*.jsonl")] == [new] * left
    assert not any(old in name for name in files_below(warehouse.telemetry))
    adds_up(warehouse)


def test_a_run_that_an_older_program_named_by_its_content_alone_is_not_written_over(warehouse: Warehouse) -> None:
    content = run_of(3)
    old = take_in(warehouse, "balanced_r1.jsonl", content)
    # As a program would have left it that could not read the third line, and did not say so in the run_id.
    size = len(line(t=2))
    rewrite_ledger(
        warehouse,
        f"2 AS rows, row_bytes - {size} AS row_bytes, 1 AS quarantined, {size} AS quarantined_bytes",
    )
    write(warehouse.quarantine / f"{old}.jsonl", json.dumps({"line": 3, "raw": good(2)}))
    (done,) = replay(warehouse, choose(warehouse, [old]))
    assert done.new_run_id != old
    assert ask(warehouse, "SELECT run_id, rows, quarantined FROM runs") == [(done.new_run_id, 3, 0)]
    assert dict(ask(warehouse, "SELECT run_id, count(*) FROM ticks GROUP BY ALL")) == {done.new_run_id: 3}
    assert not list(warehouse.quarantine.glob("*.jsonl"))
    (again,) = ingest(warehouse, warehouse.root / "balanced_r1.jsonl")
    assert (again.status, again.run_id) == ("unchanged", done.new_run_id)
    adds_up(warehouse)


def test_the_run_id_of_a_file_without_bad_lines_is_that_of_its_content(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A last line that was cut off is no bad line: whoever has the file can name the run."""
    whole = line(t=0) + line(t=1, kill_reason="x" * 1000)
    for name, content in (("balanced_r1", whole), ("balanced_r2", whole[:-9])):
        plain = run_id_of("balanced", f"exp13_balanced_r00{name[-1]}", hashlib.sha256(content).hexdigest())
        assert take_in(warehouse, f"{name}.jsonl", content) == plain
    monkeypatch.setenv(LIMIT_NAME, "1000")
    limited = take_in(warehouse, "balanced_r3.jsonl", whole)
    assert limited != run_id_of("balanced", "exp13_balanced_r003", hashlib.sha256(whole).hexdigest())


def test_what_is_held_stays_unchanged_whichever_of_its_lines_can_be_read(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest goes by the content alone; to read it anew is for a replay."""
    long = {"kill_reason": "x" * 1000}
    monkeypatch.setenv(LIMIT_NAME, "1000")
    files = [
        write(warehouse.root / "balanced_r1.jsonl", line(t=0) + line(long, t=1)),
        write(warehouse.root / "mc_runs.jsonl", line(base=MC_RUN) + line(long, MC_RUN, run_index=1)),
    ]
    files.append(write(warehouse.root / "copy" / "mc_runs.jsonl", files[1].read_bytes()))
    ingest(warehouse, *files, on_error="quarantine")
    before = ask(warehouse, "SELECT run_id FROM runs UNION ALL SELECT source FROM mc_runs")
    monkeypatch.delenv(LIMIT_NAME)
    for replace in (False, True):
        assert set(verdicts(ingest(warehouse, *files, replace=replace)).values()) == {"unchanged"}
    assert ask(warehouse, "SELECT run_id FROM runs UNION ALL SELECT source FROM mc_runs") == before
    assert len(before) == 2


def test_all_replays_what_is_repaired_and_leaves_out_cut_off_tails(invoke: Invoke, warehouse: Warehouse) -> None:
    for name, content in (("1", BAD), ("2", BAD), ("3", BAD), ("4", GOOD[:-9])):
        take_in(warehouse, f"balanced_r{name}.jsonl", content)
    write(warehouse.root / "balanced_r1.jsonl", GOOD)
    (warehouse.root / "balanced_r2.jsonl").unlink()
    result = invoke("quarantine", "replay", "--all", "--format", "json")
    status = {row["label"][-1]: row["status"] for row in json.loads(result.stdout)}
    assert status == {"1": "replayed", "2": "rejected", "3": "unchanged"}
    assert "left out, with nothing but a cut-off last line: 1; name them to replay them" in result.stderr
    assert "error: balanced_r2.jsonl: the source of run" in result.stderr
    assert result.exit_code == 1


def test_a_cut_off_file_that_was_completed_is_replayed_by_name(warehouse: Warehouse) -> None:
    old = take_in(warehouse, "balanced_r1.jsonl", GOOD[:-9])
    write(warehouse.root / "balanced_r1.jsonl", GOOD)
    (done,) = replay(warehouse, choose(warehouse, [old]))
    assert (done.is_good, done.rows) == (True, 6)
    assert ask(warehouse, "SELECT truncated FROM runs") == [(False,)]


def test_of_two_live_runs_of_a_label_only_the_named_one_is_replaced(warehouse: Warehouse, run_id: str) -> None:
    """Two ingesters may have raced with different content."""
    other = take_in(warehouse, "balanced_r1.jsonl", BAD + line(t=6), replace=True)
    rewrite_ledger(warehouse, "NULL::VARCHAR AS supersedes")
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(2,)]
    write(warehouse.root / "balanced_r1.jsonl", run_of(7))
    (done,) = replay(warehouse, choose(warehouse, [other]))
    assert sorted(ask(warehouse, "SELECT run_id FROM runs")) == sorted([(run_id,), (done.new_run_id,)])


def test_replace_settles_a_race_for_a_label(warehouse: Warehouse, run_id: str) -> None:
    """Also when the content is that of a run in place."""
    other = take_in(warehouse, "balanced_r1.jsonl", GOOD, replace=True)
    rewrite_ledger(warehouse, "NULL::VARCHAR AS supersedes")
    assert sorted(ask(warehouse, "SELECT run_id FROM runs")) == sorted([(run_id,), (other,)])
    for status in ("ingested", "unchanged"):
        (outcome,) = ingest(warehouse, warehouse.root / "balanced_r1.jsonl", replace=True)
        assert (outcome.status, outcome.run_id) == (status, other)
        assert ask(warehouse, "SELECT run_id, rows FROM runs") == [(other, 6)]
        assert ask(warehouse, "SELECT count(*) FROM ticks") == [(6,)]


def test_a_run_whose_source_is_gone_names_both_ways_out(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    (warehouse.root / "balanced_r1.jsonl").unlink()
    result = invoke("quarantine", "replay", run_id)
    assert result.stderr == (
        f"error: balanced_r1.jsonl: the source of run {run_id} (balanced, exp13_balanced_r001) is gone\n"
        "hint: put it back; or take a copy in from where it lies now: paraphina-wh ingest FILE --profile balanced "
        "--label exp13_balanced_r001 --on-error quarantine --replace; or give the lines up: "
        f"paraphina-wh quarantine drop {run_id}\n"
    )
    assert (result.stdout, result.exit_code) == ("", 2)


def test_a_run_from_standard_input_has_no_file_to_replay(invoke: Invoke, warehouse: Warehouse) -> None:
    invoke("ingest", "-", "--profile", "balanced", "--label", "a b", "--on-error", "quarantine", stdin=BAD)
    result = invoke("quarantine", "replay", "--label", "a b")
    assert "came from standard input: there is no file to replay" in result.stderr
    assert "paraphina-wh ingest FILE --profile balanced --label 'a b' --on-error quarantine --replace" in result.stderr
    assert result.exit_code == 2


def test_stretches_of_a_split_file_go_in_as_they_came(invoke: Invoke, warehouse: Warehouse) -> None:
    file = write(warehouse.root / "balanced_r1.jsonl", BAD + run_of(3) + b"{bad\n" + line(t=3))
    ingest(warehouse, file, on_error="quarantine", split_on_reset=True)
    command = (
        "paraphina-wh ingest balanced_r1.jsonl --profile balanced --label exp13_balanced_r001 --split-on-reset "
        "--on-error quarantine --replace"
    )
    for (run_id,) in ask(warehouse, "SELECT run_id FROM runs"):
        result = invoke("quarantine", "replay", run_id)
        assert "is one stretch of balanced_r1.jsonl, which was split where t starts again" in result.stderr
        assert command in result.stderr
        assert result.exit_code == 2
    write(file, GOOD + run_of(4))
    assert invoke(*command.split()[1:]).exit_code == 0
    assert list_quarantine(warehouse).frame.is_empty()


@pytest.mark.parametrize("told", ["sidecar", "stdout", "gone"])
def test_a_file_that_another_run_of_the_engine_wrote_is_no_repair(
    invoke: Invoke, warehouse: Warehouse, told: str
) -> None:
    base = warehouse.root / "balanced_r1"
    stdout = base.with_name("balanced_r1.stdout.txt")
    sidecar(base, started_at="2026-01-01T00:00:00Z")
    write(stdout, "one")
    run_id = take_in(warehouse, "balanced_r1.jsonl", BAD)
    write(base.with_suffix(".jsonl"), GOOD)
    if told == "sidecar":
        sidecar(base, started_at="2026-01-02T00:00:00Z")
    elif told == "stdout":
        write(stdout, "two")
    else:
        stdout.unlink()
    result = invoke("quarantine", "replay", run_id)
    said = {
        "sidecar": "balanced_r1.run.json tells of another run than",
        "stdout": "balanced_r1.stdout.txt is not the stdout of",
        "gone": "balanced_r1.stdout.txt: the stdout of",
    }
    assert said[told] in result.stderr
    assert result.exit_code == (2 if told == "gone" else 1)
    assert ask(warehouse, "SELECT run_id FROM runs") == [(run_id,)]


def test_a_repaired_monte_carlo_file_takes_the_place_of_its_source(invoke: Invoke, warehouse: Warehouse) -> None:
    runs = [line(base=MC_RUN, run_index=i) for i in range(3)]
    file = write(warehouse.root / "mc_runs.jsonl", runs[0] + b"{bad\n" + runs[2])
    ingest(warehouse, file, on_error="quarantine")
    ((source,),) = ask(warehouse, "SELECT DISTINCT source FROM mc_runs")
    assert invoke("quarantine", "replay", source).exit_code == 1
    lines = corrected(warehouse, {"line": 2, "raw": runs[1].decode()[:-1]})
    refused = invoke("quarantine", "replay", source, "--lines", lines)
    assert "--lines mends runs alone" in refused.stderr
    assert refused.exit_code == 2
    write(file, b"".join(runs))
    result = invoke("quarantine", "replay", source[:10])
    assert (result.stderr, result.exit_code) == ("", 0)
    assert ask(warehouse, "SELECT run_index FROM mc_runs ORDER BY 1") == [(0,), (1,), (2,)]
    assert not list(warehouse.quarantine.glob("*.jsonl"))


@pytest.mark.parametrize("left", [0, 1])
def test_the_same_monte_carlo_file_of_which_more_can_be_read_is_another_source(
    warehouse: Warehouse, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = line(base=MC_RUN) + line(base=MC_RUN, run_index=1, kill_reason="x" * 1000) + b"{bad}\n" * left
    monkeypatch.setenv(LIMIT_NAME, "1000")
    ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", content), on_error="quarantine")
    ((old,),) = ask(warehouse, "SELECT DISTINCT source FROM mc_runs")
    monkeypatch.delenv(LIMIT_NAME)
    (done,) = replay(warehouse, choose(warehouse, [old]))
    new = done.new_run_id
    assert (done.status, done.lines_before, done.lines_left) == ("replayed", left + 1, left)
    assert new != old
    assert ask(warehouse, "SELECT source, run_index FROM mc_runs ORDER BY ALL") == [(new, 0), (new, 1)]
    assert [path.stem for path in warehouse.quarantine.glob("*.jsonl")] == [new] * left
    (again,) = choose(warehouse, [old[:8]]).done
    assert (again.status, again.run_id, again.new_run_id, again.file) == ("superseded", old, new, "mc_runs.jsonl")


def test_a_monte_carlo_file_that_was_repaired_to_be_like_another_counts_once(warehouse: Warehouse) -> None:
    runs = [line(base=MC_RUN, run_index=i) for i in range(2)]
    files = [write(warehouse.root / "mc_runs.jsonl", runs[0] + b"{bad\n")]
    files.append(write(warehouse.root / "other" / "mc_runs.jsonl", b"".join(runs)))
    ingest(warehouse, *files, on_error="quarantine")
    write(files[0], b"".join(runs))
    (done,) = replay(warehouse, choose_all(warehouse))
    assert done.status == "replayed"
    assert ask(warehouse, "SELECT source, run_index FROM mc_runs ORDER BY ALL") == [
        (done.new_run_id, 0),
        (done.new_run_id, 1),
    ]
    assert not list(warehouse.quarantine.glob("*.jsonl"))


def test_a_replay_that_is_repeated_ends_as_it_did(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    """Lines that are still bad are still bad; a file of corrected lines must be there."""
    write(warehouse.root / "balanced_r1.jsonl", b"".join([*LINES[:2], line(t=2), *LINES[3:]]))
    first, again = (invoke("quarantine", "replay", run_id) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (1, 1)
    assert "error: balanced_r1.jsonl: 1 lines are still bad" in again.stderr
    gone = invoke("quarantine", "replay", run_id, "--lines", "nowhere.jsonl")
    assert (gone.stderr.splitlines()[0], gone.exit_code) == ("error: no such file: nowhere.jsonl", 2)


# --- replay of corrected lines


def test_corrected_lines_stand_in_for_the_bad_ones(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    """What `show` writes is what `replay` reads; the result is what an ingest of the repaired file would give."""
    entries = [
        json.loads(text) for text in invoke("quarantine", "show", run_id, "--format", "jsonl").stdout.splitlines()
    ]
    for entry in entries:
        entry["raw"] = good(entry["line"] - 1)
    result = invoke("quarantine", "replay", run_id, "--lines", corrected(warehouse, *entries))
    assert result.stderr == "balanced_r1.jsonl is as it was: the corrected lines are in the warehouse alone\n"
    assert result.exit_code == 0
    mended = ask_one(warehouse, "SELECT run_id, rows, quarantined, source_bytes, telemetry_path FROM runs")
    write(warehouse.root / "balanced_r1.jsonl", GOOD)
    assert verdicts(ingest(warehouse, warehouse.root / "balanced_r1.jsonl")) == {"balanced_r1.jsonl": "unchanged"}
    assert (mended["rows"], mended["quarantined"], mended["source_bytes"]) == (6, 0, len(GOOD))
    assert mended["telemetry_path"] == "balanced_r1.jsonl"
    adds_up(warehouse)


def test_an_empty_raw_takes_a_line_out_and_a_line_without_entry_stays_bad(
    invoke: Invoke, warehouse: Warehouse, run_id: str
) -> None:
    lines = corrected(warehouse, {"line": 3, "raw": ""})
    result = invoke("quarantine", "replay", run_id, "--lines", lines)
    assert "1 of 2 lines are still bad" in result.stderr
    assert result.exit_code == 1
    assert ask(warehouse, "SELECT lines, rows, quarantined, blank FROM runs") == [(6, 4, 1, 1)]
    adds_up(warehouse)


def test_a_second_round_takes_all_corrected_lines_together(warehouse: Warehouse, run_id: str) -> None:
    """The file is still what the first run was made of, so its line numbers still hold."""
    first = {"line": 3, "raw": good(2)}
    (done,) = replay(warehouse, choose(warehouse, [run_id]), lines=corrected(warehouse, first))
    second = {"line": 5, "raw_base64": base64.b64encode(good(4).encode()).decode()}
    chosen = choose(warehouse, [done.new_run_id or ""])
    (alone,) = replay(warehouse, chosen, lines=corrected(warehouse, second))
    assert alone.status == "rejected"
    assert "those of earlier replays too" in alone.hint
    (both,) = replay(warehouse, chosen, lines=corrected(warehouse, first, second))
    assert (both.is_good, both.rows) == (True, 6)


def test_corrected_lines_may_come_from_standard_input_for_a_packed_file(invoke: Invoke, warehouse: Warehouse) -> None:
    run_id = take_in(warehouse, "balanced_r1.jsonl.gz", gzip.compress(BAD[:-5]))
    entries = [{"line": n, "raw": good(n - 1)} for n in (3, 5, 6)]
    stdin = "\n".join(json.dumps(entry) for entry in entries)
    result = invoke("quarantine", "replay", run_id, "--lines", "-", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    assert ask(warehouse, "SELECT rows, quarantined, truncated FROM runs") == [(6, 0, False)]


def test_entries_that_do_not_fit_are_named(tmp_path: Path) -> None:
    mending = Mending(write(tmp_path / "balanced_r1.jsonl", BAD), "balanced_r1.jsonl")
    mending.read()
    for entries, problem in (
        ("", "lines.jsonl holds no corrected line"),
        ("{", "lines.jsonl: line 1: Input data was truncated"),
        ('{"raw":"x"}', "line 1: Object missing required field `line`"),
        ('{"line":3}', "line 1: line 3 has no raw"),
        ('{"line":3,"raw":{"t":1}}', "line 1: Expected `str | null`, got `object`"),
        ('{"line":3,"raw":"a\\nb"}', "line 1: the raw of line 3 holds a line end"),
        ('{"line":0,"raw":"a"}', "line 1: Expected `int` >= 1"),
        ('{"line":4,"raw":"a"}', "line 1: line 4 of balanced_r1.jsonl is no bad line"),
        ('{"line":99,"raw":"a"}', "line 1: line 99 of balanced_r1.jsonl is no bad line"),
        ('{"line":5,"raw":"a"}\n\n{"line":3,"raw":"a"}', "line 3: line 3 stands after line 5"),
        ('{"line":3,"raw":"a"}\n{"line":3,"raw":"a"}', "line 2: line 3 is corrected twice"),
        # Not only as far as the source goes.
        (
            json.dumps({"line": 5, "raw": line(t=4).decode().strip()}) + '\n{"line":5,"raw":""}',
            "line 2: line 5 is corr",
        ),
        (json.dumps({"line": 5, "raw": line(t=4).decode().strip()}) + '\n{"line":3,"raw":""}', "line 2: line 3 stands"),
    ):
        lines = write(tmp_path / "lines.jsonl", entries)
        with pytest.raises(WarehouseError) as caught:
            mending.write(lines, "lines.jsonl", tmp_path / "mended.jsonl")
        assert problem in caught.value.message
        assert (bool(caught.value.hint), caught.value.exit_code) == (True, 1)


def test_entries_that_do_not_fit_change_nothing(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    lines = corrected(warehouse, {"line": 3, "raw": good(2)}, {"line": 4, "raw": good(3)})
    result = invoke("quarantine", "replay", run_id, "--lines", lines)
    assert result.stderr == (
        f"error: {lines}: line 2: line 4 of balanced_r1.jsonl is no bad line\n"
        "hint: correct the lines that were put aside\n"
    )
    assert (result.stdout, result.exit_code) == ("", 1)
    assert ask(warehouse, "SELECT run_id FROM run_ledger") == [(run_id,)]
    assert not list(warehouse.staging.iterdir())


def test_corrected_lines_need_the_file_as_it_was(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    lines = corrected(warehouse, {"line": 3, "raw": good(2)})
    write(warehouse.root / "balanced_r1.jsonl", line(t=0, pnl_total=7) + BAD)
    changed = invoke("quarantine", "replay", run_id, "--lines", lines)
    assert "balanced_r1.jsonl is not what run" in changed.stderr
    assert changed.exit_code == 1
    (warehouse.root / "balanced_r1.jsonl").unlink()
    assert invoke("quarantine", "replay", run_id, "--lines", lines).exit_code == 2
    assert ask(warehouse, "SELECT run_id FROM run_ledger") == [(run_id,)]


def test_lines_that_correct_nothing_are_no_replay(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    shown = invoke("quarantine", "show", run_id, "--format", "jsonl").stdout
    result = invoke("quarantine", "replay", run_id, "--lines", write(warehouse.root / "lines.jsonl", shown))
    assert "the corrected lines are those that were put aside: nothing was replayed" in result.stderr
    assert result.exit_code == 1


def test_corrected_lines_are_of_one_run(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    other = take_in(warehouse, "balanced_r2.jsonl", BAD)
    lines = corrected(warehouse, {"line": 3, "raw": ""})
    for names in ([run_id, other], ["--all"]):
        result = invoke("quarantine", "replay", *names, "--lines", lines)
        assert "--lines holds the lines of one run" in result.stderr
        assert result.exit_code == 2
    missing = invoke("quarantine", "replay", run_id, "--lines", "nowhere.jsonl")
    assert "no such file: nowhere.jsonl" in missing.stderr
    assert missing.exit_code == 2


def test_lines_longer_than_a_block_are_mended_in_pieces(warehouse: Warehouse) -> None:
    long = b'{"t":1,"' + b"x" * (3 << 20)
    run_id = take_in(warehouse, "balanced_r1.jsonl", line(t=0) + long + b"\n" + line(t=2) + long)
    (row,) = list_quarantine(warehouse).frame.to_dicts()
    assert (row["lines"], row["bytes"], row["cut_off"]) == (2, 2 * len(long) + 1, True)
    entries = [{"line": 2, "raw": good(1)}, {"line": 4, "raw": good(3)}]
    (done,) = replay(warehouse, choose(warehouse, [run_id]), lines=corrected(warehouse, *entries))
    assert (done.is_good, done.rows) == (True, 4)
    assert ask(warehouse, "SELECT source_bytes FROM runs") == [(len(run_of(4)),)]


def test_a_line_that_is_too_long_to_be_kept_whole_stays_as_it_is(tmp_path: Path) -> None:
    """The quarantine has its start alone; written back uncorrected, the start must not take the place of the line."""
    long = b'{"t":1,"a":"' + b"x" * MAX_LINE_BYTES
    source = write(tmp_path / "balanced_r1.jsonl", line(t=0) + long + b"\n" + b"{bad\n")
    kept: list[bytes] = []
    with source.open("rb") as stream:
        read_strict(stream, sinks=Sinks(bad=lambda bad: kept.append(bad.raw)))
    assert len(kept[0]) < len(long)
    mending, target = Mending(source, "balanced_r1.jsonl"), tmp_path / "mended.jsonl"
    mending.read()
    for second, mended in ((kept[0], long), (line(t=1)[:-1], line(t=1)[:-1])):
        entries = [{"line": 2, "raw": second.decode()}, {"line": 3, "raw": good(2)}]
        lines = write(tmp_path / "lines.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
        mending.write(lines, "lines.jsonl", target)
        assert target.read_bytes() == line(t=0) + mended + b"\n" + line(t=2)


# --- drop


def test_dropped_lines_are_gone_and_the_ledger_keeps_their_number(
    invoke: Invoke, warehouse: Warehouse, run_id: str
) -> None:
    result = invoke("quarantine", "drop", run_id, "--format", "csv")
    assert result.stdout == (
        "run_id,label,file,lines,bytes\n"
        f"{run_id},exp13_balanced_r001,balanced_r1.jsonl,2,{len(NO_JSON) + len(NO_UTF8) + 2}\n"
    )
    assert (result.stderr, result.exit_code) == ("", 0)
    assert ask(warehouse, "SELECT lines, rows, quarantined FROM runs") == [(6, 4, 2)]
    listed = invoke("quarantine", "list", "--format", "json")
    assert (listed.stdout, listed.exit_code) == ("[]\n", 0)
    assert listed.stderr == "not in the list, since their lines were dropped: 1\n"
    for command in ("drop", "show"):
        again = invoke("quarantine", command, run_id)
        assert again.stderr.startswith(f"error: the 2 lines of run {run_id} (balanced, exp13_balanced_r001) that")
        assert again.exit_code == 2
    write(warehouse.root / "balanced_r1.jsonl", GOOD)
    assert invoke("quarantine", "replay", run_id).exit_code == 0


def test_nothing_is_dropped_when_one_name_is_wrong(invoke: Invoke, warehouse: Warehouse, run_id: str) -> None:
    assert invoke("quarantine", "drop", run_id, "zz").exit_code == 2
    assert (warehouse.quarantine / f"{run_id}.jsonl").is_file()


# --- ingest --max-bad


def bad_lines(count: int, of: int) -> bytes:
    """Return a run with so many bad lines at its end."""
    return run_of(of - count) + b"{bad}\n" * count


def test_more_bad_lines_than_allowed_end_with_exit_code_1_and_the_good_ones_go_in(
    invoke: Invoke, warehouse: Warehouse
) -> None:
    """What is in the warehouse already is judged by what the ledger says of it."""
    write(warehouse.root / "balanced_r1.jsonl", bad_lines(2, of=100))
    write(warehouse.root / "balanced_r2.jsonl", GOOD)
    limits = {"1.99%": 1, "1": 1, "2%": 0}
    for number, (limit, exit_code) in enumerate(limits.items()):
        result = invoke("ingest", ".", "--max-bad", limit)
        ((run_id,),) = ask(warehouse, "SELECT run_id FROM runs WHERE quarantined = 2 AND rows = 98")
        told = (
            f"error: balanced_r1.jsonl: 2 of 100 lines (2 %) are bad, more than --max-bad {limit}\n"
            f"hint: paraphina-wh quarantine show {run_id}\n"
        )
        assert (told in result.stderr, result.exit_code) == (bool(exit_code), exit_code), limit
        assert ("2 unchanged\n" in result.stderr) == (number > 0)


def test_a_cut_off_last_line_is_no_bad_line(warehouse: Warehouse) -> None:
    file = write(warehouse.root / "balanced_r1.jsonl", GOOD[:-9])
    report = ingest_paths(warehouse, [file], Options(max_bad="0"))
    assert (report.too_bad, report[0].quarantined, report.complete) == ([], 1, True)


def test_the_report_names_the_files_that_are_too_bad(warehouse: Warehouse) -> None:
    files = [write(warehouse.root / f"balanced_r{n}.jsonl", bad_lines(n, of=10)) for n in (1, 2, 3)]
    files.append(write(warehouse.root / "mc_runs.jsonl", line(base=MC_RUN) + b"{bad\n"))
    report = ingest_paths(warehouse, files, Options(max_bad="20%"), jobs=1)
    assert [outcome.file for outcome in report.too_bad] == ["balanced_r3.jsonl", "mc_runs.jsonl"]
    assert report.complete
    assert ingest_paths(warehouse, files, Options(on_error="quarantine")).too_bad == []


def test_a_threshold_of_another_form_is_answered_with_examples(invoke: Invoke, tmp_path: Path) -> None:
    file = write(tmp_path / "balanced_r1.jsonl", GOOD)
    for text in ("0.1", "-1", "1 lines", "101%", "%", "nan%", "1e3", "", "1/2", "0.1 permille"):
        result = invoke("--root", tmp_path, "ingest", file, f"--max-bad={text}")
        assert result.stderr.startswith(f"error: not a number of bad lines, nor a share of them: {text!r}\n")
        assert "write --max-bad 10 for ten lines of a file, --max-bad 0.1% for one line in a thousand" in result.stderr
        assert (result.exit_code, list(tmp_path.iterdir())) == (2, [file])


def test_shares_are_compared_without_rounding() -> None:
    assert not read_max_bad("0.1%").is_exceeded(1, 1000)
    assert read_max_bad("0.1%").is_exceeded(1, 999)
    assert not read_max_bad(" .1 % ").is_exceeded(0, 0)
    assert read_max_bad("0%").is_exceeded(1, 10**9)
    assert not read_max_bad("100%").is_exceeded(9, 9)
    assert read_max_bad("0").is_exceeded(1, 9)
    assert not read_max_bad("2").is_exceeded(2, 2)


def test_max_bad_and_on_error_reject_exclude_each_other(invoke: Invoke, warehouse: Warehouse) -> None:
    write(warehouse.root / "balanced_r1.jsonl", GOOD)
    result = invoke("ingest", ".", "--max-bad", "1", "--on-error", "reject")
    assert "leave one out" in result.stderr
    assert result.exit_code == 2
