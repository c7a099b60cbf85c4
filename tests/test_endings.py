"""What is a good run: by what it left, not by its exit code, whoever ran it and on whatever way it comes in."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import paraphina_wh as wh
from paraphina_wh.engine.ending import Asked, Left, ending_of
from paraphina_wh.engine.stdout import parse_stdout
from paraphina_wh.maintenance.deep import Recount, check_deeply
from paraphina_wh.maintenance.repair import repair
from paraphina_wh.telemetry.reader import End
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke
from tests.engines import NO_VERSION, engine
from tests.records import line, run_of
from tests.telemetry_maker import ask, ask_one, ingest, runs_content, sidecar, verdicts, write

# Every record of tests/records.py says realised 1.5, unrealised -0.5, total 1.0.
SUMMARY = "Daily PnL (realised / unrealised / total): +1.50 / -0.50 / +1.00\nKill switch: false\nRisk regime: Normal\n"
KILLED = SUMMARY.replace("false", "true")
KILL = line(t=2, kill_switch=True, kill_reason="DeltaHardBreach", risk_regime="HardLimit")
END_QUERY = "SELECT status, error, end_known_by, kill_switch, dq_stdout FROM runs"


def banner(ticks: int, seed: object = "none") -> str:
    return f"paraphina | cfg=v1 | cfg_hash=0x00000000000000ff | profile=Balanced | ticks={ticks} | seed={seed}\n\n"


def take_in(warehouse: Warehouse, telemetry: bytes, stdout: str | None = None, **told: Any) -> tuple[Any, ...]:
    """Take a run in, with its stdout and a sidecar of these fields, and return how it ended."""
    base = warehouse.root / "balanced_r1"
    if stdout is not None:
        write(base.with_suffix(".stdout.txt"), stdout)
    if told:
        sidecar(base, **told)
    label = None if told else "lab"
    (outcome,) = ingest(warehouse, write(base.with_suffix(".jsonl"), telemetry), label=label)
    assert outcome.status == "ingested"
    (row,) = ask(warehouse, END_QUERY)
    assert outcome.failure == (row[1] or "")
    return row


# --- what proves an end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("telemetry", "stdout", "told", "known_by", "killed"),
    [
        (run_of(3), None, {}, None, False),
        (run_of(3), banner(3) + SUMMARY, {}, "summary", False),
        (run_of(3), SUMMARY, {}, "summary", False),
        (run_of(3), None, {"ticks": 3}, "ticks", False),
        (b"\n" + run_of(3) + b"\n", None, {"ticks": 3}, "ticks", False),
        (run_of(3)[:-1], None, {"ticks": 3}, "ticks", False),
        (run_of(3), None, {"seed": 7}, None, False),
        (run_of(2) + KILL, None, {}, "kill", True),
        (run_of(2) + KILL, None, {"ticks": 2000}, "kill", True),
        (run_of(2) + KILL, banner(2000) + "Kill switch active at tick 2 - stop.\n" + KILLED, {}, "summary", True),
        (line(t=0, later=1) + line(t=1, later=2), banner(2) + SUMMARY, {}, "summary", False),
    ],
)
def test_a_good_run_says_how_its_end_is_known(
    warehouse: Warehouse, telemetry: bytes, stdout: str | None, told: dict[str, Any], known_by: str | None, killed: bool
) -> None:
    agrees = None if stdout is None else True
    assert take_in(warehouse, telemetry, stdout, **told) == ("ok", None, known_by, killed, agrees)
    assert ask(warehouse, "SELECT kill_switch, truncated FROM research_rows") == [(killed, False)]


@pytest.mark.parametrize(
    ("telemetry", "stdout", "told", "why"),
    [
        (run_of(2), banner(2), {}, "no PnL summary on stdout"),
        (run_of(2), "", {}, "no PnL summary on stdout"),
        (run_of(2) + KILL, banner(2000), {}, "no PnL summary on stdout"),
        (run_of(2), SUMMARY.replace("+1.00", "NaN"), {}, "non-finite PnL on stdout"),
        (run_of(2), banner(2000) + SUMMARY, {}, "telemetry ends after 2 of 2000 ticks, without a kill"),
        (run_of(2), None, {"ticks": 3}, "telemetry ends after 2 of 3 ticks, without a kill"),
        (
            run_of(2),
            banner(2000),
            {},
            "no PnL summary on stdout; telemetry ends after 2 of 2000 ticks, without a kill",
        ),
        (run_of(4), banner(3) + SUMMARY, {}, "4 telemetry records where 3 ticks were asked for"),
        (run_of(1), banner(0) + SUMMARY, {}, "1 telemetry records where 0 ticks were asked for"),
        (run_of(3), KILLED, {}, "stdout says kill switch on, telemetry off"),
        (run_of(2) + KILL, SUMMARY, {}, "stdout says kill switch off, telemetry on"),
        (
            run_of(2) + KILL,
            "Kill switch active at tick 36 - stop.\n" + KILLED,
            {},
            "stdout tells of a kill at tick 36, telemetry has 3 records",
        ),
        (
            run_of(2),
            SUMMARY.replace("+1.00", "-500.00"),
            {},
            "total PnL -500.00 on stdout, 1.0 in the last telemetry record",
        ),
        (
            run_of(2),
            SUMMARY.replace("+1.50", "+1.49"),
            {},
            "realised PnL 1.49 on stdout, 1.5 in the last telemetry record",
        ),
        (
            run_of(2),
            banner(2) + SUMMARY,
            {"ticks": 3},
            "the banner on stdout says ticks=2, the run was asked for ticks=3; "
            "telemetry ends after 2 of 3 ticks, without a kill",
        ),
        (
            run_of(2),
            banner(2, 8) + SUMMARY,
            {"seed": 7},
            "the banner on stdout says seed=8, the run was asked for seed=7",
        ),
    ],
)
def test_a_run_without_the_end_that_was_promised_is_a_failed_one(
    warehouse: Warehouse, telemetry: bytes, stdout: str | None, told: dict[str, Any], why: str
) -> None:
    status, error, known_by, killed, _ = take_in(warehouse, telemetry, stdout, **told)
    assert (status, error, known_by) == ("failed", why, None)
    # No kill seen is none known; one that was seen stays.
    assert killed is (True if telemetry.endswith(KILL) else None)
    assert ask(warehouse, "SELECT count(*) FROM research_rows") == [(0,)]


END = End(1.0, 1.0, 1.0, False)


@pytest.mark.parametrize(
    ("exact", "printed", "agrees"),
    [
        (1.005, "1.00", True),
        (1.005, "1.01", True),
        (1.0051, "1.00", False),
        (0.125, "0.12", True),
        (0.125, "0.13", True),
        (-0.004, "-0.00", True),
        (-0.0, "+-0.00", True),
        (2.675, "2.67", True),
        (4e13 + 0.0078125, "40000000000000.01", True),
        (4e13 + 0.03125, "40000000000000.01", False),
        (1e16 + 2, "10000000000000002.00", True),
        (1e16 + 2, "10000000000000000.00", False),
        (1e22, "10000000000000000000000.00", True),
    ],
)
def test_two_decimals_may_differ_by_half_of_the_last_and_by_no_more(exact: float, printed: str, agrees: bool) -> None:
    said = parse_stdout(f"Daily PnL (realised / unrealised / total): +1.00 / +1.00 / {printed}\n")
    ending = ending_of(Asked(), said, Left(2, End(1.0, 1.0, exact, False), False))
    assert (ending.stdout_agrees, ending.problem is None) == (agrees, agrees)
    # What every engine prints is within.
    assert math.isclose(float(f"{exact:.2f}"), exact, abs_tol=0.005 + math.ulp(exact))


def test_without_a_word_on_the_kill_only_the_amounts_are_compared() -> None:
    said = parse_stdout(SUMMARY.replace("Kill switch: false\n", ""))
    end = End(1.5, -0.5, 1.0, True)
    assert ending_of(Asked(), said, Left(2, end, True)).stdout_agrees is True
    assert ending_of(Asked(), said, None).stdout_agrees is None
    assert ending_of(Asked(), None, Left(2, end, True)).stdout_agrees is None
    assert ending_of(Asked(), parse_stdout("Kill switch: true\n"), Left(2, end, True)).stdout_agrees is None


def test_packed_telemetry_is_judged_as_plain(warehouse: Warehouse) -> None:
    write(warehouse.root / "balanced_r1.stdout.txt", banner(5) + SUMMARY)
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl.gz", gzip.compress(run_of(4))))
    assert outcome.failure == "telemetry ends after 4 of 5 ticks, without a kill"


def test_stdout_alone_is_judged_by_its_summary(warehouse: Warehouse) -> None:
    write(warehouse.root / "good.stdout.txt", banner(3) + SUMMARY)
    write(warehouse.root / "crashed.stdout.txt", banner(3))
    write(warehouse.root / "nan.stdout.txt", banner(3) + SUMMARY.replace("+1.00", "inf"))
    # A run of an experiment that reads stdout alone has a sidecar beside it.
    write(warehouse.root / "x.stdout.txt", banner(3))
    sidecar(warehouse.root / "x", label="x", ticks=3)
    ingest(warehouse, warehouse.root)
    assert ask(warehouse, "SELECT label, status, error, end_known_by, dq_stdout FROM runs ORDER BY label") == [
        ("crashed", "failed", "no PnL summary on stdout", None, None),
        ("good", "ok", None, "summary", None),
        ("nan", "failed", "non-finite PnL on stdout", None, None),
        ("x", "failed", "no PnL summary on stdout", None, None),
    ]


# --- what is said of failed runs, and what they may do ---------------------------------------------------------


def test_ingest_names_failed_runs_with_the_reason_and_status_goes_on_doing_so(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "balanced_r1.jsonl", run_of(2))
    write(tmp_path / "balanced_r1.stdout.txt", banner(2000))
    why = "no PnL summary on stdout; telemetry ends after 2 of 2000 ticks, without a kill"
    done = invoke("ingest", "balanced_r1.jsonl", "--format", "csv")
    # Taken in, and said: as a failure that its sidecar tells of.
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split(",")[2:] == ["ingested", "2", str(len(run_of(2)))]
    assert done.stderr.splitlines()[-2:] == [
        f"warning: balanced_r1.jsonl: taken in as a failed run: {why}",
        "hint: failed runs enter no dataset and count for no budget; run them again, or repair what is beside them",
    ]
    assert f'failed run,balanced,exp13_balanced_r001,{{run}},"{why}"'.format(
        run=invoke("query", "SELECT run_id FROM runs", "--format", "csv").stdout.splitlines()[1]
    ) in invoke(
        "query", "--format", "csv", "SELECT 'failed run', profile, label, run_id, error FROM runs"
    ).stdout.replace("\r", "")
    assert why in invoke("status", "--format", "json").stdout
    again = invoke("ingest", "balanced_r1.jsonl", "--format", "csv")
    assert again.stdout.splitlines()[1].split(",")[2] == "unchanged"
    invoke("export", "dataset")
    assert (tmp_path / "research_dataset_v001.jsonl").read_text() == ""


def test_a_failure_takes_no_label_and_no_place(warehouse: Warehouse) -> None:
    good = write(warehouse.root / "a" / "balanced_r1.jsonl", run_of(3))
    ingest(warehouse, good, label="lab")
    bad = write(warehouse.root / "b" / "balanced_r1.jsonl", run_of(2))
    write(bad.with_suffix(".stdout.txt"), banner(3) + SUMMARY)
    (outcome,) = ingest(warehouse, bad, label="lab", replace=True)
    assert outcome.failure == "telemetry ends after 2 of 3 ticks, without a kill"
    rows = ask(warehouse, "SELECT status, num_ticks FROM runs ORDER BY status")
    # Beside a good run of its label it is a row alone: its ticks would mix with the good ones.
    assert rows == [("failed", None), ("ok", 3)]
    assert ask(warehouse, "SELECT count(*) FROM ticks") == [(3,)]
    # A good one takes the place of a failure.
    write(bad, run_of(3))
    (outcome,) = ingest(warehouse, bad, label="lab", replace=True)
    assert ask(warehouse, "SELECT status, num_ticks, end_known_by FROM runs") == [("ok", 3, "summary")]


def test_files_of_one_label_in_one_batch_are_settled_alike(warehouse: Warehouse) -> None:
    write(warehouse.root / "a" / "lab.jsonl", run_of(2))
    write(warehouse.root / "b" / "lab.jsonl", run_of(3))
    for folder in ("a", "b"):
        write(warehouse.root / folder / "lab.stdout.txt", banner(3) + SUMMARY)
    report = ingest(warehouse, warehouse.root, profile="balanced")
    assert [bool(outcome.failure) for outcome in report] == [True, False]
    assert ask(warehouse, "SELECT status, num_ticks FROM runs ORDER BY 1") == [("failed", 2), ("ok", 3)]
    assert ask(warehouse, "SELECT num_ticks FROM research_rows") == [(3,)]


@pytest.mark.parametrize(
    ("stdout", "ended"),
    [
        (banner(3) + SUMMARY, ("ok", None, "summary", False, True)),
        (banner(9) + SUMMARY, ("failed", "telemetry ends after 3 of 9 ticks, without a kill", None, None, True)),
    ],
)
def test_a_run_that_came_in_alone_is_told_anew_when_its_stdout_turns_up(
    warehouse: Warehouse, stdout: str, ended: tuple[Any, ...]
) -> None:
    assert take_in(warehouse, run_of(3)) == ("ok", None, None, False, None)
    assert take_in(warehouse, run_of(3), stdout) == ended
    before = runs_content(warehouse)
    assert set(verdicts(ingest(warehouse, warehouse.root, label="lab")).values()) == {"unchanged"}
    assert runs_content(warehouse) == before
    assert ask(warehouse, "SELECT count(*) FROM ticks") == [(3,)]
    # Without the stdout there is nothing new.
    (warehouse.root / "balanced_r1.stdout.txt").unlink()
    assert set(verdicts(ingest(warehouse, warehouse.root, label="lab")).values()) == {"unchanged"}
    assert runs_content(warehouse) == before


def test_a_run_whose_end_is_known_stays_what_it_is(warehouse: Warehouse) -> None:
    take_in(warehouse, run_of(3), SUMMARY)
    before = runs_content(warehouse)
    write(warehouse.root / "balanced_r1.stdout.txt", "killed\n")
    assert set(verdicts(ingest(warehouse, warehouse.root / "balanced_r1.jsonl", label="lab")).values()) == {"unchanged"}
    assert runs_content(warehouse) == before


# --- cut-off telemetry ----------------------------------------------------------------------------------------

CUT = run_of(3)[:-20]


def test_the_kill_of_cut_off_telemetry_is_unknown_and_it_enters_a_dataset_only_when_asked(
    invoke: Invoke, warehouse: Warehouse
) -> None:
    assert take_in(warehouse, CUT) == ("ok", None, None, None, None)
    answers = wh.open(warehouse.root)
    assert answers.sql("SELECT kill_switch, kill_flag FROM experiment_runs").rows() == [(None, None)]
    assert answers.sql("SELECT kill_switch_frac, num_runs FROM experiment_summary").rows() == [(None, 1)]
    (stored,) = (warehouse.runs / "experiment=exp13").iterdir()
    assert pl.read_parquet(stored, hive_partitioning=False)["kill_switch"].to_list() == [None]

    left_out = "left out dataset: 1 runs whose telemetry is cut off; --allow-truncated takes them in"
    dataset = warehouse.root / "research_dataset_v001.jsonl"
    assert left_out in invoke("export", "dataset").stderr
    assert dataset.read_text() == ""
    assert left_out in invoke("export", "dataset", "-o", "rows.jsonl").stderr
    assert (warehouse.root / "rows.jsonl").read_text() == ""
    for allowed in (("dataset",), ("dataset", "-o", "rows.jsonl"), ("all",)):
        done = invoke("export", *allowed, "--allow-truncated")
        assert (done.exit_code, left_out in done.stderr) == (0, False)
    for file in (dataset, warehouse.root / "rows.jsonl"):
        (row,) = map(json.loads, file.read_text().splitlines())
        assert (row["num_ticks"], row["kill_switch"], row["truncated"]) == (2, None, True)
    # In the dataset it is a run of which nobody knows how it would have ended.
    rows = answers.sql("SELECT n_independent, kill_n, pnl_n, dd_n FROM evidence WHERE risk_tier = 'balanced'").rows()
    assert rows == [(1, 0, 0, 0)]
    assert left_out not in invoke("export", "dataset").stderr


@pytest.mark.parametrize(
    ("telemetry", "stdout", "told", "ended"),
    [
        (CUT, banner(3) + SUMMARY, {}, ("failed", "telemetry ends after 2 of 3 ticks, without a kill", None, None)),
        (CUT, None, {"ticks": 3}, ("failed", "telemetry ends after 2 of 3 ticks, without a kill", None, None)),
        # As many records as ticks, and more behind them: not whole, but nothing is missing that was promised.
        (run_of(2) + b'{"t"', banner(2) + SUMMARY, {}, ("ok", None, None, None)),
        (run_of(2) + KILL + b'{"t"', None, {}, ("ok", None, None, True)),
        (CUT, KILLED, {}, ("failed", "stdout says kill switch on, telemetry off", None, None)),
    ],
)
def test_cut_off_telemetry_never_counts_as_whole(
    warehouse: Warehouse, telemetry: bytes, stdout: str | None, told: dict[str, Any], ended: tuple[Any, ...]
) -> None:
    # The last record is not there: nothing of it can be compared.
    assert take_in(warehouse, telemetry, stdout, **told) == (*ended, None)
    assert ask(warehouse, "SELECT count(*) FROM research_rows") == [(0,)]


def test_contract_tables_of_an_experiment_say_false_of_a_crashed_run_and_count_it_nowhere(
    invoke: Invoke, tmp_path: Path
) -> None:
    spec = """
