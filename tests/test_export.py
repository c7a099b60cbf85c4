"""Artefacts: their paths, and CSV as Python's own csv module writes it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraphina_wh.alignment import align
from paraphina_wh.errors import WarehouseError
from paraphina_wh.export import export_alignment, export_dataset, export_runs, export_summary, write_alignment
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.summary import summarise
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import run_of
from tests.research_runs import WORKED_ROWS, add_runs, write_lines


@pytest.fixture
def root(tmp_path: Path) -> Warehouse:
    return locate(tmp_path, tmp_path / "warehouse")


# Artefacts


def test_each_artefact_has_its_place_below_root(root: Warehouse) -> None:
    add_runs(root, WORKED_ROWS)

    def places() -> dict[Path, bytes]:
        paths = [
            export_dataset(root),
            export_alignment(root),
            export_summary(root, summarise(root)),
            export_runs(root, "exp13_auto"),
        ]
        return {path.relative_to(root.root): path.read_bytes() for path in paths}

    first = places()
    assert [str(path) for path in first] == [
        "research_dataset_v001.jsonl",
        "runs/exp11_research_alignment/exp11_alignment.csv",
        "runs/research_summary/research_summary.txt",
        "runs/exp13_auto/exp13_auto_runs.csv",
    ]
    assert places() == first


@pytest.mark.parametrize("experiment", ["../../esc", "..", "a/b"])
def test_an_experiment_stays_one_part_of_a_path_whatever_its_name(root: Warehouse, experiment: str) -> None:
    source = root.root / "balanced_r1.jsonl"
    source.write_bytes(run_of(2))
    ingest_paths(root, [source], Options(experiment=experiment))
    assert export_runs(root, experiment).parent.parent == root.root / "runs"


def test_the_alignment_of_exported_runs_is_that_of_the_contract(root: Warehouse) -> None:
    add_runs(root, WORKED_ROWS)
    export_dataset(root)

    assert align(root).frame["emp_score"].to_list() == [1806.5462591785538, 811.2993318572549, 1679.4546041764083]


def test_another_path_leaves_the_dataset_alone(root: Warehouse, tmp_path: Path) -> None:
    add_runs(root, WORKED_ROWS)
    out = tmp_path / "new" / "folder" / "rows.jsonl"
    first = export_dataset(root, out=out).read_bytes()

    assert first.count(b"\n") == 7
    assert export_dataset(root, out=out).read_bytes() == first
    assert not (root.root / "research_dataset_v001.jsonl").exists()


def test_an_alignment_goes_to_the_folder_given(root: Warehouse, tmp_path: Path) -> None:
    write_lines(root.root / "d.jsonl", WORKED_ROWS)
    path = write_alignment(root, align(root, "d.jsonl"), tmp_path / "elsewhere")

    assert path == tmp_path / "elsewhere" / "exp11_alignment.csv"
    assert path.read_bytes() == export_alignment(root, "d.jsonl").read_bytes()


def test_the_runs_of_an_experiment_come_with_all_they_have(root: Warehouse) -> None:
    add_runs(
        root, [{"label": "b", "profile": "p", "seed": 2}, {"label": "a", "profile": "p", "stdout_kill_switch": True}]
    )
    add_runs(root, [{"label": "c", "profile": "p"}], experiment="other")
    rows = list(csv.DictReader(io.StringIO(export_runs(root, "exp13_auto").read_text())))

    assert [(row["label"], row["seed"], row["stdout_kill_switch"]) for row in rows] == [
        ("a", "", "True"),
        ("b", "2", ""),
    ]
    assert {row["experiment"] for row in rows} == {"exp13_auto"}


def test_an_unknown_experiment_is_answered_with_those_there_are(root: Warehouse) -> None:
    add_runs(root, [{"label": "a", "profile": "p"}])
    with pytest.raises(WarehouseError, match="no runs of experiment 'exp99'") as caught:
        export_runs(root, "exp99")
    assert caught.value.hint == "experiments: exp13_auto"


# CSV


def test_csv_is_what_python_would_write() -> None:
    frame = pl.DataFrame(
        {
            "plain": ["x", None, ""],
            "quo,ted": ["a,b", 'say "hi"', "two\nlines"],
            "number": [-40.0, 781.51, float("nan")],
            "count": [1, None, -3],
            "flag": [True, False, None],
            "list": [[1, 2], None, []],
            "when": [datetime(2026, 11, 23, 3, 30, tzinfo=UTC), None, None],
        }
    )
    assert csv_bytes(frame).decode() == (
        'plain,"quo,ted",number,count,flag,list,when\n'
        'x,"a,b",-40.0,1,True,"[1,2]",2026-11-23T03:30:00+00:00\n'
        ',"say ""hi""",781.51,,False,,\n'
        ',"two\nlines",,-3,,[],\n'
    )


def test_a_carriage_return_is_quoted_and_blanks_are_kept() -> None:
    assert csv_bytes(pl.DataFrame({"a": ["x\ry", " lead"], "b": [1, 2]})) == b'a,b\n"x\ry",1\n lead,2\n'


def test_one_column_of_nothing_is_not_a_blank_line() -> None:
    assert csv_bytes(pl.DataFrame({"only": [None, "", "x"]})) == b'only\n""\n""\nx\n'


def test_no_rows_are_a_header_and_no_columns_an_empty_line() -> None:
    assert csv_bytes(pl.DataFrame({"a": [1], "b": [2]}).clear()) == b"a,b\n"
    assert csv_bytes(pl.DataFrame()) == b"\n"


_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=6) | st.sampled_from(
    ['"', ",", "\n", '""', " ", "a,b", 'x"y']
)
_floats = st.floats(allow_nan=False)
_columns = st.sampled_from(
    [
        (pl.String, _texts),
        (pl.Float64, _floats),
        (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
        (pl.Boolean, st.booleans()),
    ]
)


@st.composite
def _frames(draw: st.DrawFn) -> pl.DataFrame:
    height = draw(st.integers(0, 4))
    names = draw(st.lists(_texts, min_size=1, max_size=4, unique=True))
    columns: list[pl.Series] = []
    for name in names:
        kind, values = draw(_columns)
        cells: list[Any] = draw(st.lists(st.none() | values, min_size=height, max_size=height))
        columns.append(pl.Series(name, cells, dtype=kind))
    return pl.DataFrame(columns)


@settings(max_examples=100)
@given(_frames())
def test_any_table_comes_out_as_from_the_csv_module(frame: pl.DataFrame) -> None:
    expected = io.StringIO(newline="")
    writer = csv.writer(expected, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(frame.rows())

    assert csv_bytes(frame).decode() == expected.getvalue()
