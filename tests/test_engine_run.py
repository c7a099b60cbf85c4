"""Running engines: what each kind of failure becomes, and that nothing outlives its sweep.

The engines here are little scripts, written by the test that needs them.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from paraphina_wh.engine import (
    EngineRunConfig,
    EngineRunResult,
    check_knobs,
    check_label,
    find_engine,
    parse_stdout,
    results_to_dataframe,
    run_engine,
    run_many,
)
from paraphina_wh.errors import WarehouseError

SUMMARY = """\
echo 'Daily PnL (realised / unrealised / total): +1.50 / -0.50 / +1.00'
echo 'Kill switch: false'
"""
METRICS = {"pnl_realised": 1.5, "pnl_unrealised": -0.5, "pnl_total": 1.0, "kill_switch": False}
TICK = """echo '{"t": 0}' > "$PARAPHINA_TELEMETRY_PATH"\n"""

STUBBORN = """\
trap '' TERM
sh -c 'trap "" TERM; echo $$ > grandchild.pid; while :; do sleep 0.05; done' &
echo $$ > engine.pid
while :; do sleep 0.05; done
"""


@pytest.fixture(autouse=True)
def _no_knobs_from_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PARAPHINA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., EngineRunConfig]:
    """Make a shell script and return the config that runs it."""

    def make(script: str, name: str = "engine", telemetry: bool = False, **knobs: object) -> EngineRunConfig:
        return EngineRunConfig(
            cmd=[str(executable(tmp_path / name, script))],
            env=knobs,
            label={"case": name},
            cwd=tmp_path,
            telemetry_path=tmp_path / "out" / f"{name}.jsonl" if telemetry else None,
        )

    return make


def executable(path: Path, script: str) -> Path:
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return path


def outcome(result: EngineRunResult) -> tuple[str, int, str | None]:
    return result.status, result.returncode, result.error


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def out_of_time(config: EngineRunConfig, ready: Callable[[EngineRunResult], bool]) -> EngineRunResult:
    """Run an engine that does not end, with more and more time until it has come as far as it should."""
    for seconds in (0.3, 1.0, 5.0, 25.0, 125.0):
        result = run_engine(config, timeout=seconds)
        assert outcome(result) == ("timeout", -1, f"timed out after {seconds:g} s")
        assert (result.metrics, result.duration_sec) == ({"timeout": True}, seconds)
        if ready(result):
            return result
    raise AssertionError("it did not come so far")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


# --- a run that works ---------------------------------------------------------------------------------


def test_a_good_run(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    before, clock = datetime.now(UTC), time.monotonic()
    result = run_engine(engine("echo overridden >&2\n" + TICK + SUMMARY, telemetry=True, INIT_Q_TAO=-40.0))
    telemetry = tmp_path / "out" / "engine.jsonl"
    assert before <= result.started_at <= datetime.now(UTC)
    assert 0 < result.duration_sec < time.monotonic() - clock
    assert result == EngineRunResult(
        run_id="run_0",
        label={"case": "engine"},
        cmd=(str(tmp_path / "engine"),),
        env={
            "PARAPHINA_INIT_Q_TAO": "-40.0",
            "PARAPHINA_TELEMETRY_MODE": "jsonl",
            "PARAPHINA_TELEMETRY_PATH": str(telemetry),
        },
        returncode=0,
        duration_sec=result.duration_sec,
        started_at=result.started_at,
        stdout="Daily PnL (realised / unrealised / total): +1.50 / -0.50 / +1.00\nKill switch: false\n",
        stderr="overridden\n",
        metrics=METRICS,
        status="ok",
        error=None,
        telemetry_path=telemetry,
        attempts=1,
    )
    kept = {path.name: path.read_text() for path in telemetry.parent.iterdir()}
    assert kept == {
        "engine.jsonl": '{"t": 0}\n',
        "engine.stdout.txt": result.stdout,
        "engine.stderr.txt": result.stderr,
    }


def test_texts_are_kept_where_asked(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    config = engine("echo out; echo err >&2")
    run_engine(EngineRunConfig(config.cmd, {}, {}, stdout_path=tmp_path / "o", stderr_path=tmp_path / "e"))
    assert ((tmp_path / "o").read_text(), (tmp_path / "e").read_text()) == ("out\n", "err\n")


def test_stdin_is_closed_to_the_engine(engine: Callable[..., EngineRunConfig]) -> None:
    assert run_engine(engine("cat\n" + SUMMARY), timeout=600).status == "ok"


def test_results_come_in_the_order_of_the_configs_and_are_reported_as_they_end(
    engine: Callable[..., EngineRunConfig], tmp_path: Path
) -> None:
    ended: list[str] = []

    def note(result: EngineRunResult) -> None:
        ended.append(result.run_id)
        (tmp_path / "noted").touch()

    slow = engine("while [ ! -e noted ]; do sleep 0.01; done\n" + SUMMARY, "slow")
    results = run_many([slow, engine(SUMMARY, "quick")], jobs=2, on_result=note)
    assert [result.label["case"] for result in results] == ["slow", "quick"]
    assert ended == ["run_1", "run_0"]


# --- the failure matrix ---------------------------------------------------------------------------------


def test_every_kind_of_failure_is_recorded_and_the_rest_of_the_sweep_completes(
    engine: Callable[..., EngineRunConfig],
) -> None:
    configs = [
        engine(SUMMARY + "exit 3", "exits_3"),
        engine(SUMMARY + "kill -9 $$", "killed"),
        engine(SUMMARY, "no_telemetry", telemetry=True),
        engine(SUMMARY + ': > "$PARAPHINA_TELEMETRY_PATH"', "empty_telemetry", telemetry=True),
        engine(TICK, "no_summary", telemetry=True),
        engine(SUMMARY + """printf '{"t": 0}\\n{"t"' > "$PARAPHINA_TELEMETRY_PATH" """, "cut", telemetry=True),
        engine("head -c 3000000 /dev/urandom", "garbage"),
        engine("echo 'Daily PnL (realised / unrealised / total): NaN / +1.00 / NaN'", "nan"),
        engine(SUMMARY, "healthy"),
    ]
    results = run_many(configs, jobs=4)
    assert {str(result.label["case"]): outcome(result) for result in results} == {
        "exits_3": ("failed", 3, "exit code 3"),
        "killed": ("failed", -9, "killed by signal 9"),
        "no_telemetry": ("failed", 0, "no telemetry written"),
        "empty_telemetry": ("failed", 0, "no telemetry written: the file is empty"),
        "no_summary": ("failed", 0, "no PnL summary on stdout"),
        "cut": ("failed", 0, "telemetry cut off: its last line has no end"),
        "garbage": ("failed", 0, "no PnL summary on stdout"),
        "nan": ("failed", 0, "non-finite PnL on stdout"),
        "healthy": ("ok", 0, None),
    }


def test_a_sweep_goes_on_after_runs_that_hang(engine: Callable[..., EngineRunConfig]) -> None:
    hanging = [engine("exec sleep 60", "hangs"), engine(STUBBORN, "stubborn"), engine("exec sleep 60", "hangs too")]
    timeout = ("timeout", -1, "timed out after 0.5 s")
    assert [outcome(result) for result in run_many(hanging, timeout=0.5)] == [timeout] * 3


def test_metrics_are_read_whatever_the_return_code(engine: Callable[..., EngineRunConfig]) -> None:
    assert run_engine(engine(SUMMARY + "exit 3")).metrics == METRICS


def test_a_run_out_of_time_has_the_timeout_as_duration_and_no_metrics(
    engine: Callable[..., EngineRunConfig],
) -> None:
    # What was printed until then is not lost.
    out_of_time(engine(SUMMARY + "exec sleep 60"), lambda result: result.stdout.endswith("Kill switch: false\n"))


def test_a_timeout_ends_the_whole_process_group(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    # Though the grandchild, which never ends, holds stdout open.
    names = ("engine.pid", "grandchild.pid")
    out_of_time(engine(STUBBORN), lambda _: all((tmp_path / name).is_file() for name in names))
    assert not any(is_alive(int((tmp_path / name).read_text())) for name in names)


def test_what_an_engine_leaves_running_ends_with_it(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    result = run_engine(engine(SUMMARY + "sleep 60 & echo $! > left.pid"))
    assert outcome(result) == ("ok", 0, None)
    wait_until(lambda: not is_alive(int((tmp_path / "left.pid").read_text())))


HIDDEN = {
    "a session of its own": "setsid sh hidden.sh &",
    "a daemon": "(setsid sh hidden.sh &) &",
    "nohup": "nohup sh hidden.sh > /dev/null 2>&1 &",
    "no streams": "setsid sh hidden.sh < /dev/null > /dev/null 2>&1 &",
}
"""Ways to leave a process behind, outside of the engine's process group or deaf to a hang-up."""
HIDE = """\
cat > hidden.sh <<'END'
trap '' HUP TERM
echo $$ > hidden.new && mv hidden.new hidden.pid
while :; do sleep 0.05; done
END
"""
HIDDEN_RUNS = "while [ ! -e hidden.pid ]; do sleep 0.01; done\n"


