"""Fixtures for the whole suite. None of them depends on the machine, the clock or the network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings

from paraphina_wh import catalog
from paraphina_wh.cli import main
from paraphina_wh.warehouse import Warehouse, locate
from tests.torture.figures import PROPERTY, Figure, table

Invoke = Callable[..., Result]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
Report = Callable[[Figure], None]

PROJECT = Path(__file__).parents[1]

# A busy machine is slow, and no property is wrong for it.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_the_developer() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PARAPHINA_")]:
            patch.delenv(name)
        yield


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


@pytest.fixture(scope="session")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a warehouse folder without runs, to be copied."""
    made = locate(tmp_path_factory.mktemp("set_up"))
    catalog.set_up(made)
    return made.path


@pytest.fixture
def empty_warehouse(warehouse: Warehouse, set_up_once: Path) -> Warehouse:
    """Return the warehouse of the test, set up: queries answer, from no runs."""
    shutil.copytree(set_up_once, warehouse.path)
    return warehouse


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command line in an empty ROOT and gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    return command_line


def command_line(*args: str | Path, stdin: str | bytes | None = None) -> Result:
    """Run a command line in the current folder, in this process; return exit code, stdout and stderr."""
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin, prog_name="paraphina-wh")


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
            timeout=600,
        )

    return run


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Return a function that takes the figure of an attack: it must hold, and stands in the table after the tests."""

    def take(figure: Figure) -> None:
        record_property(PROPERTY, figure.properties())
        assert figure.holds, figure

    return take


def pytest_configure(config: pytest.Config) -> None:
    """Let a process without tests take over half of what another has left: the slow ones are not evenly spread."""
    # Below nohup it is ignored, and so it would be by what the tests start and hang up on.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.getoption("dist", "no") == "load":
        config.option.dist = "worksteal"


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Let a failure reach the process that prints it, whatever text it shows: names may be no Unicode."""
    return _in_unicode((yield))


def _in_unicode(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _in_unicode(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_in_unicode, value))
    return value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the short forms of the attacks tried; `make torture` runs the long ones."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    figures = [Figure(**value) for each in reports for name, value in each.user_properties if name == PROPERTY]
    if figures:
        terminalreporter.section("attacks")
        for line in table(sorted(figures, key=lambda figure: figure.attack)):
            terminalreporter.write_line(line)
