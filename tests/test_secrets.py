"""Secrets: provenance holds the `PARAPHINA_*` overlay of a run and nothing else of the environment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import duckdb
import pytest

from paraphina_wh.engine.knobs import is_of_overlay
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke, Report
from tests.records import run_of
from tests.telemetry_maker import ask, ask_one, ingest, sidecar, write
from tests.torture.figures import Figure

# Of others, near misses of our prefix, and our own settings. The last is a knob: only a run that asks for it has it.
PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "planted-aws-7f3a",
    "GITHUB_TOKEN": "planted-github-91c2",
    "DATABASE_URL": "postgres://user:planted-password-5d1e@db/x",
    "PARAPHINAX_TOKEN": "planted-near-miss-44b0",
    "XPARAPHINA_TOKEN": "planted-other-side-e9d7",
    "paraphina_token": "planted-lower-case-13aa",
    "PARAPHINA": "planted-bare-prefix-c07e",
    "PARAPHINA_WH_TOKEN": "planted-setting-6b6d",
    "PARAPHINA_API_KEY": "planted-unknown-knob-2f95",
    "PARAPHINA_HEDGE_MAX_STEP": "7.062834517",
}
SPEC = """\
name = "night"
about = "a run of an own experiment"
profiles = ["balanced"]
ticks = 20
repeats = 1
seed = 1
mode = "both"

[knobs]
VOL_REF = 0.02
"""


def everything_below(folder: Path) -> bytes:
    """Return the bytes of every file and every path, and of Parquet files, which are compressed, all values too."""
    pieces: list[bytes] = []
    connection = duckdb.connect(":memory:")
    for path in sorted(folder.rglob("*")):
        pieces.append(os.fsencode(path))
        if path.is_file():
            pieces.append(path.read_bytes())
        if path.suffix == ".parquet":
            query = "SELECT to_json(p)::VARCHAR FROM read_parquet([$path], hive_partitioning = false) p"
            pieces += [text.encode() for (text,) in connection.execute(query, {"path": str(path)}).fetchall()]
            query = "SELECT key, value FROM parquet_kv_metadata([$path])"
            pieces += [part for pair in connection.execute(query, {"path": str(path)}).fetchall() for part in pair]
    return b"\n".join(pieces)


def test_planted_secrets_are_found_nowhere(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PARAPHINA_ENGINE", "reference")
    write(tmp_path / "night.toml", SPEC)
    harness = ("run", "exp13", "--profiles", "balanced", "--runs-per-profile", "1", "--ticks", "20")
    for args in (
        (*harness, "--set", "MM_SIZE_ETA=2.0625"),
        ("run", "night.toml"),
        ("rerun", "exp13_balanced_r001"),
        ("rerun", "exp13_balanced_r001", "--verify"),
        ("export", "runs"),
    ):
        done = invoke(*args)
        assert done.exit_code == 0, done.stderr
    found = everything_below(tmp_path)
    # The search finds what is there: the knob that was asked for, in the sidecars and in the ledger.
    assert found.count(b"2.0625") >= 3
    leaked = [name for name, value in PLANTED.items() if value.encode() in found or f"{name}=".encode() in found]
    assert leaked == []
    report(Figure("planted secrets found nowhere below ROOT", len(PLANTED), len(PLANTED) - len(leaked), "secrets"))
    query = "SELECT knobs_json FROM runs WHERE experiment = 'exp13'"
    ((knobs,),) = ask(locate(tmp_path), query)
    assert json.loads(knobs) == {"PARAPHINA_MM_SIZE_ETA": "2.0625"}


@pytest.mark.parametrize(
    ("name", "is_knob"),
    [
        *(("PARAPHINA_VOL_REF", True), ("PARAPHINA_OF_A_LATER_ENGINE", True), ("PARAPHINA_ENGINE_MODE", True)),
        *(("PARAPHINA_WH_ROOT", False), ("PARAPHINA_ENGINE", False), ("PARAPHINA", False), ("PARAPHINAX_A", False)),
        *(("paraphina_vol_ref", False), ("XPARAPHINA_A", False), ("VOL_REF", False), ("HOME", False), ("", False)),
    ],
)
def test_what_belongs_to_the_overlay(name: str, is_knob: bool) -> None:
    assert is_of_overlay(name) is is_knob


@pytest.mark.parametrize("with_telemetry", [True, False])
def test_a_sidecar_of_others_brings_in_no_variable_but_knobs(warehouse: Warehouse, with_telemetry: bool) -> None:
    base = warehouse.root / "in" / "a"
    if with_telemetry:
        write(base.with_suffix(".jsonl"), run_of(2))
    sidecar(base, knobs=PLANTED | {"PARAPHINA_VOL_REF": "0.5"})
    report = ingest(warehouse, warehouse.root / "in")
    assert [outcome.status for outcome in report] == ["ingested"]
    assert report.warnings == [
        f"in/{'a.jsonl' if with_telemetry else 'a.run.json'}: its sidecar holds variables that are no"
        " PARAPHINA_* knobs, left out: AWS_SECRET_ACCESS_KEY, DATABASE_URL, GITHUB_TOKEN, PARAPHINA, "
        "PARAPHINAX_TOKEN, ..."
    ]
    kept = {"PARAPHINA_VOL_REF", "PARAPHINA_API_KEY", "PARAPHINA_HEDGE_MAX_STEP"}
    run = ask_one(warehouse, "SELECT knobs_json, vol_ref FROM runs")
    assert (json.loads(run["knobs_json"]).keys(), run["vol_ref"]) == (kept, 0.5)
    found = everything_below(warehouse.path)
    assert [name for name, value in PLANTED.items() if value.encode() in found and name not in kept] == []


def test_the_command_line_and_what_the_engine_prints_are_kept_as_they_are(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is why a password belongs into neither: it would be stored."""
    engine = write(
        tmp_path / "engine",
        f"#!{sys.executable}\nimport os, sys\nprint('token', os.environ.get('PLANTED'))\n"
        "print('said', file=sys.stderr)\nsys.exit(3)\n",
    )
    engine.chmod(0o755)
    monkeypatch.setenv("PLANTED", "printed-by-the-engine")
    done = invoke("run", "exp13", "--engine", engine, "--profiles", "balanced", "--runs-per-profile", "1")
    assert done.exit_code == 1
    base = tmp_path / "runs" / "exp13_auto" / "balanced_r1"
    assert base.with_suffix(".stdout.txt").read_text() == "token printed-by-the-engine\n"
    assert base.with_suffix(".stderr.txt").read_text() == "said\n"
    (command,) = json.loads(invoke("query", "SELECT command_json FROM runs", "--format", "json").stdout)
    assert json.loads(command["command_json"])[0] == str(engine)
    assert b"printed-by-the-engine" not in everything_below(tmp_path / "warehouse")
