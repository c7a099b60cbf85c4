"""exp10: presets and their validation against the budgets of the tiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.presets import WorldModelAlignment, world_model_alignment, write_world_model_alignment
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.research_runs import add_runs
from tests.telemetry_maker import write

PRESETS = """\
name,risk_tier,rank_within_tier,initial_q_tao,loss_limit_usd,size_eta,final_pnl_mean,max_drawdown_mean,kill_prob
c_2,conservative,2,9.0,9.0,9.0,9.0,9.0,0.9
c_1,conservative,1,-20.0,500.0,2.0,100.0,-2500.0,0.02
b_1,balanced,1,0.0,1500.0,0.1,50.0,,0.0
"""
VALIDATION = """\
Tier,mean_pnl,dd_mean,p_kill
 Conservative ,10.0,100.0,0.0
balanced,-1.0,-100.0,0.5
"""
COLUMNS = (
    "risk_tier,preset_name,rank_within_tier,initial_q_tao,loss_limit_usd,hedge_band_base,size_eta,vol_ref,"
    "delta_limit_usd_base,budget_max_kill_prob,budget_max_dd_abs,budget_min_final_pnl_mean,"
    "design_final_pnl_mean,design_max_drawdown_mean,design_kill_prob,design_kill_ok,design_dd_ok,design_pnl_ok,"
    "design_kill_margin,design_dd_margin,design_pnl_margin,design_score,"
    "val_final_pnl_mean,val_max_drawdown_mean,val_kill_prob,val_kill_ok,val_dd_ok,val_pnl_ok,"
    "val_kill_margin,val_dd_margin,val_pnl_margin,val_score\n"
)
# Scores: 100 - 0.5 x 2500 - 200 x 0.02; 10 - 0.5 x 100; -1 - 0.3 x 100 - 100 x 0.5. One unknown empties a verdict.
COMPARED = (
    "conservative,c_1,1,-20.0,500.0,,2.0,,,0.01,2000.0,0.0,"
    "100.0,-2500.0,0.02,False,False,True,-0.01,-500.0,100.0,-1154.0,"
    "10.0,100.0,0.0,True,True,True,0.01,1900.0,10.0,-40.0\n"
    "balanced,b_1,1,0.0,1500.0,,0.1,,,0.05,4000.0,0.0,"
    "50.0,,0.0,,,,,,,,"
    "-1.0,-100.0,0.5,False,True,False,-0.45,3900.0,-1.0,-81.0\n"
    "aggressive,,,,,,,,,0.15,8000.0,-500.0,,,,,,,,,,,,,,,,,,,,\n"
)


def compared(warehouse: Warehouse, presets: str, validation: str | None) -> WorldModelAlignment:
    if validation is not None:
        write(warehouse.root / "runs/exp08_profile_validation/exp08_profile_summary.csv", validation)
    return world_model_alignment(warehouse, write(warehouse.root / "presets.csv", presets))


def test_presets_and_validation_are_compared_tier_by_tier(warehouse: Warehouse) -> None:
    found = compared(warehouse, PRESETS, VALIDATION)
    (path,) = write_world_model_alignment(warehouse, found)

    assert path == warehouse.root / "runs/exp10_world_model_alignment/exp10_alignment.csv"
    assert path.read_text() == COLUMNS + COMPARED
    assert found.warnings == ["aggressive: no preset"]


def test_without_validation_its_columns_are_empty(warehouse: Warehouse) -> None:
    found = compared(warehouse, PRESETS, None)

    assert found.frame.select("^val_.*$").rows() == [(None,) * 10] * 3
    assert found.warnings == [
        "aggressive: no preset",
        "no validation: run `paraphina-wh run exp08_validation`, or name a file with --profile-summary-csv",
    ]


def test_no_presets_leave_the_budgets(warehouse: Warehouse) -> None:
    found = compared(warehouse, "risk_tier\n", None)

    assert found.frame.select("risk_tier", "preset_name", "budget_max_kill_prob").rows() == [
        ("conservative", None, 0.01),
        ("balanced", None, 0.05),
        ("aggressive", None, 0.15),
    ]


def ran(label: str, profile: str, pnl: float, drawdown: float, **more: Any) -> dict[str, Any]:
    return {
        "label": label, "profile": profile, "sweep_id": "s", "started_at": "2026-01-01T00:00:00+00:00", "repeat": 0,
        "init_q_tao": 0.0, "daily_loss_limit": 1500.0,
        "final_pnl": pnl, "max_drawdown": drawdown, "kill_switch": False, **more,
    }  # fmt: skip


def test_by_default_both_sweeps_of_the_warehouse_are_compared(warehouse: Warehouse) -> None:
    add_runs(warehouse, [ran("a", "balanced", 100.0, 10.0)], experiment="exp04_risk_regime")
    add_runs(
        warehouse,
        [
            ran("v1", "balanced", 10.0, 5000.0),
            ran("v2", "balanced", 30.0, 4000.0, kill_switch=True, engine="reference"),
        ],
        experiment="exp08_profile_validation",
    )
    found = world_model_alignment(warehouse)
    balanced = found.frame.filter(risk_tier="balanced").to_dicts()[0]

    assert found.origins == (
        "the warehouse, 1 of 1 runs of the latest sweep of exp04_risk_regime",
        "the warehouse, 2 of 2 runs of the latest sweep of exp08_profile_validation",
    )
    assert [balanced[f"design_{name}"] for name in ("final_pnl_mean", "max_drawdown_mean", "score")] == [
        100.0,
        -10.0,
        97.0,
    ]
    assert [balanced[f"val_{name}"] for name in ("final_pnl_mean", "max_drawdown_mean", "dd_margin", "kill_prob")] == [
        20.0, -4500.0, -500.0, 0.5,
    ]  # fmt: skip
    assert found.reference_runs == 1


def test_the_command(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "p.csv", PRESETS)
    write(tmp_path / "v.csv", VALIDATION)
    result = invoke("run", "exp10", "--presets-csv", "p.csv", "--profile-summary-csv", "v.csv", "--format", "csv")

    assert (result.exit_code, result.stdout) == (0, COLUMNS + COMPARED)
    assert result.stderr.splitlines() == [
        f"presets from {tmp_path}/p.csv; validation from {tmp_path}/v.csv",
        "warning: aggressive: no preset",
        "wrote runs/exp10_world_model_alignment/exp10_alignment.csv",
    ]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
    [
        ([], 2, "/runs/exp07_optimal_presets/exp07_presets.csv: No such file or directory"),
        (["--presets-csv", "p.csv", "--profile-summary-csv", "nowhere.csv"], 2, "/nowhere.csv: No such file"),
        (["--presets-csv", "p.csv", "--profile-summary-csv", "p.csv"], 0, ""),
        (["--presets-csv", "v.csv"], 1, "/v.csv has no column for risk_tier (risk_tier)"),
    ],
)
def test_inputs_that_a_tired_person_names(
    invoke: Invoke, tmp_path: Path, arguments: list[str], exit_code: int, error: str
) -> None:
    write(tmp_path / "p.csv", PRESETS)
    write(tmp_path / "v.csv", VALIDATION)
    result = invoke("run", "exp10", *arguments)

    assert result.exit_code == exit_code
    assert error in result.stderr
    assert "Traceback" not in result.stderr
