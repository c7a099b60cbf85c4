"""Hostile names and text: what a warehouse takes it gives back, the rest it refuses; a terminal is never steered."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from paraphina_wh.cli import main
from paraphina_wh.cli.progress import progress
from paraphina_wh.errors import WarehouseError
from paraphina_wh.escape import markdown_text, printable
from paraphina_wh.presets.csv_table import read_table
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse, hive_folder, locate
from tests.conftest import Invoke, Report
from tests.nasty_strings import FAMILIES, NULL_FOLDER, STRINGS, SURROGATES, is_unicode, why_no_key
from tests.records import MC_RUN, line, run_of
from tests.telemetry_maker import ask, files_below, ingest, sidecar, verdicts, write
from tests.torture.figures import Figure
from tests.torture.names import ATTACK, READERS, by_our_views, deal, extra_of, record_of, take_in

TEXTS = [text for text in STRINGS if is_unicode(text)]
# Clears a screen, turns the direction of reading, hides, and breaks lines, tables and HTML.
HOSTILE = "a\x1b[2J\u202e\u200b\u3164|<b>*\n\x9b2J\x85z"


def test_the_list_is_long_and_has_every_family() -> None:
    assert len(STRINGS) >= 500
    assert len(set(STRINGS)) == len(STRINGS)
    assert {"A", "a", "a ", "\u00e9", "e\u0301", "..", NULL_FOLDER, "\x00", *SURROGATES} <= set(STRINGS)


# --- round trips ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with one run: tick number i holds string number i wherever a tick can hold one."""
    warehouse = locate(tmp_path_factory.mktemp("fields"))
    # Half of the lines as they are, half with escapes.
    lines = (json.dumps(record_of(t, text), ensure_ascii=bool(t % 2)) for t, text in enumerate(TEXTS))
    write(warehouse.root / "fields.jsonl", "".join(f"{text}\n" for text in lines))
    (outcome,) = ingest(warehouse, warehouse.root / "fields.jsonl", profile="balanced")
    assert (outcome.status, outcome.ticks) == ("ingested", len(TEXTS))
    return warehouse


def lost_in_fields(warehouse: Warehouse) -> Iterator[str]:
    """Yield the strings that some reader does not give back from the fields of a record."""
    for read in READERS:
        found = {row[0]: (row[3], row[4]) for row in read(warehouse)}
        yield from (text for t, text in enumerate(TEXTS) if found.get(t) != (text, extra_of(text)))
    stored = dict(ask(warehouse, "SELECT t, [config_version_id, fills[1].venue_id] FROM ticks"))
    yield from (text for t, text in enumerate(TEXTS) if stored.get(t) != [text, text])


def lost_in_folders(warehouse: Warehouse) -> Iterator[str]:
    """Yield the strings that some reader does not give back from the names of folders, and those wrongly refused."""
    kept = {}
    for t, text in enumerate(STRINGS):
        refusal = why_no_key("profile", text) or why_no_key("label", text)
        try:
            file = warehouse.ticks_file(text, text, str(t))
        except WarehouseError as error:
            if refusal is None or refusal not in error.message or not error.hint or error.exit_code != 2:
                yield text
            continue
        if refusal is not None:
            yield text
        file.parent.mkdir(parents=True)
        pq.write_table(pa.table({"t": [t], "kill_reason": [text], "extra": [""]}), file)
        kept[t] = (t, text, text, text)
    for read in READERS:
        if read is not by_our_views:  # they show what the ledger knows of, see below
            found = {row[0]: tuple(row[:4]) for row in read(warehouse)}
            yield from (STRINGS[t] for t, row in kept.items() if found.pop(t, None) != row)
            assert not found


def test_every_string_comes_back_from_fields_and_folder_names_or_is_refused(
    fields: Warehouse, tmp_path: Path, report: Report
) -> None:
    lost = {*lost_in_fields(fields), *lost_in_folders(locate(tmp_path))}
    assert lost == set()
    report(Figure(ATTACK, len(STRINGS), len(STRINGS) - len(lost), "strings"))


