"""Once: a row is the same row however it is spelt, our own exports add nothing, equal telemetry is named."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paraphina_wh import commit
from paraphina_wh.records import Record
from paraphina_wh.warehouse import Warehouse, locate, new_batch
from tests.conftest import Invoke, command_line
from tests.records import run_of
from tests.telemetry_maker import ask, files_below, ingest, sidecar, verdicts, write

HEADER = [
    "experiment",
    "profile",
    "vol_ref",
    "init_q_tao",
    "seed",
    "repeat",
    "hot",
    "scenario",
    "pnl_total",
    "kill_switch",
]
ROWS = [
    ["e", "balanced", 0.00001, -40.0, 2**64 - 1, 0, True, "low_vol", 1.5, False],
    ["e", "balanced", 0.00001, 0.0, 7, 1, False, "007", -1234.25, True],
    ["e", "aggressive", 0.5, 1e20, 8, 0, True, "a, b", 0.0, False],
]

# Ways to write a value that other tools have.
NUMBERS: list[Callable[[float], str]] = [
    repr,
    lambda x: f"{x:.17g}",
    lambda x: f"{x:E}".replace("E-05", "E-5") if float(f"{x:E}") == x else repr(x),
    lambda x: f"{x:.10f}" if float(f"{x:.10f}") == x else repr(x),
    lambda x: f"+{x!r}" if x >= 0 else repr(x),
    lambda x: str(int(x)) if x.is_integer() else repr(x),
    lambda x: f" {x!r} ",
]
INTEGERS: list[Callable[[int], str]] = [
    str,
    lambda n: f"{n}.0" if n < 2**53 else str(n),
    lambda n: f" {n}",
    lambda n: f"+{n}",
]
FLAGS: list[Callable[[bool], str]] = [
    str,
    lambda b: str(b).lower(),
    lambda b: str(b).upper(),
    lambda b: str(int(b)),
    lambda b: f"{b:.1f}",
]
# A column that nobody else reads may be known to say yes and no, too, when it is a result.
KILLS: list[Callable[[bool], str]] = [*FLAGS, lambda b: "yes" if b else "no"]
SYNONYMS = {
    "init_q_tao": ["init_q_tao", "initial_q_tao", "Q0", "Init_Q_TAO"],
    "vol_ref": ["vol_ref", "sigma_ref"],
    "repeat": ["repeat", "run_idx"],
    "kill_switch": ["kill_switch", "killed"],
}
EMPTY = ["", "NaN", "nan", "None", "null"]


@st.composite
def spellings(draw: st.DrawFn) -> bytes:
    """Return ROWS as some other tool might have written them."""
    columns: list[list[str]] = []
    for name, *values in zip(HEADER, *ROWS, strict=True):
        cells = [draw(st.sampled_from(SYNONYMS.get(name, [name, name.upper()])))]
        for value in values:
            if isinstance(value, bool):
                cells.append(draw(st.sampled_from(KILLS if name == "kill_switch" else FLAGS))(value))
            elif isinstance(value, int):
                cells.append(draw(st.sampled_from(INTEGERS))(value))
            else:
                cells.append(draw(st.sampled_from(NUMBERS))(value) if isinstance(value, float) else str(value))
        columns.append(cells)
    if draw(st.booleans()):
        columns.append(["added_later", *(draw(st.sampled_from(EMPTY)) for _ in ROWS)])
    columns = draw(st.permutations(columns))
    if draw(st.booleans()):
        columns.insert(0, [draw(st.sampled_from(["", "Unnamed: 0", "index"])), *map(str, range(len(ROWS)))])
    out = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    quoted = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=end)
    writer = quoted if draw(st.booleans()) else csv.writer(out, lineterminator=end)
    writer.writerows(zip(*columns, strict=True))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + out.getvalue().encode()


def plain() -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([HEADER, *ROWS])
    return out.getvalue()


@pytest.fixture(scope="module")
def told() -> Iterator[Warehouse]:
    with TemporaryDirectory() as folder:
        warehouse = locate(Path(folder))
        ingest(warehouse, write(warehouse.root / "e_runs.csv", plain()))
        yield warehouse


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=spellings())
def test_a_row_is_the_same_row_however_it_is_written(told: Warehouse, content: bytes) -> None:
    before = files_below(told.path)
    (outcome,) = ingest(told, write(told.root / "x_runs.csv", content))
    assert (outcome.status, outcome.errors) == ("unchanged", [])
    assert files_below(told.path) == before


@settings(max_examples=6, deadline=None)
@given(content=spellings())
def test_it_is_the_same_run_also_where_it_comes_first(content: bytes) -> None:
    """Two ingesters that know nothing of each other agree on the values that are kept."""
    with TemporaryDirectory() as folder:
        warehouse = locate(Path(folder))
        ingest(warehouse, write(warehouse.root / "x_runs.csv", content))
        query = "SELECT profile, vol_ref, init_q_tao, seed, repeat, stdout_pnl_total, stdout_kill_switch FROM runs"
        assert ask(warehouse, f"{query} ORDER BY seed DESC") == [
            ("balanced", 0.00001, -40.0, 2**64 - 1, 0, 1.5, False),
            ("aggressive", 0.5, 1e20, 8, 0, 0.0, False),
            ("balanced", 0.00001, 0.0, 7, 1, -1234.25, True),
        ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("scenario,pnl_total\n007,1\n", "scenario,pnl_total\n8,1\n"),
        ("seed,pnl_total\n18446744073709551615,1\n", "seed,pnl_total\n18446744073709551614,1\n"),
        ("vol_ref,pnl_total\n0.1,1\n", "vol_ref,pnl_total\n0.10000000000000002,1\n"),
        ("scenario,pnl_total\na,1\n", "scenario,pnl_total\nA,1\n"),
    ],
)
def test_other_values_are_other_rows(warehouse: Warehouse, one: str, other: str) -> None:
    for content in (one, other):
        ingest(warehouse, write(warehouse.root / "e_runs.csv", content), profile="balanced")
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(2,)]


@pytest.mark.parametrize("seed", ["1.8446744073709552e+19", "9007199254740993.0", "18446744073709551616", "-1"])
def test_a_seed_that_may_have_been_rounded_is_no_seed(warehouse: Warehouse, seed: str) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "e_runs.csv", f"profile,seed,pnl_total\nbalanced,{seed},1\n"))
    assert outcome.errors == [f"row 1: seed: {seed!r} is not an unsigned integer of 64 bits"]


def test_seeds_of_sidecars_and_banners_are_unsigned(warehouse: Warehouse) -> None:
    base = warehouse.root / "a"
    write(base.with_suffix(".jsonl"), run_of(2))
    sidecar(base, seed=2**64 - 1)
    banner = f"paraphina | cfg=v1 | cfg_hash=0x51 | profile=Balanced | ticks=5 | seed={2**63}\n"
    write(warehouse.root / "b.log", banner)
    ingest(warehouse, base.with_suffix(".jsonl"), warehouse.root / "b.log")
    assert ask(warehouse, "SELECT seed FROM runs ORDER BY seed") == [(2**63,), (2**64 - 1,)]
    sidecar(base, seed=2**64)
    (outcome,) = ingest(warehouse, base.with_suffix(".jsonl"))
    assert outcome.errors[0].endswith(f"not a run sidecar: Expected `int` <= {2**64 - 1} - at `$.seed`")


def test_a_warehouse_with_signed_seeds_goes_on(invoke: Invoke, tmp_path: Path) -> None:
    """Together, signed and unsigned columns would become 128 bits, which Parquet keeps as rounded floats."""
    warehouse = locate(tmp_path)
    ingest(warehouse, write(tmp_path / "e_runs.csv", f"profile,seed,pnl_total\nbalanced,{2**53 + 1},1\n"))
    (file,) = warehouse.runs.glob("experiment=e/*.parquet")
    batch, old = new_batch(after=file.stem), tmp_path / "old.parquet"
    columns = f"'signed' AS run_id, '{batch}' AS batch_id, 5::BIGINT AS seed"
    duckdb.sql(f"COPY (SELECT * REPLACE ({columns}) FROM read_parquet('{file}', hive_partitioning = false)) TO '{old}'")
    commit.commit(warehouse, Record(batch), [commit.Put(old, warehouse.runs_file("e", batch))])
    ingest(warehouse, write(tmp_path / "e_runs.csv", f"profile,seed,pnl_total\nbalanced,{2**64 - 1},1\n"))
    seeds = "SELECT seed, typeof(seed) FROM runs ORDER BY seed"
    expected = [(5, "UBIGINT"), (2**53 + 1, "UBIGINT"), (2**64 - 1, "UBIGINT")]
    assert ask(warehouse, seeds) == expected
    assert invoke("compact").exit_code == 0
    assert ask(warehouse, seeds) == expected


def test_a_column_of_numbers_that_differ_is_an_index_and_one_of_settings_is_not(warehouse: Warehouse) -> None:
    table = "index,init_q_tao,pnl_total\n{},0,1.5\n{},0,2.5\n{},0,3.5\n"
    (outcome,) = ingest(warehouse, write(warehouse.root / "a_runs.csv", table.format(4, 7, 9)), profile="balanced")
    assert outcome.warnings == ["column 'index' counts the rows: left out"]
    assert ask(warehouse, "SELECT repeat FROM runs ORDER BY stdout_pnl_total") == [(0,), (1,), (2,)]
    (outcome,) = ingest(warehouse, write(warehouse.root / "b_runs.csv", table.format(1, 1, 2)), profile="balanced")
    assert outcome.warnings == []
    query = "SELECT label_json ->> '$.index', repeat FROM runs WHERE experiment = 'b' ORDER BY stdout_pnl_total"
    assert ask(warehouse, query) == [("1", 0), ("1", 1), ("2", 0)]


# --- our own exports ------------------------------------------------------------------------------------------

SWEEP = """\
name = "mine"
about = "two runs each of two settings"
mode = "{mode}"
profiles = ["balanced", "aggressive"]
ticks = 6
repeats = 2
labels = [{labels}]
[[axis]]
q = [0.0, 2.5]
[knobs]
INIT_Q_TAO = "q"
"""
FULL = '"experiment", "profile", "q", "repeat"'


@pytest.fixture(scope="module", params=["stdout", "telemetry", "both"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with the runs of an experiment, and all that can be kept of them in files."""
    root = tmp_path_factory.mktemp(f"exported_{request.param}")
    write(root / "mine.toml", SWEEP.format(mode=request.param, labels=FULL))
    kept = root / "kept"
    kept.mkdir()
    of_telemetry = (
        ("export", "dataset", "--experiment", "mine"),
        ("query", "SELECT profile, label, final_pnl FROM research_rows", "-o", kept / "pnl.csv"),
        ("query", "SELECT * FROM ticks", "-o", kept / "ticks.csv"),
        ("query", "SELECT * FROM ticks", "-o", kept / "ticks.jsonl"),
        ("query", "SELECT label, t, pnl_total FROM ticks", "-o", kept / "pnl_ticks.csv"),
    )
    for arguments in (
        ("run", root / "mine.toml", "--engine", "reference"),
        *(of_telemetry if request.param != "stdout" else ()),
        ("export", "all"),
        ("export", "runs", "--experiment", "mine", "-o", kept / "full_runs.csv"),
        ("query", "SELECT * FROM runs", "-o", kept / "runs.csv"),
        ("query", "SELECT * FROM runs", "-o", kept / "runs.jsonl"),
        ("query", "SELECT * FROM experiment_runs", "-o", kept / "of_experiments.csv"),
        ("query", "SELECT profile, label, run_id, pnl_total FROM experiment_runs", "-o", kept / "few.csv"),
    ):
        result = command_line("--root", root, "-q", *arguments)
        assert result.exit_code == 0, result.stderr
    for table in root.glob("runs/*/*_runs.csv"):
        shutil.copy(table, kept / "mine_runs.csv")
        shutil.copy(table, kept / "renamed_runs.csv")
    return root


