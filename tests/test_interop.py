"""The warehouse is a folder of Parquet files that any tool reads: Polars, pyarrow, pandas, a bare DuckDB, its shell."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

from paraphina_wh.catalog import set_up, sql_folder, view_names
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import line, run_of
from tests.telemetry_maker import ask, ingest, sidecar, write

LONGEST = "é" * 41 + "end"  # 249 bytes once encoded
LABELS = ["001", "1", "a/b", "..", "x=y", " lead", "trail ", "ü", "A", "a", "%2F", "null", "NULL", "nan", LONGEST]
PROFILES = ("balanced", "conservative")
SHELL = Path(sys.executable).with_name("duckdb")

# (profile, label) -> (rows, sum of t): label number i has i + 1 ticks, in the second profile one more.
EXPECTED = {
    (profile, label): (n, n * (n - 1) // 2)
    for more, profile in enumerate(PROFILES)
    for n, label in enumerate(LABELS, start=1 + more)
}


def fill_with_awkward_labels(warehouse: Warehouse) -> Warehouse:
    for number, ((profile, label), (n, _)) in enumerate(EXPECTED.items()):
        unknown = line(t=n - 1, zz=1)  # the column `extra` must not differ between files with and without
        write(warehouse.root / "in" / f"{number}.jsonl", run_of(n - 1) + unknown)
        sidecar(warehouse.root / "in" / f"{number}", profile=profile, label=label)
    assert {outcome.status for outcome in ingest(warehouse, warehouse.root / "in")} == {"ingested"}
    return warehouse


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with two profiles of 15 awkward labels."""
    return fill_with_awkward_labels(locate(tmp_path_factory.mktemp("awkward")))


# --- other tools ----------------------------------------------------------------------------------------------


def test_the_longest_label_is_one_byte_short_of_refused() -> None:
    assert len("label=" + "%C3%A9" * 41 + "end") == 255


