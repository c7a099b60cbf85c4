"""Real telemetry: what the warehouse says of twelve recorded runs, against plain loops over their lines."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.warehouse import Warehouse, locate
from tests.telemetry_maker import ask, ingest, runs_content

RESEARCH_FIELDS = [
    "timestamp_utc",
    "label",
    "profile",
    "telemetry_path",
    "notes",
    "band_base",
    "mm_size_eta",
    "vol_ref",
    "daily_loss_limit",
    "init_q_tao",
    "vol_scale",
    "num_ticks",
    "final_pnl",
    "max_pnl",
    "min_pnl",
    "max_drawdown",
    "frac_normal",
    "frac_warning",
    "frac_hard",
    "kill_switch",
]
DQ = [
    "dq_pnl_sum",
    "dq_inventory_sum",
    "dq_dollar_delta",
    "dq_basis",
    "dq_basis_gross",
    "dq_realised_fills",
    "dq_order_count",
    "dq_t_contiguous",
    "dq_kill",
]


@pytest.fixture(scope="module")
def unpacked(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse that took the runs in from ROOT/runs/exp13_auto, stdout beside them."""
    root = tmp_path_factory.mktemp("recorded")
    folder = root / "runs" / "exp13_auto"
    folder.mkdir(parents=True)
    for packed in sorted((recorded / "exp13_auto").glob("*.gz")):
        with gzip.open(packed) as source, (folder / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    for stdout in (recorded / "exp13_auto").glob("*.stdout.txt"):
        shutil.copy(stdout, folder)
    warehouse = locate(root)
    report = ingest(warehouse, folder, jobs=2)
    assert [outcome.status for outcome in report] == ["ingested"] * 12
    return warehouse


@pytest.fixture(scope="module")
def counted(recorded: Path) -> dict[str, Counter[str]]:
    """Return label -> counts made line by line with the json module alone."""
    return {label_of(path): count(records(path)) for path in sorted((recorded / "exp13_auto").glob("*.gz"))}


def label_of(path: Path) -> str:
    profile, index = path.name.split(".")[0].split("_r")
    return f"exp13_{profile}_r{int(index):03d}"


def records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            yield json.loads(line)


def count(ticks: Iterator[dict[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for tick in ticks:
        found["ticks"] += 1
        found["venue_ticks"] += len(tick["venue_mid_usd"])
        for name in ("fills", "orders", "hedges", "exits", "quote_levels", "risk_events"):
            found[name] += len(tick[name])
        found.update(f"fills {fill['purpose']}" for fill in tick["fills"])
        found.update(f"risk {event['event_type']}" for event in tick["risk_events"])
        found["kill_events"] += "kill_event" in tick
    return found


def test_packed_and_unpacked_telemetry_are_the_same_runs(
    recorded: Path, unpacked: Warehouse, warehouse: Warehouse
) -> None:
    ingest(warehouse, recorded / "exp13_auto", jobs=1)
    packed = ask(warehouse, "SELECT run_id, profile, label, final_pnl, source_sha256 FROM runs ORDER BY label")
    assert packed == ask(unpacked, "SELECT run_id, profile, label, final_pnl, source_sha256 FROM runs ORDER BY label")
    assert len({run_id for run_id, *_ in packed}) == 12


def test_research_rows_are_those_of_the_recorded_dataset(recorded: Path, unpacked: Warehouse) -> None:
    expected = {}
    for text in (recorded / "expected" / "research_dataset_v001.jsonl").read_text().splitlines():
        row = json.loads(text)
        assert list(row) == RESEARCH_FIELDS
        expected[row["label"]] = row
    found = ask(unpacked, f"SELECT {', '.join(RESEARCH_FIELDS)} FROM research_rows")
    assert {row[1] for row in found} == expected.keys()
    for values in found:
        row = dict(zip(RESEARCH_FIELDS, values, strict=True))
        wanted = expected[row["label"]] | {"timestamp_utc": row["timestamp_utc"]}
        assert row == {
            name: pytest.approx(value, rel=1e-9, abs=0) if isinstance(value, float) else value
            for name, value in wanted.items()
        }


def test_the_first_twenty_columns_of_research_rows_are_the_contract(unpacked: Warehouse) -> None:
    names = [name for name, *_ in ask(unpacked, "DESCRIBE research_rows")]
    assert names[:21] == [*RESEARCH_FIELDS, "run_id"]


def test_stdout_says_the_last_tick_rounded_to_cents(recorded: Path, unpacked: Warehouse) -> None:
    said = {}
    for path in (recorded / "exp13_auto").glob("*.stdout.txt"):
        match = re.search(r"total\): (\S+) / (\S+) / (\S+)", path.read_text())
        assert match
        said[label_of(path)] = tuple(map(float, match.groups()))
    rows = ask(
        unpacked,
        "SELECT label, stdout_pnl_realised, stdout_pnl_unrealised, stdout_pnl_total, "
        "final_pnl_realised, final_pnl_unrealised, final_pnl, stdout_kill_switch, kill_switch, kill_tick, "
        "stdout_kill_tick, kill_reason, stdout_kill_reason, final_regime, stdout_risk_regime FROM runs",
    )
    assert len(rows) == 12
    for label, *values in rows:
        assert tuple(values[:3]) == said[label] == tuple(round(value, 2) for value in values[3:6])
        for in_telemetry, in_stdout in zip(values[6::2], values[7::2], strict=True):
            assert in_telemetry == in_stdout


def test_nested_counts_are_those_of_the_lines(unpacked: Warehouse, counted: dict[str, Counter[str]]) -> None:
    columns = {
        "num_ticks": "ticks",
        "rows": "ticks",
        "lines": "ticks",
        "n_fills": "fills",
        "n_fills_mm": "fills Mm",
        "n_fills_exit": "fills Exit",
        "n_fills_hedge": "fills Hedge",
        "n_orders": "orders",
        "n_hedges": "hedges",
        "n_exits": "exits",
        "n_risk_events": "risk_events",
        "n_regime_transitions": "risk risk_regime_transition",
        "n_kill_activations": "risk kill_switch_activation",
        "n_delta_warn": "risk delta_warn_breach",
        "n_delta_hard": "risk delta_hard_breach",
        "n_basis_warn": "risk basis_warn_breach",
        "n_basis_hard": "risk basis_hard_breach",
        "n_pnl_warn": "risk pnl_warn_breach",
        "n_pnl_hard": "risk pnl_hard_breach",
        "n_venue_disabled": "risk venue_disabled",
        "n_liq_warn": "risk liq_warn",
        "n_kill_events": "kill_events",
    }
    found = ask(unpacked, f"SELECT label, {', '.join(columns)} FROM runs")
    assert {label: tuple(values) for label, *values in found} == {
        label: tuple(counts[name] for name in columns.values()) for label, counts in counted.items()
    }


@pytest.mark.parametrize(
    "view", ["ticks", "fills", "orders", "hedges", "exits", "quote_levels", "risk_events", "venue_ticks"]
)
def test_views_unfold_every_entry_of_the_lines(
    unpacked: Warehouse, counted: dict[str, Counter[str]], view: str
) -> None:
    found = dict(ask(unpacked, f"SELECT label, count(*) FROM {view} GROUP BY label"))
    assert found == {label: counts[view] for label, counts in counted.items() if counts[view]}


def test_sums_over_unfolded_fills_are_those_of_the_lines(recorded: Path, unpacked: Warehouse) -> None:
    volume = fees = 0.0
    for tick in records(recorded / "exp13_auto" / "balanced_r1.jsonl.gz"):
        for fill in tick["fills"]:
            volume += fill["size"]
            fees += fill["size"] * fill["price"] * fill["fee_bps"] / 1e4
    ((found, run_volume, run_fees),) = ask(
        unpacked,
        "SELECT (SELECT sum(size) FROM fills WHERE label = 'exp13_balanced_r001'), volume_tao, fees_usd "
        "FROM runs WHERE label = 'exp13_balanced_r001'",
    )
    assert (found, run_volume, run_fees) == pytest.approx((volume, volume, fees), rel=1e-12)


def test_every_identity_of_the_engine_holds(unpacked: Warehouse) -> None:
    assert ask(unpacked, f"SELECT DISTINCT {', '.join(DQ)} FROM runs") == [(True,) * 9]


def test_stored_metrics_are_what_the_view_computes_anew(unpacked: Warehouse) -> None:
    names = [name for name, *_ in ask(unpacked, "DESCRIBE condensed_ticks")]
    kept = f"SELECT {', '.join(names)} FROM runs ORDER BY label"
    anew = f"SELECT {', '.join(names)} FROM condensed_ticks ORDER BY label"
    assert ask(unpacked, kept) == [
        tuple(pytest.approx(value, rel=1e-12) if isinstance(value, float) else value for value in row)
        for row in ask(unpacked, anew)
    ]


def test_parquet_takes_a_twelfth_of_the_json_at_most(unpacked: Warehouse) -> None:
    ((source, stored),) = ask(unpacked, "SELECT sum(source_bytes), sum(stored_bytes) FROM runs")
    on_disk = sum(path.stat().st_size for path in unpacked.telemetry.rglob("*.parquet") if path.stem != "schema")
    assert stored == on_disk
    assert on_disk * 12 <= source


def test_ingesting_again_changes_no_file(unpacked: Warehouse) -> None:
    before = runs_content(unpacked)
    report = ingest(unpacked, unpacked.root / "runs", jobs=2)
    assert {outcome.status for outcome in report} == {"unchanged"}
    assert runs_content(unpacked) == before
