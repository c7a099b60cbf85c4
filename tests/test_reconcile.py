"""Ticks are what the file says: the comparison that does without DuckDB, on random records and on planted faults."""

from __future__ import annotations

import copy
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from paraphina_wh import commit
from paraphina_wh.ingest import columnar
from paraphina_wh.maintenance.deep import Recount, check_deeply
from paraphina_wh.maintenance.reconcile import Reconciliation
from paraphina_wh.records import Record, read_records
from paraphina_wh.telemetry import reader
from paraphina_wh.telemetry.reader import Sinks, read_strict
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS, Contract, Shape, record_shape
from paraphina_wh.telemetry.source import open_source
from paraphina_wh.tick_views import older_schema_name
from paraphina_wh.warehouse import Warehouse, locate, new_batch
from tests.conftest import Invoke
from tests.records import MC_RUN, line, run_of
from tests.telemetry_maker import ingest, write

SEED = 7


def ticks_of(warehouse: Warehouse) -> list[Path]:
    """Return the files of ticks."""
    return sorted(path for path in warehouse.telemetry.rglob("*.parquet") if "schema" not in path.name)


def differences(stored: Path, source: Path, contract: Contract = TICKS, **constants: Any) -> list[str]:
    """Return what the comparison says of a stored file and its source."""
    held = Reconciliation(contract, stored, constants or {"run_id": stored.stem}, 1000)
    with open_source(source) as stream:
        read_strict(stream, contract, Sinks(extra=held.extra, clean=held))
    return [str(each) for each in held.mismatches()]


def column_of(said: str) -> str:
    """Return the column that a difference is in: `len(fills[0].x) at 2 is ...` -> `fills`."""
    return re.split(r"[ .\[)]", said.removeprefix("len("))[0]


# Random records in hostile places

_FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0, -0.0, 5e-324, 2**53 + 1, 10**30])
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["null", "", "\0", '"\\\n', "1"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _FLOATS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Return what a value of a shape may be."""
    match shape.kind:
        case "float":
            made: st.SearchStrategy[Any] = _FLOATS
        case "int":
            made = st.integers(shape.low, shape.high) | st.sampled_from([0.0, 1e2, shape.high])
        case "bool":
            made = st.booleans()
        case "str":
            made = _TEXT
        case "json":
            made = _JSON
        case "choice":
            made = st.sampled_from(shape.choices)
        case "list":
            assert shape.item is not None
            made = st.lists(values(shape.item), max_size=3)
        case _:
            made = records(shape)
    return st.none() | made if shape.nullable else made


def records(shape: Shape) -> st.SearchStrategy[dict[str, Any]]:
    """Return what an object of a shape may be: any field that may be absent, and some that nobody has declared."""
    declared = {name: values(field.shape) for name, field in shape.fields.items()}
    required = {name: made for name, made in declared.items() if shape.fields[name].required}
    some = st.sets(st.sampled_from(sorted(declared)), max_size=8).flatmap(
        lambda names: st.fixed_dictionaries({name: declared[name] for name in sorted(names)})
    )
    later = st.dictionaries(st.sampled_from(["later", "note.x", "fills[0].y", ""]), _JSON, max_size=2)
    return st.builds(lambda needed, more, new: new | more | needed, st.fixed_dictionaries(required), some, later)


def lines_of(made: list[dict[str, Any]], index: str, *, ascii_only: bool, bad: bytes) -> list[bytes]:
    """Return records as lines with a rising index, and a line that breaks the contract behind each."""
    steps = ({**record, index: step * (step + 1) // 2} for step, record in enumerate(made))
    texts = [json.dumps(record, ensure_ascii=ascii_only).encode() for record in steps]
    return [text for good in texts for text in ([good, bad] if bad else [good])]


PLACES = [
    "t=5",
    "pnl_total=oops/risk_regime=Warning",
    "extra=1/run_id=x",
    "fills=[]",
    "[a]*?/x.gz",
    "run_index=3",
    "é 😀",
]
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".zst": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
}
BAD = [b"", b"", b"{bad}", b'{"t":1,"t":1}', b" ", b"\xff"]

tick_files = st.fixed_dictionaries(
    {
        "made": st.lists(records(record_shape(TICKS.record)), min_size=1, max_size=6),
        "place": st.sampled_from(PLACES),
        "packing": st.sampled_from(sorted(PACKINGS)),
        "ending": st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
        "is_ended": st.booleans(),
        "ascii_only": st.booleans(),
        "bad": st.sampled_from(BAD),
    }
)


def content_of(file: dict[str, Any], index: str) -> bytes:
    """Return the bytes of a file, packed."""
    lines = lines_of(file["made"], index, ascii_only=file["ascii_only"], bad=file["bad"])
    text: bytes = file["ending"].join(lines) + (file["ending"] if file["is_ended"] else b"")
    return PACKINGS[file["packing"]](text)


def test_random_records_in_hostile_places_are_stored_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deep check reads the sources again. Small pieces: several of them make up a file, and of long lines only
    what is declared goes through the columnar read."""

    @seed(SEED)
    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(tick_files, min_size=6, max_size=6), st.sampled_from([columnar.PIECE_BYTES, 700]))
    def stored_as_they_are(files: list[dict[str, Any]], piece_bytes: int) -> None:
        monkeypatch.setattr(columnar, "PIECE_BYTES", piece_bytes)
        for module in (columnar, reader):
            monkeypatch.setattr(module, "LONGEST_FAST_LINE", piece_bytes)
        warehouse = locate(tmp_path_factory.mktemp("root"))
        for number, file in enumerate(files):
            name = f"{file['place']}/balanced_r{number}.jsonl{file['packing']}"
            write(warehouse.root / "in" / name, content_of(file, "t"))
        report = ingest(warehouse, warehouse.root / "in", on_error="quarantine")
        assert {outcome.status for outcome in report} <= {"ingested", "quarantined"}, list(report)
        recount = Recount()
        assert list(check_deeply(warehouse, recount)) == []
        assert (recount.compared, recount.gone) == (6, 0)

    stored_as_they_are()


