"""The definition of every telemetry metric, and the unfolding views, on six ticks worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from paraphina_wh.catalog import macros_sql, view_files
from paraphina_wh.telemetry.shape import TICKS, column_types

FAIR, MIDS = 100.0, (101.0, 102.0)


def tick(t: int, positions: Sequence[float], realised: float, unrealised: float, **edits: Any) -> dict[str, Any]:
    """Return a tick of two venues for which every identity of the engine holds, before the edits."""
    basis = [p * (mid - FAIR) for p, mid in zip(positions, MIDS, strict=True)]
    return {
        "schema_version": 1,
        "t": t,
        "pnl_realised": realised,
        "pnl_unrealised": unrealised,
        "pnl_total": realised + unrealised,
        "risk_regime": "Normal",
        "kill_switch": False,
        "kill_reason": "None",
        "q_global_tao": sum(positions),
        "dollar_delta_usd": sum(positions) * FAIR,
        "basis_usd": sum(basis),
        "basis_gross_usd": sum(map(abs, basis)),
        "fair_value": FAIR,
        "sigma_eff": 0.25,
        "config_version_id": "v1",
        "venue_mid_usd": list(MIDS),
        "venue_position_tao": list(positions),
        "venue_status": ["Stale", "Disabled"],
        "would_send_orders_count": 0,
        "would_send_orders_truncated": False,
        "orders": [],
        "would_send_orders": [],
        "fills": [],
        "exits": [],
        "hedges": [],
        "risk_events": [],
    } | edits


def fill(purpose: str, size: float, price: float, fee_bps: float, realised: float) -> dict[str, Any]:
    return {"purpose": purpose, "size": size, "price": price, "fee_bps": fee_bps, "realised_pnl_usd": realised}


def events(*types: str) -> list[dict[str, Any]]:
    return [{"event_type": name, "timestamp_ms": 0} for name in types]


INTENT: dict[str, Any] = {"action": "place", "status": "intent"}

# pnl_total: 10, 4, 7, -2, 1, -2. The peak is the first tick, the trough is reached twice.
SIX_TICKS = [
    tick(
        0,
        [2.0, 0.0],
        10.0,
        0.0,
        fills=[fill("Mm", 2.0, 100.0, 2.0, 10.0)],
        would_send_orders=[INTENT, INTENT],
        would_send_orders_count=2,
        orders=[INTENT, INTENT, INTENT | {"status": "ack"}, INTENT | {"status": "reject", "reason": "ioc_no_fill"}],
        quote_levels=[{"venue_index": 1, "venue_id": "two", "side": "Bid", "price": 99.0}],
    ),
    tick(
        1,
        [1.0, 0.0],
        4.0,
        0.0,
        fills=[fill("Exit", 1.0, 100.0, 5.0, -6.0)],
        exits=[{"venue_index": 0, "entry_fill_seqs": [0]}],
        would_send_orders=[INTENT],
        would_send_orders_count=1,
        orders=[INTENT],
    ),
    tick(
        2,
        [1.0, -3.0],
        4.0,
        3.0,
        risk_regime="Warning",
        risk_events=events("risk_regime_transition", "delta_warn_breach"),
        sigma_eff=0.5,
    ),
    tick(
        3,
        [1.0, -1.0],
        0.0,
        -2.0,
        risk_regime="Warning",
        fills=[fill("Hedge", 2.0, 50.0, 5.0, -4.0)],
        hedges=[{"venue_index": 1, "delta_h_v": 2.0}],
        risk_events=events("basis_warn_breach", "pnl_warn_breach", "venue_disabled"),
    ),
    tick(4, [1.0, -1.0], 0.0, 1.0, risk_regime="Warning", risk_events=events("never_seen_before")),
    tick(
        5,
        [5.0, -1.0],
        0.0,
        -2.0,
        risk_regime="HardLimit",
        kill_switch=True,
        kill_reason="DeltaHardBreach",
        kill_event={"timebase_id": 5, "kill_reason": "DeltaHardBreach"},
        risk_events=events(
            "risk_regime_transition",
            "kill_switch_activation",
            "delta_hard_breach",
            "basis_hard_breach",
            "pnl_hard_breach",
            "liq_warn",
        ),
    ),
]

CONDENSED = {
    "profile": "balanced",
    "label": "six",
    "run_id": "r",
    "num_ticks": 6,
    "final_pnl": -2.0,
    "max_pnl": 10.0,
    "min_pnl": -2.0,
    "max_drawdown": 12.0,
    "max_drawdown_time": 3,
    "frac_normal": pytest.approx(2 / 6),
    "frac_warning": pytest.approx(3 / 6),
    "frac_hard": pytest.approx(1 / 6),
    "kill_switch": True,
    "kill_tick": 5,
    "kill_reason": "DeltaHardBreach",
    "final_regime": "HardLimit",
    "final_pnl_realised": 0.0,
    "final_pnl_unrealised": -2.0,
    "first_t": 0,
    "last_t": 5,
    "inventory_mean_tao": pytest.approx(5 / 6),  # 2, 1, -2, 0, 0, 4
    "inventory_max_abs_tao": 4.0,
    "inventory_final_tao": 4.0,
    "delta_max_abs_usd": 400.0,
    "delta_final_usd": 400.0,
    "basis_final_usd": 3.0,
    "basis_gross_max_usd": 7.0,  # 2, 1, 7, 3, 3, 7
    "sigma_mean": pytest.approx(1.75 / 6),
    "sigma_max": 0.5,
    "n_fills": 3,
    "n_fills_mm": 1,
    "n_fills_exit": 1,
    "n_fills_hedge": 1,
    "n_orders": 5,
    "n_hedges": 1,
    "n_exits": 1,
    "n_risk_events": 12,
    "n_regime_transitions": 2,
    "n_kill_activations": 1,
    "n_delta_warn": 1,
    "n_delta_hard": 1,
    "n_basis_warn": 1,
    "n_basis_hard": 1,
    "n_pnl_warn": 1,
    "n_pnl_hard": 1,
    "n_venue_disabled": 1,
    "n_liq_warn": 1,
    "n_kill_events": 1,
    "volume_tao": 5.0,
    "fees_usd": pytest.approx(0.04 + 0.05 + 0.05),
    "config_version_id": "v1",
    "dq_pnl_sum": True,
    "dq_inventory_sum": True,
    "dq_dollar_delta": True,
    "dq_basis": True,
    "dq_basis_gross": True,
    "dq_realised_fills": True,
    "dq_order_count": True,
    "dq_t_contiguous": True,
    "dq_kill": True,
}


class Ticks:
    """Ticks under the name the views read, and the views over them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ticks.jsonl"
        self.connection = duckdb.connect(":memory:")
        self.connection.execute(macros_sql())

    def ask(self, view: str, ticks: Sequence[dict[str, Any]], *more: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of a view over runs named r, r1, r2 ..."""
        runs = [ticks, *more]
        rows = [row | {"run_id": f"r{i or ''}"} for i, run in enumerate(runs) for row in run]
        self.file.write_text("\n".join(map(json.dumps, rows)))
        columns = column_types(TICKS) | {"run_id": "VARCHAR"}
        self.connection.execute(
            "CREATE OR REPLACE TABLE ticks AS SELECT 'balanced' AS profile, 'six' AS label, NULL AS extra, * "
            f"FROM read_json('{self.file}', format = 'newline_delimited', columns = {columns})"
        )
        self.connection.execute(view_files()[view].read_text())
        result = self.connection.execute(f"SELECT * FROM {view} ORDER BY ALL")
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@pytest.fixture
def ticks(tmp_path: Path) -> Ticks:
    return Ticks(tmp_path)


def changed(t: int, /, **edits: Any) -> list[dict[str, Any]]:
    """Return the six ticks with one of them edited."""
    return [row | edits if row["t"] == t else row for row in SIX_TICKS]


def test_every_metric_of_six_ticks(ticks: Ticks) -> None:
    assert ticks.ask("condensed_ticks", SIX_TICKS) == [CONDENSED]


def test_the_order_of_the_records_does_not_matter(ticks: Ticks) -> None:
    assert ticks.ask("condensed_ticks", SIX_TICKS[::-1]) == [CONDENSED]


def test_runs_do_not_mix(ticks: Ticks) -> None:
    one, two = ticks.ask("condensed_ticks", SIX_TICKS, SIX_TICKS[:1])
    assert one == CONDENSED
    assert two["run_id"] == "r1"
    assert (two["num_ticks"], two["final_pnl"], two["max_drawdown"], two["max_drawdown_time"]) == (1, 10.0, 0.0, 0)
    assert (two["kill_switch"], two["kill_tick"], two["kill_reason"], two["final_regime"]) == (
        False,
        None,
        None,
        "Normal",
    )


@pytest.mark.parametrize(
    ("path", "drawdown", "time"),
    [
        ([0.0, -5.0, 5.0, 1.0, 9.0], 5.0, 1),  # the peak starts at the first tick, not at the highest
        ([-3.0, -4.0, -1.0], 1.0, 1),  # and not at 0
        ([1.0, 2.0, 3.0], 0.0, 0),
        ([5.0, 3.0, 5.0, 3.0, 1.0, 1.0], 4.0, 4),
    ],
)
def test_the_drawdown_is_the_deepest_fall_below_the_peak_so_far(
    ticks: Ticks, path: list[float], drawdown: float, time: int
) -> None:
    (row,) = ticks.ask("condensed_ticks", [tick(t, [0.0, 0.0], 0.0, pnl) for t, pnl in enumerate(path)])
    assert (row["max_drawdown"], row["max_drawdown_time"]) == (drawdown, time)


@pytest.mark.parametrize(
    ("identity", "t", "edits"),
    [
        ("dq_pnl_sum", 4, {"pnl_total": 1.00001}),
        ("dq_inventory_sum", 0, {"venue_position_tao": [2.0, 0.00001], "venue_mid_usd": [101.0, 100.0]}),
        ("dq_dollar_delta", 3, {"dollar_delta_usd": 0.00001}),
        ("dq_basis", 5, {"basis_usd": 3.00001}),
        ("dq_basis_gross", 5, {"basis_gross_usd": 6.9999}),
        ("dq_realised_fills", 3, {"fills": []}),
        ("dq_order_count", 1, {"would_send_orders_count": 2}),
        ("dq_t_contiguous", 5, {"t": 6, "kill_event": {"timebase_id": 6}}),
        ("dq_kill", 5, {"kill_event": None}),
        ("dq_kill", 5, {"kill_event": {"timebase_id": 4}}),
        ("dq_kill", 5, {"kill_reason": "None"}),
        ("dq_kill", 5, {"risk_regime": "Warning"}),
        ("dq_kill", 4, {"kill_switch": True, "kill_reason": "x", "risk_regime": "HardLimit"}),
        ("dq_kill", 2, {"kill_event": {"timebase_id": 2}}),
    ],
)
def test_one_edit_breaks_one_identity_and_no_other(ticks: Ticks, identity: str, t: int, edits: dict[str, Any]) -> None:
    (row,) = ticks.ask("condensed_ticks", changed(t, **edits))
    assert [name for name, value in row.items() if name.startswith("dq_") and value is False] == [identity]


def test_rounding_breaks_no_identity(ticks: Ticks) -> None:
    (row,) = ticks.ask("condensed_ticks", changed(5, basis_usd=3.0000001, dollar_delta_usd=400.0000003))
    assert row["dq_basis"] and row["dq_dollar_delta"]


def test_a_cut_list_of_orders_is_no_breach(ticks: Ticks) -> None:
    (row,) = ticks.ask("condensed_ticks", changed(1, would_send_orders_count=201, would_send_orders_truncated=True))
    assert row["dq_order_count"] is True


def test_a_run_with_required_fields_alone_has_metrics_and_no_verdict_on_the_rest(ticks: Ticks) -> None:
    required = {
        "schema_version": 1,
        "pnl_realised": 1.0,
        "pnl_unrealised": 1.0,
        "pnl_total": 2.0,
        "risk_regime": "Normal",
        "kill_switch": False,
        "kill_reason": "None",
        "q_global_tao": 1.0,
        "dollar_delta_usd": 1.0,
        "basis_usd": 1.0,
    }
    (row,) = ticks.ask("condensed_ticks", [required | {"t": t} for t in range(3)])
    assert {name: value for name, value in row.items() if name.startswith("dq_")} == {
        "dq_pnl_sum": True,
        "dq_inventory_sum": None,
        "dq_dollar_delta": None,
        "dq_basis": None,
        "dq_basis_gross": None,
        "dq_realised_fills": None,
        "dq_order_count": None,
        "dq_t_contiguous": True,
        "dq_kill": True,
    }
    assert (row["n_fills"], row["n_orders"], row["n_risk_events"], row["n_kill_events"]) == (0, 0, 0, 0)
    assert (row["volume_tao"], row["fees_usd"], row["sigma_mean"], row["basis_gross_max_usd"]) == (0, 0, None, None)


def test_no_ticks_no_row(ticks: Ticks) -> None:
    ticks.ask("condensed_ticks", SIX_TICKS)
    ticks.connection.execute("DELETE FROM ticks")
    assert ticks.connection.execute("SELECT * FROM condensed_ticks").fetchall() == []


# --- unfolding ------------------------------------------------------------------------------------------------

KEYS = {"profile": "balanced", "label": "six", "run_id": "r"}


def unfolded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without the columns that hold nothing."""
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def test_fills_are_one_row_each(ticks: Ticks) -> None:
    two = [fill("Mm", 1.0, 99.0, 2.0, 0.5), fill("Hedge", 3.0, 98.0, 5.0, -0.5)]
    rows = unfolded(ticks.ask("fills", [*SIX_TICKS[:1], SIX_TICKS[1] | {"fills": two}, SIX_TICKS[2] | {"fills": None}]))
    assert rows == [
        KEYS | {"t": 0, "position": 0} | fill("Mm", 2.0, 100.0, 2.0, 10.0),
        KEYS | {"t": 1, "position": 0} | two[0],
        KEYS | {"t": 1, "position": 1} | two[1],
    ]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (
            "orders",
            [
                {"t": 0, "position": 0} | INTENT,
                {"t": 0, "position": 1} | INTENT,
                {"t": 0, "position": 2} | INTENT | {"status": "ack"},
                {"t": 0, "position": 3} | INTENT | {"status": "reject", "reason": "ioc_no_fill"},
                {"t": 1, "position": 0} | INTENT,
            ],
        ),
        ("exits", [{"t": 1, "position": 0, "venue_index": 0, "entry_fill_seqs": [0]}]),
        ("hedges", [{"t": 3, "position": 0, "venue_index": 1, "delta_h_v": 2.0}]),
        (
            "quote_levels",
            [{"t": 0, "position": 0, "venue_index": 1, "venue_id": "two", "side": "Bid", "price": 99.0}],
        ),
        (
            "risk_events",
            [
                {"t": row["t"], "position": position} | event
                for row in SIX_TICKS
                for position, event in enumerate(row["risk_events"])
            ],
        ),
    ],
)
def test_other_lists_are_unfolded_the_same_way(ticks: Ticks, view: str, expected: list[dict[str, Any]]) -> None:
    assert unfolded(ticks.ask(view, SIX_TICKS)) == [KEYS | row for row in expected]


def test_venue_ticks_are_the_lists_of_a_tick_side_by_side(ticks: Ticks) -> None:
    rows = unfolded(ticks.ask("venue_ticks", SIX_TICKS[:1]))
    assert rows == [
        KEYS | {"t": 0, "venue_index": 0, "mid_usd": 101.0, "status": "Stale", "position_tao": 2.0},
        KEYS
        | {"t": 0, "venue_index": 1, "venue_id": "two", "mid_usd": 102.0, "status": "Disabled", "position_tao": 0.0},
    ]
