"""exp13 from the command line: engines that behave, engines that do not, and sessions that are cut short."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from click.testing import Result

import paraphina_wh as wh
from paraphina_wh.sidecar import read_sidecar
from tests.conftest import Invoke, command_line
from tests.engines import FLAGS, NO_VERSION, REFERENCE, engine

# Behaves as its seed says; where it behaves, the reference engine does the work.
_MATRIX_ENGINE = f"""
case $seed in
2) {REFERENCE}; exit 3;;
3) sleep 60;;
4) unset PARAPHINA_TELEMETRY_PATH; exec {REFERENCE};;
5) exec {REFERENCE} > /dev/null;;
6) {REFERENCE}; truncate -s -1000 "$PARAPHINA_TELEMETRY_PATH";;
7) {REFERENCE} > /dev/null; exec cat noise;;
8) trap "" TERM; sleep 60;;
*) exec {REFERENCE};;
esac
"""


@pytest.fixture
def matrix_engine(tmp_path: Path) -> Path:
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 100)
    return engine(tmp_path / "engine", NO_VERSION, FLAGS, _MATRIX_ENGINE)


def _runs(root: Path, columns: str) -> list[tuple[object, ...]]:
    return wh.open(root).sql(f"select {columns} from runs order by label").rows()


def _exp13(invoke: Invoke, *options: str) -> Result:
    return invoke("run", "exp13", "--engine", "reference", "--ticks", "40", "--profiles", "balanced", *options)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Return a ROOT with two runs of balanced from one session, and what it said; tests that change it take a copy."""
    root = tmp_path_factory.mktemp("session")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return root, _exp13(command_line)


@pytest.fixture
def first(session: tuple[Path, Result], tmp_path: Path) -> Result:
    """Put a copy of that ROOT where `invoke` runs, and return what the session said."""
    shutil.copytree(session[0], tmp_path, dirs_exist_ok=True)
    return session[1]


