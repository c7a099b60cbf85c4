"""Stdout logs that lie alone: runs without ticks."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from pathlib import Path

import pytest

from paraphina_wh.engine import EngineRunConfig, run_engine
from paraphina_wh.ingest import LeftOut
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.records import run_of
from tests.telemetry_maker import ask, ingest, verdicts, write

BANNER = "paraphina | cfg=v0.1.6 | cfg_hash=0x5175cca07d758d00 | profile=Balanced | ticks=2000 | seed=7\n"
SUMMARY = """
Daily PnL (realised / unrealised / total): +1085.50 / +260.96 / +1346.45
Kill switch: true
Kill reason: DeltaHardBreach
Risk regime: HardLimit
"""

NAME = "balanced_q0.stdout.txt"


def test_a_log_is_a_run(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / NAME, BANNER + SUMMARY))
    assert (outcome.status, outcome.ticks) == ("ingested", 0)
    assert ask(
        warehouse,
        "SELECT profile, label, experiment, status, seed, ticks_requested, stdout_pnl_total, stdout_kill_switch, "
        "stdout_usable, num_ticks, source_kind, source_path FROM runs",
    ) == [
        ("balanced", "balanced_q0", "adhoc", "ok", 7, 2000, 1346.45, True, True, None, "stdout", NAME),
    ]
    assert ask(warehouse, "SELECT run_id FROM runs") == [(outcome.run_id,)]


@pytest.mark.parametrize("name", ["night.log", "night.txt", "night.stdout.txt", "night.log.gz"])
def test_the_label_is_the_stem_and_options_come_first(warehouse: Warehouse, name: str) -> None:
    text = (BANNER + SUMMARY).encode()
    ingest(
        warehouse,
        write(warehouse.root / name, gzip.compress(text) if name.endswith(".gz") else text),
        experiment="e",
    )
    assert ask(warehouse, "SELECT profile, label, experiment FROM runs") == [("balanced", "night", "e")]


def test_a_profile_against_the_banner_is_refused(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "a.log", BANNER + SUMMARY), profile="aggressive")
    assert outcome.errors == ["a.log: the engine's banner says profile 'balanced', not 'aggressive'"]
    assert (outcome.status, ask(warehouse, "SELECT count(*) FROM runs")) == ("rejected", [(0,)])


def test_a_banner_without_summary_is_a_crashed_run(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "a.log", BANNER))
    assert outcome.status == "ingested"
    assert ask(warehouse, "SELECT status, error, stdout_usable FROM runs") == [
        ("failed", "no PnL summary on stdout", False)
    ]


def test_a_summary_without_banner_needs_a_profile(warehouse: Warehouse) -> None:
    log = write(warehouse.root / "a.log", SUMMARY)
    (outcome,) = ingest(warehouse, log)
    assert outcome.status == "rejected"
    assert outcome.errors[0].endswith("a.log: no banner tells the profile")
    (outcome,) = ingest(warehouse, log, profile="balanced")
    assert outcome.status == "ingested"


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_of_any_length_is_judged_by_its_ends(warehouse: Warehouse, packed: bool) -> None:
    noise = b"x" * 70_000_000  # no newline
    text = BANNER.encode() + SUMMARY.replace("346.45", "0.00").encode() + noise + SUMMARY.encode()
    log = write(warehouse.root / ("a.log.gz" if packed else "a.log"), gzip.compress(text, 1) if packed else text)
    tracemalloc.start()
    (outcome,) = ingest(warehouse, log)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcome.status == "ingested"
    assert peak < 20_000_000
    assert ask(warehouse, "SELECT profile, seed, status, stdout_pnl_total, stdout_sha256 FROM runs") == [
        ("balanced", 7, "ok", 1346.45, hashlib.sha256(text).hexdigest())
    ]
    assert [outcome.status for outcome in ingest(warehouse, log)] == ["unchanged"]


def test_a_summary_far_from_the_end_of_a_log_is_not_taken_for_the_last(warehouse: Warehouse) -> None:
    ingest(warehouse, write(warehouse.root / "a.log", BANNER + SUMMARY + "x" * 1_200_000))
    assert ask(warehouse, "SELECT seed, status, error, stdout_pnl_total, stdout_kill_switch FROM runs") == [
        (7, "failed", "no PnL summary on stdout", None, None)
    ]


def test_what_an_engine_prints_is_judged_alike_live_and_from_its_file(warehouse: Warehouse, tmp_path: Path) -> None:
    middle = "Daily PnL (realised / unrealised / total): +9.00 / +0.00 / +9.00\n" * 50_000
    script = write(tmp_path / "engine", "#!/bin/sh\ncat said\n")
    script.chmod(0o755)
    (tmp_path / "said").write_text(BANNER + middle + SUMMARY)
    stdout = warehouse.root / "balanced_r1.stdout.txt"
    result = run_engine(EngineRunConfig([str(script)], {}, {}, cwd=tmp_path, stdout_path=stdout))
    assert stdout.stat().st_size < 1_200_000
    assert (result.status, result.metrics["pnl_total"]) == ("ok", 1346.45)
    ingest(warehouse, stdout)
    assert ask(warehouse, "SELECT status, seed, stdout_pnl_total FROM runs") == [("ok", 7, 1346.45)]


def test_any_other_text_is_turned_down(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "notes.txt", "buy milk\n"))
    assert outcome.status == "rejected"
    assert "neither telemetry nor a research dataset" in outcome.errors[0]
    assert outcome.hint == "a stdout log needs the engine's banner or its PnL summary"


def test_the_same_log_comes_in_once_and_another_of_its_label_does_not(warehouse: Warehouse) -> None:
    log = write(warehouse.root / "a.log", BANNER + SUMMARY)
    assert verdicts(ingest(warehouse, log)) == {"a.log": "ingested"}
    assert verdicts(ingest(warehouse, log)) == {"a.log": "unchanged"}
    write(log, BANNER + SUMMARY.replace("1346.45", "1346.46"))
    (outcome,) = ingest(warehouse, log)
    assert outcome.status == "rejected"
    assert verdicts(ingest(warehouse, log, replace=True)) == {"a.log": "ingested"}
    assert ask(warehouse, "SELECT stdout_pnl_total FROM runs") == [(1346.46,)]


def test_in_a_folder_only_logs_that_lie_alone_are_runs(warehouse: Warehouse) -> None:
    folder = warehouse.root / "in"
    write(folder / "balanced_r1.jsonl", run_of(2))
    write(folder / "balanced_r1.stdout.txt", BANNER + SUMMARY)
    write(folder / "balanced_r1.stderr.txt", BANNER)
    write(folder / "alone.stdout.txt", BANNER + SUMMARY)
    write(folder / "readme.txt", "hello")
    report = ingest(warehouse, folder)
    assert verdicts(report) == {"alone.stdout.txt": "ingested", "balanced_r1.jsonl": "ingested"}
    assert report.left_out == [LeftOut(str(folder / "readme.txt"), "of no known kind")]
    assert ask(warehouse, "SELECT label, source_kind, stdout_usable FROM runs ORDER BY label") == [
        ("alone", "stdout", True),
        ("exp13_balanced_r001", "telemetry", True),
    ]


def test_recorded_logs_give_what_they_say(warehouse: Warehouse, recorded: Path) -> None:
    ingest(warehouse, recorded / "exp03_stdout")
    query = "SELECT profile, stdout_pnl_total FROM runs WHERE label = 'aggressive_q-20'"
    assert ask(warehouse, query) == [("aggressive", 2153.6)]
    assert ask(warehouse, "SELECT profile, count(*) FROM runs GROUP BY ALL ORDER BY ALL") == [
        ("aggressive", 5),
        ("balanced", 5),
        ("conservative", 5),
    ]


def test_the_command_line(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "a.log", BANNER + SUMMARY)
    write(tmp_path / "b.txt", "hello")
    result = invoke("ingest", "a.log", "b.txt", "--format", "jsonl")
    assert ['"status":"ingested"' in text for text in result.stdout.splitlines()] == [True, False]
    assert result.stderr.splitlines()[0].startswith("error: b.txt: neither telemetry")
    assert result.exit_code == 1


def test_a_pnl_line_that_cannot_be_read_is_said_and_kept(warehouse: Warehouse) -> None:
    """Colours are looked through; grouped digits are no number of the contract."""
    line = "Daily PnL (realised / unrealised / total): {0} / +0.00 / {0}\r\nKill switch: false\r\n"
    for number, amount in ((1, "\x1b[32m+5.70\x1b[0m"), (2, "+1,234.50")):
        write(warehouse.root / f"balanced_r{number}.jsonl", run_of(2))
        write(warehouse.root / f"balanced_r{number}.stdout.txt", line.format(amount))
    coloured, grouped = ingest(warehouse, warehouse.root)
    assert coloured.warnings == ["stdout: read without the escape sequences of a terminal that are in it"]
    shown = "Daily PnL (realised / unrealised / total): +1,234.50 / +0.00 / +1,234.50"
    assert grouped.warnings == [f"stdout: its PnL line cannot be read, numbers are plain there: {shown}"]
    assert ask(warehouse, "SELECT stdout_pnl_total, stdout_kill_switch, stdout_usable FROM runs ORDER BY label") == [
        (5.7, False, True),
        (None, False, False),
    ]
    assert ask(warehouse, "SELECT warnings LIKE '%cannot be read%' FROM runs ORDER BY label") == [(False,), (True,)]


def test_a_log_alone_whose_pnl_line_cannot_be_read_is_a_failed_run(warehouse: Warehouse) -> None:
    summary = "Daily PnL (realised / unrealised / total): 1 234,50 / 0,00 / 1 234,50\n"
    (outcome,) = ingest(warehouse, write(warehouse.root / "a.log", summary), profile="balanced")
    assert outcome.status == "ingested"
    error = f"the PnL summary on stdout cannot be read: {summary.strip()}"
    assert ask(warehouse, "SELECT status, error FROM runs") == [("failed", error)]


def test_a_log_that_powershell_wrote_is_read(warehouse: Warehouse) -> None:
    text = (BANNER + SUMMARY).replace("\n", "\r\n").encode("utf-16")
    assert verdicts(ingest(warehouse, write(warehouse.root / "a.log", text))) == {"a.log": "ingested"}
    assert ask(warehouse, "SELECT status, stdout_pnl_total, cfg_hash IS NOT NULL FROM runs") == [("ok", 1346.45, True)]
