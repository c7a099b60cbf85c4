"""Versions of datasets: edits are found, files come back byte for byte, and only the newest version grows."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from paraphina_wh.alignment import align
from paraphina_wh.datasets import (
    Mirrored,
    append_research_rows,
    check_open,
    mirror_dataset,
    new_dataset,
    open_dataset,
    regenerate,
    seal_dataset,
)
from paraphina_wh.datasets.diff import diff_datasets
from paraphina_wh.datasets.listing import list_datasets
from paraphina_wh.datasets.restore import restore_dataset
from paraphina_wh.errors import WarehouseError
from paraphina_wh.summary import summarise
from paraphina_wh.warehouse import Warehouse, locate
from tests.research_runs import Row, add_runs, write_lines
from tests.telemetry_maker import ask

V001, V002 = "research_dataset_v001.jsonl", "research_dataset_v002.jsonl"


def run(label: str, second: int = 0, **more: Any) -> Row:
    return {
        "label": label,
        "profile": "balanced",
        "telemetry_path": f"runs/exp13_auto/{label}.jsonl",
        "ingested_at": f"2026-11-23T03:30:{second:02d}+00:00",
        "num_ticks": 37,
        "final_pnl": 100.0,
        "max_drawdown": 10.0,
        "kill_switch": False,
        **more,
    }


@pytest.fixture
def root(tmp_path: Path) -> Warehouse:
    return locate(tmp_path, tmp_path / "warehouse")


@pytest.fixture(scope="module")
def _five_rows(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = locate(tmp_path_factory.mktemp("five_rows"))
    for labels in ("ab", "cde"):
        add_runs(made, [run(label) for label in labels])
        append_research_rows(made, made.root / V001)
    return made


@pytest.fixture
def five_rows(root: Warehouse, _five_rows: Warehouse) -> Path:
    """Return a dataset of five rows, appended in two goes."""
    shutil.copytree(_five_rows.root, root.root, dirs_exist_ok=True)
    return root.root / V001


def states(warehouse: Warehouse) -> dict[str, str]:
    return dict(list_datasets(warehouse).frame.select("dataset", "state").iter_rows())


# Edits

EDITS: dict[str, tuple[int, Callable[[list[bytes]], list[bytes]]]] = {
    "the first line changed": (1, lambda lines: [lines[0].replace(b"100.0", b"900.0"), *lines[1:]]),
    "one character added": (2, lambda lines: [lines[0], lines[1].replace(b"100.0", b"100.00"), *lines[2:]]),
    "the last line changed": (5, lambda lines: [*lines[:4], lines[4].replace(b"100.0", b"900.0")]),
    "a line deleted": (2, lambda lines: [lines[0], *lines[2:]]),
    "the last line deleted": (5, lambda lines: lines[:4]),
    "two lines swapped": (3, lambda lines: [*lines[:2], lines[3], lines[2], lines[4]]),
    "a line inserted": (4, lambda lines: [*lines[:3], b"{}\n", *lines[3:]]),
    "a blank line inserted": (1, lambda lines: [b"\n", *lines]),
    "the last line continued": (5, lambda lines: [*lines[:4], lines[4].replace(b"\n", b" \n")]),
    "line ends of another system": (1, lambda lines: [line.replace(b"\n", b"\r\n") for line in lines]),
    "all lines deleted": (1, lambda lines: []),
    "a cut in the middle": (3, lambda lines: [*lines[:2], lines[2][:40]]),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_refused_naming_file_and_line(root: Warehouse, five_rows: Path, name: str) -> None:
    line_no, edit = EDITS[name]
    five_rows.write_bytes(b"".join(edit(five_rows.read_bytes().splitlines(keepends=True))))
    edited = five_rows.read_bytes()
    add_runs(root, [run("f")])

    message = f"{five_rows} was changed: line {line_no} is no longer what the warehouse holds of it"
    for check in (
        lambda: append_research_rows(root, five_rows),
        lambda: mirror_dataset(root, five_rows),
        lambda: check_open(root, five_rows),
        lambda: seal_dataset(root, five_rows),
        lambda: align(root, five_rows),
        lambda: summarise(root, five_rows),
        lambda: diff_datasets(root, five_rows, five_rows),
    ):
        with pytest.raises(WarehouseError) as caught:
            check()
        assert (caught.value.message, caught.value.exit_code) == (message, 1)
        assert "`paraphina-wh dataset restore research_dataset_v001`" in caught.value.hint
    assert states(root) == {"research_dataset_v001": f"changed: line {line_no}"}
    assert five_rows.read_bytes() == edited


@pytest.mark.parametrize("more", [b"", b'{"another": "tool"}\n', b"no newline"])
def test_what_is_added_at_the_end_is_no_edit(root: Warehouse, five_rows: Path, more: bytes) -> None:
    five_rows.write_bytes(five_rows.read_bytes() + more)
    check_open(root, five_rows)
    assert append_research_rows(root, five_rows).appended == 0
    assert regenerate(root, five_rows.stem) == five_rows.read_bytes()


def test_a_lost_last_newline_is_no_edit_and_comes_back(root: Warehouse, five_rows: Path) -> None:
    before = five_rows.read_bytes()
    five_rows.write_bytes(before[:-1])
    assert states(root) == {"research_dataset_v001": "open"}
    append_research_rows(root, five_rows)
    assert five_rows.read_bytes() == before


def test_bytes_that_look_the_same_as_text_are_told_apart(root: Warehouse) -> None:
    file = root.root / "study.jsonl"
    file.write_bytes(b'{"label": "a\xff"}\n')
    mirror_dataset(root, file)
    file.write_bytes(b'{"label": "a\xfe"}\n')

    with pytest.raises(WarehouseError, match=r"study.jsonl was changed: line 1 "):
        mirror_dataset(root, file)


def test_lines_stored_before_there_were_hashes_are_compared_one_by_one(root: Warehouse, five_rows: Path) -> None:
    for batch in (root.datasets / "dataset=research_dataset_v001").iterdir():
        old = batch.with_suffix(".old")
        with duckdb.connect() as connection:
            columns = "* EXCLUDE (dataset, raw, is_terminated, prefix_sha256)"
            connection.execute(f"COPY (SELECT {columns} FROM '{batch}') TO '{old}' (FORMAT parquet)")
        old.replace(batch)
    check_open(root, five_rows)
    five_rows.write_bytes(five_rows.read_bytes().replace(b'"label": "d"', b'"label": "x"'))
    with pytest.raises(WarehouseError, match="line 4 is no longer"):
        check_open(root, five_rows)


# Regeneration


@pytest.mark.parametrize(
    "content",
    [
        b'{"label": "a"}\n',
        b'{"label": "a"}',  # no newline at the end
        b'{"label": "a"}\r\n{"label": "b"}\r\n',
        b"\n\n  \n{}\n\n",
        b'{"label": "\xff\xfe"}\n\xf0\x9f\x98\n\xe2\x82',  # not UTF-8, cut sequences
        '{"label": "\ufffd größe"}\n\ufeff{}\n'.encode(),  # the replacement character itself, a byte order mark
        b'a\x00b\n"\\u0000"\n',
        b'{"final_pnl": NaN}\n{broken\n[1, 2]\nnull\n',
        b"\n",
    ],
)
def test_a_file_comes_back_byte_for_byte(root: Warehouse, content: bytes) -> None:
    file = root.root / "study.jsonl"
    file.write_bytes(content)
    mirror_dataset(root, file)
    assert regenerate(root, "study") == content

    file.unlink()
    assert restore_dataset(root, "study").file == file
    assert file.read_bytes() == content


def test_a_last_line_completed_later_comes_back_complete(root: Warehouse) -> None:
    file = root.root / V001
    file.write_bytes(b'{"label": "torn"')
    assert mirror_dataset(root, file).lines == 1
    assert mirror_dataset(root, file) == Mirrored(file, "research_dataset_v001", already_there=1)
    file.write_bytes(b'{"label": "torn", "final_pnl": 1')  # some other tool goes on
    mirror_dataset(root, file)
    add_runs(root, [run("x")])
    append_research_rows(root, file)

    assert file.read_bytes().startswith(b'{"label": "torn", "final_pnl": 1\n{"timestamp_utc"')
    assert regenerate(root, file.stem) == file.read_bytes()


def test_an_edited_file_is_restored_and_kept_beside(root: Warehouse, five_rows: Path) -> None:
    before = five_rows.read_bytes()
    five_rows.write_bytes(before.replace(b"100.0", b"900.0"))
    done = restore_dataset(root, "v001")

    assert five_rows.read_bytes() == before
    assert done.kept is not None
    assert done.kept.name.startswith("research_dataset_v001.jsonl.edited-")
    assert done.kept.read_bytes() == before.replace(b"100.0", b"900.0")


def test_an_emptied_file_is_restored_as_any_other_edited_one(root: Warehouse, five_rows: Path) -> None:
    before = five_rows.read_bytes()
    five_rows.write_bytes(b"")
    done = restore_dataset(root, "v001")

    assert five_rows.read_bytes() == before
    assert done.kept is not None
    assert done.kept.read_bytes() == b""


def test_a_file_that_has_all_lines_is_not_written(root: Warehouse, five_rows: Path) -> None:
    with five_rows.open("a") as out:
        out.write("{}\n")
    before = five_rows.read_bytes()
    assert restore_dataset(root, "v001").is_written is False
    assert five_rows.read_bytes() == before


def test_what_the_warehouse_does_not_hold_cannot_be_restored(root: Warehouse, five_rows: Path) -> None:
    with pytest.raises(WarehouseError, match="holds no lines of a dataset 'research_dataset_v007'") as caught:
        restore_dataset(root, "v007")
    assert (caught.value.hint, caught.value.exit_code) == ("datasets: research_dataset_v001", 2)


# Rows of earlier versions


def test_a_nan_token_is_a_run_with_null_there(root: Warehouse) -> None:
    write_lines(
        root.root / V001,
        [
            '{"profile": "balanced", "final_pnl": NaN, "max_drawdown": 5.0, "num_ticks": 3, "kill_switch": true}',
            '{"profile": "balanced", "final_pnl": -Infinity, "max_drawdown": NaN, "num_ticks": 3}',
            '{"tier": "balanced", "metrics.final_pnl": 1.5, "metrics.max_drawdown": -2.0, "kill": "yes"}',
            '{"profile": "balanced", "final_pnl": 1.0,',
            "[1, 2]",
            "",
        ],
    )
    done = mirror_dataset(root, root.root / V001)

    assert (done.lines, done.runs, done.skipped_lines) == (6, 3, 2)
    columns = "line_no, profile, final_pnl, max_drawdown, kill_prob, is_complete"
    assert ask(root, f"SELECT {columns} FROM dataset_rows WHERE is_run ORDER BY line_no") == [
        (1, "balanced", None, 5.0, 1.0, True),
        (2, "balanced", None, None, None, True),
        (3, "balanced", 1.5, -2.0, 1.0, False),
    ]


# Open, superseded, sealed


def test_a_new_version_becomes_the_default_and_closes_the_one_before(root: Warehouse, five_rows: Path) -> None:
    assert new_dataset(root) == root.root / V002
    assert open_dataset(root) == root.root / V002
    before = five_rows.read_bytes()

    with pytest.raises(WarehouseError) as caught:
        append_research_rows(root, five_rows)
    assert caught.value.message == (
        "research_dataset_v001.jsonl is an earlier version: research_dataset_v002.jsonl lies beside it, and only the"
        " newest can be appended to"
    )
    assert (caught.value.hint, caught.value.exit_code) == (
        "leave out --dataset, or name research_dataset_v002.jsonl",
        2,
    )
    assert five_rows.read_bytes() == before
    assert states(root) == {"research_dataset_v001": "superseded", "research_dataset_v002": "open"}


def test_the_first_version_is_opened_by_the_first_append_or_by_name(root: Warehouse) -> None:
    assert open_dataset(root) == root.root / V001
    assert new_dataset(root) == root.root / V001


def test_numbers_may_be_left_out(root: Warehouse, five_rows: Path) -> None:
    newest = open_dataset(root, "research_dataset_v004.jsonl")
    append_research_rows(root, newest)
    assert open_dataset(root) == newest
    for number in ("v001", "v003"):
        with pytest.raises(WarehouseError, match=r"research_dataset_v004.jsonl lies beside it"):
            open_dataset(root, number)


def test_no_number_is_given_twice(root: Warehouse, five_rows: Path) -> None:
    seal_dataset(root, five_rows)
    five_rows.unlink()  # its seal and its lines in the warehouse are still there
    assert new_dataset(root) == root.root / V002
    (root.root / V002).unlink()
    (root.root / f"{V001}.sealed").unlink()
    assert new_dataset(root) == root.root / V002


def test_an_empty_version_survives_an_append_that_fails(root: Warehouse, five_rows: Path) -> None:
    new_dataset(root)
    add_runs(root, [run("made_up", engine="reference")])
    with pytest.raises(WarehouseError, match="would mix"):
        append_research_rows(root, root.root / V002)
    assert open_dataset(root) == root.root / V002


def test_a_sealed_version_refuses_appends_and_the_next_number_takes_them(root: Warehouse, five_rows: Path) -> None:
    seal_dataset(root, "v001")
    before = five_rows.read_bytes()

    for refused in (lambda: append_research_rows(root, five_rows), lambda: check_open(root, five_rows)):
        with pytest.raises(WarehouseError) as caught:
            refused()
        assert caught.value.message == "research_dataset_v001.jsonl is sealed: nothing more can be appended to it"
        assert "`paraphina-wh dataset new`" in caught.value.hint
        assert caught.value.exit_code == 2
    assert five_rows.read_bytes() == before
    assert open_dataset(root) == root.root / V002
    assert not (root.root / V002).exists()


def test_a_seal_is_a_checksum_any_tool_can_check_and_makes_the_file_read_only(root: Warehouse, five_rows: Path) -> None:
    seal = seal_dataset(root, five_rows)
    again = seal_dataset(root, five_rows)

    assert seal == again == root.root / f"{V001}.sealed"
    assert five_rows.stat().st_mode & 0o222 == 0
    done = subprocess.run(["sha256sum", "-c", seal.name], cwd=root.root, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("research_dataset_v001.jsonl: OK\n", 0)


def test_a_seal_needs_no_warehouse(root: Warehouse, five_rows: Path, tmp_path: Path) -> None:
    seal_dataset(root, five_rows)
    other = locate(root.root, tmp_path / "another")
    assert states(other) == {"research_dataset_v001": "sealed"}
    five_rows.chmod(0o644)
    five_rows.write_bytes(five_rows.read_bytes().replace(b"100.0", b"900.0"))
    assert states(other) == {"research_dataset_v001": "changed"}


def test_a_line_added_after_the_seal_is_reported(root: Warehouse, five_rows: Path) -> None:
    seal_dataset(root, five_rows)
    five_rows.chmod(0o644)
    with five_rows.open("a") as out:
        out.write("{}\n")

    assert states(root) == {"research_dataset_v001": "changed: line 6"}
    with pytest.raises(WarehouseError, match="was changed: line 6 was added after it was sealed"):
        seal_dataset(root, five_rows)


def test_other_files_know_no_versions_but_can_be_sealed(root: Warehouse) -> None:
    new_dataset(root)
    new_dataset(root)
    add_runs(root, [run("x")])
    study = open_dataset(root, "study.jsonl")
    append_research_rows(root, study)
    seal_dataset(root, "study")
    with pytest.raises(WarehouseError, match=r"study.jsonl is sealed"):
        open_dataset(root, "study")


def test_a_missing_file_cannot_be_sealed(root: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"cannot read .*research_dataset_v003.jsonl") as caught:
        seal_dataset(root, "v003")
    assert caught.value.exit_code == 2


# Lists


def test_the_list_counts_what_the_warehouse_has_not_taken_in_yet(root: Warehouse, five_rows: Path) -> None:
    size = five_rows.stat().st_size
    with five_rows.open("a") as out:
        out.write('{"tier": "aggressive", "pnl_total": 1, "max_drawdown": 2, "engine": "reference"}\n\n')
    write_lines(root.root / V002, ['{"note": 1}'])
    (root.root / "old").mkdir()
    study = write_lines(root.root / "old" / "study.jsonl", ['{"final_pnl": 1, "max_drawdown": 2}'])
    mirror_dataset(root, study)
    study.unlink()

    listing = list_datasets(root)
    assert listing.frame.rows() == [
        (
            "research_dataset_v001", 1, V001, "superseded", 7, 6, size + 82, datetime(2026, 11, 23, 3, 30, tzinfo=UTC),
            "aggressive 1, balanced 5", "external 5, reference 1",
        ),
        ("research_dataset_v002", 2, V002, "open", 1, 0, 12, None, None, None),
        ("study", None, "old/study.jsonl", "missing", 1, 1, 36, None, "unknown 1", "unknown 1"),
    ]  # fmt: skip
    assert (listing.errors, listing.missing) == ((), ("study",))
    assert ask(root, "SELECT count(*) FROM dataset_rows") == [(6,)]  # nothing was taken in


def test_a_name_that_stands_for_another_file_is_shown(root: Warehouse) -> None:
    copy = root.root / "copies" / V001
    copy.parent.mkdir()
    write_lines(copy, ["{}"])
    mirror_dataset(root, copy)
    write_lines(root.root / V001, ["[]"])

    listing = list_datasets(root)
    assert listing.frame.select("file", "state").rows() == [
        ("copies/research_dataset_v001.jsonl", "open"),
        ("research_dataset_v001.jsonl", "name taken"),
    ]
    assert "stands for copies/research_dataset_v001.jsonl" in listing.errors[0].message
    assert new_dataset(root) == root.root / V002


# Differences


def value(label: str, final_pnl: float, killed: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "label": label, "profile": "balanced", "final_pnl": final_pnl, "max_drawdown": -final_pnl / 10,
        "kill_switch": killed, **more,
    }  # fmt: skip


def test_the_change_of_each_metric_with_its_uncertainty(root: Warehouse) -> None:
    """Means 2.5 and 6, variances 5/3 and 1: standard error sqrt(5/12 + 1/3), 4.96 degrees of freedom, t(4) = 2.7764."""
    write_lines(root.root / V001, [value("a", 1, True), value("b", 2), value("c", 3), value("d", 4, True)])
    write_lines(root.root / V002, [value("e", 5, True), value("f", 7), value("g", 6)])
    rows = {row["metric"]: row for row in diff_datasets(root, "v001", "v002").metrics.to_dicts()}

    assert list(rows) == ["final_pnl", "max_drawdown", "kill_frac"]
    pnl = rows["final_pnl"]
    assert (pnl["profile"], pnl["n_a"], pnl["n_b"]) == ("balanced", 4, 3)
    assert (pnl["mean_a"], pnl["mean_b"], pnl["change"], pnl["std_err"]) == (2.5, 6.0, 3.5, pytest.approx(0.75**0.5))
    assert (pnl["low"], pnl["high"]) == (
        pytest.approx(3.5 - 2.7764451052 * 0.75**0.5),
        pytest.approx(3.5 + 2.7764451052 * 0.75**0.5),
    )
    assert pnl["is_clear"] is True
    assert rows["max_drawdown"]["change"] == pytest.approx(0.35)  # magnitudes


def test_runs_of_the_same_seeds_are_compared_in_pairs(root: Warehouse) -> None:
    """Differences 2, 2, 2.5 and 2: mean 2.125, standard error 0.25 / 2, three degrees of freedom, t(3) = 3.1824."""
    a, b = (1.0, 20.0, 300.0, 4000.0), (3.0, 22.0, 302.5, 4002.0)
    write_lines(root.root / V001, [value(f"a{i}", pnl, seed=i) for i, pnl in enumerate(a)])
    # In another order: the seed counts, and not the line.
    write_lines(root.root / V002, [value(f"b{i}", pnl, seed=i) for i, pnl in reversed(list(enumerate(b)))])
    pnl = diff_datasets(root, "v001", "v002").metrics.to_dicts()[0]
    assert (pnl["pairs"], pnl["change"], pnl["std_err"]) == (4, pytest.approx(2.125), pytest.approx(0.125))
    assert pnl["low"] == pytest.approx(2.125 - 3.1824463053 * 0.125)
    # A seed that only one side has: no pairs.
    write_lines(root.root / V002, [value(f"b{i}", pnl, seed=i + 1) for i, pnl in enumerate(b)])
    pnl = diff_datasets(root, "v001", "v002").metrics.to_dicts()[0]
    assert (pnl["pairs"], pnl["is_clear"]) == (0, False)


def test_the_kill_fraction_has_the_interval_of_newcombe(root: Warehouse) -> None:
    """56 of 70 against 48 of 80, the worked example of Newcombe (1998): 0.2 with 95 % interval 0.0524 to 0.3339."""
    write_lines(root.root / V001, [value(f"a{i}", i, i < 48) for i in range(80)])
    write_lines(root.root / V002, [value(f"b{i}", i, i < 56) for i in range(70)])
    kill = diff_datasets(root, "v001", "v002").metrics.filter(metric="kill_frac").to_dicts()[0]

    assert kill["change"] == pytest.approx(0.2)
    assert (round(kill["low"], 4), round(kill["high"], 4)) == (0.0524, 0.3339)
    assert kill["is_clear"] is True


def test_identical_repeats_count_once_and_no_spread_is_no_certainty(root: Warehouse) -> None:
    write_lines(root.root / V001, [value("a", 1, evidence_id="e1"), value("b", 1, evidence_id="e1")])
    write_lines(root.root / V002, [value("c", 5, evidence_id="e2"), value("d", 5, evidence_id="e3")])
    pnl = diff_datasets(root, "v001", "v002").metrics.to_dicts()[0]
    columns = ("n_a", "n_b", "change", "std_err", "low", "high", "is_clear")
    assert [pnl[name] for name in columns] == [1, 2, 4.0, None, None, None, None]

    write_lines(root.root / V001, [value("a", 1, evidence_id="e1"), value("b", 1, evidence_id="e4")])
    pnl = diff_datasets(root, "v001", "v002").metrics.to_dicts()[0]
    assert [pnl[name] for name in columns] == [2, 2, 4.0, 0.0, None, None, None]


def test_a_profile_that_one_dataset_lacks_has_no_change(root: Warehouse) -> None:
    write_lines(root.root / V001, [value("a", 1)])
    write_lines(root.root / V002, [value("a", 1), value("b", 2, profile=" Aggressive")])
    rows = diff_datasets(root, "v001", "v002").metrics.filter(metric="final_pnl").to_dicts()

    assert [(row["profile"], row["n_a"], row["n_b"], row["mean_a"], row["change"]) for row in rows] == [
        ("aggressive", 0, 1, None, None),
        ("balanced", 1, 1, 1.0, 0.0),
    ]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"run_id": "1", "label": "x"}, {"run_id": "1", "label": "y"}),
        ({"run_id": "1", "label": "x", "telemetry_path": "t"}, {"label": "x", "telemetry_path": "t"}),
        ({"label": "x", "telemetry_path": "t"}, {"label": "x"}),
        ({"label": "x"}, {"label": "x"}),
        ({}, {}),
    ],
)
def test_runs_that_are_the_same(root: Warehouse, a: dict[str, Any], b: dict[str, Any]) -> None:
    metrics = {"profile": "balanced", "final_pnl": 1, "max_drawdown": 2}
    write_lines(root.root / V001, [metrics | a])
    write_lines(root.root / V002, [metrics | b])
    assert diff_datasets(root, "v001", "v002").runs.is_empty()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"run_id": "1", "label": "x"}, {"run_id": "2", "label": "x"}),
        ({"label": "x", "telemetry_path": "t"}, {"label": "x", "telemetry_path": "u"}),
        ({"label": "x"}, {"label": "x", "profile": "aggressive"}),
        ({"note": 1}, {"note": 2}),
    ],
)
def test_runs_that_differ(root: Warehouse, a: dict[str, Any], b: dict[str, Any]) -> None:
    metrics = {"profile": "balanced", "final_pnl": 1, "max_drawdown": 2}
    write_lines(root.root / V001, ["{}", metrics | a])
    write_lines(root.root / V002, [metrics | b])
    assert diff_datasets(root, "v001", "v002").runs.select("change", "line_no").rows() == [("added", 1), ("missing", 2)]


def test_the_reference_engine_and_lines_left_out_are_warned_about(root: Warehouse) -> None:
    write_lines(root.root / V001, [value("a", 1, engine="reference"), "{}"])
    write_lines(root.root / V002, [value("b", 1)])
    assert diff_datasets(root, "v001", "v002").warnings == (
        "research_dataset_v001.jsonl: 1 lines are no runs, left out",
        "runs of the reference engine meet runs of a real engine: their metrics do not compare",
    )


def test_two_empty_datasets_do_not_differ(root: Warehouse) -> None:
    write_lines(root.root / V001, [])
    write_lines(root.root / V002, [])
    made = diff_datasets(root, "v001", "v002")
    assert (made.runs.height, made.metrics.height, made.warnings) == (0, 0, ())


# Faults


def export(root: Warehouse, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "paraphina_wh", "--root", str(root.root), "export", "dataset", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("cut", [1, 30, 500, 1100, 1500, 1900])
def test_an_append_cut_off_at_any_byte_is_finished_by_the_next(root: Warehouse, cut: int) -> None:
    """What a kill in the middle of the write leaves: the first bytes of the new rows."""
    file = root.root / V001
    add_runs(root, [run("a")])
    append_research_rows(root, file)
    old = file.read_bytes()
    add_runs(root, [run("b", 1), run("c", 2)])
    append_research_rows(root, file)
    new = file.read_bytes()

    newest = max((root.datasets / "dataset=research_dataset_v001").iterdir())
    newest.unlink()  # the rows were never mirrored
    file.write_bytes(new[: len(old) + cut])
    append_research_rows(root, file)
    assert file.read_bytes() == new
    assert regenerate(root, file.stem) == new


def test_killed_at_random_moments_and_repeated(root: Warehouse) -> None:
    add_runs(root, [run(f"r{i:02d}", i) for i in range(30)])
    file = root.root / V001
    started = time.monotonic()
    assert export(root).wait() == 0
    whole = time.monotonic() - started
    undisturbed = file.read_bytes()

    moments = random.Random(5)
    for is_lost in (False, True) * 2:
        restart(root, file, is_lost)
        process = export(root)
        time.sleep(moments.uniform(0.4, 1.0) * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # What a lost file held comes back whole or not at all; a new one may still be empty.
        assert (file.read_bytes() if file.exists() else None) in (None, undisturbed, *([] if is_lost else [b""]))
        assert states(root) in ({}, {file.stem: "open"}, *([{file.stem: "missing"}] if is_lost else []))
        append_research_rows(root, file)
        assert file.read_bytes() == undisturbed
        assert regenerate(root, file.stem) == undisturbed


def restart(root: Warehouse, file: Path, is_lost: bool) -> None:
    """Take the dataset away: the file alone if it is to be lost, else the mirror too."""
    file.unlink()
    for batch in [] if is_lost else (root.datasets / f"dataset={file.stem}").iterdir():
        batch.unlink()
