"""Hostile SQL: whatever a query says, it writes nothing, reads nothing but the views, and ends within its limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import duckdb
import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.query import Limits, open_query, run_query
from paraphina_wh.sandbox.statement import REFUSED_FUNCTIONS, ROW_FUNCTIONS, checked
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Command, Invoke, Report
from tests.torture.figures import Figure
from tests.torture.sql import ATTACKS, SECRET, SECRETIVE, Attack, Target, broken_promises, lay_out

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 0"
UNTRUSTED = Limits(untrusted=True)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a warehouse among secrets; temporary files go beside it, so that what stays there is seen."""
    place = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(place / "tmp"))
        for name in SECRETIVE:
            patch.setenv(name, f"http://{SECRET}:{SECRET}@localhost:1")
        yield lay_out(place)


# What is tried


@pytest.mark.parametrize(
    "attack",
    [pytest.param(attack, id=f"{kind}-{i}") for kind, attacks in ATTACKS.items() for i, attack in enumerate(attacks)],
)
def test_an_attack_gets_nothing(target: Target, attack: Attack) -> None:
    assert broken_promises(target, attack) == (), attack


def test_no_attack_gets_anything(target: Target, report: Report) -> None:
    attacks = [attack for attacks in ATTACKS.values() for attack in attacks]
    held = sum(broken_promises(target, attack) == () for attack in attacks)
    report(Figure("hostile SQL", len(attacks), held, "attacks"))


def test_every_function_that_gives_rows_is_refused_unless_it_was_looked_at() -> None:
    sql = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')"
    for (name,) in duckdb.execute(sql).fetchall():
        if name not in ROW_FUNCTIONS:
            with pytest.raises(WarehouseError, match="refused: a query may not read from"):
                checked(f"FROM {name}()")


