"""`--split-on-reset`: a file to which several runs were appended, cut where t starts again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.split import MOST_STRETCHES, split_on_reset
from paraphina_wh.ingest.task import Task
from tests.conftest import Invoke
from tests.records import line, run_of


def pieces(folder: Path, content: bytes, most: int = MOST_STRETCHES) -> list[bytes]:
    """Split a file and return the content of the tasks."""
    source, staging = folder / "run.jsonl", folder / "staging"
    source.write_bytes(content)
    staging.mkdir(exist_ok=True)
    task = Task(source=str(source), origin="run.jsonl", profile="balanced", label="a", experiment="adhoc", size_bytes=0)
    tasks = split_on_reset(task, staging, most)
    assert [each.label for each in tasks] == ["a", *(f"a_s{n}" for n in range(2, len(tasks) + 1))]
    assert [each.origin for each in tasks] == ["run.jsonl", *(f"run.jsonl#s{n}" for n in range(2, len(tasks) + 1))]
    found = [Path(each.source or "").read_bytes() for each in tasks]
    if len(tasks) > 1:
        assert [each.size_bytes for each in tasks] == list(map(len, found))
    return found


@pytest.mark.parametrize(
    "runs",
    [
        [run_of(3)],
        [run_of(3), run_of(2), run_of(1)],
        [run_of(2), run_of(2)[:-30]],
        [b"\n" + run_of(2) + b"\n", run_of(2) + b"{\n\n" + line(t=2)],
        [run_of(2) + line(t="0") + line(t=None) + line(t=1), run_of(1)],
        [line(t=1) + line(t=1) + line(t=2.0), line(t=1.5)],
        [line(t=2**70), line(t=0)],
        [b"{}\n", b""][:1],
        [b"no telemetry at all"],
        [b""],
    ],
)
def test_a_file_is_cut_where_t_falls_and_nowhere_else(tmp_path: Path, runs: list[bytes]) -> None:
    assert pieces(tmp_path, b"".join(runs)) == runs


def test_a_second_file_keeps_the_pieces_of_the_first(tmp_path: Path) -> None:
    first = pieces(tmp_path, run_of(2) + run_of(3))
    assert pieces(tmp_path, run_of(2) + run_of(1)) == [run_of(2), run_of(1)]
    assert [(tmp_path / "staging" / f"stretch{n}.jsonl").read_bytes() for n in (0, 1)] == first
    assert len(list((tmp_path / "staging").iterdir())) == 4


@pytest.mark.parametrize("size", [999, 1000, 1001, 1002, 5000, 700_000])
def test_a_line_of_any_size_is_copied_as_it_is(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", "1000")
    long = b'{"t":0,"x":"' + b"x" * (size - 14) + b'"}'
    assert len(long) == size
    before = run_of(2)
    # A line within the limit begins a stretch; of one beyond it nobody says what it is.
    expected = [before, long + b"\n" + line(t=1)] if size <= 1000 else [before + long + b"\n" + line(t=1)]
    if size == 1001:
        expected = [before, long + b"\n" + line(t=1)]
    assert pieces(tmp_path, before + long + b"\n" + line(t=1)) == expected


def test_the_end_of_a_line_beyond_the_limit_is_not_taken_for_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", "1000")
    content = run_of(2) + b"x" * 1001 + line(t=0) + line(t=2)
    assert pieces(tmp_path, content) == [content]


def test_a_file_that_starts_again_and_again_is_turned_down(tmp_path: Path) -> None:
    assert MOST_STRETCHES == 10_000
    assert len(pieces(tmp_path, run_of(2) * 3, most=3)) == 3
    with pytest.raises(WarehouseError) as raised:
        pieces(tmp_path, run_of(2) * 4, most=3)
    assert raised.value.message == f"{tmp_path}/run.jsonl: more than 3 stretches of rising t"
    assert raised.value.hint == "is it the telemetry of runs?"


def test_a_line_beyond_the_limit_is_put_aside_in_its_stretch(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", "1000")
    content = run_of(2) + line(t=2, later="x" * 1000) + run_of(3)
    (tmp_path / "a.jsonl").write_bytes(content)
    options = ("--profile", "balanced", "--split-on-reset", "--format", "json")
    result = invoke("ingest", "a.jsonl", *options)
    assert [(row["file"], row["status"]) for row in json.loads(result.stdout)] == [
        ("a.jsonl", "rejected"),
        ("a.jsonl#s2", "ingested"),
    ]
    result = invoke("ingest", "a.jsonl", "--on-error", "quarantine", *options)
    assert [(row["status"], row["ticks"]) for row in json.loads(result.stdout)] == [
        ("quarantined 1", 2),
        ("unchanged", 3),
    ]