def test_random_monte_carlo_runs_are_stored_as_they_are(tmp_path_factory: pytest.TempPathFactory) -> None:
    @seed(SEED)
    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(records(record_shape(MC_RUNS.record)), min_size=1, max_size=6), st.sampled_from(PLACES))
    def stored_as_they_are(made: list[dict[str, Any]], place: str) -> None:
        warehouse = locate(tmp_path_factory.mktemp("root"))
        lines = lines_of(made, "run_index", ascii_only=False, bad=b"")
        source = write(warehouse.root / place / "mc_runs.jsonl", b"\n".join(lines))
        (outcome,) = ingest(warehouse, source)
        assert outcome.status == "ingested", outcome
        (stored,) = (path for path in warehouse.mc_runs.rglob("*.parquet") if path.name != "schema.parquet")
        (row,) = pq.read_table(stored, columns=["source_path", "source_sha256", "ingested_at"]).to_pylist()[:1]
        assert differences(stored, source, MC_RUNS, **row) == []

    stored_as_they_are()


# Planted faults

VENUE = {"venue_id": "extended", "avg_margin_usage": 0.25}
EXIT = {"venue_index": 0, "entry_fill_seqs": [3, 4], "edge_components": {"fee_per_tao": 0.5, "vol_buffer": None}}


def tick(t: int) -> bytes:
    """Return a tick with a value in a column of every type, no two ticks alike."""
    return line(
        t=t,
        kf_p=0.0 if t == 1 else t + 0.5,
        kf_last_update_ms=2**60 + t,
        fv_available=t % 2 == 0,
        policy_version=f"p{t}",
        policy_action_raw={"a": [t, None, 1.5], "b": "x"},
        venue_toxicity=[0.5, None, t],
        venue_age_ms=[t, -1, None],
        venue_status=["Healthy", f"Stale{t}"],
        quote_levels=[{"side": "Bid", "price": 250.5, "size_final": t}, {"side": "Ask", "price": None}],
        treasury_guidance={"emit": True, "samples": t, "venues": [VENUE, VENUE | {"venue_id": f"v{t}"}]},
        exits=[EXIT, EXIT | {"venue_index": t}],
        later={"z": t},
    )


