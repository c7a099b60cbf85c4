"""`run loop`: every step leaves its artefacts, the engines get the knobs of the presets, repeating changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

import paraphina_wh as wh
from paraphina_wh.cli import main
from paraphina_wh.presets import preset_environment
from tests.conftest import Invoke


def _loop(root: Path, *options: str) -> Result:
    line = ["--root", str(root), "run", "loop", "--engine", "reference", "--ticks", "15", "--sweep-repeats", "1"]
    return CliRunner().invoke(main, [*line, "--runs-per-profile", "2", *options], prog_name="paraphina-wh")


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Return a ROOT in which the loop has run once, and what it said."""
    root = tmp_path_factory.mktemp("loop")
    return root, _loop(root)


def test_every_step_leaves_its_artefacts_in_a_folder_of_its_own(looped: tuple[Path, Result]) -> None:
    root, done = looped
    assert done.exit_code == 0, done.stderr
    files = {str(path.relative_to(root / "runs/loop")) for path in (root / "runs/loop").rglob("*.[cj]s[vo]*")}
    expected = {
        "1_sweep/exp04_risk_regime_runs.csv",
        "1_sweep/exp04_risk_regime_summary.csv",
        "2_presets/exp07_presets.csv",
        "2_presets/exp07_presets.json",
        "2_presets/exp07_source_summary.csv",
        "3_before/exp11_alignment.csv",
        "3_before/exp11_evidence.csv",
        "3_before/loop_before.jsonl",
        "4_tuned/exp12_tuned_presets.csv",
        "4_tuned/exp12_tuning_report.csv",
        "5_after/exp11_alignment.csv",
        "5_after/exp11_evidence.csv",
        "5_after/loop_after.jsonl",
        "loop_report.csv",
    }
    assert expected <= files
    assert "delta_limit_usd_base: the engine has no knob for it" in done.stderr
    assert "caveat: tuning lowers size_eta" in done.stderr
    assert done.stdout.startswith("engine: reference — not evidence about the real engine\n=== Before and after")


@pytest.mark.parametrize(
    ("phase", "presets"), [("before", "2_presets/exp07_presets.csv"), ("after", "4_tuned/exp12_tuned_presets.csv")]
)
def test_the_engines_get_the_knobs_of_the_presets(looped: tuple[Path, Result], phase: str, presets: str) -> None:
    root, _ = looped
    rows = pl.read_csv(root / "runs/loop" / presets).iter_rows(named=True)
    expected = {row["risk_tier"]: preset_environment(row) for row in rows}
    query = f"select profile, knobs_json from runs where experiment = 'loop_{phase}' and repeat = 1"
    run_with = {profile: json.loads(knobs) for profile, knobs in wh.open(root).sql(query).rows()}
    assert run_with == expected
    assert set(expected["balanced"]) == {
        "PARAPHINA_INIT_Q_TAO",
        "PARAPHINA_DAILY_LOSS_LIMIT",
        "PARAPHINA_HEDGE_BAND_BASE",
        "PARAPHINA_MM_SIZE_ETA",
        "PARAPHINA_VOL_REF",
    }


def test_the_report_has_a_row_per_tier_before_and_after(looped: tuple[Path, Result]) -> None:
    root, _ = looped
    report = pl.read_csv(root / "runs/loop/loop_report.csv")
    assert report.select("risk_tier", "phase", "n_runs").rows() == [
        (tier, phase, 2) for tier in ("conservative", "balanced", "aggressive") for phase in ("before", "after")
    ]
    before = pl.read_csv(root / "runs/loop/3_before/exp11_alignment.csv")
    assert report.filter(phase="before")["emp_score"].to_list() == pytest.approx(before["emp_score"].to_list())


def test_repeating_it_runs_nothing_and_gives_the_same_bytes(looped: tuple[Path, Result]) -> None:
    root, first = looped
    before = {path: path.read_bytes() for path in (root / "runs/loop").rglob("*") if path.is_file()}
    again = _loop(root)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert "loop: 0 runs, 45 already there" in again.stderr
    assert {path: path.read_bytes() for path in (root / "runs/loop").rglob("*") if path.is_file()} == before


def test_other_options_under_the_same_name_are_refused(looped: tuple[Path, Result]) -> None:
    root, _ = looped
    refused = _loop(root, "--seed", "9")
    assert (refused.exit_code, "this would change the seed of label 'loop_sweep_" in refused.stderr) == (2, True)


@pytest.mark.parametrize("name", ["../up", "", "a b", "x" * 300])
def test_a_name_that_is_no_folder_is_refused(invoke: Invoke, tmp_path: Path, name: str) -> None:
    refused = invoke("run", "loop", "--engine", "reference", "--name", name)
    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert list(tmp_path.iterdir()) == []


def test_the_report_counts_the_runs_of_this_loop_alone(looped: tuple[Path, Result]) -> None:
    root, _ = looped
    fewer = _loop(root, "--runs-per-profile", "1")
    assert fewer.exit_code == 0, fewer.stderr
    assert "loop: 0 runs, 3 already there" in fewer.stderr
    report = pl.read_csv(root / "runs/loop/loop_report.csv")
    assert report["n_runs"].to_list() == [1, 1, 1, 1, 1, 1]
