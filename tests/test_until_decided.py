"""`run exp13 --until-decided`: batches of seeds, planned looks, and verdicts that stay."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import polars as pl
import pytest
from click.testing import Result

import paraphina_wh as wh
from paraphina_wh.engine.seeds import seeds_of
from tests.conftest import Invoke
from tests.engines import FLAGS, NO_VERSION, engine, record_runs, replay


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an engine that plays back recorded runs of 12 ticks: here it is their number that counts."""
    folder = tmp_path_factory.mktemp("engine")
    seeds = {*seeds_of("1", 10_000, 1, 22), *seeds_of("b", 10_000, 1, 12)}
    return engine(folder / "engine", NO_VERSION, replay(record_runs(folder / "runs", ticks=12, seeds=seeds)))


def _run(invoke: Invoke, engine: Path | str, *options: str) -> Result:
    return invoke("run", "exp13", "--engine", engine, "--ticks", "12", "--until-decided", *options)


def test_a_decided_profile_gets_no_more_runs(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    # Looks at 10, 11 and 22 runs; without a kill the aggressive 15 % is settled at the third (0.85^22 < 0.0375),
    # the balanced 5 % is not (0.95^22 = 0.32).
    done = _run(invoke, many, "--profiles", "aggressive,balanced", "--max-runs", "22", "--gate", "strict")

    assert done.exit_code == 1
    verdicts = pl.read_csv(tmp_path / "runs/exp13_auto/until_decided_exp13.csv")
    assert verdicts.select("risk_tier", "budget", "verdict").rows() == [
        ("balanced", "kill probability", "undecided"),
        ("balanced", "mean drawdown", "pass"),
        ("balanced", "mean final PnL", "pass"),
        ("aggressive", "kill probability", "pass"),
        ("aggressive", "mean drawdown", "pass"),
        ("aggressive", "mean final PnL", "pass"),
    ]
    settled = dict(verdicts.filter(risk_tier="aggressive").select("budget", "n_runs").rows())
    assert settled["kill probability"] == 22
    assert settled["mean drawdown"] == 10  # and it keeps the verdict of that look
    assert "gate strict: balanced: kill probability undecided" in done.stderr
    runs = wh.open(tmp_path).sql("select profile, count(*), count(distinct seed) from runs group by 1 order by 1")
    assert runs.rows() == [("aggressive", 22, 22), ("balanced", 22, 22)]


def test_all_decided_at_the_first_look_ends_it_there(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    options = ("--profiles", "aggressive", "--max-runs", "22", "--runs-per-profile", "22", "--gate", "strict")
    done = _run(invoke, many, *options)
    assert done.exit_code == 0, done.stderr
    assert wh.open(tmp_path).sql("select count(*) from runs").item() == 22
    again = _run(invoke, many, *options)
    assert "exp13: 0 runs, 22 already there" in again.stderr
    assert again.stdout == done.stdout


def test_another_plan_under_the_same_prefix_is_refused(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    first = _run(invoke, many, "--profiles", "balanced", "--max-runs", "10")
    assert first.exit_code == 0, first.stderr
    plan = json.loads((tmp_path / "runs/exp13_auto/until_decided_exp13.json").read_text())
    expected = {
        "label_prefix": "exp13",
        "profiles": ["balanced"],
        "seed": "1",
        "first": 10,
        "max_runs": 10,
        "level": 0.95,
    }
    assert {key: plan[key] for key in expected} == expected

    more = _run(invoke, many, "--profiles", "balanced", "--max-runs", "20")
    assert more.exit_code == 2
    assert "were planned for 10 to 10 runs of balanced at level 0.95, not for 10 to 20" in more.stderr
    assert "choose another --label-prefix with another --seed" in more.stderr
    # The same seeds under another prefix are the same runs; new seeds are not.
    same = _run(invoke, many, "--profiles", "balanced", "--max-runs", "12", "--label-prefix", "b")
    assert (same.exit_code, "looks at these runs were planned" in same.stderr) == (2, True)
    assert wh.open(tmp_path).sql("select count(*) from runs").item() == 10
    other = _run(invoke, many, "--profiles", "balanced", "--max-runs", "12", "--label-prefix", "b", "--seed", "b")
    assert other.exit_code == 0, other.stderr


def test_runs_that_were_there_before_the_plan_are_refused(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    line = ("run", "exp13", "--engine", many, "--ticks", "12", "--profiles", "balanced")
    assert invoke(*line, "--runs-per-profile", "3").exit_code == 0
    refused = _run(invoke, many, "--profiles", "balanced", "--max-runs", "10")
    assert refused.exit_code == 2
    assert "3 of these runs are there already" in refused.stderr
    assert not list((tmp_path / "runs/exp13_auto").glob("until_decided*"))


def test_a_look_with_a_failed_run_decides_nothing(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    fails_once = '[ "$seed" = 2535 ] && [ ! -e healed ] && exit 101'
    frail = engine(tmp_path / "engine", NO_VERSION, FLAGS, fails_once, f'exec {shlex.quote(str(many))} "$@"')
    line = ("run", "exp13", "--engine", frail, "--ticks", "12", "--profiles", "aggressive", "--until-decided")
    broken = invoke(*line, "--max-runs", "22")
    assert broken.exit_code == 1
    assert wh.open(tmp_path).sql("select count(*) from runs where status = 'ok'").item() == 9
    assert pl.read_csv(tmp_path / "runs/exp13_auto/until_decided_exp13.csv").is_empty()

    (tmp_path / "healed").touch()
    again = invoke(*line, "--max-runs", "22", "--gate", "strict")
    assert again.exit_code == 0, again.stderr
    assert wh.open(tmp_path).sql("select count(*) from runs where status = 'ok'").item() == 22


def test_a_dry_run_shows_the_looks(invoke: Invoke, tmp_path: Path) -> None:
    shown = _run(invoke, "reference", "--max-runs", "40", "--dry-run", "--format", "csv")
    assert [line.split(",")[0] for line in shown.stdout.splitlines()] == ["runs_per_profile", "10", "20", "40"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--runs-per-profile", "3"], "--until-decided and --max-runs N go together"),
        (["--max-runs", "2", "--runs-per-profile", "3"], "cannot look first after 3 of at most 2 runs"),
        (["--max-runs", "20", "--profiles", "custom"], "profile 'custom' has no budget to decide"),
        (["--max-runs", "20", "--seed", "none"], "without seeds all runs are copies of one"),
        (["--max-runs", "20", "--fresh"], "runs that were looked at are not run --fresh"),
        (["--max-runs", "20", "--level", "1.5"], "1.5 is no confidence level"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_the_first_run(
    invoke: Invoke, tmp_path: Path, options: list[str], reason: str
) -> None:
    refused = _run(invoke, "reference", *options)
    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert reason in refused.stderr
    assert list(tmp_path.iterdir()) == []
