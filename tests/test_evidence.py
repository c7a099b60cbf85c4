"""Verdicts with evidence: exact bounds, what counts as independent, gates, and how often the bounds hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.catalog import macros_sql, view_files, view_sql
from paraphina_wh.datasets import append_research_rows, dataset_file, read_dataset
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence import Look, looks, min_runs, verdict_table
from paraphina_wh.export import export_alignment, write_alignment
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke
from tests.coverage_of_bounds import TIERS, coverage, wrong_passes
from tests.records import run_of
from tests.research_runs import WORKED_ROWS, recorded, write_lines
from tests.test_interop import shell

Row = dict[str, Any]


@pytest.fixture
def root(tmp_path: Path) -> Warehouse:
    return locate(tmp_path, tmp_path / "warehouse")


def row(profile: str = "balanced", **cells: Any) -> Row:
    return {"profile": profile, "final_pnl": 100.0, "max_drawdown": 10.0, "kill_switch": False} | cells


def runs(n: int, kills: int = 0, profile: str = "balanced", **cells: Any) -> Iterator[Row]:
    """Yield n unlike runs, the first of them killed: PnL 0, 1, 2 ... and drawdown 1, 2, 3 ..."""
    for i in range(n):
        unlike = {"final_pnl": float(i), "max_drawdown": i + 1.0, "kill_switch": i < kills}
        yield row(profile, **unlike | {"run_id": f"{profile}{i}"} | cells)


def evidence(root: Warehouse, *rows: Row, tier: str = "balanced", **options: Any) -> Row:
    found = align(root, write_lines(root.root / "d.jsonl", rows), **options)
    return next(line for line in found.evidence.iter_rows(named=True) if line["risk_tier"] == tier)


def verdicts(found: Row) -> tuple[str, str, str]:
    return found["kill_verdict"], found["pnl_verdict"], found["dd_verdict"]


# --- the kill probability -------------------------------------------------------------------------------------


def test_299_runs_without_a_kill_prove_one_percent_and_298_do_not(root: Warehouse) -> None:
    proof = evidence(root, *runs(299, profile="conservative"), tier="conservative")
    short = evidence(root, *runs(298, profile="conservative"), tier="conservative")

    assert proof["kill_upper"] == pytest.approx(1 - 0.05 ** (1 / 299), abs=1e-9)  # 0.00997
    assert (proof["kill_verdict"], proof["kill_free_runs_needed"]) == ("pass", None)
    assert (short["kill_verdict"], short["kill_free_runs_needed"]) == ("undecided", 1)


@pytest.mark.parametrize(
    ("kills", "n", "lower", "upper"),
    [
        (0, 1, 0.0, 0.95),
        (1, 1, 0.05, 1.0),
        (0, 10, 0.0, 0.2588655509),  # 1 - 0.05 ** 0.1
        (1, 10, 0.0051161969, 0.3941633024),
        (5, 10, 0.2224411010, 0.7775588990),
        (9, 10, 0.6058366976, 0.9948838031),
        (10, 10, 0.7411344491, 1.0),
    ],
)
def test_the_bounds_of_the_tables(root: Warehouse, kills: int, n: int, lower: float, upper: float) -> None:
    found = evidence(root, *runs(n, kills))

    assert (found["kills"], found["kill_prob"]) == (kills, kills / n)
    assert (found["kill_lower"], found["kill_upper"]) == (
        pytest.approx(lower, abs=1e-9),
        pytest.approx(upper, abs=1e-9),
    )


def at_most(kills: int, n: int, p: float) -> float:
    """Return the binomial probability of so many kills or fewer, added up exactly as it is defined."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(kills + 1))


@pytest.mark.parametrize("level", [0.95, 0.999])
@pytest.mark.parametrize(("kills", "n"), [(1, 2), (3, 40), (39, 40), (30, 400)])
def test_at_a_bound_what_was_seen_has_just_the_probability_allowed(
    root: Warehouse, kills: int, n: int, level: float
) -> None:
    found = evidence(root, *runs(n, kills), level=level)

    assert at_most(kills, n, found["kill_upper"]) == pytest.approx(1 - level, abs=1e-9)
    assert 1 - at_most(kills - 1, n, found["kill_lower"]) == pytest.approx(1 - level, abs=1e-9)