@pytest.mark.parametrize("how", HIDDEN)
def test_what_left_the_process_group_of_an_engine_ends_with_it(
    engine: Callable[..., EngineRunConfig], tmp_path: Path, how: str
) -> None:
    assert run_engine(engine(f"{HIDE}{HIDDEN[how]}\n{HIDDEN_RUNS}{SUMMARY}")).status == "ok"
    assert not is_alive(int((tmp_path / "hidden.pid").read_text()))


def test_what_left_the_process_group_of_an_engine_out_of_time_ends_with_it(
    engine: Callable[..., EngineRunConfig], tmp_path: Path
) -> None:
    hangs = engine(f"{HIDE}{HIDDEN['a daemon']}\nexec sleep 60")
    out_of_time(hangs, lambda _: (tmp_path / "hidden.pid").is_file())
    assert not is_alive(int((tmp_path / "hidden.pid").read_text()))


def test_what_an_engine_leaves_running_is_not_that_of_another(
    engine: Callable[..., EngineRunConfig], tmp_path: Path
) -> None:
    patient = f"{HIDE}{HIDDEN['a daemon']}\n{HIDDEN_RUNS}while [ ! -e quick.done ]; do sleep 0.01; done\n"
    patient += f"kill -0 $(cat hidden.pid) && {SUMMARY}"
    quick = f"{HIDDEN_RUNS}setsid sleep 60 &\n{SUMMARY}"
    results = run_many(
        [engine(patient, "patient"), engine(quick, "quick")],
        jobs=2,
        on_end=lambda result: (tmp_path / "quick.done").touch() if result.label["case"] == "quick" else None,
    )
    assert [result.status for result in results] == ["ok", "ok"]