def by_our_views(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return ask(warehouse, "SELECT profile, label, t FROM ticks")


def by_polars(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    frame = pl.scan_parquet(warehouse.telemetry / "**/*.parquet", hive_partitioning=True)
    return frame.select("profile", "label", "t").collect().rows()


def by_pyarrow(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    table = pa.dataset.dataset(warehouse.telemetry, partitioning="hive").to_table(["profile", "label", "t"])
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def by_pandas(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    frame = pd.read_parquet(warehouse.telemetry, columns=["profile", "label", "t"])
    return list(zip(frame["profile"], frame["label"], frame["t"], strict=True))


def by_a_bare_duckdb(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    glob = str(warehouse.telemetry / "**" / "*.parquet")
    query = "SELECT profile, label, t FROM read_parquet($glob, hive_partitioning = true)"
    return duckdb.connect(":memory:").execute(query, {"glob": glob}).fetchall()


@pytest.mark.parametrize("read", [by_our_views, by_polars, by_pyarrow, by_pandas, by_a_bare_duckdb])
def test_awkward_labels_come_back_exactly(
    filled: Warehouse, read: Callable[[Warehouse], list[tuple[Any, ...]]]
) -> None:
    found: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for profile, label, t in read(filled):
        rows, total = found[profile, label]
        found[profile, label] = rows + 1, total + t
    assert found == EXPECTED


def plain(kind: pa.DataType) -> str:
    """Return a type as text, without what depends on the reader and not on the file.

    Polars hands out large or view strings and lists where others hand out small ones, pyarrow makes folder keys
    dictionaries where asked to, and each names the entries of a list differently.
    """
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return f"list<{plain(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(f"{field.name}: {plain(field.type)}" for field in kind) + ">"
    return str(kind)


def test_all_tools_see_the_same_columns_and_types(filled: Warehouse) -> None:
    glob = str(filled.telemetry / "**" / "*.parquet")
    tables = {
        "polars": pl.scan_parquet(glob, hive_partitioning=True).head(0).collect().to_arrow().schema,
        "pyarrow": pa.dataset.dataset(filled.telemetry, partitioning="hive").schema,
        "duckdb": duckdb.connect(":memory:")
        .sql(f"SELECT * FROM read_parquet('{glob}', hive_partitioning = true) LIMIT 0")
        .to_arrow_table()
        .schema,
    }
    found = {tool: {field.name: plain(field.type) for field in schema} for tool, schema in tables.items()}
    assert found["polars"] == found["pyarrow"] == found["duckdb"]
    assert found["duckdb"]["profile"] == found["duckdb"]["label"] == found["duckdb"]["extra"] == "string"
    assert found["duckdb"]["venue_funding_age_ms"] == "list<int64>"


def test_labels_that_all_look_like_numbers_stay_text(warehouse: Warehouse) -> None:
    """The zero-row file of label `any` is what keeps readers without a schema from guessing."""
    for label in ("001", "1"):
        write(warehouse.root / "in" / f"{label}.jsonl", run_of(2))
    ingest(warehouse, warehouse.root / "in", profile="balanced")
    for read in (by_our_views, by_polars, by_pyarrow, by_pandas, by_a_bare_duckdb):
        assert {label for _, label, _ in read(warehouse)} == {"001", "1"}


def test_a_filter_on_the_keys_reads_only_the_files_of_the_run(filled: Warehouse) -> None:
    query = "EXPLAIN ANALYZE SELECT count(*) FROM read_parquet($glob, hive_partitioning = true) WHERE label = '..'"
    glob = str(filled.telemetry / "*" / "*" / "*.parquet")
    ((_, plan),) = duckdb.connect(":memory:").execute(query, {"glob": glob}).fetchall()
    assert f"2/{2 * len(LABELS) + 1}" in plan


# --- the DuckDB shell -----------------------------------------------------------------------------------------


def shell(folder: Path, *args: str | Path, script: str = "") -> str:
    """Run the DuckDB shell in a folder and return what it prints."""
    if not SHELL.exists():
        pytest.skip("the DuckDB shell is not installed: package duckdb-cli")
    done = subprocess.run(
        [SHELL, *args], cwd=folder, input=script, capture_output=True, text=True, env={"HOME": str(folder)}, timeout=600
    )
    # The shell says which script it was told to load.
    complaints = re.sub(r"\x1b\[\d*m|-- Loading resources from .*\n", "", done.stderr)
    assert (done.returncode, complaints) == (0, "")
    return done.stdout


ONE_LINE = """
SELECT string_agg(label || ':' || n, ',' ORDER BY label) FROM (SELECT label, count(*) AS n FROM ticks GROUP BY label)
"""


@pytest.fixture(params=["plain", "with a space", 'it\'s "quoted"', "brackets [1] {a,b} *", "ü%20#;$HOME"])
def oddly_named(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    root = tmp_path / request.param
    write(root / "balanced_r1.jsonl", run_of(3))
    write(root / "balanced_r2.jsonl", run_of(4))
    warehouse = locate(root)
    ingest(warehouse, root)
    return warehouse


TWO_RUNS = "exp13_balanced_r001:3,exp13_balanced_r002:4"


def test_init_sql_opens_the_warehouse_from_any_folder(oddly_named: Warehouse, tmp_path: Path) -> None:
    said = shell(tmp_path, "-init", oddly_named.path / "init.sql", "-list", "-noheader", "-c", ONE_LINE)
    assert said.splitlines()[-1:] == [TWO_RUNS]


def test_the_catalog_file_opens_the_warehouse_from_any_folder(oddly_named: Warehouse, tmp_path: Path) -> None:
    catalog = oddly_named.path / "paraphina.duckdb"
    assert catalog.stat().st_mode & 0o222 == 0
    assert shell(tmp_path, "-readonly", catalog, "-list", "-noheader", "-c", ONE_LINE).strip() == TWO_RUNS


def test_our_views_work_in_any_folder(oddly_named: Warehouse) -> None:
    assert ask(oddly_named, "SELECT label, num_ticks FROM runs ORDER BY label") == [
        ("exp13_balanced_r001", 3),
        ("exp13_balanced_r002", 4),
    ]


def test_every_view_answers_in_a_shell(filled: Warehouse) -> None:
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in view_names())
    by_catalog = shell(filled.path, "-readonly", "paraphina.duckdb", "-list", "-noheader", "-c", counts)
    by_script = shell(filled.path, "-init", "init.sql", "-list", "-noheader", "-c", counts)
    ours = {name: ask(filled, f"SELECT count(*) FROM {name}")[0][0] for name in ("ticks", "runs", "fills")}
    assert ours["runs"] == 30
    for said in (by_catalog, by_script):
        found = dict(text.split("|") for text in said.splitlines() if "|" in text)
        assert found.keys() == set(view_names())
        assert {name: int(found[name]) for name in ours} == ours


def test_the_sql_files_run_as_they_are_in_a_shell_opened_in_the_warehouse(filled: Warehouse) -> None:
    script = "".join(f".read '{path}'\n" for path in sorted(sql_folder().glob("*.sql")))
    script += "SELECT count(*), count(DISTINCT label) FROM ticks;\n"
    said = shell(filled.path, "-list", "-noheader", script=script)
    rows = sum(n for n, _ in EXPECTED.values())
    assert said.strip() == f"{rows}|{len(LABELS)}"


def test_every_view_of_an_empty_warehouse_answers_with_no_run(warehouse: Warehouse) -> None:
    set_up(warehouse)
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in view_names())
    said = shell(warehouse.path, "-readonly", "paraphina.duckdb", "-list", "-noheader", "-c", counts)
    full = {name for name, count in (text.split("|") for text in said.splitlines()) if count != "0"}
    settings = {"analysis_settings", "dataset_settings", "evidence_settings", "evidence_ranges"}
    assert full == {"risk_tiers", "profile_centres", "engine_presets"} | settings


def test_a_warehouse_that_moved_gets_its_catalog_anew_with_the_next_ingest(tmp_path: Path) -> None:
    write(tmp_path / "here" / "balanced_r1.jsonl", run_of(3))
    ingest(locate(tmp_path / "here"), tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = locate(tmp_path / "there")
    write(moved.path / "paraphina.duckdb.wal", b"left behind by a killed shell")
    write(tmp_path / "there" / "balanced_r2.jsonl", run_of(4))
    ingest(moved, tmp_path / "there" / "balanced_r2.jsonl")
    assert shell(tmp_path, "-readonly", moved.path / "paraphina.duckdb", "-list", "-noheader", "-c", ONE_LINE) == (
        TWO_RUNS + "\n"
    )