TICKS_HELD = 5
# (column, name of the fault) -> what is made of the value in the third tick; and all ticks of a column at once.
Fault = Callable[[Any], Any]


def changed(value: Any, *path: str | int, to: Any) -> Any:
    """Return a nested value with one inside replaced."""
    value = copy.deepcopy(value)
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return value


def put(*path: str | int, to: Any) -> Fault:
    """Return a fault that replaces one value inside."""
    return lambda value: changed(value, *path, to=to)


SCALARS: dict[str, Any] = {
    "kf_p": 2.5000000000000004,
    "kf_last_update_ms": 2**60 + 1,
    "fv_available": False,
    "policy_version": "p2 ",
    "policy_action_raw": '{"a":[2,null,1.5],"b":"X"}',
    "extra": '{"later":{"z":2.0}}',
}
LISTS: dict[str, dict[str, Fault]] = {
    "venue_toxicity": {"a value": put(0, to=0.25), "a null": put(1, to=0.0), "an element null": put(0, to=None)},
    "venue_age_ms": {"a value": put(1, to=-2), "a null": put(2, to=0)},
    "venue_status": {"a value": put(0, to="healthy"), "an element null": put(0, to=None)},
    "quote_levels": {
        "a value": put(0, "price", to=250.25),
        "a null": put(1, "price", to=0.0),
        "an element null": put(1, to=None),
    },
    "exits": {
        "a value": put(1, "edge_components", "fee_per_tao", to=-0.5),
        "a null": put(0, "edge_components", "vol_buffer", to=0.0),
        "a struct null": put(0, "edge_components", to=None),
        "an element inside": put(0, "entry_fill_seqs", to=[4, 3]),
        "an empty list inside": put(0, "entry_fill_seqs", to=[]),
    },
}
GUIDANCE: dict[str, Fault] = {
    "a value": put("samples", to=3),
    "a null": put("emit", to=None),
    "a struct null": lambda value: None,
    "a struct of nulls": lambda value: dict.fromkeys(value),
    "an element inside": put("venues", 1, "venue_id", to="v3"),
    "the order inside": lambda value: changed(value, "venues", to=value["venues"][::-1]),
    "a list null": put("venues", to=None),
}


def faults() -> dict[tuple[str, str], Fault]:
    """Return every fault of one value: (column, name) -> what it makes of it."""
    made: dict[tuple[str, str], Fault] = {}
    for name, wrong in SCALARS.items():
        made[name, "a value"] = lambda value, wrong=wrong: wrong  # type: ignore[misc]
        made[name, "a null"] = lambda value: None
    for name, some in LISTS.items():
        of_all: dict[str, Fault] = {
            "the list null": lambda value: None,
            "the list empty": lambda value: [],
            "an element gone": lambda value: value[:-1],
            "an element twice": lambda value: [*value, value[-1]],
            "the order of elements": lambda value: value[::-1],
        }
        made |= {(name, fault): what for fault, what in {**some, **of_all}.items()}
    return made | {("treasury_guidance", fault): what for fault, what in GUIDANCE.items()}


