"""exp07: presets from a risk-regime sweep, with the corrected numbers of the contract."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from paraphina_wh.catalog import connect
from paraphina_wh.errors import WarehouseError
from paraphina_wh.presets import Presets, preset_environment, select_presets, write_presets
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.research_runs import add_runs, recorded, same_but_for_rounding
from tests.telemetry_maker import write

# Drawdowns are positive here; the sweep itself stores them negative.
WORKED = """\
initial_q_tao,loss_limit_usd,final_pnl,max_drawdown,killed
0,2000,100,1000,0
0,2000,140,1400,0
0,4000,300,2500,0
0,4000,340,2700,0
20,4000,900,9000,0
20,4000,1100,9400,0
40,8000,600,5000,1
40,8000,640,5200,0
"""
WORKED_SUMMARY = """\
initial_q_tao,loss_limit_usd,final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob
0.0,2000.0,120.0,28.284271247461902,1200.0,0.0
0.0,4000.0,320.0,28.284271247461902,2600.0,0.0
20.0,4000.0,1000.0,141.4213562373095,9200.0,0.0
40.0,8000.0,620.0,28.284271247461902,5100.0,0.5
"""
PICKS = {"conservative": (0, 2000), "balanced": (0, 2000), "aggressive": (0, 4000)}
VIEWS = (
    *("risk_tiers", "engine_presets", "run_ledger", "runs", "experiment_runs", "latest_sweeps", "latest_runs"),
    *("preset_runs", "preset_source", "presets"),
)
HEAD = "initial_q_tao,loss_limit_usd,final_pnl,max_drawdown,kill"


def given(warehouse: Warehouse, text: str, **options: Any) -> Presets:
    return select_presets(warehouse, write(warehouse.root / "sweep.csv", text), **options)


def picks(presets: Presets) -> dict[str, tuple[float, float]]:
    chosen = presets.frame.filter(rank_within_tier=1)
    return {row["risk_tier"]: (row["initial_q_tao"], row["loss_limit_usd"]) for row in chosen.to_dicts()}


# --- the worked example ---------------------------------------------------------------------------------------


def test_the_worked_example_is_condensed_to_its_groups(warehouse: Warehouse) -> None:
    assert csv_bytes(given(warehouse, WORKED).source).decode() == WORKED_SUMMARY


@pytest.mark.parametrize("sign", [1, -1], ids=["magnitudes", "negative drawdowns"])
def test_the_worked_example_picks_by_scores_that_count_drawdowns_of_either_sign(
    warehouse: Warehouse, sign: int
) -> None:
    signed = pl.read_csv(WORKED.encode()).with_columns(pl.col("max_drawdown") * sign).write_csv()
    presets = given(warehouse, signed)
    by_tier = {
        tier: presets.ranking.filter(risk_tier=tier).sort("candidate_order").select("score", "passes").rows()
        for tier in PICKS
    }
    assert by_tier == {
        "conservative": [
            (pytest.approx(-494.142136), True), (pytest.approx(-994.142136), False),
            (pytest.approx(-3670.710678), False), (pytest.approx(-2044.142136), False),
        ],
        "balanced": [
            (pytest.approx(-248.485281), True), (pytest.approx(-468.485281), True),
            (pytest.approx(-1802.426407), False), (pytest.approx(-968.485281), False),
        ],
        "aggressive": [
            (pytest.approx(-2.828427), True), (pytest.approx(57.171573), True),
            (pytest.approx(65.857864), False), (pytest.approx(82.171573), False),
        ],
    }  # fmt: skip
    assert picks(presets) == PICKS
    assert presets.frame["max_drawdown_mean"].to_list() == [sign * 1200.0, sign * 1200.0, sign * 2600.0]
    assert (presets.relaxed_tiers, presets.warnings) == ([], [])


def test_a_summary_gives_the_same_presets_as_its_runs(warehouse: Warehouse) -> None:
    by_runs, by_summary = given(warehouse, WORKED, top_per_tier=2), given(warehouse, WORKED_SUMMARY, top_per_tier=2)

    assert by_summary.frame.equals(by_runs.frame)
    assert csv_bytes(by_summary.source) == csv_bytes(by_runs.source)


def test_with_several_presets_a_tier_the_name_has_the_rank_and_only_passing_candidates_are_taken(
    warehouse: Warehouse,
) -> None:
    chosen = given(warehouse, WORKED, top_per_tier=3).frame.select("name", "rank_within_tier", "loss_limit_usd").rows()

    assert chosen == [
        ("conservative_1", 1, 2000.0),
        ("balanced_1", 1, 2000.0),
        ("balanced_2", 2, 4000.0),
        ("aggressive_1", 1, 4000.0),
        ("aggressive_2", 2, 2000.0),
    ]


# --- recorded files of the real tools ---------------------------------------------------------------------------


@pytest.mark.parametrize("top", [1, 2])
@pytest.mark.parametrize("source", ["exp04_risk_regime_runs.csv", "exp04_risk_regime_summary.csv"])
def test_the_recorded_sweep_gives_the_recorded_presets(warehouse: Warehouse, source: str, top: int) -> None:
    presets = select_presets(warehouse, recorded(source), top_per_tier=top)
    csv, as_json, summary = write_presets(warehouse, presets)

    assert csv == warehouse.root / "runs/exp07_optimal_presets/exp07_presets.csv"
    assert same_but_for_rounding(csv, recorded(f"exp07_top{top}/exp07_presets.csv"))
    assert same_but_for_rounding(as_json, recorded(f"exp07_top{top}/exp07_presets.json"))
    expected = pl.read_csv(recorded("exp07_source_summary.csv"))
    found = pl.read_csv(summary)
    assert found.columns == expected.columns
    assert [pytest.approx(row, rel=1e-9) for row in expected.rows()] == found.rows()


# --- grouping and ranking ---------------------------------------------------------------------------------------


def test_runs_of_other_knobs_are_other_candidates_and_the_knobs_stand_in_the_summary(warehouse: Warehouse) -> None:
    text = f"eta,delta_limit,{HEAD}\n2,1e5,0,500,10,1,0\n1,1e5,0,500,30,1,0\n2,1e5,0,500,20,1,0\n,1e5,0,500,7,1,0\n"

    assert csv_bytes(given(warehouse, text).source).decode() == (
        "initial_q_tao,loss_limit_usd,final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob,size_eta,"
        "delta_limit_usd_base\n"
        "0.0,500.0,30.0,,1.0,0.0,1.0,100000.0\n"
        "0.0,500.0,15.0,7.0710678118654755,1.0,0.0,2.0,100000.0\n"
        "0.0,500.0,7.0,,1.0,0.0,,100000.0\n"
    )


def test_a_setting_with_one_run_has_no_spread_and_a_score_all_the_same(warehouse: Warehouse) -> None:
    presets = given(warehouse, f"{HEAD}\n0,500,100,10,0\n")
    _, as_json, _ = write_presets(warehouse, presets)

    assert presets.ranking.filter(risk_tier="conservative")["score"].to_list() == [100.0 - 0.5 * 10.0]
    assert [row["final_pnl_std"] for row in json.loads(as_json.read_text())] == [None, None, None]


def test_drawdowns_of_both_signs_do_not_cancel(warehouse: Warehouse) -> None:
    presets = given(warehouse, f"{HEAD}\n0,500,100,5000,0\n0,500,100,-5000,0\n")
    balanced = presets.ranking.filter(risk_tier="balanced").to_dicts()[0]

    assert (balanced["max_drawdown_mean"], balanced["passes"]) == (0.0, False)
    assert balanced["score"] == 100.0 - 0.3 * 5000.0


@pytest.mark.parametrize("head", [HEAD, "init_q_tao,daily_loss_limit,pnl_mean,dd_mean,p_kill,std_pnl"])
def test_of_equal_scores_the_first_candidate_wins(warehouse: Warehouse, head: str) -> None:
    tail = "" if head == HEAD else ",0"
    text = head + "".join(f"\n0,{limit},100,10,0{tail}" for limit in (500, 1500, 4000)) + "\n"

    assert given(warehouse, text, top_per_tier=3).frame["loss_limit_usd"].to_list() == [500.0, 1500.0, 4000.0] * 3


def test_a_tier_without_a_passing_candidate_ranks_all_and_says_so(warehouse: Warehouse) -> None:
    presets = given(warehouse, f"{HEAD}\n0,500,-100,10,0\n0,1500,-90,10,0\n")

    assert picks(presets) == dict.fromkeys(PICKS, (0.0, 1500.0))
    assert presets.relaxed_tiers == ["conservative", "balanced"]
    assert presets.warnings == [
        "conservative: no candidate keeps the budgets, so all were ranked",
        "balanced: no candidate keeps the budgets, so all were ranked",
    ]


def test_a_candidate_with_an_unknown_metric_passes_nowhere_and_ranks_last(warehouse: Warehouse) -> None:
    presets = given(warehouse, f"{HEAD}\n0,500,900,,0\n0,1500,-9999,10,0\n", top_per_tier=2)

    assert presets.frame["loss_limit_usd"].to_list() == [1500.0, 500.0] * 3
    assert presets.relaxed_tiers == list(PICKS)


def test_runs_without_inventory_or_loss_limit_are_left_out_and_counted(warehouse: Warehouse) -> None:
    presets = given(warehouse, f"{HEAD}\n0,500,1,1,0\n,500,999,1,0\n0,NaN,999,1,0\n")

    assert presets.source["final_pnl_mean"].to_list() == [1.0]
    assert presets.warnings == ["2 rows without inventory or loss limit left out"]


def test_rows_of_a_summary_without_inventory_or_loss_limit_are_no_candidates(warehouse: Warehouse) -> None:
    presets = given(warehouse, WORKED_SUMMARY + ",500.0,9e9,0.0,0.0,0.0\n0.0,,9e9,0.0,0.0,0.0\n")

    assert csv_bytes(presets.source).decode() == WORKED_SUMMARY
    assert picks(presets) == PICKS
    assert presets.warnings == ["2 rows without inventory or loss limit left out"]


@pytest.mark.parametrize("kill", ["7", "-0.1"])
def test_a_kill_probability_beyond_its_limits_is_named(warehouse: Warehouse, kill: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        given(warehouse, WORKED_SUMMARY + f"60,500,1,1,1,{kill}\n")
    assert caught.value.message.endswith(f"sweep.csv, row 5, column kill_prob: {kill!r} is not between 0 and 1")


def test_no_runs_give_files_without_rows_and_a_warning(warehouse: Warehouse) -> None:
    presets = given(warehouse, f"{HEAD},eta\n")
    csv, as_json, source = write_presets(warehouse, presets)

    assert csv.read_text() == (
        "name,risk_tier,rank_within_tier,initial_q_tao,loss_limit_usd,hedge_band_base,size_eta,vol_ref,"
        "delta_limit_usd_base,final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob\n"
    )
    assert as_json.read_text() == "[]"
    assert source.read_text().count("\n") == 1
    assert presets.warnings == ["there are no candidates, so there are no presets"]


# --- names and cells of a file ------------------------------------------------------------------------------------


def test_names_match_in_any_case_and_the_first_of_the_list_wins(warehouse: Warehouse) -> None:
    text = "INIT_Q_TAO,q0,Daily_Loss_Limit,pnl,PNL_FINAL,drawdown_max,kill_switch,stopped_out\n9,1,500,9,2,3,1,no\n"

    assert given(warehouse, text).source.rows() == [(1.0, 500.0, 2.0, None, 3.0, 0.0)]


def test_columns_without_name_and_content_are_what_a_spreadsheet_leaves_behind(warehouse: Warehouse) -> None:
    text = f"{HEAD},, \n0,500,1,2,0,, \n0,500,3,2,0,,\n"

    assert given(warehouse, text).source["final_pnl_mean"].to_list() == [2.0]


@pytest.mark.parametrize(
    ("kill", "probability"),
    [("0", 0.0), ("1.0", 1.0), ("True", 1.0), (" yes ", 1.0), ("FALSE", 0.0), ("no", 0.0), ("", None)],
)
def test_kill_comes_in_many_forms(warehouse: Warehouse, kill: str, probability: float | None) -> None:
    assert given(warehouse, f"{HEAD}\n0,500,1,1,{kill}\n").source["kill_prob"].to_list() == [probability]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}\n0,500,1,1,0\n0,500,1.5.2,1,0\n", "row 2, column final_pnl: '1.5.2' is not a finite number"),
        (f"{HEAD}\n0,500,inf,1,0\n", "row 1, column final_pnl: 'inf' is not a finite number"),
        (f"{HEAD}\n0,500,1,1,perhaps\n", "row 1, column kill: 'perhaps' is not true, false, yes, no, 1 or 0"),
        (f"{HEAD}\n0,500,1,1,0.5\n", "row 1, column kill: '0.5' is not true, false, yes, no, 1 or 0"),
        (f"{HEAD}\n0,500,1,1,0\n0,500,1\n", "line 3: Expected Number of Columns: 5 Found: 3"),
        (f"{HEAD}\n0,500,1,1,0,7\n", "line 2: Expected Number of Columns: 5 Found: 6"),
        (f'{HEAD}\n0,500,1,1,"0\n', "line 2: Value with unterminated quote found."),
        ("pnl,Pnl\n1,2\n", "column 'pnl' is there twice"),
        (f"{HEAD},\n0,500,1,1,0,\n0,500,1,1,0,x\n", "row 2: 'x' stands in column 6, which has no name"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_read_is_named(warehouse: Warehouse, text: str, message: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        given(warehouse, text)
    assert message in caught.value.message
    assert str(warehouse.root / "sweep.csv") in caught.value.message
    assert caught.value.exit_code == 1


def test_a_missing_column_is_answered_with_what_was_tried_and_what_is_there(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError) as caught:
        given(warehouse, "q0,pnl,kill\n0,1,0\n")

    assert caught.value.message.endswith(
        "sweep.csv has no column for loss_limit_usd (loss_limit_usd, loss_limit, loss_limit_dollars, daily_loss_limit)"
        "; max_drawdown (max_drawdown, max_drawdown_quote, drawdown_max)"
    )
    assert (caught.value.hint, caught.value.exit_code) == ("columns present: q0, pnl, kill", 1)


# --- where the runs come from -------------------------------------------------------------------------------------


def swept(label: str, pnl: float, **more: Any) -> dict[str, Any]:
    """Return the ledger row of a run of the risk-regime sweep."""
    return {
        "label": label, "profile": "balanced", "sweep_id": "s1", "started_at": "2026-01-01T00:00:00+00:00",
        "repeat": 0, "init_q_tao": 0.0, "daily_loss_limit": -1500.0, "mm_size_eta": 2.0,
        "final_pnl": pnl, "max_drawdown": 10.0, "kill_switch": False, **more,
    }  # fmt: skip


def add_sweep(warehouse: Warehouse, *rows: dict[str, Any]) -> None:
    add_runs(warehouse, rows, experiment="exp04_risk_regime")


def test_the_latest_sweep_of_the_warehouse_counts_with_the_knobs_in_effect(warehouse: Warehouse) -> None:
    add_sweep(
        warehouse,
        swept("old", 9999.0, sweep_id="s0", started_at="2025-12-31T00:00:00+00:00"),
        swept("a", 100.0, repeat=0),
        swept("b", 140.0, repeat=1, kill_switch=True),
        swept("c", 7.0, mm_size_eta=50.0),
        swept("failed", -1e6, status="failed"),
    )
    presets = select_presets(warehouse)

    assert csv_bytes(presets.source).decode() == (
        "initial_q_tao,loss_limit_usd,final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob,"
        "hedge_band_base,size_eta,vol_ref,delta_limit_usd_base\n"
        "0.0,1500.0,120.0,28.284271247461902,-10.0,0.5,5.625,2.0,0.028125,100000.0\n"
        "0.0,1500.0,7.0,,-10.0,0.0,5.625,50.0,0.028125,100000.0\n"
    )
    assert presets.origin == "the warehouse, 3 of 4 runs of the latest sweep of exp04_risk_regime"
    assert ask_presets(warehouse) == presets.frame.rows()


def ask_presets(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    columns = (
        "name, risk_tier, rank_within_tier, initial_q_tao, loss_limit_usd, hedge_band_base, size_eta, vol_ref,"
        " delta_limit_usd_base, final_pnl_mean, final_pnl_std, max_drawdown_mean, kill_prob"
    )
    with connect(warehouse, threads=1, views=VIEWS) as connection:
        return connection.sql(
            f"SELECT {columns} FROM presets WHERE rank_within_tier = 1 ORDER BY tier_order"
        ).fetchall()


def test_the_sweep_exported_as_a_file_gives_the_same_presets(warehouse: Warehouse) -> None:
    add_sweep(warehouse, swept("a", 0.1, repeat=0), swept("b", 0.2, repeat=1), swept("c", 0.7, repeat=2))
    text = (
        "final_pnl,max_drawdown,kill_switch,initial_q_tao,loss_limit_usd,hedge_band_base,size_eta,vol_ref,"
        "delta_limit_usd_base\n"
    ) + "".join(f"{pnl},-10.0,0,0.0,1500.0,5.625,2.0,0.028125,100000.0\n" for pnl in (0.1, 0.2, 0.7))

    assert select_presets(warehouse).frame.equals(given(warehouse, text).frame)


def aged(path: Path, seconds: int) -> Path:
    """Give a file a time of change, in seconds after some day."""
    os.utime(path, (1_700_000_000 + seconds,) * 2)
    return path


def test_without_a_sweep_the_newest_per_run_file_by_name_counts(warehouse: Warehouse) -> None:
    runs = warehouse.root / "runs"
    row = "0,500,1,1,0\n"
    aged(write(runs / "a" / "exp04_risk_regime_runs.csv", f"{HEAD}\n{row}"), 1)
    aged(write(runs / "b" / "risk_regime_runs.csv", f"{HEAD}\n{row}{row}"), 2)
    aged(write(runs / "runs" / "exp04_risk_regime_summary.csv", WORKED_SUMMARY), 3)
    aged(write(runs / "exp03" / "exp03_stress_runs.csv", "pnl_total\n1\n"), 4)
    aged(write(runs / "exp04_multi_scenario" / "exp04_runs.csv", "init_q_tao,daily_loss_limit,pnl_total,kill\n"), 5)
    presets = select_presets(warehouse)

    assert presets.origin == str(runs / "b" / "risk_regime_runs.csv")
    assert presets.notices == [
        f"passed over: {runs}/exp04_multi_scenario/exp04_runs.csv has no column for max_drawdown"
        " (max_drawdown, max_drawdown_quote, drawdown_max)"
    ]


def test_files_that_cannot_be_used_are_passed_over_with_a_warning_each(warehouse: Warehouse) -> None:
    runs = warehouse.root / "runs"
    good = aged(write(runs / "risk_regime_runs.csv", f"{HEAD}\n0,500,1,1,0\n"), 1)
    aged(write(runs / "exp04_header_runs.csv", f"{HEAD}\n"), 2)
    aged(write(runs / "exp04_no_setting_runs.csv", f"{HEAD}\n,,1,1,0\n"), 3)
    aged(write(runs / "exp04_bad_cell_runs.csv", f"{HEAD}\n0,500,much,1,0\n"), 4)
    aged(write(runs / "exp04_cut_off_runs.csv", f"{HEAD}\n0,50"), 5)
    aged(write(runs / "exp04_empty_runs.csv", ""), 6)
    presets = select_presets(warehouse)

    assert presets.origin == str(good)
    assert presets.notices == [
        f"passed over: {runs}/exp04_empty_runs.csv is empty",
        f"passed over: {runs}/exp04_cut_off_runs.csv, line 2: Expected Number of Columns: 5 Found: 2",
        f"passed over: {runs}/exp04_bad_cell_runs.csv, row 1, column final_pnl: 'much' is not a finite number",
        f"passed over: {runs}/exp04_no_setting_runs.csv has no row with inventory and loss limit",
        f"passed over: {runs}/exp04_header_runs.csv has no row with inventory and loss limit",
    ]
    good.unlink()
    with pytest.raises(WarehouseError) as caught:
        select_presets(warehouse)
    assert caught.value.message == "no runs to choose presets from: " + "; ".join(presets.notices)
    assert caught.value.exit_code == 2


def test_a_summary_counts_when_there_is_no_per_run_file(warehouse: Warehouse) -> None:
    file = write(warehouse.root / "runs" / "exp04" / "exp04_risk_regime_summary.csv", WORKED_SUMMARY)

    assert select_presets(warehouse).origin == str(file)
    assert picks(select_presets(warehouse)) == PICKS


# --- engine knobs ---------------------------------------------------------------------------------------------------


def test_a_preset_becomes_engine_knobs_in_full_precision(warehouse: Warehouse) -> None:
    text = f"{HEAD},size_eta\n-20.5,-1234.56789,1,1,0,0.1\n"
    (preset,) = given(warehouse, text).frame.filter(risk_tier="balanced").to_dicts()

    assert preset_environment(preset) == {
        "PARAPHINA_INIT_Q_TAO": "-20.5",
        "PARAPHINA_DAILY_LOSS_LIMIT": "1234.56789",
        "PARAPHINA_MM_SIZE_ETA": "0.1",
    }


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_prints_presets_and_knobs_and_writes_the_files(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "sweep.csv", f"{HEAD},delta_limit\n0,500,-9,1,0,1e5\n")
    foreign = write(tmp_path / "out" / "summary.txt", "of another tool")
    result = invoke("run", "exp07", "--runs-csv", "sweep.csv", "--out-dir", "out")

    assert result.stdout.splitlines()[:2] == [
        "=== Presets ===",
        "name                  conservative                      balanced                          aggressive",
    ]
    assert result.stdout.splitlines()[5:6] == [
        "initial_q_tao         0.0                               0.0" + " " * 31 + "0.0"
    ]
    assert "final_pnl_std         n/a                               n/a" in result.stdout
    assert (
        "budgets               relaxed: no candidate keeps them  relaxed: no candidate keeps them  kept"
        in result.stdout
    )
    assert result.stdout.endswith(
        "\n# aggressive\nPARAPHINA_INIT_Q_TAO=0.0\nPARAPHINA_DAILY_LOSS_LIMIT=500.0\n"
        "# delta_limit_usd_base=100000.0: the engine has no knob for it\n"
    )
    assert result.stderr.splitlines() == [
        f"presets from {tmp_path / 'sweep.csv'}",
        "warning: conservative: no candidate keeps the budgets, so all were ranked",
        "warning: balanced: no candidate keeps the budgets, so all were ranked",
        "wrote out/exp07_presets.csv",
        "wrote out/exp07_presets.json",
        "wrote out/exp07_source_summary.csv",
    ]
    assert result.exit_code == 0
    assert foreign.read_text() == "of another tool"
    assert not (tmp_path / "runs").exists()


def test_data_goes_to_stdout_as_the_file_has_it_and_twice_the_same(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "sweep.csv", WORKED)
    arguments = ("run", "exp07", "--runs-csv", "sweep.csv", "--format", "csv")
    assert invoke(*arguments).stdout == (tmp_path / "runs/exp07_optimal_presets/exp07_presets.csv").read_text()
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert invoke(*arguments).exit_code == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first


def test_an_input_is_below_root_or_else_here_and_the_output_is_here(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    both, only_here = write(tmp_path / "both.csv", WORKED), write(here / "only_here.csv", WORKED)
    write(here / "both.csv", "not read")
    monkeypatch.chdir(here)

    for name, read in (("both.csv", both), ("only_here.csv", only_here), (str(both), both)):
        result = invoke("--root", "..", "run", "exp07", "--runs-csv", name, "--out-dir", "out")
        assert (result.exit_code, result.stderr.splitlines()[:2]) == (
            0,
            [f"presets from {read}", "wrote here/out/exp07_presets.csv"],
        )
    assert (here / "out/exp07_presets.csv").is_file()
    missing = invoke("--root", "..", "run", "exp07", "--runs-csv", "nowhere.csv")
    assert missing.stderr.startswith(f"error: cannot read {tmp_path}/nowhere.csv: ")
    assert missing.exit_code == 2


@pytest.mark.parametrize("style", ["table", "json"])
def test_runs_of_the_reference_engine_are_marked(warehouse: Warehouse, invoke: Invoke, style: str) -> None:
    add_sweep(warehouse, swept("a", 1.0, engine="reference"))
    result = invoke("run", "exp07", "--format", style)
    note = "engine: reference — not evidence about the real engine\n"

    assert (note in result.stdout, note in result.stderr) == (style == "table", style == "json")
    assert "presets from the warehouse, 1 of 1 runs of the latest sweep of exp04_risk_regime\n" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
    [
        ([], 2, "no runs to choose presets from: no CSV file of a risk-regime sweep below "),
        (["--runs-csv", "nowhere.csv"], 2, "cannot read "),
        (["--runs-csv", "."], 2, "cannot read "),
        (["--runs-csv", "bad.csv"], 1, "bad.csv has no column for initial_q_tao"),
        (["--top-per-tier", "0"], 2, "Invalid value for '--top-per-tier'"),
    ],
)
def test_wrong_inputs(invoke: Invoke, tmp_path: Path, arguments: list[str], exit_code: int, error: str) -> None:
    write(tmp_path / "bad.csv", "a,b\n1,2\n")
    result = invoke("run", "exp07", *arguments)

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith("error: ")
    assert error in result.stderr
    assert "\nhint: " in result.stderr
    assert not (tmp_path / "runs").exists()
