"""The alignment: risk budgets against the runs of a dataset, with the numbers of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.datasets import mirror_dataset, seal_dataset
from paraphina_wh.errors import WarehouseError
from paraphina_wh.export import export_alignment, write_alignment
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke
from tests.research_runs import WORKED_ROWS, recorded, same_but_for_rounding, write_lines


@pytest.fixture
def root(tmp_path: Path) -> Warehouse:
    return locate(tmp_path, tmp_path / "warehouse")


def aligned(warehouse: Warehouse, *rows: dict[str, Any] | str) -> Alignment:
    return align(warehouse, write_lines(warehouse.root / "dataset.jsonl", rows))


def tier(alignment: Alignment, name: str) -> dict[str, Any]:
    return next(row for row in alignment.frame.to_dicts() if row["risk_tier"] == name)


def run(profile: str = "balanced", final_pnl: Any = 100.0, max_drawdown: Any = 10.0, **kill: Any) -> dict[str, Any]:
    return {
        "profile": profile,
        "final_pnl": final_pnl,
        "max_drawdown": max_drawdown,
        **(kill or {"kill_switch": False}),
    }


WORKED_CSV = """\
risk_tier,n_runs,budget_max_kill_prob,budget_max_dd_abs,budget_min_final_pnl_mean,emp_final_pnl_mean,\
emp_max_drawdown_mean,emp_kill_prob,emp_kill_ok,emp_dd_ok,emp_pnl_ok,emp_kill_margin,emp_dd_margin,emp_pnl_margin,\
emp_score
conservative,2,0.01,2000.0,0.0,2084.6115984052044,156.13067845330124,1.0,False,True,True,-0.99,\
1843.8693215466988,2084.6115984052044,1806.5462591785538
balanced,3,0.05,4000.0,0.0,901.1217441681182,77.18581881398889,0.6666666666666666,False,True,True,\
-0.6166666666666666,3922.814181186011,901.1217441681182,811.2993318572549
aggressive,2,0.15,8000.0,-500.0,1737.3207703150993,78.66166138690915,1.0,False,True,True,-0.85,\
7921.338338613091,2237.3207703150993,1679.4546041764083
"""


def test_the_worked_example_of_the_contract_comes_out_to_the_last_digit(root: Warehouse) -> None:
    found = aligned(root, *WORKED_ROWS)

    assert write_alignment(root, found).read_text() == WORKED_CSV
    assert (found.skipped_lines, found.reference_runs, found.warnings) == (0, 0, [])


def test_the_recorded_dataset_gives_the_recorded_file_twice(root: Warehouse) -> None:
    dataset = recorded("research_dataset_v001.jsonl")
    path = export_alignment(root, dataset)
    first = path.read_bytes()

    assert same_but_for_rounding(path, recorded("exp11_alignment.csv"))
    assert export_alignment(root, dataset).read_bytes() == first


def test_a_positive_drawdown_costs_score(root: Warehouse) -> None:
    row = tier(aligned(root, run(final_pnl=100.0, max_drawdown=10.0)), "balanced")

    assert row["emp_score"] == 100.0 - 0.3 * 10.0


def test_drawdowns_of_either_sign_do_not_cancel_in_the_verdict(root: Warehouse) -> None:
    row = tier(aligned(root, run(max_drawdown=-5000.0), run(max_drawdown=5000.0)), "balanced")

    assert row["emp_max_drawdown_mean"] == 0.0  # as stored
    assert row["emp_dd_ok"] is False
    assert row["emp_dd_margin"] == 4000.0 - 5000.0
    assert row["emp_score"] == pytest.approx(100.0 - 0.3 * 5000.0)


def test_candidates_are_chosen_row_by_row(root: Warehouse) -> None:
    found = aligned(
        root,
        {"tier": "balanced", "metrics.final_pnl": 1.0, "metrics.max_drawdown": 2.0, "p_kill_switch": 0.5},
        {"risk_profile": "balanced", "pnl_total": 3.0, "MAX_DRAWDOWN": 4.0, "kill_switch": True},
        {"Profile": "balanced", "final_pnl": None, "metrics.pnl_total": 5.0, "max_drawdown": 6.0, "kill": 0},
    )
    row = tier(found, "balanced")

    assert (row["n_runs"], row["emp_final_pnl_mean"], row["emp_max_drawdown_mean"]) == (3, 3.0, 4.0)
    assert row["emp_kill_prob"] == 0.5  # 0.5, 1, 0


@pytest.mark.parametrize(
    ("kill", "probability"),
    [
        (True, 1.0), (False, 0.0), (1, 1.0), (0, 0.0), (1.0, 1.0), ("true", 1.0), ("False", 0.0), (" YES ", 1.0),
        ("no", 0.0), ("1", 1.0), (0.25, 0.25), ("0.25", 0.25), ("perhaps", None), (7, None), (None, None),
    ],
)  # fmt: skip
def test_kill_comes_in_many_forms(root: Warehouse, kill: object, probability: float | None) -> None:
    assert tier(aligned(root, run(kill_switch=kill)), "balanced")["emp_kill_prob"] == probability


def test_profiles_are_trimmed_and_compared_in_lower_case(root: Warehouse) -> None:
    found = aligned(root, run(" Balanced "), run("AGGRESSIVE"), run("balanced2"), run("\tbalanced\r\n\u00a0"))

    assert found.frame["n_runs"].to_list() == [0, 2, 1]
    assert found.evidence["n_runs"].to_list() == [0, 2, 1]


def test_a_tier_without_runs_keeps_its_row_and_warns(root: Warehouse) -> None:
    found = aligned(root, run("balanced"))

    assert list(tier(found, "conservative").values()) == ["conservative", 0, 0.01, 2000.0, 0.0, *[None] * 10]
    assert found.warnings == [
        f"{tier}: no runs in dataset.jsonl; `paraphina-wh run exp13 --profiles {tier}` makes some"
        for tier in ("conservative", "aggressive")
    ]


def test_one_missing_metric_empties_every_verdict(root: Warehouse) -> None:
    found = aligned(root, run(kill_switch=None), run(kill_switch=None))
    row = tier(found, "balanced")

    assert (row["emp_final_pnl_mean"], row["emp_max_drawdown_mean"], row["emp_kill_prob"]) == (100.0, 10.0, None)
    assert {row[name] for name in found.frame.columns[8:]} == {None}
    assert "balanced: a metric is null in every run" in found.warnings


def test_nulls_and_nan_tokens_are_left_out_of_means(root: Warehouse) -> None:
    row = tier(
        aligned(
            root,
            run(final_pnl=10.0),
            '{"profile": "balanced", "final_pnl": NaN, "max_drawdown": 10.0, "kill_switch": true}',
            run(final_pnl=None),
            run(final_pnl="30"),
        ),
        "balanced",
    )
    assert (row["n_runs"], row["emp_final_pnl_mean"], row["emp_kill_prob"]) == (4, 20.0, 0.25)


def test_lines_that_are_no_runs_are_skipped_and_counted(root: Warehouse) -> None:
    found = aligned(
        root,
        run(),
        '{"profile": "balanced", "final_pnl": 1.0,',  # cut off
        '{"final_pnl": 1.0, "max_drawdown": 1.0,}',  # a trailing comma is not JSON
        '{"final_pnl": 1.0, "final_pnl": 2.0, "max_drawdown": 1.0}',  # which one?
        "[1, 2]",
        "null",
        '{"note": "no metrics"}',
        "",
        "  ",
        run(label="a comma ,} in a text is fine"),
    )
    assert (tier(found, "balanced")["n_runs"], found.skipped_lines) == (2, 6)


def test_a_column_named_nowhere_is_an_error_that_lists_what_was_tried_and_what_exists(root: Warehouse) -> None:
    with pytest.raises(WarehouseError) as caught:
        aligned(root, {"Profile": "balanced", "pnl": 1.0, "max_drawdown": 2.0})

    assert "final_pnl (final_pnl, metrics.final_pnl, pnl_total, metrics.pnl_total)" in caught.value.message
    assert "kill_prob (p_kill_switch, kill_switch, kill, kill_prob, metrics.kill_prob)" in caught.value.message
    assert caught.value.hint == "columns present: max_drawdown, pnl, profile"
    assert caught.value.exit_code == 1


def test_a_missing_file_is_wrong_usage_and_an_empty_one_is_not(root: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"cannot read .*nowhere.jsonl: No such file") as caught:
        align(root, "nowhere.jsonl")
    assert caught.value.exit_code == 2

    with pytest.raises(WarehouseError, match=r"dataset.jsonl holds no runs") as caught:
        aligned(root)
    assert caught.value.exit_code == 1


def edit(file: Path) -> str:
    """Make the first run of a dataset file richer, and return what every reader is to say."""
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"100.0", b"900.0", 1))
    return f"{file} was changed: line 1 is no longer what the warehouse holds of it"


@pytest.mark.parametrize("seal", [False, True])
def test_an_edited_dataset_gets_no_verdict(root: Warehouse, seal: bool) -> None:
    file = write_lines(root.root / "dataset.jsonl", [run(), run(final_pnl=90.0)])
    mirror_dataset(root, file)
    if seal:
        seal_dataset(root, file)
    assert align(root, file).frame["n_runs"].to_list() == [0, 2, 0]

    message = edit(file)
    for judge in (align, export_alignment):
        with pytest.raises(WarehouseError) as caught:
            judge(root, file)
        assert (caught.value.message, caught.value.exit_code) == (message, 1)
        assert "`paraphina-wh dataset restore dataset`" in str(caught.value.hint)
    assert not (root.root / "runs").exists()


def test_a_gate_on_an_edited_dataset_fails_with_the_line(invoke: Invoke, warehouse: Warehouse) -> None:
    file = write_lines(warehouse.root / "research_dataset_v001.jsonl", [run()])
    mirror_dataset(warehouse, file)
    message = edit(file)
    result = invoke("run", "exp11", "--gate", "points")

    assert (result.stdout, result.exit_code) == ("", 1)
    assert result.stderr.startswith(f"error: {message}\nhint: datasets are only ever appended to: ")


def test_a_sealed_file_of_another_machine_is_checked_without_a_warehouse(root: Warehouse, tmp_path: Path) -> None:
    file = write_lines(root.root / "dataset.jsonl", [run()])
    seal_dataset(root, file)
    elsewhere = locate(tmp_path, tmp_path / "not_there")
    assert align(elsewhere, file).frame["n_runs"].to_list() == [0, 1, 0]

    edit(file)
    with pytest.raises(WarehouseError, match="was changed: it is no longer what was sealed"):
        align(elsewhere, file)


def test_a_file_that_the_warehouse_does_not_know_is_read_as_it_is(root: Warehouse, tmp_path: Path) -> None:
    """Also one that has the name of a dataset, and new lines at the end of one: they are no edit."""
    known = write_lines(root.root / "dataset.jsonl", [run()])
    mirror_dataset(root, known)
    (tmp_path / "copies").mkdir()
    copy = write_lines(tmp_path / "copies" / "dataset.jsonl", [run(final_pnl=1.0), run()])
    write_lines(known, [run(), run(final_pnl=2.0), run(final_pnl=3.0)])

    assert align(root, copy).frame["n_runs"].to_list() == [0, 2, 0]
    assert align(root, known).frame["n_runs"].to_list() == [0, 3, 0]


def test_runs_of_the_reference_engine_are_counted(root: Warehouse) -> None:
    assert aligned(root, run() | {"engine": "reference"}, run()).reference_runs == 1
