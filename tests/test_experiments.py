"""Every experiment that ships, at reduced size on the reference engine: columns, order, and values worked out."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import polars as pl
import pytest

import paraphina_wh as wh
from paraphina_wh.experiments.session_lock import only_session
from tests.conftest import Invoke
from tests.engines import DRAWN, FLAGS, NO_VERSION, REFERENCE, engine, record_runs, replay

_SETTINGS = "band_base,mm_size_eta,vol_ref,daily_loss_limit"
_STDOUT = "pnl_realised,pnl_unrealised,pnl_total,kill_switch"
_PATH = (
    "pnl_total_end,max_drawdown,max_drawdown_time,time_to_kill,"
    "regime_frac_normal,regime_frac_warning,regime_frac_hard,num_ticks"
)
_PATH_MEANS = "time_to_kill_mean,regime_frac_normal_mean,regime_frac_warning_mean,regime_frac_hard_mean"
_EXP02 = "profile,band_mult,band_base,mm_size_eta_mult,mm_size_eta,vol_ref_mult,vol_ref,loss_mult,daily_loss_limit"
_EXP04 = (
    "run_id,duration_sec,returncode,experiment,profile,scenario,vol_scale,band_base,mm_size_eta,vol_ref_centre,"
    f"vol_ref_override,daily_loss_limit,init_q_tao,repeat,telemetry_path,{_STDOUT}"
)
_EXP05 = f"run_id,duration_sec,returncode,experiment,profile,init_q_tao,{_SETTINGS},repeat,telemetry_path,{_STDOUT}"
_RISK_KNOBS = "hedge_band_base,size_eta,vol_ref,delta_limit_usd_base"

# Source: the artefact contract, sections 4 and 10. File -> header and number of rows at the reduced size.
_EXPECTED = {
    "exp02 --profiles balanced --repeats 1": {
        "exp02_profile_grid/exp02_profile_grid_runs.csv": (
            f"{_EXP02},seed,ticks,pnl_realised,pnl_unrealised,pnl_total,risk_regime,kill_switch,"
            "dollar_delta_usd,basis_exposure_usd,returncode,stderr_truncated,stdout_truncated",
            81,
        ),
        "exp02_profile_grid/exp02_profile_grid_summary.csv": (
            f"{_EXP02},runs,pnl_total_mean,pnl_total_std,pnl_total_min,pnl_total_max,kill_switch_frac,hardlimit_frac",
            81,
        ),
    },
    "exp03 --repeats 1": {
        "exp03_stress_search/exp03_stress_runs.csv": (
            f"run_id,duration_sec,returncode,experiment,profile,init_q_tao,{_SETTINGS},repeat,{_STDOUT}",
            15,
        ),
        "exp03_stress_search/exp03_stress_summary.csv": (
            "profile,init_q_tao,pnl_realised_mean,pnl_unrealised_mean,pnl_total_mean,pnl_total_std,"
            "kill_switch_frac,num_runs",
            15,
        ),
    },
    "exp04 --profiles balanced --repeats 2": {
        "exp04_multi_scenario/exp04_runs.csv": (_EXP04, 30),
        "exp04_multi_scenario/exp04_runs_with_ts.csv": (f"{_EXP04},{_PATH}", 30),
        "exp04_multi_scenario/exp04_summary.csv": (
            "profile,scenario,init_q_tao,pnl_realised_mean,pnl_unrealised_mean,pnl_total_mean,pnl_total_std,"
            f"pnl_total_p5,pnl_total_p95,max_drawdown_mean,max_drawdown_std,{_PATH_MEANS},kill_switch_frac,num_runs",
            15,
        ),
    },
    "exp05 --repeats 1": {
        "exp05_telemetry_validation/exp05_runs_raw.csv": (_EXP05, 15),
        "exp05_telemetry_validation/exp05_runs_with_ts.csv": (f"{_EXP05},{_PATH}", 15),
        "exp05_telemetry_validation/exp05_summary.csv": (
            "profile,init_q_tao,pnl_total_mean,pnl_total_std,max_drawdown_mean,max_drawdown_std,"
            f"{_PATH_MEANS},kill_switch_frac,num_runs",
            15,
        ),
    },
    "exp08_validation --repeats 2": {
        "exp08_profile_validation/exp08_profile_runs.csv": (
            "final_pnl,max_drawdown,risk_regime,kill_switch,profile,run_idx",
            6,
        ),
        "exp08_profile_validation/exp08_profile_summary.csv": (
            "profile,final_pnl_mean,final_pnl_std,max_drawdown_mean,max_drawdown_min,kill_prob",
            3,
        ),
    },
    "risk_regime --repeats 1": {
        "exp04_risk_regime/exp04_risk_regime_runs.csv": (
            f"final_pnl,max_drawdown,risk_regime,kill_switch,initial_q_tao,loss_limit_usd,run_idx,{_RISK_KNOBS}",
            45,
        ),
        "exp04_risk_regime/exp04_risk_regime_summary.csv": (
            "initial_q_tao,loss_limit_usd,final_pnl_mean,final_pnl_std,max_drawdown_mean,max_drawdown_min,kill_prob,"
            f"{_RISK_KNOBS}",
            45,
        ),
    },
}


@pytest.fixture(scope="module")
def recorded_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs for replaying engines: the sweeps that ship start hundreds of engines."""
    return record_runs(tmp_path_factory.mktemp("recorded_runs"), ticks=12, seeds=DRAWN)


