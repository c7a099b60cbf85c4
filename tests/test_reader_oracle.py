"""The strict reader gives the verdict of the oracle, whatever it reads; and what it passes, the columnar read takes.

The long form is tests/torture/fuzz_reader.py.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, seed, settings
from hypothesis import strategies as st

from paraphina_wh.ingest.columnar import Columnar, convert, open_reader
from paraphina_wh.telemetry.reader import Sinks, read_strict
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS, Contract, Shape, record_shape
from tests import oracle
from tests.conftest import Report
from tests.records import GOOD, MC_RUN, line, record, run_of
from tests.torture.figures import Figure
from tests.torture.fuzz_reader import difference, finding, seeds
from tests.torture.mutated import Tape, file_of

SEED = 20_251

bounded = settings(database=None)


# The oracle itself


def declared(shape: Shape, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield path -> kind of every declared field, nested ones too."""
    for name, field in shape.fields.items():
        inner = field.shape.item or field.shape
        yield prefix + name, f"[{inner.kind}]" if field.shape.item else inner.kind
        yield from declared(inner, f"{prefix}{name}.")


def transcribed(fields: dict[str, str], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the same of the oracle's tables."""
    kinds = {"num": "float", "one": "choice", "regime": "choice", "any": "json", "u64": "int"}
    for name, kind in fields.items():
        plain = kind.strip("[]")
        called = "struct" if plain in oracle.STRUCTS else kinds.get(plain, plain)
        yield prefix + name, f"[{called}]" if kind.startswith("[") else called
        yield from transcribed(oracle.STRUCTS.get(plain, {}), f"{prefix}{name}.")


@pytest.mark.parametrize(("contract", "rules"), [(TICKS, oracle.TICKS), (MC_RUNS, oracle.RUNS)])
def test_the_record_is_declared_as_the_document_has_it(contract: Contract, rules: oracle.Rules) -> None:
    shape = record_shape(contract.record)
    assert dict(declared(shape)) == dict(transcribed(rules.fields))
    assert {name for name, field in shape.fields.items() if field.required} == rules.required
    assert contract.index == rules.index


def test_the_oracle_knows_good_from_bad() -> None:
    content = line(t=0) + line(t=1, pnl_total=None, fills=[{"price": "1"}]) + b"\n" + line(t=0) + line(t=2, x=1)[:-2]
    assert oracle.opinion(content) == oracle.Opinion(
        rows=[0],
        blank=1,
        bad=[(2, ["fills[0].price", "pnl_total"]), (4, ["t"]), (5, [""])],
        truncated=True,
        undeclared=[[]],
    )


# Reader and oracle

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["Normal", 1, 0.5]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_TEXT = line(t=1)[:-1]
_MARKS = st.sampled_from([*(bytes([mark]) for mark in b'"\\,:{}[]1-.e0 \r\n'), b"\xef\xbb\xbf", b"\\u0074", b"NaN"])
_PUT = st.lists(_MARKS | st.binary(min_size=1, max_size=1), max_size=3).map(b"".join)
_TOKENS = st.sampled_from([*"{}[],: \t\\", '"a"', '"b"', "1", "-0.5e3", "01", "1.", "true", "null", "NaN", "'a'"])


def test_the_reader_gives_the_verdict_of_the_oracle(report: Report) -> None:
    tried = 0

    def agrees(content: bytes, **how: Any) -> None:
        nonlocal tried
        wrong = difference(content, **how)
        assert wrong is None, wrong
        tried += content.count(b"\n") + 1

    @seed(SEED)
    @settings(bounded, max_examples=250)
    @given(st.integers(0, len(_TEXT)), st.integers(0, 3), _PUT)
    @example(0, 0, b"\xef\xbb\xbf")
    def on_any_edit_of_the_text(at: int, cut: int, put: bytes) -> None:
        edited = _TEXT[:at] + put + _TEXT[at + cut :]
        agrees(edited)
        agrees(run_of(1) + edited + b"\n" + line(t=2), find_duplicates=False, piece=100)

    @seed(SEED)
    @settings(bounded, max_examples=250)
    @given(st.sampled_from([*oracle.TICKS.fields, "later", ""]), _VALUES)
    def on_any_value_of_any_field(name: str, value: Any) -> None:
        agrees(json.dumps(record({name: value})).encode())
        kind = oracle.TICKS.fields.get(name, "")
        for inner in oracle.STRUCTS.get(kind.strip("[]"), {}):
            part = {inner: value}
            agrees(line({name: [part] if kind.startswith("[") else part}))

    @seed(SEED)
    @settings(bounded, max_examples=150)
    @given(st.lists(_TOKENS, max_size=8).map("".join) | _VALUES.map(json.dumps))
    def on_any_text_for_a_value(value: str) -> None:
        for base, rules in ((GOOD, oracle.TICKS), (MC_RUN, oracle.RUNS)):
            agrees(f'{{"later":{value},{json.dumps(record(base=base))[1:]}'.encode(), rules=rules)

    def on_files_of_mutated_records() -> None:
        chance = random.Random(SEED)
        for _ in range(1500):
            tape = chance.randbytes(chance.randrange(200))
            limit = chance.choice((600, 64 << 20))
            agrees(file_of(Tape(tape)), find_duplicates=chance.random() < 0.7, piece=chance.randrange(9), limit=limit)
            agrees(file_of(Tape(tape[:50]), oracle.RUNS), rules=oracle.RUNS)

    on_any_edit_of_the_text()
    on_any_value_of_any_field()
    on_any_text_for_a_value()
    on_files_of_mutated_records()
    report(Figure("strict reader against the oracle", tried, tried, "records", SEED))


def test_the_inputs_that_the_fuzzer_begins_with_are_read_as_they_should_be() -> None:
    assert [finding(data) for data in [b"", *seeds(SEED)]] == [None] * 205


def test_what_the_reader_passes_the_columnar_read_takes_value_for_value(tmp_path: Path) -> None:
    chance, rows = random.Random(SEED), []
    for _ in range(1200):
        rows += accepted(file_of(Tape(chance.randbytes(chance.randrange(150)))))
    (tmp_path / "rows.jsonl").write_bytes(b"".join(row + b"\n" for row in rows))
    assert converted(tmp_path) == len(rows) > 500
    stored = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    for row, ticks in zip(rows, stored, strict=True):
        for name, value in json.loads(row).items():
            kind = oracle.TICKS.fields.get(name, "any")
            assert kind == "any" or plain(ticks[name]) == as_kind(value, kind), (name, row)


def test_what_the_reader_does_not_look_for_the_columnar_read_refuses(tmp_path: Path) -> None:
    twice = {
        "at the top": line(t=1).replace(b'"t":1', b'"t":1,"t":1'),
        "escaped": line(t=1).replace(b'"t":1', rb'"t":1,"\u0074":1'),
        "in a list": line(t=1).replace(b'"size":1.0', b'"size":1.0,"size":1.0'),
        "in a struct": line(t=1).replace(b'"emit":true', b'"emit":true,"emit":true'),
        "three levels down": line(t=1).replace(b'"fee_per_tao":0.1', b'"fee_per_tao":0.1,"fee_per_tao":0.1'),
        "null twice": line(t=1).replace(b'"fair_value":250.0', b'"fair_value":null,"fair_value":null'),
    }
    for where, text in twice.items():
        assert accepted(text, find_duplicates=False), where
        assert not accepted(text), where
        (tmp_path / "rows.jsonl").write_bytes(line(t=0) + text)
        with pytest.raises(duckdb.InvalidInputException, match="duplicate key"):
            converted(tmp_path)


def accepted(content: bytes, find_duplicates: bool = True) -> list[bytes]:
    """Return the lines of a file that are rows, in the form that the columnar read is given."""
    clean = io.BytesIO()
    read_strict(io.BytesIO(content), sinks=Sinks(clean=clean), find_duplicates=find_duplicates)
    return clean.getvalue().splitlines()


def converted(folder: Path) -> int:
    source, target = folder / "rows.jsonl", folder / "rows.parquet"
    longest = max(map(len, source.read_bytes().split(b"\n")))
    with open_reader(threads=1) as connection:
        return convert(connection, Columnar(source, target, longest, {"run_id": "id"}))


def as_kind(value: Any, kind: str) -> Any:
    """Return a value as the document types it."""
    if value is None:
        return None
    if kind.startswith("["):
        return [as_kind(item, kind[1:-1]) for item in value]
    if kind in oracle.STRUCTS:
        known = {
            name: as_kind(item, oracle.STRUCTS[kind][name])
            for name, item in value.items()
            if name in oracle.STRUCTS[kind]
        }
        return {name: item for name, item in known.items() if item is not None}
    return {"num": float, "int": int, "one": int}.get(kind, lambda same: same)(value)


def plain(value: Any) -> Any:
    """Return a stored value without the fields of structs that are null: absent and null are stored alike."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list) else value
