"""`query`: read-only SQL over the views, its limits and its forms."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest

from paraphina_wh import catalog
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.query import Limits, run_query, write_query
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Command, Invoke

# A query needs a warehouse; it need not hold runs.
pytestmark = pytest.mark.usefixtures("empty_warehouse")

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 0"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Warehouse:
    """Return a warehouse with the run of six ticks in it; no query changes it."""
    warehouse = locate(tmp_path_factory.mktemp("filled"))
    ingest_paths(warehouse, [tiny_run], Options())
    return warehouse


# What it answers


def test_a_query_answers_from_the_views(invoke: Invoke, filled: Warehouse) -> None:
    sql = "SELECT t, pnl_total, risk_regime FROM ticks ORDER BY t"
    result = invoke("--root", filled.root, "query", sql, "--format", "csv")
    assert result.stdout == (
        "t,pnl_total,risk_regime\n"
        "0,-2.0,Normal\n"
        "1,98.0,Normal\n"
        "2,198.0,Normal\n"
        "3,-102.0,Warning\n"
        "4,98.0,Warning\n"
        "5,98.0,Normal\n"
    )
    assert (result.stderr, result.exit_code) == ("", 0)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS n",
        "WITH one AS (SELECT 1 AS n) SELECT * FROM one",
        "FROM (VALUES (1)) AS v (n)",
        "SELECT n FROM (VALUES (1)) AS v (n);",
        "(SELECT 1 AS n) -- and a comment; with a semicolon",
    ],
)
def test_every_form_of_select_is_answered(warehouse: Warehouse, sql: str) -> None:
    assert run_query(warehouse, sql).to_dict(as_series=False) == {"n": [1]}


@pytest.mark.parametrize(
    "sql",
    [
        "VALUES (1)",
        "DESCRIBE fills",
        "SHOW TABLES",
        "SUMMARIZE SELECT 1",
        "EXPLAIN SELECT 'é', count(*) FROM runs",
        "EXPLAIN ANALYZE SELECT count(*) FROM runs",
        "EXPLAIN (ANALYZE, FORMAT json) FROM runs",
        "EXPLAIN /* why */ WITH one AS (SELECT 1) FROM one",
    ],
)
def test_other_statements_that_read_are_answered(warehouse: Warehouse, sql: str) -> None:
    assert len(run_query(warehouse, sql)) > 0


def test_an_empty_warehouse_answers(invoke: Invoke) -> None:
    result = invoke("query", "SELECT count(*) AS n FROM ticks", "--format", "csv")
    assert (result.stdout, result.exit_code) == ("n\n0\n", 0)


def test_the_statement_may_come_from_a_file_or_from_stdin(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT 1 AS n")
    assert invoke("query", "-f", "q.sql", "--format", "csv").stdout == "n\n1\n"
    assert invoke("query", "-", "--format", "csv", stdin="SELECT 2 AS n").stdout == "n\n2\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give the SQL, or -f FILE, or - to read it from stdin"),
        (("SELECT 1", "-f", "q.sql"), "give the SQL, or -f FILE, or - to read it from stdin"),
        (("-f", "nowhere.sql"), "cannot read nowhere.sql: No such file or directory"),
        (("SELECT 1", "--memory", "plenty"), "not a memory size: 'plenty'"),
        (("SELECT 1", "-o", "x.xlsx"), "cannot tell the form of x.xlsx from its ending"),
        (("SELECT 1", "-o", "warehouse/runs/x.parquet"), "warehouse/runs/x.parquet lies inside the warehouse"),
        (("SELECT 1", "-o", "sealed.jsonl"), "sealed.jsonl is sealed: nothing is written over it"),
    ],
)
def test_wrong_usage_exits_2(invoke: Invoke, args: tuple[str, ...], message: str) -> None:
    Path("sealed.jsonl.sealed").touch()
    result = invoke("query", *args)
    assert result.stderr.splitlines()[0] == f"error: {message}"
    assert (result.stdout, result.exit_code) == ("", 2)


# What it refuses; test_hostile_sql.py has the attacks


@pytest.mark.parametrize(
    ("sql", "count"), [("", "no statement"), ("-- nothing", "no statement"), ("SELECT 1; SELECT 2", "2 statements")]
)
def test_exactly_one_statement_is_expected(invoke: Invoke, sql: str, count: str) -> None:
    result = invoke("query", "--", sql)
    assert result.stderr.startswith(f"error: {count} given, one is expected\nhint: ")
    assert result.exit_code == 2


def test_what_does_not_parse_exits_2(invoke: Invoke) -> None:
    result = invoke("query", "SELEC 1")
    assert result.stderr.startswith('error: syntax error at or near "SELEC"\nhint: ')
    assert result.exit_code == 2


def test_python_variables_are_no_tables(warehouse: Warehouse) -> None:
    frame = pl.DataFrame({"n": [1]})
    with pytest.raises(WarehouseError, match="Table with name frame does not exist"):
        run_query(warehouse, "FROM frame")
    assert len(frame) == 1


# Errors


def test_an_unknown_view_is_answered_with_the_views(invoke: Invoke) -> None:
    result = invoke("query", "SELECT * FROM nothing_of_this_name")
    assert result.stderr.startswith("error: Table with name nothing_of_this_name does not exist!")
    assert "\nhint: views: risk_tiers, profile_centres, engine_presets, " in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("SELECT * FROM ticksy", "ticks"),
        ("DESCRIBE runz", "runs"),
        ("SELECT final_pn FROM runs", "final_pnl"),
        ("SELECT r.final_pn FROM runs r", "final_pnl"),
        ("SELECT fills.pric FROM fills", "price"),
        ("SELECT * EXCLUDE (final_pn) FROM runs", "final_pnl"),
        ("FROM runs WHERE profil = 'balanced'", "profile"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--untrusted",)])
def test_a_mistyped_view_or_column_is_answered_with_the_one_that_is_meant(
    invoke: Invoke, sql: str, hint: str, options: tuple[str, ...]
) -> None:
    result = invoke("query", sql, *options)
    assert f"\nhint: did you mean {hint}" in result.stderr
    assert (result.stdout, result.exit_code) == ("", 2)


def test_an_unknown_column_is_answered_with_the_way_to_find_it(invoke: Invoke) -> None:
    result = invoke("query", "SELECT prise\nFROM fills")
    assert result.stderr.startswith('error: Referenced column "prise" not found in FROM clause! Candidate bindings: ')
    assert result.stderr.endswith("\nhint: did you mean price or purpose or profile?\n")
    assert result.exit_code == 2


def test_a_query_that_fails_on_its_way_exits_1_and_leaves_no_file(invoke: Invoke, tmp_path: Path) -> None:
    sql = "SELECT CASE WHEN range = 90000 THEN 'x' ELSE '1' END::INT AS n FROM range(100000)"
    result = invoke("query", sql, "-o", "out.parquet")
    assert result.stderr.startswith("error: Could not convert string 'x' to INT32\nhint: ")
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [tmp_path / "warehouse"])


def test_a_query_stops_at_its_time_limit(invoke: Invoke) -> None:
    result = invoke("query", ENDLESS, "--timeout", "0.3")
    assert result.stderr.startswith("error: the query took longer than 0.3 s\nhint: raise --timeout")
    assert result.exit_code == 1


def test_a_query_stops_at_its_memory_limit(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError) as raised:
        run_query(warehouse, "SELECT list(range) FROM range(30000000)", Limits(memory="60MB"))
    assert raised.value.hint == "raise --memory, or ask for less: filter on profile and label"


def test_a_sort_larger_than_the_memory_goes_through_the_disk(warehouse: Warehouse, tmp_path: Path) -> None:
    sql = "SELECT range AS n, hash(range) AS h FROM range(4000000) ORDER BY h"
    assert write_query(warehouse, sql, tmp_path / "sorted.parquet", Limits(memory="60MB")) == 4_000_000


def test_ctrl_c_stops_a_query_at_once(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "paraphina_wh", "query", ENDLESS]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(arguments, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        while not list(temporary.iterdir()):  # the folder of the query
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=600)
    assert (process.returncode, talk.splitlines()[-2]) == (130, "error: interrupted")
    assert list(temporary.iterdir()) == []


# Forms


ROWS = "SELECT * FROM (VALUES (1, 0.1::DOUBLE, 'a|b', true), (2, NULL, 'Zürich', false)) AS v (n, x, s, b)"


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("csv", "n,x,s,b\n1,0.1,a|b,True\n2,,Zürich,False\n"),
        ("json", '[\n{"n":1,"x":0.1,"s":"a|b","b":true},\n{"n":2,"x":null,"s":"Zürich","b":false}\n]\n'),
        ("jsonl", '{"n":1,"x":0.1,"s":"a|b","b":true}\n{"n":2,"x":null,"s":"Zürich","b":false}\n'),
        (
            "markdown",
            "| n | x | s | b |\n| --: | --: | --- | --- |\n| 1 | 0.1 | a\\|b | True |\n| 2 |  | Zürich | False |\n",
        ),
        ("table", "n    x  s       b\n-  ---  ------  -----\n1  0.1  a|b     True\n2       Zürich  False\n"),
    ],
)
def test_the_forms_of_the_rows(invoke: Invoke, style: str, expected: str) -> None:
    assert invoke("query", ROWS, "--format", style).stdout == expected


@pytest.mark.parametrize(("style", "expected"), [("csv", "n\n"), ("json", "[]\n"), ("jsonl", ""), ("table", "n\n-\n")])
def test_an_answer_without_rows_still_has_its_form(invoke: Invoke, style: str, expected: str) -> None:
    assert invoke("query", "SELECT 1 AS n WHERE false", "--format", style).stdout == expected


def test_an_explanation_is_drawn(invoke: Invoke) -> None:
    assert "Projection" in invoke("query", "EXPLAIN SELECT 1").stdout.splitlines()[0]


def test_data_cannot_steer_the_terminal(invoke: Invoke) -> None:
    result = invoke("query", "SELECT 'a' || chr(27) || '[2J' || chr(10) || 'b' AS s")
    assert result.stdout == "s\n-----------\na\\x1b[2J\\nb\n"


def test_types_no_other_reader_knows_are_handed_over_as_plain_ones(warehouse: Warehouse) -> None:
    frame = run_query(warehouse, "SELECT sum(2::BIGINT) AS total, INTERVAL 1 DAY AS span, uuid() IS NULL AS u")
    assert frame.schema == {"total": pl.Int64, "span": pl.String, "u": pl.Boolean}
    assert frame.row(0) == (2, "1 day", False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[INTERVAL 1 DAY]", ["1 day"]),
        ("{'a b': INTERVAL 1 DAY, HUGEINT: 2::HUGEINT}", {"a b": "1 day", "HUGEINT": 2}),
        ("MAP {'a': 3::HUGEINT}", {"a": 3}),
        ("(1::HUGEINT, INTERVAL 1 DAY)", {"element1": 1, "element2": "1 day"}),
        ("['INTERVAL'::ENUM ('INTERVAL', 'HUGEINT')]", ["INTERVAL"]),
        ("['101'::BIT]", ["101"]),
        ("union_value(a := 1)", "1"),
        ("MAP {}", "{}"),
        ("123456789012345678901234567890::BIGNUM", "123456789012345678901234567890"),
        ("'12:00:00+02'::TIMETZ", "12:00:00+02"),
        ("1::VARIANT", "1"),
        ("'POINT(1 2)'::GEOMETRY", "POINT (1 2)"),
        ("NULL", None),
    ],
)
def test_types_inside_of_others_are_handed_over_as_plain_ones_too(
    warehouse: Warehouse, value: str, expected: object
) -> None:
    assert run_query(warehouse, f"SELECT {value} AS x").row(0) == (expected,)


def test_a_sum_beyond_64_bits_is_an_exact_decimal(warehouse: Warehouse) -> None:
    frame = run_query(warehouse, "SELECT sum(n) AS total FROM (VALUES (9223372036854775807), (1)) AS v (n)")
    assert (frame.schema["total"], frame.item()) == (pl.Decimal(38, 0), 9223372036854775808)


@pytest.mark.parametrize("value", ["'infinity'::DATE", "['290000-01-01'::TIMESTAMP]", "{a: '-infinity'::TIMESTAMPTZ}"])
def test_dates_that_no_other_reader_holds_are_an_error_in_plain_words(invoke: Invoke, value: str) -> None:
    result = invoke("query", f"SELECT {value} AS x", "--format", "json")
    assert result.stderr.startswith("error: column 'x' holds a date outside of the years 1 to 9999\nhint: cast it to ")
    assert result.exit_code == 1


def test_a_comment_behind_the_statement_is_no_part_of_it(warehouse: Warehouse) -> None:
    assert run_query(warehouse, "SELECT sum(1::BIGINT) AS n; -- one").item() == 1


def test_equal_column_names_are_numbered(warehouse: Warehouse) -> None:
    assert run_query(warehouse, "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a").row(0, named=True) == {
        "a": 1,
        "a_1": 2,
        "a_1_1": 3,
        "a_2": 4,
    }


def test_pipes_get_every_row(invoke: Invoke) -> None:
    result = invoke("query", "SELECT range FROM range(60000)", "--limit", "5")
    assert (len(result.stdout.splitlines()), result.stderr) == (60002, "")


def test_a_terminal_gets_a_short_table_that_says_so(tmp_path: Path) -> None:
    text = _on_a_terminal(tmp_path, "query", "SELECT range AS n FROM range(100)", "--limit", "3")
    assert [line.strip() for line in text.splitlines() if line.strip().isdigit()] == ["0", "1", "2"]
    assert "warning: the first 3 rows are shown; --limit N, --format csv or -o FILE gives more" in text


def test_a_terminal_gets_the_columns_it_has_room_for(tmp_path: Path) -> None:
    text = _on_a_terminal(
        tmp_path, "query", "SELECT * FROM (DESCRIBE ticks) PIVOT (count(*) FOR null IN ('YES')), ticks"
    )
    assert "columns are shown; select fewer, or use --format json" in text


def _on_a_terminal(folder: Path, *args: str) -> str:
    """Run a command with stdout and stderr on a terminal and return what it shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "paraphina_wh", *args], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while select.select([ours], [], [], 600)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
        process.wait(600)
    os.close(ours)
    return shown.decode()


