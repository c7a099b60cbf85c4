"""A sweep that is cut short three times in three ways is finished by repeating the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import paraphina_wh as wh
from paraphina_wh.commit import write_atomically
from paraphina_wh.sidecar import read_sidecar
from tests.engines import FLAGS, NO_VERSION, engine, record_runs, replay

# 3 profiles x 5 inventories x 4 repeats: 60 runs, or half of them.
_SWEEP = """
name = "sixty"
about = "sixty runs"
mode = "@MODE@"
profiles = ["conservative", "balanced", "aggressive"]
repeats = @REPEATS@
ticks = 5
run_name = "sixty_{profile}_q{q:.0f}_r{repeat}"
[[axis]]
q = { from = -40.0, to = 40.0, step = 20.0 }
[knobs]
INIT_Q_TAO = "q"
"""

# Notes that it began and that it ended, each with what it ran.
_NOTE = 'note() { echo "$profile ${PARAPHINA_INIT_Q_TAO%.0} $((seed - 1)) $$" >> $1; }; note begun.txt'
# Goes on while no more have begun than may: so a session can be met in the middle, however busy the machine is.
_GATE = "while [ $(wc -l < begun.txt) -gt $(cat may_begin) ]; do sleep 0.02; done"
_JOBS = 3


@pytest.mark.parametrize(("mode", "repeats"), [("stdout", 2), ("both", 4)])
def test_three_interruptions_lose_and_repeat_nothing(tmp_path: Path, mode: str, repeats: int) -> None:
    count = 15 * repeats
    recorded = record_runs(tmp_path / "recorded", ticks=5, seeds=range(1, repeats + 1))
    engine(tmp_path / "engine", NO_VERSION, FLAGS, _NOTE, _GATE, replay(recorded), "note ended.txt")
    (tmp_path / "sixty.toml").write_text(_SWEEP.replace("@MODE@", mode).replace("@REPEATS@", str(repeats)))
    line = [sys.executable, "-m", "paraphina_wh", "run", "sixty.toml", "--engine", "./engine", "--jobs", str(_JOBS)]
    line += ["--seed-start", "1"]

    def finished() -> list[str]:
        """Return the runs whose sidecars say that they ended well."""
        sidecars = [read_sidecar(path) for path in (tmp_path / "runs").rglob("*.run.json")]
        return [f"{s.profile} {s.labels['q']:.0f} {s.repeat}" for s in sidecars if s and s.status == "ok"]

    def begin(runs: int) -> subprocess.Popen[str]:
        """Start a session, and wait until so many of its runs have ended well and no further one can."""
        there = len(finished())
        write_atomically(tmp_path / "may_begin", b"%d" % (len(_notes(tmp_path / "begun.txt")) + runs + _JOBS - 1))
        session = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _wait_until(lambda: len(finished()) >= there + runs and len(_running(tmp_path)) == _JOBS)
        return session

    session = begin(8)
    session.send_signal(signal.SIGINT)
    _, stderr = session.communicate(timeout=600)
    assert (session.returncode, "repeat the same command" in stderr) == (130, True)
    kept = finished()
    first = _times_begun(tmp_path, kept)

    session = begin(8)
    session.kill()
    session.communicate(timeout=600)
    _wait_until(lambda: not _running(tmp_path))
    kept = finished()
    second = _times_begun(tmp_path, kept)

    session = begin(4)
    killed = _kill_one(tmp_path)
    write_atomically(tmp_path / "may_begin", b"1000")
    _, stderr = session.communicate(timeout=600)
    assert (session.returncode, "killed by signal 9" in stderr) == (1, True)

    last = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert last.returncode == 0, last.stderr
    assert f"sixty: 1 runs, {count - 1} already there" in last.stderr
    answer = wh.open(tmp_path).sql("select count(*), count(distinct label), count(distinct plan_key) from runs")
    good = wh.open(tmp_path).sql("select count(*), count(distinct plan_key) from runs where status = 'ok'")
    assert (answer.rows(), good.rows()) == ([(count, count, count)], [(count, count)])
    # Whatever had ended well at an interruption was not begun again.
    assert _times_begun(tmp_path, first) == first
    assert _times_begun(tmp_path, second) == second
    assert _times_begun(tmp_path, [killed]) == {killed: 2}


def _times_begun(root: Path, runs: Iterable[str]) -> dict[str, int]:
    times = Counter(entry.rpartition(" ")[0] for entry in _notes(root / "begun.txt"))
    return {run: times[run] for run in runs}


def _notes(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _running(root: Path) -> list[str]:
    """Return what has begun and neither ended nor died."""
    return [entry for entry in _notes(root / "begun.txt") if entry not in _notes(root / "ended.txt") and _alive(entry)]


def _alive(entry: str) -> bool:
    try:
        state = Path(f"/proc/{entry.split()[-1]}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def _kill_one(root: Path) -> str:
    """Kill the engine that began last, and return what it ran."""
    entry = _running(root)[-1]
    os.kill(int(entry.split()[-1]), signal.SIGKILL)
    return entry.rpartition(" ")[0]


def _wait_until(condition: Callable[[], bool], seconds: float = 600.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)
