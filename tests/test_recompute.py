"""`recompute`: metrics computed anew from the stored ticks when their definition has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import paraphina_wh as wh
from paraphina_wh import commit
from paraphina_wh.catalog import connect, sql_folder
from paraphina_wh.datasets import append_research_rows, open_dataset
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.batch import metrics_definition
from paraphina_wh.ingest.forget import forget
from paraphina_wh.maintenance.adopt import adopted
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.maintenance.exclusive import exclusive
from paraphina_wh.maintenance.integrity import check_warehouse
from paraphina_wh.maintenance.recompute import Chosen, recompute
from paraphina_wh.maintenance.repair import repair
from paraphina_wh.records import read_records
from paraphina_wh.warehouse import Warehouse, locate, new_batch
from tests.conftest import PROJECT, Invoke
from tests.outdated import BEFORE_DEFINITIONS, outdate
from tests.records import line, run_of
from tests.telemetry_maker import ask, files_below, ingest, runs_content, write
from tests.test_drift import age, age_the_schema
from tests.test_drift import take_in as take_in_lines
from tests.torture.crash import Lane, in_memory, lane

# Of run_of, whose ticks all have it.
DELTA = 500.0
DELTAS = "SELECT label, delta_max_abs_usd FROM runs ORDER BY label"
A, B, C = (f"exp13_balanced_r00{n}" for n in (1, 2, 3))


def everything(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return all that `runs` says, in its own order, but what a recompute changes."""
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        rows = connection.sql("SELECT * EXCLUDE (batch_id, supersedes) FROM runs").to_arrow_table().to_pylist()
    return [tuple(row.values()) for row in rows]


def take_in(warehouse: Warehouse) -> None:
    for number in (1, 2, 3):
        write(warehouse.root / "in" / f"balanced_r{number}.jsonl", run_of(2 + number))
    ingest(warehouse, warehouse.root / "in" / "balanced_r1.jsonl", warehouse.root / "in" / "balanced_r2.jsonl")
    ingest(warehouse, warehouse.root / "in" / "balanced_r3.jsonl", experiment="other")


@pytest.fixture
def outdated(warehouse: Warehouse) -> Warehouse:
    """Return a warehouse of A and B, and C of another experiment; their deltas, computed earlier, are 1 too high."""
    take_in(warehouse)
    outdate(warehouse)
    assert ask(warehouse, DELTAS) == [(A, DELTA + 1), (B, DELTA + 1), (C, DELTA + 1)]
    return warehouse


def test_metrics_become_what_their_definition_says_and_all_else_stays(warehouse: Warehouse, invoke: Invoke) -> None:
    take_in(warehouse)
    before = everything(warehouse)
    outdate(warehouse)
    done = invoke("recompute", "--format", "csv")
    first = ask(warehouse, f"SELECT run_id FROM runs WHERE label = '{A}'")[0][0]
    assert done.stdout == f"metric,runs,run_id,before,after\ndelta_max_abs_usd,3,{first},501.0,500.0\n"
    assert done.stderr.splitlines() == [
        "3 runs were computed anew, 3 of them with other values",
        "rows that datasets hold stay as they were appended: `paraphina-wh dataset new`, then `export dataset` has the "
        "new values",
    ]
    assert done.exit_code == 0
    assert everything(warehouse) == before
    assert ask(warehouse, "SELECT DISTINCT metrics_definition FROM runs") == [(metrics_definition(),)]
    assert check_warehouse(warehouse).findings == []
    written = files_below(warehouse.path)
    again = invoke("recompute")
    assert again.exit_code == 0
    assert again.stderr == "every metric is of the definition of today: nothing to compute anew\n"
    assert files_below(warehouse.path) == written


def test_a_dry_run_shows_the_same_and_writes_nothing(outdated: Warehouse, invoke: Invoke) -> None:
    before = files_below(outdated.path)
    tried = invoke("recompute", "--dry-run")
    assert files_below(outdated.path) == before
    assert tried.stderr.splitlines()[0] == "3 runs would be computed anew, 3 of them with other values"
    assert invoke("recompute").stdout == tried.stdout


