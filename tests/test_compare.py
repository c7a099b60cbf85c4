"""`compare A B`: what names stand for, pairs over common seeds, and the verdict promote, hold or reject."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import paraphina_wh as wh
from paraphina_wh.engine.seeds import SEED_SPACE, seeds_of
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence.compare import SetComparison, compare_sets, find_sides
from paraphina_wh.evidence.paired import Terms, judge
from paraphina_wh.evidence.sides import Side
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.research_runs import add_runs
from tests.telemetry_maker import reference_run, sidecar
from tests.torture import comparisons

Run = dict[str, Any]

_COLUMNS = {
    **dict.fromkeys(("kind", "run_id", "label", "config", "profile", "engine"), pl.String),
    **dict.fromkeys(("arrival", "ticks_requested", "seed_index", "seed_space", "seed_first"), pl.Int64),
    "seed": pl.UInt64,
    "seed_origin": pl.String,
    "seed_key": pl.String,
    "is_whole": pl.Boolean,
    "kill_switch": pl.Boolean,
    "pnl_usd": pl.Float64,
    "drawdown_usd": pl.Float64,
}


@pytest.fixture(autouse=True)
def engine_of_few_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare an engine of which any handful of seeds may be all there are, so that answers are exact."""
    monkeypatch.setitem(SEED_SPACE, "external", 1)


def side(name: str, *runs: Run, space: int = 4, **common: object) -> Side:
    """Return a side of balanced runs, the first seeds of the order of key 1, unless told otherwise."""
    order = dict(enumerate(seeds_of("1", space, 1, min(space, 20)), 1))
    drawn = {"seed_origin": "drawn", "seed_key": "1", "seed_space": space, "seed_first": 1}
    plain = {"kind": "experiment", "label": "r", "config": name, "profile": "balanced", "ticks_requested": 9}
    told = {"is_whole": True, "kill_switch": False, "pnl_usd": 100.0, "drawdown_usd": 50.0, "engine": "external"}
    rows = [
        {"arrival": i, "seed_index": i, "seed": order.get(run.get("seed_index", i), i)}
        | {**plain, **drawn, **told, **common, **run}
        for i, run in enumerate(runs, 1)
    ]
    return Side(name, pl.DataFrame(rows, schema=_COLUMNS))


def states(made: SetComparison) -> dict[str, str]:
    return {each.name: each.state for each in (*made.verdict.guardrails, *made.verdict.criteria)}


# --- the rule, where every seed was run: the answer is exact


def test_a_better_candidate_is_promoted() -> None:
    made = compare_sets(side("a", {}, {}, {}, {}), side("b", *[{"pnl_usd": 130.0}] * 4))
    assert (made.basis, made.verdict.decision) == ("all", "promote")
    assert set(states(made).values()) == {"pass"}
    [score] = made.verdict.criteria
    # 100 - 0.3 x 50 and 130 - 0.3 x 50: the weights of the balanced tier.
    assert (score.baseline, score.candidate, score.difference) == (85.0, 115.0, 30.0)
    assert (score.lower, score.upper) == (30.0, 30.0)


def test_equal_sides_are_held() -> None:
    made = compare_sets(side("a", {}, {}, {}, {}), side("b", {}, {}, {}, {}))
    assert made.verdict.decision == "hold"
    assert made.verdict.reason == "the score is not higher"


@pytest.mark.parametrize(
    ("worse", "name", "reason"),
    [
        # Margins of the balanced tier: 5 % of the loss limit of 5000, 10 % of the drawdown budget of 4000, 0.0125.
        ({"pnl_usd": -151.0}, "pnl", "the final PnL is lower by more than 250 usd"),
        ({"drawdown_usd": 451.0}, "drawdown", "the drawdown is deeper by more than 400 usd"),
    ],
)
def test_a_candidate_that_is_worse_by_more_than_the_margin_is_rejected(worse: Run, name: str, reason: str) -> None:
    made = compare_sets(side("a", {}, {}, {}, {}), side("b", *[worse] * 4))
    assert (made.verdict.decision, made.verdict.reason) == ("reject", reason)
    assert states(made)[name] == "fail"