@pytest.mark.parametrize(
    ("kills", "n", "needed"),
    # The known sample sizes for 95 % confidence of at most 1 %: 299, 473 with one kill, 628 with two.
    [(0, 0, 299), (0, 2, 297), (1, 1, None), (1, 101, 372), (2, 102, 526), (0, 299, None)],
)
def test_how_many_more_kill_free_runs_would_do(root: Warehouse, kills: int, n: int, needed: int | None) -> None:
    found = evidence(root, row(), *runs(n, kills, "conservative"), tier="conservative")

    assert found["kill_free_runs_needed"] == needed


def test_the_runs_asked_for_settle_the_budget_and_one_fewer_does_not(root: Warehouse) -> None:
    needed = evidence(root, *runs(20, 1))["kill_free_runs_needed"]

    assert needed == 73  # 93 runs with one kill prove 5 %
    assert evidence(root, *runs(20 + needed, 1))["kill_verdict"] == "pass"
    assert evidence(root, *runs(20 + needed - 1, 1))["kill_verdict"] == "undecided"


def test_a_stated_probability_counts_as_a_kill_where_that_is_the_careful_reading(root: Warehouse) -> None:
    """Nine runs not killed and one that says 0.25: the bounds are those of 1 of 10 above, of 0 of 10 below."""
    found = evidence(root, *runs(9), row(p_kill_switch=0.25))

    assert (found["kills"], found["kill_prob"]) == (0, 0.025)
    assert (found["kill_lower"], found["kill_upper"]) == (0.0, pytest.approx(0.3941633024, abs=1e-9))


# --- means ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "n", "t"),
    [
        (0.95, 2, 6.313751514675),
        (0.95, 3, 2.919985580354),
        (0.95, 10, 1.833112932656),
        (0.95, 30, 1.699127026533),
        (0.95, 300, 1.649965767426),
        (0.975, 2, 12.706204736175),
        (0.99, 11, 2.763769458113),
    ],
)
def test_the_quantiles_of_the_tables(root: Warehouse, level: float, n: int, t: float) -> None:
    """Drawdowns 1, 2, 3 ... n are symmetric, so their bounds are Student's: (n + 1) / 2 + t s / sqrt(n)."""
    found = evidence(root, *runs(n), level=level)

    assert found["dd_mean"] == (n + 1) / 2
    standard_error = math.sqrt((n + 1) / 12)  # s^2 = n (n + 1) / 12
    assert (found["dd_upper"] - found["dd_mean"]) / standard_error == pytest.approx(t, abs=1e-9)


def test_two_values(root: Warehouse) -> None:
    """1 and 3: mean 2, standard error 1, t 6.3138; a drawdown is no less than 0, a PnL may be."""
    found = evidence(root, *(row(final_pnl=x, max_drawdown=x) for x in (1.0, 3.0)))

    assert (found["pnl_mean"], found["dd_mean"]) == (2.0, 2.0)
    assert (found["pnl_lower"], found["pnl_upper"]) == pytest.approx((2 - 6.313751514675, 2 + 6.313751514675))
    assert (found["dd_lower"], found["dd_upper"]) == pytest.approx((0.0, 2 + 6.313751514675))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bound_is_wider_on_the_side_of_the_long_tail(root: Warehouse, sign: int) -> None:
    """0, 0, 3: mean 1, standard error 1, skewness sqrt(3), t^2 = 0.81 / 0.095."""
    found = evidence(root, *(row(final_pnl=x, num_ticks=i) for i, x in enumerate((0.0, 0.0, 3.0 * sign))))
    t2 = 0.81 / 0.095
    correction = math.sqrt(3) / 6 * (1 + 2 * t2) * (1 / math.sqrt(3) + 8 / 3)  # 16.9

    reach = [(found["pnl_upper"] - sign) * sign, (sign - found["pnl_lower"]) * sign]
    assert sorted(reach, key=abs) == pytest.approx([sign * math.sqrt(t2), sign * (math.sqrt(t2) + correction)])