def test_check_and_status_say_what_to_do_and_name_no_damage(outdated: Warehouse, invoke: Invoke) -> None:
    found = invoke("check", "--deep", "--format", "csv")
    assert found.exit_code == 1
    assert found.stdout == (
        "problem,path,detail,held\n"
        "outdated,runs,3 of 3 runs with metrics of an older definition differ,metrics of runs\n"
    )
    assert "hint: `paraphina-wh recompute` brings them up to date; with --dry-run it shows what changes" in found.stderr
    assert (
        "metrics of an older definition,,,,3 runs: paraphina-wh recompute" in invoke("status", "--format", "csv").stdout
    )
    invoke("recompute", "--label", A)
    assert "2 runs: paraphina-wh recompute" in invoke("status").stdout
    invoke("recompute")
    assert invoke("check", "--deep").exit_code == 0
    assert "older definition" not in invoke("status").stdout


def test_a_value_that_its_own_definition_denies_stays_damage(warehouse: Warehouse, invoke: Invoke) -> None:
    take_in(warehouse)
    outdate(warehouse, "* REPLACE (delta_max_abs_usd + 1 AS delta_max_abs_usd)")
    assert invoke("recompute").stdout.count("\n") == 2
    found = invoke("check", "--deep", "--format", "csv")
    assert found.stdout.count("delta_max_abs_usd is stored as 501.0, its ticks say 500.0") == 3
    assert recompute(warehouse, Chosen(every=True)).changed == 3
    assert invoke("check", "--deep").exit_code == 0
    assert recompute(warehouse, Chosen(every=True)).runs == 0


def test_a_warehouse_of_a_version_that_named_no_definition(warehouse: Warehouse, invoke: Invoke) -> None:
    """Its ledger lacks the column, and that of a metric that came later."""
    take_in(warehouse)
    before = everything(warehouse)
    outdate(warehouse, BEFORE_DEFINITIONS)
    schema = warehouse.runs_file("any", "schema")
    with duckdb.connect(":memory:") as connection:
        query = f"SELECT {BEFORE_DEFINITIONS} FROM read_parquet('{schema}', hive_partitioning = false)"
        connection.execute(f"COPY ({query}) TO '{schema}.new' (FORMAT parquet)")
    Path(f"{schema}.new").replace(schema)
    repair(warehouse, adopt=True)
    assert invoke("check", "--deep", "--format", "csv").stdout.splitlines()[1:] == [
        "outdated,runs,3 of 3 runs with metrics of an older definition differ,metrics of runs"
    ]
    assert recompute(warehouse, dry_run=True).changes.select("metric", "runs", "before", "after").rows() == [
        ("n_fills", 3, None, "3")
    ]
    assert recompute(warehouse).runs == 3
    assert everything(warehouse) == before


def test_equal_values_of_an_earlier_definition_are_a_notice_alone(warehouse: Warehouse, invoke: Invoke) -> None:
    take_in(warehouse)
    outdate(warehouse, "* EXCLUDE (metrics_definition)")
    found = invoke("check", "--deep")
    assert (found.exit_code, found.stdout) == (0, "")
    assert "3 runs have metrics of an older definition: `paraphina-wh recompute` brings them up to date" in found.stderr
    assert recompute(warehouse).changed == 0
    assert "older definition" not in invoke("check", "--deep").stderr


# Which runs


@pytest.mark.parametrize(
    ("options", "recomputed"),
    [
        (("--label", A), {A}),
        (("--label", A, "--label", C), {A, C}),
        (("--experiment", "other"), {C}),
        (("--profile", "balanced"), {A, B, C}),
        (("--label", A, "--experiment", "exp13"), {A}),
    ],
)
def test_runs_can_be_chosen(outdated: Warehouse, invoke: Invoke, options: list[str], recomputed: set[str]) -> None:
    order = everything(outdated)
    assert invoke("recompute", *options).exit_code == 0
    assert {label for label, delta in ask(outdated, DELTAS) if delta == DELTA} == recomputed
    # A run keeps its place among those it came with.
    assert [row[0:2] for row in everything(outdated)] == [row[0:2] for row in order]