def test_a_difference_within_the_margins_is_no_reason_to_reject() -> None:
    made = compare_sets(side("a", {}, {}, {}, {}), side("b", *[{"pnl_usd": -149.0, "drawdown_usd": 449.0}] * 4))
    assert made.verdict.decision == "hold"
    assert states(made) | {"score": ""} == dict.fromkeys(("pnl", "drawdown", "kill", "kill_share"), "pass") | {
        "score": ""
    }


def test_a_kill_more_is_rejected_however_good_the_rest_is() -> None:
    made = compare_sets(side("a", {}, {}, {}, {}), side("b", {"kill_switch": True, "pnl_usd": 5000.0}, {}, {}, {}))
    assert made.verdict.decision == "reject"
    assert made.verdict.reason == (
        "kills are more frequent by more than 0.0125; the kill probability of the candidate is above the budget of 0.05"
    )


def test_fewer_kills_than_a_bad_baseline_do_not_make_up_for_a_budget_that_is_broken() -> None:
    killed: Run = {"kill_switch": True}
    made = compare_sets(side("a", killed, killed, killed, {}), side("b", killed, {}, {}, {}))
    assert states(made)["kill"] == "pass"
    assert made.verdict.decision == "reject"


# --- pairs


def test_differences_are_those_of_the_same_seed_whatever_the_order() -> None:
    a = side("a", *({"pnl_usd": pnl} for pnl in (1.0, 2.0, 3.0)))
    b = side("b", *({"pnl_usd": 10.0 * i, "seed_index": i} for i in (3, 1, 2)))
    pairs = compare_sets(a, b).pairs
    assert pairs["seed"].to_list() == seeds_of("1", 4, 1, 3)
    assert pairs["pnl_low"].to_list() == pairs["pnl_high"].to_list() == [9.0, 18.0, 27.0]


def test_what_a_run_lacks_lies_between_the_worst_and_the_best() -> None:
    failed: Run = {"is_whole": False, "pnl_usd": None, "drawdown_usd": None, "kill_switch": None}
    cut_off: Run = {"is_whole": False, "drawdown_usd": 70.0, "kill_switch": True}
    made = compare_sets(side("a", {}, {}, {}, {}, space=9), side("b", failed, cut_off, {}, {}, space=9))
    failed_pair, cut_pair = made.pairs.rows(named=True)[:2]
    # The stated range of the balanced tier: -7,500 to 12,500 and 0 to 40,000.
    assert (failed_pair["pnl_low"], failed_pair["pnl_high"]) == (-7600.0, 12400.0)
    assert (failed_pair["drawdown_low"], failed_pair["drawdown_high"]) == (-50.0, 39950.0)
    assert (failed_pair["kill_low"], failed_pair["kill_high"]) == (0.0, 1.0)
    assert (cut_pair["drawdown_low"], cut_pair["drawdown_high"]) == (20.0, 39950.0)
    assert (cut_pair["kill_low"], cut_pair["kill_high"]) == (1.0, 1.0)
    assert (made.verdict.pairs, made.verdict.holes) == (4, 2)


def test_a_seed_without_a_partner_and_a_place_without_a_run_are_holes() -> None:
    a = side("a", *({"seed_index": i} for i in (1, 2, 5)), space=9)
    b = side("b", *({"seed_index": i} for i in (1, 3, 5)), space=9)
    seeds = seeds_of("1", 9, 1, 5)
    made = compare_sets(a, b)
    assert made.pairs.select("place", "seed", "is_whole").rows() == [
        *((1, seeds[0], True), (2, seeds[1], False), (3, seeds[2], False), (4, None, False), (5, seeds[4], True)),
    ]
    assert made.pairs.filter(pl.col("place") == 4).select("pnl_low", "pnl_high").row(0) == (-20000.0, 20000.0)


def test_what_one_side_has_beyond_the_other_has_no_partner_yet() -> None:
    made = compare_sets(side("a", *[{}] * 5, space=9), side("b", {}, {}, space=9))
    assert (made.pairs["place"].to_list(), made.verdict.holes, made.left_out) == ([1, 2], 0, 3)


