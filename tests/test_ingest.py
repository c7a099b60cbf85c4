"""Ingest: files in, Parquet and ledger rows out, every byte accounted for."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.columnar import open_reader
from paraphina_wh.ingest.stage import Staged, Stager
from paraphina_wh.ingest.task import Outcome, Task
from paraphina_wh.telemetry.reader import BadLine, Sinks, read_strict
from paraphina_wh.telemetry.shape import TICKS, Shape, record_shape
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import edited, line, run_of
from tests.telemetry_maker import (
    ask,
    ask_one,
    files_below,
    ingest,
    reference_run,
    runs_content,
    verdicts,
    write,
)

# --- one file -------------------------------------------------------------------------------------------------


def test_a_file_becomes_one_parquet_file_and_one_ledger_row(warehouse: Warehouse) -> None:
    content = run_of(3)
    source = write(warehouse.root / "runs" / "balanced_r1.jsonl", content)
    (outcome,) = ingest(warehouse, source)
    assert (outcome.file, outcome.status, outcome.ticks, outcome.bytes) == (
        "runs/balanced_r1.jsonl",
        "ingested",
        3,
        len(content),
    )
    row = ask_one(warehouse, "SELECT * FROM runs")
    stored = warehouse.ticks_file("balanced", "exp13_balanced_r001", row["run_id"])
    digest = hashlib.sha256(content).hexdigest()
    assert {name: row[name] for name in LEDGER_OF_THREE_TICKS} == LEDGER_OF_THREE_TICKS | {
        "run_id": outcome.run_id,
        "source_bytes": len(content),
        "row_bytes": len(content),
        "source_sha256": digest,
        "stored_bytes": stored.stat().st_size,
        "stored_sha256": hashlib.sha256(stored.read_bytes()).hexdigest(),
    }
    assert pq.read_metadata(stored).num_rows == 3
    metadata = pq.read_schema(stored).metadata
    assert {key: metadata[key] for key in (b"profile", b"label", b"schema_version", b"source_sha256")} == {
        b"profile": b"balanced",
        b"label": b"exp13_balanced_r001",
        b"schema_version": b"1",
        b"source_sha256": digest.encode(),
    }


LEDGER_OF_THREE_TICKS: dict[str, Any] = {
    "event": "run",
    "run_id": None,
    "supersedes": None,
    "profile": "balanced",
    "label": "exp13_balanced_r001",
    "experiment": "exp13",
    "status": "ok",
    "telemetry_path": "runs/balanced_r1.jsonl",
    "source_bytes": None,
    "source_sha256": None,
    "compressed_sha256": None,
    "stdout_sha256": None,
    "lines": 3,
    "rows": 3,
    "quarantined": 0,
    "blank": 0,
    "row_bytes": None,
    "quarantined_bytes": 0,
    "blank_bytes": 0,
    "truncated": False,
    "unknown_fields": None,
    "warnings": None,
    "stored_bytes": None,
    "stored_sha256": None,
    "num_ticks": 3,
}


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_packing_makes_no_difference_to_the_run(warehouse: Warehouse, ending: str) -> None:
    content = run_of(20)
    packed = {"": content, ".gz": gzip.compress(content), ".zst": pa.compress(content, "zstd", asbytes=True)}[ending]
    ingest(warehouse, write(warehouse.root / f"balanced_r1.jsonl{ending}", packed))
    row = ask_one(warehouse, "SELECT label, source_sha256, compressed_sha256, source_bytes FROM runs")
    assert row == {
        "label": "exp13_balanced_r001",
        "source_sha256": hashlib.sha256(content).hexdigest(),
        "compressed_sha256": hashlib.sha256(packed).hexdigest() if ending else None,
        "source_bytes": len(content),
    }


def test_standard_input_is_a_file_without_a_name(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = write(tmp_path / "stream", gzip.compress(run_of(5)))
    with source.open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        (outcome,) = ingest(warehouse, "-", profile="balanced", label="piped")
    assert (outcome.status, outcome.ticks) == ("ingested", 5)
    assert ask(warehouse, "SELECT label, num_ticks FROM runs") == [("piped", 5)]
    assert list(warehouse.staging.iterdir()) == []


def test_standard_input_without_label_is_refused_before_anything_is_written(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="standard input has no name") as refused:
        ingest(warehouse, "-", profile="balanced")
    assert refused.value.exit_code == 2
    assert not warehouse.path.exists()


# --- lines ----------------------------------------------------------------------------------------------------

THREE_GOOD_LINES_OF_FIVE = line(t=0) + line(t=1, pnl_total="much") + b"\n" + line(t=2)[:-2] + b"\n" + line(t=3)


def test_a_file_with_a_bad_line_is_rejected_naming_line_and_field(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", THREE_GOOD_LINES_OF_FIVE))
    assert outcome.status == "rejected"
    assert outcome.errors[0] == "line 2: pnl_total: expected number, got string"
    assert outcome.errors[1].startswith("line 4: not JSON")
    assert outcome.error_count == 2
    assert ask(warehouse, "SELECT count(*) FROM run_ledger") == [(0,)]
    assert list(warehouse.telemetry.glob("profile=balanced/*/*")) == []
    assert not warehouse.quarantine.exists()


@pytest.mark.parametrize("packed", [False, True])
def test_quarantine_keeps_the_good_lines_and_every_byte_of_the_bad_ones(warehouse: Warehouse, packed: bool) -> None:
    content = THREE_GOOD_LINES_OF_FIVE + b"\xff\xfe\n"
    source = warehouse.root / ("balanced_r1.jsonl" + ".gz" * packed)
    (outcome,) = ingest(warehouse, write(source, gzip.compress(content) if packed else content), on_error="quarantine")
    assert outcome.verdict == "quarantined 3"
    assert ask(warehouse, "SELECT t FROM ticks ORDER BY t") == [(0,), (3,)]
    row = ask_one(
        warehouse,
        "SELECT lines, rows, quarantined, blank, source_bytes, row_bytes, quarantined_bytes, blank_bytes FROM runs",
    )
    lines = content.splitlines(keepends=True)
    assert row == {
        "lines": 6,
        "rows": 2,
        "quarantined": 3,
        "blank": 1,
        "source_bytes": len(content),
        "row_bytes": len(lines[0]) + len(lines[4]),
        "quarantined_bytes": len(lines[1]) + len(lines[3]) + 3,
        "blank_bytes": 1,
    }
    kept = [json.loads(text) for text in (warehouse.quarantine / f"{outcome.run_id}.jsonl").read_text().splitlines()]
    assert [(entry["line"], entry["offset"], entry["reasons"][0]["field"]) for entry in kept] == [
        (2, len(lines[0]), "pnl_total"),
        (4, len(lines[0] + lines[1] + lines[2]), ""),
        (6, len(content) - 3, ""),
    ]
    assert kept[0]["raw"].encode() + b"\n" == lines[1]
    assert base64.b64decode(kept[2]["raw_base64"]) == b"\xff\xfe"


@pytest.mark.parametrize("on_error", ["reject", "quarantine"])
def test_a_cut_last_line_is_put_aside_with_a_warning(warehouse: Warehouse, on_error: str) -> None:
    cut = run_of(3)[:-40]
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", cut), on_error=on_error)
    assert (outcome.status, outcome.ticks, outcome.quarantined) == ("ingested", 2, 1)
    assert outcome.warnings == ["line 3: cut off at the end of the file"]
    row = ask_one(warehouse, "SELECT truncated, rows, quarantined, lines, warnings FROM runs")
    assert row == {
        "truncated": True,
        "rows": 2,
        "quarantined": 1,
        "lines": 3,
        "warnings": '["line 3: cut off at the end of the file"]',
    }


def test_a_file_that_is_all_cut_line_is_rejected(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", line(t=0)[:100]))
    assert outcome.status == "rejected"
    assert outcome.errors[-1] == "balanced_r1.jsonl: no complete record in the file"


def test_crlf_and_blank_lines_go_in_with_a_warning(warehouse: Warehouse) -> None:
    content = b"\r\n" + run_of(2).replace(b"\n", b"\r\n") + b" \t\r\n"
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", content))
    assert (outcome.status, outcome.ticks) == ("ingested", 2)
    assert outcome.warnings == ["lines end with CRLF or hold carriage returns"]
    assert ask(warehouse, "SELECT lines, rows, blank, blank_bytes FROM runs") == [(4, 2, 2, 6)]
    assert ask(warehouse, "SELECT t, kill_reason FROM ticks ORDER BY t") == [(0, "None"), (1, "None")]


DOUBLED = {
    "t": '"t":1',
    "an escaped key": '"\\u0074":1',
    "a null": '"fair_value":null',
    "a list": '"venue_status":[]',
    "a nested key": '"tick_timing":{"total_us":1,"total_us":null}',
    "an unknown key": '"zz":1,"zz":1',
    "a key inside JSON text": '"policy_action_applied":[{"a":1,"a":2}]',
}


@pytest.mark.parametrize("what", DOUBLED)
def test_check_and_ingest_find_the_same_duplicate_keys(warehouse: Warehouse, what: str) -> None:
    content = line(t=0) + line(t=1)[:-2] + f",{DOUBLED[what]}}}\n".encode() + line(t=2)
    bad: list[BadLine] = []
    read_strict(io.BytesIO(content), sinks=Sinks(bad=bad.append), find_duplicates=True)
    said = [f"line {b.line}: {breach.field}: {breach.reason}" for b in bad for breach in b.breaches]
    assert said and all(text.startswith("line 2: ") and text.endswith("duplicate key") for text in said)
    source = write(warehouse.root / "balanced_r1.jsonl", content)
    assert [outcome.errors for outcome in ingest(warehouse, source)] == [said]
    (outcome,) = ingest(warehouse, source, on_error="quarantine")
    assert outcome.verdict == "quarantined 1"
    assert ask(warehouse, "SELECT t FROM ticks ORDER BY t") == [(0,), (2,)]


# --- nothing is dropped ---------------------------------------------------------------------------------------


def test_unknown_fields_first_seen_on_line_5000_are_kept_and_can_be_asked_for(warehouse: Warehouse) -> None:
    first, second = line(t=4999), line(t=5004)
    with (warehouse.root / "balanced_r1.jsonl").open("wb") as out:
        for t in range(5010):
            known = line(t=t)
            if known == first:
                known = known.replace(b'"fill_seq":0', b'"fill_seq":0,"queue_rank":3')
                known = known[:-2] + b',"mood":{"name":"gr\xc3\xbcn"}}\n'
            elif known == second:
                known = known.replace(b'"fill_seq":0', b'"queue_rank":"last","fill_seq":0')
            out.write(known)
    (outcome,) = ingest(warehouse, warehouse.root / "balanced_r1.jsonl", jobs=2)
    assert (outcome.status, outcome.ticks) == ("ingested", 5010)
    assert [(t, json.loads(extra)) for t, extra in ask(warehouse, "SELECT t, extra FROM ticks WHERE extra != ''")] == [
        (4999, {"fills[0].queue_rank": 3, "mood": {"name": "grün"}}),
        (5004, {"fills[0].queue_rank": "last"}),
    ]
    ((unknown,),) = ask(warehouse, "SELECT unknown_fields FROM runs")
    assert json.loads(unknown) == {
        "fills[].queue_rank": {"first_line": 5000, "count": 2, "types": ["number", "string"]},
        "mood": {"first_line": 5000, "count": 1, "types": ["object"]},
    }
    asked = """SELECT t, extra ->> '$."fills[0].queue_rank"' FROM ticks WHERE extra LIKE '%queue_rank%' ORDER BY t"""
    assert ask(warehouse, asked) == [(4999, "3"), (5004, "last")]
    assert ask(warehouse, "SELECT count(*), sum(t), count(extra) FROM ticks") == [(5010, 5009 * 5010 // 2, 2)]


FLOATS = [
    "0.0",
    "-0.0",
    "0",
    "-0",
    "1",
    "-1",
    "1e5",
    "1E+5",
    "1.5e-3",
    "5e-324",
    "2.2250738585072014e-308",
    "1e-400",
    "-1e-400",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "1.7976931348623157e308",
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "0.30000000000000004",
    "9007199254740993.0",
    "1e22",
    "1e23",
    "8.41e21",
    "9.5367431640625e-7",
    "12345678901234567e-20",
    "1" + "0" * 300,
]
INTEGERS = [
    "0",
    "-0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "3.0",
    "1e5",
    "1E2",
    "-0.0",
    "9007199254740993",
    "9007199254740992.0",
    "1e18",
    "100e-2",
    "0e10",
    "4611686018427387904",
]
STRINGS = [
    r'""',
    r'"\u0000"',
    r'"a\u0000b"',
    r'"\u00e9"',
    '"é"',
    r'"\ud83d\ude00"',
    '"😀"',
    r'"\/ \\ \" \n \t \r \b \f"',
    '"null"',
    '"NaN"',
    '"it\'s"',
    '"\u2028"',
    '"\x7f"',
    r'"{\"a\":1}"',
    '" lead"',
    r'"\ufeff"',
    '"' + "x" * 5000 + '"',
]
ANY_JSON = ["null", "1.50", "[1, 2]", r'{"a": {"b": [null, "x\u0000"]}}', '"s"', "true", "123456789012345678901", "{}"]


class Scribe:
    """Writes random records of every declared field, in every spelling JSON allows for a value."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, shape: Shape) -> str:
        pick, chance = self.random.choice, self.random.random
        if shape.nullable and chance() < 0.1:
            return "null"
        match shape.kind:
            case "float":
                return pick(FLOATS) if chance() < 0.5 else repr(chance() * 10.0 ** pick(range(-320, 300)))
            case "int":
                return pick(INTEGERS) if chance() < 0.7 else str(self.random.randint(-(2**63), 2**63 - 1))
            case "bool":
                return pick(["true", "false"])
            case "str":
                return pick(STRINGS)
            case "json":
                return pick(ANY_JSON)
            case "choice" if shape.choices == (1,):
                return pick(["1", "1.0", "10e-1"])
            case "choice":
                return pick([json.dumps(choice) for choice in shape.choices] + [r'"\u004eormal"'])
            case "list":
                assert shape.item
                return "[" + ",".join(self.value(shape.item) for _ in range(pick(range(4)))) + "]"
        return self.record(shape)

    def record(self, shape: Shape, t: int | None = None) -> str:
        chance, pick = self.random.random, self.random.choice
        items = [
            f'"{self.key(name)}"{pick(["", " "])}:{str(t) if name == "t" else self.value(field.shape)}'
            for name, field in shape.fields.items()
            if field.required or chance() < 0.65
        ]
        if chance() < 0.1:
            items.append(pick(['"zz":1.5', '"ü":{"a":[1]}', r'"a.b":"s\u0000"', '"x[0]":null']))
        self.random.shuffle(items)
        return "{" + pick(["", " ", "\t"]) + ",".join(items) + "}"

    def key(self, name: str) -> str:
        return "".join(f"\\u{ord(c):04x}" if self.random.random() < 0.01 else c for c in name)