COLUMNS = [*SCALARS, *LISTS, "treasury_guidance"]


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the ticks of a run and its source."""
    warehouse = locate(tmp_path_factory.mktemp("root"))
    source = write(warehouse.root / "balanced_r1.jsonl", b"".join(map(tick, range(TICKS_HELD))))
    ingest(warehouse, source)
    (stored,) = ticks_of(warehouse)
    return stored, source


def rewritten(stored: Path, target: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """Write ticks anew with a change, types and metadata as they were."""
    table = pq.read_table(stored, partitioning=None)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), target, compression="zstd", store_schema=False)
    return target


def test_every_column_of_the_plants_is_of_another_type(taken_in: tuple[Path, Path]) -> None:
    schema = pq.read_schema(taken_in[0])
    types = {str(schema.field(name).type) for name in COLUMNS}
    # Text, JSON text and undeclared fields are one type in Parquet.
    assert (len(COLUMNS), len(types)) == (12, 10)


@pytest.mark.parametrize(("column", "fault"), faults())
def test_a_planted_fault_is_found_and_named(
    taken_in: tuple[Path, Path], tmp_path: Path, column: str, fault: str
) -> None:
    stored, source = taken_in

    def plant(rows: list[dict[str, Any]]) -> None:
        before = copy.deepcopy(rows[2][column])
        rows[2][column] = faults()[column, fault](rows[2][column])
        assert rows[2][column] != before

    target = rewritten(stored, tmp_path / stored.name, plant)
    assert differences(stored, source) == []
    (said,) = differences(target, source)
    assert column_of(said) == column
    assert " at 2 is stored as " in said


@pytest.mark.parametrize("column", COLUMNS)
def test_the_values_of_two_ticks_that_changed_places_are_found(
    taken_in: tuple[Path, Path], tmp_path: Path, column: str
) -> None:
    stored, source = taken_in

    def plant(rows: list[dict[str, Any]]) -> None:
        rows[3][column], rows[4][column] = rows[4][column], rows[3][column]

    (said,) = differences(rewritten(stored, tmp_path / stored.name, plant), source)
    assert column_of(said) == column
    assert " at 3 is stored as " in said


def zero(rows: list[dict[str, Any]]) -> None:
    rows[1]["kf_p"] = -0.0


def swapped(rows: list[dict[str, Any]]) -> None:
    rows[0], rows[1] = rows[1], rows[0]


def one_less(rows: list[dict[str, Any]]) -> None:
    del rows[-1]


def one_more(rows: list[dict[str, Any]]) -> None:
    rows.append(rows[-1])


@pytest.mark.parametrize(
    ("plant", "first"),
    [
        (zero, "kf_p at 1 is stored as -0.0, its source says 0.0"),
        (swapped, "t at 0 is stored as 1, its source says 0"),
        (one_less, "number of records is stored as 4, its source says 5"),
        (one_more, "number of records is stored as 6, its source says 5"),
    ],
)
def test_signs_of_zero_and_the_order_and_number_of_ticks_count(
    taken_in: tuple[Path, Path], tmp_path: Path, plant: Callable[[list[dict[str, Any]]], None], first: str
) -> None:
    stored, source = taken_in
    said = differences(rewritten(stored, tmp_path / stored.name, plant), source)
    assert said[0] == first


def test_a_type_that_holds_less_is_found(taken_in: tuple[Path, Path], tmp_path: Path) -> None:
    stored, source = taken_in
    table = pq.read_table(stored, partitioning=None)
    narrow = table.set_column(table.schema.names.index("kf_p"), "kf_p", table["kf_p"].cast(pa.float32()))
    pq.write_table(narrow.drop_columns(["fills"]), tmp_path / stored.name)
    assert sorted(differences(tmp_path / stored.name, source))[1:] == [
        "kf_p is stored as column float, its source says column double"
    ]


# In the deep check


def plant(warehouse: Warehouse, stored: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Put ticks with a fault in place as a commit does, so that every hash is right."""
    batch = new_batch(after=max(record.name for record in read_records(warehouse).all))
    with commit.staging(warehouse, batch) as folder:
        made = rewritten(stored, folder / "new.parquet", change)
        name = str(stored.relative_to(warehouse.path))
        commit.commit(warehouse, Record(batch, drops=[name]), [commit.Put(made, stored, "as a fault would leave it")])


def test_the_deep_check_finds_them_in_every_column_at_once(warehouse: Warehouse, invoke: Invoke) -> None:
    write(warehouse.root / "balanced_r1.jsonl", b"".join(map(tick, range(TICKS_HELD))))
    ingest(warehouse, warehouse.root / "balanced_r1.jsonl")
    (stored,) = ticks_of(warehouse)

    def everywhere(rows: list[dict[str, Any]]) -> None:
        for (column, _), fault in faults().items():
            rows[2][column] = fault(rows[4][column])

    plant(warehouse, stored, everywhere)
    assert invoke("check").exit_code == 0, "files are what was committed"
    done = invoke("check", "--deep", "--format", "jsonl")
    assert done.exit_code == 1
    found = [json.loads(text) for text in done.stdout.splitlines()]
    assert {each["problem"] for each in found} == {"ticks"}
    assert {column_of(each["detail"]) for each in found} == set(COLUMNS)
    assert "`paraphina-wh forget` the run, then `ingest` it again" in done.stderr


