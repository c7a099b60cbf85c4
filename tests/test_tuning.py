"""exp12: presets scaled down to the risk that was measured, with the numbers of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from paraphina_wh.alignment import align
from paraphina_wh.catalog import connect
from paraphina_wh.errors import WarehouseError
from paraphina_wh.presets import (
    SIZE_ETA_CAVEAT,
    Tuned,
    find_tuned,
    preset_environment,
    read_tuned,
    tune_presets,
    write_tuned,
)
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.research_runs import add_runs, recorded, write_lines
from tests.telemetry_maker import write

WORKED_PRESETS = """\
name,risk_tier,rank_within_tier,initial_q_tao,loss_limit_usd,hedge_band_base,size_eta,vol_ref,delta_limit_usd_base,\
final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob
conservative,conservative,1,10.0,2300.0,5.625,0.1,0.02,100000.0,1.0,2.0,-3.0,0.0
balanced,balanced,1,0.0,4400.0,5.625,0.1,,,1.0,,3.0,0.0
aggressive,aggressive,1,0.0,8800.1,5.625,0.1,0.02,100000.0,1.0,2.0,-3.0,0.0
"""
WORKED_ALIGNMENT = """\
risk_tier,emp_final_pnl_mean,emp_max_drawdown_mean,emp_kill_prob
conservative,5.0,-4000,0.02
aggressive,7.0,78.6,1.0
"""
WORKED_TUNED = """\
name,risk_tier,rank_within_tier,initial_q_tao,loss_limit_usd,hedge_band_base,size_eta,vol_ref,delta_limit_usd_base,\
final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob,base_name_exp12,risk_scale_exp12
conservative_exp12_tuned,conservative,1,5.0,2000.0,2.8125,0.05,0.02,50000.0,1.0,2.0,-3.0,0.0,conservative,0.5
balanced_exp12_tuned,balanced,1,0.0,4400.0,5.625,0.1,,,1.0,,3.0,0.0,balanced,1.0
aggressive_exp12_tuned,aggressive,1,0.0,8000.0,0.84375,0.015,0.02,15000.0,1.0,2.0,-3.0,0.0,aggressive,0.15
"""
WORKED_REPORT = """\
risk_tier,base_name,tuned_name,risk_scale_exp12,budget_max_dd_abs,emp_max_drawdown_mean,dd_ratio_emp_over_budget,\
budget_max_kill_prob,emp_kill_prob,kill_ratio_emp_over_budget,budget_min_final_pnl_mean,emp_final_pnl_mean,\
hedge_band_base_orig,hedge_band_base_tuned,size_eta_orig,size_eta_tuned,delta_limit_usd_base_orig,\
delta_limit_usd_base_tuned,loss_limit_usd_orig,loss_limit_usd_tuned
conservative,conservative,conservative_exp12_tuned,0.5,2000.0,-4000.0,2.0,0.01,0.02,2.0,0.0,5.0,\
5.625,2.8125,0.1,0.05,100000.0,50000.0,2300.0,2000.0
balanced,balanced,balanced_exp12_tuned,1.0,4000.0,,,0.05,,,0.0,,5.625,5.625,0.1,0.1,,,4400.0,4400.0
aggressive,aggressive,aggressive_exp12_tuned,0.15,8000.0,78.6,0.009824999999999999,0.15,1.0,6.666666666666667,-500.0,7.0,\
5.625,0.84375,0.1,0.015,100000.0,15000.0,8800.1,8000.0
"""


def tuned(warehouse: Warehouse, presets: str = WORKED_PRESETS, alignment: str = WORKED_ALIGNMENT) -> Tuned:
    return tune_presets(
        warehouse, write(warehouse.root / "presets.csv", presets), write(warehouse.root / "alignment.csv", alignment)
    )


def one(warehouse: Warehouse, alignment: str, **preset: Any) -> dict[str, Any]:
    """Return the report row of one conservative preset."""
    row = {"risk_tier": "conservative", "size_eta": 0.1, **preset}
    text = ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"
    head = "risk_tier,emp_max_drawdown_mean,emp_kill_prob\n"
    (report,) = tuned(warehouse, text, f"{head}conservative,{alignment}\n").report.to_dicts()
    return report


def test_the_worked_example_comes_out_to_the_last_digit(warehouse: Warehouse) -> None:
    found = tuned(warehouse)
    presets, report = write_tuned(warehouse, found)

    assert presets.relative_to(warehouse.root) == Path("runs/exp12_profile_safety_tuner/exp12_tuned_presets.csv")
    assert presets.read_text() == WORKED_TUNED
    assert report.read_text() == WORKED_REPORT
    assert found.warnings == [
        "balanced: alignment.csv does not tell both drawdown and kill probability; what is missing scales nothing"
    ]


def test_the_recorded_presets_and_alignment_give_the_recorded_files(warehouse: Warehouse) -> None:
    made = write_tuned(
        warehouse, tune_presets(warehouse, recorded("exp07_top1/exp07_presets.csv"), recorded("exp11_alignment.csv"))
    )
    assert [file.read_bytes() for file in made] == [recorded(f"exp12/{file.name}").read_bytes() for file in made]


def test_tuned_presets_may_be_tuned_again_and_say_what_the_second_round_did(warehouse: Warehouse) -> None:
    found = tuned(warehouse, WORKED_TUNED, "risk_tier,emp_max_drawdown_mean,emp_kill_prob\nconservative,4000,0\n")

    assert csv_bytes(found.frame[:1]).decode() == (
        WORKED_TUNED.partition("\n")[0] + "\n"
        "conservative_exp12_tuned_exp12_tuned,conservative,1,2.5,2000.0,1.40625,0.025,0.02,25000.0,1.0,2.0,-3.0,0.0,"
        "conservative_exp12_tuned,0.5\n"
    )
    assert found.frame["risk_scale_exp12"].to_list() == [0.5, 1.0, 1.0]


def test_the_recorded_tuned_presets_may_be_tuned_again(warehouse: Warehouse) -> None:
    first = recorded("exp12/exp12_tuned_presets.csv")
    again = tune_presets(warehouse, first, recorded("exp11_alignment.csv"))

    assert again.frame.columns == pl.read_csv(first).columns
    assert again.frame["base_name_exp12"].to_list() == pl.read_csv(first)["name"].to_list()


@pytest.mark.parametrize(
    ("row", "ratio"),
    [
        ("0.0,-17500.0,2000.0", 9.75),  # drawdowns of both signs: 2000 + 17500 is their mean magnitude
        ("-3000.0,-1000.0,2000.0", 1.5),
        ("0.0,500.0,20000.0", 9.75),  # the margin belongs to the budget beside it
        ("-3000.0,2000.0,2000.0", 1.5),  # an older tool took negative drawdowns for none
        ("-3000.0,-17500.0,", 1.5),
        ("-3000.0,,2000.0", 1.5),
    ],
)
def test_drawdowns_of_both_signs_do_not_cancel(warehouse: Warehouse, row: str, ratio: float) -> None:
    head = "risk_tier,emp_max_drawdown_mean,emp_dd_margin,budget_max_dd_abs,emp_kill_prob\n"
    (report,) = tuned(warehouse, "risk_tier\nconservative\n", f"{head}conservative,{row},0\n").report.to_dicts()

    assert (report["dd_ratio_emp_over_budget"], report["risk_scale_exp12"]) == (ratio, max(0.1, 1 / ratio))


@pytest.mark.parametrize(
    ("drawdown", "kill", "scale"),
    [
        (2000, 0.01, 1.0),
        (2100, 0.0105, 1.0),  # a ratio of 1.05 is tolerated
        (2101, 0, 2000 / 2101),
        (-2500, 0, 0.8),
        (2500, 0.02, 0.5),  # the smaller scale counts
        (10, 0.5, 0.1),  # never below a tenth
        ("", 0.02, 0.5),
        (4000, "", 0.5),
        ("", "", 1.0),
    ],
)
def test_the_scale_is_budget_over_metric_between_a_tenth_and_one(
    warehouse: Warehouse, drawdown: object, kill: object, scale: float
) -> None:
    assert one(warehouse, f"{drawdown},{kill}")["risk_scale_exp12"] == pytest.approx(scale, rel=1e-12)


@pytest.mark.parametrize(
    ("limit", "tuned_limit"), [(500, 500.0), (2200, 2200.0), (2200.01, 2000.0), (-2300, 2000.0), (-700, 700.0)]
)
def test_the_loss_limit_is_cut_to_the_drawdown_budget_by_its_magnitude_and_never_scaled(
    warehouse: Warehouse, limit: float, tuned_limit: float
) -> None:
    row = one(warehouse, "8000,1", loss_limit_usd=limit)

    assert (row["risk_scale_exp12"], row["loss_limit_usd_orig"], row["loss_limit_usd_tuned"]) == (
        0.1,
        limit,
        tuned_limit,
    )


def test_the_lowest_rank_is_tuned_and_columns_we_do_not_know_are_copied(warehouse: Warehouse) -> None:
    presets = (
        "Comment,NAME,risk_tier,rank_within_tier,size_eta\n"
        "x,b_2,Balanced,2,4\n007,b_1, balanced ,1,2\nz,b_3,balanced,3,6\n"
    )
    found = tuned(warehouse, presets, "risk_tier,emp_max_drawdown_mean,emp_kill_prob\nbalanced,8000,0\n")

    assert found.frame.to_dicts() == [
        {
            "Comment": "007", "NAME": "b_1_exp12_tuned", "risk_tier": "balanced", "rank_within_tier": 1,
            "size_eta": 1.0, "base_name_exp12": "b_1", "risk_scale_exp12": 0.5,
        }
    ]  # fmt: skip


def test_without_ranks_the_first_preset_of_a_tier_is_tuned(warehouse: Warehouse) -> None:
    found = tuned(warehouse, "name,risk_tier\nfirst,balanced\nsecond,balanced\n")

    assert found.report["base_name"].to_list() == ["first"]


def test_tiers_without_preset_and_presets_without_tier_are_left_out_with_a_warning(warehouse: Warehouse) -> None:
    full = "risk_tier,emp_max_drawdown_mean,emp_kill_prob\n" + "".join(
        f"{tier},1,0\n" for tier in ("conservative", "balanced", "aggressive")
    )
    found = tuned(warehouse, "name,risk_tier\na,bold\nb,aggressive\n", full)

    assert found.report["risk_tier"].to_list() == found.frame["risk_tier"].to_list() == ["aggressive"]
    assert found.warnings == [
        "conservative: no preset, so nothing to tune",
        "balanced: no preset, so nothing to tune",
        "presets of 'bold' left out: it is no risk tier",
    ]


def test_no_presets_give_files_of_a_header_alone(warehouse: Warehouse) -> None:
    presets, report = write_tuned(warehouse, tuned(warehouse, "name,risk_tier,size_eta\n"))

    assert presets.read_text() == "name,risk_tier,size_eta,base_name_exp12,risk_scale_exp12\n"
    assert report.read_text() == WORKED_REPORT.partition("\n")[0] + "\n"


def test_budgets_of_an_older_alignment_do_not_count_and_are_pointed_out(warehouse: Warehouse) -> None:
    alignment = (
        "risk_tier,budget_max_kill_prob,budget_max_dd_abs,budget_min_final_pnl_mean,emp_max_drawdown_mean,emp_kill_prob\n"
        "conservative,0.5,2000.0,0.0,1,0.02\nbalanced,0.05,4000,0,1,0\naggressive,0.15,8000,-500,1,0\n"
    )
    found = tuned(warehouse, alignment=alignment)

    assert found.report["risk_scale_exp12"].to_list() == [0.5, 1.0, 1.0]
    assert found.warnings == ["conservative: the budgets in alignment.csv are not those of risk_tiers, which count"]


@pytest.mark.parametrize(
    ("presets", "alignment", "message"),
    [
        ("name\na\n", WORKED_ALIGNMENT, "presets.csv has no column for risk_tier (risk_tier)"),
        (WORKED_PRESETS, "tier\na\n", "alignment.csv has no column for risk_tier (risk_tier)"),
        (
            "risk_tier,rank_within_tier\na,1.5\n",
            WORKED_ALIGNMENT,
            "row 1, column rank_within_tier: '1.5' is not a whole",
        ),
        ("risk_tier,size_eta\na,big\n", WORKED_ALIGNMENT, "row 1, column size_eta: 'big' is not a finite number"),
        (
            WORKED_PRESETS,
            "risk_tier,emp_kill_prob\nbalanced,50\n",
            "row 1, column emp_kill_prob: '50' is not between 0 and 1",
        ),
    ],
)
def test_what_cannot_be_used_is_named(warehouse: Warehouse, presets: str, alignment: str, message: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        tuned(warehouse, presets, alignment)
    assert message in caught.value.message
    assert caught.value.exit_code == 1


# --- from the warehouse, and the default files ------------------------------------------------------------------


SWEPT = {
    "label": "a", "profile": "balanced", "sweep_id": "s", "started_at": "2026-01-01T00:00:00+00:00", "repeat": 0,
    "init_q_tao": 20.0, "daily_loss_limit": 5000.0, "mm_size_eta": 2.0,
    "final_pnl": 100.0, "max_drawdown": 10.0, "kill_switch": False,
}  # fmt: skip
KILLED = {"profile": "balanced", "final_pnl": 1.0, "max_drawdown": 5.0, "kill_switch": True}


def test_by_default_the_sweep_of_the_warehouse_meets_the_newest_dataset(warehouse: Warehouse) -> None:
    add_runs(warehouse, [SWEPT], experiment="exp04_risk_regime")
    dataset = write_lines(warehouse.root / "research_dataset_v001.jsonl", [KILLED])
    found = tune_presets(warehouse)

    assert found.origins == ("the warehouse, 1 of 1 runs of the latest sweep of exp04_risk_regime", str(dataset))
    assert found.frame.select("name", "initial_q_tao", "size_eta", "loss_limit_usd").rows() == [
        ("conservative_exp12_tuned", 20.0, 2.0, 2000.0),
        ("balanced_exp12_tuned", 2.0, 0.2, 4000.0),  # killed 20 times as often as the budget allows
        ("aggressive_exp12_tuned", 20.0, 2.0, 5000.0),
    ]


def test_what_breaks_the_budget_of_exp11_is_scaled_down_from_the_dataset_too(warehouse: Warehouse) -> None:
    rows = [{**KILLED, "kill_switch": False, "max_drawdown": dd} for dd in (20000.0, -20000.0, 19000.0, -19000.0)]
    write_lines(warehouse.root / "research_dataset_v001.jsonl", rows)
    found = tune_presets(warehouse, write(warehouse.root / "presets.csv", "name,risk_tier,size_eta\nb,balanced,1\n"))

    assert align(warehouse).frame.filter(risk_tier="balanced")["emp_dd_margin"].to_list() == [4000.0 - 19500.0]
    columns = ("emp_max_drawdown_mean", "dd_ratio_emp_over_budget", "risk_scale_exp12")
    assert found.report.select(columns).rows() == [(0.0, 4.875, 1 / 4.875)]


def test_the_views_of_an_empty_warehouse_are_empty(warehouse: Warehouse) -> None:
    views = (
        *("risk_tiers", "profile_centres", "engine_presets", "analysis_settings", "run_ledger", "runs"),
        *("experiment_runs", "latest_sweeps", "latest_runs", "validation_summary", "scenario_summary"),
        *("preset_runs", "preset_source", "presets", "tier_presets", "safe_region_cells", "safe_region"),
        "world_model_alignment",
    )
    with connect(warehouse, views=views, or_empty=True) as connection:
        counts = {name: connection.sql(f"FROM {name}").pl().height for name in views[6:]}
    assert set(counts.values()) == {0}


def test_files_of_the_misspelt_folder_are_read_with_a_warning_and_never_written(warehouse: Warehouse) -> None:
    old = write(warehouse.root / "runs/exp12_profile_saftey_tuner/exp12_tuned_presets.csv", WORKED_TUNED)
    table, warnings = read_tuned(warehouse)

    assert table.rows["name"].to_list() == pl.read_csv(WORKED_TUNED.encode())["name"].to_list()
    assert warnings == [
        "exp12_tuned_presets.csv is read from the misspelt folder runs/exp12_profile_saftey_tuner:"
        " move it to runs/exp12_profile_safety_tuner"
    ]
    written, _ = write_tuned(warehouse, tuned(warehouse))
    assert find_tuned(warehouse) == (written, [])
    assert preset_environment(next(table.rows.iter_rows(named=True))) == {
        "PARAPHINA_INIT_Q_TAO": "5.0",
        "PARAPHINA_DAILY_LOSS_LIMIT": "2000.0",
        "PARAPHINA_HEDGE_BAND_BASE": "2.8125",
        "PARAPHINA_MM_SIZE_ETA": "0.05",
        "PARAPHINA_VOL_REF": "0.02",
    }
    assert old.read_text() == WORKED_TUNED


def test_tuned_presets_that_are_nowhere_are_a_missing_file(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"runs/exp12_profile_safety_tuner/exp12_tuned_presets\.csv") as caught:
        read_tuned(warehouse)
    assert (caught.value.hint, caught.value.exit_code) == ("make them with `paraphina-wh run exp12`", 2)


# --- the command ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["table", "csv"])
def test_the_command_prints_the_report_with_the_caveat(invoke: Invoke, tmp_path: Path, style: str) -> None:
    write(tmp_path / "runs/exp07_optimal_presets/exp07_presets.csv", WORKED_PRESETS)
    write(tmp_path / "runs/exp11_research_alignment/exp11_alignment.csv", WORKED_ALIGNMENT)
    result = invoke("run", "exp12", "--out-dir", "out", "--format", style)

    if style == "table":
        assert "\nemp_kill_prob               0.02                      n/a                   1.0\n" in result.stdout
        assert result.stdout.endswith(f"\n{SIZE_ETA_CAVEAT}\n")
        assert "nan" not in result.stdout.lower()
    else:
        assert result.stdout == WORKED_REPORT
        assert f"{SIZE_ETA_CAVEAT}\n" in result.stderr
    assert "warning: balanced: exp11_alignment.csv does not tell both" in result.stderr
    assert result.stderr.splitlines()[-2:] == ["wrote out/exp12_tuned_presets.csv", "wrote out/exp12_tuning_report.csv"]
    assert result.exit_code == 0


@pytest.mark.parametrize("missing", ["--presets-csv", "--alignment-csv"])
def test_a_missing_file_is_wrong_usage(invoke: Invoke, tmp_path: Path, missing: str) -> None:
    files = {
        "--presets-csv": write(tmp_path / "p.csv", WORKED_PRESETS),
        "--alignment-csv": write(tmp_path / "a.csv", WORKED_ALIGNMENT),
    } | {missing: Path("nowhere.csv")}
    result = invoke("run", "exp12", *(text for pair in files.items() for text in pair))

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: cannot read {tmp_path}/nowhere.csv: No such file or directory\nhint: ")
    assert not (tmp_path / "runs").exists()
