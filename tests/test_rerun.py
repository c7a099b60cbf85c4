"""Replay: recorded runs run again from their provenance, and compared with what the warehouse holds.

The runs are real: exp13 made them, once for all tests, and each test gets a copy. What was changed since is one edit,
made inside the test: of what was recorded, or of an engine that does as `mood.py` beside it says.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from paraphina_wh.cli import main
from paraphina_wh.errors import WarehouseError
from paraphina_wh.rerun import Options, Recorded, Rerun, difference_text, find_runs, rerun, rerun_many, runs_of
from paraphina_wh.rerun.fields import FieldDifference, differing_fields
from paraphina_wh.rerun.replay import plan_replays
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke
from tests.research_runs import add_runs
from tests.telemetry_maker import files_below, reference_run, sidecar, write
from tests.test_engine_run import is_alive, wait_until

TICKS = 10
LABEL = "exp13_balanced_r001"
TELEMETRY = "runs/exp13_auto/balanced_r1.jsonl"
SIDECAR = "runs/exp13_auto/balanced_r1.run.json"

# The reference engine, and after it whatever the test makes of its telemetry.
_MOODY_ENGINE = """
import json, os, sys, time
from pathlib import Path
from paraphina_wh.reference_engine.cli import main
code = main(sys.argv[1:])
telemetry = Path(os.environ.get("PARAPHINA_TELEMETRY_PATH", "none"))
if os.path.exists("mood.py"):
    exec(open("mood.py").read())
sys.exit(code)
"""


def but_doors(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return the files below a folder but for those that a copy of a warehouse gets anew when it is read."""
    doors = ("warehouse/init.sql", "warehouse/paraphina.duckdb")
    return {path: state for path, state in files_below(folder).items() if not path.endswith(doors)}


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an engine that behaves until a `mood.py` in the current folder says otherwise."""
    return executable(tmp_path_factory.mktemp("engine") / "moody", _MOODY_ENGINE)


@pytest.fixture(scope="module")
def reference_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ROOT with a run of every profile by the reference engine, one knob set."""
    root = tmp_path_factory.mktemp("reference")
    in_root(root, "run", "exp13", *one_each("reference"), "--set", "MM_SIZE_ETA=2")
    return root


@pytest.fixture(scope="module")
def moody_root(tmp_path_factory: pytest.TempPathFactory, moody: Path) -> Path:
    """Return a ROOT with one run by the moody engine."""
    root = tmp_path_factory.mktemp("moody")
    in_root(root, "run", "exp13", *one_each(moody), "--profiles", "balanced")
    return root


@pytest.fixture(scope="module")
def altered_root(tmp_path_factory: pytest.TempPathFactory, reference_root: Path) -> Path:
    """Return a ROOT whose warehouse took in runs after one edit each: of telemetry, stdout or sidecar."""
    root = tmp_path_factory.mktemp("altered") / "root"
    shutil.copytree(reference_root, root)
    shutil.rmtree(root / "warehouse")
    telemetry = (root / TELEMETRY).read_bytes()
    lines = telemetry.splitlines(keepends=True)
    stdout = (root / TELEMETRY).with_suffix(".stdout.txt").read_text()
    altered_run(root, "knob", telemetry, knobs={"PARAPHINA_MM_SIZE_ETA": "3"})
    altered_run(root, "shell", telemetry, command=["/bin/sh", "-c", "touch harm"])
    altered_run(root, "cut_off", telemetry[:-1000])
    altered_run(root, "bad_line", b"".join([*lines[:5], b"{bad}\n", *lines[6:]]))
    altered_run(root, "twice", telemetry * 2)
    for number, text in enumerate((stdout, stdout.replace("Kill switch: false", "Kill switch: true"))):
        write(root / f"altered/run_{number}.stdout.txt", text)
        altered_run(root, f'{{"repeat":{number}}}', None, name=f"run_{number}", labels={"repeat": number})
    killing = {"INIT_Q_TAO": "-40", "DAILY_LOSS_LIMIT": "100", "HEDGE_MAX_STEP": "0"}
    reference_run(root / "altered/balanced_killed.jsonl", ticks=300, seed=1, knobs=killing)
    altered_run(root, "killed", None, name="balanced_killed", **run_of_300_ticks(root, killing))
    in_root(root, "ingest", root / "altered", "--on-error", "quarantine", "--split-on-reset")
    return root