def test_a_failing_parser_is_a_metric(engine: Callable[..., EngineRunConfig]) -> None:
    def parser(stdout: str) -> Mapping[str, float]:
        return {"pnl_total": float(stdout)}

    result = run_engine(engine("echo abc\n" + SUMMARY), parse_metrics=parser)
    assert list(result.metrics) == ["metrics_parse_error"]
    assert str(result.metrics["metrics_parse_error"]).startswith("ValueError: could not convert")
    assert result.status == "failed"


# --- what an engine prints -----------------------------------------------------------------------------


def test_of_a_huge_stdout_the_banner_and_the_summary_are_kept(
    engine: Callable[..., EngineRunConfig], tmp_path: Path
) -> None:
    # Not one newline in 300 MB.
    result = run_engine(engine("echo banner\nhead -c 300000000 /dev/zero\n" + SUMMARY, telemetry=True))
    assert result.metrics == METRICS
    head, tail = 64 * 1024, 1024 * 1024
    summary = "Daily PnL (realised / unrealised / total): +1.50 / -0.50 / +1.00\nKill switch: false\n"
    left_out = len("banner\n") + 300_000_000 + len(summary) - head - tail
    start = "banner\n".ljust(head, "\0")
    assert result.stdout == f"{start}[{left_out} bytes left out]{summary.rjust(tail, chr(0))}"
    assert (tmp_path / "out" / "engine.stdout.txt").read_text() == result.stdout


def test_what_fits_is_kept_whole(engine: Callable[..., EngineRunConfig]) -> None:
    ends = 64 * 1024 + 1024 * 1024
    assert len(run_engine(engine(f"head -c {ends} /dev/zero")).stdout) == ends
    assert "[1 bytes left out]" in run_engine(engine(f"head -c {ends + 1} /dev/zero")).stdout


def test_an_engine_that_prints_for_ever_costs_its_time_and_no_more(
    engine: Callable[..., EngineRunConfig], tmp_path: Path
) -> None:
    flood = engine("yes >&2 & exec yes", telemetry=True)
    out_of_time(flood, lambda result: "left out]" in result.stdout and "left out]" in result.stderr)
    kept = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert kept.keys() == {"engine.stdout.txt", "engine.stderr.txt"}
    assert all(1_100_000 < size < 1_200_000 for size in kept.values())