@pytest.mark.parametrize("values", [[7.0], [0.1, 0.1, 0.1], [None, None, 5.0], [1e308, -1e308, 3.0]])
def test_without_a_spread_that_can_be_measured_there_is_no_bound(root: Warehouse, values: list[float | None]) -> None:
    found = evidence(root, *(row(final_pnl=value, num_ticks=i) for i, value in enumerate(values)))

    assert found["n_independent"] == len(values)
    assert (found["pnl_lower"], found["pnl_upper"], found["pnl_verdict"]) == (None, None, "undecided")


def test_runs_without_a_value_are_left_out_of_that_metric_alone(root: Warehouse) -> None:
    found = evidence(
        root,
        row(final_pnl=1.0),
        row(final_pnl=None, max_drawdown=20.0, kill_switch=True),
        row(final_pnl=3.0, max_drawdown=None, kill_switch=None),
    )
    assert (found["n_runs"], found["n_independent"]) == (3, 3)
    assert (found["pnl_mean"], found["dd_mean"], found["kills"], found["kill_prob"]) == (2.0, 15.0, 1, 0.5)


# --- independence ---------------------------------------------------------------------------------------------


def test_identical_repeats_are_one_run(root: Warehouse) -> None:
    once = row(max_pnl=5.0, min_pnl=1.0, num_ticks=9)
    found = evidence(root, once, once | {"label": "again", "run_id": "other"}, once, once | {"min_pnl": 2.0})

    assert (found["n_runs"], found["n_independent"]) == (4, 2)


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


def test_a_run_that_is_told_of_again_counts_with_what_it_says_last(root: Warehouse) -> None:
    """Lines of it had been put aside, the kill among them, and were replayed: the content is the same, and the id."""
    partial, whole = row(evidence_id="a", num_ticks=2), row(evidence_id="a", num_ticks=3, kill_switch=True)
    found = evidence(root, partial, row(evidence_id="b", final_pnl=1.0), whole)
    assert (found["n_independent"], found["kills"]) == (2, 1)


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
    assert evidence(root, row(), row("aggressive"))["n_independent"] == 1


def test_the_same_telemetry_under_two_labels_is_one_run(root: Warehouse) -> None:
    """The dataset carries evidence_id as its last field."""
    for label in ("balanced_r1", "balanced_r2"):
        (root.root / f"{label}.jsonl").write_bytes(run_of(3))
    (root.root / "balanced_r3.jsonl").write_bytes(run_of(4))
    ingest_paths(root, [root.root / f"balanced_r{i}.jsonl" for i in (1, 2, 3)], Options())
    file = append_research_rows(root, dataset_file(root, None)).file

    assert {list(json.loads(line))[-1] for line in file.read_text().splitlines()} == {"evidence_id"}
    found = align(root).evidence.row(1, named=True)
    assert (found["risk_tier"], found["n_runs"], found["n_independent"]) == ("balanced", 3, 2)


# --- verdicts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], ("undecided", "undecided", "undecided")),
        (list(runs(1)), ("undecided", "undecided", "undecided")),
        (list(runs(59)), ("pass", "pass", "pass")),  # 0.95 ** 59 < 0.05
        (list(runs(58)), ("undecided", "pass", "pass")),
        (list(runs(2, kills=2)), ("fail", "undecided", "undecided")),  # sqrt(0.05) = 0.22 > 0.05
        ([row(final_pnl=x - 90.0, max_drawdown=9000.0 + x) for x in range(10)], ("undecided", "fail", "fail")),
    ],
)
def test_verdicts(root: Warehouse, rows: list[Row], expected: tuple[str, str, str]) -> None:
    assert verdicts(evidence(root, row("aggressive"), *rows)) == expected


def test_a_tier_without_runs_has_its_row(root: Warehouse) -> None:
    assert evidence(root, row(), tier="conservative") == {
        "risk_tier": "conservative", "n_runs": 0,
        "budget_max_kill_prob": 0.01, "budget_max_dd_abs": 2000.0, "budget_min_final_pnl_mean": 0.0,
        "n_independent": 0, "kill_n": 0, "kills": 0, "kill_prob": None, "kill_lower": 0.0, "kill_upper": 1.0,
        "kill_verdict": "undecided",
        "pnl_n": 0, "pnl_mean": None, "pnl_lower": None, "pnl_upper": None, "pnl_verdict": "undecided",
        "dd_n": 0, "dd_mean": None, "dd_lower": None, "dd_upper": None, "dd_verdict": "undecided",
        "level": 0.95, "kill_free_runs_needed": 299, "pnl_runs_needed": 10, "dd_runs_needed": 10,
    }  # fmt: skip


