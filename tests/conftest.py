"""Fixtures for the whole suite. None of them depends on the machine, the clock or the network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paraphina_wh.cli import main
from paraphina_wh.warehouse import Warehouse, locate

Invoke = Callable[..., Result]
Command = Callable[..., "subprocess.CompletedProcess[str]"]

PROJECT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _no_settings_from_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PARAPHINA_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Return the folder of real engine output: `../shared/recorded` beside the project, or $PARAPHINA_RECORDED."""
    folder = Path(RECORDED or PROJECT.parent / "shared" / "recorded")
    if not folder.is_dir():
        pytest.skip(f"no recorded engine output at {folder}: name it with PARAPHINA_RECORDED")
    return folder


# Read before the fixture above takes it away.
RECORDED = os.environ.get("PARAPHINA_RECORDED")


@pytest.fixture(scope="session")
def tiny_run() -> Path:
    """Return the folder of a run of six ticks that can be added up in the head: telemetry and stdout."""
    return PROJECT / "tests" / "data" / "tiny_run"


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Return a warehouse below an empty ROOT; nothing has been written yet."""
    return locate(tmp_path)


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command line in an empty ROOT and gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str | Path, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin, prog_name="paraphina-wh")

    return run


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Return a function that runs a command line in a process of its own, in an empty ROOT."""

    def run(
        *args: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "paraphina_wh", *map(str, args)],
            input=stdin,
            env={**os.environ, **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