def test_a_summary_before_the_bytes_left_out_is_not_the_last(engine: Callable[..., EngineRunConfig]) -> None:
    result = run_engine(engine(SUMMARY + "head -c 2000000 /dev/zero\n"))
    assert outcome(result) == ("failed", 0, "no PnL summary on stdout")
    assert parse_stdout(result.stdout).pnl_total is None
    again = run_engine(engine(SUMMARY + "head -c 2000000 /dev/zero\n" + SUMMARY.replace("1.00", "7.00")))
    assert again.metrics["pnl_total"] == 7.0


def test_an_engine_may_close_its_streams_long_before_it_ends(
    engine: Callable[..., EngineRunConfig], tmp_path: Path
) -> None:
    result = run_engine(engine(SUMMARY + "exec >&- 2>&-; sleep 0.2; touch after; exit 3"))
    assert (outcome(result), result.metrics) == (("failed", 3, "exit code 3"), METRICS)
    assert (tmp_path / "after").exists()


def test_texts_need_not_be_kept_in_memory(engine: Callable[..., EngineRunConfig]) -> None:
    seen: list[str] = []
    configs = [engine(SUMMARY + f"echo {name} >&2", name) for name in ("a", "b")]
    results = run_many(configs, keep_texts=False, on_result=lambda result: seen.append(result.stderr))
    assert seen == ["a\n", "b\n"]
    assert [(result.stdout, result.stderr, result.metrics) for result in results] == [("", "", METRICS)] * 2


def test_invalid_utf8_is_replaced(engine: Callable[..., EngineRunConfig]) -> None:
    result = run_engine(engine("printf '\\377\\n'\n" + SUMMARY))
    assert (result.stdout[:2], result.status) == ("�\n", "ok")


def test_a_failed_run_is_tried_again(engine: Callable[..., EngineRunConfig]) -> None:
    fails_twice = "echo x >> tries; [ $(wc -l < tries) -ge 3 ] || exit 1\n" + SUMMARY
    result = run_engine(engine(fails_twice), retries=5)
    assert (result.status, result.attempts) == ("ok", 3)


def test_retries_end(engine: Callable[..., EngineRunConfig]) -> None:
    result = run_engine(engine("exit 1"), retries=2)
    assert (result.status, result.attempts) == ("failed", 3)