@pytest.mark.parametrize(("n", "verdict", "needed"), [(2, "undecided", 8), (9, "undecided", 1), (10, "pass", None)])
def test_with_fewer_than_ten_runs_the_bounds_of_means_are_shown_but_decide_nothing(
    root: Warehouse, n: int, verdict: str, needed: int | None
) -> None:
    """PnL 100, 101 ... and drawdown 1, 2 ...: the bounds keep the budgets of 0 and 4000 from the second run on."""
    found = evidence(root, *(row(final_pnl=100.0 + i, max_drawdown=1.0 + i) for i in range(n)))

    assert found["pnl_lower"] > 0
    assert found["dd_upper"] < 4000
    assert (found["pnl_verdict"], found["dd_verdict"]) == (verdict, verdict)
    assert (found["pnl_runs_needed"], found["dd_runs_needed"]) == (needed, needed)


def test_ten_is_the_number_that_the_settings_name_whatever_the_level(root: Warehouse) -> None:
    assert min_runs() == 10
    assert evidence(root, *runs(3), level=0.8)["pnl_runs_needed"] == 7


def test_the_runs_that_a_metric_rests_on_are_counted_for_each(root: Warehouse) -> None:
    """Ten runs, three without a PnL, one that says nothing of a kill: the PnL needs three more."""
    some = list(runs(10))
    for line in some[:3]:
        line["final_pnl"] = None
    some[9]["kill_switch"] = None
    found = evidence(root, *some)

    assert (found["n_independent"], found["kill_n"], found["pnl_n"], found["dd_n"]) == (10, 9, 7, 10)
    assert (found["pnl_runs_needed"], found["dd_runs_needed"], found["dd_verdict"]) == (3, None, "pass")
    table = verdict_table(align(root, root.root / "d.jsonl").evidence).filter(risk_tier="balanced")
    assert [text.rpartition(" from ")[2] for text in table["evidence"]] == ["9 runs", "10 runs", "7 runs"]
    assert table["needs"][2] == "3 more runs would allow a verdict"


def test_a_higher_level_asks_for_more(root: Warehouse) -> None:
    found = evidence(root, *runs(59), level=0.99)

    assert (found["level"], found["kill_upper"]) == (0.99, pytest.approx(1 - 0.01 ** (1 / 59), abs=1e-9))
    assert (found["kill_verdict"], found["kill_free_runs_needed"]) == ("undecided", 90 - 59)


@pytest.mark.parametrize("level", [0.5, 1.0, 95.0, -1.0, math.nan])
def test_what_is_no_level_is_wrong_usage(root: Warehouse, level: float) -> None:
    with pytest.raises(WarehouseError, match="is no confidence level") as caught:
        evidence(root, row(), level=level)
    assert (caught.value.exit_code, caught.value.hint) == (2, "a level is above 0.5 and below 1, such as 0.95")


def test_only_the_runs_asked_for_count(root: Warehouse) -> None:
    file = write_lines(root.root / "d.jsonl", [*runs(4), row(), "no run"])
    found = align(root, file, run_ids=["balanced0", "balanced2", "unknown"])

    assert (found.frame["n_runs"].to_list(), found.skipped_lines) == ([0, 2, 0], 1)
    assert found.frame["emp_final_pnl_mean"].to_list() == [None, 1.0, None]
    assert found.evidence["n_independent"].to_list() == [0, 2, 0]
    assert align(root, file, run_ids=[]).frame["n_runs"].to_list() == [0, 0, 0]


def test_the_view_ends_with_the_evidence(root: Warehouse) -> None:
    found = align(root, write_lines(root.root / "d.jsonl", WORKED_ROWS))

    assert (found.frame.width, found.frame.columns[-1]) == (15, "emp_score")
    assert found.combined.columns == [*found.frame.columns, *found.evidence.columns[5:]]
    assert found.combined.width == 36


# --- files and commands ---------------------------------------------------------------------------------------