def altered_run(root: Path, label: str, telemetry: bytes | None, name: str | None = None, **fields: Any) -> None:
    """Write a run for the ingest, with stdout and sidecar of the real one but for its label and these fields.

    telemetry: None when telemetry or stdout are there already.
    """
    base = root / "altered" / (name or label)
    if telemetry is not None:
        write(base.with_name(f"{base.name}.jsonl"), telemetry)
        shutil.copy((root / TELEMETRY).with_suffix(".stdout.txt"), base.with_name(f"{base.name}.stdout.txt"))
    known = json.loads((root / SIDECAR).read_text())
    sidecar(base, **known | {"label": label, "run_name": base.name, **fields})


def run_of_300_ticks(root: Path, knobs: dict[str, str]) -> dict[str, Any]:
    """Return what its sidecar says of the command line and the knobs."""
    command = json.loads((root / SIDECAR).read_text())["command"]
    return {
        "command": ["300" if argument == str(TICKS) else argument for argument in command],
        "knobs": {f"PARAPHINA_{name}": value for name, value in knobs.items()},
    }


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with runs that have no more than a name."""
    warehouse = locate(tmp_path_factory.mktemp("ledger"))
    named_alike = [{"run_id": f"id-lab-{p}", "profile": p, "label": "lab"} for p in ("balanced", "aggressive")]
    add_runs(warehouse, named_alike)
    by_status = [{"profile": "balanced", "label": status, "status": status} for status in ("ok", "failed", "timeout")]
    add_runs(warehouse, by_status, experiment="exp04_multi_scenario")
    for experiment in ("exp05", "exp05_telemetry_validation"):
        add_runs(warehouse, [{"profile": "balanced", "label": f"of {experiment}"}], experiment=experiment)
    return warehouse


def one_each(engine: str | Path) -> list[str | Path]:
    return ["--engine", engine, "--ticks", str(TICKS), "--runs-per-profile", "1", "--seed-start", "1"]


def in_root(root: Path, *arguments: str | Path) -> None:
    """Run a command line that ends well, without settings of the developer."""
    environment = {name: None for name in os.environ if name.startswith("PARAPHINA_")}
    done = CliRunner().invoke(main, ["--root", str(root), *map(str, arguments)], env=environment)
    assert done.exit_code == 0, done.stderr


@pytest.fixture
def runs_of_the_reference(reference_root: Path, tmp_path: Path) -> None:
    """Put a run of every profile by the reference engine into the ROOT of this test."""
    shutil.copytree(reference_root, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def run_of_the_moody(moody_root: Path, tmp_path: Path) -> None:
    """Put a run by the moody engine into the ROOT of this test."""
    shutil.copytree(moody_root, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def altered_runs(altered_root: Path, tmp_path: Path) -> None:
    """Put the runs that were altered before their ingest into the ROOT of this test."""
    shutil.copytree(altered_root, tmp_path, dirs_exist_ok=True)


def recorded_otherwise(root: Path, **fields: Any) -> Recorded:
    """Return a run of this ROOT as if these columns of its ledger row had other values."""
    (run,) = find_runs(locate(root), [LABEL])
    return Recorded(row=msgspec.structs.replace(run.row, **fields), experiment=run.experiment)


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o755)
    return path


def in_the_mood(root: Path, edit: str) -> None:
    """Have the moody engine change `records`, the list of its ticks."""
    (root / "mood.py").write_text(
        "records = [json.loads(line) for line in telemetry.open()]\n"
        f"{edit}\n"
        "telemetry.write_text(''.join(json.dumps(record) + '\\n' for record in records))\n"
    )


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def said(result: Result) -> tuple[int, str, str]:
    return result.exit_code, result.stdout, result.stderr


# --- runs that come out the same ----------------------------------------------------------------------


@pytest.mark.usefixtures("runs_of_the_reference")
def test_every_run_of_an_experiment_comes_out_identical_and_nothing_is_left_behind(
    invoke: Invoke, tmp_path: Path
) -> None:
    before = but_doors(tmp_path)

    done = invoke("rerun", "--experiment", "exp13", "--verify", "--format", "jsonl")

    runs = [
        (profile, f"exp13_{profile}_r001", tmp_path / f"runs/exp13_auto/{profile}_r1.jsonl")
        for profile in ("aggressive", "balanced", "conservative")
    ]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [{k: v for k, v in row.items() if k != "run_id"} for row in rows] == [
        {"profile": p, "label": label, "verdict": "identical", "detail": f"10 ticks, sha256 {sha256_of(file)}"}
        for p, label, file in runs
    ]
    assert (done.exit_code, done.stderr) == (0, "3 identical\n")
    assert but_doors(tmp_path) == before


@pytest.mark.usefixtures("runs_of_the_reference")
def test_one_run_gives_one_line_under_its_label_its_run_id_and_the_start_of_it(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded_otherwise(tmp_path).row.run_id
    # Knobs of the shell do not reach the engine.
    monkeypatch.setenv("PARAPHINA_MM_SIZE_ETA", "50")

    verdict = f"identical: 10 ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}\n"
    for name in (LABEL, run_id, run_id[:6]):
        assert said(invoke("rerun", name, "--verify")) == (0, verdict, "")


@pytest.mark.usefixtures("altered_runs")
def test_knobs_and_the_kill_are_part_of_the_run(invoke: Invoke, tmp_path: Path) -> None:
    killed = records(tmp_path / "altered/balanced_killed.jsonl")
    assert killed[-1]["kill_switch"]
    assert len(killed) < 300

    done = invoke("rerun", "killed", "--verify")

    verdict = f"identical: {len(killed)} ticks, sha256 {sha256_of(tmp_path / 'altered/balanced_killed.jsonl')}\n"
    assert said(done) == (0, verdict, "")


@pytest.mark.usefixtures("altered_runs")
def test_runs_without_telemetry_are_compared_by_their_stdout(invoke: Invoke, tmp_path: Path) -> None:
    sha256, other = (sha256_of(tmp_path / f"altered/run_{number}.stdout.txt") for number in (0, 1))

    assert said(invoke("rerun", '{"repeat":0}', "--verify")) == (0, f"identical: sha256 {sha256}\n", "")
    verdict = (
        f"different: stdout_kill_switch: recorded true, now false; stdout_sha256: recorded {other}, now {sha256}\n"
    )
    assert said(invoke("rerun", '{"repeat":1}', "--verify")) == (1, verdict, "")

    assert list(tmp_path.glob("altered/run_*.jsonl")) == []


# --- runs that do not ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("altered_runs")
def test_with_one_knob_changed_the_first_difference_is_named(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("rerun", "knob", "--verify", "-o", "kept")

    recorded, now = records(tmp_path / TELEMETRY), records(tmp_path / "kept/knob.jsonl")
    assert [old == new for old, new in zip(recorded, now, strict=True)] == [False] * 10
    # A larger eta quotes smaller: everything before the size of the first quote is the same.
    changed = [name for name in recorded[0] if recorded[0][name] != now[0][name]]
    assert changed == ["orders", "quote_levels", "would_send_orders"]
    first, first_now = recorded[0]["quote_levels"][0], now[0]["quote_levels"][0]
    assert {name for name in first if first[name] != first_now[name]} == {"size_final", "size_raw"}
    assert (done.exit_code, done.stdout) == (
        1,
        f"different: first at t=0: quote_levels[0].size_final: recorded {first['size_final']}, "
        f"now {first_now['size_final']} (10 of 10 ticks differ)\n",
    )
    assert "knob: at t=0 also quote_levels[0].size_raw, quote_levels[1].size_final," in done.stderr
    assert "knob: cfg_hash: recorded 0x" in done.stderr
    assert "knob: stdout_pnl_total: recorded " in done.stderr


@pytest.mark.usefixtures("run_of_the_moody")
def test_one_value_of_one_fill_is_found(invoke: Invoke, tmp_path: Path) -> None:
    in_the_mood(tmp_path, "records[8]['fills'][3]['price'] += 0.5")

    done = invoke("rerun", LABEL, "--verify", "--format", "json")

    price = records(tmp_path / TELEMETRY)[8]["fills"][3]["price"]
    found = json.loads(done.stdout)
    fresh = found.pop("sha256")
    assert found == {
        "run_id": found["run_id"],
        "profile": "balanced",
        "label": LABEL,
        "verdict": "different",
        "error": None,
        "recorded_sha256": sha256_of(tmp_path / TELEMETRY),
        "ticks_recorded": 10,
        "ticks_now": 10,
        "ticks_differing": 1,
        "t": 8,
        "fields": [{"field": "fills[3].price", "recorded": price, "now": price + 0.5}],
        "metrics": [],
        "notes": [],
        "kept": [],
    }
    assert fresh != found["recorded_sha256"]
    assert (done.exit_code, done.stderr) == (1, "")


@pytest.mark.usefixtures("run_of_the_moody")
def test_each_kind_of_value_is_found(tmp_path: Path) -> None:
    in_the_mood(
        tmp_path,
        """