def test_stale_telemetry_is_not_taken_for_new(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    config = engine(SUMMARY, telemetry=True)
    stale = tmp_path / "out" / "engine.jsonl"
    stale.parent.mkdir()
    stale.write_text('{"t": 0, "of": "an earlier run"}\n')
    assert run_engine(config).error == "no telemetry written"
    assert not stale.exists()


# --- the environment --------------------------------------------------------------------------------------


SHOW_KNOBS = "env | grep '^PARAPHINA_' | sort\n"


def test_inherited_knobs_do_not_leak_into_a_run(
    engine: Callable[..., EngineRunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAPHINA_INIT_Q_TAO", "99")
    monkeypatch.setenv("PARAPHINA_TELEMETRY_APPEND", "1")
    result = run_engine(engine(SHOW_KNOBS, VOL_REF=0.01))
    assert result.stdout == "PARAPHINA_VOL_REF=0.01\n"
    assert result.env == {"PARAPHINA_VOL_REF": "0.01"}


def test_asked_to_inherit_known_knobs_pass_but_append_never(
    engine: Callable[..., EngineRunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAPHINA_INIT_Q_TAO", "99")
    monkeypatch.setenv("PARAPHINA_VOL_REF", "99")
    monkeypatch.setenv("PARAPHINA_TELEMETRY_APPEND", "1")
    monkeypatch.setenv("PARAPHINA_WH_ROOT", "somewhere")
    (result,) = run_many([engine(SHOW_KNOBS, VOL_REF=0.01)], inherit_env=True)
    assert result.stdout == "PARAPHINA_INIT_Q_TAO=99\nPARAPHINA_VOL_REF=0.01\n"
    assert result.env == {"PARAPHINA_INIT_Q_TAO": "99", "PARAPHINA_VOL_REF": "0.01"}


def test_the_rest_of_the_environment_reaches_the_engine_but_not_the_record(
    engine: Callable[..., EngineRunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "hunter2")
    result = run_engine(engine('[ "$API_TOKEN" = hunter2 ] && ' + SUMMARY))
    assert result.status == "ok"
    assert "hunter2" not in repr(result)


# --- refused before the first run ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"cmd": ["./no_such_engine"]}, "run_1: engine ./no_such_engine is missing or not executable"),
        ({"cmd": ["/dev/null"]}, "run_1: engine /dev/null is missing or not executable"),
        ({"cmd": []}, "run_1: not a command line: []"),
        ({"cwd": Path("no_such_folder")}, "run_1: working directory no_such_folder is not there"),
        ({"env": {"HEDGE_BAND": 5}}, "run_1: unknown engine knob 'HEDGE_BAND'"),
        (
            {"env": {"INIT_Q_TAO": float("nan")}},
            "run_1: knob INIT_Q_TAO: 'nan' is not a finite number (no white space around it)",
        ),
        ({"label": {"run_id": "x"}}, "run_1: label key 'run_id' is a column of every run"),
        (
            {"label": {"grid": [1, 2]}},
            "run_1: label 'grid': [1, 2] is not text, a finite number or a boolean",
        ),
        (
            {"telemetry_path": Path("/dev/null")},
            "/dev/null is in the way: not a file",
        ),
        (
            {"telemetry_path": Path("/new.jsonl"), "env": {"TELEMETRY_APPEND": 1}},
            "run_1: PARAPHINA_TELEMETRY_APPEND is set for this run, but so is its telemetry path /new.jsonl",
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_faulty_config_is_refused_before_any_run_starts(
    engine: Callable[..., EngineRunConfig], tmp_path: Path, fault: dict[str, object], message: str
) -> None:
    good = engine("touch started")
    faulty = EngineRunConfig(**{"cmd": good.cmd, "env": {}, "label": {}, **fault})  # type: ignore[arg-type]
    with pytest.raises(WarehouseError) as refused:
        run_many([good, faulty])
    assert (refused.value.message, refused.value.exit_code) == (message, 2)
    assert not (tmp_path / "started").exists()


def test_two_runs_may_not_write_one_file(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    config = engine("touch started", telemetry=True)
    with pytest.raises(WarehouseError, match=r"run_1: .*engine\.jsonl is already written by run_0"):
        run_many([config, config])
    assert not (tmp_path / "started").exists()


def test_a_program_the_system_cannot_start_aborts_the_sweep(tmp_path: Path) -> None:
    broken = executable(tmp_path / "engine", "")
    broken.write_bytes(b"\x7fELF but not really")
    with pytest.raises(WarehouseError, match=r"cannot start .*engine: Exec format error") as refused:
        run_engine(EngineRunConfig([str(broken)], {}, {}, stdout_path=tmp_path / "out.txt"))
    assert refused.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_knob_names_are_completed_and_values_become_text() -> None:
    overlay = {"PARAPHINA_VOL_REF": 1e-05, "HEDGE_MAX_STEP": 20, "KILL_BEST_EFFORT": True, "RISK_PROFILE": " C "}
    assert check_knobs(overlay) == {
        "PARAPHINA_VOL_REF": "1e-05",
        "PARAPHINA_HEDGE_MAX_STEP": "20",
        "PARAPHINA_KILL_BEST_EFFORT": "true",
        "PARAPHINA_RISK_PROFILE": " C ",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INIT_Q_TAO", " 5"),  # the engine does not trim: it would keep the preset
        ("INIT_Q_TAO", ""),
        ("INIT_Q_TAO", "inf"),
        ("INIT_Q_TAO", "1e999"),
        ("INIT_Q_TAO", "1_000"),
        ("INIT_Q_TAO", True),
        ("INIT_Q_TAO", None),
        ("RISK_LOOP_INTERVAL_MS", 250.0),
        ("RISK_LOOP_INTERVAL_MS", 2**63),
        ("ENABLE_FUNDING_MM", "on"),  # the engine would take it for off
        ("RISK_PROFILE", "bold"),
        ("TRADE_MODE", "a\0b"),
    ],
)
def test_a_value_the_engine_would_not_take_is_refused(name: str, value: object) -> None:
    with pytest.raises(WarehouseError, match=name) as refused:
        check_knobs({name: value})
    assert refused.value.exit_code == 2


def test_an_unknown_knob_is_answered_with_the_nearest_known_ones() -> None:
    with pytest.raises(WarehouseError) as refused:
        check_knobs({"PARAPHINA_DAILY_LOSS_LIMIT_USD": 100})
    assert refused.value.hint == "did you mean DAILY_LOSS_LIMIT?"


def test_a_knob_given_with_and_without_prefix_is_refused() -> None:
    with pytest.raises(WarehouseError, match="knob VOL_REF is set twice"):
        check_knobs({"VOL_REF": 1, "PARAPHINA_VOL_REF": 2})


def test_a_label_of_flat_values_passes() -> None:
    label: dict[str, str | int | float | bool] = {"experiment": "exp03", "repeat": 1, "init_q_tao": -40.0, "dry": False}
    assert check_label(label) == label


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), {"a": 1}, [1], "\udc80"])
def test_a_label_value_that_json_cannot_hold_flat_is_refused(value: object) -> None:
    with pytest.raises(WarehouseError, match="label 'key'"):
        check_label({"key": value})  # type: ignore[dict-item]


# --- interrupts ---------------------------------------------------------------------------------------------


# Polars, which every command loads, has its own way with Ctrl-C.
DRIVER = """\
import sys
from pathlib import Path
import polars
from paraphina_wh.engine import EngineRunConfig, run_many

folder = Path(sys.argv[1])
run_many(
    [
        EngineRunConfig(["./engine", str(i)], {}, {}, cwd=folder, telemetry_path=folder / f"{i}.jsonl")
        for i in range(5)
    ],
    jobs=2,
)
"""

SLEEPING_ENGINE = """\
trap '' TERM
echo half > "$PARAPHINA_TELEMETRY_PATH"
sleep 60 &
echo $! > "$1.child.pid.new" && mv "$1.child.pid.new" "$1.child.pid"
setsid sh -c 'echo $$ > "$0.hidden.new" && mv "$0.hidden.new" "$0.hidden.pid"; exec sleep 60' "$1" &
while [ ! -e "$1.hidden.pid" ]; do sleep 0.01; done
echo $$ > "$1.pid.new" && mv "$1.pid.new" "$1.pid"
wait
sleep 60
"""


def start_driver(folder: Path) -> subprocess.Popen[str]:
    """Start a sweep of sleeping engines, two at a time, and wait until the first two run."""
    executable(folder / "engine", SLEEPING_ENGINE)
    (folder / "4.jsonl").write_text("of an earlier sweep\n")
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: (folder / "0.pid").exists() and (folder / "1.pid").exists())
    return driver


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], check=True, capture_output=True, text=True)
    return [int(child) for child in found.stdout.split()]


def engine_pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.glob("*.pid")]