# Files


@pytest.mark.parametrize("ending", ["parquet", "csv", "json", "jsonl"])
def test_a_file_gets_the_whole_answer(invoke: Invoke, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    result = invoke("query", "SELECT range AS n, 'é' AS s FROM range(50000)", "-o", path, "--limit", "5")
    assert (result.stdout, result.stderr, result.exit_code) == ("", f"50000 rows written to {path}\n", 0)
    rows = duckdb.execute(f"SELECT count(*), sum(n), min(s), max(s) FROM '{path}'").fetchall()
    assert rows == [(50000, 49999 * 25000, "é", "é")]
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "warehouse"]


def test_a_file_without_rows_keeps_its_columns(warehouse: Warehouse, tmp_path: Path) -> None:
    write_query(warehouse, "SELECT * FROM fills", tmp_path / "fills.parquet")
    assert pl.read_parquet(tmp_path / "fills.parquet").schema["price"] == pl.Float64
    write_query(warehouse, "SELECT 1 AS n WHERE false", tmp_path / "n.json")
    assert json.loads((tmp_path / "n.json").read_text()) == []


def test_a_file_is_replaced_as_a_whole_or_not_at_all(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    write_query(warehouse, "SELECT 1 AS n", path)
    with pytest.raises(WarehouseError):
        write_query(warehouse, "SELECT 'x'::INT AS n", path)
    assert path.read_text() == "n\n1\n"


def test_quiet_keeps_the_notice_back(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("--quiet", "query", "SELECT 1 AS n", "-o", tmp_path / "n.csv").stderr == ""


def test_a_pipe_that_closes_early_is_no_error(command: Command, tmp_path: Path) -> None:
    shell = f"{sys.executable} -m paraphina_wh query 'SELECT range FROM range(500000)' --format csv | head -2"
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.stdout, done.stderr) == ("range\n0\n", "")


@pytest.mark.parametrize("arguments", ["--help", "run --list", "schema", "schema --json-schema telemetry", "status"])
def test_a_pipe_that_nobody_reads_ends_a_command_as_it_ends_any_program(tmp_path: Path, arguments: str) -> None:
    # Not 0 either: of a gate or a check the verdict may not have come.
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "paraphina_wh", *arguments.split()]
    done = subprocess.run(command, cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=600)
    os.close(theirs)
    assert (done.stderr, done.returncode) == ("", 141)


