"""Verdicts with evidence: what counts as one, what it is a sample of, what it proves, and how that reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.catalog import connect
from paraphina_wh.datasets import append_research_rows, dataset_file, mirror_dataset, read_dataset
from paraphina_wh.engine.seeds import SEED_SPACE, seeds_of
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence import level_of_family, verdict_table
from paraphina_wh.evidence.sample import Choice
from paraphina_wh.evidence.verdicts import judge
from paraphina_wh.export import export_alignment, write_alignment
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke
from tests.records import run_of
from tests.research_runs import WORKED_ROWS, recorded, write_lines
from tests.test_interop import shell

Row = dict[str, Any]
TIERS = ("conservative", "balanced", "aggressive")
KEY, SPACE = "1", 10_000
# The first places of the order that key 1 names, for all tests.
ORDER = seeds_of(KEY, SPACE, 1, 1100)


@pytest.fixture
def root(tmp_path: Path) -> Warehouse:
    return locate(tmp_path, tmp_path / "warehouse")


def row(profile: str = "balanced", **cells: Any) -> Row:
    """Return a run of which nothing is known but its numbers."""
    return {"profile": profile, "final_pnl": 100.0, "max_drawdown": 10.0, "kill_switch": False} | cells


def drawn(place: int, profile: str = "balanced", **cells: Any) -> Row:
    """Return the run of the seed at a place of the order."""
    draw: Row = {"seed_origin": "drawn", "seed_key": KEY, "seed_index": place, "seed_space": SPACE, "seed_first": 1}
    known: Row = {"seed": ORDER[place - 1], "config": f"0ff1ce{profile[:1]}", "ticks_requested": 60, "num_ticks": 60}
    return row(profile, **draw | known | {"run_id": f"{profile}{place}", "engine": "external"} | cells)


def runs(n: int, kills: int = 0, profile: str = "balanced", **cells: Any) -> Iterator[Row]:
    """Yield the runs at the first n places, the first of them killed: PnL 0, 1, 2 ... and drawdown 1, 2, 3 ..."""
    for i in range(n):
        unlike = {"final_pnl": float(i), "max_drawdown": i + 1.0, "kill_switch": i < kills}
        yield drawn(i + 1, profile, **unlike | cells)


def listed(n: int, start: int = 1, **cells: Any) -> Iterator[Row]:
    """Yield the runs of n seeds, one after the other."""
    for i in range(n):
        known: Row = {"seed": start + i, "seed_origin": "listed", "final_pnl": float(i), "config": "0ff1ce"}
        yield row(**known | cells)


def evidence(root: Warehouse, *rows: Row, tier: str = "balanced", **options: Any) -> Row:
    found = align(root, write_lines(root.root / "d.jsonl", rows), **options)
    return next(line for line in found.evidence.iter_rows(named=True) if line["risk_tier"] == tier)


def verdicts(found: Row) -> tuple[str, str, str]:
    return found["kill_verdict"], found["pnl_verdict"], found["dd_verdict"]


UNDECIDED = ("undecided", "undecided", "undecided")


def assert_open(found: Row, reason: str) -> None:
    """Check that there is no verdict on any budget, and that each says why."""
    assert verdicts(found) == UNDECIDED
    assert {found[f"{key}_reason"] for key in ("kill", "pnl", "dd")} == {reason}
    assert found["kill_lower"] is found["pnl_upper"] is found["dd_q95"] is None


# --- what is proved -------------------------------------------------------------------------------------------


def test_445_of_10000_seeds_without_a_kill_prove_one_percent_and_444_do_not(root: Warehouse) -> None:
    proof = evidence(root, *runs(445, profile="conservative"), tier="conservative")
    short = evidence(root, *runs(444, profile="conservative"), tier="conservative")

    assert (proof["kill_verdict"], proof["kill_free_runs_needed"]) == ("pass", None)
    assert proof["kill_upper"] <= 0.01
    assert proof["kill_reason"] == "at most 0.01, 445 of 10000 seeds"
    assert (short["kill_verdict"], short["kill_free_runs_needed"]) == ("undecided", 1)
    assert short["kill_reason"] == "0 to 0.0101, 1 more kill-free runs would prove it, 444 of 10000 seeds"


def test_with_all_seeds_run_the_answer_is_exact(root: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of three seeds, one killed: a third, more than a twentieth; the mean PnL is 1, the mean drawdown 2."""
    monkeypatch.setitem(SEED_SPACE, "external", 3)
    order = seeds_of(KEY, 3, 1, 3)
    found = evidence(root, *(each | {"seed": order[i], "seed_space": 3} for i, each in enumerate(runs(3, 1))))

    assert (found["basis"], found["kill_lower"], found["kill_upper"]) == ("all", 1 / 3, 1 / 3)
    assert (found["pnl_lower"], found["pnl_upper"], found["dd_lower"], found["dd_upper"]) == (1.0, 1.0, 2.0, 2.0)
    assert (found["dd_q95"], found["dd_cvar95_lower"], found["dd_cvar95_upper"]) == (3.0, 3.0, 3.0)
    assert verdicts(found) == ("fail", "pass", "pass")
    assert found["kill_reason"] == "at least 0.3333, all seeds run"


def test_the_runs_asked_for_settle_the_budget_and_one_fewer_does_not(root: Warehouse) -> None:
    needed = evidence(root, *runs(20, 1))["kill_free_runs_needed"]

    assert evidence(root, *runs(20 + needed, 1))["kill_verdict"] == "pass"
    assert evidence(root, *runs(20 + needed - 1, 1))["kill_verdict"] == "undecided"


