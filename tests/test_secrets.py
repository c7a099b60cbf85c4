"""Secrets: provenance holds the `PARAPHINA_*` overlay of a run and nothing else of the environment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import duckdb
import pytest

from paraphina_wh.engine.knobs import is_of_overlay
from paraphina_wh.masking import MASK
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
    name = "a.jsonl" if with_telemetry else "a.run.json"
    assert report.warnings == [
        f"in/{name}: its sidecar holds variables that are no"
        " PARAPHINA_* knobs, left out: AWS_SECRET_ACCESS_KEY, DATABASE_URL, GITHUB_TOKEN, PARAPHINA, "
        "PARAPHINAX_TOKEN, ...",
        f"in/{name}: its sidecar holds what is named like a secret, masked: PARAPHINA_API_KEY",
    ]
    run = ask_one(warehouse, "SELECT knobs_json, vol_ref FROM runs")
    assert (json.loads(run["knobs_json"]), run["vol_ref"]) == (
        {"PARAPHINA_VOL_REF": "0.5", "PARAPHINA_API_KEY": MASK, "PARAPHINA_HEDGE_MAX_STEP": "7.062834517"},
        0.5,
    )
    found = everything_below(warehouse.path)
    assert [name for name, value in PLANTED.items() if value.encode() in found] == ["PARAPHINA_HEDGE_MAX_STEP"]


def test_whatever_a_sidecar_names_like_a_secret_is_masked_everywhere(invoke: Invoke, warehouse: Warehouse) -> None:
    """Knobs, labels, command line, and the error that repeats one of them."""
    base = warehouse.root / "in" / "a"
    labels = {"experiment": "e", "api_token": "planted-label", "n": 1}
    sidecar(
        base,
        experiment="e",
        label=json.dumps(labels, sort_keys=True, separators=(",", ":")),
        labels=labels,
        knobs={"PARAPHINA_API_KEY": "planted-knob", "PARAPHINA_TRADE_MODE": "live://me:planted-inside@host"},
        command=["engine", "--api-key", "planted-word", "--password=planted-equals", "--ticks", "2"],
        status="failed",
        error="refused planted-knob, TOKEN=planted-error",
        engine="external",
        engine_path="engine",
        engine_sha256="0" * 64,
    )
    taken = invoke("ingest", "in")
    names = "PARAPHINA_API_KEY, PARAPHINA_TRADE_MODE, TOKEN, api-key, api_token, ..."
    assert taken.stderr.startswith(
        f"warning: in/a.run.json: its sidecar holds what is named like a secret, masked: {names}\n"
    )
    assert "planted" not in everything_below(warehouse.path).decode("latin-1")
    assert "planted" not in taken.stderr + taken.stdout
    run = ask_one(warehouse, "SELECT run_id, label, label_json, knobs_json, command_json, error FROM runs")
    assert json.loads(run["label"]) == json.loads(run["label_json"]) == labels | {"api_token": MASK}
    assert json.loads(run["command_json"]) == ["engine", "--api-key", MASK, f"--password={MASK}", "--ticks", "2"]
    assert json.loads(run["knobs_json"])["PARAPHINA_TRADE_MODE"] == f"live://{MASK}@host"
    assert run["error"] == f"refused {MASK}, TOKEN={MASK}"
    refused = invoke("rerun", run["run_id"])
    assert "a secret in its knobs_json was masked when it came in" in refused.stderr
    assert refused.exit_code == 2
    assert "1 unchanged" in invoke("ingest", "in").stderr


def test_columns_of_a_table_that_are_named_like_secrets_are_masked(warehouse: Warehouse) -> None:
    rows = "profile,api_key,band_base,pnl_total,repeat\nbalanced,planted-cell,0.5,1.0,1\nbalanced,,0.5,1.0,2\n"
    summary = "profile,password,final_pnl_mean,max_drawdown_mean\nbalanced,planted-cell,1.0,2.0\n"
    write(warehouse.root / "in" / "a_runs.csv", rows)
    write(warehouse.root / "in" / "b_summary.csv", summary)
    report = ingest(warehouse, warehouse.root / "in")
    assert [(each.status, each.warnings) for each in report] == [
        ("ingested", ["columns named like a secret, masked: api_key"]),
        ("ingested", ["columns named like a secret, masked: password"]),
    ]
    labels = [json.loads(label).get("api_key") for (label,) in ask(warehouse, "SELECT label FROM runs ORDER BY repeat")]
    assert labels == [MASK, None]
    assert b"planted" not in everything_below(warehouse.path)


def test_an_experiment_of_ones_own_names_no_secret(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "night.toml", SPEC.replace("[knobs]", '[constants]\napi_key = "planted"\n\n[knobs]'))
    refused = invoke("run", "night.toml", "--dry-run")
    assert "'api_key' is named like a secret, and would stand in labels and tables" in refused.stderr
    assert refused.exit_code == 2


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