def test_every_function_with_effects_was_looked_at() -> None:
    sql = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE has_side_effects"
    effects = {name for (name,) in duckdb.execute(sql).fetchall()}
    # Chance, clocks, numbers of this connection, a pause that the time limit ends: nothing that stays.
    assert effects - REFUSED_FUNCTIONS == {
        *("random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "sleep_ms", "error", "stats"),
        *("current_connection_id", "current_query", "current_query_id", "current_transaction_id", "vector_type"),
    }


# What is told


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("COPY runs TO 'x.csv'", "refused: COPY is not a statement that reads", "-o FILE writes the answer to a file"),
        ("WITH t AS (COPY runs TO 'x') FROM t", "refused: COPY inside WITH is not a statement that reads", "-o FILE"),
        ("EXPLAIN ANALYZE DROP VIEW runs", "refused: DROP is not a statement that reads", "only statements that read"),
        ("SET threads = 9", "refused: SET is not a statement that reads", "the limits of a query are --timeout"),
        ("use x", "refused: USE is not a statement that reads", "the limits of a query are --timeout"),
        ("UPDATE EXTENSIONS", "refused: UPDATE is not a statement that reads", "only statements that read"),
        ("PIVOT runs ON profile", "refused: PIVOT is not a statement that reads", "name the values of a PIVOT"),
        ("FROM read_csv('x.csv')", "refused: a query may not read from read_csv(...)", "a query reads the views"),
        ("FROM 'x.csv'", "refused: 'x.csv' is no view", "a query reads the views"),
        ("FROM data.csv", "refused: there is no schema 'data'", "a query reads the views"),
        ("SELECT write_log('x')", "refused: a query may not call write_log(...)", "it reads the views"),
        ("SELECT \0", "the SQL holds a NUL: character 8", "take it out"),
        ("x" * 250_001, "the SQL is longer than 250000 characters", "ask for less at a time"),
        ("(" * 301, "the SQL is nested more than 300 deep", "name the inner queries"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(invoke: Invoke, sql: str, message: str, hint: str) -> None:
    result = invoke("query", "--", sql)
    assert result.stderr.startswith(f"error: {message}\nhint: {hint}")
    assert (result.stdout, result.exit_code) == ("", 2)


@pytest.mark.usefixtures("empty_warehouse")
def test_an_answer_too_large_for_a_table_is_not_laid_out(invoke: Invoke) -> None:
    result = invoke("query", "SELECT repeat('x', 1000000) FROM range(40)")
    assert result.stderr == (
        "error: the answer is too large for a table\nhint: --format csv or -o FILE takes any number of rows\n"
    )
    assert (result.stdout, result.exit_code) == ("", 1)


@pytest.mark.usefixtures("empty_warehouse")
def test_what_a_query_may_spill_is_half_of_what_is_free(warehouse: Warehouse) -> None:
    setting = "SELECT current_setting('max_temp_directory_size') NOT LIKE '%available%'"
    assert run_query(warehouse, setting).item()


@pytest.mark.usefixtures("empty_warehouse")
def test_a_query_that_does_not_stop_when_told_to_ends_with_the_command(command: Command) -> None:
    # Hours, and one step to DuckDB; of Levenshtein's distance 2.0.1 makes several.
    sql = "SELECT jaro_similarity(repeat('a', 5000000), repeat('b', 5000000))"
    for timeout in ("0.5", "2", "8", "32", "128"):
        result = command("query", sql, "--timeout", timeout)
        said = f"error: the query took longer than {timeout} s"
        assert (result.stderr.count("\n"), result.stdout, result.returncode) == (2, "", 1)
        if f"{said}, and" in result.stderr:  # else it had not yet come to the function
            break
    assert result.stderr.startswith(f"{said}, and does not stop when told to\nhint: --un")


# Untrusted: a process of its own


def test_an_untrusted_query_gives_the_same_answer(target: Target) -> None:
    sql = "SELECT t, pnl_total, risk_regime, fills, sum(t) OVER () AS total FROM ticks ORDER BY t"
    assert run_query(target.warehouse, sql, UNTRUSTED).equals(run_query(target.warehouse, sql))


@pytest.mark.usefixtures("empty_warehouse")
def test_an_untrusted_query_writes_files_and_keeps_its_exit_codes(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("query", "SELECT range AS n FROM range(50000)", "--untrusted", "-o", "n.parquet")
    assert (result.stderr, result.exit_code) == ("50000 rows written to n.parquet\n", 0)
    assert duckdb.execute(f"SELECT count(*), sum(n) FROM '{tmp_path}/n.parquet'").fetchall() == [(50000, 1249975000)]
    result = invoke(
        "query", "SELECT CASE range WHEN 90000 THEN 'x' ELSE '1' END::INT FROM range(100000)", "--untrusted"
    )
    assert result.stderr.startswith("error: Could not convert string 'x' to INT32\nhint: use try_cast")
    assert (result.exit_code, sorted(path.name for path in tmp_path.iterdir())) == (1, ["n.parquet", "warehouse"])


def test_an_untrusted_answer_has_a_limit_too(target: Target) -> None:
    with pytest.raises(WarehouseError, match="the answer is larger than 200 MB"):
        run_query(target.warehouse, "SELECT range FROM range(30000000)", Limits(memory="200MB", untrusted=True))


def test_an_untrusted_query_has_no_secrets_no_files_and_little_of_the_machine(target: Target) -> None:
    with open_query(target.warehouse, "SELECT range FROM range(50000000)", UNTRUSTED) as answer:
        next(iter(answer))
        [process] = _children()
        given = dict(line.split("=", 1) for line in (process / "environ").read_text().split("\0") if line)
        assert SECRET not in str(given)
        assert set(given) <= {
            *("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "TZ"),
            *("ARROW_DEFAULT_MEMORY_POOL", "MALLOC_ARENA_MAX"),
        }
        opened = {str(link.readlink()).split(":")[0] for link in (process / "fd").iterdir()}
        assert opened <= {"/dev/null", "pipe", "anon_inode"}
        limits = {line[:26].strip(): line[26:].split()[1] for line in (process / "limits").read_text().splitlines()}
        assert (limits["Max file size"], limits["Max core file size"], limits["Max open files"]) == ("0", "0", "512")
        assert 60 <= int(limits["Max cpu time"]) <= 300
        assert 1_000_000_000 < int(limits["Max data size"]) < 1_500_000_000
    assert _children() == []


def test_a_process_that_is_killed_is_an_error_in_plain_words(target: Target) -> None:
    with open_query(target.warehouse, "SELECT range FROM range(50000000)", UNTRUSTED) as answer:
        batches = iter(answer)
        next(batches)
        [process] = _children()
        os.kill(int(process.name), signal.SIGKILL)
        with pytest.raises(WarehouseError, match=r"the process of the query died \(SIGKILL\)") as raised:
            list(batches)
    assert raised.value.hint.startswith("most likely of memory: raise --memory")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_process_of_an_untrusted_query_ends_with_the_command(target: Target, how: signal.Signals) -> None:
    arguments = [
        sys.executable,
        "-m",
        "paraphina_wh",
        "--root",
        str(target.warehouse.root),
        "query",
        ENDLESS,
        "--untrusted",
    ]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as command:
        while not (processes := _children(command.pid)):
            time.sleep(0.05)
        time.sleep(0.5)
        command.send_signal(how)
        _, talk = command.communicate(timeout=600)
    if how == signal.SIGKILL:
        until = time.monotonic() + 600
        while any(process.exists() for process in processes) and time.monotonic() < until:
            time.sleep(0.1)
    else:
        assert (command.returncode, talk.splitlines()[0]) == (130, "error: interrupted")
    assert not any(process.exists() for process in processes)


def _children(pid: int | None = None) -> list[Path]:
    """Return the process folders of the children of a process."""
    tasks = Path(f"/proc/{pid or os.getpid()}/task").iterdir()
    return [Path("/proc", child) for task in tasks for child in (task / "children").read_text().split()]


# Files that vanish


def test_files_that_others_replace_at_that_moment_do_not_fail_a_query(target: Target) -> None:
    rows = "SELECT count(*) FROM run_ledger"
    expected = run_query(target.warehouse, rows).item()
    schema = next(target.warehouse.runs.rglob("schema.parquet")).read_bytes()
    folder = target.warehouse.runs / "experiment=passing"
    folder.mkdir()
    done = threading.Event()

    def replace() -> None:
        for n in count():
            (folder / "next").write_bytes(schema)
            (folder / "next").rename(folder / f"{n}.parquet")
            (folder / f"{n - 1}.parquet").unlink(missing_ok=True)
            if done.wait(0.02):
                return

    others = threading.Thread(target=replace)
    others.start()
    try:
        assert {run_query(target.warehouse, rows).item() for _ in range(20)} == {expected}
    finally:
        done.set()
        others.join()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