def test_half_the_runs_killed_break_fifteen_percent(root: Warehouse) -> None:
    found = evidence(root, *runs(20, 10, "aggressive"), tier="aggressive")

    assert (found["kills"], found["kill_n"], found["kill_prob"], found["kill_verdict"]) == (10, 20, 0.5, "fail")
    assert found["kill_lower"] > 0.15


def test_means_are_decided_by_the_worst_that_may_still_come(root: Warehouse) -> None:
    """Drawdowns of a few dollars: 3 runs do not rule out that a tenth of the seeds loses 40,000; 100 do."""
    few, many = evidence(root, *runs(3)), evidence(root, *runs(100))

    assert (few["dd_verdict"], many["dd_verdict"]) == ("undecided", "pass")
    assert few["dd_upper"] > 4000 >= many["dd_upper"]
    assert (few["worst_drawdown_usd"], few["worst_pnl_usd"], few["best_pnl_usd"]) == (40000.0, -7500.0, 12500.0)


def test_a_deep_mean_drawdown_and_a_loss_are_proved_too(root: Warehouse) -> None:
    found = evidence(root, *(drawn(i, final_pnl=-5000.0, max_drawdown=30000.0) for i in range(1, 31)))

    assert verdicts(found) == ("undecided", "fail", "fail")
    assert found["pnl_reason"].startswith("at most -")
    assert found["dd_reason"].startswith("at least ")


def test_a_few_kills_that_come_later_prove_nothing_away(root: Warehouse) -> None:
    """30 runs without a kill prove the aggressive 15 %; kills that come later may break it, but prove nothing away."""
    kept = evidence(root, *runs(30, 0, "aggressive"), tier="aggressive")
    later = [*runs(30, 0, "aggressive"), *(drawn(i, "aggressive", kill_switch=True) for i in range(31, 34))]

    assert kept["kill_verdict"] == evidence(root, *later, tier="aggressive")["kill_verdict"] == "pass"


def test_what_is_proved_twice_is_what_the_runs_say_more_clearly(root: Warehouse) -> None:
    """24 runs without a kill prove the aggressive 15 %. When 60 of the next 60 are killed, that was bad luck."""
    killed = [drawn(i, "aggressive", kill_switch=True) for i in range(25, 85)]
    found = evidence(root, *runs(24, 0, "aggressive"), *killed, tier="aggressive")

    assert found["kill_p_broken"] < found["kill_p_kept"] <= 0.05
    assert (found["kill_verdict"], found["kill_reason"][:9]) == ("fail", "at least ")


