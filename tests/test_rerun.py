"""Replay: recorded runs run again from their provenance, and compared with what the warehouse holds.

The runs are real: exp13 made them. What was changed since is one edit, made inside the test: of a sidecar before its
ingest, or of an engine that does as `mood.py` beside it says.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from paraphina_wh.errors import WarehouseError
from paraphina_wh.rerun import Rerun, rerun
from paraphina_wh.rerun.fields import FieldDifference, differing_fields
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.telemetry_maker import ask, files_below, reference_run, sidecar, write
from tests.test_engine_run import is_alive, wait_until

LABEL = "exp13_balanced_r001"
TELEMETRY = "runs/exp13_auto/balanced_r1.jsonl"
SIDECAR = "runs/exp13_auto/balanced_r1.run.json"

# The reference engine, and after it whatever the test makes of its telemetry.
_MOODY_ENGINE = """
import json, os, subprocess, sys, time
from pathlib import Path
done = subprocess.run([sys.executable, "-m", "paraphina_wh.reference_engine", *sys.argv[1:]])
telemetry = Path(os.environ.get("PARAPHINA_TELEMETRY_PATH", "none"))
if os.path.exists("mood.py") and "--version" not in sys.argv:
    exec(open("mood.py").read())
sys.exit(done.returncode)
"""


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an engine that behaves until a `mood.py` in the current folder says otherwise."""
    return executable(tmp_path_factory.mktemp("engine") / "moody", _MOODY_ENGINE)