@pytest.mark.parametrize("line", _EXPECTED)
def test_an_experiment_writes_its_tables(invoke: Invoke, tmp_path: Path, recorded_runs: Path, line: str) -> None:
    many = engine(tmp_path / "engine", NO_VERSION, replay(recorded_runs))
    done = invoke("run", *line.split(), "--engine", many, "--ticks", "12")
    assert done.exit_code == 0, done.stderr
    for name, (header, rows) in _EXPECTED[line].items():
        text = (tmp_path / "runs" / name).read_text()
        assert text.splitlines()[0] == header
        assert pl.read_csv(tmp_path / "runs" / name).height == rows
    # The same bytes from the warehouse alone.
    before = {name: (tmp_path / "runs" / name).read_bytes() for name in _EXPECTED[line]}
    again = invoke("run", *line.split(), "--engine", many, "--ticks", "12")
    assert again.exit_code == 0, again.stderr
    assert "0 runs, " in again.stderr
    assert {name: (tmp_path / "runs" / name).read_bytes() for name in _EXPECTED[line]} == before


# Replays recorded stdout by profile and inventory, whatever else it is told.
_RECORDED = """
echo "$*" >> arguments.txt
exec cat "$recorded/${PARAPHINA_RISK_PROFILE}_q${PARAPHINA_INIT_Q_TAO%.0}.stdout.txt"
"""


@pytest.fixture
def recorded_engine(tmp_path: Path, recorded: Path) -> Path:
    return engine(tmp_path / "replay", NO_VERSION, f"recorded={shlex.quote(str(recorded / 'exp03_stdout'))}", _RECORDED)


def test_exp03_on_recorded_stdout_gives_the_recorded_tables(
    invoke: Invoke, tmp_path: Path, recorded: Path, recorded_engine: Path
) -> None:
    done = invoke("run", "exp03", "--engine", recorded_engine, "--seed", "none")
    assert done.exit_code == 0, done.stderr
    assert set((tmp_path / "arguments.txt").read_text().splitlines()) == {""}  # the engine is called without flags
    for name in ("exp03_stress_runs.csv", "exp03_stress_summary.csv"):
        made = pl.read_csv(tmp_path / "runs/exp03_stress_search" / name)
        expected = pl.read_csv(recorded / "expected/exp03" / name)
        assert made.columns == expected.columns
        assert made.drop("duration_sec", strict=False).equals(expected.drop("duration_sec", strict=False))


def test_exp03_passes_distinct_drawn_seeds_by_default(invoke: Invoke, tmp_path: Path, recorded_engine: Path) -> None:
    invoke("run", "exp03", "--engine", recorded_engine, "--profiles", "balanced")
    flags = (tmp_path / "arguments.txt").read_text().splitlines()
    assert sorted(flags) == sorted([f"--seed {seed}" for seed in (4400, 1029, 8803, 2535)] * 5)
    seeds = wh.open(tmp_path).sql("select repeat, seed, count(*) as n from runs group by all order by repeat")
    assert seeds.rows() == [(0, 4400, 5), (1, 1029, 5), (2, 8803, 5), (3, 2535, 5)]


_SWEEP = """
name = "sweep"
about = "three bands"
mode = "both"
profiles = ["balanced"]
repeats = 2
ticks = 10
run_name = "sweep_band{band}_r{repeat}"
[[axis]]
band = [@BANDS@]
[knobs]
HEDGE_BAND_BASE = "band"
"""