def test_ctrl_c_ends_every_engine_and_starts_no_other(tmp_path: Path) -> None:
    driver = start_driver(tmp_path)
    driver.send_signal(signal.SIGINT)
    _, stderr = driver.communicate(timeout=600)
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert driver.returncode == -signal.SIGINT
    pids = engine_pids(tmp_path)
    assert len(pids) == 6  # two engines with two children each; the other three never started
    assert not any(map(is_alive, pids))
    left = {path.name for path in tmp_path.iterdir()} - {path.name for path in tmp_path.glob("*.pid")}
    assert left == {"engine", "4.jsonl"}  # nothing half-written; what was not redone is untouched


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_engine_outlives_a_killed_sweep(tmp_path: Path, how: signal.Signals) -> None:
    driver = start_driver(tmp_path)
    driver.send_signal(how)
    driver.communicate(timeout=600)
    wait_until(lambda: not any(map(is_alive, engine_pids(tmp_path))))
    assert len(engine_pids(tmp_path)) == 6


def test_no_engine_outlives_a_sweep_that_was_killed_together_with_its_guard(tmp_path: Path) -> None:
    driver = start_driver(tmp_path)
    (guard,) = children_of(driver.pid)
    os.kill(guard, signal.SIGKILL)
    driver.kill()
    driver.communicate(timeout=600)
    wait_until(lambda: not any(map(is_alive, engine_pids(tmp_path))))


