"""The strict reader: what it accepts, what it rejects and where, and that every byte is accounted for.

Every bad line is a good one with one edit.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paraphina_wh.telemetry.judge import judge
from paraphina_wh.telemetry.reader import MAX_LINE_BYTES, BadLine, Ledger, Sinks, read_strict
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
    "an endless integer": (edited("1.5", "9" * 5000, t=1), "pnl_realised", "number out of range"),
    "a number beyond double, undeclared": (edited("1.5", '1.5,"x":[1e999]', t=1), "x[0]", "number out of range"),
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
    "100 kB of nesting": (edited('"t":1', '"t":1,"x":' + "[" * 50_000 + "]" * 50_000, t=1), "", "nested too deeply"),
    "100 kB of nesting, not closed": (b"[" * 100_000 + b"\n", "", "nested too deeply"),
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
    "40 MB on one line": line(t=1, later="x" * 40_000_000),
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


def test_utf_16_is_rejected_line_by_line() -> None:
    ledger, found = read("".join(run_of(2).decode()).encode("utf-16"))
    assert (ledger.rows, ledger.quarantined) == (0, 3)
    assert found[0] == (1, "", "not UTF-8: byte 1 is 0xff")


def test_a_binary_file_is_rejected() -> None:
    content = bytes(range(256)) * 40
    ledger, found = read(content)
    assert ledger.rows == 0
    assert {field for _, field, _ in found} == {""}


def test_a_line_beyond_the_limit_is_rejected_and_reading_goes_on() -> None:
    long = line(t=1, later="x" * 5000)
    ledger, found = read(line(t=0) + long + line(t=2), max_line_bytes=2000)
    assert found == [(2, "", "longer than the limit of 2000 bytes")]
    assert (ledger.rows, ledger.quarantined_bytes, ledger.longest_line) == (2, len(long), len(long) - 1)


def test_unknown_fields_are_counted_by_path_and_their_values_kept() -> None:
    extras: list[tuple[int, str]] = []
    content = line(t=0) + line(t=1, new=1, fills=[{"rank": 1}, {"rank": "a"}]) + line(t=2, new=None)
    ledger = read_strict(io.BytesIO(content), TICKS, Sinks(extra=lambda t, text: extras.append((t, text))))
    assert extras == [(1, '{"fills[0].rank":1,"fills[1].rank":"a","new":1}'), (2, '{"new":null}')]
    assert {path: (u.first_line, u.count, u.types) for path, u in ledger.unknown.items()} == {
        "fills[].rank": (2, 1, {"number", "string"}),
        "new": (2, 2, {"number", "null"}),
    }


def test_the_clean_copy_holds_the_rows_alone() -> None:
    clean = io.BytesIO()
    content = line(t=0)[:-1] + b"\r\n\n" + line(t=0) + line(t=1)[:-1]
    read_strict(io.BytesIO(content), TICKS, Sinks(clean=clean))
    assert clean.getvalue() == line(t=0)[:-1] + b" \n" + line(t=1)


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


# Properties

_PIECES = st.sampled_from([line(t=1), line(t=1, later=1), line(pnl_total=None), b"{\n", b"\n", b" \r\n", b"\xff\n"])


@settings(max_examples=200, deadline=None)
@given(st.lists(_PIECES, max_size=12), st.binary(max_size=20))
def test_lines_and_bytes_always_add_up(pieces: list[bytes], tail: bytes) -> None:
    content = b"".join(pieces) + tail
    ledger, _ = read(content)
    assert ledger.lines == content.count(b"\n") + (not content.endswith(b"\n") and content != b"")


_BASE = line(t=1)[:-1]
_MARKS = st.sampled_from([b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b"1", b"-", b".", b"e", b"0", b" ", b"\r"])
_BYTES = _MARKS | st.integers(0, 255).map(lambda n: bytes([n])).filter(lambda b: b != b"\n")


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(_BASE)), st.integers(0, 3), st.lists(_BYTES, max_size=3).map(b"".join))
@example(0, 0, b"\xef\xbb\xbf")
def test_the_fast_and_the_slow_path_agree_on_any_edit_of_the_text(at: int, cut: int, put: bytes) -> None:
    _assert_paths_agree(_BASE[:at] + put + _BASE[at + cut :])


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["Normal", "None"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_KEYS = st.sampled_from([*GOOD, "later", ""])


@settings(max_examples=500, deadline=None)
@given(_KEYS, _VALUES)
def test_the_fast_and_the_slow_path_agree_on_any_value_of_any_field(key: str, value: Any) -> None:
    _assert_paths_agree(json.dumps(record({key: value})).encode())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["fills", "exits", "orders", "treasury_guidance"]), _KEYS, _VALUES)
def test_the_fast_and_the_slow_path_agree_below_the_top_level(field: str, key: str, value: Any) -> None:
    part = {"price": 1.0, key: value}
    _assert_paths_agree(json.dumps(record({field: part if field == "treasury_guidance" else [part]})).encode())


def _assert_paths_agree(text: bytes) -> None:
    verdict = judge(text, TICKS)
    ledger = read_strict(io.BytesIO(text + b"\n"), TICKS, find_duplicates=True)
    assert ledger.rows == (not verdict.breaches and text.strip() != b"")


_TOKENS = st.sampled_from([*"{}[],: \t\\", '"a"', '"b"', "1", "-0.5e3", "01", "1.", "true", "null", "NaN", "'a'"])


@settings(max_examples=500, deadline=None)
@given(st.lists(_TOKENS, max_size=8).map("".join) | _VALUES.map(json.dumps))
def test_what_counts_as_json_is_what_a_strict_json_parser_takes(value: str) -> None:
    text = f'{{"later":{value},{json.dumps(record())[1:]}'
    accepted = read_strict(io.BytesIO(text.encode() + b"\n")).rows == 1
    assert accepted == _is_strict_json(text)


def _is_strict_json(text: str) -> bool:
    """Judge by Python's parser alone: no NaN, no infinity, no key twice, no lone surrogate."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=distinct)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    # A piece such as `1,"t":5` is JSON, but another record.
    return all(value.get(name) == wanted for name, wanted in GOOD.items())
