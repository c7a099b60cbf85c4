"""Seeds are drawn: the order, what a sweep passes to its engines, and what is kept of how a seed came about."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import paraphina_wh as wh
from paraphina_wh.engine.seeds import Part, drawn_seeds, first_of, seeds_of
from paraphina_wh.sidecar import read_sidecar
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.engines import DRAWN, NO_VERSION, REFERENCE, engine
from tests.records import line, run_of
from tests.telemetry_maker import ask, ingest, sidecar, write

HOW = "seed, seed_origin, seed_key, seed_index, seed_space, seed_first"


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """Return an engine that is not the embedded one; the reference engine does the work."""
    return engine(tmp_path / "engine", NO_VERSION, f"exec {REFERENCE}")


def exp13(external: Path, *options: str) -> tuple[str, ...]:
    """Return the command that runs two ticks of balanced, once unless told otherwise."""
    line = ("run", "exp13", "--engine", str(external), "--ticks", "2", "--profiles", "balanced")
    return (*line, "--runs-per-profile", "1", *options)


# The order


@given(st.text(), st.integers(1, 300))
def test_an_order_holds_every_seed_once(key: str, space: int) -> None:
    assert sorted(drawn_seeds(key, space)) == list(range(space))


@given(st.text(), st.integers(1, 2**63), st.integers(1, 20), st.integers(0, 20))
def test_a_part_of_an_order_is_the_same_wherever_it_begins(key: str, space: int, first: int, runs: int) -> None:
    whole = seeds_of(key, space, 1, first - 1 + runs)
    assert seeds_of(key, space, first, runs) == whole[first - 1 :]


def test_orders_are_what_they_always_were() -> None:
    """Sweeps resume by it: never change these numbers."""
    assert seeds_of("1", 10_000, 1, 5) == [4400, 1029, 8803, 2535, 6590]
    assert seeds_of("2", 10_000, 1, 5) == [8017, 2111, 1947, 7906, 2625]
    assert seeds_of("1", 2**31, 1, 3) == [127353520, 1732757646, 541064645]


# What engines are passed


def test_run_i_of_every_profile_gets_the_ith_seed(invoke: Invoke, tmp_path: Path, external: Path) -> None:
    done = invoke(*exp13(external, "--profiles", "aggressive"))
    assert done.exit_code == 0, done.stderr
    more = invoke(*exp13(external, "--profiles", "aggressive", "--runs-per-profile", "2"))
    assert "exp13: 2 runs, 2 already there" in more.stderr
    rows = wh.open(tmp_path).sql(f"SELECT profile, repeat, {HOW} FROM runs ORDER BY profile, repeat").rows()
    assert rows == [
        ("aggressive", 1, 4400, "drawn", "1", 1, 10_000, 1),
        ("aggressive", 2, 1029, "drawn", "1", 2, 10_000, 1),
        ("balanced", 1, 4400, "drawn", "1", 1, 10_000, 1),
        ("balanced", 2, 1029, "drawn", "1", 2, 10_000, 1),
    ]
    # What the engine itself says of it.
    assert "| seed=1029\n" in (tmp_path / "runs/exp13_auto/balanced_r2.stdout.txt").read_text()


def test_every_point_of_a_grid_gets_the_same_seeds(invoke: Invoke, external: Path) -> None:
    shown = invoke("run", "exp03", "--engine", external, "--dry-run", "--format", "jsonl")
    seeds = [json.loads(line)["seed"] for line in shown.stdout.splitlines()]
    assert seeds == [*DRAWN] * 15  # 3 profiles x 5 inventories


@pytest.mark.parametrize(
    ("options", "how"),
    [
        (("--seed", "night"), (7937, "drawn", "night", 1, 10_000, 1)),
        (("--seed-space", "3"), (2, "drawn", "1", 1, 3, 1)),
        (("--seed-start", "7"), (7, "listed", None, None, None, None)),
        (("--seed", "none"), (None, "none", None, None, None, None)),
        (("--seed", "None"), (None, "none", None, None, None, None)),
    ],
)
def test_how_a_seed_came_about_goes_all_the_way_to_the_row_of_the_dataset(
    invoke: Invoke, tmp_path: Path, external: Path, options: tuple[str, ...], how: tuple[object, ...]
) -> None:
    done = invoke(*exp13(external, *options))
    assert done.exit_code == 0, done.stderr
    found = read_sidecar(tmp_path / "runs/exp13_auto/balanced_r1.run.json")
    assert found is not None
    assert tuple(getattr(found, name) for name in HOW.split(", ")) == how
    (line,) = (tmp_path / "research_dataset_v001.jsonl").read_text().splitlines()
    assert list(json.loads(line))[-7:] == ["ticks_requested", "config", *HOW.split(", ")[1:]]
    for rows in ("runs", "research_rows", "dataset_rows", "(SELECT * FROM dataset_rows)"):
        assert wh.open(tmp_path).sql(f"SELECT {HOW}, ticks_requested FROM {rows}").rows() == [(*how, 2)], rows


def test_a_file_names_its_seeds(invoke: Invoke, tmp_path: Path, external: Path) -> None:
    text = 'name = "own"\nabout = "two runs"\nmode = "stdout"\nprofiles = ["balanced"]\nrepeats = 2\n'
    for said, seeds in (("seed = 1", DRAWN[:2]), ("seed_start = 7", (7, 8)), ('seed = "none"', (None, None))):
        (tmp_path / "own.toml").write_text(text + said)
        shown = invoke("run", "own.toml", "--engine", external, "--dry-run", "--format", "jsonl")
        assert tuple(json.loads(row)["seed"] for row in shown.stdout.splitlines()) == seeds
        # What the command line names takes the place of either.
        other = invoke("run", "own.toml", "--engine", external, "--dry-run", "--seed", "1", "--format", "jsonl")
        assert tuple(json.loads(row)["seed"] for row in other.stdout.splitlines()) == DRAWN[:2]


def test_what_proves_draws_from_another_part_than_what_chose(tmp_path: Path, external: Path) -> None:
    order = seeds_of("1", 20, 1, 20)
    options = wh.RunOptions(engine=str(external), ticks=2, profiles=("balanced",), repeats=1, seed_space=20)
    later: tuple[tuple[str, Part, int], ...] = (("exp05", "prove", 3), ("exp04", "prove again", 12))
    for name, part, place in later:
        wh.open(tmp_path).run(name, replace(options, seed_part=part))
        rows = wh.open(tmp_path).sql(f"SELECT DISTINCT {HOW} FROM runs WHERE experiment ILIKE '{name}%'").rows()
        assert rows == [(order[place - 1], "drawn", "1", place, 20, place)]
    assert (first_of("choose", 10_000), first_of("prove", 10_000), first_of("prove again", 2**31)) == (1, 1001, 5501)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--seed", "a", "--seed-start", "1"), "--seed and --seed-start are two ways to choose seeds"),
        (("--seed", ""), "--seed must be a key of 1 to 100 characters, or none"),
        (("--seed-start", "-1"), "--seed-start must lie in 0..2^63, not -1"),
        (("--seed-space", "0"), "--seed-space must lie in 1..2^63, not 0"),
        (
            ("--runs-per-profile", "10001"),
            "10001 runs of each point need the seeds at the places 1 to 10001, and this engine tells 10000 seeds apart",
        ),
    ],
)
def test_seeds_that_there_are_not_are_refused(
    invoke: Invoke, tmp_path: Path, external: Path, options: tuple[str, ...], reason: str
) -> None:
    refused = invoke(*exp13(external, *options))
    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert f"error: {reason}\n" in refused.stderr
    assert list(tmp_path.iterdir()) == [external]


# Sweeps that were begun with other seeds


@pytest.mark.parametrize(
    ("begun", "resumed", "seeds", "way"),
    [
        (("--seed-start", "5"), (), "5 there, 4400 here", "--seed-start 5"),
        (("--seed", "none"), (), "unset there, 4400 here", "--seed none"),
        (("--seed", "my night"), (), "7872 there, 4400 here", "--seed 'my night'"),
        ((), ("--seed", "none"), "4400 there, unset here", "--seed 1"),
        (("--seed-space", "3"), (), "2 there, 4400 here", "--seed 1 --seed-space 3"),
    ],
)
def test_a_resume_that_would_change_seeds_says_so(
    invoke: Invoke, external: Path, begun: tuple[str, ...], resumed: tuple[str, ...], seeds: str, way: str
) -> None:
    assert invoke(*exp13(external, *begun)).exit_code == 0
    for more in ((), ("--dry-run",), ("--runs-per-profile", "2")):
        refused = invoke(*exp13(external, *resumed, *more))
        assert refused.exit_code == 2
        assert f"error: this would change the seed of label 'exp13_balanced_r001': {seeds}\n" in refused.stderr
        assert f"hint: `{way}` goes on with the earlier seeds; or " in refused.stderr
    goes_on = invoke(*exp13(external, *begun, "--runs-per-profile", "2"))
    assert "exp13: 1 runs, 1 already there" in goes_on.stderr


def test_a_sweep_of_an_earlier_version_goes_on_where_it_stands(invoke: Invoke, tmp_path: Path, external: Path) -> None:
    """Its sidecars do not say how seeds came about, and nobody knows: they stay unknown."""
    invoke(*exp13(external, "--seed-start", "5", "--runs-per-profile", "2"))
    for path in (tmp_path / "runs").rglob("*.run.json"):
        told = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in told.items() if not name.startswith("seed_")}))
    for label in ("exp13_balanced_r001", "exp13_balanced_r002"):
        invoke("forget", "--label", label)
    invoke("ingest", "runs/exp13_auto")
    # The first repeat is gone: the second tells where the sweep began.
    invoke("forget", "--label", "exp13_balanced_r001")

    refused = invoke(*exp13(external, "--runs-per-profile", "3"))
    assert "this would change the seed of label 'exp13_balanced_r002': 6 there, 1029 here" in refused.stderr
    assert "hint: `--seed-start 5` goes on with the earlier seeds" in refused.stderr

    done = invoke(*exp13(external, "--runs-per-profile", "3", "--seed-start", "5"))
    assert "exp13: 2 runs, 1 already there" in done.stderr, done.stderr
    assert wh.open(tmp_path).sql("SELECT label, seed, seed_origin FROM runs ORDER BY label").rows() == [
        ("exp13_balanced_r001", 5, "listed"),
        ("exp13_balanced_r002", 6, None),
        ("exp13_balanced_r003", 7, "listed"),
    ]


# Runs from elsewhere


def test_nobody_knows_how_the_seeds_of_files_and_tables_came_about(warehouse: Warehouse) -> None:
    write(warehouse.root / "in/balanced_r1.jsonl", run_of(2))
    banner = "paraphina | cfg=v1 | cfg_hash=0x51 | profile=Balanced | ticks=2 | seed=9\n"
    write(warehouse.root / "in/lone.stdout.txt", banner)
    write(warehouse.root / "in/e_runs.csv", "profile,seed,seed_origin,seed_key,pnl_total\nbalanced,8,drawn,1,1\n")
    ingest(warehouse, warehouse.root / "in")
    rows = ask(warehouse, f"SELECT {HOW} FROM runs ORDER BY seed")
    assert rows == [(seed, None, None, None, None, None) for seed in (8, 9, None)]


def test_a_seed_that_the_engine_was_not_passed_came_about_nobody_knows_how(warehouse: Warehouse) -> None:
    base = warehouse.root / "balanced_r1"
    write(base.with_suffix(".jsonl"), run_of(2))
    write(base.with_suffix(".stdout.txt"), "paraphina | cfg=v1 | cfg_hash=0x51 | profile=Balanced | ticks=2 | seed=9\n")
    sidecar(base, seed=None, seed_origin="none")
    ingest(warehouse, base.with_suffix(".jsonl"))
    assert ask(warehouse, "SELECT seed, seed_origin FROM runs") == [(9, None)]


def test_rows_of_a_dataset_hold_what_they_name_and_nothing_else(invoke: Invoke, tmp_path: Path) -> None:
    run = {"label": "a", "profile": "balanced", "final_pnl": 1.0, "max_drawdown": 0.0, "num_ticks": 5}
    names = f"{HOW}, cfg_hash, truncated, ticks_requested, config"
    told = [
        run,
        run
        | {"seed": 2**64 - 1, "seed_origin": "drawn", "seed_key": 7, "seed_index": 2, "seed_space": 10, "seed_first": 1}
        | {"cfg_hash": "0x51", "truncated": True, "ticks_requested": 5, "config": "abc"},
        # As pandas writes whole numbers of a column with gaps; beyond 2^53 they are other ones by now.
        run | {"seed": 8.0, "seed_index": 2.0**53, "truncated": "False", "ticks_requested": -1},
        run | {"seed": 1.5, "seed_origin": "chosen", "seed_index": "x", "truncated": "perhaps", "config": " "},
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    assert invoke("ingest", "d.jsonl").exit_code == 0
    assert wh.open(tmp_path).sql(f"SELECT {names} FROM dataset_rows ORDER BY line_no").rows() == [
        (None,) * 10,
        (2**64 - 1, "drawn", "7", 2, 10, 1, "0x51", True, 5, "abc"),
        (8, None, None, None, None, None, None, False, None, None),
        (None,) * 10,
    ]


# What may be pooled


def test_a_configuration_is_profile_settings_engine_and_length(warehouse: Warehouse) -> None:
    given = {"engine": "external", "engine_version": "1", "engine_sha256": "ab", "ticks": 2}
    given["knobs"] = {"PARAPHINA_VOL_REF": "0.02"}
    one = [given, given | {"seed": 5}]
    others: list[dict[str, object]] = [
        given | {"profile": "aggressive"},
        given | {"knobs": {"PARAPHINA_VOL_REF": "0.03"}},
        given | {"engine": "reference"},
        given | {"engine_version": None},
        given | {"engine_version": ""},
        given | {"engine_sha256": "cd"},
        given | {"ticks": None},
    ]
    for number, fields in enumerate([*one, *others]):
        base = warehouse.root / f"in/r{number}"
        write(base.with_suffix(".jsonl"), run_of(2))
        sidecar(base, label=f"r{number}", **fields)
    # Nothing tells which engine it was.
    write(warehouse.root / "in/balanced_r9.jsonl", line(t=0, config_version_id=None))
    ingest(warehouse, warehouse.root / "in")

    configs = dict(ask(warehouse, "SELECT label, config FROM research_rows"))
    assert len(configs) == 10
    assert configs["r0"] == configs["r1"] == "68d2d17911f6"
    assert len({configs[f"r{number}"] for number in range(9)} - {None}) == 8
    assert configs["exp13_balanced_r009"] is None
