"""The strict reader: what it accepts, what it rejects and where, and that every byte is accounted for.

Every bad line is a good one with one edit.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.telemetry import judge
from paraphina_wh.telemetry.judge import MOST_VALUES, Breach
from paraphina_wh.telemetry.reader import (
    BLOCK_BYTES,
    KEPT_BYTES,
    LONGEST_FAST_LINE,
    MAX_LINE_BYTES,
    BadLine,
    Ledger,
    Sinks,
    Unknown,
    line_limit,
    read_strict,
)
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS, Contract
from tests.records import GOOD, MC_RUN, MISSING, edited, line, record, run_of

Found = list[tuple[int, str, str]]


def read(content: bytes, contract: Contract = TICKS, max_line_bytes: int = MAX_LINE_BYTES) -> tuple[Ledger, Found]:
    """Read a file and return its ledger and (line, field, reason) of every breach."""
    bad: list[BadLine] = []
    ledger = read_strict(io.BytesIO(content), contract, Sinks(bad=bad.append), max_line_bytes=max_line_bytes)
    assert ledger.lines == ledger.rows + ledger.quarantined + ledger.blank
    assert ledger.bytes == ledger.row_bytes + ledger.quarantined_bytes + ledger.blank_bytes == len(content)
    assert ledger.sha256 == hashlib.sha256(content).hexdigest()
    for one in bad:
        assert content[one.offset :].startswith(one.raw)
    return ledger, [(one.line, breach.field, breach.reason) for one in bad for breach in one.breaches]


REQUIRED = list(GOOD)[:11]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_may_not_be_missing(name: str) -> None:
    ledger, found = read(line({name: MISSING}))
    assert found == [(1, name, "required field is missing")]
    assert (ledger.rows, ledger.quarantined) == (0, 1)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_may_not_be_null(name: str) -> None:
    _, found = read(line({name: None}))
    assert [(at, field) for at, field, _ in found] == [(1, name)]
    assert found[0][2].endswith("got null")


# id -> (the second of three lines, field, reason)
REJECTED: dict[str, tuple[bytes, str, str]] = {
    # types at every depth
    "number as text": (line(t=1, pnl_total="1.0"), "pnl_total", "expected number, got string"),
    "boolean for a number": (line(t=1, pnl_total=True), "pnl_total", "expected number, got boolean"),
    "array for a number": (line(t=1, basis_usd=[0.0]), "basis_usd", "expected number, got array"),
    "object for a number": (line(t=1, q_global_tao={}), "q_global_tao", "expected number, got object"),
    "1 for a boolean": (line(t=1, kill_switch=1), "kill_switch", "expected boolean, got number"),
    "text for a boolean": (line(t=1, kill_switch="false"), "kill_switch", "expected boolean, got string"),
    "number for a text": (line(t=1, kill_reason=0), "kill_reason", "expected string, got number"),
    "optional field of wrong type": (line(t=1, fair_value="250"), "fair_value", "expected number, got string"),
    "optional boolean of wrong type": (line(t=1, fv_available="yes"), "fv_available", "expected boolean, got string"),
    "number for a list": (line(t=1, venue_mid_usd=250.0), "venue_mid_usd", "expected array, got number"),
    "text in a list of numbers": (
        line(t=1, venue_mid_usd=[1.0, "x"]),
        "venue_mid_usd[1]",
        "expected number, got string",
    ),
    "null in a list of texts": (line(t=1, venue_status=[None]), "venue_status[0]", "expected string, got null"),
    "fraction in a list of integers": (
        line(t=1, healthy_venues_used=[0, 1.5]),
        "healthy_venues_used[1]",
        "expected integer, got 1.5",
    ),
    "object for a list of objects": (line(t=1, fills={}), "fills", "expected array, got object"),
    "null in a list of objects": (line(t=1, fills=[None]), "fills[0]", "expected object, got null"),
    "text in a fill": (line(t=1, fills=[{"price": "250"}]), "fills[0].price", "expected number, got string"),
    "0 for a flag of an order": (
        line(t=1, orders=[{}, {"post_only": 0}]),
        "orders[1].post_only",
        "expected boolean, got number",
    ),
    "boolean three levels down": (
        line(t=1, exits=[{"edge_components": {"fee_per_tao": True}}]),
        "exits[0].edge_components.fee_per_tao",
        "expected number, got boolean",
    ),
    "text in a list in a list": (
        line(t=1, exits=[{"entry_fill_seqs": ["0"]}]),
        "exits[0].entry_fill_seqs[0]",
        "expected integer, got string",
    ),
    "text below a struct": (
        line(t=1, treasury_guidance={"venues": [{}, {"avg_margin_usage": "x"}]}),
        "treasury_guidance.venues[1].avg_margin_usage",
        "expected number, got string",
    ),
    "list for a struct": (line(t=1, treasury_guidance=[]), "treasury_guidance", "expected object, got array"),
    # schema version and regime
    "schema version 2": (line(t=1, schema_version=2), "schema_version", "expected 1, got 2"),
    "schema version true": (line(t=1, schema_version=True), "schema_version", "expected 1, got boolean"),
    "schema version as text": (line(t=1, schema_version="1"), "schema_version", 'expected 1, got "1"'),
    "regime in small letters": (
        line(t=1, risk_regime="normal"),
        "risk_regime",
        'expected one of HardLimit, Normal, Warning, got "normal"',
    ),
    "regime as a number": (
        line(t=1, risk_regime=0),
        "risk_regime",
        "expected one of HardLimit, Normal, Warning, got 0",
    ),
    # numbers
    "NaN": (edited("1.5", "NaN", t=1), "", "not JSON: NaN is not a JSON value"),
    "Infinity": (edited("1.5", "Infinity", t=1), "", "not JSON: Infinity is not a JSON value"),
    "minus Infinity": (edited("1.5", "-Infinity", t=1), "", "not JSON: -Infinity is not a JSON value"),
    "NaN in a field nobody declared": (line(t=1, later=float("nan")), "", "not JSON: NaN is not a JSON value"),
    "a number beyond double": (edited("1.5", "1e400", t=1), "pnl_realised", "number out of range"),
    "an integer beyond double": (edited("1.5", "9" * 400, t=1), "pnl_realised", "number out of range"),
    "an integer beyond double in free JSON": (
        edited('"policy_action_raw":null', f'"policy_action_raw":{"9" * 309}', t=1),
        "policy_action_raw",
        "number out of range",
    ),
    "an endless integer": (edited("1.5", "9" * 5000, t=1), "pnl_realised", "number out of range"),
    "a number beyond double, undeclared": (edited("1.5", '1.5,"x":[1e999]', t=1), "x[0]", "number out of range"),
    "a number beyond double, two levels down": (
        edited("1.5", '1.5,"x":{"y":{"z":1e999}}', t=1),
        "x.y.z",
        "number out of range",
    ),
    "leading zero": (edited("1.5", "01.5", t=1), "", "not JSON: Expecting ',' delimiter at character 43"),
    "leading plus": (edited("1.5", "+1.5", t=1), "", "not JSON: Expecting value at character 42"),
    "no digit before the point": (edited("1.5", ".5", t=1), "", "not JSON: Expecting value at character 42"),
    "no digit after the point": (edited("1.5", "1.", t=1), "", "not JSON: Expecting ',' delimiter at character 43"),
    "hexadecimal": (edited("1.5", "0x1", t=1), "", "not JSON: Expecting ',' delimiter at character 43"),
    # the index
    "t missing": (line(t=MISSING), "t", "required field is missing"),
    "t as text": (line(t="1"), "t", "expected integer, got string"),
    "t boolean": (line(t=True), "t", "expected integer, got boolean"),
    "t with a fraction": (line(t=2.5), "t", "expected integer, got 2.5"),
    "t beyond int64": (line(t=2**63), "t", "integer out of range: 9223372036854775808"),
    "t below int64": (line(t=-(2**63) - 1), "t", "integer out of range: -9223372036854775809"),
    "t as before": (line(t=0), "t", "0 is not above the previous 0"),
    "t lower": (line(t=-1), "t", "-1 is not above the previous 0"),
    "integer field beyond int64": (
        line(t=1, kf_last_update_ms=2**63),
        "kf_last_update_ms",
        "integer out of range: 9223372036854775808",
    ),
    # keys
    "required key twice": (edited('"t":1', '"t":1,"t":1', t=1), "t", "duplicate key"),
    "key twice with the same value": (edited('"t":1', '"t":1,"pnl_total":1.0', t=1), "pnl_total", "duplicate key"),
    "key twice, once escaped": (edited('"t":1', '"t":1,"\\u0074":1', t=1), "t", "duplicate key"),
    "key twice, behind quotes that an escape hides": (
        edited('"t":1', '"t":1,"t":1', t=1).replace(b'"None"', rb'"\u0022\u0022"'),
        "t",
        "duplicate key",
    ),
    "key of a fill twice": (edited('"size":1.0', '"size":1.0,"size":1.0', t=1), "fills[0].size", "duplicate key"),
    "undeclared key twice": (edited('"t":1', '"t":1,"x":1,"x":2', t=1), "x", "duplicate key"),
    "key twice inside an undeclared one": (edited('"t":1', '"t":1,"x":{"y":1,"y":1}', t=1), "x.y", "duplicate key"),
    "key twice in free JSON": (
        edited('"policy_action_raw":null', '"policy_action_raw":{"a":1,"a":1}', t=1),
        "policy_action_raw.a",
        "duplicate key",
    ),
    # text
    "lone surrogate": (edited('"None"', r'"\ud800"', t=1), "kill_reason", "string holds a lone surrogate"),
    "lone surrogate, undeclared": (edited('"t":1', r'"t":1,"x":"\udfff"', t=1), "x", "string holds a lone surrogate"),
    "lone surrogate in a key": (
        edited('"t":1', r'"t":1,"\ud800":1', t=1),
        r"\ud800",
        "string holds a lone surrogate",
    ),
    "not UTF-8": (edited('"None"', b'"N\xff"', t=1), "", "not UTF-8: byte 143 is 0xff"),
    "overlong UTF-8": (edited('"None"', b'"N\xc0\xaf"', t=1), "", "not UTF-8: byte 143 is 0xc0"),
    "Latin-1": (edited('"None"', "Zürich".join('""').encode("latin-1"), t=1), "", "not UTF-8: byte 143 is 0xfc"),
    "a tab inside a text": (
        edited('"None"', '"N\tne"', t=1),
        "",
        "not JSON: Invalid control character at character 143",
    ),
    "an escape that does not exist": (
        edited('"None"', r'"\x41"', t=1),
        "",
        "not JSON: Invalid \\escape at character 142",
    ),
    # syntax
    "trailing comma": (edited('"policy_action_raw":null}', '"policy_action_raw":null,}', t=1), "", "not JSON: "),
    "trailing comma in a list": (edited("[250.5,249.5]", "[250.5,249.5,]", t=1), "", "not JSON: "),
    "single quotes": (edited('"None"', "'None'", t=1), "", "not JSON: Expecting value at character 141"),
    "key without quotes": (edited('"t":1', "t:1", t=1), "", "not JSON: "),
    "comment": (edited('"t":1', '/* tick */"t":1', t=1), "", "not JSON: "),
    "no colon": (edited('"t":1', '"t" 1', t=1), "", "not JSON: Expecting ':' delimiter at character 25"),
    "True as Python writes it": (edited("true", "True", t=1, treasury_guidance=None), "", "not JSON: "),
    "cut in the middle of the file": (line(t=1)[:40] + b"\n", "", "not JSON: "),
    "text after the object": (line(t=1)[:-1] + b"x\n", "", "not JSON: Extra data at character "),
    "two objects on one line": (line(t=1)[:-1] + line(t=2), "", "not JSON: Extra data at character "),
    "array instead of an object": (b"[" + line(t=1)[:-1] + b"]\n", "", "expected object, got array"),
    "number instead of an object": (b"1\n", "", "expected object, got number"),
    "null instead of an object": (b"null\n", "", "expected object, got null"),
    "text instead of an object": (b'"t"\n', "", "expected object, got string"),
    "byte order mark": (b"\xef\xbb\xbf" + line(t=1), "", "not JSON: starts with a byte order mark"),
    "NUL bytes": (b"\0" * 20 + b"\n", "", "not JSON: Expecting value at character 1"),
    "100 kB of nesting": (
        edited('"t":1', '"t":1,"x":' + "[" * 50_000 + "]" * 50_000, t=1),
        "",
        "nested deeper than 256 levels",
    ),
    "100 kB of nesting, not closed": (b"[" * 100_000 + b"\n", "", "nested deeper than 256 levels"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_bad_line_is_named_with_its_field_and_costs_no_other_line(name: str) -> None:
    bad, field, reason = REJECTED[name]
    ledger, found = read(line(t=0) + bad + line(t=7))
    assert [(at, path) for at, path, _ in found] == [(2, field)]
    assert found[0][2].startswith(reason)
    assert (ledger.lines, ledger.rows, ledger.quarantined, ledger.blank) == (3, 2, 1, 0)


# id -> a line that is unusual and valid
ACCEPTED: dict[str, bytes] = {
    "the required fields alone": line(dict.fromkeys(list(GOOD)[11:], MISSING), t=1),
    "optional fields null": line(dict.fromkeys(list(GOOD)[11:]), t=1),
    "integer written 1.0": line(t=1.0),
    "integer written 1e0": edited('"t":1', '"t":1e0', t=1),
    "schema version written 1.0": line(t=1, schema_version=1.0),
    "integer in a list written 3.0": line(t=1, healthy_venues_used=[3.0]),
    "integer for a number": line(t=1, pnl_total=1),
    "large integer for a number": line(t=1, pnl_total=10**300),
    "minus zero": edited("1.5", "-0.0", t=1),
    "exponents": edited("1.5", "7.1E-6", t=1),
    "more digits than a double has": edited("1.5", "1.50000000000000000000000000000000001", t=1),
    "a kill reason nobody has seen": line(t=1, kill_reason="CosmicRay"),
    "an empty kill reason": line(t=1, kill_reason=""),
    "lists of any length": line(t=1, venue_mid_usd=[1.0] * 9, venue_status=[]),
    "null in a list of numbers": line(t=1, venue_mid_usd=[None, 1.0]),
    "free JSON": line(t=1, policy_action_raw={"a": [1, None, {"b": "c"}]}),
    "undeclared field": line(t=1, later=1),
    "undeclared field in a fill": line(t=1, fills=[{"queue_rank": 3}]),
    "undeclared field three levels down": line(t=1, exits=[{"edge_components": {"later": {"deep": [1]}}}]),
    "undeclared field with a dot in its name": line({"a.b": 1}, t=1),
    "white space": json.dumps(record(t=1), indent=1).replace("\n", "\t").encode() + b" \n",
    "escaped key": edited('"t":1', r'"\u0074":1', t=1),
    "escaped quotes": edited('"None"', r'"\"None\" \\ \/"', t=1),
    "surrogate pair": edited('"None"', r'"\ud83d\ude00"', t=1),
    "letters of the world": line(t=1, kill_reason="Zürich 損失 😀\u2028"),
    "keys in another order": json.dumps(record(t=1), sort_keys=True).encode() + b"\n",
    "8 MB on one line": line(t=1, later="x" * 8_000_000),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_but_valid_lines_are_rows(name: str) -> None:
    ledger, found = read(line(t=0) + ACCEPTED[name] + line(t=2))
    assert found == []
    assert (ledger.rows, ledger.first_index, ledger.last_index, ledger.gaps) == (3, 0, 2, 0)
    assert ledger.warnings() == []


def test_all_errors_of_a_line_are_listed() -> None:
    _, found = read(line(t=None, pnl_total="x", fills=[{"price": True, "size": []}]))
    assert found == [
        (1, "t", "expected integer, got null"),
        (1, "pnl_total", "expected number, got string"),
        (1, "fills[0].price", "expected number, got boolean"),
        (1, "fills[0].size", "expected number, got array"),
    ]


def test_an_empty_object_lacks_every_required_field() -> None:
    _, found = read(b"{}\n")
    assert found == [(1, name, "required field is missing") for name in REQUIRED]


def test_a_rejected_record_does_not_move_the_index() -> None:
    _, found = read(line(t=0) + line(t=9, pnl_total=None) + line(t=1))
    assert [(at, field) for at, field, _ in found] == [(2, "pnl_total")]


def test_a_restart_of_t_rejects_every_line_until_it_is_passed() -> None:
    ledger, found = read(run_of(3) + run_of(4))
    assert [(at, field) for at, field, _ in found] == [(4, "t"), (5, "t"), (6, "t")]
    assert (ledger.rows, ledger.last_index) == (4, 3)


# The life of the file


def test_an_empty_file_is_no_error() -> None:
    ledger, found = read(b"")
    assert (ledger.lines, found) == (0, [])
    assert ledger.warnings() == ["the file holds no record"]


def test_blank_lines_are_skipped_and_counted() -> None:
    ledger, found = read(b"\n" + line(t=0) + b" \t \n\n" + line(t=1) + b"   ")
    assert (ledger.lines, ledger.rows, ledger.blank, ledger.blank_bytes, found) == (6, 2, 4, 9, [])


def test_crlf_is_accepted_with_a_warning() -> None:
    ledger, found = read(run_of(3).replace(b"\n", b"\r\n"))
    assert (ledger.rows, found) == (3, [])
    assert ledger.warnings() == ["lines end with CRLF or hold carriage returns"]


def test_the_last_line_may_lack_its_newline() -> None:
    ledger, found = read(run_of(2)[:-1])
    assert (ledger.rows, ledger.truncated, found) == (2, False, [])
    assert ledger.warnings() == ["line 2: no newline at the end of the file"]


def test_a_cut_tail_is_put_aside_and_flagged() -> None:
    ledger, found = read(run_of(3)[:-100])
    assert (ledger.rows, ledger.quarantined, ledger.truncated) == (2, 1, True)
    assert found == [(3, "", "cut off at the end of the file")]
    assert ledger.warnings() == ["line 3: cut off at the end of the file"]


@pytest.mark.parametrize(
    "tail",
    [
        b"{",
        b" {",
        line(t=2, later=float("nan"))[:-20],
        line(t=2)[:-2] + "é".encode()[:1],
    ],
)
def test_what_does_not_parse_at_the_end_is_cut_off(tail: bytes) -> None:
    ledger, found = read(run_of(2) + tail)
    assert (ledger.truncated, ledger.errors, found) == (True, 1, [(3, "", "cut off at the end of the file")])


@pytest.mark.parametrize("tail", [b"x", b"[", b"nul", b"[]", b"{}", b"\xef\xbb\xbf{", b'{"x":' + b"[" * 2000])
def test_what_is_no_start_of_a_record_is_not_cut_off(tail: bytes) -> None:
    ledger, found = read(run_of(2) + tail)
    assert (ledger.truncated, ledger.quarantined, found[0][0]) == (False, 1, 3)


def test_a_cut_line_that_has_a_newline_is_an_error() -> None:
    ledger, found = read(run_of(3)[:-100] + b"\n")
    assert (ledger.rows, ledger.quarantined, ledger.truncated) == (2, 1, False)
    assert [(at, field) for at, field, _ in found] == [(3, "")]


def test_a_last_line_that_breaks_the_contract_is_not_a_cut_one() -> None:
    ledger, found = read(line(t=0) + line(t=1, pnl_total=None)[:-1])
    assert (ledger.truncated, found) == (False, [(2, "pnl_total", "expected number, got null")])


def test_gaps_and_a_late_start_are_warnings() -> None:
    ledger, found = read(line(t=5) + line(t=6) + line(t=9) + line(t=20))
    assert found == []
    assert ledger.warnings() == ["the first index is 5, not 0", "2 gap(s) in the index"]


def test_one_index_left_out_is_a_gap() -> None:
    ledger, _ = read(line(t=0) + line(t=2) + line(t=4) + line(t=5) + line(t=7, later=1))
    assert (ledger.rows, ledger.gaps, ledger.last_index) == (5, 3, 7)


def test_utf_16_is_rejected_line_by_line() -> None:
    ledger, found = read("".join(run_of(2).decode()).encode("utf-16"))
    assert (ledger.rows, ledger.quarantined) == (0, 3)
    assert found[0] == (1, "", "not UTF-8: byte 1 is 0xff")


def test_a_binary_file_is_rejected() -> None:
    content = bytes(range(256)) * 40
    ledger, found = read(content)
    assert ledger.rows == 0
    assert {field for _, field, _ in found} == {""}


# What one line may cost


SHORT = line(t=1)[:-1]
# One byte of it is undeclared, so that the slow path judges it.
ODD = line(t=1, x=1)[:-1]


@pytest.mark.parametrize("text", [SHORT, ODD], ids=["fast", "slow"])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["newline", "end of file"])
def test_a_line_may_be_as_long_as_the_limit(text: bytes, end: bytes) -> None:
    size = len(text)
    for limit in (size, size + 1):
        assert read(text + end, max_line_bytes=limit)[1] == []
    ledger, found = read(text + end, max_line_bytes=size - 1)
    assert found == [(1, "", f"longer than the limit of {size - 1} bytes: {size}")]
    assert (ledger.rows, ledger.quarantined_bytes, ledger.truncated) == (0, size + len(end), False)


def test_a_line_that_goes_on_beyond_its_block_may_be_as_long_as_the_limit() -> None:
    for room in (-1, 0, 1):
        size = 2 * BLOCK_BYTES + room
        text = line(t=1, kill_reason="x" * (size - len(line(t=1, kill_reason="")) + 1))[:-1]
        assert len(text) == size
        ledger, found = read(line(t=0) + text + b"\n" + line(t=2), max_line_bytes=2 * BLOCK_BYTES)
        assert found == ([(2, "", f"longer than the limit of 524288 bytes: {size}")] if room == 1 else [])
        assert (ledger.rows, ledger.lines) == (3 - (room == 1), 3)


def test_a_line_beyond_the_limit_is_rejected_and_reading_goes_on() -> None:
    long = line(t=1, later="x" * 5000)
    ledger, found = read(line(t=0) + long + line(t=2), max_line_bytes=2000)
    assert found == [(2, "", f"longer than the limit of 2000 bytes: {len(long) - 1}")]
    assert (ledger.rows, ledger.quarantined_bytes, ledger.longest_line) == (2, len(long), len(line(t=0)) - 1)


@pytest.mark.parametrize("size", [KEPT_BYTES - 1, KEPT_BYTES, KEPT_BYTES + 1, 3 * BLOCK_BYTES])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["newline", "end of file"])
def test_of_a_line_beyond_the_limit_the_start_is_kept(size: int, end: bytes) -> None:
    bad: list[BadLine] = []
    long = bytes(range(48, 58)) * (size // 10) + b"x" * (size % 10)
    read_strict(io.BytesIO(line(t=0) + long + end), sinks=Sinks(bad=bad.append), max_line_bytes=1000)
    reason = Breach("", f"longer than the limit of 1000 bytes: {size}")
    assert bad == [BadLine(2, len(line(t=0)), long[:KEPT_BYTES], (reason,), size)]


def test_a_bad_line_within_the_limit_is_kept_whole() -> None:
    bad: list[BadLine] = []
    long = line(t=0, later="x" * 2 * KEPT_BYTES, basis_usd=None)
    read_strict(io.BytesIO(long), sinks=Sinks(bad=bad.append))
    assert bad == [BadLine(1, 0, long[:-1], (Breach("basis_usd", "expected number, got null"),), len(long) - 1)]


def test_a_record_behind_more_blanks_than_the_limit_is_not_taken_for_a_blank_line() -> None:
    ledger, found = read(b" " * 3000 + line(t=0) + b" " * 3000, max_line_bytes=2000)
    assert [(at, reason[:19]) for at, _, reason in found] == [(1, "longer than the lim"), (2, "longer than the lim")]
    assert ledger.blank == 0


def test_the_longest_line_is_that_of_the_rows() -> None:
    ledger, _ = read(
        line(t=0, later="xx") + line(t=1) + b" " * 5000 + b"\n" + line(t=2, t_=0, basis_usd=None) + b"{}\n"
    )
    assert ledger.longest_line == len(line(t=0, later="xx")) - 1


class Endless(io.RawIOBase):
    """A stream of so many blocks of the letter a."""

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks

    def read(self, size: int = -1, /) -> bytes:
        self.blocks -= 1
        return b"a" * BLOCK_BYTES if self.blocks >= 0 else b""


def test_a_line_of_any_size_costs_no_more_memory_than_the_limit() -> None:
    tracemalloc.start()
    ledger = read_strict(Endless(1200), hashed=False)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (ledger.lines, ledger.quarantined, ledger.bytes) == (1, 1, 300 << 20)
    assert peak < 80 << 20


def test_the_limit_is_64_mib_unless_a_variable_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert line_limit() == 64 * 1024 * 1024
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", "800")
    assert line_limit() == 800
    assert read_strict(io.BytesIO(line(t=0, later="x" * 800))).quarantined == 1
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", "")
    assert line_limit() == 64 * 1024 * 1024


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("0008", 8), (str(2**30), 2**30)])
def test_the_limit_may_be_any_number_of_bytes_up_to_a_gibibyte(
    monkeypatch: pytest.MonkeyPatch, text: str, limit: int
) -> None:
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", text)
    assert line_limit() == limit


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "64M", "٣", "²", " 1", str(2**30 + 1), "9" * 20, "9" * 5000])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PARAPHINA_WH_MAX_LINE", text)
    with pytest.raises(WarehouseError) as raised:
        line_limit()
    assert raised.value.message == f"PARAPHINA_WH_MAX_LINE={text[:80]} is no number of bytes from 1 to 1073741824"
    assert (raised.value.hint, raised.value.exit_code) == ("leave it out for 67108864", 2)


def test_values_nest_up_to_256_levels() -> None:
    # The record is the first level.
    for field in ("later", "policy_action_raw"):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            deep = [line({field: "@"}).replace(b'"@"', (opening * n + "1" + closing * n).encode()) for n in (255, 256)]
            assert read(deep[0])[1] == []
            assert read(deep[1])[1] == [(1, "", "nested deeper than 256 levels")]


@pytest.mark.parametrize(
    ("levels", "said"), [(255, "cut off at the end of the file"), (256, "nested deeper than 256 levels")]
)
def test_a_tail_that_was_cut_off_in_the_depth_is_the_same_whoever_reads_it(levels: int, said: str) -> None:
    """Python's parser gives up at a depth that depends on its caller's, and a text that is not whole too."""

    def below(frames: int, opened: int) -> Any:
        return below(frames - 1, opened) if frames else read(line(t=0) + b'{"a":' + b"[" * opened)

    for frames in (0, 100, 500):
        for opened in (levels, *((965, 980, 995, 2000) if levels > 255 else ())):
            ledger, found = below(frames, opened)
            assert found == [(2, "", said)]
            assert ledger.truncated == (levels == 255)


def test_brackets_in_strings_open_nothing() -> None:
    assert read(line(t=0, later="[" * 300 + '"' + "{" * 300 + "\\"))[1] == []


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert read(line(t=0, later=[[[]]] * 300))[1] == []


def test_the_depth_of_a_line_does_not_hang_on_who_reads_it() -> None:
    deep = line(t=0, later="@").replace(b'"@"', b"[" * 255 + b"]" * 255)

    def below(frames: int) -> Found:
        return below(frames - 1) if frames else read(deep)[1]

    assert below(300) == []


def test_a_line_holds_at_most_a_million_commas_and_brackets() -> None:
    marks = sum(line(t=0, later="").count(mark) for mark in (b",", b"[", b"{"))
    for room in (0, 1):
        text = line(t=0, later="," * (MOST_VALUES - marks + room))
        assert read(text)[1] == ([(1, "", "more than 1048576 commas and brackets")] if room else [])


@pytest.mark.parametrize("mark", ["[", "{"])
def test_brackets_count_as_values_do(mark: str) -> None:
    assert read(line(t=0, later=mark * MOST_VALUES))[1] == [(1, "", "more than 1048576 commas and brackets")]


def test_a_long_line_of_many_values_is_turned_down_before_it_is_parsed() -> None:
    text = line(t=0, fills="@").replace(b'"@"', b"[" + b"{}," * MOST_VALUES + b"{}]")
    assert read(text)[1] == [(1, "", "more than 1048576 commas and brackets")]


def test_lines_of_a_mebibyte_and_more_are_judged_alike() -> None:
    for room in (-1, 0, 1):
        size = LONGEST_FAST_LINE + room
        text = line(t=0, kill_reason="x" * (size - len(line(t=0, kill_reason="")) + 1))
        ledger, found = read(text)
        assert (found, ledger.longest_line) == ([], size)


def test_all_errors_are_counted_and_the_first_hundred_of_a_line_kept() -> None:
    for wrong in (99, 100, 101, 250):
        ledger, found = read(line(t=0, venue_mid_usd=["x"] * wrong))
        assert found == [(1, f"venue_mid_usd[{n}]", "expected number, got string") for n in range(min(wrong, 100))]
        assert ledger.errors == wrong


def test_an_index_that_is_wrong_does_not_count_however_many_errors_stand_before_it() -> None:
    names = {f"x{n}": "@" for n in range(120)}
    text = json.dumps(record({**names, "t": 9})).replace('"@"', "1e999").encode() + b"\n"
    assert read(text + line(t=0))[0].first_index == 0
    twice = text.replace(b'"t": 9', b'"t": 9, "t": 9')
    assert read(line(t=5) + twice)[0].errors == 121


def test_the_names_of_fields_are_reported_short_and_printable() -> None:
    long = "k" * 1000
    text = line({long: {"a": "@", "b": ["@"]}}).replace(b'"@"', b"1e999")
    cut = "k" * 200 + "…"
    assert read(text)[1] == [(1, cut, "number out of range"), (1, cut, "number out of range")]
    assert read(line({"k" * 200: "@"}).replace(b'"@"', b"1e999"))[1] == [(1, "k" * 200, "number out of range")]


def test_a_key_twice_that_is_no_text_is_reported_as_text() -> None:
    _, found = read(edited('"t":1', r'"t":1,"\ud800":1,"\ud800":2', t=1))
    assert found == [
        (1, r"\ud800", "duplicate key"),
        (1, r"\ud800", "string holds a lone surrogate"),
    ]


def test_errors_of_undeclared_fields_come_in_the_order_of_the_line() -> None:
    names = [f"x{n}" for n in range(20)]
    text = line(dict.fromkeys(names, "@")).replace(b'"@"', b"1e999")
    assert [field for _, field, _ in read(text)[1]] == names


def test_a_wrong_value_is_shown_short() -> None:
    _, found = read(line(risk_regime="x" * 1000))
    assert found == [(1, "risk_regime", "expected one of HardLimit, Normal, Warning, got " + '"' + "x" * 79)]


@pytest.mark.parametrize("find_duplicates", [True, False])
def test_good_lines_take_the_fast_way(find_duplicates: bool) -> None:
    def calls_of_the_judge(content: bytes) -> int:
        """Return how many calls the exact path took."""
        calls = Counter[str]()
        sys.setprofile(lambda frame, event, _: calls.update([frame.f_code.co_filename] if event == "call" else []))
        try:
            assert read_strict(io.BytesIO(content), find_duplicates=find_duplicates).rows == 1000
        finally:
            sys.setprofile(None)
        return calls[judge.__file__]

    slow = [line(t=t, later=1) for t in range(1000)]
    fast, exact = (calls_of_the_judge(content) for content in (run_of(1000), b"".join(slow)))
    assert (fast < 10, exact >= 1000) == (True, True), (fast, exact)


def test_a_file_of_bad_lines_is_given_up() -> None:
    bad = b"xxxx\n" * 100_000
    assert read_strict(io.BytesIO(bad), max_line_bytes=3).quarantined == 100_000
    with pytest.raises(WarehouseError) as raised:
        read_strict(io.BytesIO(bad * 2), max_line_bytes=3)
    assert raised.value.message == "gave up at line 100001: 100001 lines break the contract, 0 keep it"
    assert (raised.value.hint, raised.value.exit_code) == ("is it telemetry?", 1)
    with pytest.raises(WarehouseError, match="gave up") as raised:
        read_strict(io.BytesIO(bad * 2), MC_RUNS, max_line_bytes=3)
    assert raised.value.hint == "is it mc_runs?"


def test_a_file_is_not_given_up_while_one_line_in_a_hundred_is_good() -> None:
    rows = [line(dict.fromkeys(list(GOOD)[11:], MISSING), t=t) for t in range(1002)]
    limit = max(map(len, rows))
    bad = b"x" * limit + b"x\n"
    ledger = read_strict(io.BytesIO(b"".join(rows[:1001]) + bad * 100_100 + rows[1001]), max_line_bytes=limit)
    assert (ledger.rows, ledger.quarantined) == (1002, 100_100)
    with pytest.raises(WarehouseError, match="gave up at line 101102: 100101 lines break the contract, 1001 keep it"):
        read_strict(io.BytesIO(b"".join(rows[:1001]) + bad * 100_200), max_line_bytes=limit)
    with pytest.raises(WarehouseError, match="gave up at line 100002: 100001 lines break the contract, 1 keep it"):
        read_strict(io.BytesIO(rows[0] + bad * 100_200), max_line_bytes=limit)


def test_lines_of_nothing_but_newlines_are_counted_by_the_million() -> None:
    content = line(t=0) + b"\n" * 1_000_000 + line(t=1) + b"\n" * 600_000
    ledger, found = read(content)
    assert (ledger.lines, ledger.rows, ledger.blank, ledger.blank_bytes, found) == (
        1_600_002,
        2,
        1_600_000,
        1_600_000,
        [],
    )


# Undeclared fields


def test_unknown_fields_are_counted_by_path_and_their_values_kept() -> None:
    extras: list[tuple[int, str]] = []
    content = line(t=0) + line(t=1, new=1, fills=[{"rank": 1}, {"rank": "a"}]) + line(t=2, new=None)
    ledger = read_strict(io.BytesIO(content), TICKS, Sinks(extra=lambda t, text: extras.append((t, text))))
    assert extras == [(1, '{"fills[0].rank":1,"fills[1].rank":"a","new":1}'), (2, '{"new":null}')]
    assert {path: (u.first_line, u.count, u.types) for path, u in ledger.unknown.items()} == {
        "fills[].rank": (2, 1, {"number", "string"}),
        "new": (2, 2, {"number", "null"}),
    }


def test_undeclared_text_is_kept_as_it_is() -> None:
    extras: list[str] = []
    read_strict(io.BytesIO(line(later="é\n😀")), sinks=Sinks(extra=lambda t, text: extras.append(text)))
    assert extras == ['{"later":"é\\n😀"}']


def test_fields_whose_paths_are_spelled_alike_are_all_kept() -> None:
    extras: list[str] = []
    record = {"fills[0].x": 1, "fills": [{"x": 2}], "fills[0].x'": 3}
    read_strict(io.BytesIO(line(record, t=0)), sinks=Sinks(extra=lambda t, text: extras.append(text)))
    assert json.loads(extras[0]) == {"fills[0].x": 2, "fills[0].x'": 1, "fills[0].x''": 3}


def test_the_ledger_lists_ten_thousand_undeclared_fields_and_counts_the_rest_together() -> None:
    content = line({f"x{n}": n for n in range(9_999)}, t=0) + line(t=1, y=1) + line(t=2, y=1, z=1, zz="")
    ledger, _ = read(content)
    assert len(ledger.unknown) == 10_001
    assert ledger.unknown["y"] == Unknown(2, 2, {"number"})
    assert ledger.unknown["*"] == Unknown(3, 1, {"number", "string"})


def test_the_ledger_lists_long_names_by_their_start_and_extra_has_them_whole() -> None:
    extras: list[str] = []
    names = ["k" * 200, "k" * 201, "k" * 900]
    ledger = read_strict(
        io.BytesIO(line(dict.fromkeys(names, 1))), sinks=Sinks(extra=lambda t, text: extras.append(text))
    )
    assert ledger.unknown == {"k" * 200: Unknown(1, 1, {"number"}), "k" * 200 + "…": Unknown(1, 1, {"number"})}
    assert sorted(json.loads(extras[0])) == names


def test_positions_in_lists_are_no_part_of_a_listed_name() -> None:
    ledger, _ = read(line({"a[b": 4}, t=0, fills=[{"x": 1}, {"x[7]": 2, "y]": 3}]))
    assert sorted(ledger.unknown) == ["a[b", "fills[].x", "fills[].x[]", "fills[].y]"]


def test_the_types_of_undeclared_fields_are_told_apart() -> None:
    ledger, _ = read(line(a=True, b="", c=[], d=None, e={}, f=1, g=1.5))
    types = ["boolean", "string", "array", "null", "object", "number", "number"]
    assert [ledger.unknown[name].types for name in "abcdefg"] == [{kind} for kind in types]


def test_the_clean_copy_holds_the_rows_alone() -> None:
    clean = io.BytesIO()
    content = line(t=0)[:-1] + b"\r\n\n" + line(t=0) + line(t=1)[:-1]
    read_strict(io.BytesIO(content), TICKS, Sinks(clean=clean))
    assert clean.getvalue() == line(t=0)[:-1] + b" \n" + line(t=1)


def test_the_clean_copy_of_a_good_file_is_the_file() -> None:
    clean = io.BytesIO()
    read_strict(io.BytesIO(run_of(5)), TICKS, Sinks(clean=clean))
    assert clean.getvalue() == run_of(5)


@pytest.mark.parametrize(
    ("content", "verbatim"),
    [
        (run_of(2), True),
        (run_of(2)[:-1], True),
        (b"", True),
        (line(t=5) + line(t=9, later=1), True),
        (run_of(1) + b"\n" + line(t=1), False),
        (run_of(2).replace(b"\n", b"\r\n"), False),
        (run_of(2) + line(t=0), False),
        (run_of(2)[:-9], False),
    ],
)
def test_a_file_is_verbatim_when_every_line_of_it_is_a_row(content: bytes, verbatim: bool) -> None:
    assert read(content)[0].verbatim is verbatim


# mc_runs.jsonl


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({}, []),
        ({"kill_tick": 3, "max_abs_q_tao": 1}, []),
        ({"later": 1}, []),
        ({"seed": 0}, []),
        ({"seed": 2.0**63}, []),
        ({"seed": 2**64}, [(1, "seed", "integer out of range: 18446744073709551616")]),
        ({"seed": -1}, [(1, "seed", "integer out of range: -1")]),
        ({"seed": 1.5}, [(1, "seed", "expected integer, got 1.5")]),
        ({"run_index": "0"}, [(1, "run_index", "expected integer, got string")]),
        ({"schema_version": 2}, [(1, "schema_version", "expected 1, got 2")]),
        ({"ticks_executed": MISSING}, [(1, "ticks_executed", "required field is missing")]),
        ({"kill_tick": "3"}, [(1, "kill_tick", "expected integer, got string")]),
    ],
)
def test_monte_carlo_runs_have_their_own_contract(edits: dict[str, Any], expected: Found) -> None:
    _, found = read(line(edits, MC_RUN), MC_RUNS)
    assert found == expected


def test_run_index_must_rise_and_a_shard_may_start_above_zero() -> None:
    ledger, found = read(b"".join(line(base=MC_RUN, run_index=i) for i in (8, 9, 9, 10)), MC_RUNS)
    assert found == [(3, "run_index", "9 is not above the previous 9")]
    assert (ledger.rows, ledger.first_index, ledger.last_index) == (3, 8, 10)