def test_a_full_disk_is_an_error_in_plain_words(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m paraphina_wh query 'SELECT range FROM range(5000)' > /dev/full"
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.stderr.startswith("error: no space left on device\nhint: ")
    assert done.returncode == 1


def test_a_query_needs_only_the_views_it_names_and_those_they_read(warehouse: Warehouse) -> None:
    named = catalog.views_named_in("select * from Research_Rows")
    assert named == ("profile_centres", "dataset_settings", "run_ledger", "runs", "research_rows")
    assert catalog.views_named_in("show tables") == tuple(catalog.view_names())
    for name in catalog.view_names():
        with catalog.connect(warehouse, views=catalog.views_named_in(name)) as connection:
            connection.execute(f"DESCRIBE {name}")


@pytest.mark.parametrize("options", [(), ("--untrusted",)])
@pytest.mark.parametrize("damage", ["cut", "empty", "footer"])
def test_a_query_names_the_damaged_file_that_it_meets(
    invoke: Invoke, tmp_path: Path, tiny_run: Path, damage: str, options: tuple[str, ...]
) -> None:
    assert invoke("ingest", tiny_run).exit_code == 0
    (ticks,) = (tmp_path / "warehouse" / "telemetry" / "profile=balanced").rglob("*.parquet")
    whole = ticks.read_bytes()
    # The last: DuckDB tells of the bytes, and not of the file.
    end = bytes(byte ^ 0x5A for byte in whole[-3000:-100]) + whole[-100:]
    ticks.write_bytes({"cut": whole[:5000], "empty": b"", "footer": whole[:-3000] + end}[damage])
    result = invoke("query", "SELECT sum(pnl_total) FROM ticks", *options)
    assert result.stderr.startswith("error: ")
    assert str(ticks) in result.stderr.splitlines()[0]
    assert result.stderr.splitlines()[1:] == [
        "hint: `paraphina-wh check` names damaged files, `paraphina-wh repair` makes them anew"
    ]
    assert (result.stdout, result.exit_code) == ("", 1)
