"""A line may have so many bytes, whichever way its file is read: 64 MiB, or what PARAPHINA_WH_MAX_LINE says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Invoke
from tests.records import GOOD, MC_RUN, line

LIMIT = 1000


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", str(LIMIT))


def of_size(size: int, base: Mapping[str, Any] = GOOD, **edits: Any) -> bytes:
    """Return a good line of so many bytes, its newline not counted."""
    return line(base=base, **edits, kill_reason="x" * (size - len(line(base=base, **edits, kill_reason="")) + 1))


ROOMS = {"below": -1, "at": 0, "above": 1}


def files(base: Mapping[str, Any], index: str) -> dict[str, bytes]:
    """Return files of three lines, the second of them below, at and above the limit."""
    first, last = line({index: 0}, base), line({index: 2}, base)
    return {name: first + of_size(LIMIT + room, base, **{index: 1}) + last for name, room in ROOMS.items()}


SAYS = f"longer than the limit of {LIMIT} bytes: {LIMIT + 1}"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
@pytest.mark.parametrize(("name", "base", "index"), [("run.jsonl", GOOD, "t"), ("mc_runs.jsonl", MC_RUN, "run_index")])
def test_check_keeps_the_limit(
    invoke: Invoke, tmp_path: Path, pack: Any, name: str, base: Mapping[str, Any], index: str
) -> None:
    for place, content in files(base, index).items():
        (tmp_path / place).mkdir()
        (tmp_path / place / name).write_bytes(pack(content))
    result = invoke("check", *(f"{place}/{name}" for place in ROOMS))
    said = result.stdout.splitlines()
    assert [text.split(" in ")[0] for text in said[:3]] == ["OK: 3 records", "OK: 3 records", "FAILED: 1 errors"]
    assert said[3:] == [f"line 2: record: {SAYS}"]
    assert result.exit_code == 1


def test_ingest_keeps_the_limit(invoke: Invoke, tmp_path: Path) -> None:
    for place, content in files(GOOD, "t").items():
        (tmp_path / f"{place}.jsonl").write_bytes(content)
        (tmp_path / f"packed_{place}.jsonl.gz").write_bytes(gzip.compress(content))
    for place, content in files(MC_RUN, "run_index").items():
        (tmp_path / place).mkdir()
        (tmp_path / place / "mc_runs.jsonl").write_bytes(content)
    result = invoke("ingest", ".", "--profile", "balanced", "--jobs", "1", "--format", "json")
    verdicts = {row["file"]: row["status"] for row in json.loads(result.stdout)}
    above = ["above.jsonl", "above/mc_runs.jsonl", "packed_above.jsonl.gz"]
    assert len(verdicts) == 9
    assert sorted(file for file, status in verdicts.items() if status == "rejected") == above
    for file in above:
        assert f"error: {file}: line 2: {SAYS}\n" in result.stderr


def test_the_deep_check_does_not_mind_that_a_limit_has_grown(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(files(GOOD, "t")["above"])
    invoke("ingest", "a.jsonl", "--profile", "balanced", "--on-error", "quarantine")
    monkeypatch.delenv("PARAPHINA_WH_MAX_LINE")
    deep = invoke("check", "--deep")
    assert "1 sources are gone, or give other runs today" in deep.stderr
    assert deep.exit_code == 0


def test_a_limit_that_is_no_number_is_wrong_usage(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(line(t=0))
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", "abc")
    assert invoke("ingest", "a.jsonl", "--profile", "balanced").exit_code == 2
    assert invoke("check", "a.jsonl").exit_code == 2
    assert not (tmp_path / "warehouse").exists()


def test_a_line_beyond_the_limit_is_put_aside_with_its_start(invoke: Invoke, tmp_path: Path) -> None:
    long = b"{" + b"x" * 200_000
    (tmp_path / "a.jsonl").write_bytes(line(t=0) + long + b"\n" + line(t=1))
    (tmp_path / "mc_runs.jsonl").write_bytes(line(base=MC_RUN) + long + b"\n" + line(base=MC_RUN, run_index=1))
    result = invoke("ingest", ".", "--profile", "balanced", "--on-error", "quarantine", "--format", "json")
    assert [row["status"] for row in json.loads(result.stdout)] == ["quarantined 1", "quarantined 1"]
    kept = [json.loads(text) for file in (tmp_path / "warehouse/quarantine").iterdir() for text in file.open()]
    for entry in kept:
        assert entry["raw"].encode() == long[: 1 << 16]
        assert entry["reasons"] == [{"field": "", "reason": f"longer than the limit of {LIMIT} bytes: {len(long)}"}]
    assert sorted((entry["file"], entry["line"], entry["offset"]) for entry in kept) == [
        ("a.jsonl", 2, len(line(t=0))),
        ("mc_runs.jsonl", 2, len(line(base=MC_RUN))),
    ]


def test_a_limit_that_is_no_number_exits_2(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", "1 MB")
    (tmp_path / "run.jsonl").write_bytes(line(t=0))
    result = invoke("check", "run.jsonl")
    assert result.stdout.splitlines()[1] == "PARAPHINA_WH_MAX_LINE=1 MB is no number of bytes from 1 to 1073741824"
    assert result.exit_code == 2
