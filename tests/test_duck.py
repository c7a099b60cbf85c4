"""Databases in memory: silent, and what they spill lies where it should and goes with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paraphina_wh.duck import in_memory


def _setting(name: str) -> str:
    with in_memory() as connection:
        return str(connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0])


def test_no_progress_is_drawn_among_the_data_of_a_script_given_on_the_command_line() -> None:
    code = "from tests.test_duck import _setting; print(_setting('enable_progress_bar'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_database_has_a_spill_folder_of_its_own() -> None:
    assert _setting("temp_directory") != _setting("temp_directory")


def test_what_does_not_fit_into_memory_is_spilled_where_it_should_be_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill, here = tmp_path / "spill", tmp_path / "here"
    spill.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    with in_memory(1, spill) as connection:
        connection.execute("SET memory_limit = '60MB'")
        connection.execute("CREATE TABLE t AS SELECT hash(range) AS h FROM range(10000000) ORDER BY h")
        (folder,) = spill.iterdir()
        assert sum(path.stat().st_size for path in folder.iterdir()) > 20_000_000
    assert [*spill.iterdir(), *here.iterdir()] == []