def _write_sweep(tmp_path: Path, bands: str) -> Path:
    (tmp_path / "sweep.toml").write_text(_SWEEP.replace("@BANDS@", bands))
    return tmp_path / "sweep.toml"


def test_a_file_of_the_user_runs_the_same_way(invoke: Invoke, tmp_path: Path) -> None:
    file = _write_sweep(tmp_path, "4.0, 2.0")
    done = invoke("run", file, "--engine", "reference")
    assert done.exit_code == 0, done.stderr
    runs = pl.read_csv(tmp_path / "runs/sweep/sweep_runs.csv")
    assert runs["run_id"].to_list() == ["sweep_band4.0_r0", "sweep_band4.0_r1", "sweep_band2.0_r0", "sweep_band2.0_r1"]
    assert runs["num_ticks"].to_list() == [10, 10, 10, 10]
    summary = pl.read_csv(tmp_path / "runs/sweep/sweep_summary.csv")
    assert summary.select("profile", "band", "num_runs").rows() == [("balanced", 2.0, 2), ("balanced", 4.0, 2)]
    assert summary["pnl_total_mean"][1] == pytest.approx(runs["pnl_total"][:2].mean())
    assert (tmp_path / "runs/sweep/experiment.toml").read_text() == file.read_text()


def test_an_edited_grid_runs_only_what_is_new(invoke: Invoke, tmp_path: Path) -> None:
    invoke("run", _write_sweep(tmp_path, "4.0, 2.0"), "--engine", "reference")
    edited = _write_sweep(tmp_path, "1.0, 2.0, 4.0")
    assert "sweep: 2 runs, 4 already there" in invoke("run", edited, "--engine", "reference").stderr
    runs = pl.read_csv(tmp_path / "runs/sweep/sweep_runs.csv")
    assert runs["band"].to_list() == [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]


def test_other_ticks_under_the_same_labels_are_refused_unless_fresh(invoke: Invoke, tmp_path: Path) -> None:
    file = _write_sweep(tmp_path, "4.0")
    invoke("run", file, "--engine", "reference")
    refused = invoke("run", file, "--engine", "reference", "--ticks", "11")
    assert (refused.exit_code, "is taken by a run with other options" in refused.stderr) == (2, True)
    assert invoke("run", file, "--engine", "reference", "--ticks", "11", "--fresh").exit_code == 0
    assert pl.read_csv(tmp_path / "runs/sweep/sweep_runs.csv")["num_ticks"].to_list() == [11, 11]


def test_a_knob_of_the_grid_is_not_set_on_top(invoke: Invoke, tmp_path: Path) -> None:
    file = _write_sweep(tmp_path, "4.0")
    refused = invoke("run", file, "--engine", "reference", "--set", "HEDGE_BAND_BASE=1")
    assert (refused.exit_code, "is set by the experiment itself" in refused.stderr) == (2, True)
    assert invoke("run", file, "--engine", "reference", "--set", "MM_SIZE_ETA=2").exit_code == 0
    (knobs,) = wh.open(tmp_path).sql("select distinct band_base, mm_size_eta from runs").rows()
    assert knobs == (4.0, 2.0)