def test_runs_of_every_family_come_back_from_all_places_at_once(tmp_path: Path) -> None:
    """The long form does this with every string, and with strings made of several."""
    some = [text for family in FAMILIES.values() for text in family[:: max(1, len(family) // 2)]]
    assert list(take_in(tmp_path, deal(list(dict.fromkeys(some)), random.Random(1), experiments=3))) == []


@pytest.mark.parametrize(
    "pair", [("A", "a"), ("\u00e9", "e\u0301"), ("\u212b", "\u00c5"), ("a", "a "), ("NULL", "null"), ("a/b", "a%2Fb")]
)
def test_labels_that_look_alike_stay_two(pair: tuple[str, str]) -> None:
    assert len({hive_folder("label", text) for text in pair}) == 2


def test_half_a_character_is_a_breach_wherever_it_stands(warehouse: Warehouse) -> None:
    good = line(t=0)
    bad = [json.dumps(record_of(t, text)).encode() + b"\n" for t, text in enumerate(SURROGATES, 1)]
    write(warehouse.root / "in.jsonl", good + b"".join(bad))
    (outcome,) = ingest(warehouse, warehouse.root / "in.jsonl", profile="balanced", on_error="quarantine")
    assert (outcome.verdict, outcome.ticks) == (f"quarantined {len(SURROGATES)}", 1)
    assert all("lone surrogate" in text for text in outcome.errors)
    kept = [json.loads(text) for text in next(warehouse.quarantine.iterdir()).read_text().splitlines()]
    assert [entry["raw"].encode() + b"\n" for entry in kept] == bad


def test_datasets_and_monte_carlo_runs_give_every_string_back(warehouse: Warehouse) -> None:
    names = ("label", "profile", "notes", "telemetry_path", "experiment", "engine", "timestamp_utc")
    rows = [{"final_pnl": 1.0, "max_drawdown": 0.5} | dict.fromkeys(names, text) for text in TEXTS]
    write(warehouse.root / "study.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    runs = (line({"run_index": number, "kill_reason": text}, base=MC_RUN) for number, text in enumerate(TEXTS))
    write(warehouse.root / "mc_runs.jsonl", b"".join(runs))
    report = ingest(warehouse, warehouse.root / "study.jsonl", warehouse.root / "mc_runs.jsonl", new_profile=True)
    assert {outcome.status for outcome in report} == {"ingested"}
    found = ask(warehouse, f"SELECT {', '.join(names)} FROM dataset_rows ORDER BY line_no")
    assert found == [(text,) * len(names) for text in TEXTS]
    assert ask(warehouse, "SELECT kill_reason FROM mc_runs ORDER BY run_index") == [(text,) for text in TEXTS]


def test_tables_of_runs_give_every_string_back_as_a_label(warehouse: Warehouse) -> None:
    """What looks like a number or a boolean becomes one: a cell has no type. White space around it does not count."""
    texts = [text for text in TEXTS if text.strip(" \t\n\r\xa0") and text not in FAMILIES["numbers"]]
    with (warehouse.root / "exp99_runs.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(["profile", "tag", "pnl_realised", "pnl_unrealised", "pnl_total", "kill_switch"])
        writer.writerows(["balanced", text, 1.0, 2.0, 3.0, False] for text in texts)
    (outcome,) = ingest(warehouse, warehouse.root / "exp99_runs.csv")
    assert (outcome.status, outcome.errors) == ("ingested", [])
    found = [
        json.loads(text).get("tag") for (text,) in ask(warehouse, "SELECT label_json FROM runs ORDER BY source_row")
    ]
    told = [text.strip(" \t\n\r\xa0") for text in texts]
    assert [text for text in found if isinstance(text, str)] == [text for text in told if text not in ("0", "1", "2")]


def in_root(root: Path, *args: str | Path) -> Result:
    return CliRunner().invoke(main, ["--root", str(root), *map(str, args)], prog_name="paraphina-wh")


def test_data_printed_for_programs_is_exact(fields: Warehouse, tmp_path: Path) -> None:
    query = "SELECT kill_reason AS s FROM ticks ORDER BY t"

    def printed(style: str) -> str:
        return in_root(fields.root, "query", query, "--format", style).stdout_bytes.decode()

    rows = list(csv.reader(io.StringIO(printed("csv"), newline="")))
    assert [cell for row in rows[1:] for cell in row] == TEXTS
    assert [row["s"] for row in json.loads(printed("json"))] == TEXTS
    assert [json.loads(text)["s"] for text in printed("jsonl").split("\n")[:-1]] == TEXTS
    assert in_root(fields.root, "query", query, "-o", tmp_path / "s.parquet").exit_code == 0
    assert pl.read_parquet(tmp_path / "s.parquet")["s"].to_list() == TEXTS


def test_experiments_of_any_name_are_exported_below_root_alone(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "ROOT"
    names = ["x" * 244, "../../up", "..", "/abs"]
    for number, name in enumerate(names):
        write(root / "in" / f"{number}.jsonl", line(t=0))
        sidecar(root / "in" / str(number), label=str(number), experiment=name)
    (root / "warehouse" / "experiments").mkdir(parents=True)
    assert in_root(root, "ingest", root / "in").exit_code == 0
    done = in_root(root, "export", "runs")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, len(names))
    assert [path.name for path in tmp_path.rglob("*.csv") if not path.is_relative_to(root / "runs")] == []
    assert [path.name for path in (tmp_path, tmp_path / "deep") if len([*path.iterdir()]) != 1] == []


# --- names of files -------------------------------------------------------------------------------------------------


def test_a_file_name_that_is_a_glob_means_this_file_alone(warehouse: Warehouse) -> None:
    """Equal lengths: the wrong file would show by its content alone. A backslash in front stops DuckDB's own globs."""
    names = ["[a]", "a", "a?", "ab", "*", "**", "?", "[!a]", "{a,b}", "[", "\\u0041", "\\\\host\\x", "a[0-9]", "a1"]
    for name in names:
        write(warehouse.root / "in" / f"{name}.jsonl", line(t=0, kill_reason=name))
    assert set(verdicts(ingest(warehouse, warehouse.root / "in", profile="balanced")).values()) == {"ingested"}
    assert sorted(ask(warehouse, "SELECT label, kill_reason FROM ticks")) == sorted(zip(names, names, strict=True))


def test_folders_named_key_value_leave_every_kind_of_file_alone(warehouse: Warehouse) -> None:
    """DuckDB, and many other readers, would take such folders for columns."""
    odd = warehouse.root / "t=5/risk_regime=Warning/pnl_total=oops/run_index=9/c0=x/line=7"
    table = "run,profile,final_pnl,max_drawdown\n1,balanced,1.5,2\n"
    write(odd / "balanced_r1.jsonl", run_of(3))
    write(odd / "balanced_r2.jsonl", b"".join(line(t=t, later=t) for t in range(3)) + b"{bad}\n")
    write(odd / "mc_runs.jsonl", line(base=MC_RUN) + line(base=MC_RUN, run_index=1, later=1) + b"{bad}\n")
    write(odd / "runs.csv", table)
    write(odd / "presets.csv", "a,b\n1,2\n")
    report = ingest(warehouse, *map(str, sorted(odd.glob("[bmr]*"))), on_error="quarantine")
    assert [outcome.status for outcome in report] == ["ingested", "quarantined", "quarantined", "ingested"]
    ticks = "SELECT list(t ORDER BY t), min(risk_regime), max(pnl_total) FROM ticks GROUP BY label ORDER BY label"
    assert ask(warehouse, ticks) == [([0, 1, 2], "Normal", 1.0)] * 2
    assert ask(warehouse, "SELECT run_index, extra FROM mc_runs ORDER BY run_index") == [(0, None), (1, '{"later":1}')]
    assert ask(warehouse, "SELECT final_pnl FROM runs WHERE telemetry_path IS NULL") == [(1.5,)]
    assert [number for lines in read_lines(warehouse) for number in lines] == [3, 4]
    assert read_table(odd / "presets.csv", "").cells.rows() == [("1", "2")]


def read_lines(warehouse: Warehouse) -> list[list[int]]:
    """Return the numbers of the lines that were put aside, by file."""
    return sorted(
        [entry["line"] for entry in map(json.loads, file.read_text().splitlines())]
        for file in warehouse.quarantine.glob("*.jsonl")
    )


def test_a_warehouse_whose_path_is_a_glob_does_not_reach_its_neighbour(tmp_path: Path) -> None:
    for folder, reason in (("w1", "there"), ("w[1]", "here")):
        (tmp_path / folder).mkdir()
        warehouse = locate(tmp_path / folder)
        write(warehouse.root / "x.jsonl", line(t=0, kill_reason=reason, zz=1))
        ingest(warehouse, warehouse.root / "x.jsonl", profile="balanced")
        assert ask(warehouse, "SELECT t.kill_reason, r.rows FROM ticks t JOIN runs r USING (run_id)") == [(reason, 1)]


def test_a_name_that_is_no_text_turns_down_its_file_alone(invoke: Invoke, tmp_path: Path) -> None:
    for name in (b"a\xff.jsonl", b"b.jsonl"):
        write(tmp_path / "in" / os.fsdecode(name), run_of(1))
    done = invoke("ingest", *sorted((tmp_path / "in").iterdir()), "--profile", "balanced", "--format", "csv")
    assert [row[2] for row in csv.reader(io.StringIO(done.stdout))] == ["status", "rejected", "ingested"]
    assert "the name is not UTF-8\nhint: rename the file or its folder\n" in done.stderr
    assert done.exit_code == 1
    done = invoke("check", *sorted((tmp_path / "in").iterdir()))
    assert (done.stdout.count("OK: 1 records"), "a\\xff.jsonl" in done.stdout, done.exit_code) == (2, True, 0)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["label", "profile", "experiment"])
def test_what_can_be_no_key_is_refused_before_anything_is_written(invoke: Invoke, tmp_path: Path, key: str) -> None:
    write(tmp_path / "balanced_r1.jsonl", run_of(1))
    before = files_below(tmp_path)
    refused = [text for text in STRINGS if why_no_key(key, text)]
    assert len(refused) > 10
    for text in refused:
        done = invoke("ingest", "balanced_r1.jsonl", f"--{key}", text)
        reason = why_no_key(key, text) if is_unicode(text) else "not UTF-8"
        assert (str(reason) in done.stderr, done.exit_code, done.stdout) == (True, 2, ""), ascii(text)
        assert done.stderr.startswith("error: ")
        assert "\nhint: " in done.stderr
    assert files_below(tmp_path) == before


UNDECODABLE = "a\udcff\x1b[2J"


@pytest.mark.parametrize(
    "arguments",
    [
        *(["forget", "X"], ["forget", "--label", "X"], ["rerun", "X"], ["rerun", "--experiment", "X"], ["X"]),
        *(["summary", "--dataset", "X"], ["summary", "--profile", "X"], ["summary", "--label-contains", "X"]),
        *(["ingest", "X"], ["ingest", "x.jsonl", "--label-prefix", "X"], ["check", "X"], ["schema", "X"]),
        *(["query", "X"], ["query", "-f", "X"], ["query", "SELECT 1", "-o", "X.csv"], ["query", "--memory", "X", "x"]),
        *(["--root", "X", "status"], ["--warehouse", "X", "status"], ["status", "--format", "X"], ["status", "--X"]),
        *(["export", "X"], ["export", "runs", "--experiment", "X"], ["export", "dataset", "--dataset", "X"]),
        *(["run", "X"], ["run", "X.toml"], ["run", "--new", "X"], ["run", "exp07", "--runs-csv", "X"]),
        *(["run", "exp13", "--set", "X=1"], ["run", "exp13", "--set", "VOL_REF=X"], ["run", "exp13", "--engine", "X"]),
        *(["run", "exp11", "--out-dir", "X"], ["dataset", "seal", "X"], ["dataset", "diff", "X", "b"]),
    ],
    ids=" ".join,
)
def test_an_argument_that_is_no_text_is_wrong_usage(invoke: Invoke, tmp_path: Path, arguments: list[str]) -> None:
    done = invoke(*(text.replace("X", UNDECODABLE) for text in arguments))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("\n")
    assert "\\x1b[2J" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_undecodable_bytes_reach_a_real_process_as_wrong_usage(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m paraphina_wh forget $'a\\xff'"
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: Invalid value for '[RUN]...': not UTF-8: a\\xff",
    )


# --- terminals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 \u640d \U0001f600", "plain \u00e9 \u640d \U0001f600"),
        ("\x00\t\x7f\x9b\x85", "\\x00\\t\\x7f\\x9b\\x85"),
        ("\u202e\u2066\u200f\u061c", "\\u202e\\u2066\\u200f\\u061c"),
        ("\u200b\u2060\ufeff\u00ad\u00a0\u2028", "\\u200b\\u2060\\ufeff\\xad\\xa0\\u2028"),
        ("\u3164\u115f\u2800\ufe0f\u034f", "\\u3164\\u115f\\u2800\\ufe0f\\u034f"),
        ("\U000e0100\U000e0041", "\\U000e0100\\U000e0041"),
        ("\udcff\ud800", "\\xff\\ud800"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_string_of_the_list_keeps_what_cannot_be_seen() -> None:
    for text in STRINGS:
        assert printable(text).isprintable()
        assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("exp13_balanced_r001", "exp13_balanced_r001"),
        ("-1.5", "-1.5"),
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("<b>&amp;", "&lt;b>&amp;amp;"),
        ("[x](javascript:y) ![z](w)", "\\[x\\](javascript:y) !\\[z\\](w)"),
        ("*a* `b` ~~c~~ _d_ e_f", "\\*a\\* \\`b\\` \\~\\~c\\~\\~ \\_d\\_ e_f"),
        ("a\n# b", "a\\\\n# b"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ROOT whose every name and text is hostile: two runs of one label, a dataset, and a file that is bad."""
    root = tmp_path_factory.mktemp("hostile")
    for number in range(2):
        base = root / "in" / f"{HOSTILE}{number}"
        write(base.with_name(f"{base.name}.jsonl"), line({"kill_reason": HOSTILE, HOSTILE: HOSTILE}, t=0))
        keys = {"label": HOSTILE, "profile": f"{HOSTILE}{number}", "experiment": HOSTILE, "run_name": HOSTILE}
        sidecar(base, **keys, knobs={HOSTILE: "x"}, error=HOSTILE, command=[HOSTILE], engine_path=HOSTILE)
    write(root / "in" / f"{HOSTILE}bad.jsonl", line({"t": HOSTILE}) + f'{{"{HOSTILE[0]}":'.encode())
    write(root / "in" / f"{HOSTILE}.gone.jsonl", line(t=0) + f"{HOSTILE[:10]}\n".encode() + line(t=1))
    write(root / "in" / f"{HOSTILE}.csv", f"{HOSTILE},x\n1,2\n")
    write(root / f"{HOSTILE}.toml", 'name = "x"\nabout = "x"\nmode = "stdout"\nlabels = ["profile", "repeat"]\n')
    return root


def shown_by(root: Path, *args: str | Path) -> str:
    """Run a command and return all it prints: not one character of it may be unseen."""
    done = in_root(root, *args)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    text = done.stdout + done.stderr
    assert {c for c in text if c != "\n" and printable(c) != c} == set(), args
    return text


def test_no_command_hands_control_characters_to_a_terminal(hostile: Path) -> None:
    escaped = "a\\x1b[2J\\u202e\\u200b\\u3164|<b>*\\n\\x9b2J\\x85z"
    steps: Sequence[tuple[str | Path, ...]] = (
        ("check", hostile / "in"),
        ("ingest", hostile / "in", "--new-profile"),
        ("ingest", hostile / "in", "--format", "markdown", "--on-error", "quarantine", "--new-profile"),
        ("quarantine", "list"),
        ("quarantine", "show", "--label", f"{HOSTILE}.gone"),
        ("check",),
        ("drift",),
        ("export", "dataset", "--allow-mixed"),
        ("status",),
        ("status", "--format", "markdown"),
        ("summary",),
        ("query", f'SELECT label, kill_reason AS "{HOSTILE}" FROM ticks'),
        ("query", f"SELECT '{HOSTILE}'::INTEGER FROM runs"),
        ("query", f'SELECT "{HOSTILE}" FROM runs'),
        ("dataset", "list"),
        ("dataset", "diff", HOSTILE, "v001"),
        ("rerun", HOSTILE),
        ("rerun", "--experiment", HOSTILE),
        ("run", "exp11", "--format", "table"),
        ("run", HOSTILE),
        ("run", hostile / f"{HOSTILE}.toml", "--help"),
        ("run", "exp13", "--dry-run", "--engine", "reference", "--label-prefix", HOSTILE, "--runs-per-profile", "1"),
        ("schema", HOSTILE),
        ("--debug", "ingest", HOSTILE),
        (HOSTILE,),
        ("status", f"--{HOSTILE}"),
        ("--root", HOSTILE, "status"),
        ("forget", "--label", HOSTILE),
        ("forget", HOSTILE),
    )
    said = {args: shown_by(hostile, *args) for args in steps}
    for args in (("check", hostile / "in"), ("status",), ("dataset", "list"), ("rerun", HOSTILE), ("run", HOSTILE)):
        assert escaped in said[args], args
    assert "a\\\\x1b\\[2J" in said["status", "--format", "markdown"]


def test_progress_names_nothing_that_steers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("paraphina_wh.cli.progress.LINE_EVERY_S", -1)
    with progress(3, label=HOSTILE) as bar:
        bar.advance()
    assert capsys.readouterr().err.startswith("a\\x1b[2J")


def test_a_table_on_a_terminal_is_escaped_too(hostile: Path) -> None:
    ours, theirs = pty.openpty()
    query = ["query", "SELECT 'x' || chr(27) || ']52;c;eA==' || chr(7) || chr(8238) AS s, '[red]y[/]' AS t"]
    with subprocess.Popen(
        [sys.executable, "-m", "paraphina_wh", *query],
        cwd=hostile,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"NO_COLOR": "1", "TERM": "dumb"},
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):
            while piece := os.read(ours, 65536):
                shown += piece
    os.close(ours)
    text = shown.decode()
    assert (process.returncode, "x\\x1b]52;c;eA==\\x07\\u202e" in text, "[red]y[/]" in text) == (0, True, True)
    assert not set(text) & {"\x07", "\u202e"}
    assert "\x1b]" not in text


# --- spreadsheets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *((f"{sign}1", f'"\'{sign}1"') for sign in "=+-@\uff1d\uff0b\uff0d\uff20"),
        *((f"{blank}=1", f'"\'{blank}=1"') for blank in (" ", "   ", "\u00a0", "\u3000", "\ufeff", "\x00", "\u200b")),
        ("\t=1", "\"'\t'=1\""),
        ("\rx", '"\'\rx"'),
        ("\nx", '"\'\nx"'),
        ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
        ('=A("x")', '"\'=A(""x"")"'),
        ("a;=1", '"a;\'=1"'),
        ("a;  +1;@b", "\"a;'  +1;'@b\""),
        ("a\n-1", '"a\n\'-1"'),
        ("a\t=1", '"a\t\'=1"'),
        ("a=1, b-2 c@d", '"a=1, b-2 c@d"'),
        ("'=1", '"\'=1"'),
        ("2026-11-01", '"2026-11-01"'),
        ("", ""),
    ],
)
def test_a_spreadsheet_sees_text_where_text_was(text: str, cell: str) -> None:
    frame = pl.DataFrame({"s": [text], "n": [-1.5]})
    assert csv_bytes(frame, spreadsheet_safe=True).decode() == f'"s","n"\n{cell},-1.5\n'


def test_only_what_starts_a_formula_changes_and_no_string_starts_one() -> None:
    frame = pl.DataFrame({"s": TEXTS, "n": range(len(TEXTS))})
    rows = list(csv.reader(io.StringIO(csv_bytes(frame, spreadsheet_safe=True).decode(), newline="")))[1:]
    for text, (cell, _) in zip(TEXTS, rows, strict=True):
        assert cell.replace("'", "") == text.replace("'", "")
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def test_names_of_columns_are_cells_too() -> None:
    frame = pl.DataFrame({"=1": ["x"], "*": [-1], "^a$": [[-1, 2]], "-n": [-2]})
    assert csv_bytes(frame, spreadsheet_safe=True).decode() == '"\'=1","*","^a$","\'-n"\n"x",-1,"[-1,2]",-2\n'


def test_numbers_of_every_kind_stay_numbers() -> None:
    query = "SELECT -1 AS i, -1.5::DECIMAL(9, 2) AS d, -1e300 AS f, true AS b, NULL::INT AS x"
    with duckdb.connect(":memory:") as connection:
        frame = connection.sql(query).pl()
    assert csv_bytes(frame, spreadsheet_safe=True) == b'"i","d","f","b","x"\n-1,-1.50,-1e+300,"True",\n'


def test_every_command_that_prints_csv_protects_spreadsheets_on_request(tmp_path: Path) -> None:
    write(tmp_path / "=in" / "=1.jsonl", line(t=0))
    sidecar(tmp_path / "=in" / "=1", label="=1", profile="+1", experiment="-1")

    def cells(*args: str | Path) -> list[str]:
        done = in_root(tmp_path, *args, "--format", "csv", "--spreadsheet-safe")
        assert done.exit_code == 0, done.output
        return [cell for row in csv.reader(io.StringIO(done.stdout, newline="")) for cell in row]

    assert "'=in/=1.jsonl" in cells("ingest", tmp_path / "=in", "--new-profile")
    assert cells("query", "SELECT label, -1 AS n FROM runs") == ["label", "n", "'=1", "-1"]
    assert "'-1" in cells("status")
    assert in_root(tmp_path, "export", "dataset").exit_code == 0
    assert {"'=1", "'+1"} <= {*cells("summary")}
    assert cells("schema", "runs")[:2] == ["column", "type"]
    done = in_root(tmp_path, "query", "SELECT label FROM runs", "-o", tmp_path / "x.csv", "--spreadsheet-safe")
    assert (done.exit_code, (tmp_path / "x.csv").read_text()) == (0, '"label"\n"\'=1"\n')


def test_without_the_option_and_in_the_files_of_the_contracts_text_is_exact(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", line(t=0))
    in_root(
        tmp_path,
        "ingest",
        tmp_path / "in.jsonl",
        "--label",
        "=1",
        "--profile",
        "+1",
        "--new-profile",
        "--experiment",
        "e",
    )
    query = ("query", "SELECT label, profile FROM runs")
    assert in_root(tmp_path, *query, "--format", "csv").stdout == "label,profile\n=1,+1\n"
    safe = in_root(tmp_path, *query, "--format", "jsonl", "--spreadsheet-safe")
    assert safe.stdout == '{"label":"=1","profile":"+1"}\n'
    assert in_root(tmp_path, "export", "runs", "-o", tmp_path / "runs.csv", "--experiment", "e").exit_code == 0
    (run,) = csv.DictReader((tmp_path / "runs.csv").open(encoding="utf-8", newline=""))
    assert (run["label"], run["profile"]) == ("=1", "+1")
