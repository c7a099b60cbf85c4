"""The doors: what is no warehouse, a damaged one, or no place of this machine is refused, and nothing is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import paraphina_wh as wh
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import PROJECT, Invoke
from tests.records import run_of
from tests.telemetry_maker import ask, ingest, write

READERS = (
    *("status", "compact", "gc", "repair", "check", "drift", "drift promote x", "forget x", "rerun x"),
    *("quarantine list", "quarantine show x", "quarantine replay --all", "quarantine drop x"),
    *("export dataset", "export runs", "export all", "dataset list", "dataset restore v001"),
    *("query runs", "query runs --untrusted"),
)


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    """Return a warehouse with one run of two ticks."""
    write(warehouse.root / "in" / "balanced_r1.jsonl", run_of(2))
    ingest(warehouse, warehouse.root / "in")
    return warehouse


# No warehouse


@pytest.mark.parametrize("arguments", READERS)
def test_what_reads_refuses_a_folder_without_a_warehouse(invoke: Invoke, tmp_path: Path, arguments: str) -> None:
    words = ["FROM runs" if word == "runs" and arguments.startswith("query") else word for word in arguments.split()]
    result = invoke(*words)
    assert result.stderr == (
        f"error: no warehouse in {tmp_path}/warehouse\n"
        "hint: name it with --root or --warehouse; `paraphina-wh ingest PATH` or `paraphina-wh run exp13` creates it\n"
    )
    assert (result.stdout, result.exit_code, list(tmp_path.iterdir())) == ("", 2, [])


def test_the_readme_that_the_repository_ships_makes_no_warehouse(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "warehouse" / "README.md", (PROJECT / "warehouse" / "README.md").read_bytes())
    assert invoke("status").exit_code == 2
    write(tmp_path / "balanced_r1.jsonl", run_of(2))
    assert invoke("ingest", "balanced_r1.jsonl").exit_code == 0
    assert invoke("check").exit_code == 0


def test_datasets_of_older_tools_are_listed_and_summarised_before_there_is_a_warehouse(
    invoke: Invoke, tmp_path: Path
) -> None:
    row = '{"label": "a", "profile": "balanced", "final_pnl": 1.0, "max_drawdown": 0.0, "num_ticks": 5}\n'
    write(tmp_path / "research_dataset_v001.jsonl", row.encode())
    listed = json.loads(invoke("dataset", "list", "--format", "json").stdout)
    assert [(each["dataset"], each["runs"]) for each in listed] == [("research_dataset_v001", 1)]
    assert invoke("summary").exit_code == 0


# A lost or damaged FORMAT


@pytest.mark.parametrize("content", [None, b"", b"\0\0\0\0", b"x1\n", "\N{SUPERSCRIPT ONE}\n".encode()])
def test_a_lost_or_damaged_format_is_damage_and_repair_puts_it_back(
    invoke: Invoke, filled: Warehouse, content: bytes | None
) -> None:
    file = filled.path / "FORMAT"
    before = file.read_bytes()
    file.unlink() if content is None else file.write_bytes(content)
    said = f"{file} is gone, and the folder holds data" if content is None else f"{file} is damaged: it holds no number"
    for arguments in (["query", "SELECT count(*) FROM runs"], ["status"], ["ingest", "in"], ["gc"], ["run", "exp07"]):
        result = invoke(*arguments)
        assert result.stderr.startswith(f"error: {said}"), arguments
        assert "`paraphina-wh repair` puts it back" in result.stderr
        assert (result.stdout, result.exit_code) == ("", 1)
    checked = invoke("check", "--format", "json")
    assert [(each["problem"], each["path"]) for each in json.loads(checked.stdout)] == [
        ("missing" if content is None else "changed", "FORMAT")
    ]
    assert checked.exit_code == 1
    repaired = invoke("repair", "--format", "json")
    assert [(each["result"], each["path"]) for each in json.loads(repaired.stdout)] == [("restored", "FORMAT")]
    assert invoke("check").exit_code == 0
    assert ask(filled, "SELECT count(*) FROM runs") == [(1,)]
    assert file.read_bytes() == before


def test_a_folder_in_the_place_of_format_is_damage(invoke: Invoke, filled: Warehouse) -> None:
    file = filled.path / "FORMAT"
    file.unlink()
    file.mkdir()
    assert (invoke("status").exit_code, invoke("check").exit_code) == (1, 1)
    repaired = invoke("repair")
    assert repaired.stderr.startswith(f"error: {file} is damaged: it is a folder\nhint: move it away")
    file.rmdir()
    assert invoke("repair").exit_code == 0
    assert ask(filled, "SELECT count(*) FROM runs") == [(1,)]


def test_an_open_warehouse_notices_that_its_format_is_lost(filled: Warehouse) -> None:
    opened = wh.open(filled.root)
    (filled.path / "FORMAT").unlink()
    with pytest.raises(WarehouseError, match="FORMAT is gone"):
        opened.view("runs")
    assert opened.check()["path"].to_list() == ["FORMAT"]


def test_a_kill_before_format_was_written_is_no_damage(warehouse: Warehouse, empty_warehouse: Warehouse) -> None:
    (empty_warehouse.path / "FORMAT").unlink()
    assert not warehouse.exists
    write(warehouse.root / "balanced_r1.jsonl", run_of(2))
    assert [outcome.status for outcome in ingest(warehouse, warehouse.root / "balanced_r1.jsonl")] == ["ingested"]


# Addresses


@pytest.mark.parametrize(
    "arguments",
    [
        *("--root s3://bucket status", "--warehouse s3://bucket/wh ingest in", "ingest s3://bucket/a.jsonl"),
        *("ingest in https://host/a.jsonl", "query runs -o s3://bucket/a.csv", "export alignment -o gs://bucket/a"),
        *("summary --dataset s3://bucket/d.jsonl", "run exp11 --dataset s3://bucket/d.jsonl"),
        *("run exp07 --runs-csv s3://bucket/a.csv", "run exp07 --out-dir s3://bucket/a", "rerun x -o file:///tmp/a"),
        *(
            "run exp13 --dataset s3://b/d.jsonl --dry-run",
            "dataset restore s3://bucket/d",
            "query -f s3://bucket/q.sql",
        ),
    ],
)
def test_an_address_is_no_path(invoke: Invoke, filled: Warehouse, arguments: str) -> None:
    before = sorted(filled.root.rglob("*"))
    result = invoke(*arguments.split())
    assert " addresses cannot be read or written\nhint: name a file or folder of this machine" in result.stderr
    assert (result.stdout, result.exit_code) == ("", 2)
    assert sorted(filled.root.rglob("*")) == before


def test_the_python_api_takes_no_address_either(filled: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = wh.open(filled.root)
    monkeypatch.chdir(filled.root)
    for ask_for in (
        lambda: wh.open("s3://bucket"),
        lambda: locate(filled.root, "s3://bucket/wh"),
        lambda: opened.ingest("s3://bucket/a.jsonl"),
        lambda: opened.alignment("s3://bucket/d.jsonl"),
    ):
        with pytest.raises(WarehouseError, match="s3 addresses cannot be read") as caught:
            ask_for()
        assert caught.value.exit_code == 2
