"""Versioned datasets: appended to and never edited, whoever writes and whatever is killed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from paraphina_wh.catalog import connect, view_files, views_named_in
from paraphina_wh.datasets import (
    COLUMNS,
    Mirrored,
    Selection,
    append_research_rows,
    dataset_file,
    default_dataset,
    mirror_dataset,
    open_dataset,
    research_lines,
)
from paraphina_wh.datasets.lines import load_lines
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, locate
from tests.research_runs import Row, add_runs, recorded, write_lines

CONTRACT = [
    "timestamp_utc", "label", "profile", "telemetry_path", "notes", "band_base", "mm_size_eta", "vol_ref",
    "daily_loss_limit", "init_q_tao", "vol_scale", "num_ticks", "final_pnl", "max_pnl", "min_pnl", "max_drawdown",
    "frac_normal", "frac_warning", "frac_hard", "kill_switch", "run_id",
]  # fmt: skip


def run(label: str, seconds: int = 0, **more: Any) -> Row:
    return {
        "label": label,
        "profile": "balanced",
        "telemetry_path": f"runs/exp13_auto/{label}.jsonl",
        "ingested_at": f"2026-11-23T03:30:{seconds:02d}.936509+00:00",
        "num_ticks": 37,
        "final_pnl": 1547.597775342142,
        "max_pnl": 1618.2498950107392,
        "min_pnl": 37.69429580353011,
        "max_drawdown": 70.65211966859715,
        "frac_normal": 0.972972972972973,
        "frac_warning": 0.0,
        "frac_hard": 0.02702702702702703,
        "kill_switch": True,
        **more,
    }


@pytest.fixture
def root(tmp_path: Path) -> Warehouse:
    return locate(tmp_path, tmp_path / "warehouse")


@pytest.fixture
def dataset(root: Warehouse) -> Path:
    return root.root / "research_dataset_v001.jsonl"


def labels(file: Path) -> list[str]:
    return [json.loads(line)["label"] for line in file.read_text().splitlines()]


def mirrored(warehouse: Warehouse, dataset: str = "research_dataset_v001") -> list[str]:
    with connect(warehouse, views=("dataset_rows",)) as connection:
        rows = connection.execute(
            "SELECT line FROM dataset_rows WHERE dataset = ? ORDER BY line_no", [dataset]
        ).fetchall()
    return [line for (line,) in rows]


# Rows


def test_a_row_is_the_contract_line_then_the_run_id_then_extras(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("exp13_balanced_r001", 57, seed=1)])
    append_research_rows(root, dataset)
    line = dataset.read_text()

    assert line.startswith(
        '{"timestamp_utc": "2026-11-23T03:30:57.936509+00:00", "label": "exp13_balanced_r001", "profile": "balanced", '
        '"telemetry_path": "runs/exp13_auto/exp13_balanced_r001.jsonl", "notes": "", "band_base": 5.625, '
        '"mm_size_eta": 0.1, "vol_ref": 0.028125, "daily_loss_limit": 5000.0, "init_q_tao": 0.0, "vol_scale": 1.5, '
        '"num_ticks": 37, "final_pnl": 1547.597775342142, "max_pnl": 1618.2498950107392, "min_pnl": 37.69429580353011, '
        '"max_drawdown": 70.65211966859715, "frac_normal": 0.972972972972973, "frac_warning": 0.0, '
        '"frac_hard": 0.02702702702702703, "kill_switch": true, "run_id": "id-exp13_balanced_r001", '
        '"experiment": "exp13_auto", "engine": "external", '
    )
    assert line.endswith("}\n")
    row = json.loads(line)
    assert (row["seed"], row["kill_tick"]) == (1, None)  # unknown extras are null: every row has the same keys


def test_the_first_twenty_fields_are_those_of_the_recorded_rows(root: Warehouse) -> None:
    add_runs(root, [run("x")])
    first, *_ = recorded("research_dataset_v001.jsonl").read_text().splitlines()

    assert list(json.loads(first)) == CONTRACT[:20]
    assert list(json.loads(research_lines(root)))[:21] == CONTRACT


def test_text_is_ascii_and_numbers_are_never_nan(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("größe", final_pnl=float("nan"), sigma_max=float("inf"))])
    append_research_rows(root, dataset)
    line = dataset.read_bytes()

    assert b'"label": "gr\\u00f6\\u00dfe"' in line
    assert b'"final_pnl": null' in line
    assert b'"sigma_max": null' in line


# Appending


def test_runs_come_in_the_order_in_which_they_were_ingested(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("late", 9), run("b", 5), run("a", 5), run("early", 1)])
    done = append_research_rows(root, dataset)

    assert labels(dataset) == ["early", "a", "b", "late"]
    assert (done.file, done.appended, done.already_there, done.skipped_lines) == (dataset, 4, 0, 0)


def test_a_second_append_changes_no_byte_and_a_new_run_is_added_at_the_end(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("b", 2)])
    append_research_rows(root, dataset)
    before = dataset.read_bytes()
    again = append_research_rows(root, dataset)

    assert (again.appended, again.already_there) == (0, 1)
    assert dataset.read_bytes() == before

    add_runs(root, [run("a", 1)])  # older, but it came later
    assert append_research_rows(root, dataset).appended == 1
    assert dataset.read_bytes().startswith(before)
    assert labels(dataset) == ["b", "a"]
    assert mirrored(root) == dataset.read_text().splitlines()


def test_failed_and_stdout_runs_never_enter(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("ok"), run("failed", status="failed"), run("stdout", num_ticks=None)])
    append_research_rows(root, dataset)

    assert labels(dataset) == ["ok"]


def test_a_selection_narrows_what_is_appended(root: Warehouse) -> None:
    add_runs(root, [run("a.b"), run("axb"), run("c", profile="aggressive")])
    add_runs(root, [run("d")], experiment="other")

    def chosen(**selection: Any) -> list[str]:
        lines = research_lines(root, Selection(**selection)).splitlines()
        return [json.loads(line)["label"] for line in lines]

    assert chosen() == ["a.b", "axb", "c", "d"]
    assert chosen(profiles=("aggressive", "balanced"), experiment="exp13_auto") == ["a.b", "axb", "c"]
    assert chosen(label_contains="a.b") == ["a.b"]
    assert chosen(run_ids=("id-c", "id-unknown")) == ["c"]
    assert chosen(profiles=()) == []


def test_old_rows_without_run_id_are_known_by_label_and_telemetry_file(root: Warehouse, dataset: Path) -> None:
    old = {"final_pnl": 1.0, "max_drawdown": 0.0, "num_ticks": 2}
    write_lines(
        dataset,
        [
            {**old, "label": "x", "telemetry_path": "runs/exp13_auto/x.jsonl"},
            {**old, "label": "y", "telemetry_path": "somewhere/else.jsonl"},
        ],
    )
    add_runs(root, [run("x"), run("y")])
    done = append_research_rows(root, dataset)

    assert (done.appended, done.already_there, done.repeated_labels) == (1, 1, ())
    assert labels(dataset) == ["x", "y", "y"]


def test_another_run_of_the_same_telemetry_file_is_added_and_reported(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("x", 1)])
    append_research_rows(root, dataset)
    add_runs(root, [run("x", 2, run_id="id-rerun", supersedes="id-x")])
    done = append_research_rows(root, dataset)

    assert (done.appended, done.repeated_labels) == (1, ("x",))
    assert labels(dataset) == ["x", "x"]


def test_a_last_line_without_newline_is_completed_first(root: Warehouse, dataset: Path) -> None:
    dataset.write_text('{"label": "torn", "final_pnl": 1')
    add_runs(root, [run("x")])
    done = append_research_rows(root, dataset)
    torn, row = dataset.read_text().splitlines()

    assert torn == '{"label": "torn", "final_pnl": 1'
    assert json.loads(row)["label"] == "x"
    assert done.skipped_lines == 1


def test_rows_of_the_reference_engine_do_not_mix_with_others(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("made_up", engine="reference")])
    append_research_rows(root, dataset)
    add_runs(root, [run("real"), run("unknown", engine=None)])
    before = dataset.read_bytes()

    with pytest.raises(WarehouseError, match=r"reference engine .* real engine \(external, unknown\)") as caught:
        append_research_rows(root, dataset)
    assert "--allow-mixed" in caught.value.hint
    assert dataset.read_bytes() == before

    with pytest.raises(WarehouseError, match="reference engine"):
        append_research_rows(root, root.root / "new.jsonl")
    assert not (root.root / "new.jsonl").exists()

    assert append_research_rows(root, dataset, allow_mixed=True).appended == 2
    assert append_research_rows(root, dataset).appended == 0  # nothing new, nothing to refuse


def test_four_processes_at_once_lose_and_repeat_nothing(root: Warehouse, dataset: Path) -> None:
    """The file is lost to begin with: one of them writes it back, the others never see it without its lines."""
    add_runs(root, [run(f"r{i:02d}", profile=f"p{i % 5}") for i in range(40)])
    append_research_rows(root, dataset, selection=Selection(profiles=("p4",)))
    before = dataset.read_bytes()
    dataset.unlink()
    script = """