tick = records[7]
tick['venue_mid_usd'][2] = 1.5
tick['fills'].append({})
tick['hedge_delta_h_t'] = -0.0
tick['kf_x_hat'] = None
del tick['kf_p']
tick['novelty'] = {'rank': 3}
""",
    )

    done = rerun(locate(tmp_path), LABEL)

    tick = records(tmp_path / TELEMETRY)[7]
    assert (done.verdict, done.t, done.ticks_differing) == ("different", 7, 1)
    assert {difference_text(difference) for difference in done.fields} == {
        f"venue_mid_usd[2]: recorded {tick['venue_mid_usd'][2]}, now 1.5",
        "len(fills): recorded 0, now 1",
        "hedge_delta_h_t: recorded 0.0, now -0.0",
        f"kf_x_hat: recorded {tick['kf_x_hat']}, now null",
        f"kf_p: recorded {tick['kf_p']}, now null",
        'novelty: recorded null, now {"rank": 3}',
    }


@pytest.mark.usefixtures("run_of_the_moody")
def test_a_repetition_with_missing_or_added_ticks_has_failed(invoke: Invoke, tmp_path: Path) -> None:
    in_the_mood(tmp_path, "del records[8:]")
    code, shorter, warnings = said(invoke("rerun", LABEL, "--verify"))
    assert (code, shorter.split(";")[0], warnings) == (
        1,
        "failed: telemetry ends after 8 of 10 ticks, without a kill",
        "",
    )

    in_the_mood(tmp_path, "records.append(records[9] | {'t': 10})")
    longer = "failed: 11 telemetry records where 10 ticks were asked for\n"
    assert said(invoke("rerun", LABEL, "--verify")) == (1, longer, "")


@pytest.mark.usefixtures("run_of_the_moody")
def test_missing_and_added_ticks_are_differences_from_a_run_that_failed(tmp_path: Path) -> None:
    failed = recorded_otherwise(tmp_path, status="failed")
    in_the_mood(tmp_path, "del records[8:]")
    (shorter,) = rerun_many(locate(tmp_path), [failed])
    assert shorter.detail == "first at t=8: recorded 10 ticks, now 8 (2 of 10 ticks differ)"

    in_the_mood(tmp_path, "records.append(records[9] | {'t': 10})")
    (longer,) = rerun_many(locate(tmp_path), [failed])
    assert longer.detail == "first at t=10: recorded 10 ticks, now 11 (1 of 11 ticks differ)"


@pytest.mark.usefixtures("run_of_the_moody")
def test_the_same_values_in_other_bytes_are_identical_and_this_is_said(invoke: Invoke, tmp_path: Path) -> None:
    in_the_mood(tmp_path, "records = [dict(reversed(record.items())) for record in records]")

    done = invoke("rerun", LABEL, "--verify")

    warning = f"warning: {LABEL}: the bytes of the telemetry differ, every value is the same\n"
    assert said(done) == (0, "identical: 10 ticks compared, value by value\n", warning)


@pytest.mark.usefixtures("run_of_the_moody")
def test_more_words_on_stdout_are_no_difference_but_this_is_said(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mood.py").write_text("print('more to say')")
    warning = f"warning: {LABEL}: stdout is another text with the same metrics\n"
    verdict = f"identical: 10 ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}\n"
    assert said(invoke("rerun", LABEL, "--verify")) == (0, verdict, warning)


@pytest.mark.usefixtures("run_of_the_moody")
def test_telemetry_that_breaks_the_contract_now_is_different(invoke: Invoke, tmp_path: Path) -> None:
    in_the_mood(tmp_path, "records[3]['pnl_total'] = 'much'")
    done = invoke("rerun", LABEL, "--verify")
    assert (done.exit_code, done.stdout) == (
        1,
        "different: first at t=3: recorded 10 ticks, now 9 (1 of 10 ticks differ)\n",
    )
    assert "1 lines of the repeated telemetry break the contract: line 4: pnl_total: expected number" in done.stderr

    (tmp_path / "mood.py").write_text("telemetry.write_text('no JSON\\n')")
    done = invoke("rerun", LABEL, "--verify")
    assert (done.exit_code, done.stdout) == (1, "different: recorded 10 ticks, now 0 (10 of 10 ticks differ)\n")
    assert f"warning: {LABEL}: the repeated telemetry is not usable: line 1" in done.stderr


@pytest.mark.usefixtures("run_of_the_moody")
def test_an_engine_that_fails_now_is_a_failure_not_a_difference(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mood.py").write_text("print('out of luck', file=sys.stderr); sys.exit(3)")
    kept = invoke("rerun", LABEL, "--verify", "-o", "kept")
    assert said(kept) == (1, "failed: exit code 3 (out of luck)\n", f"wrote kept/{LABEL}.jsonl\n")
    assert json.loads((tmp_path / f"kept/{LABEL}.run.json").read_text())["error"] == "exit code 3"
    assert "out of luck" in (tmp_path / f"kept/{LABEL}.stderr.txt").read_text()

    (tmp_path / "mood.py").write_text("telemetry.unlink()")
    assert said(invoke("rerun", LABEL, "--verify")) == (1, "failed: no telemetry written\n", "")

    (tmp_path / "mood.py").write_text("time.sleep(60)")
    done = invoke("rerun", LABEL, "--verify", "--timeout", "0.5")
    assert said(done) == (1, "failed: timed out after 0.5 s\n", "")


# --- runs of which less is stored ---------------------------------------------------------------------


@pytest.mark.usefixtures("altered_runs")
def test_a_run_that_was_cut_off_is_compared_as_far_as_it_is_stored(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("rerun", "cut_off", "--verify")

    note = "the stored telemetry was cut off: its 9 ticks are compared"
    verdict = "identical: 9 of 10 ticks compared, those that are stored\n"
    assert said(done) == (0, verdict, f"warning: cut_off: {note}\n")
    found = rerun(locate(tmp_path), "cut_off")
    assert (found.ticks_recorded, found.ticks_now, found.ticks_differing, found.notes) == (9, 10, 0, (note,))


@pytest.mark.usefixtures("altered_runs")
def test_lines_that_were_put_aside_do_not_count(invoke: Invoke) -> None:
    assert said(invoke("rerun", "bad_line", "--verify")) == (
        0,
        "identical: 9 of 10 ticks compared, those that are stored\n",
        "warning: bad_line: 1 lines of the stored telemetry were put aside: its 9 ticks are compared\n",
    )


@pytest.mark.usefixtures("altered_runs")
def test_a_stretch_of_an_appended_file_is_a_run_like_any_other(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("rerun", "twice_s2", "--verify")

    assert said(done) == (0, f"identical: 10 ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}\n", "")


@pytest.mark.usefixtures("run_of_the_moody")
def test_a_failed_run_that_fails_alike_is_identical(tmp_path: Path) -> None:
    failed = recorded_otherwise(tmp_path, status="failed", returncode=3)
    (tmp_path / "mood.py").write_text("sys.exit(3)")
    (alike,) = rerun_many(locate(tmp_path), [failed])
    assert (alike.verdict, alike.detail) == ("identical", f"10 ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}")

    (tmp_path / "mood.py").unlink()
    (otherwise,) = rerun_many(locate(tmp_path), [failed])
    assert (otherwise.verdict, otherwise.detail) == (
        "different",
        "status: recorded failed, now ok; returncode: recorded 3, now 0",
    )


@pytest.mark.usefixtures("run_of_the_moody")
def test_a_run_that_ran_out_of_time_has_nothing_to_verify(tmp_path: Path) -> None:
    late = recorded_otherwise(tmp_path, status="timeout")

    with pytest.raises(WarehouseError, match="ran out of time: what it left depends on the clock") as caught:
        rerun_many(locate(tmp_path), [late])

    assert caught.value.exit_code == 2
    (done,) = rerun_many(locate(tmp_path), [late], Options(verify=False))
    assert (done.verdict, done.detail) == ("done", f"in runs/rerun/{LABEL}/{LABEL}.jsonl")


# --- which run ----------------------------------------------------------------------------------------


def test_an_ambiguous_name_is_answered_with_the_runs_it_names(invoke: Invoke, ledger: Warehouse) -> None:
    hint = "give one run_id: id-lab-aggressive aggressive lab; id-lab-balanced balanced lab"

    for name in ("lab", "id-lab"):
        refused = invoke("--root", ledger.root, "rerun", name)
        assert said(refused) == (2, "", f"error: {name!r} names 2 runs\nhint: {hint}\n")


def test_an_experiment_goes_by_the_name_of_its_command_too_and_failed_runs_are_left_out(
    invoke: Invoke, ledger: Warehouse
) -> None:
    for name in ("exp04", "exp04_multi_scenario"):
        found = invoke("--root", ledger.root, "rerun", "--experiment", name)
        assert (found.exit_code, found.stdout) == (2, "")
        assert found.stderr.splitlines()[:2] == [
            f"{name}: 2 failed runs left out; name them to run them again",
            "error: run id-ok (balanced, ok) cannot be repeated: its provenance lacks command_json, engine_path, "
            "engine_sha256",
        ]
    there = "experiments: exp04_multi_scenario, exp05, exp05_telemetry_validation, exp13_auto"
    for name, hint in (("exp03", "did you mean exp05?"), ("night", there)):
        refused = invoke("--root", ledger.root, "rerun", "--experiment", name)
        assert said(refused) == (2, "", f"error: no good runs of experiment {name!r}\nhint: {hint}\n")


def test_runs_that_carry_the_name_themselves_come_first(ledger: Warehouse) -> None:
    runs, _ = runs_of(ledger, "exp05", "exp05_telemetry_validation")

    assert [run.row.label for run in runs] == ["of exp05"]


@pytest.mark.parametrize("name", ["exp13_balanced_r002", "", "zzz", "%", "exp13"])
@pytest.mark.usefixtures("runs_of_the_reference")
def test_an_unknown_name_is_refused(invoke: Invoke, name: str) -> None:
    refused = invoke("rerun", name, "--verify")
    hint = "paraphina-wh query 'select run_id, label from runs'"
    assert said(refused) == (2, "", f"error: no run {name!r}\nhint: {hint}\n")


def test_what_to_run_must_be_said_once(invoke: Invoke, tmp_path: Path) -> None:
    for arguments in ([], ["x", "--experiment", "exp13"]):
        refused = invoke("rerun", *arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "name runs, or an experiment with --experiment" in refused.stderr
    assert invoke("rerun", "--experiment", "").exit_code == 2
    assert list(tmp_path.iterdir()) == []


# --- which engine -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run_of_the_moody")
def test_another_engine_is_refused_unless_forced(invoke: Invoke, tmp_path: Path, moody: Path) -> None:
    rebuilt = executable(tmp_path / "rebuilt", _MOODY_ENGINE + "# rebuilt\n")
    now, recorded = sha256_of(rebuilt), sha256_of(moody)

    refused = invoke("rerun", LABEL, "--verify", "--engine", "rebuilt")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"the engine {rebuilt} is not the one that made it (sha256 {now[:12]}..., recorded {recorded[:12]}...)" in (
        refused.stderr
    )
    assert "--force" in refused.stderr

    forced = invoke("rerun", LABEL, "--verify", "--engine", "rebuilt", "--force")
    warning = f"warning: {LABEL}: run by another engine than the recorded one: {rebuilt}\n"
    assert said(forced) == (0, f"identical: 10 ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}\n", warning)


@pytest.mark.usefixtures("run_of_the_moody")
def test_an_engine_that_moved_is_named_with_engine(tmp_path: Path, moody: Path) -> None:
    command = json.dumps(["/gone", "--ticks", "10", "--profile", "balanced", "--seed", "1"])
    moved = recorded_otherwise(tmp_path, engine_path="/gone", command_json=command)

    with pytest.raises(WarehouseError, match="engine /gone is missing") as caught:
        plan_replays(locate(tmp_path), [moved])
    assert (caught.value.hint, caught.value.exit_code) == ("name where it lies now with --engine", 2)

    (replay,) = plan_replays(locate(tmp_path), [moved], str(moody))
    assert replay.command == (str(moody), "--ticks", "10", "--profile", "balanced", "--seed", "1")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"command_json": '["/bin/sh", "-c", "touch harm"]'}, "does not begin with its engine: ['/bin/sh', '-c',"),
        (
            {"engine": "external", "engine_path": "/bin/sh", "command_json": '["/bin/sh", "-c", "touch harm"]'},
            "has flags that engines do not know: ['-c', 'touch harm']",
        ),
        ({"command_json": '["py", "-P", "-m", "paraphina_wh.reference_engine", "--ticks", "3; touch harm"]'}, "flags"),
        ({"command_json": '["python", "-m", "paraphina_wh.reference_engine", "--log-jsonl", "harm"]'}, "flags"),
        ({"command_json": "[]"}, "its provenance lacks command_json"),
        ({"command_json": None}, "its provenance lacks command_json"),
        ({"engine": "external", "engine_path": None}, "its provenance lacks engine_path"),
        ({"engine_sha256": None}, "its provenance lacks engine_sha256"),
        ({"knobs_json": '{"PARAPHINA_HEDGE_BAND": "5"}'}, "unknown engine knob 'PARAPHINA_HEDGE_BAND'"),
        ({"knobs_json": '{"LD_PRELOAD": "harm.so"}'}, "unknown engine knob 'LD_PRELOAD'"),
        ({"knobs_json": '{"PARAPHINA_VOL_REF": "nan"}'}, "VOL_REF: 'nan' is not a finite number"),
    ],
)  # fmt: skip
def test_what_was_recorded_is_not_trusted(reference_root: Path, fields: dict[str, Any], problem: str) -> None:
    run = recorded_otherwise(reference_root, **{"engine_sha256": sha256_of(Path("/bin/sh")), **fields})

    with pytest.raises(WarehouseError) as caught:
        plan_replays(locate(reference_root), [run])

    assert problem in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("altered_runs")
def test_an_edited_sidecar_starts_no_other_program(invoke: Invoke, tmp_path: Path) -> None:
    before = but_doors(tmp_path)

    refused = invoke("rerun", "shell", "--verify")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "is not repeated: the recorded command does not begin with its engine: ['/bin/sh', '-c'," in refused.stderr
    assert but_doors(tmp_path) == before


def test_recorded_telemetry_knobs_lead_nowhere(reference_root: Path) -> None:
    old = {"PARAPHINA_TELEMETRY_PATH": "old.jsonl", "PARAPHINA_TELEMETRY_APPEND": "1", "PARAPHINA_VOL_REF": "0.5"}
    run = recorded_otherwise(reference_root, knobs_json=json.dumps(old | {"PARAPHINA_TELEMETRY_MODE": "jsonl"}))

    (replay,) = plan_replays(locate(reference_root), [run])

    assert replay.knobs == {"PARAPHINA_VOL_REF": "0.5"}


# --- what is kept -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("runs_of_the_reference")
def test_without_verify_the_files_are_kept_and_an_ingest_meets_the_same_run(invoke: Invoke, tmp_path: Path) -> None:
    for _ in range(2):
        assert said(invoke("rerun", LABEL)) == (0, f"done: in runs/rerun/{LABEL}/{LABEL}.jsonl\n", "")

    kept = tmp_path / "runs/rerun" / LABEL
    endings = (".jsonl", ".run.json", ".stderr.txt", ".stdout.txt")
    assert sorted(path.name for path in kept.iterdir()) == [LABEL + ending for ending in endings]
    for ending in (".jsonl", ".stdout.txt", ".stderr.txt"):
        original = tmp_path / f"runs/exp13_auto/balanced_r1{ending}"
        assert (kept / (LABEL + ending)).read_bytes() == original.read_bytes()
    old, new = (json.loads(path.read_text()) for path in (tmp_path / SIDECAR, kept / f"{LABEL}.run.json"))
    assert {name for name in old if old[name] != new[name]} == {"started_at", "duration_sec"}
    taken_in = invoke("ingest", "runs/rerun", "--format", "csv")
    assert taken_in.stdout.splitlines()[1].split(",")[2] == "unchanged"


@pytest.mark.usefixtures("runs_of_the_reference")
def test_a_folder_that_holds_a_run_of_this_name_is_not_touched(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / f"mine/{LABEL}.jsonl", "precious")
    before = but_doors(tmp_path)

    refused = invoke("rerun", LABEL, "--verify", "-o", "mine")
    assert said(refused) == (
        2,
        "",
        f"error: {tmp_path}/mine/{LABEL}.jsonl is there already\nhint: name another folder with -o\n",
    )
    inside = invoke("rerun", LABEL, "--verify", "-o", "warehouse/telemetry")
    assert (inside.exit_code, inside.stdout) == (2, "")
    assert "inside the warehouse" in inside.stderr
    assert invoke("rerun", LABEL, "-o", f"mine/{LABEL}.jsonl").exit_code == 2
    assert but_doors(tmp_path) == before


@pytest.mark.usefixtures("runs_of_the_reference")
def test_several_runs_are_kept_side_by_side(invoke: Invoke, tmp_path: Path) -> None:
    names = ["exp13_aggressive_r001", LABEL]

    done = invoke("rerun", *names, "--verify", "-o", "deep/er", "--jobs", "2", "--format", "csv")

    assert [line.split(",")[3] for line in done.stdout.splitlines()] == ["verdict", "identical", "identical"]
    assert sorted(path.name for path in (tmp_path / "deep/er").glob("*.jsonl")) == [f"{name}.jsonl" for name in names]


@pytest.mark.usefixtures("runs_of_the_reference")
def test_a_run_by_another_engine_is_kept_under_another_plan(invoke: Invoke, tmp_path: Path, moody: Path) -> None:
    invoke("rerun", LABEL, "--engine", moody, "--force")

    old, new = (
        json.loads(path.read_text()) for path in (tmp_path / SIDECAR, tmp_path / f"runs/rerun/{LABEL}/{LABEL}.run.json")
    )
    assert new["engine"] == "external"
    assert new["command"] == [str(moody), "--ticks", "10", "--profile", "balanced", "--seed", "1"]
    assert new["plan_key"] == f"{old['plan_key']}-{sha256_of(moody)[:12]}"


@pytest.mark.usefixtures("run_of_the_moody")
def test_ctrl_c_stops_the_engine_and_leaves_nothing(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mood.py").write_text("print(os.getpid(), file=open('pid', 'w'), flush=True)\ntime.sleep(60)")
    before = but_doors(tmp_path)

    process = subprocess.Popen(
        [sys.executable, "-m", "paraphina_wh", "rerun", LABEL, "--verify", "-o", "kept"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text().endswith("\n"))
    engine = int((tmp_path / "pid").read_text())
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=600)

    assert (process.returncode, stdout) == (130, "")
    assert stderr.startswith("error: interrupted\n")
    assert not is_alive(engine)
    (tmp_path / "pid").unlink()
    assert but_doors(tmp_path) == before
    assert not (tmp_path / "kept").exists()
    assert list((tmp_path / "warehouse/_staging").iterdir()) == []


# --- from Python --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("runs_of_the_reference")
def test_the_api_returns_what_came_of_a_run(invoke: Invoke, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path, tmp_path / "warehouse")
    run_id = recorded_otherwise(tmp_path).row.run_id
    sha256 = sha256_of(tmp_path / TELEMETRY)

    assert rerun(warehouse, LABEL) == Rerun(
        run_id=run_id,
        profile="balanced",
        label=LABEL,
        verdict="identical",
        recorded_sha256=sha256,
        sha256=sha256,
        ticks_recorded=10,
        ticks_now=10,
        ticks_differing=0,
    )
    with pytest.raises(WarehouseError, match="no run 'x'"):
        rerun(warehouse, "x")


@pytest.mark.usefixtures("run_of_the_moody")
def test_stored_ticks_that_are_gone_are_damage(invoke: Invoke, tmp_path: Path) -> None:
    in_the_mood(tmp_path, "records[1]['kf_p'] = 1.0")
    (file,) = (tmp_path / "warehouse/telemetry").glob(f"*/label={LABEL}/*.parquet")
    file.unlink()

    done = invoke("rerun", LABEL, "--verify")

    assert (done.exit_code, done.stdout) == (1, "")
    assert f"its ticks are missing: {file}" in done.stderr


@pytest.mark.parametrize(
    ("recorded", "now", "expected"),
    [
        ({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 3]}}, [("b.c[1]", 2, 3)]),
        ({"a": [1, 2]}, {"a": [2]}, [("a[0]", 1, 2), ("len(a)", 2, 1)]),
        ({"a": None}, {}, []),
        ({"a": None}, {"a": []}, [("a", None, [])]),
        ({"a": {"b": 1}}, {"a": None}, [("a", {"b": 1}, None)]),
        ({"a": 1.0}, {"a": 1}, [("a", 1.0, 1)]),
        ({"a": True}, {"a": 1}, [("a", True, 1)]),
        ({}, {"new": "x"}, [("new", None, "x")]),
    ],
)
def test_differing_fields_have_the_paths_of_the_contract(
    recorded: object, now: object, expected: list[tuple[str, object, object]]
) -> None:
    assert list(differing_fields(recorded, now)) == [FieldDifference(*difference) for difference in expected]
