"""One answer: sums that no order changes, rows in a stated order, instants that are compared as such."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraphina_wh.api import OpenWarehouse
from paraphina_wh.catalog import connect, macros_sql, view_files
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.sidecar import in_utc
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse, sql_text
from tests.conftest import Invoke, Report
from tests.records import line
from tests.research_runs import write_lines
from tests.telemetry_maker import ingest, reference_run, sidecar, write
from tests.torture.readings import attack

LARGEST = 1.7976931348623157e308
INFINITY = math.inf


@cache
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(macros_sql())
    return connection


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    return OpenWarehouse(warehouse).sql(query).rows()


def of(function: str, values: list[float | None]) -> float | None:
    database().execute("CREATE OR REPLACE TABLE given AS SELECT unnest($1::DOUBLE[]) AS x", [values])
    [(found,)] = database().execute(f"SELECT {function}(x) FROM given").fetchall()
    assert found is None or isinstance(found, float)
    return found


# Sums


@pytest.mark.parametrize(
    ("values", "total", "mean"),
    [
        ([1e16, 1.0, -1e16, 1.0], 2.0, 0.5),
        ([1e16, 1.0, -1e16, 1.0] * 5, 10.0, 0.5),
        ([0.1] * 10, 1.0, 0.1),
        ([1e308, 1e308], INFINITY, 1e308),
        ([LARGEST] * 3, INFINITY, LARGEST),
        ([1e308, 1e308, -1e308], 1e308, 1e308 / 3),
        ([-0.0], 0.0, 0.0),
        ([None, 3.0, None, 5.0], 8.0, 4.0),
        ([None], None, None),
        ([], None, None),
        ([INFINITY, 1.0], INFINITY, INFINITY),
    ],
)
def test_a_sum_is_rounded_once_and_a_mean_never_overflows(
    values: list[float | None], total: float | None, mean: float | None
) -> None:
    for order in (values, values[::-1], sorted(values, key=str)):
        assert (of("sum_of", order), of("mean_of", order)) == (total, mean)


@pytest.mark.parametrize(
    ("values", "std"),
    [
        ([1.0, 3.0, 5.0], 2.0),
        ([0.1, 0.1, 0.1], 0.0),
        # The variance by squares, E(x^2) - E(x)^2, would be lost here.
        ([1e16, 1e16 + 2, 1e16 + 4], 2.0),
        ([1e300, 3e300, 5e300], pytest.approx(2e300, rel=1e-15)),
        ([1e-200, 3e-200, 5e-200], pytest.approx(2e-200, rel=1e-15)),
        ([1.5e308, -1.5e308, 0.0], pytest.approx(1.5e308, rel=1e-15)),
        ([None, 7.0], None),
        ([], None),
    ],
)
def test_a_standard_deviation_neither_overflows_nor_cancels(values: list[float | None], std: float | None) -> None:
    assert of("std_of", values) == std
    assert of("std_of", values[::-1]) == std


_doubles = st.floats(min_value=-1e9, max_value=1e9).filter(lambda x: x == 0 or abs(x) > 1e-12)


@settings(deadline=None)
@given(st.lists(_doubles, min_size=1, max_size=30))
def test_a_mean_is_the_double_next_to_the_true_one(values: list[float]) -> None:
    exact = float(sum(map(Fraction, values)) / len(values))
    # Steps are 2^-96 of the largest value or finer: nothing of a sum that cancels to less is lost above that.
    assert of("mean_of", [*values]) == pytest.approx(exact, rel=2**-53, abs=max(map(abs, values)) * 2**-94)


def test_no_view_adds_doubles_up_in_the_order_in_which_they_come() -> None:
    """Sums of counts are cast, shares are made of 0 and 1, and a running sum has the order of its window."""
    shares = r"avg\(CASE WHEN [^()]+ THEN 1e0 [^()]*0e0 END\)"
    exact = shares + r"|sum\([^;]+?\)(::BIGINT|(?: OVER \w+)? AS BIGINT| OVER \(.*ORDER BY t )"
    found = []
    for name, path in view_files().items():
        text = re.sub(exact, "", re.sub(r"--[^\n]*", "", path.read_text()))
        found += [f"{name}: {call}" for call in re.findall(r"\b(?:avg|sum|stddev\w*|var\w*|f?avg|fsum|corr)\(", text)]
    assert found == []


# A drawdown beyond the largest double


def fallen(path: Path) -> Path:
    lines = [line(t=t, pnl_total=pnl, pnl_realised=pnl, pnl_unrealised=0.0) for t, pnl in enumerate([1e308, -1e308])]
    return write(path, b"".join(lines))


def test_a_run_that_fell_further_than_a_double_can_say_stays_in_the_mean(warehouse: Warehouse, invoke: Invoke) -> None:
    calm = b"".join(line(t=t, pnl_total=1.0, pnl_realised=1.0, pnl_unrealised=0.0) for t in range(2))
    ingest(warehouse, fallen(warehouse.root / "balanced_r1.jsonl"), write(warehouse.root / "balanced_r2.jsonl", calm))

    assert ask(warehouse, "SELECT label, max_drawdown FROM runs ORDER BY label") == [
        ("exp13_balanced_r001", LARGEST),
        ("exp13_balanced_r002", 0.0),
    ]
    assert invoke("export", "dataset").exit_code == 0
    rows = (warehouse.root / "research_dataset_v001.jsonl").read_text().splitlines()
    assert sorted(json.loads(row)["max_drawdown"] for row in rows) == [0.0, LARGEST]
    columns = "n_runs, emp_max_drawdown_mean, emp_dd_ok, dd_n, dd_mean, dd_verdict"
    assert ask(warehouse, f"SELECT {columns} FROM alignment WHERE risk_tier = 'balanced'") == [
        (2, LARGEST / 2, False, 2, LARGEST / 2, "undecided")
    ]


def test_an_infinite_drawdown_of_another_tool_stays_in_the_mean(warehouse: Warehouse, invoke: Invoke) -> None:
    row = '{"profile": "balanced", "final_pnl": 1.0, "max_drawdown": %s, "kill_switch": false}'
    write_lines(
        warehouse.root / "research_dataset_v001.jsonl", [row % text for text in ("2.0", "-Infinity", "1e999", "NaN")]
    )
    assert invoke("ingest", warehouse.root / "research_dataset_v001.jsonl").exit_code == 0

    assert ask(warehouse, "SELECT max_drawdown FROM dataset_rows ORDER BY line_no") == [
        (2.0,),
        (-LARGEST,),
        (LARGEST,),
        (None,),
    ]
    assert ask(warehouse, "SELECT emp_dd_ok FROM alignment WHERE risk_tier = 'balanced'") == [(False,)]


# Order


def test_two_readings_of_every_view_are_equal(report: Report) -> None:
    for figure in attack(7, repeats=1, runs=16):
        report(figure)


@pytest.mark.parametrize("threads", [1, 8])
def test_ticks_come_in_the_order_of_their_files(warehouse: Warehouse, threads: int) -> None:
    names = ("balanced_r10", "balanced_r2", "aggressive_r1", "conservative_r3", "balanced_r1")
    for name in names:
        lines = [line(t=t, fills=[{"fill_seq": t}, {"fill_seq": -t}]) for t in range(50)]
        ingest(warehouse, write(warehouse.root / f"{name}.jsonl", b"".join(lines)))
    labels = [(name.split("_")[0], f"exp13_{name.split('_')[0]}_r{int(name.split('_r')[1]):03}") for name in names]
    with connect(warehouse, threads=threads) as connection:
        ticks = connection.sql("SELECT profile, label, t FROM ticks").fetchall()
        fills = connection.sql("SELECT profile, label, t, position FROM fills").fetchall()
    assert ticks == [(*label, t) for label in sorted(labels) for t in range(50)]
    assert fills == [(*label, t, place) for label in sorted(labels) for t in range(50) for place in range(2)]


def test_zero_has_one_sign_in_what_is_the_least_or_the_largest(warehouse: Warehouse) -> None:
    for name, path in (("balanced_r1", [0.0, -0.0]), ("balanced_r2", [-0.0, 0.0])):
        lines = [line(t=t, pnl_total=pnl, pnl_realised=pnl, pnl_unrealised=0.0) for t, pnl in enumerate(path)]
        ingest(warehouse, write(warehouse.root / f"{name}.jsonl", b"".join(lines)))
    with connect(warehouse) as connection:
        rows = connection.sql("SELECT max_pnl, min_pnl, max_drawdown FROM runs").pl()
        settings = connection.sql("SELECT DISTINCT init_q_tao FROM experiment_runs").pl()
    assert csv_bytes(rows) == b"max_pnl,min_pnl,max_drawdown\n0.0,0.0,0.0\n0.0,0.0,0.0\n"
    assert csv_bytes(settings) == b"init_q_tao\n0.0\n"


# Instants


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-01T09:30:00+09:00", "2026-11-01T00:30:00+00:00"),
        ("2026-11-01T00:30:00Z", "2026-11-01T00:30:00+00:00"),
        ("2026-11-01T00:30:00.250000+00:00", "2026-11-01T00:30:00.250000+00:00"),
        ("2026-11-01 00:30:00", "2026-11-01T00:30:00+00:00"),
        ("9999-12-31T23:59:59-09:00", None),
        ("0001-01-01T00:00:00+09:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_an_instant_is_told_in_utc(text: str | None, instant: str | None) -> None:
    assert in_utc(text) == instant


def started(warehouse: Warehouse, **starts: str) -> list[str]:
    """Take in a run for each start, its label as its sweep, and return the warnings."""
    warnings = []
    for n, (label, start) in enumerate(starts.items()):
        write(warehouse.root / f"x{n}.jsonl", line(t=0, pnl_total=n + 0.5))
        sidecar(warehouse.root / f"x{n}", label=label, sweep_id=label, plan_key=label, started_at=start)
        warnings += ingest(warehouse, warehouse.root / f"x{n}.jsonl").warnings
    return warnings


def test_the_latest_sweep_is_the_one_that_was_started_last_whatever_the_clock_of_the_machine(
    warehouse: Warehouse,
) -> None:
    started(
        warehouse,
        tokyo="2026-11-01T09:30:00+09:00",
        london="2026-11-01T08:00:00+00:00",
        texas="2026-11-01T02:30:00-05:00",
    )
    assert ask(warehouse, "SELECT sweep_id, started_at FROM latest_sweeps") == [
        ("london", datetime(2026, 11, 1, 8, tzinfo=UTC))
    ]


def test_a_start_that_is_none_is_left_out_with_a_warning(warehouse: Warehouse) -> None:
    (nothing,) = started(warehouse, odd="yesterday")
    (no_offset,) = started(warehouse, local="2026-11-01T08:00:00")
    assert nothing == "x0.jsonl: started_at of its sidecar is no instant, left out: 'yesterday'"
    assert no_offset == "x0.jsonl: started_at of its sidecar has no offset, taken as UTC: '2026-11-01T08:00:00'"


TEXT = "2026-11-01T00:30:00+00:00"


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "markdown", "table"])
def test_every_form_tells_an_instant_the_same_way(
    warehouse: Warehouse, invoke: Invoke, form: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    started(warehouse, tokyo="2026-11-01T09:30:00+09:00")
    said = invoke("query", "SELECT started_at FROM runs", "--format", form).stdout
    assert re.findall(r"20[^\s\"|]+", said) == [TEXT]


def test_instants_are_typed_in_views_frames_and_bare_files(warehouse: Warehouse) -> None:
    started(warehouse, tokyo="2026-11-01T09:30:00.250000+09:00")
    opened = OpenWarehouse(warehouse)
    frame = opened.sql("SELECT started_at, ingested_at FROM runs")
    (file,) = (warehouse.runs / "experiment=exp99").glob("*.parquet")

    assert frame.schema == {name: pl.Datetime("us", "UTC") for name in ("started_at", "ingested_at")}
    assert [str(pq.read_schema(file).field(name).type) for name in frame.columns] == ["timestamp[us, tz=UTC]"] * 2
    assert opened.sql("SELECT timestamp_utc FROM research_rows").schema == {"timestamp_utc": pl.String}
    ingested = frame["ingested_at"][0]
    assert opened.sql("SELECT timestamp_utc FROM research_rows").item() == ingested.isoformat()


def test_texts_of_an_earlier_version_are_instants_too_and_compact_types_them(
    warehouse: Warehouse, invoke: Invoke
) -> None:
    started(warehouse, new="2026-11-01T08:00:00+00:00")
    (file,) = (warehouse.runs / "experiment=exp99").glob("*.parquet")
    older = file.with_name("20260101T000000.000000Z-00000000.parquet")
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT * REPLACE ('old' || run_id AS run_id, label || '_old' AS label, 'older' AS sweep_id, "
            "'2026-11-01T09:30:00+09:00' AS started_at, '2026-11-01T00:00:00.500000+00:00' AS ingested_at) "
            f"FROM read_parquet({sql_text(str(file))}, hive_partitioning = false)) TO {sql_text(str(older))}"
        )
    answer = [
        ("older", datetime(2026, 11, 1, 0, 30, tzinfo=UTC)),
        ("new", datetime(2026, 11, 1, 8, tzinfo=UTC)),
    ]
    assert ask(warehouse, "SELECT sweep_id, started_at FROM runs ORDER BY started_at") == answer
    assert ask(warehouse, "SELECT sweep_id FROM latest_sweeps") == [("new",)]
    assert ask(warehouse, "SELECT timestamp_utc FROM research_rows WHERE label = 'new_old'") == [
        ("2026-11-01T00:00:00.500000+00:00",)
    ]

    assert invoke("repair", "--adopt").exit_code == 0
    (folded, _) = compact(warehouse)
    (file,) = set((warehouse.runs / "experiment=exp99").glob("*.parquet")) - {file, older}
    assert (folded.files, folded.rows) == (2, 2)
    assert str(pq.read_schema(file).field("started_at").type) == "timestamp[us, tz=UTC]"
    assert ask(warehouse, "SELECT sweep_id, started_at FROM runs ORDER BY started_at") == answer


def test_reading_with_other_settings_of_the_session_gives_the_same_contract_text(
    tmp_path: Path, warehouse: Warehouse
) -> None:
    reference_run(tmp_path / "balanced_r1.jsonl", ticks=2, seed=1)
    ingest(warehouse, tmp_path / "balanced_r1.jsonl")
    with connect(warehouse) as connection:
        (text,) = connection.sql("SELECT timestamp_utc FROM research_rows").fetchall()[0]
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        assert connection.sql("SELECT timestamp_utc FROM research_rows").fetchall() == [(text,)]
    assert datetime.fromisoformat(text).isoformat() == text
