"""The archive of the old tools: telemetry without sidecars, and tables whose rows name it, say how it was run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.ingest.plan import profile_in_name
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.records import line
from tests.telemetry_maker import ask, files_below, ingest, verdicts, write

# Where the old tools ran: on another machine.
ELSEWHERE = "/home/ann/paraphina/runs/exp05_telemetry_validation/telemetry"
COLUMNS = (
    "run_id,duration_sec,returncode,experiment,profile,init_q_tao,band_base,mm_size_eta,vol_ref,daily_loss_limit,"
    "repeat,telemetry_path,pnl_realised,pnl_unrealised,pnl_total,kill_switch"
)
PATH_COLUMNS = (
    "pnl_total_end,max_drawdown,max_drawdown_time,time_to_kill,regime_frac_normal,regime_frac_warning,"
    "regime_frac_hard,num_ticks"
)
LIMITS = {"aggressive": 2000.0, "balanced": 5000.0}
# Profile, inventory and repeat of each run; its final PnL is its place in this list plus a tenth of a cent.
RUNS = [(profile, q, repeat) for profile in LIMITS for q in (-20, 0) for repeat in (0, 1)]


def name_of(profile: str, q: int, repeat: int) -> str:
    return f"exp05_{profile}_q{q}_r{repeat}"


def telemetry(pnl: float) -> bytes:
    """Return three ticks that end with a PnL."""
    return b"".join(
        line(t=t, pnl_realised=each, pnl_unrealised=0.0, pnl_total=each) for t, each in enumerate((0, 3, pnl))
    )


def table(*, with_path: bool = False, runs: list[tuple[str, int, int]] = RUNS) -> str:
    lines = [f"{COLUMNS},{PATH_COLUMNS}" if with_path else COLUMNS]
    for profile, q, repeat in runs:
        place = RUNS.index((profile, q, repeat))
        name = name_of(profile, q, repeat)
        cells = f"{name},0.25,0,exp05_telemetry_validation,{profile},{q:.1f},5.625,0.1,0.028125,{LIMITS[profile]}"
        cells += f",{repeat},{ELSEWHERE}/{name}.jsonl,{place}.0,0.0,{place}.0,False"
        deepest = max(0.0, 3 - place - 0.001)
        lines.append(cells + (f",{place}.001,{deepest},2,,1.0,0.0,0.0,3" if with_path else ""))
    return "\n".join(lines) + "\n"


def archive(root: Path, *, raw: bool = True, with_path: bool = True) -> Path:
    """Lay a folder of exp05 out as the old tools leave it."""
    folder = root / "runs" / "exp05_telemetry_validation"
    for place, run in enumerate(RUNS):
        write(folder / "telemetry" / f"{name_of(*run)}.jsonl", telemetry(place + 0.001))
    if raw:
        write(folder / "exp05_runs_raw.csv", table())
    if with_path:
        write(folder / "exp05_runs_with_ts.csv", table(with_path=True))
    write(folder / "exp05_summary.csv", "profile,init_q_tao,pnl_total_mean\naggressive,-20.0,0.5\n")
    return folder


def expected() -> list[tuple[Any, ...]]:
    """Return what the warehouse must say of the archive, a row a run."""
    return [
        (
            *("exp05_telemetry_validation", name_of(profile, q, repeat), profile, repeat, "telemetry", "ok"),
            *(float(q), 5.625, 0.1, 0.028125, LIMITS[profile]),
            *(place + 0.001, float(place), True, 3, 0.25, 0),
        )
        for place, (profile, q, repeat) in enumerate(RUNS)
    ]


def found(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return ask(
        warehouse,
        "SELECT experiment, run_name, profile, repeat, source_kind, status, init_q_tao, band_base, mm_size_eta, "
        "vol_ref, daily_loss_limit, final_pnl, stdout_pnl_total, dq_stdout, num_ticks, duration_sec, returncode "
        "FROM runs ORDER BY final_pnl",
    )


def test_the_archive_comes_in_as_one_run_a_row(warehouse: Warehouse) -> None:
    archive(warehouse.root)
    report = ingest(warehouse, warehouse.root / "runs")
    assert found(warehouse) == expected()
    assert verdicts(report) == {f"{name_of(*run)}.jsonl": "ingested" for run in RUNS} | {
        "exp05_runs_raw.csv": "unchanged",
        "exp05_runs_with_ts.csv": "ingested",
        "exp05_summary.csv": "ingested",
    }
    (with_path,) = [each for each in report if each.file.endswith("_with_ts.csv")]
    assert with_path.notices == [
        "8 runs",
        "8 of them are here with their telemetry or stdout: counted once",
        "8 of those got their experiment, label keys and knobs from the table",
    ]
    [(label, label_json, knobs)] = ask(
        warehouse, "SELECT label, label_json, knobs_json FROM runs WHERE run_name = 'exp05_aggressive_q-20_r1'"
    )
    assert label == "exp05_aggressive_q-20_r1"
    assert json.loads(label_json) == {
        "experiment": "exp05_telemetry_validation",
        "profile": "aggressive",
        "repeat": 1,
        "init_q_tao": -20.0,
        "band_base": 5.625,
        "mm_size_eta": 0.1,
        "vol_ref": 0.028125,
        "daily_loss_limit": 2000.0,
    }
    assert json.loads(knobs)["PARAPHINA_INIT_Q_TAO"] == "-20.0"
    # They are evidence like any other run with telemetry.
    assert ask(warehouse, "SELECT count(*), count(DISTINCT knob_init_q_tao) FROM research_rows") == [(8, 2)]


def test_again_changes_nothing(warehouse: Warehouse) -> None:
    folder = archive(warehouse.root)
    ingest(warehouse, folder)
    before = files_below(warehouse.path)
    assert set(verdicts(ingest(warehouse, folder)).values()) == {"unchanged"}
    assert files_below(warehouse.path) == before


PARTS = ("telemetry", "exp05_runs_raw.csv", "exp05_runs_with_ts.csv")


@pytest.mark.parametrize(
    "order", [*itertools.permutations(PARTS)], ids=lambda order: " ".join(part[:14] for part in order)
)
def test_the_parts_may_come_in_any_order(warehouse: Warehouse, order: tuple[str, ...]) -> None:
    folder = archive(warehouse.root)
    for part in order:
        ingest(warehouse, folder / part)
    assert found(warehouse) == expected()
    before = files_below(warehouse.path)
    for part in order:
        ingest(warehouse, folder / part)
    assert files_below(warehouse.path) == before


def test_rows_whose_telemetry_is_missing_are_rows_of_a_table(warehouse: Warehouse) -> None:
    folder = archive(warehouse.root)
    for name in ("exp05_balanced_q0_r0", "exp05_balanced_q0_r1"):
        (folder / "telemetry" / f"{name}.jsonl").unlink()
    ingest(warehouse, folder)
    kinds = "count(*) FILTER (source_kind = 'telemetry'), count(*) FILTER (source_kind = 'csv')"
    assert ask(warehouse, f"SELECT {kinds} FROM runs") == [(6, 2)]
    archive(warehouse.root)
    ingest(warehouse, folder / "telemetry")
    assert found(warehouse) == expected()


def test_tables_without_any_telemetry_count_once(warehouse: Warehouse) -> None:
    folder = archive(warehouse.root)
    raw, with_path = folder / "exp05_runs_raw.csv", folder / "exp05_runs_with_ts.csv"
    away = (
        write(warehouse.root / "a" / raw.name, raw.read_text()),
        write(warehouse.root / "b" / raw.name, with_path.read_text()),
    )
    for file in (*away, *away):
        ingest(warehouse, file)
    # The table that says more has taken the place of the other, and keeps it.
    assert ask(warehouse, "SELECT count(*), count(final_pnl), count(stdout_pnl_total) FROM runs") == [(8, 8, 8)]


def test_a_row_names_the_profile_where_the_file_name_is_not_clear(warehouse: Warehouse) -> None:
    folder = warehouse.root / "old"
    write(folder / "telemetry" / "a1.jsonl", telemetry(1.001))
    write(folder / "mine_runs.csv", "profile,telemetry_path,init_q_tao,pnl_total\nbalanced,/x/a1.jsonl,3,1\n")
    ingest(warehouse, folder)
    assert ask(warehouse, "SELECT profile, label, experiment, init_q_tao, num_ticks FROM runs") == [
        ("balanced", "a1", "mine", 3.0, 3)
    ]


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("exp05_aggressive_q-40_r0", "aggressive"),
        ("exp04_balanced_low_vol_q20_r3", "balanced"),
        ("balanced_r1", "balanced"),
        ("conservative_vs_aggressive_q0_r1", None),
        ("unbalanced_q0_r1", None),
        ("exp05_Balanced_q0_r1", None),
        ("balanced_sample", None),
        ("my_test_r1", None),
    ],
)
def test_a_name_tells_the_profile_when_one_tier_is_a_word_of_it(name: str, profile: str | None) -> None:
    assert profile_in_name(name) == profile


def test_telemetry_under_another_profile_than_its_row_turns_the_table_down(warehouse: Warehouse) -> None:
    folder = warehouse.root / "old"
    file = write(folder / "a1.jsonl", telemetry(1.001))
    ingest(warehouse, file, profile="aggressive")
    ((run_id,),) = ask(warehouse, "SELECT run_id FROM runs")
    (outcome,) = ingest(
        warehouse, write(folder / "mine_runs.csv", "profile,telemetry_path,pnl_total\nbalanced,/x/a1.jsonl,1\n")
    )
    assert (outcome.status, outcome.errors) == (
        "rejected",
        [f"row 1: profile 'balanced', but its telemetry is here as run {run_id} of profile 'aggressive'"],
    )
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(1,)]


def test_telemetry_of_the_same_name_that_is_of_another_run_is_left_alone(warehouse: Warehouse) -> None:
    """Two archives of one experiment have the same names; the results say which is which."""
    archive(warehouse.root)
    ingest(warehouse, warehouse.root / "runs")
    other = "telemetry_path,profile,experiment,pnl_total,note\n/x/exp05_balanced_q0_r0.jsonl,balanced,mine,-77.5,b\n"
    ingest(warehouse, write(warehouse.root / "other" / "mine_runs.csv", other))
    assert found(warehouse)[:-1] == expected()
    assert ask(warehouse, "SELECT source_kind, stdout_pnl_total FROM runs WHERE experiment = 'mine'") == [
        ("csv", -77.5)
    ]


def test_a_run_that_its_row_calls_failed_has_failed(warehouse: Warehouse) -> None:
    folder = archive(warehouse.root)
    for name in PARTS[1:]:
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("exp05_balanced_q0_r1,0.25,0,", "exp05_balanced_q0_r1,0.25,-9,"))
    ingest(warehouse, folder)
    assert ask(warehouse, "SELECT label, error FROM runs WHERE status <> 'ok'") == [
        ("exp05_balanced_q0_r1", "return code -9")
    ]
    assert ask(warehouse, "SELECT count(*) FROM research_rows") == [(7,)]


def test_a_damaged_ledger_gets_back_what_the_table_said(invoke: Invoke, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path, tmp_path / "warehouse")
    ingest(warehouse, archive(tmp_path))
    assert invoke("check", "--deep").exit_code == 0
    for file in warehouse.runs.glob("experiment=*/[0-9]*.parquet"):
        file.write_bytes(b"damaged")
    assert invoke("repair").exit_code == 0
    assert found(warehouse) == expected()
    assert invoke("compact").exit_code == 0
    assert invoke("check", "--deep").exit_code == 0
    assert found(warehouse) == expected()


def test_a_replay_keeps_what_the_table_said(invoke: Invoke, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path, tmp_path / "warehouse")
    folder = archive(tmp_path)
    file = folder / "telemetry" / "exp05_aggressive_q-20_r0.jsonl"
    good = file.read_bytes()
    file.write_bytes(good.replace(b'"t":1', b'"t":"1"'))
    ingest(warehouse, folder, on_error="quarantine")
    ((run_id, set_by_table),) = ask(warehouse, "SELECT run_id, init_q_tao FROM runs WHERE quarantined = 1")
    assert set_by_table == -20
    file.write_bytes(good)
    assert invoke("quarantine", "replay", run_id).exit_code == 0
    assert found(warehouse) == expected()