def differences(stored: Any, said: Any, shape: Shape, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield where a value from Parquet is not what the json module reads; the JSON text of free values aside."""
    if shape.kind == "json" and stored is not None:
        stored = json.loads(stored)
    if said is None or stored is None or shape.kind not in ("list", "struct"):
        wanted = float(said) if shape.kind == "float" and said is not None else said
        if stored != wanted or (isinstance(stored, bool) and not isinstance(wanted, bool)):
            yield path, stored, wanted
    elif shape.item:
        if len(stored) != len(said):
            yield path, stored, said
        for i, (a, b) in enumerate(zip(stored, said, strict=False)):
            yield from differences(a, b, shape.item, f"{path}[{i}]")
    else:
        for name, field in shape.fields.items():
            yield from differences(stored[name], said.get(name), field.shape, f"{path}.{name}")


@pytest.mark.parametrize("seed", range(3))
def test_parquet_holds_exactly_the_values_of_any_valid_line(warehouse: Warehouse, seed: int) -> None:
    shape, scribe = record_shape(TICKS.record), Scribe(seed)
    lines = [scribe.record(shape, t) for t in range(150)]
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", "\n".join(lines) + "\n"))
    assert (outcome.status, outcome.errors) == ("ingested", [])
    (stored,) = warehouse.telemetry.glob("profile=balanced/*/*.parquet")
    rows = pq.ParquetFile(stored).read().to_pylist()
    assert len(rows) == len(lines)
    for row, text in zip(rows, lines, strict=True):
        said = json.loads(text)
        assert list(differences(row, said, shape, "")) == []
        unknown = {name: value for name, value in said.items() if name not in shape.fields}
        assert {k: v for k, v in json.loads(row["extra"] or "{}").items() if k in unknown} == unknown


NOT_THE_CONTRACT: list[tuple[str, str | bytes]] = [
    ('"t":1', '"t":01'),
    ('"t":1', '"t":1.5'),
    ('"t":1', '"t":true'),
    ('"t":1', '"t":"1"'),
    ('"t":1', '"t":9223372036854775808'),
    ('"t":1', '"t":9007199254740993.0'),
    ('"t":1', '"t":1.00000000000000001'),
    ('"t":1', '"t":1e-999'),
    ('"schema_version":1', '"schema_version":1.00000000000000001'),
    ('"pnl_total":1.0', '"pnl_total":NaN'),
    ('"pnl_total":1.0', '"pnl_total":-Infinity'),
    ('"pnl_total":1.0', '"pnl_total":1e400'),
    ('"pnl_total":1.0', '"pnl_total":.5'),
    ('"pnl_total":1.0', '"pnl_total":5.'),
    ('"pnl_total":1.0', '"pnl_total":+5'),
    ('"pnl_total":1.0', '"pnl_total":null'),
    ('"pnl_total":1.0', '"pnl_total":0x10'),
    ('"kill_reason":"None"', '"kill_reason":"a\tb"'),
    ('"kill_reason":"None"', '"kill_reason":"\\ud800"'),
    ('"kill_reason":"None"', b'"kill_reason":"\xed\xa0\x80"'),
    ('"kill_reason":"None"', b'"kill_reason":"\xc0\xaf"'),
    ('"kill_reason":"None"', b'"kill_reason":"a\x00"'),
    ('"kill_reason":"None"', "\"kill_reason\":'None'"),
    ('"schema_version":1', '"schema_version":true'),
    ('"kill_switch":false', '"kill_switch":0'),
]


def test_what_is_not_json_or_not_the_contract_never_gets_in(warehouse: Warehouse) -> None:
    lines = [edited(old, new, t=1) for old, new in NOT_THE_CONTRACT]
    lines += [line(t=1)[:-2] + b",}\n", line(t=1)[:-1] + b"{}\n", b"[" + line(t=1)[:-1] + b"]\n", b"null\n"]
    for i, bad in enumerate(lines):
        write(warehouse.root / f"balanced_r{i}.jsonl", line(t=0) + bad + line(t=2))
    report = ingest(warehouse, warehouse.root)
    assert [outcome.file for outcome in report if outcome.status != "rejected"] == []
    assert [outcome.file for outcome in report if not outcome.errors[0].startswith("line 2: ")] == []


# --- many files -----------------------------------------------------------------------------------------------


def test_one_bad_file_never_stops_the_others(warehouse: Warehouse) -> None:
    folder = warehouse.root / "in"
    good = run_of(4)
    write(folder / "balanced_r1.jsonl", good)
    write(folder / "balanced_r2.jsonl", b"{}\n")
    write(folder / "balanced_r3.jsonl", b"")
    write(folder / "balanced_r4.jsonl.gz", gzip.compress(good)[:-8] + b"\1" * 8)
    write(folder / "balanced_r5.jsonl.zst", pa.compress(good, "zstd", asbytes=True)[:-20] + b"\xff" * 20)
    write(folder / "balanced_r6.jsonl.gz", gzip.compress(good) + b"more")
    write(folder / "balanced_r7.jsonl", b"\xef\xbb\xbf" + good)
    write(folder / "who_am_i.jsonl", good)
    write(folder / "balanced_r8.jsonl", good)
    write(folder / "balanced_r8.run.json", b"{")
    write(folder / "balanced_r10.jsonl", good)
    os.truncate(write(folder / "balanced_r10.run.json", b"{}"), (64 << 20) + 1)
    (folder / "balanced_r9.jsonl").symlink_to("nowhere")
    write(folder / "conservative_r1.jsonl", good)
    report = ingest(warehouse, folder)
    assert verdicts(report) == {
        "balanced_r1.jsonl": "ingested",
        "balanced_r2.jsonl": "rejected",
        "balanced_r3.jsonl": "rejected",
        "balanced_r4.jsonl.gz": "rejected",
        "balanced_r5.jsonl.zst": "rejected",
        "balanced_r6.jsonl.gz": "rejected",
        "balanced_r7.jsonl": "rejected",
        "balanced_r8.jsonl": "rejected",
        "balanced_r9.jsonl": "rejected",
        "balanced_r10.jsonl": "rejected",
        "conservative_r1.jsonl": "ingested",
        "who_am_i.jsonl": "rejected",
    }
    assert not report.complete
    reasons = {Path(outcome.file).name: outcome.errors[0] for outcome in report if outcome.errors}
    assert reasons["balanced_r3.jsonl"] == "in/balanced_r3.jsonl: no complete record in the file"
    assert "the gzip data is damaged" in reasons["balanced_r4.jsonl.gz"]
    assert "the zstd data is damaged" in reasons["balanced_r5.jsonl.zst"]
    assert "is damaged" in reasons["balanced_r6.jsonl.gz"]
    assert "byte order mark" in reasons["balanced_r7.jsonl"]
    assert "not a run sidecar" in reasons["balanced_r8.jsonl"]
    assert reasons["balanced_r9.jsonl"] == f"{folder}/balanced_r9.jsonl: a link to nowhere, which is not there"
    assert reasons["balanced_r10.jsonl"].endswith("balanced_r10.run.json: longer than the limit of 67108864 bytes")
    assert "the name tells no profile" in reasons["who_am_i.jsonl"]


def test_whatever_duckdb_objects_to_turns_down_that_file_alone(tmp_path: Path) -> None:
    """A type that is gone: an error of a class that no file of ours leads to today."""
    with open_reader(threads=1) as connection:
        stager, outcomes = Stager(connection, tmp_path, "batch"), []
        statements = ["", "DROP TYPE type_of_tick_timing", "CREATE TYPE type_of_tick_timing AS STRUCT(total_us BIGINT)"]
        for number, statement in enumerate(statements):
            connection.execute(statement)
            source = write(tmp_path / f"{number}.jsonl", run_of(number + 1))
            outcomes.append(stager.stage(task_of(source)))
    good, bad, also_good = outcomes
    assert isinstance(good, Staged)
    assert isinstance(also_good, Staged)
    assert isinstance(bad, Outcome)
    assert bad.status == "rejected"
    said = "1.jsonl: DuckDB cannot read what the contract allows: Catalog Error: Type with name type_of_tick_timing"
    assert bad.errors[0].startswith(said)
    assert bad.hint == "report this with the file: as it is, it cannot be taken in"


def task_of(source: Path) -> Task:
    """Return the task of taking in a file."""
    return Task(
        source=str(source),
        origin=source.name,
        profile="balanced",
        label=source.stem,
        experiment="adhoc",
        size_bytes=source.stat().st_size,
    )


def test_a_file_that_vanishes_or_grows_does_not_stop_the_others(warehouse: Warehouse) -> None:
    for name in ("balanced_r1", "balanced_r2", "balanced_r3"):
        write(warehouse.root / f"{name}.jsonl", run_of(4))
    from paraphina_wh.ingest import ingest_paths

    def vanish(_: int) -> None:
        (warehouse.root / "balanced_r2.jsonl").unlink()

    report = ingest_paths(warehouse, [warehouse.root], jobs=1, on_plan=vanish)
    assert verdicts(report) == {
        "balanced_r1.jsonl": "ingested",
        "balanced_r2.jsonl": "rejected",
        "balanced_r3.jsonl": "ingested",
    }


def test_a_file_that_grows_while_it_is_read_is_refused(warehouse: Warehouse) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", run_of(20_000))
    done = threading.Event()

    def grow() -> None:
        with source.open("ab", buffering=0) as out:
            for t in range(20_000, 10**9):
                if done.wait(0.002):
                    return
                out.write(line(t=t))

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        outcome = None
        while outcome is None or outcome.status == "ingested":  # before the writer got its turn
            (outcome,) = ingest(warehouse, source, replace=True)
    finally:
        done.set()
        writer.join()
    assert outcome.status == "rejected"
    assert outcome.errors == ["balanced_r1.jsonl: changed while it was read"]
    (outcome,) = ingest(warehouse, source, replace=True)
    assert outcome.status == "ingested"


def test_names_of_sources_are_names_and_nothing_else(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["it's", "a*b", "a[1]", "new\nline", "back\\slash", "-x", "ü", "{t}", "$HOME", '"q"']
    monkeypatch.chdir(warehouse.root)
    for name in names:
        write(Path(f"{name}.jsonl"), run_of(2))
    report = ingest(warehouse, *(f"{name}.jsonl" for name in names), profile="balanced")
    assert verdicts(report) == {f"{name}.jsonl": "ingested" for name in names}
    assert dict(ask(warehouse, "SELECT label, telemetry_path FROM runs")) == {name: f"{name}.jsonl" for name in names}
    assert ask(warehouse, "SELECT count(*) FROM ticks") == [(20,)]


def test_a_name_that_is_not_utf8_is_refused_for_itself_alone(warehouse: Warehouse) -> None:
    folder = Path(os.fsdecode(os.fsencode(warehouse.root) + b"/f\xff"))
    write(folder / "balanced_r1.jsonl", run_of(2))
    write(warehouse.root / "balanced_r2.jsonl", run_of(2))
    report = ingest(warehouse, warehouse.root)
    assert verdicts(report) == {"balanced_r1.jsonl": "rejected", "balanced_r2.jsonl": "ingested"}
    assert report[1].errors[0].endswith("balanced_r1.jsonl: the name is not UTF-8") or report[0].errors


def test_a_shell_glob_names_companions_too_and_they_are_read_along(warehouse: Warehouse) -> None:
    reference_run(warehouse.root / "in" / "balanced_r1.jsonl", ticks=3, seed=1)
    (outcome,) = ingest(warehouse, *sorted((warehouse.root / "in").iterdir()))
    assert outcome.status == "ingested"
    assert ask(warehouse, "SELECT stdout_usable FROM runs") == [(True,)]


def test_ingesting_root_leaves_the_warehouse_itself_out(warehouse: Warehouse) -> None:
    write(warehouse.root / "balanced_r1.jsonl", THREE_GOOD_LINES_OF_FIVE)
    write(warehouse.root / "research_dataset_v001.jsonl", b"{}\n")
    ingest(warehouse, warehouse.root, on_error="quarantine")
    assert len(list(warehouse.quarantine.iterdir())) == 1
    assert verdicts(ingest(warehouse, warehouse.root, on_error="quarantine")) == {"balanced_r1.jsonl": "unchanged"}


@pytest.mark.parametrize("what", ["missing.jsonl", "no*match.jsonl", "empty_folder", "pipe"])
def test_a_path_that_names_nothing_creates_nothing(warehouse: Warehouse, what: str) -> None:
    (warehouse.root / "empty_folder").mkdir()
    os.mkfifo(warehouse.root / "pipe")
    with pytest.raises(WarehouseError) as refused:
        ingest(warehouse, warehouse.root / what)
    assert refused.value.exit_code == 2
    assert not warehouse.path.exists()


@pytest.fixture(scope="module")
def some_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 6 runs of the reference engine."""
    folder = tmp_path_factory.mktemp("runs") / "exp13_auto"
    for seed in range(2):
        for profile in ("aggressive", "balanced", "conservative"):
            reference_run(folder / f"{profile}_r{seed}.jsonl", ticks=100, seed=seed, knobs={"MM_SIZE_ETA": "50"})
    return folder


def test_order_and_number_of_processes_leave_no_trace_in_runs(
    some_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also that a second ingest, however it is called, writes no file and touches none, and processes keep quiet."""
    # Batches of one run, so that the two processes really share the work.
    monkeypatch.setattr("paraphina_wh.ingest.plan.SMALLEST_BATCH_BYTES", 1)
    files = sorted(some_runs.glob("*.jsonl"))
    contents = []
    for name, jobs, paths in (("one", 1, files), ("two", 2, files[::-1]), ("whole", 2, [some_runs])):
        (tmp_path / name).mkdir()
        warehouse = locate(tmp_path / name)
        assert {outcome.status for outcome in ingest(warehouse, *paths, jobs=jobs)} == {"ingested"}
        contents.append(runs_content(warehouse))
        before = files_below(warehouse.path)
        assert {outcome.status for outcome in ingest(warehouse, *paths[::-1], jobs=3 - jobs)} == {"unchanged"}
        assert files_below(warehouse.path) == before
    assert len(contents[0]) == 6
    assert contents[0] == contents[1] == contents[2]
    assert capfd.readouterr() == ("", "")


def test_a_large_file_read_by_both_passes_at_once_gives_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "balanced_r1.jsonl", run_of(20_000))
    contents = []
    for name, overlap_above in (("apart", 1 << 40), ("overlapped", 1 << 20)):
        monkeypatch.setattr("paraphina_wh.ingest.stage.OVERLAP_BYTES", overlap_above)
        (tmp_path / name).mkdir()
        warehouse = locate(tmp_path / name)
        assert verdicts(ingest(warehouse, source, jobs=2)) == {"balanced_r1.jsonl": "ingested"}
        contents.append(ask(warehouse, "SELECT run_id, stored_sha256, num_ticks, source_sha256 FROM runs"))
    assert contents[0] == contents[1]


@pytest.mark.parametrize("last", [b"{bad}\n", line(t=30_000, zz=1), line(t=30_000)[:50]])
def test_overlapped_work_is_thrown_away_when_the_strict_pass_objects(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, last: bytes
) -> None:
    monkeypatch.setattr("paraphina_wh.ingest.stage.OVERLAP_BYTES", 1)
    write(warehouse.root / "balanced_r1.jsonl", run_of(3000) + last)
    write(warehouse.root / "balanced_r2.jsonl", run_of(10))
    report = ingest(warehouse, warehouse.root, jobs=2)
    good = last == line(t=30_000, zz=1)
    assert [outcome.status for outcome in report] == ["rejected" if last == b"{bad}\n" else "ingested", "ingested"]
    wanted = [("exp13_balanced_r002", 10)]
    if last != b"{bad}\n":
        wanted.insert(0, ("exp13_balanced_r001", 3000 + good))
    assert ask(warehouse, "SELECT label, count(*) FROM ticks GROUP BY label ORDER BY label") == wanted


def test_a_worker_that_dies_ends_the_ingest_with_a_hint_and_a_repeat_completes_it(
    some_runs: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paraphina_wh.ingest.plan.SMALLEST_BATCH_BYTES", 1)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        started[0].kill()
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    with pytest.raises(WarehouseError, match="an ingest process ended") as failed:
        ingest(warehouse, some_runs, jobs=2)
    assert failed.value.hint == "repeat the command: it resumes"
    assert all(process.poll() is not None for process in started)
    assert ingest(warehouse, some_runs).complete
    assert ask(warehouse, "SELECT count(*), count(DISTINCT run_id) FROM runs") == [(6, 6)]


MEMORY_LIMIT_MB = 600


def test_memory_does_not_grow_with_the_file(warehouse: Warehouse, tmp_path: Path) -> None:
    source = tmp_path / "balanced_r1.jsonl"
    lists = {"venue_mid_usd": [250.5] * 400, "venue_status": ["Stale"] * 200}
    head, tail = line(lists, t=-1).split(b'"t":-1')
    with source.open("wb") as out:
        for t in range(60 * 2**20 // (len(head) + len(tail))):
            out.write(b'%b"t":%d%b' % (head, t, tail))
    # The kernel's mark of this program alone: `ru_maxrss` of a child begins with what the test process held.
    code = (
        "import sys; from pathlib import Path;"
        "from paraphina_wh.ingest import ingest_paths; from paraphina_wh.warehouse import locate;"
        "assert ingest_paths(locate(sys.argv[1]), [sys.argv[2]], jobs=2).complete;"
        "status = Path('/proc/self/status').read_text().split();"
        "print(status[status.index('VmHWM:') + 1])"
    )
    command = [sys.executable, "-c", code, str(warehouse.root), str(source)]
    ingest = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ingest.returncode == 0, ingest.stderr
    assert int(ingest.stdout) / 1024 < MEMORY_LIMIT_MB