def fresh(root: Path, tmp_path: Path) -> Warehouse:
    return locate(root, tmp_path / "fresh")


def runs_in(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return ask(warehouse, "SELECT run_id, source_kind <> 'csv' FROM runs ORDER BY 1")


def test_exports_add_nothing_to_the_warehouse_they_came_from(exported: Path) -> None:
    warehouse = locate(exported)
    before = runs_in(warehouse)
    assert len(before) == 8
    report = ingest(warehouse, exported)
    assert runs_in(warehouse) == before
    assert {outcome.status for outcome in report} == {"unchanged"}
    for file in sorted(exported.glob("kept/*")) + sorted(exported.glob("runs/*/*.csv")):
        (outcome,) = ingest(warehouse, file)
        assert outcome.status in ("unchanged", "rejected"), file.name
        assert outcome.notices or outcome.errors, file.name
    assert runs_in(warehouse) == before


@pytest.mark.parametrize(
    "order",
    [["."], ["runs"], ["kept", "runs"], ["runs", "kept"], ["kept", "."]],
    ids=lambda order: " then ".join(order),
)
def test_exports_add_nothing_to_a_fresh_warehouse_beside_the_runs(
    exported: Path, tmp_path: Path, order: list[str]
) -> None:
    warehouse = fresh(exported, tmp_path)
    for part in order * 2:
        ingest(warehouse, exported / part)
    assert runs_in(warehouse) == runs_in(locate(exported))


def test_a_table_says_what_is_known_of_runs_that_are_nowhere_else(exported: Path, tmp_path: Path) -> None:
    """Copied away from its experiment it is like a table of any other tool."""
    warehouse = fresh(exported, tmp_path)
    (outcome,) = ingest(warehouse, exported / "kept" / "mine_runs.csv")
    assert (outcome.status, outcome.notices) == ("ingested", ["8 runs"])
    assert ask(warehouse, "SELECT count(*), count(DISTINCT label) FROM runs WHERE source_kind = 'csv'") == [(8, 8)]


def test_rows_of_a_view_are_no_source_of_runs(exported: Path, tmp_path: Path) -> None:
    warehouse = fresh(exported, tmp_path)
    (outcome,) = ingest(warehouse, exported / "kept" / "runs.csv")
    assert outcome.errors[0].endswith("runs.csv: rows of a view; 8 of their 8 runs are not here")
    assert ask(warehouse, "SELECT count(*) FROM runs") == [(0,)]


def test_a_summary_of_steps_adds_nothing(warehouse: Warehouse) -> None:
    file = write(warehouse.root / "a_summary.csv", "profile,pnl_total_mean,safe_cell\nbalanced,1,True\n")
    (outcome,) = ingest(warehouse, file)
    assert (outcome.status, outcome.notices) == (
        "unchanged",
        ["an experiment or an analysis step made it of runs, which count themselves"],
    )


# --- telemetry that is equal ----------------------------------------------------------------------------------


def test_telemetry_equal_to_that_of_another_run_is_taken_in_and_named(invoke: Invoke, tmp_path: Path) -> None:
    warehouse = locate(tmp_path)
    for name in ("balanced_r1", "balanced_r2", "aggressive_r1"):
        write(tmp_path / f"{name}.jsonl", run_of(3))
    invoke("ingest", "balanced_r1.jsonl")
    ((first,),) = ask(warehouse, "SELECT run_id FROM runs")
    result = invoke("ingest", "balanced_r2.jsonl", "aggressive_r1.jsonl")
    assert result.exit_code == 0
    named = f"same telemetry as run {first} (balanced, exp13_balanced_r001) and 1 more"
    assert [line for line in result.stderr.splitlines() if "same telemetry" in line] == [
        f"aggressive_r1.jsonl: {named}",
        f"balanced_r2.jsonl: {named}",
    ]
    assert ask(warehouse, "SELECT count(*), count(DISTINCT evidence_id) FROM runs") == [(3, 2)]
    assert "same telemetry" not in invoke("ingest", "balanced_r2.jsonl").stderr


def test_the_first_of_two_equal_ones_in_one_batch_names_the_second(warehouse: Warehouse) -> None:
    files = [write(warehouse.root / f"balanced_r{n}.jsonl", run_of(3)) for n in (1, 2)]
    report = ingest(warehouse, *files)
    assert [len(outcome.notices) for outcome in report] == [1, 1]
    assert verdicts(report) == {"balanced_r1.jsonl": "ingested", "balanced_r2.jsonl": "ingested"}


def test_a_row_of_another_repeat_is_another_run_where_no_seed_tells(warehouse: Warehouse) -> None:
    """Engines without seeds give the same results again and again."""
    log = "paraphina | cfg=v1 | cfg_hash=0x51 | profile=Balanced | ticks=2 | seed=none\n"
    log += "Daily PnL (realised / unrealised / total): +1.00 / +0.50 / +1.50\nKill switch: false\n"
    sidecar(warehouse.root / "a", experiment="e", labels={"q": 1.0}, repeat=0)
    write(warehouse.root / "a.stdout.txt", log)
    ingest(warehouse, warehouse.root / "a.run.json")
    table = "experiment,profile,q,repeat,pnl_total\ne,balanced,1,1,1.5\ne,balanced,1.0,0,1.5\n"
    (outcome,) = ingest(warehouse, write(warehouse.root / "e_runs.csv", table))
    assert outcome.notices[0] == "2 runs, 1 of them new"
    assert ask(warehouse, "SELECT source_kind, repeat FROM runs ORDER BY repeat") == [("stdout", 0), ("csv", 1)]