def test_what_a_folder_name_once_did_to_ticks_is_found(warehouse: Warehouse) -> None:
    source = write(warehouse.root / "t=5/balanced_r1.jsonl", run_of(3))
    ingest(warehouse, source)

    def taken_from_the_path(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["t"] = 5

    plant(warehouse, ticks_of(warehouse)[0], taken_from_the_path)
    found = [each.detail for each in check_deeply(warehouse, Recount()) if each.problem == "ticks"]
    assert found == ["t at 0 is stored as 5, its source says 0"]


def test_stretches_of_a_file_are_compared_too(warehouse: Warehouse) -> None:
    several = write(warehouse.root / "two.jsonl.gz", gzip.compress(run_of(3) + run_of(4) + run_of(2)))
    ingest(warehouse, several, profile="balanced", label="lab", split_on_reset=True)
    recount = Recount()
    assert list(check_deeply(warehouse, recount)) == []
    assert (recount.compared, recount.gone) == (3, 0)

    def counted(rows: list[dict[str, Any]]) -> None:
        rows[3]["healthy_venues_used_count"] += 1

    (second,) = (path for path in ticks_of(warehouse) if "lab_s2" in str(path))
    plant(warehouse, second, counted)
    found = [(each.problem, each.held, each.detail) for each in check_deeply(warehouse, Recount())]
    assert found == [("ticks", "balanced, lab_s2", "healthy_venues_used_count at 3 is stored as 1, its source says 0")]


def test_ticks_of_an_earlier_version_are_compared_in_the_columns_they_have(warehouse: Warehouse) -> None:
    """It had not declared `treasury_guidance` yet, and kept it among the undeclared fields."""
    ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", run_of(3)))
    (stored,) = ticks_of(warehouse)
    schema = warehouse.ticks_file("any", "any", "schema")
    older = schema.with_name(f"{older_schema_name('12345678')}.parquet")

    def without_guidance(path: Path, target: Path, fair_value: float) -> None:
        table = pq.read_table(path, partitioning=None)
        rows = [row | {"fair_value": fair_value, "extra": '{"treasury_guidance":{}}'} for row in table.to_pylist()]
        names = [field for field in table.schema if field.name != "treasury_guidance"]
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(names)), target)

    without_guidance(stored, stored, 250.0)
    assert next(check_deeply(warehouse, Recount())).detail.startswith("treasury_guidance is stored as nothing")
    without_guidance(schema, older, 250.0)
    assert list(check_deeply(warehouse, Recount())) == []
    without_guidance(stored, stored, 251.0)
    found = [each.detail for each in check_deeply(warehouse, Recount()) if each.problem == "ticks"]
    assert found == ["fair_value at 0 is stored as 251.0, its source says 250.0"]


@pytest.mark.parametrize("seed_value", [0, 2**64 - 1])
def test_unsigned_seeds_are_compared_over_their_full_range(warehouse: Warehouse, seed_value: int) -> None:
    source = write(warehouse.root / "mc_runs.jsonl", line(base=MC_RUN, seed=seed_value))
    ingest(warehouse, source)
    (stored,) = (path for path in warehouse.mc_runs.rglob("*.parquet") if path.name != "schema.parquet")
    (row,) = pq.read_table(stored, partitioning=None).to_pylist()
    constants = {name: row[name] for name in ("source_path", "source_sha256", "ingested_at")}
    assert differences(stored, source, MC_RUNS, **constants) == []
    other = write(warehouse.root / "other.jsonl", line(base=MC_RUN, seed=2**63))
    assert differences(stored, other, MC_RUNS, **constants) == [
        f"seed at 0 is stored as {seed_value}, its source says {2**63}"
    ]
