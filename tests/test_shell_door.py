"""The doors for the DuckDB shell: a copied or moved warehouse answers from itself, or says that it is a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest

from paraphina_wh.catalog import door_problem, set_up
from paraphina_wh.ingest.forget import forget
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import command_line
from tests.records import run_of
from tests.telemetry_maker import files_below, ingest, write
from tests.torture.crash import in_memory, lane

SHELL = Path(sys.executable).with_name("duckdb")
COUNT = "SELECT count(*) FROM runs"


def take_in(warehouse: Warehouse, number: int) -> None:
    ingest(warehouse, write(warehouse.root / f"balanced_r{number}.jsonl", run_of(number)))


@pytest.fixture
def original(tmp_path: Path) -> Warehouse:
    """Return a warehouse of two runs; beside it lie `copy` and `linked`, made of it when it held the first alone."""
    root = tmp_path / "original"
    root.mkdir()
    warehouse = locate(root)
    take_in(warehouse, 1)
    shutil.copytree(root, tmp_path / "copy")
    shutil.copytree(root, tmp_path / "linked", copy_function=os.link)
    take_in(warehouse, 2)
    return warehouse


def shell(folder: Path, *args: str | Path) -> str:
    """Return what the DuckDB shell answers in a folder, or the error."""
    if not SHELL.exists():
        pytest.skip("the DuckDB shell is not installed: package duckdb-cli")
    command = [SHELL, "-csv", "-noheader", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"HOME": str(folder)}, timeout=60)
    return done.stdout.strip() or done.stderr


def by_script(folder: Path, script: Path | str, query: str = COUNT) -> str:
    return shell(folder, "-init", script, "-c", query)


def by_catalog(folder: Path, file: Path | str, query: str = COUNT) -> str:
    return shell(folder, "-readonly", file, "-c", query)


@pytest.mark.parametrize("here", [".", "original", "original/warehouse", "copy"])
def test_the_original_answers_from_any_folder(original: Warehouse, tmp_path: Path, here: str) -> None:
    assert by_script(tmp_path / here, original.path / "init.sql") == "2"
    assert by_catalog(tmp_path / here, original.path / "paraphina.duckdb") == "2"


def test_a_copy_that_the_shell_is_started_in_answers_from_itself(original: Warehouse, tmp_path: Path) -> None:
    assert by_script(tmp_path / "copy", "warehouse/init.sql") == "1"
    assert by_script(tmp_path / "copy" / "warehouse", "init.sql") == "1"
    assert by_script(original.root, "warehouse/init.sql") == "2"


@pytest.mark.parametrize("copy", ["copy", "linked"])
@pytest.mark.parametrize("here", [".", "original"])
def test_a_copy_that_is_opened_from_elsewhere_says_what_it_is(
    original: Warehouse, tmp_path: Path, copy: str, here: str
) -> None:
    files = tmp_path / copy / "warehouse"
    said = by_script(tmp_path / here, files / "init.sql")
    assert f"this init.sql is a copy of {original.path}/init.sql, from which it would answer" in said
    for query in (COUNT, "SELECT count(*) FROM ticks", "SELECT * FROM research_rows", "SELECT * FROM dataset_rows"):
        said = by_catalog(tmp_path / here, files / "paraphina.duckdb", query)
        assert f"{files}/paraphina.duckdb is a copy, or has moved" in said


def test_two_catalog_files_in_one_session_answer_each_from_itself_or_not_at_all(
    original: Warehouse, tmp_path: Path
) -> None:
    both = "; ".join(
        f"ATTACH '{tmp_path}/{name}/warehouse/paraphina.duckdb' AS {name} (READ_ONLY)" for name in ("original", "copy")
    )
    assert "copy/warehouse/paraphina.duckdb is a copy" in shell(
        tmp_path, "-c", f"{both}; SELECT count(*) FROM copy.runs"
    )
    command_line("--root", tmp_path / "copy", "status")
    counts = "SELECT (SELECT count(*) FROM original.runs), (SELECT count(*) FROM copy.runs)"
    assert shell(tmp_path, "-c", f"{both}; {counts}") == "2,1"


@pytest.mark.parametrize("command", [["status"], ["query", COUNT], ["schema", "runs"]], ids=str)
def test_a_command_that_reads_makes_a_copy_answer_from_itself(
    original: Warehouse, tmp_path: Path, command: list[str]
) -> None:
    copy = locate(tmp_path / "copy")
    before = files_below(original.path)
    assert door_problem(copy) == f"were written for {original.path}"
    assert command_line("--root", copy.root, *command).exit_code == 0
    assert door_problem(copy) is None
    assert by_script(tmp_path, copy.path / "init.sql") == "1"
    assert by_catalog(tmp_path, copy.path / "paraphina.duckdb") == "1"
    assert files_below(original.path) == before
    renewed = files_below(copy.path)
    assert command_line("--root", copy.root, *command).exit_code == 0
    assert files_below(copy.path) == renewed


def test_a_check_names_the_doors_of_another_folder_and_writes_nothing(original: Warehouse, tmp_path: Path) -> None:
    copy = locate(tmp_path / "copy")
    before = files_below(copy.path)
    done = command_line("--root", copy.root, "check")
    assert done.exit_code == 0
    assert f"init.sql and paraphina.duckdb were written for {original.path}: " in done.stderr
    assert files_below(copy.path) == before
    (copy.path / "init.sql").write_text("-- as an older version wrote it\n")
    assert "were written for another folder" in command_line("--root", copy.root, "check").stderr
    set_up(copy)
    (copy.path / "init.sql").write_text((copy.path / "init.sql").read_text() + "-- edited\n")
    assert "are of another version" in command_line("--root", copy.root, "check").stderr
    (copy.path / "paraphina.duckdb").unlink()
    assert "are not both there" in command_line("--root", copy.root, "check").stderr
    set_up(copy)
    assert "init.sql" not in command_line("--root", copy.root, "check").stderr


def test_a_copy_that_may_not_be_written_to_is_told_of(original: Warehouse) -> None:
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder, lane(Path(folder), seed=1) as place:
        place.folder.chmod(0o755)
        copy = locate(place.folder)
        shutil.copytree(original.path, copy.path)
        copy.path.chmod(0o555)
        nobody = 0 if os.getuid() else 65534
        done = place.zygote.run(copy.root, "query", COUNT, "--format", "csv", user=nobody)
        copy.path.chmod(0o755)
    assert (done.code, done.stdout) == (0, "count_star()\n2\n")
    assert done.stderr.startswith(f"warning: init.sql and paraphina.duckdb are those of {original.path}, and cannot be")


def test_a_warehouse_that_moved_answers_where_it_is(original: Warehouse, tmp_path: Path) -> None:
    moved = original.root.rename(tmp_path / "moved")
    assert by_script(moved, "warehouse/init.sql") == "2"
    for said in (
        by_script(tmp_path, "moved/warehouse/init.sql"),
        by_catalog(tmp_path, "moved/warehouse/paraphina.duckdb"),
    ):
        assert "No files found that match the pattern" in said
    command_line("--root", moved, "status")
    assert by_script(tmp_path, "moved/warehouse/init.sql") == "2"
    assert by_catalog(tmp_path, "moved/warehouse/paraphina.duckdb") == "2"


def test_a_link_to_the_warehouse_is_no_copy(original: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("original")
    script, catalog = "link/warehouse/init.sql", "link/warehouse/paraphina.duckdb"
    assert (by_script(tmp_path, script), by_catalog(tmp_path, catalog)) == ("2", "2")
    command_line("--root", tmp_path / "link", "status")
    for folder in ("link", "original"):
        assert by_script(tmp_path, f"{folder}/warehouse/init.sql") == "2"
        assert by_catalog(tmp_path, f"{folder}/warehouse/paraphina.duckdb") == "2"
    written = files_below(original.path)
    for folder in ("link", "original", "link"):
        command_line("--root", tmp_path / folder, "status")
    assert files_below(original.path) == written


def test_a_session_that_is_open_goes_on_beside_writers(original: Warehouse) -> None:
    with duckdb.connect(":memory:") as session:
        session.execute((original.path / "init.sql").read_text().removeprefix(".bail off\n"))
        with duckdb.connect(str(original.path / "paraphina.duckdb"), read_only=True) as catalog:
            take_in(original, 3)
            forget(original, labels=["exp13_balanced_r001"])
            assert session.execute(COUNT).fetchall() == catalog.execute(COUNT).fetchall() == [(2,)]


@pytest.mark.parametrize("change", ["ingest", "forget"])
def test_every_change_of_the_data_gives_the_script_another_state(original: Warehouse, change: str) -> None:
    before = (original.path / "init.sql").read_bytes()
    set_up(original)
    assert (original.path / "init.sql").read_bytes() == before
    if change == "ingest":
        take_in(original, 3)
    else:
        forget(original, labels=["exp13_balanced_r001"])
    assert (original.path / "init.sql").read_bytes() != before


def test_a_filter_on_the_folders_reads_only_their_files(original: Warehouse) -> None:
    query = "EXPLAIN SELECT sum(t) FROM ticks WHERE label = 'exp13_balanced_r002'"
    with duckdb.connect(":memory:") as session:
        session.execute((original.path / "init.sql").read_text().removeprefix(".bail off\n"))
        with duckdb.connect(str(original.path / "paraphina.duckdb"), read_only=True) as catalog:
            for connection in (session, catalog):
                ((_, plan),) = connection.execute(query).fetchall()
                # That of the columns, and those of two runs.
                assert "Scanning Files: 1/3" in plan