def test_a_run_is_named_by_the_start_of_its_id(outdated: Warehouse, invoke: Invoke) -> None:
    ((run_id,),) = ask(outdated, f"SELECT run_id FROM runs WHERE label = '{B}'")
    assert invoke("recompute", run_id[:12]).exit_code == 0
    assert {label for label, delta in ask(outdated, DELTAS) if delta == DELTA} == {B}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("nonsense",), "no run 'nonsense'"),
        (("",), "an empty name starts every run_id"),
        (("--label", "nonsense"), "no run with label 'nonsense'"),
        (("--profile", "aggressive"), "no run with these options"),
        (("--profile", "balancd"), "unknown profile 'balancd'"),
        (("--label", A, "--experiment", "other"), f"no run with label {A!r}"),
    ],
)
def test_runs_that_are_not_there_are_a_usage_error(
    outdated: Warehouse, invoke: Invoke, options: list[str], problem: str
) -> None:
    before = files_below(outdated.path)
    done = invoke("recompute", *options)
    assert (done.exit_code, done.stdout, done.stderr.splitlines()[0]) == (2, "", f"error: {problem}")
    assert files_below(outdated.path) == before


def test_no_warehouse_is_a_usage_error_and_an_empty_one_has_nothing_to_do(invoke: Invoke, warehouse: Warehouse) -> None:
    assert invoke("recompute").exit_code == 2
    take_in(warehouse)
    forget(warehouse, labels=[A, B, C])
    assert invoke("recompute").exit_code == 0


def test_the_python_api_does_the_same(outdated: Warehouse) -> None:
    done = wh.open(outdated.root).recompute(experiment="other")
    assert (done.runs, done.changed, done.left, done.replaced) == (1, 1, [], 0)
    assert done.changes["metric"].to_list() == ["delta_max_abs_usd"]


def test_one_maintenance_command_at_a_time(outdated: Warehouse) -> None:
    with (
        exclusive(outdated),
        pytest.raises(WarehouseError, match="or recompute is at work"),
    ):
        recompute(outdated)
    with exclusive(outdated):
        assert recompute(outdated, dry_run=True).changed == 3


# What must not be lost, or come back


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(("harm", "why"), [(Path.unlink, "ticks are missing: "), (damage, "ticks are truncated: ")])
def test_a_run_whose_ticks_are_no_more_stays_as_it_was(
    outdated: Warehouse, invoke: Invoke, harm: Callable[[Path], None], why: str
) -> None:
    ((run_id,),) = ask(outdated, f"SELECT run_id FROM runs WHERE label = '{A}'")
    harm(outdated.ticks_file("balanced", A, run_id))
    for option in ("--dry-run", "--all"):
        done = invoke("recompute", option)
        assert done.exit_code == 1
        assert f"error: run {run_id} (balanced, {A}) stays as it was: its {why}" in done.stderr
    assert ask(outdated, DELTAS) == [(A, DELTA + 1), (B, DELTA), (C, DELTA)]
    repair(outdated)
    assert recompute(outdated).runs == 1
    assert ask(outdated, DELTAS) == [(A, DELTA), (B, DELTA), (C, DELTA)]


def test_a_run_without_a_record_of_its_ticks_is_left(outdated: Warehouse) -> None:
    ((run_id,),) = ask(outdated, f"SELECT run_id FROM runs WHERE label = '{C}'")
    ticks = f"label={C}/{run_id}"
    (record,) = (path for path in outdated.commits.iterdir() if ticks in path.read_text())
    record.unlink()
    done = recompute(outdated)
    assert [(run.label, run.why) for run in done.left] == [(C, "no record tells whether its ticks are whole")]
    repair(outdated, adopt=True)
    assert recompute(outdated).runs == 1


def replaced(warehouse: Warehouse) -> None:
    write(warehouse.root / "in" / "balanced_r1.jsonl", run_of(9))
    ingest(warehouse, warehouse.root / "in" / "balanced_r1.jsonl", replace=True)


def replaced_and_back(warehouse: Warehouse) -> None:
    replaced(warehouse)
    write(warehouse.root / "in" / "balanced_r1.jsonl", run_of(3))
    ingest(warehouse, warehouse.root / "in" / "balanced_r1.jsonl", replace=True)


def withdrawn(warehouse: Warehouse) -> None:
    forget(warehouse, labels=[A])


