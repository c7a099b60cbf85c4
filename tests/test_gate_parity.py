"""The contract gate, rule by rule: a good file and a bad one, one edit apart, through `check` and through `ingest`.

The rules are those of section 13 of the telemetry contract, and of section 14 for Monte Carlo runs.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paraphina_wh.sidecar import Sidecar, write_sidecar
from tests.conftest import Invoke
from tests.records import GOOD, MC_RUN, MISSING, edited, line, run_of


@dataclass(frozen=True)
class Pair:
    """A rule, a file that keeps it and one that breaks it; says: what is wrong, as `check` prints it."""

    rule: str
    good: bytes
    bad: bytes
    says: str
    name: str = "run.jsonl"

    @property
    def contract(self) -> str:
        return "mc_runs" if self.name == "mc_runs.jsonl" else "telemetry"

    def __str__(self) -> str:
        return f"{self.contract}: {self.rule}"


def second(rule: str, good: bytes, bad: bytes, says: str) -> Pair:
    """Return two runs of three ticks that differ in the second line."""
    return Pair(rule, line(t=0) + good + line(t=2), line(t=0) + bad + line(t=2), f"line 2: {says}")


def field(rule: str, name: str, good: Any, bad: Any, says: str) -> Pair:
    """Return such runs that differ in the value of one field."""
    return second(rule, line({"t": 1, name: good}), line({"t": 1, name: bad}), f"{name}: {says}")


def text(rule: str, old: str, good: str | bytes, bad: str | bytes, says: str) -> Pair:
    """Return such runs that differ in a piece of the text."""
    return second(rule, edited(old, good, t=1), edited(old, bad, t=1), says)


def runs(rule: str, good: dict[str, Any], bad: dict[str, Any], says: str) -> Pair:
    """Return two files of Monte Carlo runs that differ in the second."""
    first = line(base=MC_RUN, seed=1)
    lines = [line({"run_index": 1, **edits}, MC_RUN) for edits in (good, bad)]
    return Pair(rule, first + lines[0], first + lines[1], f"line 2: {says}", "mc_runs.jsonl")


_OUT_OF_INT64 = "integer out of range: 9223372036854775808"
_REGIMES = "expected one of HardLimit, Normal, Warning, got"
_AN_INTEGER = "expected integer, got"
_NOT_JSON = "record: not JSON: "
_SEED = {"seed": 2**64 - 1}
_PEAKS = ("max_abs_delta_usd", "max_abs_basis_usd", "max_abs_q_tao", "max_venue_toxicity")


def deep(value: Any) -> list[dict[str, Any]]:
    """Return exits with a value three levels down."""
    return [{"edge_components": {"vol_buffer": value}}]


def missing(name: str) -> Pair:
    return second(f"{name} is required", line(t=1), line({"t": 1, name: MISSING}), f"{name}: required field is missing")


# fmt: off
RULES = [
    # A line is a JSON object: RFC 8259 text in UTF-8.
    second("a record is an object", line(t=1), b"7" + line(t=1), _NOT_JSON + "Extra data at character 2"),
    second("an object is no array", line(t=1), b"[]\n", "record: expected object, got array"),
    text("a line is JSON", '"t":1,', '"t":1,', '"t":1', _NOT_JSON + "Expecting ',' delimiter at character 26"),
    text("no NaN", "1.5", "1.5", "NaN", _NOT_JSON + "NaN is not a JSON value"),
    text("no infinity", "1.5", "1e300", "1e400", "pnl_realised: number out of range"),
    text("UTF-8", '"None"', '"損"', b'"\xe9"', "record: not UTF-8: byte 142 is 0xe9"),
    text("no byte order mark", '{"sch', '{"sch', '\ufeff{"sch', _NOT_JSON + "starts with a byte order mark"),
    text("no key twice", '"t":1', '"t":1,"x":1', '"t":1,"t":1', "t: duplicate key"),
    text("text is text", '"None"', r'"\ud83d\ude00"', r'"\ud83d"', "kill_reason: string holds a lone surrogate"),

    # The required fields are present, and null is no value for them.
    *map(missing, list(GOOD)[:11]),
    field("a required number is no null", "pnl_total", 1.0, None, "expected number, got null"),
    field("a required text is no null", "kill_reason", "", None, "expected string, got null"),

    # The schema version is 1.
    field("schema version 1", "schema_version", 1, 2, "expected 1, got 2"),
    field("schema version as a number", "schema_version", 1.0, "1", 'expected 1, got "1"'),
    field("schema version is no boolean", "schema_version", 1, True, "expected 1, got boolean"),

    # Declared fields have their type.
    field("a number is no text", "pnl_realised", 0.5, "0.5", "expected number, got string"),
    field("a number may have no point, but is no boolean", "basis_usd", 1, True, "expected number, got boolean"),
    field("a boolean is no number", "kill_switch", False, 0, "expected boolean, got number"),
    field("a text is no number", "kill_reason", "StaleMarket", 7, "expected string, got number"),
    field("any kill reason, but a text", "kill_reason", "CosmicRay", False, "expected string, got boolean"),
    field("fair_value may be null, not a text", "fair_value", None, "null", "expected number, got string"),
    field("an optional boolean", "fv_available", None, "true", "expected boolean, got string"),
    field("an optional text", "execution_mode", "live", 1.5, "expected string, got number"),
    field("a list is no number", "venue_mid_usd", [], 0, "expected array, got number"),
    field("a list may hold null for a number", "venue_toxicity", [None, 0.5], {}, "expected array, got object"),
    second("elements have their type", line(t=1, venue_age_ms=[-1, 3.0]), line(t=1, venue_age_ms=[-1, 3.5]),
           f"venue_age_ms[1]: {_AN_INTEGER} 3.5"),
    second("texts in lists are no null", line(t=1, venue_status=["Stale"]), line(t=1, venue_status=[None]),
           "venue_status[0]: expected string, got null"),
    second("nested fields have their type", line(t=1, fills=[{"price": 1}]), line(t=1, fills=[{"price": "1"}]),
           "fills[0].price: expected number, got string"),
    second("three levels down", line(t=1, exits=deep(None)), line(t=1, exits=deep([])),
           "exits[0].edge_components.vol_buffer: expected number, got array"),
    field("a struct is no list", "kill_event", {}, [], "expected object, got array"),

    # Integers: 3.0 passes, 3.5 and true do not; 64 bits.
    field("an integer may be written 3.0", "kf_last_update_ms", 3.0, 3.5, f"{_AN_INTEGER} 3.5"),
    field("an integer is no boolean", "healthy_venues_used_count", 1, True, f"{_AN_INTEGER} boolean"),
    field("an integer is no text", "obs_version", 1, "1", f"{_AN_INTEGER} string"),
    field("64 bits", "kf_last_update_ms", 2**63 - 1, 2**63, _OUT_OF_INT64),

    # The regime.
    field("a regime is one of three", "risk_regime", "HardLimit", "hardlimit", f'{_REGIMES} "hardlimit"'),
    field("a regime is never null", "risk_regime", "Warning", None, f"{_REGIMES} null"),

    # The index rises.
    second("t rises", line(t=1), line(t=0), "t: 0 is not above the previous 0"),
    Pair("t lies above the previous valid one", line(t=0) + line(t=3) + line(t=4), line(t=0) + line(t=3) + line(t=2),
         "line 3: t: 2 is not above the previous 3"),
    field("t is no fraction", "t", 1, 1.5, f"{_AN_INTEGER} 1.5"),
    Pair("t may begin below 0", line(t=-5) + line(t=1), line(t="-5") + line(t=1), f"line 1: t: {_AN_INTEGER} string"),

    # What nobody declared passes; blank lines are no lines; what is cut off is a warning, at the end alone.
    second("unknown fields pass", line(t=1, x={"a": [1]}), line(t=1, x={"a": [1]}, basis_usd={}),
           "basis_usd: expected number, got object"),
    second("blank lines are skipped", b" \t\r\n" + line(t=1), b" \t.\n" + line(t=1),
           _NOT_JSON + "Expecting value at character 3"),
    Pair("only the last line may be cut off", run_of(3)[:-2], run_of(3)[:-2] + b"\n",
         f"line 3: {_NOT_JSON}Expecting ',' delimiter at character {len(line(t=2)) - 1}"),

    # Monte Carlo runs.
    *(runs(f"{name} is required", _SEED, {**_SEED, name: MISSING}, f"{name}: required field is missing")
      for name in MC_RUN if name != "kill_tick"),
    runs("a run needs no kill_tick", {"kill_tick": MISSING}, {"kill_tick": "3"}, f"kill_tick: {_AN_INTEGER} string"),
    runs("kill_tick may be null", {"kill_tick": None}, {"kill_tick": True}, f"kill_tick: {_AN_INTEGER} boolean"),
    runs("schema version 1", {}, {"schema_version": 0}, "schema_version: expected 1, got 0"),
    runs("a seed has 64 bits", _SEED, {"seed": 2**64}, "seed: integer out of range: 18446744073709551616"),
    runs("a seed is unsigned", {"seed": 0}, {"seed": -1}, "seed: integer out of range: -1"),
    runs("a seed may be written 7.0", {"seed": 7.0}, {"seed": 7.5}, f"seed: {_AN_INTEGER} 7.5"),
    runs("run_index rises", {"run_index": 8}, {"run_index": 0}, "run_index: 0 is not above the previous 0"),
    runs("run_index has 63 bits", {"run_index": 2**63 - 1}, {"run_index": 2**63}, f"run_index: {_OUT_OF_INT64}"),
    runs("kill_switch is a boolean", {"kill_switch": True}, {"kill_switch": 1},
         "kill_switch: expected boolean, got number"),
    runs("kill_reason is a text", {"kill_reason": "x"}, {"kill_reason": None},
         "kill_reason: expected string, got null"),
    runs("pnl_total is a number", {"pnl_total": 3}, {"pnl_total": "3"}, "pnl_total: expected number, got string"),
    runs("max_drawdown is a number", {"max_drawdown": 0}, {"max_drawdown": None},
         "max_drawdown: expected number, got null"),
    runs("ticks_executed is an integer", {"ticks_executed": 1e3}, {"ticks_executed": 1e-3},
         f"ticks_executed: {_AN_INTEGER} 0.001"),
    *(runs(f"{name} is a number", {name: 1}, {name: [1]}, f"{name}: expected number, got array") for name in _PEAKS),
    runs("unknown fields pass", {"later": "1"}, {"later": "1", "max_drawdown": "4"},
         "max_drawdown: expected number, got string"),
]
# fmt: on

ids = pytest.mark.parametrize("pair", RULES, ids=str)


@ids
def test_the_files_of_a_rule_are_one_edit_apart(pair: Pair) -> None:
    start = alike(pair.good, pair.bad)
    end = alike(pair.good[start:][::-1], pair.bad[start:][::-1])
    edit = max(len(pair.good), len(pair.bad)) - start - end
    assert 0 < edit < 40 or pair.rule == "an object is no array"


def alike(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts have in common at the start."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@ids
def test_check_accepts_the_good_file(pair: Pair, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / pair.name).write_bytes(pair.good)
    result = invoke("check", pair.name)
    assert result.stdout.startswith(f"OK: {_records(pair.good)} records in {pair.name} ({pair.contract}")
    assert result.exit_code == 0


@ids
def test_check_rejects_the_bad_file_and_says_where_and_why(pair: Pair, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / pair.name).write_bytes(pair.bad)
    result = invoke("check", pair.name)
    first, said = result.stdout.splitlines()
    assert first == f"FAILED: 1 errors in {pair.name}"
    assert said == pair.says
    assert result.exit_code == 1


def test_ingest_gives_the_same_verdict_on_every_file(invoke: Invoke, tmp_path: Path) -> None:
    # Rules may share a good file: it goes in once.
    files: dict[tuple[str, bytes], str] = {}
    for pair in RULES:
        for content in (pair.good, pair.bad):
            number = f"{len(files):03}"
            if files.setdefault((pair.name, content), number) == number:
                folder = tmp_path / "in" / number
                folder.mkdir(parents=True)
                (folder / (pair.name if pair.contract == "mc_runs" else f"{number}.jsonl")).write_bytes(content)
    result = invoke("ingest", "in", "--profile", "balanced", "--jobs", "1", "--format", "json")
    verdicts = {Path(row["file"]).parts[1]: row for row in json.loads(result.stdout)}
    assert len(verdicts) == len(files)
    for pair in RULES:
        good, bad = (verdicts[files[pair.name, content]] for content in (pair.good, pair.bad))
        assert good["status"] == "ingested", pair
        assert good["ticks"] == (_records(pair.good) if pair.contract == "telemetry" else 0), pair
        assert (bad["status"], bad["ticks"]) == ("rejected", 0), pair
        assert f"error: {bad['file']}: {pair.says.replace(': record: ', ': ')}\n" in result.stderr, pair
    assert result.exit_code == 1


def _records(content: bytes) -> int:
    """Return how many lines of a good file are whole and not blank."""
    return sum(bool(text.strip()) for text in content.splitlines()) - (not content.endswith(b"\n"))


# What is odd, and passes with a warning

ODD = {
    "a gap": (line(t=0) + line(t=2) + line(t=9), "2 gap(s) in the index"),
    "a late start": (line(t=7) + line(t=8), "the first index is 7, not 0"),
    "no newline at the end": (run_of(2)[:-1], "line 2: no newline at the end of the file"),
    "a cut-off last line": (run_of(3)[:-60], "line 3: cut off at the end of the file"),
    "carriage returns": (run_of(2).replace(b"\n", b"\r\n"), "lines end with CRLF or hold carriage returns"),
}


def test_what_is_odd_passes_with_the_same_warning(invoke: Invoke, tmp_path: Path) -> None:
    files = [tmp_path / f"balanced_r{n}.jsonl" for n in range(len(ODD))]
    for file, (content, _) in zip(files, ODD.values(), strict=True):
        file.write_bytes(content)
    checked, taken = invoke("check", "."), invoke("ingest", *(file.name for file in files))
    warnings = [f"warning: {file.name}: {text}" for file, (_, text) in zip(files, ODD.values(), strict=True)]
    assert checked.stdout.splitlines() == [
        f"OK: {records} records in {file.name} (telemetry)"
        for file, records in zip(files, (3, 2, 2, 2, 2), strict=True)
    ]
    assert (checked.stderr.splitlines(), checked.exit_code) == (warnings, 0)
    assert (taken.stderr.splitlines()[:5], taken.exit_code) == (warnings, 0)


def test_an_empty_file_passes_the_gate_and_holds_nothing_to_take_in(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "balanced_r1.jsonl").touch()
    checked, taken = invoke("check", "balanced_r1.jsonl"), invoke("ingest", "balanced_r1.jsonl")
    assert checked.stdout == "OK: 0 records in balanced_r1.jsonl (telemetry)\n"
    assert checked.stderr == "warning: balanced_r1.jsonl: the file holds no record\n"
    assert taken.stderr.startswith("error: balanced_r1.jsonl: no complete record in the file\n")
    assert (checked.exit_code, taken.exit_code) == (0, 1)


# Names, folders, exit codes

GOOD_RUNS, BAD = line(base=MC_RUN), b"{}\n"
# name -> content, the first line of the answer, exit code
NAMES = {
    "telemetry.jsonl": (run_of(1), "OK: 1 records in {} (telemetry)", 0),
    "mc_runs.jsonl": (GOOD_RUNS, "OK: 1 records in {} (mc_runs)", 0),
    "anything.jsonl": (run_of(1), "OK: 1 records in {} (telemetry)", 0),
    "my_mc_runs.jsonl": (GOOD_RUNS, "FAILED: 7 errors in {}", 1),
    "mc_runs_2.jsonl": (GOOD_RUNS, "FAILED: 7 errors in {}", 1),
    "notes.txt": (run_of(1), "OK: 1 records in {} (telemetry)", 0),
    "metrics.jsonl": (run_of(1), "FAILED: 1 errors in {}", 2),
    "trajectories.jsonl": (run_of(1), "FAILED: 1 errors in {}", 2),
    "my_metrics.jsonl": (run_of(1), "OK: 1 records in {} (telemetry)", 0),
    "telemetry.jsonl.gz": (gzip.compress(run_of(1)), "OK: 1 records in {} (telemetry)", 0),
    "mc_runs.jsonl.gz": (gzip.compress(GOOD_RUNS), "OK: 1 records in {} (mc_runs)", 0),
    "metrics.jsonl.gz": (gzip.compress(run_of(1)), "FAILED: 1 errors in {}", 2),
    "MC_RUNS.JSONL": (GOOD_RUNS, "FAILED: 7 errors in {}", 1),
    "mc_runs.JSONL": (GOOD_RUNS, "OK: 1 records in {} (mc_runs)", 0),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_says_which_schema_holds(name: str, invoke: Invoke, tmp_path: Path) -> None:
    content, says, code = NAMES[name]
    (tmp_path / name).write_bytes(content)
    result = invoke("check", name)
    assert (result.stdout.splitlines()[0], result.exit_code) == (says.format(name), code)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, 0),
        ({"notes.txt": BAD, "table.csv": BAD}, 0),
        ({"a.jsonl": run_of(1), "deep/b.jsonl": run_of(2)}, 0),
        ({"a.jsonl": run_of(1), "deep/b.jsonl": BAD}, 1),
        ({"deep/mc_runs.jsonl": GOOD_RUNS}, 0),
        ({"deep/mc_runs.jsonl": run_of(1)}, 1),
        ({"a.jsonl": run_of(1), "metrics.jsonl": run_of(1)}, 2),
        ({"a.jsonl": BAD, "metrics.jsonl": run_of(1)}, 2),
        ({"a.jsonl.gz": run_of(1)}, 0),
        ({"a.jsonl.gz": gzip.compress(run_of(1))[:-5]}, 0),
        ({"a.jsonl.gz": gzip.compress(run_of(1))[:-8] + b"\1" * 8}, 1),
    ],
)
def test_a_folder_is_as_good_as_the_worst_of_its_files(
    files: dict[str, bytes], code: int, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "in" / name).write_bytes(content)
    assert invoke("check", "in").exit_code == code


@pytest.mark.parametrize(
    "arguments", [("nowhere.jsonl",), ("a.jsonl", "nowhere"), ("--max-errors", "-1", "a.jsonl"), ("--what", "a.jsonl")]
)
def test_a_missing_path_and_wrong_usage_exit_2_before_anything_is_read(
    arguments: tuple[str, ...], invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(BAD)
    result = invoke("check", *arguments)
    assert (result.stdout, result.exit_code) == ("", 2)
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("errors", [10, 11, 30])
def test_the_first_ten_errors_are_shown_and_all_counted(errors: int, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "balanced_r1.jsonl").write_bytes(b"".join(line(t=t, basis_usd="x") for t in range(errors)) + line(t=99))
    says = [f"line {n}: basis_usd: expected number, got string" for n in range(1, min(errors, 10) + 1)]
    checked = invoke("check", "balanced_r1.jsonl").stdout.splitlines()
    more = [f"... and {errors - 10} more"] if errors > 10 else []
    assert checked == [f"FAILED: {errors} errors in balanced_r1.jsonl", *says, *more]
    taken = invoke("ingest", "balanced_r1.jsonl").stderr.splitlines()
    more = [f"error: balanced_r1.jsonl: and {errors - 10} more"] if errors > 10 else []
    assert taken[: len(says) + len(more)] == [*(f"error: balanced_r1.jsonl: {text}" for text in says), *more]


@pytest.mark.parametrize("most", [0, 1, 3, 4, 100])
def test_as_many_errors_are_shown_as_asked_for(most: int, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(line(t=0, pnl_total=None, basis_usd="x") + b"{\n" + line(t=None))
    says = [
        "line 1: pnl_total: expected number, got null",
        "line 1: basis_usd: expected number, got string",
        "line 2: record: not JSON: Expecting property name enclosed in double quotes at character 2",
        "line 3: t: expected integer, got null",
    ]
    shown = invoke("check", "--max-errors", str(most), "run.jsonl").stdout.splitlines()
    more = [f"... and {4 - most} more"] if most < 4 else []
    assert shown == ["FAILED: 4 errors in run.jsonl", *says[:most], *more]


def test_what_was_wrong_before_the_damage_is_shown_too(invoke: Invoke, tmp_path: Path) -> None:
    packed = gzip.compress(line(t=0, basis_usd="x") * 2 + run_of(2000))
    (tmp_path / "run.jsonl.gz").write_bytes(packed[:-8] + b"\1" * 8)
    assert invoke("check", "run.jsonl.gz").stdout.splitlines()[:3] == [
        "FAILED: 3 errors in run.jsonl.gz",
        "run.jsonl.gz: the gzip data is damaged (Error -3 while decompressing data: incorrect data check)",
        "line 1: basis_usd: expected number, got string",
    ]


def test_endings_in_capitals_are_endings_for_ingest_too(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "balanced_r1.JSONL").write_bytes(run_of(1))
    (tmp_path / "in" / "balanced_r2.Jsonl.GZ").write_bytes(gzip.compress(run_of(2)))
    (tmp_path / "in" / "c.JSONL.gz").write_bytes(gzip.compress(run_of(3)))
    sidecar = Sidecar(experiment="e", run_name="c", plan_key="p", profile="aggressive", label="by sidecar")
    write_sidecar(tmp_path / "in" / "c.JSONL.gz", sidecar)
    invoke("ingest", "in")
    result = invoke("query", "SELECT profile, label, rows FROM runs ORDER BY rows", "--format", "csv")
    assert result.stdout == (
        "profile,label,rows\nbalanced,exp13_balanced_r001,1\nbalanced,exp13_balanced_r002,2\naggressive,by sidecar,3\n"
    )