import sys
from paraphina_wh.datasets import Selection
from paraphina_wh.export import export_dataset
from paraphina_wh.warehouse import locate
warehouse = locate(sys.argv[1], sys.argv[1] + "/warehouse")
for profile in sys.argv[2]:
    export_dataset(warehouse, selection=Selection(profiles=("p" + profile,)))
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(root.root), profiles])
        for profiles in ("01234", "43210", "20", "13")
    ]
    assert [process.wait(600) for process in processes] == [0, 0, 0, 0]
    assert dataset.read_bytes().startswith(before)
    assert sorted(labels(dataset)) == [f"r{i:02d}" for i in range(40)]
    assert mirrored(root) == dataset.read_text().splitlines()


# The mirror


def test_what_failed_between_append_and_mirror_is_completed_by_the_next_append(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("x")])
    obstacle = root.datasets / "dataset=research_dataset_v001"
    obstacle.touch()  # a file where the folder is to be
    with pytest.raises(WarehouseError, match="cannot write"):
        append_research_rows(root, dataset)
    assert (labels(dataset), mirrored(root)) == (["x"], [])

    obstacle.unlink()
    assert append_research_rows(root, dataset).appended == 0
    assert (labels(dataset), mirrored(root)) == (["x"], dataset.read_text().splitlines())


