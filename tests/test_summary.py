"""The console summary: figures and layout, with the numbers of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.datasets import mirror_dataset
from paraphina_wh.errors import WarehouseError
from paraphina_wh.export import export_summary
from paraphina_wh.summary import Summary, summarise, summary_json, summary_text
from paraphina_wh.warehouse import Warehouse, locate
from tests.research_runs import WORKED_ROWS, recorded, write_lines


@pytest.fixture
def root(tmp_path: Path) -> Warehouse:
    return locate(tmp_path, tmp_path / "warehouse")


def summary_of(warehouse: Warehouse, *rows: dict[str, Any] | str, **options: Any) -> Summary:
    return summarise(warehouse, write_lines(warehouse.root / "dataset.jsonl", rows), **options)


def run(label: str, final_pnl: Any, max_drawdown: Any = 0.0, **more: Any) -> dict[str, Any]:
    row = {"label": label, "profile": "balanced", "final_pnl": final_pnl, "max_drawdown": max_drawdown, "num_ticks": 3}
    return {**row, "kill_switch": False, **more}


WORKED_TEXT = """\
=== Global summary ===
Runs:          7
final_pnl     mean=   1478.18  median=   1737.32  std=    714.00
max_drawdown  mean=    100.16  median=    115.70  std=     54.27
max_pnl       mean=   1578.32  median=   1815.98  std=    761.11
min_pnl       mean=     45.33  median=     43.14  std=     26.90
kill_switch:   6 / 7  (0.857 of runs)
utility score: mean=1428.09  min=10.38  max=2006.55

=== Per-profile summary ===
profile      runs final_pnl_mean final_pnl_med  max_dd_mean kill_frac
---------------------------------------------------------------------
aggressive      2        1737.32       1737.32        78.66     1.000
balanced        3         901.12       1346.45        77.19     0.667
conservative    2        2084.61       2084.61       156.13     1.000

=== Top 4 runs by utility (pnl - 0.5 * dd) ===
rank label                    profile     final_pnl     max_dd    utility  kill
-------------------------------------------------------------------------------
   1 c1                       conservati    2084.61     156.13    2006.55     Y
   2 c2                       conservati    2084.61     156.13    2006.55     Y
   3 a1                       aggressive    1737.32      78.66    1697.99     Y
   4 a2                       aggressive    1737.32      78.66    1697.99     Y