def test_the_pairs_begin_where_both_sides_have_begun() -> None:
    a = side("a", *[{}] * 6, space=9)
    b = side("b", *({"seed_index": i, "seed_first": 5} for i in (5, 6)), space=9)
    made = compare_sets(a, b)
    assert (made.pairs["place"].to_list(), made.verdict.holes, made.left_out) == ([5, 6], 0, 4)


def test_of_several_parts_of_the_order_the_latest_counts() -> None:
    parts = [{"seed_index": 1}, {"seed_index": 6, "seed_first": 5}]
    made = compare_sets(side("a", *parts, space=9), side("b", *parts, space=9))
    # Place 5 was planned, and has no run.
    assert made.pairs.select("place", "is_whole").rows() == [(5, False), (6, True)]


def test_runs_of_one_seed_that_differ_leave_the_value_between_them() -> None:
    b = side("b", {"pnl_usd": 110.0}, {"pnl_usd": 130.0, "seed_index": 1})
    pair = compare_sets(side("a", {}), b).pairs.row(0, named=True)
    assert (pair["pnl_low"], pair["pnl_high"], pair["is_whole"]) == (10.0, 30.0, False)


@pytest.mark.parametrize("beyond", [{"pnl_usd": 12501.0}, {"drawdown_usd": 40001.0}, {"pnl_usd": float("nan")}])
def test_a_run_beyond_the_stated_range_leaves_the_verdict_open(beyond: Run) -> None:
    made = compare_sets(side("a", {}, {}, {}, {}), side("b", {"pnl_usd": 500.0}, beyond, {}, {}))
    assert made.verdict.decision == "hold"
    assert made.verdict.reason == (
        "1 values are beyond what is assumed: a final PnL from -7,500 to 12,500 usd, a drawdown of at most 40,000 usd"
    )
    assert made.verdict.criteria[0].lower is None


def test_a_place_that_cannot_be_checked_proves_nothing_and_costs_nothing() -> None:
    far: Run = {"seed_index": 2**31 - 1}
    made = compare_sets(side("a", {}, far, space=2**31), side("b", {}, far, space=2**31))
    assert (made.verdict.decision, made.pairs.height) == ("hold", 2)
    assert made.verdict.reason == "no seed stands at place 2147483647 of 2147483648 in an order that can be checked"


# --- what the seeds are


LISTED: Run = {"seed_origin": "listed", "seed_key": None, "seed_index": None, "seed_space": None, "seed_first": None}


def test_seeds_that_nobody_drew_give_no_verdict_unless_it_is_assumed() -> None:
    a = side("a", *({"seed": seed} for seed in range(1, 501)), **LISTED)
    b = side("b", *({"seed": seed, "pnl_usd": 400.0} for seed in range(1, 501)), **LISTED)
    made = compare_sets(a, b)
    assert (made.basis, made.verdict.decision) == ("listed", "hold")
    assert made.verdict.reason == "seeds 1..500 of a; seeds 1..500 of b were not drawn at random"
    assert made.verdict.criteria[0].difference == 300.0
    assert made.verdict.criteria[0].lower is None
    assumed = compare_sets(a, b, assume_independent=True)
    assert (assumed.basis, assumed.verdict.decision) == ("assumed", "promote")
    assert assumed.report()["basis"] == "assumed"


def test_every_seed_there_is_gives_the_exact_answer_whoever_listed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEED_SPACE, "external", 10_000)

    def every(name: str, **told: Any) -> Side:
        return side(name, *({"seed": seed} for seed in range(10_000)), **LISTED, **told)

    made = compare_sets(every("a"), every("b", pnl_usd=100.01))
    assert (made.basis, made.verdict.pairs, made.verdict.decision) == ("all", 10_000, "promote")
    assert made.verdict.criteria[0].lower == pytest.approx(0.01)


def test_a_seed_that_is_not_at_its_place_was_not_drawn() -> None:
    wrong = seeds_of("1", 9, 5, 1)[0]
    made = compare_sets(side("a", {}, {}, space=9), side("b", {"seed": wrong}, {}, space=9))
    assert made.verdict.reason == f"seed {wrong} is not the one at place 1 of key '1': not drawn as it says"
    assert made.verdict.decision == "hold"


