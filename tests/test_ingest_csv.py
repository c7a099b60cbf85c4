"""Tables of experiments: per-run CSVs become runs without ticks, summary CSVs a table of their own."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.ingest.run_columns import COLUMNS, KINDS
from paraphina_wh.ingest.table_names import experiment_of
from paraphina_wh.ledger import run_id_of
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke
from tests.records import run_of
from tests.telemetry_maker import ask, ask_one, files_below, ingest, runs_content, verdicts, write

STRESS = """\
run_id,duration_sec,returncode,experiment,profile,init_q_tao,band_base,repeat,\
pnl_realised,pnl_unrealised,pnl_total,kill_switch
run_0,0.5,0,exp03_stress_search,aggressive,-40.0,5.625,0,657.08,124.43,781.51,True
run_1,0.25,0,exp03_stress_search,aggressive,-40.0,5.625,1,657.08,124.43,781.51,True
run_2,1.0,-9,exp03_stress_search,balanced,0.0,5.625,0,,,,False
"""
# The old risk-regime sweep: no profile, negative drawdowns, kill as 0 or 1.
REGIME = """\
initial_q_tao,loss_limit_usd,run_idx,final_pnl,max_drawdown,risk_regime,kill_switch,size_eta
-40.0,500.0,0,271.5,-36.5,HardLimit,1,0.5
-40.0,500.0,1,288.25,-36.75,Normal,0,0.5
"""
SUMMARY = """\
initial_q_tao,loss_limit_usd,final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob,note
-40.0,500.0,279.875,11.5,-36.625,0.5,"a, ""b"" c"
0,500.0,1,,-2,0,
"""


def take_in(warehouse: Warehouse, content: str | bytes, name: str = "exp99_runs.csv", **options: Any) -> str:
    """Ingest one table and return its status, with what was said against it."""
    (outcome,) = ingest(warehouse, write(warehouse.root / name, content), **options)
    return "; ".join([outcome.status, *outcome.errors])


# --- per-run tables -------------------------------------------------------------------------------------------


def test_every_row_is_a_run_without_ticks(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "exp03_stress_runs.csv", STRESS))
    assert (outcome.status, outcome.run_id, outcome.ticks, outcome.bytes) == ("ingested", None, 0, len(STRESS))
    assert outcome.notices == ["3 runs"]
    assert ask(
        warehouse,
        "SELECT profile, run_name, repeat, status, returncode, duration_sec, init_q_tao, band_base, "
        "stdout_pnl_realised, stdout_pnl_unrealised, stdout_pnl_total, stdout_kill_switch, stdout_usable, source_row "
        "FROM runs ORDER BY source_row",
    ) == [
        ("aggressive", "run_0", 0, "ok", 0, 0.5, -40, 5.625, 657.08, 124.43, 781.51, True, True, 1),
        ("aggressive", "run_1", 1, "ok", 0, 0.25, -40, 5.625, 657.08, 124.43, 781.51, True, True, 2),
        ("balanced", "run_2", 0, "failed", -9, 1.0, 0, 5.625, None, None, None, False, False, 3),
    ]
    query = "SELECT DISTINCT experiment, source_kind, source_path, num_ticks, final_pnl, engine FROM runs"
    assert ask(warehouse, query) == [("exp03_stress_search", "csv", "exp03_stress_runs.csv", None, None, None)]


def test_the_label_is_the_sorted_json_of_what_says_which_run_it_was(warehouse: Warehouse) -> None:
    take_in(warehouse, STRESS)
    run = ask_one(warehouse, "SELECT label, label_json, run_id, knobs_json, error FROM runs WHERE source_row = 3")
    label = '{"band_base":5.625,"experiment":"exp03_stress_search","init_q_tao":0.0,"profile":"balanced","repeat":0}'
    assert (run["label"], run["label_json"]) == (label, label)
    assert run["knobs_json"] == '{"PARAPHINA_HEDGE_BAND_BASE":"5.625","PARAPHINA_INIT_Q_TAO":"0.0"}'
    assert run["error"] == "return code -9"
    content = '{"kill_switch":false,"returncode":-9}'
    assert run["run_id"] == run_id_of("balanced", label, hashlib.sha256(content.encode()).hexdigest())


def test_identical_repeats_are_runs_of_their_own_but_one_piece_of_evidence(warehouse: Warehouse) -> None:
    take_in(warehouse, STRESS)
    counts = "count(*), count(DISTINCT run_id), count(DISTINCT evidence_id)"
    assert ask(warehouse, f"SELECT {counts} FROM runs WHERE profile = 'aggressive'") == [(2, 2, 1)]


def test_an_old_risk_regime_table(warehouse: Warehouse) -> None:
    write(warehouse.root / "exp04_risk_regime_runs.csv", REGIME)
    ingest(warehouse, warehouse.root / "exp04_risk_regime_runs.csv", profile="balanced")
    assert ask(
        warehouse,
        "SELECT experiment, profile, init_q_tao, daily_loss_limit, mm_size_eta, repeat, final_pnl, max_drawdown, "
        "kill_switch, final_regime, stdout_kill_switch, stdout_pnl_total FROM runs ORDER BY source_row",
    ) == [
        ("exp04_risk_regime", "balanced", -40, 500, 0.5, 0, 271.5, 36.5, True, "HardLimit", None, None),
        ("exp04_risk_regime", "balanced", -40, 500, 0.5, 1, 288.25, 36.75, False, "Normal", None, None),
    ]


def test_a_table_with_path_metrics(warehouse: Warehouse) -> None:
    label = '{"experiment":"e","profile":"balanced","repeat":3,"scenario":"low_vol","vol_ref_centre":0.5,'
    label += '"vol_ref_override":0.25}'
    take_in(
        warehouse,
        "run_id,returncode,experiment,profile,scenario,vol_ref_centre,vol_ref_override,repeat,telemetry_path,pnl_total,"
        "kill_switch,pnl_total_end,max_drawdown,max_drawdown_time,time_to_kill,regime_frac_hard,num_ticks,ts_error\n"
        "a,0,e,balanced,low_vol,0.5,0.25,3,/t/a.jsonl,781.51,True,781.514,44.4,24,24.0,0.04,25,\n",
    )
    assert ask(
        warehouse,
        "SELECT vol_ref, telemetry_path, stdout_pnl_total, stdout_kill_switch, final_pnl, max_drawdown, kill_switch, "
        "max_drawdown_time, kill_tick, frac_hard, num_ticks, label_json FROM runs",
    ) == [
        (0.25, "/t/a.jsonl", 781.51, True, 781.514, 44.4, True, 24, 24, 0.04, 25, label),
    ]


def test_rows_of_tables_never_enter_a_dataset(warehouse: Warehouse) -> None:
    take_in(warehouse, "profile,final_pnl,max_drawdown,kill_switch,num_ticks\nbalanced,1,2,0,37\n")
    write(warehouse.root / "balanced_r1.jsonl", run_of(2))
    ingest(warehouse, warehouse.root / "balanced_r1.jsonl")
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(2,)]
    assert ask(warehouse, "SELECT label FROM research_rows") == [("exp13_balanced_r001",)]


def test_rows_of_equal_settings_are_numbered_when_no_column_does(warehouse: Warehouse) -> None:
    """The worked example of exp07 has no repeat column."""
    take_in(warehouse, "q0,pnl,drawdown_max,killed\n0,100,1000,0\n0,140,1400,0\n20,900,9000,1\n", profile="balanced")
    query = "SELECT init_q_tao, repeat, final_pnl, max_drawdown, kill_switch FROM runs ORDER BY source_row"
    assert ask(warehouse, query) == [
        (0, 0, 100, 1000, False),
        (0, 1, 140, 1400, False),
        (20, 0, 900, 9000, True),
    ]


def test_the_same_table_again_changes_nothing_wherever_it_lies_and_however_it_is_packed(warehouse: Warehouse) -> None:
    take_in(warehouse, STRESS)
    before = files_below(warehouse.path)
    assert take_in(warehouse, STRESS) == "unchanged"
    assert take_in(warehouse, gzip.compress(STRESS.encode()), "elsewhere/copy_runs.csv.gz") == "unchanged"
    assert take_in(warehouse, STRESS.replace("0.5,0,exp03", "0.75,0,exp03")) == "unchanged"
    assert files_below(warehouse.path) == before


def test_a_table_that_grew_adds_its_new_rows(warehouse: Warehouse) -> None:
    take_in(warehouse, STRESS)
    more = STRESS + "run_3,1.0,0,exp03_stress_search,balanced,20.0,5.625,0,1,2,3,False\n"
    (outcome,) = ingest(warehouse, write(warehouse.root / "exp99_runs.csv", more))
    assert (outcome.status, outcome.notices) == ("ingested", ["4 runs, 1 of them new"])
    assert ask(warehouse, "SELECT count(*), count(DISTINCT run_id) FROM runs") == [(4, 4)]


def test_other_results_under_the_same_label_are_refused_or_replace(warehouse: Warehouse) -> None:
    take_in(warehouse, STRESS)
    ((old,),) = ask(warehouse, "SELECT run_id FROM runs WHERE run_name = 'run_1'")
    other = STRESS.replace("1,657.08,124.43,781.51", "1,657.08,124.43,781.52")
    before = files_below(warehouse.path)
    verdict = take_in(warehouse, other)
    assert verdict.startswith("rejected; row 2: label '{")
    assert verdict.endswith(f"is taken by run {old} with other results")
    assert files_below(warehouse.path) == before
    assert take_in(warehouse, other, replace=True) == "ingested"
    query = "SELECT run_name, stdout_pnl_total FROM runs WHERE profile = 'aggressive' ORDER BY run_name"
    assert ask(warehouse, query) == [
        ("run_0", 781.51),
        ("run_1", 781.52),
    ]
    assert take_in(warehouse, other, replace=True) == "unchanged"


def test_a_failed_row_gives_way_to_a_good_one_and_never_the_other_way(warehouse: Warehouse) -> None:
    good = STRESS.replace("1.0,-9,", "1.0,0,").replace(",0,,,,False", ",0,1,2,3,False")
    take_in(warehouse, STRESS)
    assert take_in(warehouse, good) == "ingested"
    assert ask(warehouse, "SELECT status FROM runs WHERE profile = 'balanced'") == [("ok",)]
    assert take_in(warehouse, STRESS) == "ingested"
    query = "SELECT status FROM runs WHERE profile = 'balanced' ORDER BY status"
    assert ask(warehouse, query) == [("failed",), ("ok",)]


def test_seeds_are_unsigned_and_stay_exact(warehouse: Warehouse) -> None:
    take_in(warehouse, f"profile,seed,pnl_total\nbalanced,7,1\nbalanced,{2**64 - 1},2\n")
    rows = ask(warehouse, "SELECT seed, label_json ->> '$.seed' FROM runs ORDER BY source_row")
    assert rows == [(7, "7"), (2**64 - 1, str(2**64 - 1))]


@pytest.mark.parametrize(
    ("name", "experiment"),
    [
        ("exp03_stress_runs.csv", "exp03_stress_search"),
        ("runs/x/exp04_runs_with_ts.csv.gz", "exp04_multi_scenario"),
        ("exp05_runs_raw.csv", "exp05_telemetry_validation"),
        ("exp08_profile_summary.csv", "exp08_profile_validation"),
        ("mine_runs.csv", "mine"),
        ("table.csv", "adhoc"),
    ],
)
def test_the_name_of_a_table_tells_its_experiment(name: str, experiment: str) -> None:
    assert experiment_of(name) == experiment


def test_the_column_says_the_experiment_before_the_option_and_the_name(warehouse: Warehouse) -> None:
    take_in(warehouse, "profile,experiment,pnl_total\nbalanced,mine,1\nbalanced,,2\n", experiment="given")
    take_in(warehouse, "profile,pnl_total\nbalanced,1\n")
    assert ask(warehouse, "SELECT experiment, stdout_pnl_total FROM runs ORDER BY experiment") == [
        ("exp99", 1.0),
        ("given", 2.0),
        ("mine", 1.0),
    ]


def test_every_column_has_one_meaning() -> None:
    names = [name for names in COLUMNS.values() for name in names]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
    assert set(KINDS) <= set(COLUMNS)


def test_long_labels_can_be_forgotten(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "a_runs.csv", f"profile,note,pnl_total\nbalanced,{'x' * 500},1\n")
    invoke("ingest", "a_runs.csv")
    ((run_id,),) = ask(locate(tmp_path), "SELECT run_id FROM runs")
    assert invoke("forget", run_id).exit_code == 0
    assert ask(locate(tmp_path), "SELECT count(*) FROM runs") == [(0,)]


# --- what is turned down --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "exp99_runs.csv: the file is empty"),
        ("\n\n", "exp99_runs.csv: the file is empty"),
        ("\nprofile,pnl_total\n", "exp99_runs.csv: line 1 is blank"),
        ("profile,pnl_total\n", "no rows below the header"),
        ("profile,pnl_total\nbalanced\nbalanced,1,2\n", "line 2: too few cells; line 3: too many cells"),
        ("profile,pnl_total,PROFILE\nbalanced,1,x\n", "exp99_runs.csv: column 'profile' stands there twice"),
        ("profile;pnl_total\nbalanced;1\n", "exp99_runs.csv: the cells are separated by semicolons, not by commas"),
        ("profile,pnl_total\nbalanced,abc\n", "row 1: pnl_total: 'abc' is not a number"),
        ("profile,pnl_total\nbalanced,1_000\n", "row 1: pnl_total: '1_000' is not a number"),
        ("profile,pnl_total\nbalanced,inf\n", "row 1: pnl_total: 'inf' is not a number"),
        ("profile,pnl_total,Seed\nbalanced,1,-1\n", "row 1: Seed: '-1' is not an unsigned integer of 64 bits"),
        ("profile,pnl_total,repeat\nbalanced,1,0.5\n", "row 1: repeat: '0.5' is not an integer of 64 bits"),
        ("profile,pnl,kill\nbalanced,1,perhaps\n", "row 1: kill: 'perhaps' is not one of true, false, yes, no, 1, 0"),
        ("pnl_total\n1\n", "row 1: no profile"),
        ('profile,pnl_total\nbalanced,"1\n', "line 2: a quote that is not closed"),
        (b"profile,pnl_total,note\nbalanced,1,\xff\n", "line 2: not UTF-8"),
        (b"\xff\xfep\0r\0", "exp99_runs.csv: UTF-16 text"),
        ("profile,pnl_total,note\nbalanced,1," + "x" * 2_100_000 + "\n", "line 2: longer than 2 MB"),
        (
            "profile,pnl_total,repeat\nbalanced,1,0\nbalanced,2,0\n",
            "row 2: settings and repeat of row 1, with other results",
        ),
    ],
)
def test_a_table_that_cannot_be_trusted_is_turned_down_with_row_and_column(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, content: str | bytes, said: str
) -> None:
    monkeypatch.chdir(warehouse.root)
    write(Path("exp99_runs.csv"), content)
    (outcome,) = ingest(warehouse, "exp99_runs.csv")
    assert (outcome.status, "; ".join(outcome.errors)) == ("rejected", said)
    assert outcome.hint
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(0,)]


def test_what_is_odd_but_harmless_goes_in_with_a_warning(warehouse: Warehouse) -> None:
    twice = '1,bold,1,"a\x1b[31m\nb",0\r\n' * 2
    odd = "\ufeff,profile,pnl_total,note,repeat\r\n0,balanced,NaN,=1+1,0\r\n" + twice
    (outcome,) = ingest(warehouse, write(warehouse.root / "odd_runs.csv", odd), new_profile=True)
    assert (outcome.status, outcome.notices) == ("ingested", ["2 runs"])
    assert outcome.warnings == [
        "starts with a byte order mark",
        "column 1 has no name: left out",
        "profile 'bold' has no risk budget, no verdict counts its runs; tiers: conservative, balanced, aggressive",
        "1 rows say what earlier ones say, repeat included: counted once",
    ]
    rows = ask(warehouse, "SELECT stdout_pnl_total, label_json FROM runs ORDER BY source_row")
    assert [(pnl, json.loads(label)["note"]) for pnl, label in rows] == [(None, "=1+1"), (1.0, "a\x1b[31m\nb")]


@pytest.mark.parametrize(
    ("header", "said", "hint"),
    [
        ("a,b", "no column of a PnL for each run", "columns present: a, b"),
        ("name,rank_within_tier,final_pnl_mean", "a table of presets", "read it with `paraphina-wh run exp12"),
        ("run,ticks_executed,max_abs_q_tao,final_pnl", "the rounded twin of mc_runs.jsonl", "ingest mc_runs.jsonl"),
    ],
)
def test_other_tables_are_named_for_what_they_are(warehouse: Warehouse, header: str, said: str, hint: str) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "x.csv", f"{header}\n1\n"))
    assert outcome.status == "rejected"
    assert said in outcome.errors[0]
    assert outcome.hint.startswith(hint)


def test_tables_of_our_own_runner_are_in_the_warehouse_already(warehouse: Warehouse) -> None:
    table = write(warehouse.root / "runs" / "exp03" / "exp03_stress_runs.csv", STRESS)
    write(table.parent / "experiment.toml", "")
    write(warehouse.root / "runs" / "b_runs.csv", STRESS)
    assert verdicts(ingest(warehouse, warehouse.root)) == {"b_runs.csv": "ingested"}
    (outcome,) = ingest(warehouse, table)
    assert outcome.status == "unchanged"
    assert outcome.notices == ["3 runs"]
    (outcome,) = ingest(warehouse, write(table.parent / "exp03_stress_summary.csv", SUMMARY))
    assert (outcome.status, outcome.notices) == (
        "unchanged",
        ["an experiment or an analysis step made it of runs, which count themselves"],
    )


def test_of_two_tables_of_the_same_runs_the_one_with_more_columns_goes_in(warehouse: Warehouse) -> None:
    write(warehouse.root / "exp04_runs.csv", "profile,pnl_total\nbalanced,1\n")
    write(warehouse.root / "exp04_runs_with_ts.csv", "profile,pnl_total,max_drawdown\nbalanced,1,2\n")
    assert verdicts(ingest(warehouse, warehouse.root)) == {
        "exp04_runs.csv": "unchanged",
        "exp04_runs_with_ts.csv": "ingested",
    }


# --- summaries ------------------------------------------------------------------------------------------------


def test_a_summary_is_kept_row_by_row(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "exp04_risk_regime_summary.csv", SUMMARY))
    assert (outcome.status, outcome.notices) == ("ingested", ["2 summary rows"])
    assert ask(
        warehouse,
        "SELECT row_no, experiment, profile, initial_q_tao, loss_limit_usd, final_pnl_mean, final_pnl_std, "
        "max_drawdown_mean, kill_prob, hedge_band_base, row_json ->> '$.note' FROM imported_summaries ORDER BY row_no",
    ) == [
        (1, "exp04_risk_regime", None, -40, 500, 279.875, 11.5, -36.625, 0.5, None, 'a, "b" c'),
        (2, "exp04_risk_regime", None, 0, 500, 1, None, -2, 0, None, None),
    ]
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(0,)]


def test_the_synonyms_of_the_working_experiments(warehouse: Warehouse) -> None:
    take_in(
        warehouse,
        "profile,init_q_tao,band_base,pnl_total_mean,pnl_total_std,kill_switch_frac\n"
        "aggressive,-40.0,5,781.51,0.0,1.0\n",
        "exp03_stress_summary.csv",
    )
    query = "SELECT experiment, profile, initial_q_tao, hedge_band_base, final_pnl_mean, final_pnl_std, kill_prob"
    assert ask(warehouse, f"{query} FROM imported_summaries") == [
        ("exp03_stress_search", "aggressive", -40, 5, 781.51, 0, 1)
    ]


def test_a_summary_comes_in_once_and_is_replaced_by_path(warehouse: Warehouse) -> None:
    take_in(warehouse, SUMMARY, "a_summary.csv")
    assert take_in(warehouse, SUMMARY, "b_summary.csv") == "unchanged"
    other = SUMMARY.replace("279.875", "280")
    assert "the warehouse holds other content of this file" in take_in(warehouse, other, "a_summary.csv")
    assert take_in(warehouse, other, "a_summary.csv", replace=True) == "ingested"
    query = "SELECT final_pnl_mean FROM imported_summaries ORDER BY row_no"
    assert ask(warehouse, query) == [(280,), (1,)]


def test_a_bad_cell_of_a_summary(warehouse: Warehouse) -> None:
    assert take_in(warehouse, SUMMARY.replace("500.0,1", "5OO,1"), "a_summary.csv") == (
        "rejected; row 2: loss_limit_usd: '5OO' is not a number"
    )


# --- on the command line --------------------------------------------------------------------------------------


def test_the_command_line_counts_and_leaves_out(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "in" / "a_runs.csv", STRESS)
    write(tmp_path / "in" / "b_summary.csv", SUMMARY)
    write(tmp_path / "in" / "c.csv", "a,b\n1,2\n")
    write(tmp_path / "in" / "d_runs.csv", "profile,pnl_total\nbalanced,x\n")
    result = invoke("ingest", "in", "--format", "csv")
    assert result.stdout.splitlines() == [
        "file,run_id,status,ticks,bytes",
        f"in/a_runs.csv,,ingested,0,{len(STRESS)}",
        f"in/b_summary.csv,,ingested,0,{len(SUMMARY)}",
        "in/d_runs.csv,,rejected,0,0",
    ]
    assert result.stderr.splitlines() == [
        "in/a_runs.csv: 3 runs",
        "in/b_summary.csv: 2 summary rows",
        "error: in/d_runs.csv: row 1: pnl_total: 'x' is not a number",
        "hint: repair the table, then ingest it again; rows count from 1 below the header",
        "left out, of no known kind: in/c.csv",
        "2 ingested, 1 rejected",
    ]
    assert result.exit_code == 1
    assert invoke("query", "SELECT count(*) AS n FROM imported_summaries", "--format", "csv").stdout == "n\n2\n"


def test_order_and_bad_files_leave_no_trace_in_runs(tmp_path: Path) -> None:
    contents = []
    for number, names in enumerate((("a", "b", "bad"), ("bad", "b", "a"))):
        (tmp_path / str(number)).mkdir()
        warehouse = locate(tmp_path / str(number))
        tables = {"a": STRESS, "b": REGIME, "bad": STRESS.replace("5.625", "x")}
        files = [write(warehouse.root / f"{name}_runs.csv", tables[name]) for name in names]
        ingest(warehouse, *files, profile="balanced")
        contents.append(runs_content(warehouse))
    assert contents[0] == contents[1]
    assert len(contents[0]) == 5


# --- recorded tables of the real tools ------------------------------------------------------------------------


def test_the_recorded_tables_go_in_whole(warehouse: Warehouse, recorded: Path) -> None:
    expected = recorded / "expected"
    report = ingest(warehouse, expected, profile="balanced")
    assert {Path(o.file).name: (o.status, o.notices) for o in report} == {
        "exp03_stress_runs.csv": ("ingested", ["60 runs"]),
        "exp03_stress_summary.csv": ("ingested", ["15 summary rows"]),
        "exp04_risk_regime_runs.csv": ("ingested", ["45 runs"]),
        "exp04_risk_regime_summary.csv": ("ingested", ["15 summary rows"]),
        "research_dataset_v001.jsonl": ("ingested", ["12 runs"]),
    }
    assert ask(
        warehouse,
        "SELECT avg(stdout_pnl_total), count(*) FROM runs WHERE profile = 'aggressive' AND init_q_tao = -20",
    ) == [(2153.6, 4)]
    assert ask(warehouse, "SELECT count(*) FROM research_rows") == [(0,)]
