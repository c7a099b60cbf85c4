"""`status`: what a warehouse holds, and what deserves a look."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from paraphina_wh.catalog import macros_sql, sql_folder
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.status import SECTIONS, read_status
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.records import line, run_of

DQ = ("pnl_sum", "inventory_sum", "dollar_delta", "basis", "basis_gross")
DQ_OF_LISTS = ("realised_fills", "order_count", "t_contiguous", "kill")


@pytest.mark.usefixtures("empty_warehouse")
def test_an_empty_warehouse(invoke: Invoke) -> None:
    result = invoke("status", "--format", "json")
    assert json.loads(result.stdout) == {
        "totals": [
            {
                "runs": 0,
                "ok": 0,
                "failed": 0,
                "ticks": 0,
                "bytes_in": 0,
                "bytes_stored": 0,
                "experiments": 0,
                "datasets": 0,
                "last_ingest": None,
            }
        ],
        "experiments": [],
        "datasets": [],
        "imported": [],
        "unknown_fields": [],
        "problems": [],
    }
    assert result.stderr == (
        "no runs yet: `paraphina-wh ingest PATH` takes some in, `paraphina-wh run exp13` makes some\n"
    )
    assert result.exit_code == 0


def test_runs_unknown_fields_and_problems(warehouse: Warehouse) -> None:
    cut = warehouse.root / "balanced_r1.jsonl"
    cut.write_bytes(run_of(3)[:-20])
    bad = warehouse.root / "balanced_r2.jsonl"
    bad.write_bytes(line(t=0, later=1) + line(t=1, pnl_total=None) + line(t=2, fills=[{"rank": 1}], later="a"))
    ingest_paths(warehouse, [cut, bad], Options(on_error="quarantine"))
    found = read_status(warehouse)
    totals = found["totals"].row(0, named=True)
    assert (totals["runs"], totals["ok"], totals["ticks"]) == (2, 2, 4)
    assert totals["bytes_in"] == cut.stat().st_size + bad.stat().st_size
    unknown = found["unknown_fields"].select("path", "runs", "records", "types", "first_line")
    assert unknown.rows() == [("fills[].rank", 1, 1, "number", 3), ("later", 1, 2, "number, string", 1)]
    problems = [(row["problem"], row["label"], row["detail"]) for row in found["problems"].iter_rows(named=True)]
    (run_id,) = found["problems"].filter(problem="quarantined lines")["run_id"]
    look = f"1 of 3 lines: paraphina-wh quarantine show {run_id[:12]}"
    assert ("quarantined lines", "exp13_balanced_r002", look) in problems
    assert ("cut-off telemetry", "exp13_balanced_r001", "the last line of balanced_r1.jsonl is cut off") in problems


def run(run_id: str, **edits: Any) -> dict[str, Any]:
    """Return a row of the view `runs`, as far as the problems look at it."""
    healthy = {
        "run_id": run_id,
        "profile": "balanced",
        "label": run_id,
        "status": "ok",
        "error": None,
        "ingested_at": datetime(2026, 1, 1, tzinfo=UTC),
        "quarantined": 0,
        "lines": 10,
        "truncated": False,
        "telemetry_path": f"{run_id}.jsonl",
    }
    return {**healthy, **{f"dq_{name}": True for name in (*DQ, *DQ_OF_LISTS, "stdout")}, **edits}


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ([run("a"), run("b")], []),
        ([run("a", status="timeout")], [("failed run", "a", "timeout")]),
        ([run("a", status="failed", error="returncode 3")], [("failed run", "a", "returncode 3")]),
        (
            [run("a", label="x"), run("b", label="x"), run("c", label="x", profile="aggressive")],
            [
                ("two live runs of one profile and label", "a", "ingested 2026-01-01T00:00:00+00:00"),
                ("two live runs of one profile and label", "b", "ingested 2026-01-01T00:00:00+00:00"),
            ],
        ),
        (
            [run("a", quarantined=2)],
            [("quarantined lines", "a", "2 of 10 lines: paraphina-wh quarantine show a")],
        ),
        (
            [run("a", quarantined=1, truncated=True)],
            [("cut-off telemetry", "a", "the last line of a.jsonl is cut off")],
        ),
        (
            [run("a", dq_kill=False, dq_basis=False, dq_pnl_sum=None)],
            [("identity of the engine broken", "a", "dq_basis, dq_kill")],
        ),
    ],
)
def test_problems(rows: list[dict[str, Any]], problems: list[tuple[str, str, str]]) -> None:
    with duckdb.connect(":memory:") as connection:
        connection.register("runs", pl.DataFrame(rows, infer_schema_length=None).cast({"error": pl.String}))
        connection.execute(macros_sql())
        query = (sql_folder() / "status" / "problems.sql").read_text()
        found = connection.sql(query).project("problem, run_id, detail").fetchall()
    assert found == problems


@pytest.mark.usefixtures("empty_warehouse")
def test_each_section_has_its_place_in_every_form(invoke: Invoke) -> None:
    markdown = invoke("status", "--format", "markdown").stdout
    assert [text[3:] for text in markdown.splitlines() if text.startswith("## ")] == list(SECTIONS)
    table = invoke("status").stdout
    assert [text for text in table.splitlines() if text in SECTIONS] == list(SECTIONS)
    assert json.loads(invoke("status", "--format", "jsonl").stdout)["section"] == "totals"


def test_a_table_folder_that_was_removed_is_empty_and_nothing_breaks(
    invoke: Invoke, warehouse: Warehouse, tiny_run: Path
) -> None:
    ingest_paths(warehouse, [tiny_run])
    shutil.rmtree(warehouse.path / "summaries")
    shutil.rmtree(warehouse.path / "datasets")
    shown = invoke("status")
    assert shown.exit_code == 0, shown.stderr
    assert invoke("query", "select count(*) as n from imported_summaries", "--format", "csv").stdout == "n\n0\n"
