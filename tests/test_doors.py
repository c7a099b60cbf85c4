"""The doors: what is no warehouse, a damaged one, or no place of this machine is refused, and nothing is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import paraphina_wh as wh
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import PROJECT, Invoke
from tests.records import run_of
from tests.telemetry_maker import ask, ingest, sidecar, write

READERS = (
    *("status", "compact", "gc", "repair", "check", "drift", "drift promote x", "forget x", "rerun x"),
    *("quarantine list", "quarantine show x", "quarantine replay --all", "quarantine drop x"),
    *("export dataset", "export runs", "export all", "dataset list", "dataset restore v001"),
    *("query runs", "query runs --untrusted"),
)


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    """Return a warehouse with one run of two ticks."""
    write(warehouse.root / "in" / "balanced_r1.jsonl", run_of(2))
    ingest(warehouse, warehouse.root / "in")
    return warehouse


# No warehouse


@pytest.mark.parametrize("arguments", READERS)
def test_what_reads_refuses_a_folder_without_a_warehouse(invoke: Invoke, tmp_path: Path, arguments: str) -> None:
    words = ["FROM runs" if word == "runs" and arguments.startswith("query") else word for word in arguments.split()]
    result = invoke(*words)
    assert result.stderr == (
        f"error: no warehouse in {tmp_path}/warehouse\n"
        "hint: name it with --root or --warehouse; `paraphina-wh ingest PATH` or `paraphina-wh run exp13` creates it\n"
    )
    assert (result.stdout, result.exit_code, list(tmp_path.iterdir())) == ("", 2, [])


def test_the_readme_that_the_repository_ships_makes_no_warehouse(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "warehouse" / "README.md", (PROJECT / "warehouse" / "README.md").read_bytes())
    assert invoke("status").exit_code == 2
    write(tmp_path / "balanced_r1.jsonl", run_of(2))
    assert invoke("ingest", "balanced_r1.jsonl").exit_code == 0
    assert invoke("check").exit_code == 0


def test_datasets_of_older_tools_are_listed_and_summarised_before_there_is_a_warehouse(
    invoke: Invoke, tmp_path: Path
) -> None:
    row = '{"label": "a", "profile": "balanced", "final_pnl": 1.0, "max_drawdown": 0.0, "num_ticks": 5}\n'
    write(tmp_path / "research_dataset_v001.jsonl", row.encode())
    listed = json.loads(invoke("dataset", "list", "--format", "json").stdout)
    assert [(each["dataset"], each["runs"]) for each in listed] == [("research_dataset_v001", 1)]
    assert invoke("summary").exit_code == 0


# A lost or damaged FORMAT


@pytest.mark.parametrize("content", [None, b"", b"\0\0\0\0", b"x1\n", "\N{SUPERSCRIPT ONE}\n".encode()])
def test_a_lost_or_damaged_format_is_damage_and_repair_puts_it_back(
    invoke: Invoke, filled: Warehouse, content: bytes | None
) -> None:
    file = filled.path / "FORMAT"
    before = file.read_bytes()
    file.unlink() if content is None else file.write_bytes(content)
    said = f"{file} is gone, and the folder holds data" if content is None else f"{file} is damaged: it holds no number"
    for arguments in (["query", "SELECT count(*) FROM runs"], ["status"], ["ingest", "in"], ["gc"], ["run", "exp07"]):
        result = invoke(*arguments)
        assert result.stderr.startswith(f"error: {said}"), arguments
        assert "`paraphina-wh repair` puts it back" in result.stderr
        assert (result.stdout, result.exit_code) == ("", 1)
    checked = invoke("check", "--format", "json")
    assert [(each["problem"], each["path"]) for each in json.loads(checked.stdout)] == [
        ("missing" if content is None else "changed", "FORMAT")
    ]
    assert checked.exit_code == 1
    repaired = invoke("repair", "--format", "json")
    assert [(each["result"], each["path"]) for each in json.loads(repaired.stdout)] == [("restored", "FORMAT")]
    assert invoke("check").exit_code == 0
    assert ask(filled, "SELECT count(*) FROM runs") == [(1,)]
    assert file.read_bytes() == before


def test_a_folder_in_the_place_of_format_is_damage(invoke: Invoke, filled: Warehouse) -> None:
    file = filled.path / "FORMAT"
    file.unlink()
    file.mkdir()
    assert (invoke("status").exit_code, invoke("check").exit_code) == (1, 1)
    repaired = invoke("repair")
    assert repaired.stderr.startswith(f"error: {file} is damaged: it is a folder\nhint: move it away")
    file.rmdir()
    assert invoke("repair").exit_code == 0
    assert ask(filled, "SELECT count(*) FROM runs") == [(1,)]


def test_an_open_warehouse_notices_that_its_format_is_lost(filled: Warehouse) -> None:
    opened = wh.open(filled.root)
    (filled.path / "FORMAT").unlink()
    with pytest.raises(WarehouseError, match="FORMAT is gone"):
        opened.view("runs")
    assert opened.check()["path"].to_list() == ["FORMAT"]


def test_a_kill_before_format_was_written_is_no_damage(warehouse: Warehouse, empty_warehouse: Warehouse) -> None:
    (empty_warehouse.path / "FORMAT").unlink()
    assert not warehouse.exists
    write(warehouse.root / "balanced_r1.jsonl", run_of(2))
    assert [outcome.status for outcome in ingest(warehouse, warehouse.root / "balanced_r1.jsonl")] == ["ingested"]


# Addresses


@pytest.mark.parametrize(
    "arguments",
    [
        *("--root s3://bucket status", "--warehouse s3://bucket/wh ingest in", "ingest s3://bucket/a.jsonl"),
        *("ingest in https://host/a.jsonl", "query runs -o s3://bucket/a.csv", "export alignment -o gs://bucket/a"),
        *("summary --dataset s3://bucket/d.jsonl", "run exp11 --dataset s3://bucket/d.jsonl"),
        *("run exp07 --runs-csv s3://bucket/a.csv", "run exp07 --out-dir s3://bucket/a", "rerun x -o file:///tmp/a"),
        *(
            "run exp13 --dataset s3://b/d.jsonl --dry-run",
            "dataset restore s3://bucket/d",
            "query -f s3://bucket/q.sql",
        ),
    ],
)
def test_an_address_is_no_path(invoke: Invoke, filled: Warehouse, arguments: str) -> None:
    before = sorted(filled.root.rglob("*"))
    result = invoke(*arguments.split())
    assert " addresses cannot be read or written\nhint: name a file or folder of this machine" in result.stderr
    assert (result.stdout, result.exit_code) == ("", 2)
    assert sorted(filled.root.rglob("*")) == before


def test_the_python_api_takes_no_address_either(filled: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = wh.open(filled.root)
    monkeypatch.chdir(filled.root)
    for ask_for in (
        lambda: wh.open("s3://bucket"),
        lambda: locate(filled.root, "s3://bucket/wh"),
        lambda: opened.ingest("s3://bucket/a.jsonl"),
        lambda: opened.alignment("s3://bucket/d.jsonl"),
    ):
        with pytest.raises(WarehouseError, match="s3 addresses cannot be read") as caught:
            ask_for()
        assert caught.value.exit_code == 2


# Profiles

MEANT = "did you mean balanced?; --new-profile if you mean it"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("ingest in --profile balnced", MEANT),
        ("ingest in --profile Balanced", MEANT),
        ("run exp13 --engine reference --profiles balnced --dry-run", MEANT),
        ("run exp13 --engine reference --profiles conservative,balnced --dataset own.jsonl", MEANT),
        ("run exp04 --engine reference --profiles x", "exp04_multi_scenario has no values for profile"),
        ("export dataset --profile balnced", "did you mean balanced?"),
        ("export dataset --profile balnced -o rows.jsonl", "did you mean balanced?"),
        ("summary --profile agressive", "did you mean aggressive?"),
        ("forget --label lab --profile conservativ", "did you mean conservative?"),
        ("export dataset --profile zzz", "profiles: conservative, balanced, aggressive"),
    ],
)
def test_a_mistyped_profile_is_refused_with_the_one_that_is_meant(
    invoke: Invoke, filled: Warehouse, arguments: str, hint: str
) -> None:
    invoke("export", "dataset")
    before = sorted(filled.root.rglob("*"))
    result = invoke(*arguments.split())
    assert f"hint: {hint}\n" in result.stderr or hint in result.stderr.splitlines()[-2]
    assert (result.stdout, result.exit_code) == ("", 2)
    assert sorted(filled.root.rglob("*")) == before


def test_a_mistyped_profile_in_an_experiment_file_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    spec = 'name = "night"\nabout = "x"\nprofiles = ["agressive"]\nticks = 3\nrepeats = 1\nmode = "telemetry"\n'
    write(tmp_path / "night.toml", spec)
    refused = invoke("run", "night.toml", "--engine", "reference")
    assert refused.stderr.endswith(
        "error: unknown profile 'agressive'\nhint: did you mean aggressive?; --new-profile if you mean it\n"
    )
    assert (refused.exit_code, (tmp_path / "warehouse").exists()) == (2, False)


def test_files_that_name_an_unknown_profile_are_turned_down_one_by_one(warehouse: Warehouse) -> None:
    folder = warehouse.root / "in"
    write(folder / "a.jsonl", run_of(2))
    sidecar(folder / "a", profile="balnced")
    write(folder / "c_runs.csv", "profile,pnl_total,repeat\nbalnced,1.0,1\n")
    row = '{"label": "a", "profile": " Balnced", "final_pnl": 1.0, "max_drawdown": 0.0, "num_ticks": 5}\n'
    write(folder / "research_dataset_v001.jsonl", row)
    write(folder / "balanced_r1.jsonl", run_of(3))
    report = ingest(warehouse, folder)
    assert [(outcome.file, outcome.status, outcome.hint) for outcome in report] == [
        ("in/a.jsonl", "rejected", MEANT),
        ("in/balanced_r1.jsonl", "ingested", ""),
        ("in/c_runs.csv", "rejected", MEANT),
        ("in/research_dataset_v001.jsonl", "rejected", MEANT),
    ]
    assert all("unknown profile " in outcome.errors[0] for outcome in report if outcome.errors)
    assert ask(warehouse, "SELECT profile FROM runs") == [("balanced",)]
    again = ingest(warehouse, folder, new_profile=True)
    assert {outcome.status for outcome in again} == {"ingested", "unchanged"}


def test_a_profile_that_the_warehouse_holds_is_known_from_then_on(invoke: Invoke, filled: Warehouse) -> None:
    write(filled.root / "own.jsonl", run_of(3))
    taken = invoke("ingest", "own.jsonl", "--profile", "cautious", "--new-profile")
    assert (taken.exit_code, "profile 'cautious' has no risk budget" in taken.stderr) == (0, True)
    assert "1 unchanged" in invoke("ingest", "own.jsonl", "--profile", "cautious").stderr
    assert invoke("export", "dataset", "--profile", "cautious").exit_code == 0
    assert (
        invoke("ingest", "own.jsonl", "--profile", "cautius")
        .stderr.splitlines()[1]
        .startswith("hint: did you mean cautious")
    )
    assert wh.open(filled.root).ticks("cautious").collect().height == 3
    with pytest.raises(WarehouseError, match="unknown profile 'cautius'"):
        wh.open(filled.root).ticks("cautius")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a", {"profile": "aggressive"}, "in/a.jsonl: its sidecar says profile 'balanced', not 'aggressive'"),
        ("aggressive_r1", {}, "in/aggressive_r1.jsonl: its sidecar says profile 'balanced', not 'aggressive'"),
    ],
)
def test_a_profile_against_the_sidecar_is_refused(
    warehouse: Warehouse, name: str, options: dict[str, Any], said: str
) -> None:
    base = warehouse.root / "in" / name
    write(base.with_suffix(".jsonl"), run_of(2))
    sidecar(base, profile="balanced")
    (outcome,) = ingest(warehouse, base.with_suffix(".jsonl"), **options)
    assert (outcome.status, outcome.errors[0].endswith(said)) == ("rejected", True)


def test_a_profile_against_the_banner_of_the_engine_is_refused(warehouse: Warehouse) -> None:
    write(warehouse.root / "aggressive_r1.jsonl", run_of(2))
    write(
        warehouse.root / "aggressive_r1.stdout.txt",
        "paraphina | cfg=v1 | cfg_hash=0x5175cca07d758d00 | profile=Balanced | ticks=2 | seed=none\n",
    )
    (outcome,) = ingest(warehouse, warehouse.root / "aggressive_r1.jsonl")
    assert outcome.errors == ["aggressive_r1.jsonl: the engine's banner says profile 'balanced', not 'aggressive'"]
    # No engine knows a profile of one's own.
    (outcome,) = ingest(warehouse, warehouse.root / "aggressive_r1.jsonl", profile="bold", new_profile=True)
    assert outcome.status == "ingested"


# Withdrawal


@pytest.fixture
def three(warehouse: Warehouse) -> Warehouse:
    """Return a warehouse with three runs of one label: two profiles, two experiments."""
    for n, (profile, experiment) in enumerate((("balanced", "a"), ("balanced", "b"), ("aggressive", "a"))):
        file = write(warehouse.root / f"{n}.jsonl", run_of(n + 2))
        # As two ingesters leave them that raced for the label.
        (outcome,) = ingest(warehouse, file, profile=profile, experiment=experiment, label=f"lab{n}")
        assert outcome.status == "ingested"
    return warehouse


def test_forget_lists_what_fits_and_withdraws_none_of_several_unasked(invoke: Invoke, three: Warehouse) -> None:
    runs = ask(three, "SELECT run_id, profile, label, experiment FROM runs ORDER BY run_id")
    of_a = [run for run in runs if run[3] == "a"]
    refused = invoke("forget", "--experiment", "a")
    listed = "; ".join(f"{run_id} {profile} {label} ({experiment})" for run_id, profile, label, experiment in of_a)
    assert refused.stderr == (
        f"error: these options fit 2 runs, none was withdrawn: {listed}\n"
        "hint: name one by its run_id, narrow with --profile, --experiment or --label, or withdraw all with --all\n"
    )
    assert (refused.stdout, refused.exit_code) == ("", 2)
    dry = invoke("forget", "--experiment", "a", "--all", "--dry-run")
    assert dry.stdout == "".join(f"{run_id} {profile} {label}\n" for run_id, profile, label, _ in of_a)
    assert (dry.stderr, dry.exit_code) == ("2 runs would be withdrawn; none was\n", 0)
    assert ask(three, "SELECT count(*) FROM runs") == [(3,)]
    assert invoke("forget", "--experiment", "a", "--profile", "aggressive").stdout.endswith(" aggressive lab2\n")
    assert invoke("forget", "--profile", "balanced", "--all").exit_code == 0
    assert ask(three, "SELECT count(*) FROM runs") == [(0,)]


def test_a_label_of_several_profiles_is_narrowed_by_one(invoke: Invoke, warehouse: Warehouse) -> None:
    for profile in ("balanced", "aggressive"):
        ingest(warehouse, write(warehouse.root / f"{profile}.jsonl", run_of(2)), profile=profile, label="lab")
    refused = invoke("forget", "--label", "lab")
    assert refused.stderr.startswith("error: label 'lab' fits 2 runs, none was withdrawn: ")
    assert refused.exit_code == 2
    assert invoke("forget", "--label", "lab", "--profile", "balanced").stdout.endswith(" balanced lab\n")
    assert ask(warehouse, "SELECT profile FROM runs") == [("aggressive",)]
    for options in (("--label", "lab", "--profile", "balanced"), ("--experiment", "adhoc", "--label", "lap")):
        assert invoke("forget", *options).exit_code == 2
    mistyped = invoke("forget", "--label", "lab", "--experiment", "adhok")
    assert mistyped.stderr == "error: no runs of experiment 'adhok'\nhint: did you mean adhoc?\n"


def test_an_export_of_a_mistyped_experiment_is_refused(invoke: Invoke, filled: Warehouse) -> None:
    for arguments in (("dataset",), ("all",), ("runs",)):
        refused = invoke("export", *arguments, "--experiment", "exp14")
        assert (refused.stderr, refused.exit_code) == (
            "error: no runs of experiment 'exp14'\nhint: did you mean exp13?\n",
            2,
        )


# Other JSON lines


def test_json_lines_of_another_kind_are_called_that_at_once(invoke: Invoke, tmp_path: Path) -> None:
    trades = "".join(f'{{"ts": {n}, "price": 2.0, "side": "buy"}}\n' for n in range(3))
    write(tmp_path / "in" / "trades.jsonl", trades)
    write(tmp_path / "in" / "balanced_r1.jsonl", trades)
    for options in ((), ("--on-error", "quarantine"), ("--profile", "balanced")):
        refused = invoke("ingest", "in", *options)
        assert (
            refused.stderr
            == "".join(
                f"error: in/{name}: not telemetry: its first object has the keys ts, price, side\n"
                "hint: `paraphina-wh schema ticks` shows what telemetry has; leave files of other kinds out\n"
                for name in ("balanced_r1.jsonl", "trades.jsonl")
            )
            + "2 rejected\n"
        )
        assert refused.exit_code == 1


def test_telemetry_whose_first_line_is_damaged_is_telemetry(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "balanced_r1.jsonl", b'{"odd": 1}\n' + run_of(2))
    write(tmp_path / "own.jsonl", b'{"odd": 1}\n' + run_of(3))
    taken = invoke("ingest", "balanced_r1.jsonl", "own.jsonl", "--profile", "balanced", "--on-error", "quarantine")
    assert (taken.exit_code, "2 quarantined" in taken.stderr) == (0, True)
