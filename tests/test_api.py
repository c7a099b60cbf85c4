"""The Python API, as in the README: a warehouse as an object, Polars frames out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import paraphina_wh as wh
from paraphina_wh.errors import WarehouseError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ROOT with two runs of the reference engine taken in: 12 and 8 ticks."""
    folder = tmp_path_factory.mktemp("root")
    (engine,) = [wh.find_engine("reference", folder)]
    configs = [
        wh.EngineRunConfig(
            cmd=[*engine.command, "--ticks", str(ticks), "--profile", profile],
            env={"INIT_Q_TAO": 5},
            label={"profile": profile, "repeat": 1},
            telemetry_path=folder / "runs" / f"{profile}_r1.jsonl",
        )
        for profile, ticks in (("balanced", 12), ("aggressive", 8))
    ]
    wh.run_many(configs, jobs=2)
    report = wh.open(folder).ingest(["runs"])
    assert [outcome.status for outcome in report] == ["ingested", "ingested"]
    return folder


def test_sql_answers_with_a_polars_frame(root: Path) -> None:
    answer = wh.open(root).sql("SELECT label, num_ticks FROM runs ORDER BY label")
    expected = pl.DataFrame({"label": ["exp13_aggressive_r001", "exp13_balanced_r001"], "num_ticks": [8, 12]})
    assert answer.equals(expected)


def test_a_query_may_have_limits(root: Path) -> None:
    w = wh.open(root)
    assert w.sql("SELECT sum(num_ticks) AS n FROM runs", wh.Limits(untrusted=True)).rows() == [(20,)]
    with pytest.raises(wh.WarehouseError, match=r"0\.2 s"):
        w.sql("SELECT count(*) FROM range(1000000000) a, range(1000) b", wh.Limits(timeout_s=0.2))


def test_what_was_put_aside_and_what_is_damaged_are_frames(root: Path, tmp_path: Path) -> None:
    first, *rest = (root / "runs" / "balanced_r1.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "balanced_r1.jsonl").write_bytes(b"".join([first, b"no record\n", *rest]))
    w = wh.open(tmp_path)
    assert w.ingest("balanced_r1.jsonl", options=wh.IngestOptions(max_bad="10%")).complete
    assert w.quarantine().select("lines", "first_line").rows() == [(1, 2)]
    assert w.check().is_empty()
    (ticks,) = w.warehouse.telemetry.glob("*/label=exp13_balanced_r001/*.parquet")
    ticks.unlink()
    assert w.check()["problem"].to_list() == ["missing"]


def test_ticks_are_read_lazily_and_only_of_the_runs_asked_for(root: Path) -> None:
    ticks = wh.open(root).ticks(profile="balanced")
    assert isinstance(ticks, pl.LazyFrame)
    frame = ticks.select("profile", "label", "t").collect()
    assert frame.to_dict(as_series=False) == {
        "profile": ["balanced"] * 12,
        "label": ["exp13_balanced_r001"] * 12,
        "t": list(range(12)),
    }


def test_ticks_of_no_run_have_all_columns_and_no_rows(root: Path) -> None:
    none = wh.open(root).ticks(profile="conservative").collect()
    some = wh.open(root).ticks().collect()
    assert (none.height, none.columns) == (0, some.columns)


def test_a_view_can_be_named_and_an_unknown_one_is_answered_with_the_list(root: Path) -> None:
    assert wh.open(root).view("risk_tiers").height == 3
    with pytest.raises(wh.WarehouseError) as error:
        wh.open(root).view("fils")
    assert "fills" in error.value.hint


def test_dataset_summary_and_alignment(root: Path) -> None:
    w = wh.open(root)
    assert w.export_dataset().appended == 2
    assert w.export_dataset().appended == 0
    assert w.summary().overall["n_runs"] == 2
    assert w.alignment().frame["n_runs"].to_list() == [0, 1, 1]


def test_a_sweep_becomes_a_frame(root: Path) -> None:
    engine = wh.find_engine("reference", root)
    config = wh.EngineRunConfig(cmd=[*engine.command, "--ticks", "4"], env={}, label={"repeat": 1})
    frame = wh.results_to_dataframe(wh.run_many([config], parse_metrics=wh.parse_metrics))
    assert frame.columns == [
        "run_id",
        "duration_sec",
        "returncode",
        "repeat",
        "pnl_realised",
        "pnl_unrealised",
        "pnl_total",
        "kill_switch",
    ]
    assert frame["run_id"].to_list() == ["run_0"]


def test_a_missing_root_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(wh.WarehouseError) as error:
        wh.open(tmp_path / "none")
    assert (error.value.exit_code, "--root" in error.value.hint) == (2, True)


def test_a_folder_without_a_warehouse_answers_nothing_and_stays_empty(tmp_path: Path) -> None:
    opened = wh.open(tmp_path)
    for ask in (lambda: opened.sql("SELECT 1"), lambda: opened.view("runs"), opened.ticks, opened.drift):
        with pytest.raises(WarehouseError, match="no warehouse in ") as caught:
            ask()
        assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_script_without_a_main_guard_may_ingest_on_several_processes(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import paraphina_wh as wh\n"
        f"report = wh.open({str(tmp_path)!r}).ingest({str(root / 'runs')!r}, jobs=2)\n"
        "print(len(report), report.complete)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=600)
    assert done.stdout == "2 True\n", done.stderr


def test_importing_the_package_loads_no_heavy_library() -> None:
    heavy = "{'polars', 'duckdb', 'pyarrow', 'pandas', 'numpy', 'rich'}"
    probe = f"import sys, paraphina_wh; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_root_with_glob_characters_in_its_name_is_read_like_any_other(root: Path, tmp_path: Path) -> None:
    odd = tmp_path / 'e [x]* "q'
    odd.mkdir()
    w = wh.open(odd)
    assert w.ingest(root / "runs").complete
    assert w.sql("SELECT count(*) AS n FROM ticks").rows() == [(20,)]
    assert w.ticks().collect().height == 20


def test_an_experiment_runs_and_its_runs_come_out_identical_again(tmp_path: Path) -> None:
    w = wh.open(tmp_path)
    ran = w.run("exp05", wh.RunOptions(ticks=5, repeats=1, profiles=("balanced",), engine="reference"))
    assert ran.session.complete
    assert [path.name for path in ran.written] == ["exp05_runs_raw.csv", "exp05_runs_with_ts.csv", "exp05_summary.csv"]
    assert w.rerun("exp05_balanced_q0_r0").verdict == "identical"