@pytest.mark.parametrize("change", [replaced, withdrawn, replaced_and_back])
@pytest.mark.parametrize("ticks", ["gone before they are read", "read before they are gone"])
def test_who_takes_a_run_out_meanwhile_has_the_last_word(
    outdated: Warehouse, change: Callable[[Warehouse], None], ticks: str
) -> None:
    ((run_id,),) = ask(outdated, f"SELECT run_id FROM runs WHERE label = '{A}'")
    file = outdated.ticks_file("balanced", A, run_id)
    content = file.read_bytes()
    expected: list[Any] = []

    def meanwhile(total: int) -> None:
        assert total == 3
        change(outdated)
        expected[:] = [row for row in ask(outdated, "SELECT label, run_id, num_ticks FROM runs") if row[0] == A]
        if ticks.startswith("read"):
            file.write_bytes(content)

    done = recompute(outdated, on_plan=meanwhile)
    assert [row for row in ask(outdated, "SELECT label, run_id, num_ticks FROM runs") if row[0] == A] == expected
    assert dict(ask(outdated, DELTAS)) == {label: DELTA for label, *_ in [*expected, (B,), (C,)]}
    assert done.left == []
    assert check_warehouse(outdated).findings == [] or ticks.startswith("read")
    # Whoever came later with the same run is of the definition of today by himself.
    assert recompute(outdated).runs == 0


def test_whatever_comes_after_takes_the_place_of_what_was_computed_anew(outdated: Warehouse) -> None:
    recompute(outdated)
    recompute(outdated, Chosen(every=True))
    replaced(outdated)
    assert ask(outdated, f"SELECT num_ticks FROM runs WHERE label = '{A}'") == [(9,)]
    forget(outdated, labels=[B])
    assert [label for label, _ in ask(outdated, DELTAS)] == [A, C]
    replaced_and_back(outdated)
    outdate(outdated)
    recompute(outdated)
    assert ask(outdated, "SELECT label, num_ticks, delta_max_abs_usd FROM runs ORDER BY label") == [
        (A, 3, DELTA),
        (C, 5, DELTA),
    ]


def test_a_second_change_of_the_definition_has_the_last_word(outdated: Warehouse) -> None:
    recompute(outdated)
    outdate(outdated, "* REPLACE (delta_max_abs_usd + 2 AS delta_max_abs_usd, 'later' AS metrics_definition)")
    assert recompute(outdated).changed == 3
    assert ask(outdated, DELTAS) == [(A, DELTA), (B, DELTA), (C, DELTA)]
    assert ask(outdated, "SELECT count(*), count(DISTINCT run_id) FROM run_ledger") == [(9, 3)]


def test_datasets_stay_and_rows_appended_later_are_the_same_where_no_metric_of_theirs_changed(
    outdated: Warehouse, tmp_path: Path
) -> None:
    before = append_research_rows(outdated, open_dataset(outdated, "before.jsonl"))
    content = before.file.read_bytes()
    recompute(outdated)
    assert append_research_rows(outdated, open_dataset(outdated, "before.jsonl")).appended == 0
    assert before.file.read_bytes() == content
    assert append_research_rows(outdated, open_dataset(outdated, "after.jsonl")).file.read_bytes() == content


def test_compaction_and_repair_keep_what_was_computed_anew(outdated: Warehouse) -> None:
    recompute(outdated)
    expected, order = everything(outdated), ask(outdated, "SELECT run_id, batch_id FROM runs")
    compact(outdated)
    assert (everything(outdated), ask(outdated, "SELECT run_id, batch_id FROM runs")) == (expected, order)
    for path in [path for path in read_records(outdated).files if path.startswith("runs/") and "=any/" not in path]:
        damage(outdated.path / path)
    assert {done.result for done in repair(outdated)} == {"restored"}
    assert (everything(outdated), ask(outdated, "SELECT run_id, batch_id FROM runs")) == (expected, order)
    assert recompute(outdated).runs == 0
    assert check_warehouse(outdated).findings == []


def test_ticks_of_an_earlier_version_lack_columns_and_are_computed_from_all_the_same(
    warehouse: Warehouse, invoke: Invoke
) -> None:
    take_in_lines(warehouse, "a", line(t=0, fills=[{"price": 1.0, "size": 1.0}]))
    age(warehouse, "a")
    age_the_schema(warehouse)
    take_in_lines(warehouse, "b", line(t=0, sigma_eff=0.5))
    for finding in check_warehouse(warehouse).findings:
        name = new_batch(after=max(record.name for record in read_records(warehouse).all))
        commit.write_record(warehouse, adopted(warehouse, warehouse.path / finding.path, name))
    done = recompute(warehouse, Chosen(every=True), dry_run=True)
    assert (done.left, done.changed) == ([], 0)
    assert ask(warehouse, "SELECT sigma_mean FROM runs ORDER BY label") == [(None,), (0.5,)]
    assert invoke("check", "--deep").stdout == ""


