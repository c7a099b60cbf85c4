"""Kill a command at any instant: the next one sees the old state or the new one, and a repeat completes it.

The long form, every command at every step, is `make torture`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraphina_wh.maintenance.integrity import check_warehouse
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Report
from tests.records import run_of
from tests.telemetry_maker import ask, files_below, ingest, runs_content, write
from tests.torture.commands import build
from tests.torture.crash import SESSION, Lane, attack_session, in_memory, lane, processes_that_name
from tests.torture.figures import Figure

SEED = 20_240_501


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 4 small runs; one has a bad line, one a cut tail."""
    folder = tmp_path_factory.mktemp("sources") / "runs"
    for name, ending in (("balanced_r1", b""), ("balanced_r2", b"{bad}\n"), ("aggressive_r1", b'{"t":')):
        write(folder / f"{name}.jsonl", run_of(20) + ending)
    write(folder / "conservative_r1.jsonl", run_of(3))
    return folder


@pytest.fixture(scope="module")
def attacked() -> Iterator[Lane]:
    """Return a place to attack in."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder, lane(Path(folder), SEED) as place:
        yield place


def test_a_session_of_commands_that_fail_at_any_step_or_are_killed_at_any_moment(
    attacked: Lane, report: Report
) -> None:
    """Ingest, withdrawal, dataset append, compaction and sweep: each fails some times before it may end."""
    steps, moments = attack_session(attacked, SEED, steps=3, moments=1)
    report(Figure("steps of a session at which it fails", steps.count, steps.held, "steps", SEED))
    report(Figure("kill -9 of a session at random moments", moments.count, moments.held, "kills", SEED))


@pytest.mark.parametrize("limits", [{"file_limit": 2000}, {"file_limit": 60_000}, {"open_files": 10}], ids=str)
def test_a_limit_of_the_system_is_an_error_with_a_hint_and_leaves_nothing(
    attacked: Lane, limits: dict[str, int]
) -> None:
    """The small file is a table without rows, the larger one the catalog file."""
    build(attacked.zygote, attacked.folder / "scenes", attacked.root, "sources")
    before = set(files_below(attacked.root))
    ended = attacked.zygote.run(attacked.root, *SESSION[0], env=None, **limits)
    limit = "ulimit -n" if "open_files" in limits else "ulimit -f"
    assert (ended.code, ended.stdout) == (1, "")
    assert re.fullmatch(rf"error: .*: (File too large|Too many open files)\nhint: .*`{limit}`.*\n", ended.stderr)
    left = set(files_below(attacked.root)) - before
    assert [name for name in left if "_staging/" in name or "/." in name or "exp13" in name] == []
    assert attacked.zygote.run(attacked.root, *SESSION[0]).code == 0


def test_a_folder_that_may_not_be_read_is_an_error_and_not_left_out(attacked: Lane) -> None:
    """A glob passes it over without a word, and half the ticks would be the answer."""
    build(attacked.zygote, attacked.folder / "scenes", attacked.root, "first")
    attacked.folder.chmod(0o755)
    nobody = 0 if os.getuid() else 65534
    for folder in ("telemetry/profile=balanced", "runs/experiment=exp13"):
        (attacked.root / "warehouse" / folder).chmod(0)
        for command in (["query", "SELECT count(*) FROM ticks"], ["check"], ["repair"]):
            ended = attacked.zygote.run(attacked.root, *command, user=nobody)
            assert (ended.code, ended.stdout) == (1, ""), ended
            named = "warehouse" if command == ["repair"] else folder
            assert re.match(rf"error: .*{named}.*: Permission denied\nhint: check ", ended.stderr)
        (attacked.root / "warehouse" / folder).chmod(0o755)


def test_workers_orphaned_by_a_kill_do_no_harm(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is killed, its workers are not: they may still commit what they have at hand."""
    driver = (
        "import sys; from paraphina_wh.ingest import Options, ingest_paths, plan; plan.SMALLEST_BATCH_BYTES = 1;"
        "from paraphina_wh.warehouse import locate;"
        "ingest_paths(locate(sys.argv[1]), [sys.argv[2]], Options(on_error='quarantine'), jobs=2)"
    )
    warehouse = locate(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", driver, tmp_path, sources], stderr=subprocess.DEVNULL)
    while not any(warehouse.staging.glob("*/1.*")) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert ask(warehouse, "SELECT count(*) FROM runs")[0][0] in (0, 2, 4)
    ingest(warehouse, sources, on_error="quarantine")
    wait_until_quiet(warehouse)
    (tmp_path / "undisturbed").mkdir()
    undisturbed = locate(tmp_path / "undisturbed")
    ingest(undisturbed, sources, on_error="quarantine")
    assert runs_content(warehouse) == runs_content(undisturbed)
    assert check_warehouse(warehouse).findings == []


def wait_until_quiet(warehouse: Warehouse) -> None:
    """Wait until orphaned workers have ended."""
    while processes_that_name(warehouse.root):
        time.sleep(0.01)


def test_ctrl_c_keeps_what_is_committed_and_ends_with_130(sources: Path, tmp_path: Path) -> None:
    warehouse = locate(tmp_path)
    command = f"{sys.executable} -m paraphina_wh --root {tmp_path} ingest {sources} --on-error quarantine"
    process = subprocess.Popen(command.split(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not warehouse.staging.is_dir():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said) in (
        (130, "error: interrupted\nhint: what was committed stays; repeat the same command to go on from there\n"),
        (0, ""),
    )
    assert ask(warehouse, "SELECT count(*) FROM runs")[0][0] in (0, 4)
    assert not warehouse.staging.is_dir() or list(warehouse.staging.iterdir()) == []


def test_what_a_killed_ingest_left_unfinished_is_in_no_view(warehouse: Warehouse, sources: Path) -> None:
    """Ticks in place whose ledger row never came: killed between the renames."""
    ingest(warehouse, sources / "balanced_r1.jsonl")
    for ledger in (warehouse.runs / "experiment=exp13").iterdir():
        ledger.unlink()
    assert len(list(warehouse.telemetry.glob("profile=balanced/*/*"))) == 1
    assert ask(warehouse, "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM ticks)") == [(0, 0)]
    before = set(files_below(warehouse.telemetry))
    (outcome,) = ingest(warehouse, sources / "balanced_r1.jsonl")
    assert outcome.status == "ingested"
    assert set(files_below(warehouse.telemetry)) == before
    assert ask(warehouse, "SELECT label, num_ticks FROM runs") == [("exp13_balanced_r001", 20)]
