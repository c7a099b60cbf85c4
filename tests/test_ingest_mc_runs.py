"""Runs of the Monte Carlo harness: strictly read, exact seeds, a table of their own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.check import check_file
from paraphina_wh.ingest.kinds import kind_of
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.records import MC_RUN, line
from tests.telemetry_maker import ask, ask_one, files_below, ingest, write


def mc(**fields: Any) -> bytes:
    return line(base=MC_RUN, **fields)


TWO = mc(run_index=5, kill_tick=3, kill_switch=True) + mc(run_index=6, seed=0, rank=1)


def test_runs_go_in_as_they_are(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "mc" / "mc_runs.jsonl", TWO))
    assert (outcome.status, outcome.run_id, outcome.ticks, outcome.bytes) == ("ingested", None, 0, len(TWO))
    assert (outcome.notices, outcome.warnings) == (["2 Monte Carlo runs"], [])
    assert ask(
        warehouse,
        "SELECT source_path, run_index, seed, pnl_total, max_drawdown, kill_switch, kill_tick, kill_reason, "
        "ticks_executed, max_abs_q_tao, extra FROM mc_runs ORDER BY run_index",
    ) == [
        ("mc/mc_runs.jsonl", 5, 2**64 - 1, -3.5, 4.0, True, 3, "None", 10, None, None),
        ("mc/mc_runs.jsonl", 6, 0, -3.5, 4.0, False, None, "None", 10, None, '{"rank":1}'),
    ]
    assert ask_one(warehouse, "SELECT typeof(seed) AS seed FROM mc_runs LIMIT 1") == {"seed": "UBIGINT"}


def test_they_are_pooled_with_nothing(warehouse: Warehouse) -> None:
    ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", TWO))
    for view in ("runs", "ticks", "dataset_rows", "research_rows"):
        assert ask(warehouse, f"SELECT count(*) FROM {view}") == [(0,)], view


@pytest.mark.parametrize("name", ["mc_runs.jsonl", "shard_3.ndjson", "mc_runs.jsonl.gz"])
def test_the_content_or_the_name_tells(tmp_path: Path, name: str) -> None:
    assert kind_of(write(tmp_path / name, gzip.compress(TWO) if name.endswith(".gz") else TWO)) == "mc_runs"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (mc(seed=-1), "line 2: seed: integer out of range: -1"),
        (mc(seed=2**64), f"line 2: seed: integer out of range: {2**64}"),
        (mc(run_index=0), "line 2: run_index: 0 is not above the previous 0"),
        (mc(run_index=1, pnl_total=None), "line 2: pnl_total: expected number, got null"),
        (mc(run_index=1, schema_version=2), "line 2: schema_version: 2 is not 1"),
    ],
)
def test_a_bad_line_is_named_as_the_gate_names_it(warehouse: Warehouse, bad: bytes, said: str) -> None:
    file = write(warehouse.root / "mc_runs.jsonl", mc() + bad)
    (outcome,) = ingest(warehouse, file)
    assert outcome.status == "rejected"
    assert outcome.errors == check_file(file).lines
    assert outcome.errors[0].startswith(said.partition(": ")[0])
    assert said.split(": ")[1] in outcome.errors[0]
    assert ask(warehouse, "SELECT count(*) FROM mc_runs") == [(0,)]


def test_quarantine_keeps_the_good_lines(warehouse: Warehouse) -> None:
    file = write(warehouse.root / "mc_runs.jsonl", mc() + b"oops\n" + mc(run_index=2))
    (outcome,) = ingest(warehouse, file, on_error="quarantine")
    assert (outcome.verdict, outcome.notices) == ("quarantined 1", ["2 Monte Carlo runs"])
    assert ask(warehouse, "SELECT run_index FROM mc_runs ORDER BY 1") == [(0,), (2,)]
    ((source,),) = ask(warehouse, "SELECT DISTINCT source FROM mc_runs")
    put_aside = json.loads((warehouse.quarantine / f"{source}.jsonl").read_text())
    assert (put_aside["file"], put_aside["line"], put_aside["raw"]) == ("mc_runs.jsonl", 2, "oops")


def test_a_cut_off_last_line_is_accepted_with_a_warning(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", mc() + mc(run_index=1)[:-9]))
    assert (outcome.status, outcome.warnings) == ("ingested", ["line 2: cut off at the end of the file"])
    assert ask(warehouse, "SELECT run_index FROM mc_runs") == [(0,)]


def test_an_empty_file_is_turned_down(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", b"\n"))
    assert (outcome.status, outcome.errors) == ("rejected", ["mc_runs.jsonl: no complete record in the file"])


def test_the_same_content_comes_in_once(warehouse: Warehouse) -> None:
    ingest(warehouse, write(warehouse.root / "a" / "mc_runs.jsonl", TWO))
    before = files_below(warehouse.path)
    write(warehouse.root / "b" / "mc_runs.jsonl.gz", gzip.compress(TWO))
    assert [o.status for o in ingest(warehouse, warehouse.root / "a", warehouse.root / "b")] == ["unchanged"] * 2
    assert files_below(warehouse.path) == before


def test_shards_are_sources_of_their_own_and_a_file_is_replaced_by_path(warehouse: Warehouse) -> None:
    first = write(warehouse.root / "a" / "mc_runs.jsonl", mc(run_index=0))
    ingest(warehouse, first, write(warehouse.root / "b" / "mc_runs.jsonl", mc(run_index=1)))
    assert ask(warehouse, "SELECT count(DISTINCT source), count(*) FROM mc_runs") == [(2, 2)]
    write(first, mc(run_index=0) + mc(run_index=7))
    (refused,) = ingest(warehouse, first)
    assert refused.status == "rejected"
    assert refused.hint == "take it out with --replace, or give the file another name"
    (replaced,) = ingest(warehouse, first, replace=True)
    assert replaced.status == "ingested"
    assert ask(warehouse, "SELECT run_index FROM mc_runs ORDER BY 1") == [(0,), (1,), (7,)]


def test_the_command_line_says_how_many(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "mc_runs.jsonl", TWO)
    result = invoke("ingest", "mc_runs.jsonl", "--format", "csv")
    assert result.stdout == f"file,run_id,status,ticks,bytes\nmc_runs.jsonl,,ingested,0,{len(TWO)}\n"
    assert result.stderr == "mc_runs.jsonl: 2 Monte Carlo runs\n1 ingested\n"
    assert result.exit_code == 0
    status = json.loads(invoke("status", "--format", "json").stdout)
    assert [(row["view"], row["source_path"], row["rows"]) for row in status["imported"]] == [
        ("mc_runs", "mc_runs.jsonl", 2)
    ]


def test_a_label_names_one_run_and_this_is_none(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", TWO), label="x")
    assert (outcome.status, outcome.hint) == ("rejected", "leave it out")
    assert outcome.errors[0].endswith("mc_runs.jsonl: --label names one run, this is not one")