WORKED_EVIDENCE = """\
risk_tier,n_runs,budget_max_kill_prob,budget_max_dd_abs,budget_min_final_pnl_mean,n_independent,kill_n,kills,\
kill_prob,kill_lower,kill_upper,kill_verdict,pnl_n,pnl_mean,pnl_lower,pnl_upper,pnl_verdict,dd_n,dd_mean,dd_lower,\
dd_upper,dd_verdict,level,kill_free_runs_needed,pnl_runs_needed,dd_runs_needed
conservative,2,0.01,2000.0,0.0,1,1,1,1.0,0.05,1.0,fail,1,2084.6115984052044,,,undecided,1,156.13067845330124,,,\
undecided,0.95,,9,9
balanced,3,0.05,4000.0,0.0,2,2,1,0.5,0.02532,0.97468,undecided,2,678.4562352993418,-3539.10785,4896.02032,\
undecided,2,57.93102176029287,0.0,422.64103,undecided,0.95,91,8,8
aggressive,2,0.15,8000.0,-500.0,1,1,1,1.0,0.05,1.0,undecided,1,1737.3207703150993,,,undecided,1,\
78.66166138690915,,,undecided,0.95,29,9,9
"""


def rounded(text: str) -> list[list[object]]:
    """Return the cells of a CSV, floats to five places: the last digits depend on the mathematics library."""
    return [[round(float(c), 5) if "." in c else c for c in line.split(",")] for line in text.splitlines()]


def test_the_evidence_stands_beside_the_alignment_and_is_written_the_same_twice(root: Warehouse) -> None:
    """Each reference run stands twice in the dataset, so two lines are one run: hardly any verdict."""
    dataset = write_lines(root.root / "d.jsonl", WORKED_ROWS)
    path = write_alignment(root, align(root, dataset), root.root / "out")
    file = path.with_name("exp11_evidence.csv")
    first = file.read_bytes()

    assert rounded(first.decode()) == rounded(WORKED_EVIDENCE)
    write_alignment(root, align(root, dataset), root.root / "out")
    assert file.read_bytes() == first
    export_alignment(root, dataset)
    assert (root.root / "runs/exp11_research_alignment/exp11_evidence.csv").read_bytes() == first


def test_one_file_asked_for_is_one_file_written(root: Warehouse) -> None:
    dataset = write_lines(root.root / "d.jsonl", WORKED_ROWS)
    out = export_alignment(root, dataset, out=root.root / "out" / "a.csv")

    assert [path.name for path in out.parent.iterdir()] == ["a.csv"]


def test_run_exp11_prints_points_and_evidence(invoke: Invoke, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [*runs(10), *runs(9, 1, "aggressive")])
    result = invoke("run", "exp11", "--dataset", "d.jsonl")

    assert result.stdout.startswith("=== Alignment with the risk budgets ===\nrisk_tier ")
    assert result.stdout[result.stdout.index("\n=== Ev") :] == (
        "\n=== Evidence: one-sided bounds at 95 %, identical repeats counted once ===\n"
        "risk_tier     budget                    evidence                               "
        "  verdict    needs\n"
        "------------  ------------------------  ---------------------------------------"
        "  ---------  ---------------------------------------\n"
        "conservative  kill probability <= 0.01  nothing known                          "
        "  undecided  299 more kill-free runs would settle it\n"
        "conservative  mean drawdown <= 2000     nothing known                          "
        "  undecided  10 more runs would allow a verdict\n"
        "conservative  mean final PnL >= 0       nothing known                          "
        "  undecided  10 more runs would allow a verdict\n"
        "balanced      kill probability <= 0.05  0 (0 .. 0.2589) from 10 runs           "
        "  undecided  49 more kill-free runs would settle it\n"
        "balanced      mean drawdown <= 4000     5.5 (3.745 .. 7.255) from 10 runs      "
        "  pass\n"
        "balanced      mean final PnL >= 0       4.5 (2.745 .. 6.255) from 10 runs      "
        "  pass\n"
        "aggressive    kill probability <= 0.15  0.1111 (0.005683 .. 0.4291) from 9 runs"
        "  undecided  21 more kill-free runs would settle it\n"
        "aggressive    mean drawdown <= 8000     5 (3.302 .. 6.698) from 9 runs         "
        "  undecided  1 more run would allow a verdict\n"
        "aggressive    mean final PnL >= -500    4 (2.302 .. 5.698) from 9 runs         "
        "  undecided  1 more run would allow a verdict\n"
    )
    assert result.stderr == (
        "warning: conservative: no runs in d.jsonl; `paraphina-wh run exp13 --profiles conservative` makes some\n"
        "wrote runs/exp11_research_alignment/exp11_alignment.csv\n"
        "wrote runs/exp11_research_alignment/exp11_evidence.csv\n"
    )
    assert result.exit_code == 0