name = "small"
about = "two runs"
mode = "stdout"
repeats = 2
profiles = ["balanced"]
"""
    write(tmp_path / "small.toml", spec)
    command = engine(
        tmp_path / "engine",
        '[ "$1" = --version ] && exit 1',
        'case "$*" in *"--seed 4400"*) ;; *) exit 3;; esac',
        f"cat <<E\n{KILLED}E",
    )
    done = invoke("run", "small.toml", "--engine", command)
    assert done.exit_code == 1, done.stderr
    folder = tmp_path / "runs" / "small"
    runs = pl.read_csv(folder / "small_runs.csv")
    assert runs.select("returncode", "kill_switch").rows() == [(0, True), (3, False)]
    summary = pl.read_csv(folder / "small_summary.csv")
    assert summary.select("kill_switch_frac", "num_runs").rows() == [(1.0, 2)]


# --- lines put aside ------------------------------------------------------------------------------------------


def test_lines_put_aside_are_counted_as_records_and_a_lost_end_is_a_failure_until_it_is_repaired(
    invoke: Invoke, warehouse: Warehouse
) -> None:
    base = warehouse.root / "balanced_r1"
    sidecar(base, ticks=4, returncode=0)
    middle, end = run_of(1) + b"{bad}\n" + line(t=2) + line(t=3), run_of(3) + b"{bad}\n"
    ingest(warehouse, write(base.with_suffix(".jsonl"), middle), on_error="quarantine")
    assert ask(warehouse, END_QUERY) == [("ok", None, "ticks", False, None)]
    ingest(warehouse, write(base.with_suffix(".jsonl"), end), on_error="quarantine", replace=True)
    why = "the last telemetry record is bad: how the run ended is lost"
    # A failure takes nobody's place.
    assert ask(warehouse, "SELECT status, error FROM runs ORDER BY status") == [("failed", why), ("ok", None)]
    invoke("forget", *(run_id for (run_id,) in ask(warehouse, "SELECT run_id FROM runs")))
    ingest(warehouse, base.with_suffix(".jsonl"), on_error="quarantine")
    row = ask_one(warehouse, "SELECT run_id, status, error, kill_switch, num_ticks FROM runs")
    assert (row["status"], row["error"], row["kill_switch"], row["num_ticks"]) == ("failed", why, None, 3)
    write(base.with_suffix(".jsonl"), run_of(4))
    done = invoke("quarantine", "replay", row["run_id"])
    assert done.exit_code == 0, done.stderr
    assert ask(warehouse, END_QUERY) == [("ok", None, "ticks", False, None)]


# --- two runs in one file -------------------------------------------------------------------------------------


def lines_of(*ts: int) -> bytes:
    return b"".join(line(t=t) for t in ts)


@pytest.mark.parametrize("on_error", ["reject", "quarantine"])
@pytest.mark.parametrize(
    "ts", [(0, 0, 1, 1, 2, 2), (0, 1, 0, 2, 1, 3), (0, 1, 2, 0, 1, 2, 3), (5, 0, 6, 1), (0, 1, 1, 2), (0, 9, 1, 2)]
)
def test_two_runs_mixed_in_one_file_are_refused_whole(warehouse: Warehouse, ts: Sequence[int], on_error: str) -> None:
    """Putting aside the lines that break the order would leave a mixture, and a row that no run ever had."""
    source = write(warehouse.root / "balanced_r1.jsonl", lines_of(*ts))
    (outcome,) = ingest(warehouse, source, on_error=on_error)
    assert outcome.status == "rejected"
    assert "is not above the previous" in outcome.errors[on_error == "quarantine"]
    assert "--split-on-reset" in outcome.hint
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(0,)]


def test_a_bad_line_whose_t_falls_is_a_bad_line_and_no_second_run(warehouse: Warehouse) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", lines_of(0, 1) + line(t=0, basis_usd="x") + lines_of(2))
    (outcome,) = ingest(warehouse, source, on_error="quarantine")
    assert outcome.verdict == "quarantined 1"


@pytest.mark.parametrize(
    ("ts", "why"),
    [
        ((0, 1, 2, 1, 3, 2, 4), "t falls from 2 to 1"),
        ((0, 1, 0, 1, 2, 3, 2, 3), "t falls from 3 to 2"),
        ((0, 1, 2, 0, 1, 2, 3, 3, 4, 2), "t falls from 4 to 2"),
    ],
)
def test_a_mixture_is_not_split(warehouse: Warehouse, ts: Sequence[int], why: str) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", lines_of(*ts))
    (outcome,) = ingest(warehouse, source, split_on_reset=True)
    assert outcome.status == "rejected"
    assert outcome.errors == [f"{source}: {why}, where no run begins: several runs are mixed"]
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(0,)]


def test_stretches_of_a_split_file_are_not_measured_by_a_sidecar_that_tells_of_one_run(warehouse: Warehouse) -> None:
    sidecar(warehouse.root / "balanced_r1", ticks=3)
    source = write(warehouse.root / "balanced_r1.jsonl", run_of(3) + run_of(2) + KILL)
    ingest(warehouse, source, split_on_reset=True)
    rows = ask(warehouse, "SELECT label, status, end_known_by, kill_switch FROM runs ORDER BY label")
    assert rows == [("lab", "ok", None, False), ("lab_s2", "ok", "kill", True)]


# --- engines --------------------------------------------------------------------------------------------------

# Writes as many records as $written says, or those that were asked for.
_ENGINE = f"""
case "$*" in *"--ticks 4"*) ;; *) exit 9;; esac
head -n "${{written:-4}}" {{lines}} > "$PARAPHINA_TELEMETRY_PATH"
cat <<E
{SUMMARY}E
"""
_EXP13 = ("run", "exp13", "--ticks", "4", "--runs-per-profile", "1", "--profiles", "balanced", "--jobs", "1")


def test_a_retry_sees_that_telemetry_is_too_short(invoke: Invoke, tmp_path: Path) -> None:
    lines = write(tmp_path / "lines.jsonl", run_of(4))
    first = f"[ -e {tmp_path}/once ] || {{ written=3; touch {tmp_path}/once; }}"
    command = engine(tmp_path / "engine", NO_VERSION, first, _ENGINE.replace("{lines}", str(lines)))
    done = invoke(*_EXP13, "--engine", command, "--retries", "1")
    assert done.exit_code == 0, done.stderr
    assert ask_runs(tmp_path) == [("ok", None, 2, "summary")]


def test_a_run_that_stops_early_fails_with_exit_code_1_and_is_run_again(invoke: Invoke, tmp_path: Path) -> None:
    lines = write(tmp_path / "lines.jsonl", run_of(4))
    why = "telemetry ends after 3 of 4 ticks, without a kill"
    command = engine(
        tmp_path / "engine",
        NO_VERSION,
        f"[ -e {tmp_path}/mended ] || written=3",
        _ENGINE.replace("{lines}", str(lines)),
    )
    done = invoke(*_EXP13, "--engine", command)
    assert (done.exit_code, f"balanced_r1: {why}" in done.stderr) == (1, True)
    assert ask_runs(tmp_path) == [("failed", why, 1, None)]
    told = json.loads((tmp_path / "runs/exp13_auto/balanced_r1.run.json").read_text())
    assert (told["status"], told["error"]) == ("failed", why)
    (tmp_path / "mended").touch()
    done = invoke(*_EXP13, "--engine", command)
    assert done.exit_code == 0, done.stderr
    assert ask_runs(tmp_path) == [("ok", None, 1, "summary")]


def test_what_only_the_ingest_sees_fails_the_session_too(invoke: Invoke, tmp_path: Path) -> None:
    """The last line is longer than what is looked at when an engine has ended."""
    lines = write(tmp_path / "lines.jsonl", run_of(2) + line(t=2, kill_reason="x" * (2 << 20)))
    command = engine(tmp_path / "engine", NO_VERSION, _ENGINE.replace("{lines}", str(lines)))
    done = invoke(*_EXP13, "--engine", command)
    why = "telemetry ends after 3 of 4 ticks, without a kill"
    assert done.exit_code == 1
    assert ask_runs(tmp_path) == [("failed", why, 1, None)]
    told = json.loads((tmp_path / "runs/exp13_auto/balanced_r1.run.json").read_text())
    assert (told["status"], told["error"]) == ("failed", why)


def ask_runs(root: Path) -> list[tuple[Any, ...]]:
    return ask(locate(root), "SELECT status, error, attempts, end_known_by FROM runs")


def test_no_ticks_asked_for_leave_no_telemetry(tmp_path: Path) -> None:
    def run(ticks: int) -> wh.EngineRunResult:
        command = engine(tmp_path / "engine", f"cat <<E\n{SUMMARY}E")
        config = wh.EngineRunConfig([str(command)], {}, {}, telemetry_path=tmp_path / "a.jsonl", asked=Asked(ticks))
        (result,) = wh.run_many([config])
        return result

    assert run(0).status == "ok"
    assert run(1).error == "no telemetry written"


# --- the warehouse goes on saying so --------------------------------------------------------------------------


@pytest.fixture
def four(warehouse: Warehouse) -> Warehouse:
    """Return a warehouse of a good run, a failed one, one that is cut off and one that was killed."""
    for number, (telemetry, stdout) in enumerate(
        [(run_of(3), banner(3) + SUMMARY), (run_of(2), banner(3) + SUMMARY), (CUT, None), (run_of(2) + KILL, None)], 1
    ):
        base = warehouse.root / f"balanced_r{number}"
        write(base.with_suffix(".jsonl"), telemetry)
        if stdout:
            write(base.with_suffix(".stdout.txt"), stdout)
    ingest(warehouse, warehouse.root)
    return warehouse


ENDINGS = "SELECT label, status, error, end_known_by, kill_switch, dq_stdout FROM runs ORDER BY label"


def test_a_sound_warehouse_has_no_findings(four: Warehouse, invoke: Invoke) -> None:
    recount = Recount()
    assert list(check_deeply(four, recount)) == []
    assert (recount.condensed, recount.recounted) == (4, 4)
    assert invoke("check", "--deep").exit_code == 0


def test_a_kill_that_the_ledger_lost_is_found(four: Warehouse, tmp_path: Path) -> None:
    (ledger,) = (four.runs / "experiment=exp13").iterdir()
    rows = pl.read_parquet(ledger, hive_partitioning=False)
    rows.with_columns(kill_switch=pl.lit(None, pl.Boolean)).write_parquet(ledger)
    found = {finding.detail for finding in check_deeply(four, Recount())}
    # Of the good run and of the killed one; what is not whole may say so.
    assert found == {
        "kill_switch is stored as None, its ticks say false",
        "kill_switch is stored as None, its ticks say true",
    }


def test_repair_gives_back_how_runs_ended(four: Warehouse) -> None:
    before = ask(four, ENDINGS)
    (ledger,) = (four.runs / "experiment=exp13").iterdir()
    ledger.write_bytes(b"damage")
    repair(four)
    assert ask(four, ENDINGS) == before
    assert [row[1:4:2] for row in before] == [
        ("ok", "summary"),
        ("failed", None),
        ("ok", None),
        ("ok", "kill"),
    ]


def test_a_warehouse_of_an_earlier_version_answers_and_is_judged_when_its_files_come_again(four: Warehouse) -> None:
    (ledger,) = (four.runs / "experiment=exp13").iterdir()
    rows = pl.read_parquet(ledger, hive_partitioning=False).drop("end_known_by")
    rows = rows.with_columns(
        status=pl.lit("ok"), error=pl.lit(None, pl.String), kill_switch=pl.col("kill_switch").fill_null(False)
    )
    rows.write_parquet(ledger)
    # No kill was seen in what is cut off: none is known, whatever was written then.
    assert [(row[1], row[3], row[4]) for row in ask(four, ENDINGS)] == [
        ("ok", None, False),
        ("ok", None, False),
        ("ok", None, None),
        ("ok", None, True),
    ]
    assert ask(four, "SELECT count(*) FROM research_rows") == [(3,)]
    again = verdicts(ingest(four, four.root))
    assert again == {
        "balanced_r1.jsonl": "ingested",
        "balanced_r2.jsonl": "ingested",
        "balanced_r3.jsonl": "unchanged",
        "balanced_r4.jsonl": "unchanged",
    }
    assert [(row[1], row[3]) for row in ask(four, ENDINGS)][:2] == [("ok", "summary"), ("failed", None)]
    assert set(verdicts(ingest(four, four.root)).values()) == {"unchanged"}
