"""exp06: starting points that are safe in every scenario; and exp08's packaging of one set of knobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.presets import package_presets, safe_region, write_packaged, write_safe_region
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.research_runs import add_runs
from tests.telemetry_maker import write

# The loss limits of the centres: aggressive 2000, balanced 5000.
SUMMARY = """\
profile,scenario,init_q_tao,pnl_total_mean,max_drawdown_mean,regime_frac_hard_mean,kill_switch_frac,num_runs
aggressive,baseline,0.0,100.0,600.0,0.01,0.1,4
aggressive,high_vol,0.0,80.0,-601.0,0.0,0.0,4
balanced,baseline,-20.0,50.0,10.0,0.0,0.0,4
balanced,high_vol,-20.0,40.0,-1500.0,0.0,0.0,4
balanced,baseline,20.0,50.0,10.0,0.0,0.11,4
balanced,high_vol,20.0,60.0,10.0,0.011,0.0,4
bold,baseline,0.0,1.0,1.0,0.0,0.0,1
"""
CELLS = """\
profile,scenario,init_q_tao,pnl_total_mean,max_drawdown_mean,regime_frac_hard_mean,kill_switch_frac,num_runs,\
daily_loss_limit,dd_frac_of_loss_limit,safe_kill_switch,safe_regime_hard,safe_drawdown,safe_cell
aggressive,baseline,0.0,100.0,600.0,0.01,0.1,4,2000.0,0.3,True,True,True,True
aggressive,high_vol,0.0,80.0,-601.0,0.0,0.0,4,2000.0,0.3005,True,True,False,False
balanced,baseline,-20.0,50.0,10.0,0.0,0.0,4,5000.0,0.002,True,True,True,True
balanced,baseline,20.0,50.0,10.0,0.0,0.11,4,5000.0,0.002,False,True,True,False
balanced,high_vol,-20.0,40.0,-1500.0,0.0,0.0,4,5000.0,0.3,True,True,True,True
balanced,high_vol,20.0,60.0,10.0,0.011,0.0,4,5000.0,0.002,True,False,True,False
bold,baseline,0.0,1.0,1.0,0.0,0.0,1,,,True,True,False,False
"""
BY_PROFILE = """\
profile,init_q_tao,safe_across_all_scenarios,worst_case_pnl_total_mean,worst_case_max_drawdown_mean,\
worst_case_dd_frac_of_loss_limit,max_kill_switch_frac,max_regime_frac_hard_mean,daily_loss_limit,score
aggressive,0.0,False,80.0,601.0,0.3005,0.1,0.01,2000.0,-220.5
balanced,-20.0,True,40.0,1500.0,0.3,0.0,0.0,5000.0,-710.0
balanced,20.0,False,50.0,10.0,0.002,0.11,0.011,5000.0,45.0
bold,0.0,False,1.0,1.0,,0.0,0.0,,0.5
"""


def test_cells_and_profiles_are_judged_by_magnitudes_and_limits_that_hold_exactly(warehouse: Warehouse) -> None:
    region = safe_region(warehouse, write(warehouse.root / "summary.csv", SUMMARY))
    cells, by_profile = write_safe_region(warehouse, region)

    assert cells == warehouse.root / "runs/exp06_safe_region/exp06_safe_region_per_cell.csv"
    assert cells.read_text() == CELLS
    assert by_profile == warehouse.root / "runs/exp06_safe_region/exp06_safe_region_by_profile.csv"
    assert by_profile.read_text() == BY_PROFILE


def test_a_metric_that_is_not_known_is_not_safe(warehouse: Warehouse) -> None:
    text = SUMMARY.partition("\n")[0] + "\nbalanced,baseline,0.0,1.0,,,,2\n"
    (cell,) = safe_region(warehouse, write(warehouse.root / "summary.csv", text)).cells.to_dicts()

    assert [cell[name] for name in ("safe_kill_switch", "safe_regime_hard", "safe_drawdown", "safe_cell")] == [
        False
    ] * 4


def test_its_own_output_may_be_judged_again_and_other_columns_are_kept(warehouse: Warehouse) -> None:
    text = CELLS.replace("profile,", "note,Profile,", 1).replace("\n", "\nx,").removesuffix("x,")
    region = safe_region(warehouse, write(warehouse.root / "cells.csv", text))

    assert csv_bytes(region.cells.drop("note")).decode() == CELLS
    assert region.cells["note"].to_list() == ["x"] * 7


def swept(label: str, scenario: str, pnl: float, **more: Any) -> dict[str, Any]:
    return {
        "label": label, "profile": "balanced", "label_json": f'{{"init_q_tao": 0.0, "scenario": "{scenario}"}}',
        "sweep_id": "s", "started_at": "2026-01-01T00:00:00+00:00", "init_q_tao": 0.0,
        "stdout_pnl_realised": pnl, "stdout_pnl_unrealised": 0.0, "stdout_pnl_total": pnl, "stdout_kill_switch": False,
        "max_drawdown": 10.0, "frac_normal": 1.0, "frac_warning": 0.0, "frac_hard": 0.0, **more,
    }  # fmt: skip


def test_the_latest_sweep_of_the_warehouse_is_condensed_to_its_cells(warehouse: Warehouse) -> None:
    add_runs(
        warehouse,
        [
            swept("old", "baseline", 1e6, sweep_id="r", started_at="2025-01-01T00:00:00+00:00"),
            swept("a", "baseline", 10.0),
            swept("b", "baseline", 30.0, kill_tick=7, stdout_kill_switch=True, max_drawdown=30.0),
            swept("c", "high_vol", 5.0),
            swept("d", "high_vol", 0.0, status="timeout", stdout_pnl_total=None, max_drawdown=None),
            {**swept("c", "high_vol", -1e6), "status": "failed", "run_id": "first attempt of c"},
        ],
        experiment="exp04_multi_scenario",
    )
    region = safe_region(warehouse)

    assert csv_bytes(region.cells).decode() == (
        "profile,scenario,init_q_tao,pnl_realised_mean,pnl_unrealised_mean,pnl_total_mean,pnl_total_std,pnl_total_p5,"
        "pnl_total_p95,max_drawdown_mean,max_drawdown_std,time_to_kill_mean,regime_frac_normal_mean,"
        "regime_frac_warning_mean,regime_frac_hard_mean,kill_switch_frac,num_runs,daily_loss_limit,"
        "dd_frac_of_loss_limit,safe_kill_switch,safe_regime_hard,safe_drawdown,safe_cell\n"
        "balanced,baseline,0.0,20.0,0.0,20.0,14.142135623730951,11.0,29.0,20.0,14.142135623730951,7.0,1.0,0.0,0.0,0.5,2,"
        "5000.0,0.004,False,True,True,False\n"
        "balanced,high_vol,0.0,2.5,0.0,5.0,,5.0,5.0,10.0,,,1.0,0.0,0.0,0.0,2,5000.0,0.002,True,True,True,True\n"
    )
    assert region.by_profile.select("safe_across_all_scenarios", "score").rows() == [(False, 5.0 - 0.5 * 20.0)]


def test_the_command_prints_the_profiles(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "runs/exp04_multi_scenario/exp04_summary.csv", SUMMARY)
    result = invoke("run", "exp06", "--out-dir", "out", "--format", "csv")

    assert result.stdout == BY_PROFILE
    assert result.stderr.splitlines() == [
        f"cells from {tmp_path}/runs/exp04_multi_scenario/exp04_summary.csv",
        "wrote out/exp06_safe_region_per_cell.csv",
        "wrote out/exp06_safe_region_by_profile.csv",
    ]
    assert result.exit_code == 0
    assert " n/a " in invoke("run", "exp06").stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
    [
        ([], 2, "/runs/exp04_multi_scenario/exp04_summary.csv: No such file or directory"),
        (["--summary-csv", "nowhere.csv"], 2, "/nowhere.csv: No such file or directory"),
        (["--summary-csv", "bad.csv"], 1, "/bad.csv has no column for scenario (scenario); init_q_tao (init_q_tao)"),
    ],
)
def test_wrong_inputs(invoke: Invoke, tmp_path: Path, arguments: list[str], exit_code: int, error: str) -> None:
    write(tmp_path / "bad.csv", "profile,pnl_total_mean\nbalanced,1\n")
    result = invoke("run", "exp06", *arguments)

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert error in result.stderr


# --- exp08 packaging ----------------------------------------------------------------------------------------------

KNOBS = '{"band_base": 5.625, "mm_size_eta": 0.1, "vol_ref": 0.028125, "vol_scale": 2, "daily_loss_limit": 9, "x": "y"}'
PACKAGED = """\
profile,band_base,mm_size_eta,vol_ref,daily_loss_limit,init_q_tao,vol_scale
aggressive,5.625,0.1,0.028125,2000.0,0.0,2.0
balanced,5.625,0.1,0.028125,5000.0,0.0,2.0
conservative,5.625,0.1,0.028125,750.0,0.0,2.0
"""


def test_one_set_of_knobs_becomes_a_preset_of_every_profile(warehouse: Warehouse) -> None:
    write(warehouse.root / "runs/exp07_optimal_presets/optimal_knobs.json", KNOBS)
    presets, summary = write_packaged(warehouse, package_presets(warehouse))

    assert presets == warehouse.root / "runs/exp08_profile_validation/exp08_presets.csv"
    assert presets.read_text() == PACKAGED
    assert summary.read_text().splitlines()[:9] == [
        "Presets of the profiles, from runs/exp07_optimal_presets/optimal_knobs.json",
        "",
        "aggressive",
        "  band_base        5.625",
        "  mm_size_eta      0.1",
        "  vol_ref          0.028125",
        "  daily_loss_limit 2000.0",
        "  init_q_tao       0.0",
        "  vol_scale        2.0",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"band_base": 1, "mm_size_eta": 1, "vol_ref": 1}', "Object missing required field `vol_scale`"),
        ('{"band_base": true}', "Expected `float`, got `bool` - at `$.band_base`"),
        ('{"band_base": NaN}', "JSON is malformed"),
        ('{"band_base": 1e999}', "Number out of range - at `$.band_base`"),
        ('{"band_base": -1}', "Expected `float` >= 0.0 - at `$.band_base`"),
        ('{"mm_size_eta": 0}', "Expected `float` > 0.0 - at `$.mm_size_eta`"),
        ('{"vol_ref": -0.1}', "Expected `float` > 0.0 - at `$.vol_ref`"),
        ('{"vol_scale": 0.0}', "Expected `float` > 0.0 - at `$.vol_scale`"),
        ("[]", "Expected `object`, got `array`"),
        ("", "Input data was truncated"),
    ],
)
def test_knobs_that_are_missing_or_that_an_engine_would_clamp_are_refused(
    warehouse: Warehouse, text: str, reason: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        package_presets(warehouse, write(warehouse.root / "knobs.json", text))
    assert caught.value.message.startswith(f"{warehouse.root}/knobs.json: not a set of knobs: {reason}")
    assert caught.value.exit_code == 1


def test_the_packaging_command(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "knobs.json", KNOBS)
    result = invoke("run", "exp08_presets", "--knobs-json", "knobs.json", "--format", "csv")
    assert (result.exit_code, result.stdout) == (0, PACKAGED)
    assert result.stderr.splitlines() == [
        "wrote runs/exp08_profile_validation/exp08_presets.csv",
        "wrote runs/exp08_profile_validation/summary.txt",
    ]
    missing = invoke("run", "exp08_presets")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr.startswith(f"error: cannot read {tmp_path}/runs/exp07_optimal_presets/optimal_knobs.json: ")