def test_json_holds_both_and_csv_is_the_contract(invoke: Invoke, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", runs(3))
    printed = json.loads(invoke("run", "exp11", "--dataset", "d.jsonl", "--level", "0.9", "--format", "json").stdout)
    csv = invoke("run", "exp11", "--dataset", "d.jsonl", "--format", "csv").stdout

    assert (printed[1]["emp_kill_ok"], printed[1]["kill_verdict"], printed[1]["level"]) == (True, "undecided", 0.9)
    assert csv.splitlines()[0].endswith(",emp_score")
    assert csv == (tmp_path / "runs/exp11_research_alignment/exp11_alignment.csv").read_text()


ALL_PASS = [*runs(299, 0, "conservative"), *runs(59), *runs(19, 0, "aggressive")]
FEW = [line for tier in TIERS for line in runs(3, 0, tier)]
FEW_LEAVE_OPEN = [
    f"{tier}: {budget} undecided"
    for tier in TIERS
    for budget in ("kill probability", "mean drawdown", "mean final PnL")
]
KILLED = [*runs(299, 0, "conservative"), *runs(59), *runs(19, 19, "aggressive")]


@pytest.mark.parametrize(
    ("rows", "gate", "said"),
    [
        (ALL_PASS, "points", []),
        (ALL_PASS, "evidence", []),
        (ALL_PASS, "strict", []),
        (FEW, "points", []),
        (FEW, "evidence", []),
        (FEW, "strict", FEW_LEAVE_OPEN),
        (KILLED, "points", ["aggressive: kill probability not within budget"]),
        (KILLED, "evidence", ["aggressive: kill probability fail"]),
        (KILLED, "strict", ["aggressive: kill probability fail"]),
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
    found: Alignment = align(root, write_lines(root.root / "d.jsonl", runs(59)))

    assert [text for text in found.objections("strict") if text.startswith("aggressive")] == [
        "aggressive: kill probability undecided",
        "aggressive: mean drawdown undecided",
        "aggressive: mean final PnL undecided",
    ]
    assert not found.decided
    assert align(root, write_lines(root.root / "d.jsonl", ALL_PASS)).decided


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
    """The CSV of the contract stays as it is; the evidence tells what four runs are worth."""
    found = align(root, recorded("research_dataset_v001.jsonl"))

    assert found.evidence["n_independent"].to_list() == [4, 4, 4]
    assert found.frame["emp_pnl_ok"].to_list() == [True, True, True]
    assert found.evidence["pnl_verdict"].to_list() == ["undecided", "undecided", "undecided"]
    assert found.evidence["kill_verdict"].to_list() == ["fail", "fail", "undecided"]
    assert found.evidence["dd_verdict"].to_list() == ["undecided", "undecided", "undecided"]
    assert found.evidence["dd_runs_needed"].to_list() == [6, 6, 6]


# --- the shell ------------------------------------------------------------------------------------------------

SOURCE = """
CREATE TABLE dataset_rows AS
SELECT 'd' AS dataset, i AS line_no, true AS is_run, profile, i * 1e0 AS final_pnl, 0e0 AS max_pnl, 0e0 AS min_pnl,
       i * i * 1e0 AS max_drawdown, 7 AS num_ticks, CASE WHEN i % 7 = 0 THEN 1e0 ELSE 0e0 END AS kill_prob,
       NULL::VARCHAR AS evidence_id
FROM (VALUES ('balanced'), ('aggressive')) tiers(profile), range(40) numbers(i);
"""
ANSWER = "SELECT * FROM evidence"


def test_the_shell_gives_the_same_evidence(tmp_path: Path) -> None:
    names = ("risk_tiers", "evidence_settings", "independent_runs", "kill_evidence", "mean_evidence", "evidence")
    reads = "".join(f".read '{view_files()[name]}'\n" for name in names)
    macros = macros_sql()
    said = shell(tmp_path, "-json", script=SOURCE + macros + reads + ANSWER + ";\n")
    with duckdb.connect() as connection:
        connection.execute(SOURCE + macros)
        for name in names:
            connection.execute(view_sql(name, Path()))
        ours = connection.sql(ANSWER).pl().to_dicts()

    theirs = json.loads(said)
    assert [line.keys() for line in theirs] == [line.keys() for line in ours]
    for line, other in zip(ours, theirs, strict=True):
        assert line == {name: pytest.approx(value) for name, value in other.items()}


# --- how often the bounds hold --------------------------------------------------------------------------------

TRIALS = 2000
# A bound of 95 % holds in 95 % of trials, give or take three standard errors of 2000 trials.
TOLERANCE = 3 * math.sqrt(0.95 * 0.05 / TRIALS)


@pytest.mark.parametrize(("n", "widest"), [(10, 2.8), (30, 1.8), (60, 1.45)])
def test_bounds_hold_as_often_as_they_say_and_are_not_needlessly_wide(n: int, widest: float) -> None:
    """Tiers draw normal, exponential and lognormal values, each true value exactly on its budget."""
    found = coverage(TRIALS, n, seed=n)
    held = found.select("kill_lower", "kill_upper", "pnl_lower", "pnl_upper", "dd_lower", "dd_upper")

    assert min(held.min().row(0)) >= 0.95 - TOLERANCE
    width = dict(found.select("risk_tier", "dd_width").iter_rows())
    assert width["conservative"] < (1.4 if n == 10 else 1.1)  # normal values cost next to nothing
    assert max(width.values()) < widest


def test_plain_bounds_would_not_hold_for_skewed_values() -> None:
    found = coverage(TRIALS, 10, seed=1).filter(risk_tier="balanced").row(0, named=True)

    assert found["plain_dd_upper"] < 0.9 < 0.95 - TOLERANCE < found["dd_upper"]


def test_looking_often_gives_no_more_wrong_passes() -> None:
    """Every true value is on its budget: every pass would be luck. The plan is that of `--max-runs 64`."""
    found = wrong_passes(TRIALS, looks(min_runs(), 64, 0.95), seed=4)

    assert max(found.drop("risk_tier").max().row(0)) <= 0.05 + TOLERANCE


def test_the_looks_of_a_plan() -> None:
    """Runs double up to the most; by n runs (n / 64)^2 of the error of 0.05 is spent."""
    plan = looks(10, 64, 0.95)

    assert [look.runs_per_profile for look in plan] == [10, 16, 32, 64]
    shares = [(64**-2) * (n**2 - before**2) for before, n in ((0, 10), (10, 16), (16, 32), (32, 64))]
    assert [1 - look.level for look in plan] == pytest.approx([0.05 * share for share in shares])
    assert sum(1 - look.level for look in plan) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("first", "most", "counts"),
    [(10, 10, [10]), (1, 1, [1]), (4, 100, [4, 6, 12, 25, 50, 100]), (3, 4, [3, 4]), (1, 4, [1, 2, 4])],
)
def test_the_first_and_the_last_look_are_those_asked_for(first: int, most: int, counts: list[int]) -> None:
    assert [look.runs_per_profile for look in looks(first, most, 0.95)] == counts


def test_a_single_look_has_the_whole_level() -> None:
    assert looks(8, 8, 0.75) == [Look(8, 0.75)]


@pytest.mark.parametrize(("first", "most", "level"), [(0, 4, 0.95), (5, 4, 0.95), (1, 4, 1.0)])
def test_a_plan_that_cannot_be_is_wrong_usage(first: int, most: int, level: float) -> None:
    with pytest.raises(WarehouseError) as caught:
        looks(first, most, level)
    assert caught.value.exit_code == 2


def test_wrong_passes_are_counted_at_any_look() -> None:
    """The measure itself: without shares, at the full level each time, looking often does go wrong."""
    careless = [Look(look.runs_per_profile, 0.95) for look in looks(10, 64, 0.95)]
    found = wrong_passes(500, careless, seed=5)

    assert (found["dd_verdict"] > 0.1).any()