def test_a_sweep_goes_on_when_somebody_kills_its_guard(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    kills = "kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$))\n" + SUMMARY
    names = ("third", "fourth", "fifth")
    results = run_many([engine(kills, "first"), engine(kills, "second"), *(engine(SUMMARY, name) for name in names)])
    found = [outcome(result) for result in results]
    # A run that begins while the guard is dying is lost with it, and told as such; the next one has another guard.
    assert set(found) <= {("ok", 0, None), ("failed", -9, "killed by signal 9")}
    assert (found[0], found[-1]) == (("ok", 0, None), ("ok", 0, None))


def test_a_run_whose_supervisor_was_killed_is_over_and_failed(
    engine: Callable[..., EngineRunConfig], tmp_path: Path
) -> None:
    killer = f"{HIDE}{HIDDEN['a daemon']}\n{HIDDEN_RUNS}{SUMMARY}kill -9 $PPID; sleep 60"
    quick, orphan = run_many([engine(SUMMARY, "quick"), engine(killer, "killer")], jobs=2)
    assert (outcome(quick), outcome(orphan)) == (("ok", 0, None), ("failed", -9, "killed by signal 9"))
    assert not is_alive(int((tmp_path / "hidden.pid").read_text()))


def test_an_error_of_the_callback_stops_the_sweep(engine: Callable[..., EngineRunConfig], tmp_path: Path) -> None:
    def refuse(_: EngineRunResult) -> None:
        raise LookupError("no room")

    sleeper = engine("echo $$ > sleeper.pid; exec sleep 60", "sleeper")
    quick = engine("while [ ! -s sleeper.pid ]; do sleep 0.01; done", "quick")
    with pytest.raises(LookupError, match="no room"):
        run_many([sleeper, quick, sleeper], jobs=2, on_result=refuse)
    assert not is_alive(int((tmp_path / "sleeper.pid").read_text()))


@pytest.mark.parametrize("limits", [{"jobs": 0}, {"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(WarehouseError) as refused:
        run_many([], **limits)  # type: ignore[arg-type]
    assert refused.value.exit_code == 2


# --- the run table --------------------------------------------------------------------------------------------


def run(
    run_id: str,
    label: Mapping[str, str | int | float | bool],
    metrics: Mapping[str, float | bool | str],
    returncode: int = 0,
) -> EngineRunResult:
    return EngineRunResult(
        run_id=run_id,
        label=label,
        cmd=("engine",),
        env={},
        returncode=returncode,
        duration_sec=0.25,
        started_at=datetime(2025, 1, 1, tzinfo=UTC),
        stdout="",
        stderr="",
        metrics=metrics,
        status="ok",
        error=None,
        telemetry_path=None,
        attempts=1,
    )


def test_the_run_table_is_the_union_of_the_runs_columns() -> None:
    table = results_to_dataframe(
        [
            run("run_0", {"profile": "balanced", "repeat": 1}, METRICS),
            run("run_1", {"profile": "balanced", "init_q_tao": -40.0}, {"timeout": True}, returncode=-1),
        ]
    )
    expected = pl.DataFrame(
        {
            "run_id": ["run_0", "run_1"],
            "duration_sec": [0.25, 0.25],
            "returncode": [0, -1],
            "profile": ["balanced", "balanced"],
            "repeat": [1, None],
            "pnl_realised": [1.5, None],
            "pnl_unrealised": [-0.5, None],
            "pnl_total": [1.0, None],
            "kill_switch": [False, None],
            "init_q_tao": [None, -40.0],
            "timeout": [None, True],
        }
    )
    assert_frame_equal(table, expected)


def test_of_two_values_of_one_name_the_later_wins_at_the_earlier_position() -> None:
    table = results_to_dataframe([run("run_0", {"returncode": 7, "x": 1}, {"x": 2, "y": 3})])
    expected = pl.DataFrame({"run_id": ["run_0"], "duration_sec": [0.25], "returncode": [7], "x": [2], "y": [3]})
    assert_frame_equal(table, expected)


def test_nan_is_null_and_keeps_its_column_a_number() -> None:
    table = results_to_dataframe([run("run_0", {}, {"pnl_total": float("nan")})])
    assert_frame_equal(table.select("pnl_total"), pl.DataFrame({"pnl_total": [None]}, {"pnl_total": pl.Float64}))


def test_mixed_columns_become_float_or_text() -> None:
    labels: list[dict[str, str | int | float | bool]] = [
        {"band": 1, "mode": 1, "seed": 2**64 - 1},
        {"band": 2.5, "mode": "auto", "seed": 3},
        {"band": 3, "mode": True, "seed": 4},
    ]
    table = results_to_dataframe([run(f"run_{i}", label, {}) for i, label in enumerate(labels)])
    expected = pl.DataFrame(
        {"band": [1.0, 2.5, 3.0], "mode": ["1", "auto", "True"], "seed": [2**64 - 1, 3, 4]},
        schema={"band": pl.Float64, "mode": pl.String, "seed": pl.UInt64},
    )
    assert_frame_equal(table.select("band", "mode", "seed"), expected)


def test_no_runs_make_an_empty_table() -> None:
    expected = pl.DataFrame(schema={"run_id": pl.String, "duration_sec": pl.Float64, "returncode": pl.Int64})
    assert_frame_equal(results_to_dataframe([]), expected)


# --- which engine ---------------------------------------------------------------------------------------------


def test_precedence_of_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "target" / "release").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def found(choice: str | None = None) -> tuple[str, ...]:
        return find_engine(choice, tmp_path).command

    reference = (sys.executable, "-P", "-m", "paraphina_wh.reference_engine")
    assert found() == reference
    on_path = executable(tmp_path / "bin" / "paraphina", "")
    assert found() == (str(on_path),)
    built = executable(tmp_path / "target" / "release" / "paraphina", "")
    assert found() == (str(built),)
    named = executable(tmp_path / "named", "")
    monkeypatch.setenv("PARAPHINA_ENGINE", str(named))
    assert found() == (str(named),)
    assert found(str(on_path)) == (str(on_path),)
    assert found("reference") == reference


def test_only_an_unasked_reference_engine_gives_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    asked, unasked = find_engine("reference", tmp_path), find_engine(None, tmp_path)
    assert asked.notice is None
    assert unasked.notice is not None
    assert "no paraphina binary found" in unasked.notice
    assert (asked.kind, asked.sha256, asked.git_commit) == ("reference", unasked.sha256, None)


def test_the_reference_engine_runs_like_any_other(tmp_path: Path) -> None:
    command = [*find_engine("reference", tmp_path).command, "--ticks", "20", "--profile", "balanced"]
    result = run_engine(
        EngineRunConfig(command, {"MM_SIZE_ETA": 50}, {}, telemetry_path=tmp_path / "r1.jsonl"), timeout=600
    )
    assert outcome(result) == ("ok", 0, None)
    assert result.metrics["kill_switch"] is False
    assert len((tmp_path / "r1.jsonl").read_text().splitlines()) == 20


def test_an_engine_that_is_named_but_cannot_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("")
    for choice, state in [("absent", "missing"), ("text", "not executable")]:
        with pytest.raises(WarehouseError, match=f"engine .*{choice} is {state}") as refused:
            find_engine(str(tmp_path / choice), tmp_path)
        assert refused.value.exit_code == 2


def test_provenance_of_an_engine(tmp_path: Path) -> None:
    binary = executable(tmp_path / "paraphina", '[ "$1" = --version ] && echo paraphina 0.1.0')
    found = find_engine(str(binary), tmp_path)
    assert (found.kind, found.path, found.version) == ("external", str(binary), "paraphina 0.1.0")
    assert found.sha256 == hashlib.sha256(binary.read_bytes()).hexdigest()
    assert found.git_commit is None


def test_an_engine_without_a_version_has_none(tmp_path: Path) -> None:
    assert find_engine(str(executable(tmp_path / "old", "echo 1.0; exit 2")), tmp_path).version is None


@pytest.mark.parametrize("says", ["exec yes", "yes & exec sleep 60", "head -c 200000000 /dev/zero"])
def test_a_version_takes_neither_for_ever_nor_a_full_disk(tmp_path: Path, says: str) -> None:
    assert find_engine(str(executable(tmp_path / "chatty", says)), tmp_path).version in (None, "\0" * 200)


def test_a_version_is_asked_without_stdin(tmp_path: Path) -> None:
    assert find_engine(str(executable(tmp_path / "reader", "read line; echo $? $line")), tmp_path).version == "1"


def test_the_commit_is_that_of_the_checkout_the_binary_lies_in(tmp_path: Path) -> None:
    checkout, root = tmp_path / "checkout", tmp_path / "research"
    for repository in (checkout, root):
        commit = "git init -q . && git -c user.name=n -c user.email=e@x commit -q --allow-empty -m m"
        repository.mkdir()
        subprocess.run(commit, shell=True, check=True, cwd=repository)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True
    ).stdout.strip()
    inside = executable(checkout / "paraphina", "")
    outside = executable(tmp_path / "paraphina", "")
    assert find_engine(str(inside), root).git_commit == head
    assert find_engine(str(outside), root).git_commit is None