def test_lines_that_other_tools_append_are_mirrored_with_the_next_append(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("x")])
    append_research_rows(root, dataset)
    with dataset.open("a") as out:
        out.write('{"note": 1}\n\n{"label": "foreign", "pnl_total": 2, "max_drawdown": 1}\n')
    append_research_rows(root, dataset)

    with connect(root, views=("dataset_rows",)) as connection:
        rows = connection.execute("SELECT line_no, label, is_blank, is_run, is_complete FROM dataset_rows").fetchall()
    assert sorted(rows) == [
        (1, "x", False, True, True),
        (2, None, False, False, False),
        (3, None, True, False, False),
        (4, "foreign", False, True, False),
    ]


def test_two_mirrors_of_a_line_count_once(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("x")])
    append_research_rows(root, dataset)
    [batch] = (root.datasets / "dataset=research_dataset_v001").iterdir()
    batch.with_name("copy.parquet").write_bytes(batch.read_bytes())

    assert len(mirrored(root)) == 1


def test_a_dataset_of_other_tools_is_mirrored_as_it_is(root: Warehouse) -> None:
    file = root.root / "old" / "study.jsonl"
    file.parent.mkdir()
    file.write_bytes(b'{"label": "a\xff"}\r\n{"label": "b"}')  # not UTF-8, CRLF, no newline at the end

    assert mirror_dataset(root, file) == Mirrored(file, "study", lines=2, skipped_lines=2)
    assert mirror_dataset(root, file) == Mirrored(file, "study", already_there=2)
    with connect(root, views=("dataset_rows",)) as connection:
        rows = connection.execute(
            "SELECT dataset, line_no, byte_offset, bytes, line, raw, is_terminated, dataset_path"
            " FROM dataset_rows ORDER BY line_no"
        ).fetchall()
    assert rows == [
        ("study", 1, 0, 16, '{"label": "a\ufffd"}\r', b'{"label": "a\xff"}\r', True, "old/study.jsonl"),
        ("study", 2, 17, 14, '{"label": "b"}', None, False, "old/study.jsonl"),
    ]
    with file.open("ab") as out:
        out.write(b'\n{"final_pnl": 1, "max_drawdown": NaN}\n')
    assert mirror_dataset(root, file) == Mirrored(file, "study", lines=1, runs=1, already_there=2)


def test_a_file_that_was_lost_is_restored_from_the_warehouse(root: Warehouse, dataset: Path) -> None:
    write_lines(dataset, ['{"from": "another tool"}'])
    add_runs(root, [run("x")])
    append_research_rows(root, dataset)
    before = dataset.read_bytes()
    dataset.unlink()
    add_runs(root, [run("y")])
    done = append_research_rows(root, dataset)

    assert (done.restored_lines, done.appended) == (2, 1)
    assert dataset.read_bytes().startswith(before)


def test_a_file_that_was_emptied_is_refused_as_any_edit_and_stays_empty(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("x")])
    append_research_rows(root, dataset)
    dataset.write_bytes(b"")
    add_runs(root, [run("y")])

    for append in (lambda: append_research_rows(root, dataset), lambda: open_dataset(root)):
        with pytest.raises(WarehouseError) as caught:
            append()
        assert caught.value.message == f"{dataset} was changed: line 1 is no longer what the warehouse holds of it"
        assert caught.value.exit_code == 1
    assert dataset.read_bytes() == b""