def test_fractions_stay_fractions_wherever_a_variable_comes_from(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mixed.toml").write_text("""
name = "mixed"
about = "whole numbers and fractions under one name"
mode = "stdout"
profiles = ["balanced", "aggressive"]
labels = ["experiment", "profile", "m", "p", "lim", "repeat"]
[[axis]]
m = [1, 1.25]
[per_profile]
balanced = { lim = 750 }
aggressive = { lim = 2500.75 }
[constants]
base = 2
[products]
p = ["base", "m"]
""")
    done = invoke("run", "mixed.toml", "--engine", "reference", "--ticks", "5")
    assert done.exit_code == 0, done.stderr
    runs = pl.read_csv(tmp_path / "runs/mixed/mixed_runs.csv")
    assert runs.select("m", "p", "lim").rows() == [
        (1.0, 2.0, 750.0),
        (1.25, 2.5, 750.0),
        (1.0, 2.0, 2500.75),
        (1.25, 2.5, 2500.75),
    ]


def test_a_variable_may_have_any_name(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "names.toml").write_text("""
name = "names"
about = "names that SQL or the runner might use"
mode = "stdout"
profiles = ["balanced"]
[[axis]]
place = [5, 9]
[[axis]]
id = [10, 20]
[[axis]]
stem = ["select", "o'brien"]
""")
    done = invoke("run", "names.toml", "--engine", "reference", "--ticks", "5")
    assert done.exit_code == 0, done.stderr
    runs = pl.read_csv(tmp_path / "runs/names/names_runs.csv")
    assert runs.select("run_id", "place", "id", "stem").rows()[:3] == [
        ("run_0", 5, 10, "select"),
        ("run_1", 5, 10, "o'brien"),
        ("run_2", 5, 20, "select"),
    ]
    assert pl.read_csv(tmp_path / "runs/names/names_summary.csv").height == 8


def test_an_export_repeats_what_the_last_session_wrote(invoke: Invoke, tmp_path: Path) -> None:
    invoke("run", _write_sweep(tmp_path, "4.0, 2.0"), "--engine", "reference")
    done = invoke("run", _write_sweep(tmp_path, "2.0, 1.0"), "--engine", "reference", "--repeats", "1")
    assert done.exit_code == 0, done.stderr
    file = tmp_path / "runs/sweep/sweep_runs.csv"
    before = file.read_bytes()
    assert pl.read_csv(file)["band"].to_list() == [2.0, 1.0]
    assert invoke("export", "runs", "--experiment", "sweep").exit_code == 0
    assert file.read_bytes() == before


def test_what_was_withdrawn_comes_back_only_by_running_it_anew(invoke: Invoke, tmp_path: Path) -> None:
    file = _write_sweep(tmp_path, "4.0")
    invoke("run", file, "--engine", "reference")
    invoke("forget", "--label", "sweep_band4.0_r0")
    assert "sweep: 1 runs, 1 already there" in invoke("run", file, "--engine", "reference").stderr


def test_telemetry_that_is_none_is_a_failure_and_the_next_session_heals_it(invoke: Invoke, tmp_path: Path) -> None:
    spoil = '[ -e healed ] || echo "no telemetry" > "$PARAPHINA_TELEMETRY_PATH"'
    unsound = engine(tmp_path / "engine", NO_VERSION, REFERENCE, spoil)
    file = _write_sweep(tmp_path, "4.0")
    broken = invoke("run", file, "--engine", unsound, "--repeats", "1")
    assert broken.exit_code == 1
    assert wh.open(tmp_path).sql("select status, num_ticks from runs").rows() == [("failed", None)]
    (tmp_path / "healed").touch()
    healed = invoke("run", file, "--engine", unsound, "--repeats", "1")
    assert healed.exit_code == 0, healed.stderr
    assert wh.open(tmp_path).sql("select status, num_ticks from runs").rows() == [("ok", 10)]


def test_a_second_session_in_the_same_folder_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    file = _write_sweep(tmp_path, "4.0")
    with only_session(tmp_path / "runs/sweep/telemetry"):
        refused = invoke("run", file, "--engine", "reference")
    assert (refused.exit_code, "another session is running engines in" in refused.stderr) == (2, True)
    assert invoke("run", file, "--engine", "reference").exit_code == 0


def test_a_dry_run_knows_what_only_waits_on_disk(invoke: Invoke, tmp_path: Path) -> None:
    file = _write_sweep(tmp_path, "4.0")
    invoke("run", file, "--engine", "reference")
    shutil.rmtree(tmp_path / "warehouse")
    shown = invoke("run", file, "--engine", "reference", "--dry-run", "--format", "csv")
    assert [line.rpartition(",")[2] for line in shown.stdout.splitlines()] == ["action", "take in", "take in"]
    assert "sweep: 0 runs, 2 already there" in invoke("run", file, "--engine", "reference").stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--set", "RISK_PROFILE=aggressive"], "knob RISK_PROFILE is set by the runner"),
        (["--repeats", "1000000000"], "runs are too many; the limit is 1000000"),
        (["--seed", "9" * 5000], "--seed must be a key of 1 to 100 characters, or none"),
        (["--seed-start", "9" * 19], "--seed-start must lie in 0..2^63"),
    ],
)
def test_options_that_cannot_be_are_refused(invoke: Invoke, tmp_path: Path, options: list[str], reason: str) -> None:
    refused = invoke("run", "exp03", "--engine", "reference", *options)
    assert (refused.exit_code, reason in refused.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_what_an_engine_prints_is_shown_whatever_bytes_it_holds(invoke: Invoke, tmp_path: Path) -> None:
    said = (
        "caf\\351 \\033[31m\\nDaily PnL (realised / unrealised / total): +1.00 / +2.00 / +3.00\\nKill switch: false\\n"
    )
    talking = engine(tmp_path / "engine", f"printf '{said}'")
    (tmp_path / "told.toml").write_text("""
name = "told"
about = "what the engine says"
mode = "stdout"
profiles = ["balanced"]
[[table]]
file = "told.csv"
columns = ["pnl_total", "stdout_truncated"]
""")
    assert invoke("run", "told.toml", "--engine", talking).exit_code == 0
    (row,) = pl.read_csv(tmp_path / "runs/told/told.csv").rows()
    assert row[1].splitlines()[0] == "caf\ufffd \\x1b[31m"


# Fails for the first repeat, runs out of time for the second, behaves for the third.
_MOODY = f"""
case $seed in
1) echo no mood >&2; exit 1;;
2) sleep 60;;
*) exec {REFERENCE};;
esac
"""


def test_failures_are_rows_of_the_table(invoke: Invoke, tmp_path: Path) -> None:
    moody = engine(tmp_path / "moody", NO_VERSION, FLAGS, _MOODY)
    file = _write_sweep(tmp_path, "4.0")
    done = invoke("run", file, "--engine", moody, "--repeats", "3", "--timeout", "2", "--seed-start", "1")
    assert done.exit_code == 1
    assert "sweep_band4.0_r0: exit code 1 (no mood)" in done.stderr
    runs = pl.read_csv(tmp_path / "runs/sweep/sweep_runs.csv")
    columns = ("run_id", "returncode", "duration_sec", "num_ticks", "kill_switch")
    assert [tuple(row) for row in runs.with_columns(pl.col("duration_sec").round(0)).select(columns).rows()][:2] == [
        ("sweep_band4.0_r0", 1, 0.0, None, False),
        ("sweep_band4.0_r1", -1, 2.0, None, None),
    ]
    assert runs["num_ticks"][2] == 10
    summary = pl.read_csv(tmp_path / "runs/sweep/sweep_summary.csv")
    assert summary.select("kill_switch_frac", "num_runs").rows() == [(0.0, 3)]


def test_every_artefact_is_exported_twice_alike(invoke: Invoke, tmp_path: Path, recorded_runs: Path) -> None:
    many = engine(tmp_path / "engine", NO_VERSION, replay(recorded_runs))
    few = "--repeats 1"
    sweeps = (f"exp04 --profiles balanced {few}", f"exp08 {few}", f"risk_regime {few}", f"exp03 {few}")
    lines = (*sweeps, "exp13 --runs-per-profile 1")
    for line in lines:
        assert invoke("run", *line.split(), "--engine", many, "--ticks", "12").exit_code == 0
    written = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*.csv")}
    first = invoke("export", "all")
    assert first.exit_code == 0, first.stderr
    paths = [tmp_path / line for line in first.stdout.splitlines()]
    assert "left out dataset: runs of exp04_multi_scenario, exp04_risk_regime, exp08_profile" in first.stderr
    assert {path.name for path in paths} >= {
        *("exp03_stress_runs.csv", "exp04_summary.csv", "exp04_risk_regime_runs.csv", "exp08_profile_summary.csv"),
        *("exp07_presets.csv", "exp07_presets.json", "exp12_tuned_presets.csv", "exp12_tuning_report.csv"),
        *("exp06_safe_region_per_cell.csv", "exp10_alignment.csv", "exp11_alignment.csv", "exp11_evidence.csv"),
    }
    # What the runs wrote, and once more the same.
    assert {path: path.read_bytes() for path in written} == written
    before = {path: path.read_bytes() for path in paths}
    assert invoke("export", "all").stdout == first.stdout
    assert {path: path.read_bytes() for path in paths} == before
    one = invoke("export", "runs", "--experiment", "exp03_stress_search", "-o", "one.csv")
    assert one.stdout == "one.csv\n"
    assert (tmp_path / "one.csv").read_bytes() == written[tmp_path / "runs/exp03_stress_search/exp03_stress_runs.csv"]
    assert invoke("export", "runs", "--experiment", "exp99").exit_code == 2


@pytest.mark.usefixtures("empty_warehouse")
def test_an_empty_warehouse_has_nothing_to_export_and_says_so(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("export", "all")
    assert (done.stdout, done.exit_code) == ("", 0)
    assert "left out runs: the warehouse holds no runs" in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "warehouse"]