def test_a_mean_of_all_seeds_that_is_the_budget_itself_keeps_it(
    root: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawdowns of 3,999, 4,000 and 4,001 usd, and a PnL of 0."""
    monkeypatch.setitem(SEED_SPACE, "external", 3)
    order = seeds_of(KEY, 3, 1, 3)
    edge = [drawn(i + 1, seed=order[i], seed_space=3, final_pnl=0.0, max_drawdown=3999.0 + i) for i in range(3)]
    assert verdicts(evidence(root, *edge)) == ("pass", "pass", "pass")


@pytest.mark.parametrize(("key", "value"), [("max_drawdown", 40001.0), ("final_pnl", -7501.0), ("final_pnl", 12501.0)])
def test_a_run_beyond_the_stated_range_leaves_that_budget_open(root: Warehouse, key: str, value: float) -> None:
    found = evidence(root, *runs(100), drawn(101) | {key: value})
    name = "dd" if key == "max_drawdown" else "pnl"

    assert found[f"{name}_verdict"] == "undecided"
    assert f"of {value:.6g} usd is beyond the stated range" in found[f"{name}_reason"]
    assert found["kill_verdict"] == "pass"


def test_an_infinite_drawdown_is_beyond_any_range(root: Warehouse) -> None:
    found = evidence(root, *runs(100), drawn(101, max_drawdown="Infinity"))
    assert "beyond the stated range" in found["dd_reason"]


def test_tails_have_bounds(root: Warehouse) -> None:
    """Of 1 to 100, 95 % are at most 95, and the mean of the five largest is 98."""
    # In an order like that of a draw: a prefix of rising ones would prove that the others are rare.
    found = evidence(root, *(drawn(i, max_drawdown=1.0 + i * 37 % 100) for i in range(1, 101)))

    assert (found["dd_q95"], found["dd_cvar95"]) == (95.0, pytest.approx(98.0))
    assert found["dd_q95_lower"] < 95 < found["dd_q95_upper"]
    assert found["dd_q95_lower"] <= found["dd_cvar95_lower"] <= 98 < found["dd_cvar95_upper"] <= 40000


def test_tails_are_judged_where_they_have_a_budget(root: Warehouse) -> None:
    """The quantile of 1 to 100 lies between its bounds: far below 100,000, above 1."""
    file = write_lines(root.root / "d.jsonl", (drawn(i, max_drawdown=1.0 + i * 37 % 100) for i in range(1, 101)))
    for budget, verdict in ((100_000.0, "pass"), (1.0, "fail"), (95.0, "undecided"), (None, None)):
        with read_dataset(file) as connection:
            columns = "max_drawdown_q95_usd, max_drawdown_cvar95_usd"
            chosen = f"SELECT * EXCLUDE ({columns}), ?::DOUBLE AS max_drawdown_q95_usd, NULL AS max_drawdown_cvar95_usd"
            connection.execute(f"CREATE TABLE chosen AS {chosen} FROM evidence_ranges", [budget])
            connection.execute("CREATE OR REPLACE VIEW evidence_ranges AS FROM chosen")
            judge(connection)
            query = "SELECT dd_q95_verdict, dd_cvar95_verdict FROM evidence WHERE risk_tier = 'balanced'"
            assert connection.sql(query).fetchall() == [(verdict, None)]


# --- what is not there ----------------------------------------------------------------------------------------


def test_runs_that_are_missing_count_as_the_worse_end(root: Warehouse) -> None:
    """24 places without a kill prove the aggressive 15 %; with two missing, failed or taken out, they do not."""
    whole = list(runs(24, 0, "aggressive"))
    found = evidence(root, *whole[:4], *whole[5:9], *whole[10:], tier="aggressive")

    assert evidence(root, *whole, tier="aggressive")["kill_verdict"] == "pass"
    assert (found["n_independent"], found["n_missing"], found["kill_verdict"]) == (22, 2, "undecided")
    assert found["kill_reason"].endswith("24 of 10000 seeds; 2 unknown, the worse end counts")


def test_no_missing_run_proves_that_a_budget_is_broken(root: Warehouse) -> None:
    found = evidence(root, drawn(1), drawn(200))
    assert (found["n_missing"], found["kill_verdict"], found["kill_lower"]) == (198, "undecided", 0.0)


def test_a_sweep_may_begin_later_in_the_order(root: Warehouse) -> None:
    """Places 1,001 to 1,024, where what a sweep chose is proved: nothing is missing before."""
    part = [drawn(place, "aggressive", seed_first=1001, final_pnl=float(place)) for place in range(1001, 1025)]
    found = evidence(root, *part, tier="aggressive")
    assert (found["n_missing"], found["kill_verdict"]) == (0, "pass")

    # What chose the configuration does not prove it, nor does it speak against it.
    both = evidence(root, *runs(3, 3, "aggressive"), *part, tier="aggressive")
    assert (both["n_independent"], both["n_missing"], both["kill_verdict"]) == (24, 0, "pass")


def test_the_kill_of_a_run_that_is_cut_off_is_unknown(root: Warehouse) -> None:
    cut = drawn(24, "aggressive", kill_switch=None, truncated=True)
    found = evidence(root, *runs(23, 0, "aggressive"), cut, tier="aggressive")

    assert (found["kill_n"], found["pnl_n"], found["kill_verdict"]) == (23, 23, "undecided")


def test_a_run_that_is_cut_off_was_at_least_so_deep(root: Warehouse) -> None:
    """Beyond the stated range it leaves the budget open, as a whole run would."""
    cut: Row = {"kill_switch": None, "truncated": True}
    beyond = evidence(root, *runs(100), drawn(101, max_drawdown=90_000.0, **cut))
    assert beyond["dd_reason"] == "a drawdown of 90000 usd is beyond the stated range of 0 to 40000"

    deep = evidence(root, *(drawn(i, max_drawdown=30_000.0, **cut) for i in range(1, 31)))
    assert (deep["dd_n"], deep["dd_mean"], deep["dd_verdict"]) == (0, None, "fail")


def test_a_value_that_nobody_knows_is_not_left_out(root: Warehouse) -> None:
    """An infinite PnL is no number: it may be the worst."""
    found = evidence(root, *runs(99), drawn(100, final_pnl="Infinity"))

    assert (found["n_independent"], found["pnl_n"]) == (100, 99)
    assert "1 unknown, the worse end counts" in found["pnl_reason"]


# --- what counts as one ---------------------------------------------------------------------------------------


def test_one_seed_at_many_lengths_is_one(root: Warehouse) -> None:
    """Cut off after 1, 2, 3 ... ticks, and whole: what is whole counts."""
    cut = [drawn(1, num_ticks=n, final_pnl=float(n), kill_switch=None, truncated=True) for n in range(1, 60)]
    found = evidence(root, *cut, drawn(1, final_pnl=60.0))

    assert (found["n_runs"], found["n_independent"], found["pnl_mean"], found["kill_n"]) == (60, 1, 60.0, 1)
    assert verdicts(found) == UNDECIDED


def test_whole_runs_of_one_seed_that_differ_leave_the_value_between(root: Warehouse) -> None:
    """An engine that answers a seed in two ways: neither is the one that counts."""
    found = evidence(root, drawn(1, final_pnl=10.0), drawn(1, final_pnl=30.0, kill_switch=True))

    assert (found["n_independent"], found["pnl_mean"], found["kills"], found["kill_prob"]) == (1, 20.0, 0, 0.5)


def test_identical_content_is_one_where_seeds_were_not_drawn(root: Warehouse) -> None:
    once = row(max_pnl=5.0, min_pnl=1.0, num_ticks=9)
    found = evidence(root, once, once | {"label": "again", "run_id": "other"}, once, once | {"min_pnl": 2.0})
    assert (found["n_runs"], found["n_independent"]) == (4, 2)

    # The engine takes seeds modulo 10,000.
    twice = [row(seed=seed, seed_origin="listed", evidence_id="a", config="c") for seed in (5, 10_005)]
    assert evidence(root, *twice)["n_independent"] == 1


def test_identical_content_of_drawn_seeds_is_two(root: Warehouse) -> None:
    """A short run may be the same for many seeds: each is one of the seeds all the same."""
    assert evidence(root, *(drawn(place, evidence_id="a") for place in (1, 2)))["n_independent"] == 2


def test_the_evidence_id_tells_repeats_apart_from_look_alikes(root: Warehouse) -> None:
    """Two runs without a trade look alike and are two; two lines of one content are one, whatever they say."""
    idle = row(final_pnl=0.0, max_drawdown=0.0)
    found = evidence(
        root,
        idle | {"evidence_id": "a"},
        idle | {"evidence_id": "b"},
        row(evidence_id="c"),
        row(evidence_id="c", final_pnl=200.0),
    )
    assert (found["n_runs"], found["n_independent"]) == (4, 3)


def test_a_line_without_evidence_id_may_be_a_copy_of_one_that_has_it(root: Warehouse) -> None:
    found = evidence(root, row(), row(evidence_id="a"), row(evidence_id="b"), row(final_pnl=3.0))

    assert (found["n_runs"], found["n_independent"]) == (4, 3)


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_an_evidence_id_of_nothing_but_white_space_names_nothing(root: Warehouse, blank: str) -> None:
    """Two unlike runs whose tool left the field blank are two; a run_id left blank is none either."""
    found = evidence(root, *(row(final_pnl=x, evidence_id=blank, run_id=blank) for x in (1.0, 2.0)))
    assert (found["n_runs"], found["n_independent"]) == (2, 2)

    with read_dataset(root.root / "d.jsonl") as connection:
        assert connection.execute("SELECT count(run_id) FROM dataset_rows").fetchall() == [(0,)]


def test_a_row_that_omits_or_rounds_a_number_is_another_run(root: Warehouse) -> None:
    """Without an evidence_id only equal numbers, all six of them, tell of the same run."""
    whole = row(max_pnl=120.5, min_pnl=-3.25, num_ticks=600)
    found = evidence(root, whole, whole | {"max_pnl": 120}, {k: v for k, v in whole.items() if k != "num_ticks"})

    assert (found["n_runs"], found["n_independent"]) == (3, 3)


def test_tiers_share_no_evidence(root: Warehouse) -> None:
    assert evidence(root, drawn(1), drawn(2, "aggressive"))["n_independent"] == 1


def test_the_same_telemetry_under_two_labels_is_one_run(root: Warehouse) -> None:
    for label in ("balanced_r1", "balanced_r2"):
        (root.root / f"{label}.jsonl").write_bytes(run_of(3))
    (root.root / "balanced_r3.jsonl").write_bytes(run_of(4))
    ingest_paths(root, [root.root / f"balanced_r{i}.jsonl" for i in (1, 2, 3)], Options())
    append_research_rows(root, dataset_file(root, None))

    found = align(root).evidence.row(1, named=True)
    assert (found["risk_tier"], found["n_runs"], found["n_independent"]) == ("balanced", 3, 2)


# --- what it is a sample of -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "basis", "reason"),
    [
        (list(listed(19)), "listed", "seeds 1..19 were not drawn at random"),
        (list(listed(1, 7)), "listed", "seed 7 was not drawn at random"),
        ([*listed(3), *listed(2, 90, max_drawdown=5.0)], "listed", "5 seeds were not drawn at random"),
        (list(listed(19, seed_origin=None)), "unknown", "nobody knows how seeds 1..19 came about"),
        (
            [row(num_ticks=9), row(final_pnl=1.0, num_ticks=9)],
            "unknown",
            "nobody knows how the seeds of these runs came about",
        ),
        ([row(seed_origin="none")], "unknown", "runs without a seed are copies of one"),
        ([], None, "no runs"),
    ],
)
def test_what_was_not_drawn_proves_nothing(root: Warehouse, rows: list[Row], basis: str | None, reason: str) -> None:
    found = evidence(root, row("aggressive"), *rows)
    assert found["basis"] == basis
    assert_open(found, reason)


def test_what_was_not_drawn_may_be_assumed_to_be_independent(root: Warehouse) -> None:
    """So many runs as of seeds that were drawn from no known space: 82 for 5 %."""
    choice = Choice(assume_independent=True)
    found = evidence(root, *listed(82), choice=choice)

    assert (found["basis"], found["kill_verdict"]) == ("assumed", "pass")
    assert found["kill_reason"] == "at most 0.0499 if these 82 runs are independent"
    assert evidence(root, *listed(81), choice=choice)["kill_verdict"] == "undecided"
    aligned = align(root, write_lines(root.root / "d.jsonl", listed(82)), choice=choice)
    assert verdict_table(aligned.evidence).filter(risk_tier="balanced")["verdict"][0] == "pass (assumed)"


def test_a_seed_at_the_wrong_place_was_not_drawn(root: Warehouse) -> None:
    """Seeds of one's own choice that say they were drawn."""
    false = [drawn(place, seed=place) for place in range(1, 101)]
    reason = f"seed {1} is not the one at place 1 of key '1': not drawn as it says"
    found = evidence(root, *false)
    assert found["basis"] == "unknown"
    assert_open(found, reason)


@pytest.mark.parametrize("space", [1, 3, 9_999, 15_000])
def test_seeds_of_a_space_that_is_not_the_engine_s_stand_for_themselves_alone(root: Warehouse, space: int) -> None:
    """With --seed-space 1 one run would be all there are. 0..14,999 have some of the 10,000 twice."""
    runs_of_space = min(space, 30)
    order = seeds_of(KEY, space, 1, runs_of_space)
    some = [drawn(i, "aggressive", seed=seed, seed_space=space) for i, seed in enumerate(order, 1)]
    found = evidence(root, *some, tier="aggressive")
    reason = f"seeds drawn from 0..{space - 1} are no sample of the 10000 that the engine tells apart"

    assert found["basis"] == "listed"
    assert_open(found, reason)
    assumed = evidence(root, *some, tier="aggressive", choice=Choice(assume_independent=True))
    assert (assumed["basis"], assumed["kill_verdict"] == "pass") == ("assumed", runs_of_space == 30)


@pytest.mark.parametrize("space", [20_000, 2**40])
def test_seeds_of_a_larger_space_are_all_of_the_engine_s_alike(root: Warehouse, space: int) -> None:
    some = [drawn(i, "aggressive", seed=s, seed_space=space) for i, s in enumerate(seeds_of(KEY, space, 1, 24), 1)]
    found = evidence(root, *some, tier="aggressive")
    assert (found["basis"], found["kill_verdict"]) == ("drawn", "pass")


def test_a_sweep_begins_where_a_part_of_the_order_does(root: Warehouse) -> None:
    """Runs that each say they were the first of a sweep would leave no hole, whatever was left out."""
    found = evidence(root, *(drawn(i, "aggressive", seed_first=i) for i in range(10, 400, 10)), tier="aggressive")
    assert_open(found, "no sweep draws place 10 from place 10 on")


@pytest.mark.parametrize("place", [0, 10_001, 2**62])
def test_a_place_that_no_order_has_is_not_believed(root: Warehouse, place: int) -> None:
    found = evidence(root, drawn(1), drawn(2, seed_index=place))
    assert found["basis"] == "unknown"
    assert verdicts(found) == UNDECIDED
    assert "in an order that can be checked" in found["kill_reason"]


def test_runs_that_were_not_drawn_do_not_stand_in_the_way_of_those_that_were(root: Warehouse) -> None:
    stray = row(seed=3, seed_origin="listed", config="0ff1cea", kill_switch=True)
    found = evidence(root, *runs(24, 0, "aggressive"), stray | {"profile": "aggressive"}, tier="aggressive")
    assert (found["n_runs"], found["n_independent"], found["kill_verdict"]) == (25, 24, "pass")


def test_another_key_after_a_disappointing_look_changes_nothing(root: Warehouse) -> None:
    """The order that came first is the sample: 5 runs of it, whatever was drawn with key 2."""
    order = seeds_of("2", SPACE, 1, 40)
    later = [drawn(i, seed=order[i - 1], seed_key="2", final_pnl=-i * 1.0) for i in range(1, 41)]
    found = evidence(root, *runs(5), *later)
    assert (found["seed_key"], found["n_independent"]) == ("1", 5)
    assert found["kill_reason"].endswith("5 of 10000 seeds; 40 others are not of the sample")


def test_a_seed_of_two_orders_is_of_the_one_that_came_first(root: Warehouse) -> None:
    """30 of 30 killed; another order has the same seeds, or one that somebody ran even before."""
    killed = list(runs(30, 30, "aggressive"))
    key = next(key for key in map(str, range(1_000_000)) if seeds_of(key, SPACE, 1, 1) == ORDER[:1] and key != KEY)
    other = seeds_of(key, SPACE, 1, 60)
    later = [drawn(i, "aggressive", seed=seed, seed_key=key) for i, seed in enumerate(other, 1)]
    before = row("aggressive", seed=other[40], seed_origin="listed", config=killed[0]["config"])

    for rows in ([*killed, *later], [before, *killed, *later]):
        found = evidence(root, *rows, tier="aggressive")
        assert (found["seed_key"], found["n_independent"], found["kill_verdict"]) == (KEY, 30, "fail")


# --- configurations -------------------------------------------------------------------------------------------


def test_runs_of_several_configurations_are_not_pooled(root: Warehouse) -> None:
    """Four lengths of five seeds: their tier has no verdict, and says which there are."""
    rows = [drawn(i, config=f"{n:012x}", ticks_requested=n) for n in (100, 200, 300, 400) for i in range(1, 6)]
    found = evidence(root, *rows)

    assert (found["n_configs"], found["config"]) == (4, None)
    assert_open(
        found,
        "runs of 4 configurations, --config chooses one: 000000000190 (5 runs of 400 ticks), 00000000012c (5 runs of "
        "300 ticks), 0000000000c8 (5 runs of 200 ticks), 000000000064 (5 runs of 100 ticks)",
    )


def test_one_configuration_can_be_chosen(root: Warehouse) -> None:
    rows = [*runs(100, config="a1b2"), *runs(30, 30, config="a1c3")]

    assert verdicts(evidence(root, *rows, choice=Choice(["a1b"])))[0] == "pass"
    assert verdicts(evidence(root, *rows, choice=Choice(["a1c3"])))[0] == "fail"
    latest = evidence(root, *rows, choice=Choice(["latest"]))
    assert (latest["config"], latest["kill_verdict"]) == ("a1c3", "fail")


@pytest.mark.parametrize(
    ("config", "problem"), [("b", "no configuration 'b'"), ("a1", "'a1' is the start of 2 configurations")]
)
def test_a_configuration_that_names_none_or_two_is_wrong_usage(root: Warehouse, config: str, problem: str) -> None:
    with pytest.raises(WarehouseError, match=problem) as caught:
        evidence(root, *runs(1, config="a1b2"), *runs(1, config="a1c3"), choice=Choice([config]))
    assert (caught.value.exit_code, caught.value.hint) == (2, "one of a1b2, a1c3, or latest")


@pytest.mark.parametrize(
    "cells",
    [
        ({"cfg_hash": "0x1"}, {"cfg_hash": "0x2"}),
        ({"engine": "external"}, {"engine": "reference"}),
        ({"num_ticks": 100}, {"num_ticks": 200}),
        ({"ticks_requested": 100}, {"ticks_requested": 200}),
    ],
)
def test_rows_that_name_no_configuration_are_told_apart_by_what_they_name(
    root: Warehouse, cells: tuple[Row, Row]
) -> None:
    rows = [row(final_pnl=float(i), **each) for i, each in enumerate(cells)]
    assert evidence(root, *rows)["n_configs"] == 2


def test_a_killed_run_that_names_no_length_was_to_be_as_long_as_the_others(root: Warehouse) -> None:
    found = evidence(root, row(num_ticks=100), row(num_ticks=37, kill_switch=True), row(num_ticks=100, final_pnl=2.0))
    assert (found["n_configs"], found["n_independent"]) == (1, 3)


# --- rows and views -------------------------------------------------------------------------------------------


def test_a_tier_without_runs_has_its_row(root: Warehouse) -> None:
    found = evidence(root, row(), tier="conservative")
    counts = ("n_runs", "n_independent", "n_missing", "n_configs", "kill_n", "kills", "pnl_n", "dd_n")
    assert {found[name] for name in counts} == {0}
    assert (found["budget_max_kill_prob"], found["level"], found["kill_p_kept"]) == (0.01, 0.95, 1.0)
    assert_open(found, "no runs")


def test_the_runs_that_a_metric_rests_on_are_counted_for_each(root: Warehouse) -> None:
    """Ten runs, three without a PnL, one that says nothing of a kill."""
    some = list(runs(10))
    for line in some[:3]:
        line["final_pnl"] = None
    some[9]["kill_switch"] = None
    found = evidence(root, *some)

    assert (found["n_independent"], found["kill_n"], found["pnl_n"], found["dd_n"]) == (10, 9, 7, 10)
    table = verdict_table(align(root, root.root / "d.jsonl").evidence).filter(risk_tier="balanced")
    assert table["seen"].to_list() == ["0 in 9 runs", "5.5 in 10 runs", "6 in 7 runs"]


def test_a_stated_probability_may_be_a_kill_or_none(root: Warehouse) -> None:
    found = evidence(root, *runs(9), drawn(10, p_kill_switch=0.25))

    assert (found["kills"], found["kill_n"], found["kill_prob"]) == (0, 10, 0.05)
    assert (found["kill_lower"], found["kill_upper"]) == (
        0.0,
        evidence(root, *runs(9), drawn(10, kill_switch=True))["kill_upper"],
    )


def test_a_higher_level_asks_for_more(root: Warehouse) -> None:
    usual, strict = evidence(root, *runs(90)), evidence(root, *runs(90), level=0.99)

    assert (usual["kill_verdict"], strict["kill_verdict"], strict["level"]) == ("pass", "undecided", 0.99)
    assert usual["kill_p_kept"] == strict["kill_p_kept"]
    assert usual["kill_upper"] < strict["kill_upper"]


@pytest.mark.parametrize("level", [0.5, 1.0, 95.0, -1.0, math.nan])
def test_what_is_no_level_is_wrong_usage(root: Warehouse, level: float) -> None:
    with pytest.raises(WarehouseError, match="is no confidence level") as caught:
        evidence(root, row(), level=level)
    assert (caught.value.exit_code, caught.value.hint) == (2, "a level is above 0.5 and below 1, such as 0.95")


def test_only_the_runs_asked_for_count(root: Warehouse) -> None:
    file = write_lines(root.root / "d.jsonl", [*runs(4), row(), "no run"])
    found = align(root, file, run_ids=["balanced1", "balanced3", "unknown"])

    assert (found.frame["n_runs"].to_list(), found.skipped_lines) == ([0, 2, 0], 1)
    assert found.frame["emp_final_pnl_mean"].to_list() == [None, 1.0, None]
    assert found.evidence["n_independent"].to_list() == [0, 2, 0]
    assert align(root, file, run_ids=[]).frame["n_runs"].to_list() == [0, 0, 0]


def test_the_view_ends_with_the_evidence(root: Warehouse) -> None:
    found = align(root, write_lines(root.root / "d.jsonl", WORKED_ROWS))

    assert (found.frame.width, found.frame.columns[-1]) == (15, "emp_score")
    assert found.combined.columns == [*found.frame.columns, *found.evidence.columns[5:]]


def test_the_warehouse_holds_what_the_file_proves(root: Warehouse) -> None:
    """The views answer for the lines that were taken in, each time more of them."""
    file = root.root / "d.jsonl"
    for n in (3, 100):
        mirror_dataset(root, write_lines(file, runs(n)))
        with connect(root) as connection:
            seen = connection.sql("SELECT * EXCLUDE (dataset) FROM alignment").pl()
        assert seen.equals(align(root, file).combined)
    with connect(root) as connection:
        assert connection.sql("SELECT DISTINCT dataset, through_line FROM evidence").fetchall() == [("d", 100)]


# --- files and commands ---------------------------------------------------------------------------------------


def test_the_evidence_stands_beside_the_alignment_and_is_written_the_same_twice(root: Warehouse) -> None:
    """The reference runs of the contract name no seeds, so that there is no verdict, only what was seen."""
    dataset = write_lines(root.root / "d.jsonl", WORKED_ROWS)
    path = write_alignment(root, align(root, dataset), root.root / "out")
    file = path.with_name("exp11_evidence.csv")
    first = file.read_bytes()

    told = (
        "n_runs",
        "n_independent",
        "engine",
        "basis",
        "n_configs",
        "kills",
        "kill_prob",
        "kill_verdict",
        "worst_pnl_usd",
    )
    rows = pl.read_csv(file).select("risk_tier", *told).rows()
    assert rows == [
        ("conservative", 2, 1, None, "unknown", 1, 1, 1.0, "undecided", -3000.0),
        ("balanced", 3, 2, None, "unknown", 1, 1, 0.5, "undecided", -7500.0),
        ("aggressive", 2, 1, None, "unknown", 1, 1, 1.0, "undecided", -3000.0),
    ]
    write_alignment(root, align(root, dataset), root.root / "out")
    assert file.read_bytes() == first
    export_alignment(root, dataset)
    assert (root.root / "runs/exp11_research_alignment/exp11_evidence.csv").read_bytes() == first


def test_one_file_asked_for_is_one_file_written(root: Warehouse) -> None:
    dataset = write_lines(root.root / "d.jsonl", WORKED_ROWS)
    out = export_alignment(root, dataset, out=root.root / "out" / "a.csv")

    assert [path.name for path in out.parent.iterdir()] == ["a.csv"]


PRINTED = """\
ok columns compare means, and prove nothing; not proved: balanced kill probability, balanced mean final PnL, \
aggressive mean drawdown

=== Evidence: bounds at 95 %, at every look, one seed counted once ===
risk_tier     budget                    seen             verdict    reason
------------  ------------------------  ---------------  ---------  \
---------------------------------------------------------------------------
conservative  kill probability <= 0.01  nothing          undecided  no runs
conservative  mean drawdown <= 2000     nothing          undecided  no runs
conservative  mean final PnL >= 0       nothing          undecided  no runs
balanced      kill probability <= 0.05  0 in 60 runs     undecided  0 to 0.0661, 22 more kill-free runs would prove \
it, 60 of 10000 seeds
balanced      mean drawdown <= 4000     30.5 in 60 runs  pass       at most 2190, 60 of 10000 seeds
balanced      mean final PnL >= 0       29.5 in 60 runs  undecided  -388.3 to 698.7, 779 more runs like these would \
prove it, 60 of 10000 seeds
aggressive    kill probability <= 0.15  0.3 in 30 runs   fail       at least 0.4802, 30 of 10000 seeds
aggressive    mean drawdown <= 8000     15.5 in 30 runs  undecided  0 to 8364, 2 more runs like these would prove \
it, 30 of 10000 seeds
aggressive    mean final PnL >= -500    14.5 in 30 runs  pass       at least -313.3, 30 of 10000 seeds
Each verdict is wrong with a chance of at most 5 %. Gate strict opens when all pass: wrongly with at most as much. \
Gate evidence shuts on a fail at 99.44 %: wrongly with at most as much for all budgets together.
"""


def test_run_exp11_prints_points_and_evidence(invoke: Invoke, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [*runs(60), *runs(30, 9, "aggressive")])
    result = invoke("run", "exp11", "--dataset", "d.jsonl")

    assert result.stdout.startswith("=== Alignment with the risk budgets ===\nrisk_tier ")
    assert result.stdout[result.stdout.index("ok columns") :] == PRINTED
    assert result.stderr == (
        "warning: conservative: no runs in d.jsonl; `paraphina-wh run exp13 --profiles conservative` makes some\n"
        "wrote runs/exp11_research_alignment/exp11_alignment.csv\n"
        "wrote runs/exp11_research_alignment/exp11_evidence.csv\n"
    )
    assert result.exit_code == 0


def test_options_choose_the_sample(invoke: Invoke, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [*listed(90, config="a1b2"), *listed(5, 200, config="a1c3", max_drawdown=3.0)])
    command = ("run", "exp11", "--dataset", "d.jsonl", "--format", "jsonl")

    def answer(*options: str) -> tuple[str, str]:
        tier = json.loads(invoke(*command, *options).stdout.splitlines()[1])
        return tier["kill_verdict"], tier["kill_reason"]

    assert answer()[1].startswith("runs of 2 configurations, --config chooses one: a1c3 (5 runs), a1b2 (90 runs)")
    assert answer("--config", "a1b2") == ("undecided", "seeds 1..90 were not drawn at random")
    assert answer("--config", "a1b2", "--assume-independent")[0] == "pass"
    refused = invoke(*command, "--config", "ffff")
    assert (refused.exit_code, refused.stderr.splitlines()[0]) == (2, "error: no configuration 'ffff'")


def test_json_holds_both_and_csv_is_the_contract(invoke: Invoke, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", runs(3))
    printed = json.loads(invoke("run", "exp11", "--dataset", "d.jsonl", "--level", "0.9", "--format", "json").stdout)
    csv = invoke("run", "exp11", "--dataset", "d.jsonl", "--format", "csv").stdout

    assert (printed[1]["emp_kill_ok"], printed[1]["kill_verdict"], printed[1]["level"]) == (True, "undecided", 0.9)
    assert csv.splitlines()[0].endswith(",emp_score")
    assert csv == (tmp_path / "runs/exp11_research_alignment/exp11_alignment.csv").read_text()


# A PnL far above 0, so that few runs prove it.
ALL_PASS = [*runs(445, 0, "conservative", final_pnl=1500.0), *runs(82, final_pnl=4000.0), *runs(60, 0, "aggressive")]
FEW = [line for tier in TIERS for line in runs(3, 0, tier)]
KILLED = [*ALL_PASS[:527], *runs(60, 40, "aggressive")]


@pytest.mark.parametrize(
    ("rows", "gate", "said"),
    [
        (ALL_PASS, "points", []),
        (ALL_PASS, "evidence", []),
        (ALL_PASS, "strict", []),
        (FEW, "points", []),
        (FEW, "evidence", []),
        (KILLED, "points", ["aggressive: kill probability not within budget"]),
        (KILLED, "evidence", ["aggressive: kill probability fail: at least 0.8176, 60 of 10000 seeds"]),
        (KILLED, "strict", ["aggressive: kill probability fail: at least 0.8176, 60 of 10000 seeds"]),
        ([*ALL_PASS[:299]], "evidence", []),
        ([row("another")], "evidence", ["no tier has runs"]),
        ([row("another")], "strict", ["no tier has runs"]),
    ],
)
def test_a_gate_says_what_keeps_it_shut(
    invoke: Invoke, tmp_path: Path, rows: list[Row], gate: str, said: list[str]
) -> None:
    write_lines(tmp_path / "d.jsonl", rows)
    result = invoke("run", "exp11", "--dataset", "d.jsonl", "--gate", gate)
    complaints = [line for line in result.stderr.splitlines() if line.startswith("warning: gate")]

    assert complaints == [f"warning: gate {gate}: {text}" for text in said]
    assert result.exit_code == (1 if said else 0)


def test_a_tier_without_runs_shuts_the_strict_gate(root: Warehouse) -> None:
    found: Alignment = align(root, write_lines(root.root / "d.jsonl", ALL_PASS[:527]))

    assert found.objections("strict") == [
        "aggressive: kill probability undecided: no runs",
        "aggressive: mean drawdown undecided: no runs",
        "aggressive: mean final PnL undecided: no runs",
    ]
    assert not found.decided
    assert align(root, write_lines(root.root / "d.jsonl", ALL_PASS)).decided


def test_the_evidence_gate_shuts_at_the_level_of_all_nine_budgets(root: Warehouse) -> None:
    """A fail at 95 % is one of nine that chance had; at 99.44 % it is not."""
    assert level_of_family(0.95, 3) == pytest.approx(1 - 0.05 / 9)
    for kills in range(1, 60):
        found = align(root, write_lines(root.root / "d.jsonl", [*runs(60, kills, "aggressive")]))
        tier = found.evidence.row(2, named=True)
        if tier["kill_verdict"] == "fail":
            break
    assert 0.05 / 9 < tier["kill_p_broken"] <= 0.05
    assert found.objections("evidence") == []


@pytest.mark.parametrize("text", ["1", "0.5", "95", "nan"])
def test_a_level_in_percent_is_answered_with_what_a_level_is(invoke: Invoke, tmp_path: Path, text: str) -> None:
    write_lines(tmp_path / "d.jsonl", [row()])
    result = invoke("run", "exp11", "--dataset", "d.jsonl", "--level", text)

    assert result.stderr == (
        f"error: {float(text)} is no confidence level\nhint: a level is above 0.5 and below 1, such as 0.95\n"
    )
    assert (result.stdout, result.exit_code) == ("", 2)
    assert not (tmp_path / "runs").exists()


def test_the_recorded_alignment_says_ok_where_nothing_is_proven(root: Warehouse) -> None:
    """The CSV of the contract stays as it is; the evidence tells what four runs of two lengths are worth."""
    found = align(root, recorded("research_dataset_v001.jsonl"))

    assert found.evidence["n_independent"].to_list() == [4, 4, 4]
    assert found.frame["emp_pnl_ok"].to_list() == [True, True, True]
    assert set(found.evidence.select("kill_verdict", "pnl_verdict", "dd_verdict").unpivot()["value"]) == {"undecided"}
    assert all(text.startswith("runs of 2 configurations") for text in found.evidence["pnl_reason"])


# --- the shell ------------------------------------------------------------------------------------------------


def test_the_shell_gives_the_same_units_and_evidence(root: Warehouse) -> None:
    mirror_dataset(root, write_lines(root.root / "d.jsonl", [*runs(20, 3), *listed(5), row("aggressive")]))
    for view in ("evidence_units", "evidence"):
        with connect(root) as connection:
            ours = connection.sql(f"SELECT * FROM {view}").pl().to_dicts()
        theirs = json.loads(shell(root.path, "-json", script=f".read init.sql\nSELECT * FROM {view};\n"))
        assert [line.keys() for line in theirs] == [line.keys() for line in ours]
        for line, other in zip(ours, theirs, strict=True):
            assert {name: str(value) for name, value in line.items()} == {
                name: str(value) for name, value in other.items()
            }