"""


def test_the_worked_example_of_the_contract(root: Warehouse) -> None:
    assert summary_text(summary_of(root, *WORKED_ROWS, limit=4)) == WORKED_TEXT


def test_the_recorded_dataset_gives_the_recorded_summary(root: Warehouse) -> None:
    found = summarise(root, recorded("research_dataset_v001.jsonl"))

    assert export_summary(root, found).read_bytes() == recorded("research_summary.txt").read_bytes()
    assert found.skipped_lines == 0


def test_as_json_the_numbers_are_whole(root: Warehouse) -> None:
    found = summary_json(summary_of(root, run("x", 10.0, 4.0, max_pnl=12.0, min_pnl=1.0), "no JSON"))

    assert found == {
        "engine": None,
        "skipped_lines": 1,
        "global": {
            "n_runs": 1,
            "final_pnl_mean": 10.0, "final_pnl_median": 10.0, "final_pnl_std": None,
            "max_drawdown_mean": 4.0, "max_drawdown_median": 4.0, "max_drawdown_std": None,
            "max_pnl_mean": 12.0, "max_pnl_median": 12.0, "max_pnl_std": None,
            "min_pnl_mean": 1.0, "min_pnl_median": 1.0, "min_pnl_std": None,
            "n_killed": 0, "n_kill_known": 1, "kill_frac": 0.0,
            "utility_mean": 8.0, "utility_min": 8.0, "utility_max": 8.0,
        },
        "profiles": [{"profile": "balanced", **found["global"]}],
        "runs": [
            {"rank": 1, "label": "x", "profile": "balanced", "final_pnl": 10.0, "max_drawdown": 4.0,
             "utility": 8.0, "killed": False}
        ],
    }  # fmt: skip


def test_negative_drawdowns_count_by_their_magnitude(root: Warehouse) -> None:
    found = summary_of(root, run("down", 100.0, -60.0), run("up", 100.0, 60.0))

    assert found.runs["utility"].to_list() == [70.0, 70.0]
    assert found.overall["max_drawdown_mean"] == 60.0


def test_a_kill_that_nobody_knows_of_counts_on_neither_side(root: Warehouse) -> None:
    found = summary_of(root, run("a", 1.0, kill_switch=None))

    assert (found.overall["n_killed"], found.overall["n_kill_known"], found.overall["kill_frac"]) == (0, 0, None)
    assert "kill_switch:   0 / 0  (n/a of runs)" in summary_text(found).splitlines()


def test_kill_is_the_same_in_the_fraction_and_in_the_ranking(root: Warehouse) -> None:
    forms = [1.0, "True", "yes", 1, "False", "no", 0, 0.0, None]
    found = summary_of(root, *(run(str(i), -i, kill_switch=form) for i, form in enumerate(forms)))

    assert (found.overall["n_killed"], found.overall["kill_frac"]) == (4, 0.5)
    assert found.runs["killed"].to_list() == [True] * 4 + [False] * 4 + [None]
    assert "kill_switch:   4 / 8  (0.500 of runs)" in summary_text(found).splitlines()


def test_equal_utilities_keep_the_order_of_the_dataset(root: Warehouse) -> None:
    found = summary_of(root, run("z", 5.0), run("a", 5.0), run("best", 6.0), run("m", 5.0), run("none", None))

    assert found.runs["label"].to_list() == ["best", "z", "a", "m", "none"]


def test_filters_are_exact_for_profiles_and_plain_text_for_labels(root: Warehouse) -> None:
    rows: list[Any] = [run("a.b", 1.0), run("axb", 2.0), run("a.b", 3.0, profile="balanced2"), run("(", 4.0), "torn {"]

    assert summary_of(root, *rows, profile="balanced").overall["n_runs"] == 3
    assert summary_of(root, *rows, label_contains="a.b").runs["final_pnl"].to_list() == [3.0, 1.0]
    assert summary_of(root, *rows, label_contains="(").overall["n_runs"] == 1
    assert summary_of(root, *rows, profile="balanced", label_contains="a.b", limit=0).runs.is_empty()
    with pytest.raises(WarehouseError, match=r"no run of .* passes the filters") as caught:
        summary_of(root, *rows, profile="aggressive")
    assert caught.value.exit_code == 1
    with pytest.raises(WarehouseError, match="unknown profile 'balance'") as caught:
        summary_of(root, *rows, profile="balance")
    assert (caught.value.hint, caught.value.exit_code) == ("did you mean balanced or balanced2?", 2)


def test_only_objects_with_final_pnl_max_drawdown_and_num_ticks_are_runs(root: Warehouse) -> None:
    found = summary_of(
        root, run("whole", 1.0), '{"final_pnl": 1, "max_drawdown": 2}', "7", '"text"', "[]", "{broken", "", '{"a": 1}'
    )
    assert (found.overall["n_runs"], found.skipped_lines) == (1, 6)

    with pytest.raises(WarehouseError, match="holds no runs, 1 other lines") as caught:
        summary_of(root, "{}")
    assert caught.value.exit_code == 1


def test_a_missing_file_is_wrong_usage(root: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"research_dataset_v001.jsonl: No such file") as caught:
        summarise(root)
    assert caught.value.exit_code == 2


def test_an_edited_dataset_is_not_summarised(root: Warehouse) -> None:
    file = write_lines(root.root / "research_dataset_v001.jsonl", [run("x", 1.0), run("y", 2.0)])
    mirror_dataset(root, file)
    assert summarise(root).overall["n_runs"] == 2

    write_lines(file, [run("x", 1.0), run("y", 3.0)])
    with pytest.raises(WarehouseError) as caught:
        summarise(root)
    assert caught.value.message == f"{file} was changed: line 2 is no longer what the warehouse holds of it"
    assert caught.value.exit_code == 1


def test_what_is_unknown_prints_as_such(root: Warehouse) -> None:
    lines = summary_text(summary_of(root, {"final_pnl": None, "max_drawdown": 1.0, "num_ticks": 2})).splitlines()

    assert lines[2] == "final_pnl     mean=       n/a  median=       n/a  std=       n/a"
    assert lines[-2] == "   1 n/a                      n/a               n/a       1.00        n/a   n/a"


def test_the_reference_engine_is_named_first(root: Warehouse) -> None:
    found = summary_of(root, run("x", 1.0, engine="reference"), run("y", 1.0))

    assert summary_text(found).startswith(
        "engine: reference — not evidence about the real engine\n=== Global summary ===\n"
    )
    assert summary_json(found)["engine"] == "reference"
    assert summary_json(summary_of(root, run("y", 1.0, engine="external")))["engine"] is None