# Killed


@pytest.fixture(scope="module")
def attacked() -> Iterator[Lane]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder, lane(Path(folder), seed=7) as place:
        place.root.mkdir()
        warehouse = locate(place.root)
        take_in(warehouse)
        outdate(warehouse)
        shutil.copytree(place.root, place.folder / "kept")
        yield place


def steps_of(place: Lane, env: dict[str, str]) -> tuple[int, int]:
    """Recompute from the start, and return the exit code and the number of steps that were reached."""
    shutil.rmtree(place.root, ignore_errors=True)
    shutil.copytree(place.folder / "kept", place.root)
    trace = place.folder / "trace"
    trace.unlink(missing_ok=True)
    ended = place.zygote.run(place.root, "recompute", env={"PARAPHINA_WH_STEPS": str(trace), **env})
    return ended.code, len(trace.read_text().splitlines())


@pytest.mark.parametrize(("what", "each"), [("kill", 2), ("EIO", 7)])
def test_killed_or_failing_at_a_step_it_leaves_whole_experiments_and_goes_on(
    attacked: Lane, what: str, each: int
) -> None:
    """The runs of an experiment are one commit here: there are A and B, and C."""
    code, count = steps_of(attacked, {})
    warehouse = locate(attacked.root)
    assert (code, count > 15) == (0, True)
    new = everything(warehouse)
    seen = set()
    for number in range(1, count + 1, each):
        steps_of(attacked, {"PARAPHINA_WH_FAILPOINT": f"{number}:{what}"})
        deltas = tuple(delta for _, delta in ask(warehouse, DELTAS))
        assert check_warehouse(warehouse).findings == [], number
        seen.add(deltas)
        assert attacked.zygote.run(attacked.root, "recompute").code == 0
        assert everything(warehouse) == new
        assert check_warehouse(warehouse).findings == [], number
    old = DELTA + 1
    assert seen == {(old, old, old), (DELTA, DELTA, old), (DELTA, DELTA, DELTA)}


# A later version


@pytest.fixture
def later(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return the command line of a version that has one metric more, and another way to compute one."""
    home = tmp_path / "later"
    shutil.copytree(PROJECT / "paraphina_wh", home / "paraphina_wh", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(sql_folder(), home / "sql")
    definition = home / "sql" / "21_condensed_ticks.sql"
    text = definition.read_text()
    for old, new in (
        ("--   num_ticks  ", "--   pnl_range_usd  | usd       | highest minus lowest pnl_total\n--   num_ticks  "),
        ("count(*) AS num_ticks,", "max(pnl_total) - min(pnl_total) AS pnl_range_usd, count(*) AS num_ticks,"),
        ("max(abs(dollar_delta_usd))", "2 * max(abs(dollar_delta_usd))"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    definition.write_text(text)

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "paraphina_wh", *args]
        env = {**os.environ, "PYTHONPATH": str(home)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)

    return run


def test_a_metric_of_a_later_version_is_there_for_all_runs(
    warehouse: Warehouse, later: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    take_in(warehouse)
    before = runs_content(warehouse)
    assert "3 runs: paraphina-wh recompute" in later("status").stdout
    values = ("query", "SELECT label, pnl_range_usd, delta_max_abs_usd FROM runs ORDER BY label", "--format", "csv")
    assert later(*values).stdout.splitlines()[1:] == [f"{label},,{DELTA}" for label in (A, B, C)]
    done = later("recompute", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert [text.split(",")[:2] + text.split(",")[3:] for text in done.stdout.splitlines()] == [
        ["metric", "runs", "before", "after"],
        ["delta_max_abs_usd", "3", "500.0", "1000.0"],
        ["pnl_range_usd", "3", "", "0.0"],
    ]
    assert later(*values).stdout.splitlines()[1:] == [f"{label},0.0,{2 * DELTA}" for label in (A, B, C)]
    assert later("check", "--deep").returncode == 0
    assert "pnl_range_usd" in later("schema", "runs").stdout
    # And back.
    assert recompute(warehouse).changes["metric"].to_list() == ["delta_max_abs_usd"]
    assert runs_content(warehouse) != before
    assert ask(warehouse, DELTAS) == [(A, DELTA), (B, DELTA), (C, DELTA)]
    assert check_warehouse(warehouse).findings == []