def test_a_name_stands_for_one_file(root: Warehouse, dataset: Path) -> None:
    add_runs(root, [run("x")])
    append_research_rows(root, dataset)
    other = root.root / "copies" / dataset.name

    with pytest.raises(WarehouseError, match=r"stands for research_dataset_v001.jsonl, not for copies/research"):
        append_research_rows(root, other)
    assert not other.exists()


# Files and columns


def test_the_default_dataset_is_the_newest_version(root: Warehouse) -> None:
    assert default_dataset(root) == root.root / "research_dataset_v001.jsonl"
    for name in ("research_dataset_v004.jsonl", "research_dataset_v010.jsonl", "research_dataset_v011.jsonl.bak"):
        (root.root / name).touch()
    assert default_dataset(root) == root.root / "research_dataset_v010.jsonl"
    assert dataset_file(root, None) == default_dataset(root)
    assert dataset_file(root, "sub/x.jsonl") == root.root / "sub" / "x.jsonl"
    assert dataset_file(root, "/elsewhere/x.jsonl") == Path("/elsewhere/x.jsonl")


def test_a_dataset_may_be_named_in_short(root: Warehouse) -> None:
    (root.root / "research_dataset_v4.jsonl").touch()
    (root.root / "study.jsonl").touch()

    assert dataset_file(root, "v002") == root.root / "research_dataset_v002.jsonl"
    assert dataset_file(root, "v2") == root.root / "research_dataset_v002.jsonl"
    assert dataset_file(root, "v004") == root.root / "research_dataset_v4.jsonl"  # the file there is
    assert dataset_file(root, "research_dataset_v012") == root.root / "research_dataset_v012.jsonl"
    assert dataset_file(root, "study") == root.root / "study.jsonl"
    assert dataset_file(root, "nowhere") == root.root / "nowhere"
    (root.root / "v002").touch()
    assert dataset_file(root, "v002") == root.root / "v002"


def test_a_missing_file_cannot_be_mirrored(root: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="cannot read") as caught:
        mirror_dataset(root, root.root / "nowhere.jsonl")
    assert caught.value.exit_code == 2


def test_the_reading_query_gives_the_declared_columns_and_types() -> None:
    with duckdb.connect() as connection:
        load_lines(connection, b"", "x.jsonl")
        found = {name: kind for name, kind, *_ in connection.execute("DESCRIBE dataset_lines").fetchall()}
    assert found == COLUMNS


def test_the_smallest_record_of_other_tools_is_a_run_but_not_a_complete_one() -> None:
    line = b'{"Profile": "balanced", "metrics.final_pnl": "1.5", "max_drawdown": -2, "kill": "Yes"}\n'
    with duckdb.connect() as connection:
        load_lines(connection, line, "x.jsonl", first_line=8, first_byte=700)
        [row] = connection.sql("SELECT * FROM dataset_lines").pl().to_dicts()
    assert {name: value for name, value in row.items() if value is not None and name != "line"} == {
        "line_no": 8,
        "byte_offset": 700,
        "bytes": len(line) - 1,
        "is_terminated": True,
        "dataset_path": "x.jsonl",
        "is_blank": False,
        "is_run": True,
        "is_complete": False,
        "profile": "balanced",
        "final_pnl": 1.5,
        "max_drawdown": -2.0,
        "kill_prob": 1.0,
    }


# Views


@pytest.mark.parametrize("view", ["research_summary", "run_ranking", "alignment"])
def test_views_on_datasets_keep_to_sql_that_other_engines_run(view: str) -> None:
    statement = view_files()[view].read_text().split("CREATE OR REPLACE VIEW", 1)[1].lower()
    own = ["filter (", "exclude", "lambda ", "::", "quantile", "unnest", "read_parquet", "arg_m", "pivot", " 0.5 "]

    assert [word for word in own if word in statement] == []


@pytest.mark.parametrize("view", ["dataset_rows", "research_summary", "run_ranking"])
def test_every_column_of_the_views_has_a_line_of_its_own(root: Warehouse, view: str) -> None:
    documented = re.findall(r"^--   (\w+) +\| \S+ +\| .+$", view_files()[view].read_text(), re.MULTILINE)
    with connect(root, views=views_named_in(view), or_empty=True) as connection:
        columns = [name for name, *_ in connection.execute(f"DESCRIBE {view}").fetchall()]

    assert documented == columns