@pytest.fixture(scope="module")
def reference_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ROOT with one run of 60 ticks by the reference engine."""
    return root_of_exp13(tmp_path_factory.mktemp("reference"), "reference", ticks=60)


@pytest.fixture(scope="module")
def moody_root(tmp_path_factory: pytest.TempPathFactory, moody: Path) -> Path:
    """Return a ROOT with one run of 10 ticks by the moody engine."""
    return root_of_exp13(tmp_path_factory.mktemp("moody"), moody, ticks=10)


@pytest.fixture
def run_of_60_ticks(reference_root: Path, tmp_path: Path) -> None:
    """Put a run of 60 ticks by the reference engine into the ROOT of this test."""
    shutil.copytree(reference_root, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def run_of_the_moody(moody_root: Path, tmp_path: Path) -> None:
    """Put a run of 10 ticks by the moody engine into the ROOT of this test."""
    shutil.copytree(moody_root, tmp_path, dirs_exist_ok=True)


def root_of_exp13(root: Path, engine: str | Path, ticks: int) -> Path:
    """Run exp13 for one profile, once, and return its ROOT."""
    options = ["--engine", str(engine), "--ticks", str(ticks), "--profiles", "balanced", "--runs-per-profile", "1"]
    command = [sys.executable, "-m", "paraphina_wh", "run", "exp13", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARAPHINA_")}
    subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True)
    return root


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


def exp13(invoke: Invoke, *options: str | Path, engine: str | Path = "reference", ticks: int = 60) -> None:
    basics = ["--engine", engine, "--ticks", str(ticks), "--profiles", "balanced", "--runs-per-profile", "1"]
    done = invoke("--quiet", "run", "exp13", *basics, *options)
    assert done.exit_code in (0, 1), done.stderr


def ingest_anew(invoke: Invoke, root: Path, *options: str) -> None:
    """Forget the whole warehouse, and take in what lies in the folder of exp13 now."""
    shutil.rmtree(root / "warehouse")
    done = invoke("ingest", "runs/exp13_auto", *options)
    assert done.exit_code == 0, done.stderr


def edit_sidecar(root: Path, **fields: Any) -> None:
    path = root / SIDECAR
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def said(result: Result) -> tuple[int, str, str]:
    return result.exit_code, result.stdout, result.stderr


# --- runs that come out the same ----------------------------------------------------------------------


def test_every_run_of_an_experiment_comes_out_identical_and_nothing_is_left_behind(
    invoke: Invoke, tmp_path: Path
) -> None:
    exp13(invoke, "--profiles", "conservative", "--profiles", "aggressive")
    before = files_below(tmp_path)

    done = invoke("rerun", "--experiment", "exp13", "--verify", "--format", "jsonl")

    runs = [(p, f"exp13_{p}_r001", tmp_path / f"runs/exp13_auto/{p}_r1.jsonl") for p in ("aggressive", "balanced")]
    runs += [("conservative", "exp13_conservative_r001", tmp_path / "runs/exp13_auto/conservative_r1.jsonl")]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [{k: v for k, v in row.items() if k != "run_id"} for row in rows] == [
        {"profile": p, "label": label, "verdict": "identical", "detail": f"60 ticks, sha256 {sha256_of(file)}"}
        for p, label, file in runs
    ]
    assert (done.exit_code, done.stderr) == (0, "3 identical\n")
    assert files_below(tmp_path) == before


@pytest.mark.usefixtures("run_of_60_ticks")
def test_one_run_gives_one_line_under_its_label_its_run_id_and_the_start_of_it(invoke: Invoke, tmp_path: Path) -> None:
    ((run_id,),) = ask(Warehouse(tmp_path, tmp_path / "warehouse"), "SELECT run_id FROM runs")

    verdict = f"identical: 60 ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}\n"
    for name in (LABEL, run_id, run_id[:6]):
        assert said(invoke("rerun", name, "--verify")) == (0, verdict, "")


def test_knobs_and_the_kill_are_part_of_the_run(invoke: Invoke, tmp_path: Path) -> None:
    knobs = ["--set", "INIT_Q_TAO=-40", "--set", "DAILY_LOSS_LIMIT=100", "--set", "HEDGE_MAX_STEP=0"]
    exp13(invoke, *knobs, ticks=2000)
    killed = records(tmp_path / TELEMETRY)
    assert killed[-1]["kill_switch"]
    assert len(killed) < 2000

    done = invoke("rerun", LABEL, "--verify")

    verdict = f"identical: {len(killed)} ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}\n"
    assert said(done) == (0, verdict, "")


@pytest.mark.usefixtures("run_of_60_ticks")
def test_stray_knobs_of_the_shell_do_not_reach_the_engine(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAPHINA_MM_SIZE_ETA", "50")
    assert invoke("rerun", LABEL, "--verify").exit_code == 0


@pytest.mark.usefixtures("run_of_60_ticks")
def test_a_run_without_telemetry_is_compared_by_its_stdout(invoke: Invoke, tmp_path: Path) -> None:
    stdout_only_run(tmp_path, invoke)
    sha256 = sha256_of(tmp_path / "s/run_0.stdout.txt")

    assert said(invoke("rerun", '{"repeat":1}', "--verify")) == (0, f"identical: sha256 {sha256}\n", "")

    assert list((tmp_path / "s").glob("*.jsonl")) == []


@pytest.mark.usefixtures("run_of_60_ticks")
def test_another_stdout_is_told_by_its_metrics(invoke: Invoke, tmp_path: Path) -> None:
    text = stdout_only_run(tmp_path, invoke, edit=lambda text: text.replace("Kill switch: false", "Kill switch: true"))

    done = invoke("rerun", '{"repeat":1}', "--verify")

    old, now = (hashlib.sha256(t.encode()).hexdigest() for t in (text, text.replace("switch: true", "switch: false")))
    verdict = f"different: stdout_kill_switch: recorded true, now false; stdout_sha256: recorded {old}, now {now}\n"
    assert said(done) == (1, verdict, "")


def stdout_only_run(root: Path, invoke: Invoke, edit: Callable[[str], str] = str) -> str:
    """Take in, instead of a run of exp13, one that has its sidecar and stdout alone; return its stdout."""
    shutil.rmtree(root / "warehouse")
    base = root / "s" / "run_0"
    text = edit((root / "runs/exp13_auto/balanced_r1.stdout.txt").read_text())
    write(root / "s/run_0.stdout.txt", text)
    known = json.loads((root / SIDECAR).read_text())
    sidecar(base, **known | {"label": '{"repeat":1}', "labels": {"repeat": 1}})
    assert invoke("ingest", "s").exit_code == 0
    return text


# --- runs that do not ---------------------------------------------------------------------------------


def test_with_one_knob_changed_the_first_difference_is_named(invoke: Invoke, tmp_path: Path) -> None:
    exp13(invoke, "--set", "MM_SIZE_ETA=2")
    edit_sidecar(tmp_path, knobs={"PARAPHINA_MM_SIZE_ETA": "3"})
    ingest_anew(invoke, tmp_path)

    done = invoke("rerun", LABEL, "--verify", "-o", "kept")

    recorded, now = records(tmp_path / TELEMETRY), records(tmp_path / f"kept/{LABEL}.jsonl")
    assert [old == new for old, new in zip(recorded, now, strict=True)] == [False] * 60
    # A larger eta quotes smaller: everything before the size of the first quote is the same.
    changed = [name for name in recorded[0] if recorded[0][name] != now[0][name]]
    assert changed == ["orders", "quote_levels", "would_send_orders"]
    first, first_now = recorded[0]["quote_levels"][0], now[0]["quote_levels"][0]
    assert {name for name in first if first[name] != first_now[name]} == {"size_final", "size_raw"}
    assert (done.exit_code, done.stdout) == (
        1,
        f"different: first at t=0: quote_levels[0].size_final: recorded {first['size_final']}, "
        f"now {first_now['size_final']} (60 of 60 ticks differ)\n",
    )
    assert f"{LABEL}: at t=0 also quote_levels[0].size_raw, quote_levels[1].size_final," in done.stderr
    assert f"{LABEL}: cfg_hash: recorded 0x" in done.stderr
    assert f"{LABEL}: stdout_pnl_total: recorded " in done.stderr


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


@pytest.mark.parametrize(
    ("edit", "difference"),
    [
        ("records[7]['venue_mid_usd'][2] = 1.5", "venue_mid_usd[2]: recorded {venue_mid_usd[2]}, now 1.5"),
        ("records[7]['fills'].append({})", "len(fills): recorded 0, now 1"),
        ("records[7]['kf_p'] = None", "kf_p: recorded {kf_p}, now null"),
        ("del records[7]['kf_p']", "kf_p: recorded {kf_p}, now null"),
        ("records[7]['novelty'] = {'rank': 3}", "novelty: recorded null, now {{\"rank\": 3}}"),
        ("records[7]['hedge_delta_h_t'] = -0.0", "hedge_delta_h_t: recorded 0.0, now -0.0"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("run_of_the_moody")
def test_each_kind_of_value_is_found(invoke: Invoke, tmp_path: Path, edit: str, difference: str) -> None:
    in_the_mood(tmp_path, edit)

    done = invoke("rerun", LABEL, "--verify")

    tick = records(tmp_path / TELEMETRY)[7]
    expected = difference.format_map(tick)
    assert said(done) == (1, f"different: first at t=7: {expected} (1 of 10 ticks differ)\n", "")


@pytest.mark.usefixtures("run_of_the_moody")
def test_missing_and_added_ticks_are_differences(invoke: Invoke, tmp_path: Path) -> None:
    in_the_mood(tmp_path, "del records[8:]")
    shorter = "different: first at t=8: recorded 10 ticks, now 8 (2 of 10 ticks differ)\n"
    assert said(invoke("rerun", LABEL, "--verify")) == (1, shorter, "")

    in_the_mood(tmp_path, "records.append(records[9] | {'t': 10})")
    longer = "different: first at t=10: recorded 10 ticks, now 11 (1 of 11 ticks differ)\n"
    assert said(invoke("rerun", LABEL, "--verify")) == (1, longer, "")


@pytest.mark.usefixtures("run_of_the_moody")
def test_the_same_values_in_other_bytes_are_identical_and_this_is_said(invoke: Invoke, tmp_path: Path) -> None:
    in_the_mood(tmp_path, "records = [dict(reversed(record.items())) for record in records]")

    done = invoke("rerun", LABEL, "--verify")

    assert (done.exit_code, done.stdout[:28]) == (0, "identical: 10 ticks, sha256 ")
    assert sha256_of(tmp_path / TELEMETRY) not in done.stdout
    assert done.stderr == f"warning: {LABEL}: the bytes of the telemetry differ, every value is the same\n"


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
    assert said(invoke("rerun", LABEL, "--verify")) == (1, "failed: exit code 3 (out of luck)\n", "")
    kept = invoke("rerun", LABEL, "--verify", "-o", "kept")
    assert said(kept) == (1, "failed: exit code 3 (out of luck)\n", f"wrote kept/{LABEL}.jsonl\n")
    assert json.loads((tmp_path / f"kept/{LABEL}.run.json").read_text())["error"] == "exit code 3"
    assert "out of luck" in (tmp_path / f"kept/{LABEL}.stderr.txt").read_text()

    (tmp_path / "mood.py").write_text("telemetry.unlink()")
    assert said(invoke("rerun", LABEL, "--verify")) == (1, "failed: no telemetry written\n", "")

    (tmp_path / "mood.py").write_text("time.sleep(60)")
    done = invoke("rerun", LABEL, "--verify", "--timeout", "1")
    assert said(done) == (1, "failed: timed out after 1 s\n", "")


# --- runs of which less is stored ---------------------------------------------------------------------


@pytest.mark.usefixtures("run_of_60_ticks")
def test_a_run_that_was_cut_off_is_compared_as_far_as_it_is_stored(invoke: Invoke, tmp_path: Path) -> None:
    with (tmp_path / TELEMETRY).open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 1000)
    ingest_anew(invoke, tmp_path)

    done = invoke("rerun", LABEL, "--verify", "--format", "json")

    found = json.loads(done.stdout)
    assert (done.exit_code, found["verdict"], found["ticks_recorded"], found["ticks_now"]) == (0, "identical", 59, 60)
    assert found["notes"] == ["the stored telemetry was cut off: its 59 ticks are compared"]
    assert done.stderr == f"warning: {LABEL}: the stored telemetry was cut off: its 59 ticks are compared\n"


@pytest.mark.usefixtures("run_of_60_ticks")
def test_lines_that_were_put_aside_do_not_count(invoke: Invoke, tmp_path: Path) -> None:
    lines = (tmp_path / TELEMETRY).read_text().splitlines(keepends=True)
    (tmp_path / TELEMETRY).write_text("".join([*lines[:5], "{bad}\n", *lines[6:]]))
    ingest_anew(invoke, tmp_path, "--on-error", "quarantine")

    done = invoke("rerun", LABEL, "--verify")

    assert (done.exit_code, done.stdout[:27]) == (0, "identical: 60 ticks, sha256")
    assert "1 lines of the stored telemetry were put aside: its 59 ticks are compared" in done.stderr


@pytest.mark.usefixtures("run_of_60_ticks")
def test_a_stretch_of_an_appended_file_is_a_run_like_any_other(invoke: Invoke, tmp_path: Path) -> None:
    content = (tmp_path / TELEMETRY).read_bytes()
    (tmp_path / TELEMETRY).write_bytes(content * 2)
    ingest_anew(invoke, tmp_path, "--split-on-reset")

    done = invoke("rerun", f"{LABEL}_s2", "--verify")

    assert said(done) == (0, f"identical: 60 ticks, sha256 {hashlib.sha256(content).hexdigest()}\n", "")


def test_a_failed_run_that_fails_alike_is_identical(invoke: Invoke, tmp_path: Path) -> None:
    broken = executable(tmp_path / "broken", _MOODY_ENGINE + "\n")
    (tmp_path / "mood.py").write_text("sys.exit(3)")
    exp13(invoke, engine=broken, ticks=10)

    assert invoke("rerun", LABEL, "--verify").stdout.startswith("identical: 10 ticks")
    refused = invoke("rerun", "--experiment", "exp13", "--verify")
    assert said(refused) == (2, "", "error: no good run of experiment 'exp13'\nhint: experiments: exp13\n")

    (tmp_path / "mood.py").unlink()
    verdict = "different: status: recorded failed, now ok; returncode: recorded 3, now 0\n"
    assert said(invoke("rerun", LABEL, "--verify")) == (1, verdict, "")


def test_a_run_that_ran_out_of_time_has_nothing_to_verify(invoke: Invoke, tmp_path: Path, moody: Path) -> None:
    (tmp_path / "mood.py").write_text("time.sleep(60)")
    exp13(invoke, "--timeout", "1", engine=moody, ticks=10)

    refused = invoke("rerun", LABEL, "--verify")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "ran out of time: what it left depends on the clock" in refused.stderr
    (tmp_path / "mood.py").unlink()
    assert said(invoke("rerun", LABEL)) == (0, f"done: in runs/rerun/{LABEL}/{LABEL}.jsonl\n", "")


# --- which run ----------------------------------------------------------------------------------------


def test_an_ambiguous_name_is_answered_with_the_runs_it_names(invoke: Invoke, tmp_path: Path) -> None:
    for profile in ("balanced", "aggressive"):
        reference_run(tmp_path / f"{profile}_x.jsonl", ticks=3, seed=1)
        assert invoke("ingest", f"{profile}_x.jsonl", "--profile", profile, "--label", "lab").exit_code == 0
    ids = dict(ask(Warehouse(tmp_path, tmp_path / "warehouse"), "SELECT profile, run_id FROM runs"))

    refused = invoke("rerun", "lab")

    hint = f"give one run_id: {ids['aggressive']} aggressive lab; {ids['balanced']} balanced lab"
    assert said(refused) == (2, "", f"error: 'lab' names 2 runs\nhint: {hint}\n")


@pytest.mark.parametrize("name", ["exp13_balanced_r002", "", "zzz", "%", "exp13"])
@pytest.mark.usefixtures("run_of_60_ticks")
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


@pytest.mark.usefixtures("run_of_60_ticks")
def test_telemetry_that_came_alone_cannot_be_repeated(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / SIDECAR).unlink()
    ingest_anew(invoke, tmp_path)
    ((run_id,),) = ask(Warehouse(tmp_path, tmp_path / "warehouse"), "SELECT run_id FROM runs")

    refused = invoke("rerun", LABEL, "--verify", "--force")

    assert said(refused) == (
        2,
        "",
        f"error: run {run_id} (balanced, {LABEL}) cannot be repeated: its provenance lacks command_json\n"
        "hint: it stands in the sidecar <name>.run.json, which the runs of `paraphina-wh run` have\n",
    )


# --- which engine -------------------------------------------------------------------------------------


def test_another_engine_is_refused_unless_forced(invoke: Invoke, tmp_path: Path) -> None:
    engine = executable(tmp_path / "engine", _MOODY_ENGINE)
    exp13(invoke, engine=engine, ticks=10)
    recorded = sha256_of(engine)
    executable(engine, _MOODY_ENGINE + "# rebuilt\n")
    now = sha256_of(engine)

    refused = invoke("rerun", LABEL, "--verify")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"the engine {engine} is not the one that made it (sha256 {now[:12]}..., recorded {recorded[:12]}...)" in (
        refused.stderr
    )
    assert "--force" in refused.stderr

    forced = invoke("rerun", LABEL, "--verify", "--force")
    assert forced.stdout == f"identical: 10 ticks, sha256 {sha256_of(tmp_path / TELEMETRY)}\n"
    assert (forced.exit_code, forced.stderr) == (
        0,
        f"warning: {LABEL}: run by another engine than the recorded one: {engine}\n",
    )


def test_an_engine_that_moved_is_named_with_engine(invoke: Invoke, tmp_path: Path) -> None:
    engine = executable(tmp_path / "engine", _MOODY_ENGINE)
    exp13(invoke, engine=engine, ticks=10)
    engine.rename(tmp_path / "elsewhere")

    refused = invoke("rerun", LABEL, "--verify")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"engine {engine} is missing" in refused.stderr
    assert "name where it lies now with --engine" in refused.stderr

    assert invoke("rerun", LABEL, "--verify", "--engine", "elsewhere").exit_code == 0
    assert invoke("rerun", LABEL, "--verify", "--engine", "reference").exit_code == 2
    assert invoke("rerun", LABEL, "--verify", "--engine", "reference", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"command": ["/bin/sh", "-c", "touch harm"]}, "does not begin with its engine: ['/bin/sh', '-c',"),
        ({"engine": "external", "engine_path": "/bin/sh", "command": ["/bin/sh", "-c", "touch harm"]}, "flags"),
        ({"command": ["python", "-P", "-m", "paraphina_wh.reference_engine", "--ticks", "3; touch harm"]}, "flags"),
        ({"command": ["python", "-m", "paraphina_wh.reference_engine", "--log-jsonl", "harm"]}, "flags"),
        ({"command": []}, "its provenance lacks command_json"),
        ({"engine": "external", "engine_path": None}, "its provenance lacks engine_path"),
        ({"engine_sha256": None}, "its provenance lacks engine_sha256"),
        ({"knobs": {"PARAPHINA_HEDGE_BAND": "5"}}, "unknown engine knob 'PARAPHINA_HEDGE_BAND'"),
        ({"knobs": {"LD_PRELOAD": "harm.so"}}, "unknown engine knob 'LD_PRELOAD'"),
        ({"knobs": {"PARAPHINA_VOL_REF": "nan"}}, "VOL_REF: 'nan' is not a finite number"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("run_of_60_ticks")
def test_what_was_recorded_is_not_trusted(invoke: Invoke, tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    edit_sidecar(tmp_path, **{"engine_sha256": sha256_of(Path("/bin/sh")), **fields})
    ingest_anew(invoke, tmp_path)
    before = files_below(tmp_path)

    refused = invoke("rerun", LABEL, "--verify")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert problem in refused.stderr
    assert files_below(tmp_path) == before


@pytest.mark.usefixtures("run_of_60_ticks")
def test_recorded_telemetry_knobs_lead_nowhere(invoke: Invoke, tmp_path: Path) -> None:
    old = {"PARAPHINA_TELEMETRY_PATH": str(tmp_path / TELEMETRY), "PARAPHINA_TELEMETRY_APPEND": "1"}
    edit_sidecar(tmp_path, knobs=old | {"PARAPHINA_TELEMETRY_MODE": "jsonl"})
    ingest_anew(invoke, tmp_path)
    before = files_below(tmp_path)

    assert invoke("rerun", LABEL, "--verify").exit_code == 0
    assert files_below(tmp_path) == before


# --- what is kept -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run_of_60_ticks")
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


@pytest.mark.usefixtures("run_of_60_ticks")
def test_a_folder_that_holds_a_run_of_this_name_is_not_touched(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / f"mine/{LABEL}.jsonl", "precious")
    before = files_below(tmp_path)

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
    assert files_below(tmp_path) == before


def test_several_runs_are_kept_side_by_side(invoke: Invoke, tmp_path: Path) -> None:
    exp13(invoke, "--profiles", "aggressive", ticks=10)
    names = ["exp13_aggressive_r001", LABEL]

    done = invoke("rerun", *names, "--verify", "-o", "deep/er", "--jobs", "2", "--format", "csv")

    assert [line.split(",")[3] for line in done.stdout.splitlines()] == ["verdict", "identical", "identical"]
    assert sorted(path.name for path in (tmp_path / "deep/er").glob("*.jsonl")) == [f"{name}.jsonl" for name in names]


@pytest.mark.usefixtures("run_of_60_ticks")
def test_a_run_by_another_engine_is_kept_under_another_plan(invoke: Invoke, tmp_path: Path, moody: Path) -> None:
    invoke("rerun", LABEL, "--engine", moody, "--force")

    old, new = (
        json.loads(path.read_text()) for path in (tmp_path / SIDECAR, tmp_path / f"runs/rerun/{LABEL}/{LABEL}.run.json")
    )
    assert new["engine"] == "external"
    assert new["command"] == [str(moody), "--ticks", "60", "--profile", "balanced", "--seed", "1"]
    assert new["plan_key"] == f"{old['plan_key']}-{sha256_of(moody)[:12]}"


@pytest.mark.usefixtures("run_of_the_moody")
def test_ctrl_c_stops_the_engine_and_leaves_nothing(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mood.py").write_text("print(os.getpid(), file=open('pid', 'w'), flush=True)\ntime.sleep(60)")
    before = files_below(tmp_path)

    for options in (["--verify"], ["-o", "kept"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "paraphina_wh", "rerun", LABEL, *options],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text().endswith("\n"))
        engine = int((tmp_path / "pid").read_text())
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)

        assert (process.returncode, stdout) == (130, "")
        assert stderr.startswith("error: interrupted\n")
        assert not is_alive(engine)
        (tmp_path / "pid").unlink()
        assert files_below(tmp_path) == before
        assert not (tmp_path / "kept").exists()
        assert list((tmp_path / "warehouse/_staging").iterdir()) == []


# --- from Python --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run_of_60_ticks")
def test_the_api_returns_what_came_of_a_run(invoke: Invoke, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path, tmp_path / "warehouse")
    ((run_id,),) = ask(warehouse, "SELECT run_id FROM runs")
    sha256 = sha256_of(tmp_path / TELEMETRY)

    assert rerun(warehouse, LABEL) == Rerun(
        run_id=run_id,
        profile="balanced",
        label=LABEL,
        verdict="identical",
        recorded_sha256=sha256,
        sha256=sha256,
        ticks_recorded=60,
        ticks_now=60,
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