def test_the_harness_runs_ingests_appends_summarises_and_aligns(invoke: Invoke, tmp_path: Path) -> None:
    done = _exp13(invoke, "--profiles", "conservative")

    assert done.exit_code == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "runs/exp13_auto").glob("*.jsonl")) == [
        "balanced_r1.jsonl",
        "balanced_r2.jsonl",
        "conservative_r1.jsonl",
        "conservative_r2.jsonl",
    ]
    assert _runs(tmp_path, "label, seed, ticks_requested, num_ticks, status, engine") == [
        ("exp13_balanced_r001", 127353520, 40, 40, "ok", "reference"),
        ("exp13_balanced_r002", 1732757646, 40, 40, "ok", "reference"),
        ("exp13_conservative_r001", 127353520, 40, 40, "ok", "reference"),
        ("exp13_conservative_r002", 1732757646, 40, 40, "ok", "reference"),
    ]
    lines = (tmp_path / "research_dataset_v001.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["label"] for line in lines) == [row[0] for row in _runs(tmp_path, "label")]
    assert "engine: reference" in done.stdout
    assert "=== Global summary ===" in done.stdout
    csv = pl.read_csv(tmp_path / "runs/exp11_research_alignment/exp11_alignment.csv")
    assert csv.select("risk_tier", "n_runs").rows() == [("conservative", 2), ("balanced", 2), ("aggressive", 0)]


def test_provenance_and_knobs_are_recorded_and_nothing_else_of_the_environment(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-record")
    monkeypatch.setenv("PARAPHINA_VOL_REF", "9")  # stray: must not reach the engine

    _exp13(invoke, "--set", "MM_SIZE_ETA=2", "--set", "PARAPHINA_INIT_Q_TAO=-20", "--runs-per-profile", "1")

    (row,) = wh.open(tmp_path).view("runs").rows(named=True)
    assert json.loads(row["knobs_json"]) == {"PARAPHINA_INIT_Q_TAO": "-20", "PARAPHINA_MM_SIZE_ETA": "2"}
    assert (row["mm_size_eta"], row["init_q_tao"], row["vol_ref"]) == (2.0, -20.0, None)
    assert json.loads(row["command_json"])[-6:] == ["--ticks", "40", "--profile", "balanced", "--seed", "127353520"]
    assert row["cfg_version"].startswith("reference")
    assert len(row["engine_sha256"]) == 64
    kept = "".join(p.read_text() for p in (tmp_path / "runs/exp13_auto").glob("*.run.json"))
    assert "do-not-record" not in kept + str(row)


def test_a_second_call_resumes_and_changes_nothing(
    session: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, first = session
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}

    monkeypatch.chdir(root)
    second = _exp13(command_line)

    assert "0 runs, 2 already there" in second.stderr
    assert second.stdout == first.stdout
    after = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    rewritten = root / "runs/exp11_research_alignment"
    kept = {p: t for p, t in before.items() if p.parent != rewritten}
    assert {p: t for p, t in after.items() if p.parent != rewritten} == kept


@pytest.mark.usefixtures("first")
def test_more_repeats_run_only_what_is_new(invoke: Invoke, tmp_path: Path) -> None:
    more = _exp13(invoke, "--runs-per-profile", "3")
    assert "1 runs, 2 already there" in more.stderr
    assert _runs(tmp_path, "label, seed") == [
        ("exp13_balanced_r001", 127353520),
        ("exp13_balanced_r002", 1732757646),
        ("exp13_balanced_r003", 541064645),
    ]


@pytest.mark.usefixtures("first")
def test_other_options_under_the_same_labels_are_refused_unless_fresh(invoke: Invoke, tmp_path: Path) -> None:
    refused = _exp13(invoke, "--set", "MM_SIZE_ETA=50")
    assert refused.exit_code == 2
    assert "exp13_balanced_r001" in refused.stderr
    assert "--fresh" in refused.stderr

    fresh = _exp13(invoke, "--set", "MM_SIZE_ETA=50", "--fresh")
    assert fresh.exit_code == 0
    assert _runs(tmp_path, "label, mm_size_eta") == [("exp13_balanced_r001", 50.0), ("exp13_balanced_r002", 50.0)]


@pytest.mark.usefixtures("first")
def test_a_plain_ingest_afterwards_meets_the_same_runs(invoke: Invoke, tmp_path: Path) -> None:
    before = wh.open(tmp_path).view("runs")

    again = invoke("ingest", "runs/exp13_auto", "--label-prefix", "other", "--format", "csv")

    assert [line.split(",")[2] for line in again.stdout.splitlines()[1:]] == ["unchanged", "unchanged"]
    assert wh.open(tmp_path).view("runs").equals(before)


def test_every_failure_is_recorded_and_the_rest_goes_on(invoke: Invoke, tmp_path: Path, matrix_engine: Path) -> None:
    options = ["--ticks", "30", "--profiles", "balanced", "--runs-per-profile", "9", "--timeout", "2", "--jobs", "4"]
    options += ["--seed-start", "1"]
    done = invoke("run", "exp13", "--engine", matrix_engine, *options)

    assert done.exit_code == 1
    assert _runs(tmp_path, "seed, status, error, returncode, num_ticks, truncated") == [
        (1, "ok", None, 0, 30, False),
        (2, "failed", "exit code 3", 3, 30, False),
        (3, "timeout", "timed out after 2 s", -1, None, None),
        (4, "failed", "no telemetry written", 0, None, None),
        (5, "failed", "no PnL summary on stdout", 0, 30, False),
        (6, "failed", "telemetry cut off: its last line has no end", 0, 29, True),
        (7, "failed", "no PnL summary on stdout", 0, 30, False),
        (8, "timeout", "timed out after 2 s", -1, None, None),
        (9, "ok", None, 0, 30, False),
    ]
    dataset = (tmp_path / "research_dataset_v001.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["seed"] for line in dataset) == [1, 9]
    assert "balanced_r2: exit code 3" in done.stderr


def test_failed_runs_are_run_again_and_give_way(invoke: Invoke, tmp_path: Path) -> None:
    flaky = engine(tmp_path / "flaky", NO_VERSION, "[ -e ready ] || exit 3", f"exec {REFERENCE}")
    options = ["--ticks", "20", "--profiles", "balanced", "--runs-per-profile", "1"]
    first = invoke("run", "exp13", "--engine", flaky, *options)
    assert (first.exit_code, _runs(tmp_path, "status")) == (1, [("failed",)])

    (tmp_path / "ready").touch()
    second = invoke("run", "exp13", "--engine", flaky, *options)
    assert (second.exit_code, _runs(tmp_path, "status, num_ticks")) == (0, [("ok", 20)])


def test_a_failure_never_takes_the_place_of_a_good_run(invoke: Invoke, tmp_path: Path) -> None:
    options = ["--ticks", "20", "--profiles", "balanced", "--runs-per-profile", "1"]
    good = engine(tmp_path / "good", f"exec {REFERENCE}")
    broken = engine(tmp_path / "broken", "exit 3")
    invoke("run", "exp13", "--engine", good, *options)

    fresh = invoke("run", "exp13", "--engine", broken, "--fresh", *options)

    assert fresh.exit_code == 1
    assert sorted(_runs(tmp_path, "status, num_ticks"), key=str) == [("failed", None), ("ok", 20)]
    assert wh.open(tmp_path).sql("select count(*) from ticks").rows() == [(20,)]
    assert "two live runs" not in invoke("status").stdout
    again = invoke("run", "exp13", "--engine", good, "--seed-start", "7", "--fresh", *options)
    assert (again.exit_code, _runs(tmp_path, "status, seed")) == (0, [("ok", 7)])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--engine", "no/such/engine"], "no/such/engine"),
        (["--engine", "reference", "--set", "HEDGE_BAND=5"], "HEDGE_BAND"),
        (["--engine", "reference", "--set", "INIT_Q_TAO=nan"], "finite"),
        (["--engine", "reference", "--set", "INIT_Q_TAO"], "KNOB=VALUE"),
        (["--engine", "reference", "--ticks", "0"], "--ticks"),
        (["--engine", "reference", "--seed-start", "-1"], "-1"),
        (["--engine", "reference", "--seed", ""], "--seed must be a key"),
        (["--engine", "reference", "--seed", "a", "--seed-start", "1"], "two ways to choose seeds"),
        (["--engine", "reference", "--profiles", "balanced,balanced"], "each once"),
        (["--engine", "reference", "--label-prefix", "x" * 300], "label"),
    ],
)
def test_what_cannot_run_is_refused_before_the_first_run(
    invoke: Invoke, tmp_path: Path, options: list[str], reason: str
) -> None:
    refused = invoke("run", "exp13", *options)
    assert refused.exit_code == 2
    assert reason in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_grid_and_writes_nothing(invoke: Invoke, tmp_path: Path) -> None:
    shown = invoke("run", "exp13", "--engine", "reference", "--dry-run", "--seed", "none", "--format", "csv")
    rows = [line.split(",") for line in shown.stdout.splitlines()]
    assert rows[0] == ["run", "label", "seed", "ticks", "knobs", "engine", "telemetry", "action"]
    assert [row[0] for row in rows[1:]] == [
        f"{profile}_r{i}" for profile in ("conservative", "balanced", "aggressive") for i in (1, 2)
    ]
    assert {row[2] for row in rows[1:]} == {""}
    assert list(tmp_path.iterdir()) == []


def test_telemetry_put_there_by_hand_is_taken_in_before_it_would_be_overwritten(invoke: Invoke, tmp_path: Path) -> None:
    _exp13(invoke, "--runs-per-profile", "1", "--label-prefix", "old")
    (tmp_path / "runs/exp13_auto/balanced_r1.run.json").unlink()
    invoke("forget", "--label", "old_balanced_r001")

    done = _exp13(invoke, "--runs-per-profile", "1", "--label-prefix", "new", "--seed-start", "5")

    assert done.exit_code == 0, done.stderr
    assert _runs(tmp_path, "label, seed") == [("exp13_balanced_r001", 127353520), ("new_balanced_r001", 5)]


def test_a_run_that_failed_and_now_ends_well_is_good_though_its_telemetry_is_the_same(
    invoke: Invoke, tmp_path: Path
) -> None:
    late = engine(tmp_path / "late", NO_VERSION, REFERENCE, "[ -e ready ] || exit 3")
    options = ["--ticks", "20", "--profiles", "balanced", "--runs-per-profile", "1", "--engine", str(late)]
    assert invoke("run", "exp13", *options).exit_code == 1
    (tmp_path / "ready").touch()
    healed = invoke("run", "exp13", *options)
    assert (healed.exit_code, _runs(tmp_path, "status, num_ticks, returncode")) == (0, [("ok", 20, 0)])
    assert wh.open(tmp_path).sql("select count(*) from ticks").rows() == [(20,)]
    assert "0 runs, 1 already there" in invoke("run", "exp13", *options).stderr


def test_fresh_with_another_engine_takes_its_provenance_though_the_telemetry_is_the_same(
    invoke: Invoke, tmp_path: Path
) -> None:
    built = engine(tmp_path / "engine", f"exec {REFERENCE}")
    options = ["--ticks", "20", "--profiles", "balanced", "--runs-per-profile", "1", "--engine", str(built)]
    invoke("run", "exp13", *options)
    engine(built, f"exec {REFERENCE}", "# built again")
    assert invoke("run", "exp13", *options).exit_code == 2
    assert invoke("run", "exp13", "--fresh", *options).exit_code == 0
    again = invoke("run", "exp13", *options)
    assert (again.exit_code, "0 runs, 1 already there" in again.stderr) == (0, True)
    assert wh.open(tmp_path).sql("select count(*) from ticks").rows() == [(20,)]


def test_modules_in_the_folder_of_the_user_do_not_pass_for_those_of_python(invoke: Invoke, tmp_path: Path) -> None:
    for name in ("random", "queue", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    assert _exp13(invoke).exit_code == 0
    assert invoke("ingest", "runs/exp13_auto", "--jobs", "2").exit_code == 0


@pytest.mark.usefixtures("first")
def test_what_is_refused_leaves_the_sidecars_of_finished_runs_alone(invoke: Invoke, tmp_path: Path) -> None:
    assert _exp13(invoke, "--fresh", "--timeout", "-1").exit_code == 2
    assert {_status(path) for path in (tmp_path / "runs").rglob("*.run.json")} == {"ok"}


def test_an_engine_that_must_not_join_the_dataset_is_refused_before_the_first_run(
    invoke: Invoke, tmp_path: Path
) -> None:
    row = '{"label": "a", "profile": "balanced", "final_pnl": 1.0, "max_drawdown": 0.0, "num_ticks": 5}\n'
    (tmp_path / "research_dataset_v001.jsonl").write_text(row)
    refused = _exp13(invoke)
    assert refused.exit_code == 2
    assert "would mix" in refused.stderr
    assert not (tmp_path / "runs").exists()
    assert _exp13(invoke, "--allow-mixed", "--runs-per-profile", "1").exit_code == 0


def test_the_user_is_told_of_the_embedded_engine_before_the_first_run(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    told = invoke("run", "exp13", "--ticks", "20", "--profiles", "balanced", "--runs-per-profile", "1")
    lines = told.stderr.splitlines()
    assert lines[0].startswith("notice: no paraphina binary found: using the embedded reference engine")


@pytest.mark.parametrize("profile", ["../../zz", "a/b", "..", "Bal anced", ""])
def test_a_profile_that_names_no_plain_file_is_refused(invoke: Invoke, tmp_path: Path, profile: str) -> None:
    refused = invoke("run", "exp13", "--engine", "reference", "--profiles", profile)
    assert refused.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("first")
def test_stdout_that_contradicts_the_telemetry_is_a_problem(invoke: Invoke, tmp_path: Path) -> None:
    assert _runs(tmp_path, "dq_stdout") == [(True,), (True,)]
    invoke("forget", "--label", "exp13_balanced_r001")
    stdout = tmp_path / "runs/exp13_auto/balanced_r1.stdout.txt"
    said = "Daily PnL (realised / unrealised / total): +1.00 / +2.00 / +3.00\nKill switch: false\n"
    stdout.write_text(said)
    invoke("ingest", "runs/exp13_auto")
    assert _runs(tmp_path, "dq_stdout") == [(False,), (True,)]
    assert "dq_stdout" in invoke("status").stdout


@pytest.mark.usefixtures("first")
def test_a_label_that_stands_twice_in_the_dataset_is_pointed_out(invoke: Invoke) -> None:
    twice = _exp13(invoke, "--runs-per-profile", "1", "--seed", "5", "--fresh")
    assert "label 'exp13_balanced_r001' stood there already, for the same file" in twice.stderr
    nothing = invoke("export", "dataset", "--profile", "aggressive")
    assert (nothing.stdout, nothing.stderr) == (
        "research_dataset_v001.jsonl\n",
        "research_dataset_v001.jsonl: 0 rows appended, 0 already there\n",
    )


_SLOW_ENGINE = f"""
echo $seed >> started.txt
: > pid.$$
[ $seed -lt 4 ] || while [ ! -e go ]; do sleep 0.02; done
{REFERENCE}
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_session_is_finished_by_repeating_it(tmp_path: Path, how: signal.Signals) -> None:
    slow = engine(tmp_path / "slow", NO_VERSION, FLAGS, _SLOW_ENGINE)
    options = ["--ticks", "20", "--profiles", "balanced", "--runs-per-profile", "6", "--jobs", "2", "--seed-start", "1"]
    line = [sys.executable, "-m", "paraphina_wh", "run", "exp13", "--engine", str(slow), *options]
    session = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _wait_until(lambda: len(_finished(tmp_path)) >= 2)
    session.send_signal(how)
    _, stderr = session.communicate(timeout=600)

    if how != signal.SIGKILL:
        assert session.returncode == 130
        assert b"hint: " in stderr
    _wait_until(lambda: not any(_alive(int(p.suffix[1:])) for p in tmp_path.glob("pid.*")))
    finished = _finished(tmp_path)
    (tmp_path / "go").touch()
    repeated = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=600)

    assert repeated.returncode == 0, repeated.stderr
    assert _runs(tmp_path, "seed, status") == [(seed, "ok") for seed in range(1, 7)]
    started = (tmp_path / "started.txt").read_text().split()
    assert all(started.count(_status_seed(path)) == 1 for path in finished)


def test_a_session_below_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    slow = engine(tmp_path / "slow", NO_VERSION, FLAGS, _SLOW_ENGINE)
    options = ["--ticks", "20", "--profiles", "balanced", "--runs-per-profile", "4", "--jobs", "1", "--seed-start", "1"]
    line = ["nohup", sys.executable, "-m", "paraphina_wh", "run", "exp13", "--engine", str(slow), *options]
    session = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _wait_until(lambda: len(_finished(tmp_path)) == 3)
    session.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    _, stderr = session.communicate(timeout=600)
    assert session.returncode == 0, stderr
    assert _runs(tmp_path, "seed, status") == [(seed, "ok") for seed in range(1, 5)]


def _finished(root: Path) -> list[Path]:
    """Return the sidecars of the runs that ended well."""
    return [path for path in (root / "runs").rglob("*.run.json") if _status(path) == "ok"]


def _status(path: Path) -> str:
    sidecar = read_sidecar(path)
    return sidecar.status if sidecar else ""


def _status_seed(path: Path) -> str:
    return path.name.removeprefix("balanced_r").removesuffix(".run.json")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie waits for a parent that is gone; it runs no more.
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def _wait_until(condition: object, seconds: float = 600.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_exp11_reads_a_given_dataset_and_the_gate_turns_budgets_into_the_exit_code(
    invoke: Invoke, tmp_path: Path
) -> None:
    row = '{"profile": "%s", "final_pnl": 10.0, "max_drawdown": 1.0, "kill_switch": %s, "num_ticks": 5}\n'
    tiers = ("conservative", "balanced", "aggressive")
    (tmp_path / "good.jsonl").write_text("".join(row % (tier, "false") for tier in tiers))
    (tmp_path / "bad.jsonl").write_text("".join(row % (tier, "true") for tier in tiers))

    good = invoke(
        "run", "exp11", "--dataset", "good.jsonl", "--gate", "points", "--out-dir", "out", "--format", "jsonl"
    )
    assert good.exit_code == 0, good.stderr
    assert [json.loads(line)["emp_score"] for line in good.stdout.splitlines()] == [9.5, 9.7, 9.9]
    assert (tmp_path / "out/exp11_alignment.csv").is_file()
    assert invoke("run", "exp11", "--dataset", "bad.jsonl", "--gate", "points").exit_code == 1
    assert invoke("run", "exp11", "--dataset", "bad.jsonl").exit_code == 0
    assert invoke("run", "exp11", "--dataset", "none.jsonl").exit_code == 2


def test_run_lists_the_experiments(invoke: Invoke) -> None:
    listed = invoke("run", "--list")
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names == [
        *("exp02", "exp03", "exp04", "exp04_risk_regime", "exp05", "exp06", "exp07", "exp08_presets"),
        *("exp08_validation", "exp10", "exp11", "exp12", "exp13", "loop"),
    ]
    unknown = invoke("run", "exp99")
    assert unknown.exit_code == 2
    assert "exp99" in unknown.stderr


def test_each_profile_runs_with_the_knobs_of_its_preset(invoke: Invoke, tmp_path: Path) -> None:
    header = "name,risk_tier,rank_within_tier,initial_q_tao,loss_limit_usd,hedge_band_base,size_eta,vol_ref,"
    rows = ["b2,balanced,2,9,9,9,9,9,", "b1,balanced,1,-20.0,1500.0,2.5,2.0,,", "c,conservative,1,5.0,500.0,,,0.02,"]
    metrics = "delta_limit_usd_base,final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob"
    lines = [header + metrics, *(f"{row},1,1,1,0" for row in rows)]
    folder = tmp_path / "runs/exp12_profile_saftey_tuner"  # where an older tool wrote
    folder.mkdir(parents=True)
    (folder / "exp12_tuned_presets.csv").write_text("\n".join(lines) + "\n")

    done = _exp13(invoke, "--profiles", "conservative", "--runs-per-profile", "1", "--presets", "tuned")

    assert done.exit_code == 0, done.stderr
    assert "exp12_profile_saftey_tuner" in done.stderr
    assert [json.loads(str(knobs)) for (knobs,) in _runs(tmp_path, "knobs_json")] == [
        {
            "PARAPHINA_INIT_Q_TAO": "-20.0",
            "PARAPHINA_DAILY_LOSS_LIMIT": "1500.0",
            "PARAPHINA_HEDGE_BAND_BASE": "2.5",
            "PARAPHINA_MM_SIZE_ETA": "2.0",
        },
        {"PARAPHINA_INIT_Q_TAO": "5.0", "PARAPHINA_DAILY_LOSS_LIMIT": "500.0", "PARAPHINA_VOL_REF": "0.02"},
    ]
    assert _exp13(invoke, "--presets", "none.csv").exit_code == 2
