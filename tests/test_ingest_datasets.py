"""Research datasets of earlier versions: mirrored line by line, whatever names their columns go by."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from paraphina_wh.ingest.kinds import kind_of
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.records import GOOD, line, record
from tests.telemetry_maker import ask, files_below, ingest, verdicts, write

OLD = """\
{"label": "a", "tier": "balanced", "metrics.final_pnl": 1.5, "metrics.max_drawdown": -2, "p_kill_switch": 0.25}
oops
{"label": "b", "profile": "aggressive", "final_pnl": NaN, "max_drawdown": 1, "kill": 1}
"""


def test_lines_go_in_by_the_names_of_other_tools(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "research_run_001.jsonl", OLD))
    assert (outcome.status, outcome.run_id, outcome.ticks, outcome.bytes) == ("ingested", None, 0, len(OLD))
    assert (outcome.notices, outcome.warnings) == (["2 runs"], ["1 lines that are no runs"])
    assert ask(
        warehouse,
        "SELECT dataset, label, profile, final_pnl, max_drawdown, kill_prob FROM dataset_rows WHERE is_run "
        "ORDER BY line_no",
    ) == [
        ("research_run_001", "a", "balanced", 1.5, -2.0, 0.25),
        ("research_run_001", "b", "aggressive", None, 1.0, 1.0),
    ]
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(0,)]


def test_again_changes_nothing_and_new_lines_are_added(warehouse: Warehouse) -> None:
    file = write(warehouse.root / "old.jsonl", OLD)
    ingest(warehouse, file)
    before = files_below(warehouse.path)
    assert verdicts(ingest(warehouse, file)) == {"old.jsonl": "unchanged"}
    assert files_below(warehouse.path) == before
    write(file, OLD + OLD.splitlines()[0] + "\n")
    (outcome,) = ingest(warehouse, file)
    assert (outcome.status, outcome.notices) == ("ingested", ["3 runs, 1 lines new"])
    assert file.read_text() == OLD + OLD.splitlines()[0] + "\n"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("old.jsonl", OLD.encode(), "dataset"),
        ("old.jsonl", b"oops\n" + OLD.encode(), "dataset"),
        ("research_dataset_v001.jsonl", b"{}\n", "dataset"),
        ("run.jsonl", line(), "telemetry"),
        ("run.jsonl", line(max_drawdown=1.0), "telemetry"),
        ("run.jsonl", b"oops\n", "telemetry"),
        ("metrics.jsonl", b"{}\n", "unknown"),
    ],
)
def test_the_content_tells_a_dataset_from_telemetry(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    assert kind_of(write(tmp_path / name, content)) == kind


def test_telemetry_that_lacks_its_index_is_judged_as_telemetry(warehouse: Warehouse) -> None:
    lacking = {name: value for name, value in record().items() if name != "t"}
    assert "max_drawdown" not in GOOD
    (outcome,) = ingest(warehouse, write(warehouse.root / "a.jsonl", line(base=lacking)), profile="balanced")
    assert (outcome.status, outcome.errors) == ("rejected", ["line 1: t: required field is missing"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("research_dataset_v001.jsonl", b'{"label": "x"}\n', "holds no runs"),
        ("old.jsonl.gz", gzip.compress(OLD.encode()), "a packed dataset cannot be appended to"),
    ],
)
def test_what_is_no_dataset_after_all(warehouse: Warehouse, name: str, content: bytes, said: str) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / name, content))
    assert (outcome.status, outcome.error_count) == ("rejected", 1)
    assert outcome.errors[0].endswith(f"{name}: {said}")


def test_a_changed_dataset_is_turned_down_and_does_not_stop_the_others(warehouse: Warehouse) -> None:
    file = write(warehouse.root / "old.jsonl", OLD)
    ingest(warehouse, file)
    write(file, OLD.replace('"b"', '"c"'))
    write(warehouse.root / "other.jsonl", OLD)
    report = ingest(warehouse, warehouse.root)
    assert verdicts(report) == {"old.jsonl": "rejected", "other.jsonl": "ingested"}
    assert "line 3" in report[0].errors[0]


def test_the_command_line_counts(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "old.jsonl", OLD)
    result = invoke("ingest", "old.jsonl", "--format", "csv")
    assert result.stdout == f"file,run_id,status,ticks,bytes\nold.jsonl,,ingested,0,{len(OLD)}\n"
    assert result.stderr == "old.jsonl: 2 runs\nwarning: old.jsonl: 1 lines that are no runs\n1 ingested\n"
    assert result.exit_code == 0
