"""`run exp13 --until-decided`: batches of drawn seeds, a look after each, nothing spent by looking."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import paraphina_wh as wh
from paraphina_wh.engine.seeds import seeds_of
from tests.conftest import RECORDED, Invoke
from tests.engines import FLAGS, NO_VERSION, engine, record_runs, replay
from tests.records import line


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an engine that plays back recorded runs of 12 ticks: here it is their number that counts."""
    folder = tmp_path_factory.mktemp("engine")
    return engine(
        folder / "engine",
        NO_VERSION,
        replay(record_runs(folder / "runs", ticks=12, seeds=seeds_of("1", 10_000, 1, 40))),
    )


def _run(invoke: Invoke, engine: Path | str, *options: str) -> Result:
    return invoke("run", "exp13", "--engine", engine, "--ticks", "12", "--until-decided", *options)


def _verdicts(done: Result) -> dict[tuple[str, str], tuple[str, int]]:
    rows = map(json.loads, done.stdout.splitlines())
    return {(row["risk_tier"], row["budget"]): (row["verdict"], row["n_independent"]) for row in rows}


def test_a_decided_profile_gets_no_more_runs(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    # Looks at 10, 20, 30 and 40 runs. The reference engine loses little in 12 ticks: 24 runs without a kill prove the
    # aggressive 15 %, 40 not the balanced 5 %, and no mean of a PnL near 0.
    options = ("--profiles", "aggressive,balanced", "--max-runs", "40", "--gate", "strict", "--format", "jsonl")
    done = _run(invoke, many, *options)

    assert done.exit_code == 1
    verdicts = _verdicts(done)
    assert verdicts["aggressive", "kill probability"] == ("pass", 40)
    assert verdicts["balanced", "kill probability"] == ("undecided", 40)
    assert "gate strict: balanced: kill probability undecided: 0 to 0.0" in done.stderr
    assert "4 looks: not all is decided" in done.stderr
    runs = wh.open(tmp_path).sql("select profile, count(*), count(distinct seed) from runs group by 1 order by 1")
    assert runs.rows() == [("aggressive", 40, 40), ("balanced", 40, 40)]


def test_it_can_be_stopped_raised_and_repeated(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    """Runs that are there, whoever made them, are looked at like any others."""
    options = ("--profiles", "aggressive", "--format", "jsonl")
    assert invoke("run", "exp13", "--engine", many, "--ticks", "12", "--profiles", "aggressive").exit_code == 0
    first = _run(invoke, many, *options, "--max-runs", "20")
    assert (first.exit_code, _verdicts(first)["aggressive", "kill probability"]) == (0, ("undecided", 20))
    more = _run(invoke, many, *options, "--max-runs", "40")
    assert _verdicts(more)["aggressive", "kill probability"] == ("pass", 40)
    assert "20 runs, 0 already there" not in more.stderr
    again = _run(invoke, many, *options, "--max-runs", "40")
    assert again.stdout == more.stdout
    assert wh.open(tmp_path).sql("select count(*) from runs").item() == 40


def test_another_label_and_another_order_are_no_second_chance(invoke: Invoke, tmp_path: Path) -> None:
    """Ten runs of the order 1 came first: 24 of another one, without a kill, prove nothing beside them."""
    line = ("run", "exp13", "--engine", "reference", "--ticks", "12", "--until-decided", "--format", "jsonl")
    options = (*line, "--profiles", "aggressive", "--jobs", "1")
    assert invoke(*options, "--max-runs", "10").exit_code == 0
    other = invoke(*options, "--max-runs", "24", "--label-prefix", "other", "--seed", "2")

    assert _verdicts(other)["aggressive", "kill probability"] == ("undecided", 10)
    assert "24 others are not of the sample" in other.stdout


def test_a_failed_run_ends_it_and_the_next_call_goes_on(invoke: Invoke, tmp_path: Path, many: Path) -> None:
    fails_once = '[ "$seed" = 2535 ] && [ ! -e healed ] && exit 101'
    frail = engine(tmp_path / "engine", NO_VERSION, FLAGS, fails_once, f'exec {shlex.quote(str(many))} "$@"')
    line = ("--profiles", "aggressive", "--max-runs", "30", "--format", "jsonl")
    broken = _run(invoke, frail, *line)
    assert broken.exit_code == 1
    assert "1 looks" in broken.stderr
    # Nine of ten are there: the tenth may have been the one that was killed.
    assert _verdicts(broken)["aggressive", "kill probability"] == ("undecided", 9)
    reasons = [json.loads(row)["reason"] for row in broken.stdout.splitlines()]
    assert all("1 unknown, the worse end counts" in reason for reason in reasons)

    (tmp_path / "healed").touch()
    again = _run(invoke, frail, *line)
    assert again.exit_code == 0, again.stderr
    assert _verdicts(again)["aggressive", "kill probability"] == ("pass", 30)


def test_a_dry_run_says_what_so_many_runs_can_decide(invoke: Invoke, tmp_path: Path) -> None:
    shown = invoke(
        *(
            "run",
            "exp13",
            "--engine",
            "reference",
            "--until-decided",
            "--max-runs",
            "64",
            "--dry-run",
            "--format",
            "csv",
        )
    )
    assert shown.stdout.splitlines() == [
        "risk_tier,budget,kill_free_runs,fits",
        "conservative,kill probability <= 0.01,461,False",
        "balanced,kill probability <= 0.05,82,False",
        "aggressive,kill probability <= 0.15,24,True",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--runs-per-profile", "3"], "--until-decided and --max-runs N go together"),
        (["--max-runs", "20", "--profiles", "custom"], "profile 'custom' has no budget to decide"),
        (["--max-runs", "20", "--seed", "none"], "only seeds that are drawn at random decide anything"),
        (["--max-runs", "20", "--seed-start", "1"], "only seeds that are drawn at random decide anything"),
        (["--max-runs", "20", "--fresh"], "--fresh would run all anew at every look"),
        (["--max-runs", "20", "--level", "1.5"], "1.5 is no confidence level"),
    ],
)
def test_what_can_decide_nothing_is_refused_before_the_first_run(
    invoke: Invoke, tmp_path: Path, options: list[str], reason: str
) -> None:
    refused = _run(invoke, "reference", *options)
    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert reason in refused.stderr
    assert list(tmp_path.iterdir()) == []


# The real engine's answers to all of its seeds


@pytest.fixture(scope="module")
def aggressive_t45(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an engine that answers a seed from the recorded table of `--profile aggressive --ticks 45`."""
    table = Path(RECORDED or Path(__file__).parents[2] / "shared" / "recorded") / "seed_population/aggressive_t45.csv"
    if not table.is_file():
        pytest.skip(f"no recorded seed population at {table}")
    folder = tmp_path_factory.mktemp("engine")
    with table.open() as lines:
        answers = {int(row["seed"]): row for row in csv.DictReader(lines)}
    for seed in {*range(1, 61), *seeds_of("1", 10_000, 1, 60), *seeds_of("2", 10_000, 1, 60)}:
        _answer(folder / f"aggressive_{seed}", answers[seed])
    return engine(folder / "engine", NO_VERSION, replay(folder))


def _answer(base: Path, row: dict[str, str]) -> None:
    """Write a run of so many ticks, PnL, drawdown and kill: it stays at its peak, and falls in the last tick."""
    final, killed = float(row["final_pnl"]), row["kill_switch"] == "1"
    peak, ticks = final + float(row["max_drawdown"]), int(row["num_ticks"])

    def tick(t: int, pnl: float, **more: Any) -> bytes:
        return line(t=t, pnl_total=pnl, pnl_realised=pnl, pnl_unrealised=0.0, **more)

    last = tick(ticks - 1, final, kill_switch=killed, kill_reason="PnlHardBreach" if killed else "None")
    base.with_name(f"{base.name}.jsonl").write_bytes(b"".join(tick(t, peak) for t in range(ticks - 1)) + last)
    summary = f"Daily PnL (realised / unrealised / total): {final:+.2f} / +0.00 / {final:+.2f}\n"
    base.with_name(f"{base.name}.stdout.txt").write_text(f"{summary}Kill switch: {str(killed).lower()}\n")


T45 = ("run", "exp13", "--ticks", "45", "--profiles", "aggressive", "--format", "jsonl")


def _kill(done: Result) -> tuple[str, int, str]:
    (row,) = (tier for text in done.stdout.splitlines() if (tier := json.loads(text))["risk_tier"] == "aggressive")
    return row["kill_verdict"], row["kills"], row["kill_reason"]


def test_consecutive_seeds_never_pass(invoke: Invoke, aggressive_t45: Path) -> None:
    """None of the seeds 1 to 19 is killed, and 75 % of all seeds are."""
    for runs in ("19", "60"):
        done = invoke(*T45, "--engine", aggressive_t45, "--seed-start", "1", "--runs-per-profile", runs)
        assert done.exit_code == 0, done.stderr
        verdict, kills, reason = _kill(done)
        assert (verdict, reason) == ("undecided", f"seeds 1..{runs} were not drawn at random")
        if runs == "19":
            assert kills == 0


@pytest.mark.parametrize("key", ["1", "2"])
def test_drawn_seeds_fail_within_thirty_runs_and_it_stops_there(
    invoke: Invoke, tmp_path: Path, aggressive_t45: Path, key: str
) -> None:
    options = ("--until-decided", "--max-runs", "60", "--seed", key, "--gate", "evidence")
    done = invoke(*T45, "--engine", aggressive_t45, *options)
    assert done.exit_code == 1
    rows = {row["budget"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert (rows["kill probability"]["verdict"], rows["kill probability"]["basis"]) == ("fail", "drawn")
    assert wh.open(tmp_path).sql("select count(*) from runs").item() <= 30
    assert "all is decided" in done.stderr