def test_two_orders_are_not_one() -> None:
    made = compare_sets(side("a", {}, {}), side("b", {}, {}, seed_key="x"))
    assert made.verdict.decision == "hold"
    assert made.verdict.reason == "the seeds were drawn in several random orders: '1' of 4, 'x' of 4"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"engine": "reference"}, "runs of a and b are no pairs: engine external and reference"),
        ({"ticks_requested": 8}, "runs of a and b are no pairs: ticks_requested 9 and 8"),
        ({"seed": None}, "2 runs of b have no seed"),
    ],
)
def test_runs_that_do_not_see_the_same_market_are_no_pairs(told: Run, reason: str) -> None:
    made = compare_sets(side("a", {}, {}), side("b", *[told] * 2), assume_independent=True)
    assert (made.verdict.decision, made.verdict.reason) == ("hold", reason)


def test_seeds_that_are_only_a_part_of_all_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seeds run and asked for with --seed-space 4 are not all: the engine tells 10,000 apart."""
    monkeypatch.setitem(SEED_SPACE, "external", 10_000)
    made = compare_sets(side("a", *[{}] * 4), side("b", *[{"pnl_usd": 130.0}] * 4))
    assert (made.basis, made.verdict.decision) == ("drawn", "hold")
    assert made.verdict.reason == "seeds drawn from 0..3 are no sample of the 10000 that the engine tells apart"


def test_no_common_seed_is_no_pair() -> None:
    a, b = side("a", {}, seed_first=1), side("b", {"seed_index": 3, "seed_first": 3})
    assert compare_sets(a, b).verdict.reason == "no seed in common"


# --- what is found by fewer runs than all


def pairs_of(pnl: list[float], drawdown: float = 0.0, kills: int = 0) -> pl.DataFrame:
    n = len(pnl)
    kill = [1.0] * kills + [0.0] * (n - kills)
    frame = pl.DataFrame({"b_pnl": pnl, "b_kill": kill}).with_columns(
        *(pl.lit(0.0).alias(name) for name in ("a_pnl", "a_drawdown", "a_kill", "a_score")),
        b_drawdown=pl.lit(drawdown),
        beyond=pl.lit(0),
        is_whole=pl.lit(True),
    )
    frame = frame.with_columns(b_score=pl.col("b_pnl") - 0.3 * pl.col("b_drawdown") - 100 * pl.col("b_kill"))
    ends = [pl.col(f"b_{m}").alias(f"{m}_{e}") for m in ("pnl", "drawdown", "kill", "score") for e in ("low", "high")]
    return frame.with_columns(*ends, b_kill_low="b_kill", b_kill_high="b_kill")


TERMS = Terms(-7500.0, 12500.0, 40000.0, 0.05, 0.3, 100.0, 250.0, 400.0, 0.0125)


def test_a_difference_of_nothing_at_all_is_proved_to_be_none_after_so_many_runs() -> None:
    # The range of drawdowns is the widest: 20 margins to either side.
    n = next(
        n for n in range(50, 1000) if judge(pairs_of([0.0] * n), TERMS, 10_000, 0.95).guardrails[1].state == "pass"
    )
    assert 300 <= n <= 340
    assert judge(pairs_of([0.0] * 5000), TERMS, 10_000, 0.95).decision == "hold"


def test_many_runs_promote_and_more_kills_reject() -> None:
    assert judge(pairs_of([300.0] * 100), TERMS, 10_000, 0.95).decision == "hold"
    assert judge(pairs_of([300.0] * 400), TERMS, 10_000, 0.95).decision == "promote"
    assert judge(pairs_of([300.0] * 400, kills=100), TERMS, 10_000, 0.95).decision == "reject"
    assert judge(pairs_of([-900.0] * 200), TERMS, 10_000, 0.95).decision == "reject"


# --- presets of the reference engine: in short what `python -m tests.torture --only comparisons` shows


def test_equal_presets_have_a_higher_score_in_one_trial_of_twenty_at_most() -> None:
    runs = comparisons.runs_of(comparisons.BASE, runs=120, ticks=60)
    made = list(comparisons.equal_trials(runs, 100, seed=1))
    # With one seed left to run, much is known of the rest: the proof of the score alone must not come too often.
    assert sum(each.verdict.criteria[0].state == "pass" for each in made) <= 5
    assert sum(each.verdict.decision == "promote" for each in made) <= 5


def test_common_seeds_vary_less() -> None:
    runs = (comparisons.runs_of(knobs, runs=40, ticks=100) for knobs in (comparisons.BASE, comparisons.SHIFTED))
    unpaired, paired = comparisons.variances(*runs)
    assert unpaired > 5 * paired


# --- names


def row(label: str, seed: int, **told: object) -> Run:
    return {
        "label": label,
        "profile": "balanced",
        "seed": seed,
        "final_pnl": 1.0,
        "max_drawdown": 1.0,
        "kill_switch": False,
        "num_ticks": 9,
        "ticks_requested": 9,
        "knobs_json": "{}",
        "sweep_id": None,
        "cfg_hash": "0x1",
        "engine_version": "1",
        "engine_sha256": "e",
        "truncated": False,
        "error": None,
        **told,
    }


@pytest.fixture
def three_sets(warehouse: Warehouse) -> Warehouse:
    """Return a warehouse with two runs of one experiment and two configurations of another."""
    add_runs(warehouse, [row("x_1", 1), row("x_2", 2, sweep_id="s")], experiment="x")
    tuned = {"knobs_json": '{"PARAPHINA_MM_SIZE_ETA":"2"}', "cfg_hash": "0x2"}
    add_runs(warehouse, [row("y_1", 1), row("y_2", 1, **tuned)], experiment="y")
    return warehouse


@pytest.mark.parametrize(
    ("name", "kind", "labels"),
    [
        ("id-x_1", "run_id", ["x_1"]),
        ("x_1", "label", ["x_1"]),
        ("x", "experiment", ["x_1", "x_2"]),
        ("s", "sweep_id", ["x_2"]),
        ("x_*", "pattern", ["x_1", "x_2"]),
        ("?_1", "pattern", ["x_1", "y_1"]),
        ("id-x_2", "run_id", ["x_2"]),
    ],
)
def test_a_name_is_the_first_thing_that_it_fits(three_sets: Warehouse, name: str, kind: str, labels: list[str]) -> None:
    found, _ = find_sides(three_sets, name, "x")
    assert (found.runs["kind"][0], found.runs["label"].to_list()) == (kind, labels)


def test_a_configuration_names_its_runs_wherever_they_are(three_sets: Warehouse) -> None:
    config = find_sides(three_sets, "x", "x")[0].config
    assert len(config) == 12
    found, _ = find_sides(three_sets, config, "x")
    assert found.runs["label"].to_list() == ["x_1", "x_2", "y_1"]


def test_runs_of_several_configurations_are_refused_with_the_list(three_sets: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="'y' stands for runs of 2 configurations") as raised:
        find_sides(three_sets, "x", "y")
    other = find_sides(three_sets, "x", "y_2")[1].config
    assert f'{other} balanced {{"PARAPHINA_MM_SIZE_ETA":"2"}} 9 ticks external 1 1 runs' in raised.value.hint
    assert raised.value.exit_code == 2


def test_a_name_that_nothing_has_is_refused_with_the_nearest(three_sets: Warehouse, invoke: Invoke) -> None:
    result = invoke("compare", "x", "x_3")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no run, experiment or configuration 'x_3'\nhint: did you mean x_")
    assert invoke("compare", "x", "x_3", "--gate", "promote").exit_code == 3
    assert invoke("compare", "x", "x", "--profile", "aggressive").exit_code == 2


def test_a_run_that_failed_before_it_told_its_settings_is_one_of_its_plan(warehouse: Warehouse) -> None:
    silent = {"status": "failed", "cfg_hash": None, "engine_version": None, "final_pnl": None, "num_ticks": None}
    add_runs(warehouse, [row("x_1", 1), row("x_2", 2, kill_switch=None, max_drawdown=None, **silent)], experiment="x")
    found, _ = find_sides(warehouse, "x", "x")
    assert found.runs.select("is_whole", "pnl_usd").rows() == [(True, 1.0), (False, None)]


def test_a_profile_without_budgets_has_no_verdict(warehouse: Warehouse, invoke: Invoke) -> None:
    add_runs(warehouse, [row("x_1", 1, profile="odd"), row("x_2", 2, profile="odd")], experiment="x")
    result = invoke("compare", "x", "x")
    assert result.exit_code == 2
    assert "profile 'odd' has no risk budget" in result.stderr


# --- the command


def test_exit_codes_and_report(three_sets: Warehouse, invoke: Invoke) -> None:
    result = invoke("compare", "x", "x", "--format", "json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["decision"] == "hold"
    assert report["sample_sizes"] == {"pairs": 2, "holes": 0, "left_out": 0}
    assert [each["name"] for each in report["guardrails"]] == ["pnl", "drawdown", "kill", "kill_share"]
    assert {"reason", "level", "pairs", "state"} <= report["criteria"][0].keys()
    assert invoke("compare", "x", "x", "--gate", "promote").exit_code == 1
    table = invoke("compare", "x", "x").stdout
    assert table.splitlines()[-1] == "hold: seeds 1..2 of x were not drawn at random"


def test_reject_ends_with_1_and_with_2_at_the_gate(warehouse: Warehouse, invoke: Invoke) -> None:
    add_runs(warehouse, [row(f"x_{i}", i) for i in range(200)], experiment="x")
    add_runs(warehouse, [row(f"y_{i}", i, final_pnl=-2000.0) for i in range(200)], experiment="y")
    assert invoke("compare", "x", "y", "--assume-independent").exit_code == 1
    assert invoke("compare", "x", "y", "--assume-independent", "--gate", "promote").exit_code == 2


def test_a_sweep_is_compared_with_itself(invoke: Invoke, tmp_path: Path) -> None:
    options = ("--engine", "reference", "--ticks", "4", "--profiles", "balanced", "--runs-per-profile", "3")
    invoke("run", "exp13", *options)
    made = wh.open(tmp_path).compare("exp13", "balanced")
    assert (made.basis, made.pairs["place"].to_list(), made.verdict.decision) == ("drawn", [1, 2, 3], "hold")
    assert made.pairs["is_whole"].to_list() == [True] * 3
    # One definition in two places: research_rows leave out runs that failed.
    assert wh.open(tmp_path).view("research_rows")["config"].unique().to_list() == [made.baseline.config]


def test_two_runs_part_where_the_knob_makes_them_part(invoke: Invoke, tmp_path: Path) -> None:
    for label, eta in (("wide", "0.1"), ("tight", "0.2")):
        file = reference_run(tmp_path / f"balanced_{label}.jsonl", ticks=8, seed=3, knobs={"MM_SIZE_ETA": eta})
        told = {"label": f"balanced_{label}", "profile": "balanced", "seed": 3, "ticks": 8}
        sidecar(file.with_suffix(""), **told, knobs={"PARAPHINA_MM_SIZE_ETA": eta})
    assert invoke("ingest", "balanced_wide.jsonl", "balanced_tight.jsonl").exit_code == 0
    made = wh.open(tmp_path).compare_runs("balanced_wide", "balanced_tight")
    assert made.settings["setting"].to_list() == ["mm_size_eta", "cfg_hash"]
    assert made.settings.row(0) == ("mm_size_eta", "0.1", "0.2")
    assert made.metrics.filter(metric="num_ticks").row(0) == ("num_ticks", 8.0, 8.0, 0.0)
    assert made.ticks is not None
    assert (made.ticks.t, made.ticks.fields[0].field) == (0, "quote_levels[0].size_final")
    same = wh.open(tmp_path).compare_runs("balanced_wide", "balanced_wide")
    assert same.settings.is_empty()
    assert same.ticks is not None
    assert same.ticks.differing == 0
    report = json.loads(invoke("compare", "balanced_wide", "balanced_tight", "--format", "json").stdout)
    assert report.keys() == {"settings", "metrics", "parting"}
    assert report["parting"][0]["field"] == "quote_levels[0].size_final"
    result = invoke("compare", "balanced_wide", "balanced_tight", "--gate", "promote")
    assert (result.exit_code, result.stderr) == (
        3,
        "error: two runs prove nothing\nhint: name sets of runs, such as two configurations\n",
    )
