"""Disks that are full or cannot be written to, limits of the system, and Ctrl-C at any moment.

Each ends in an error that says what to do, with the answers as they were, or as they are to be when the end of the work
came first; once the space is back, a repeat completes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

from tests.torture.commands import COMMANDS, Attacked
from tests.torture.crash import Lane, Reference, Siege, Tried, ending, kill, lane, say
from tests.torture.figures import Figure
from tests.torture.zygote import PROJECT, Ended

PAGE: Final = 4096
NOBODY: Final = 65534
# What a disk has room for: enough for every scene; the rest is filled up.
_DISK_BYTES: Final = 192 << 20


@contextmanager
def disk() -> Iterator[Path]:
    """Mount a small file system and give its folder; only root can."""
    with tempfile.TemporaryDirectory(prefix="torture-disk-") as folder:
        options = f"size={_DISK_BYTES},mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount() -> bool:
    """Tell whether this user can mount a file system."""
    try:
        with disk():
            return True
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False


def attack(seed: int, rounds: int = 2) -> list[Figure]:
    """Return the figures; rounds: attacks of a kind at random places, for each command."""
    if not can_mount():
        say("disks: nothing was tried, for only root can mount the small file systems that they are")
        return []
    with disk() as folder, lane(folder, seed) as mine:
        sieges = [_siege(mine, command) for command in COMMANDS if _is_ours(command)]
        return [
            _figure("disks that are full", seed, sieges, partial(_full, rounds)),
            _figure("file systems and folders that are read-only", seed, sieges, _read_only),
            _figure("too few open files (ulimit -n)", seed, sieges, partial(_few_files, rounds)),
            _figure("files that may not grow (ulimit -f)", seed, sieges, partial(_small_files, rounds)),
            _figure("Ctrl-C at random moments", seed, sieges, partial(_interrupts, rounds)),
        ]


def _is_ours(command: Attacked) -> bool:
    """Tell whether all that is written is written by us: an engine that the disk fails is a failed run."""
    return command.name != "run exp13" and command.largest_file is None and not command.by_processes


def _siege(mine: Lane, command: Attacked) -> Siege:
    return Siege(mine, command, Reference.of(mine, command))


Attack = Callable[[Siege, random.Random, Tried], None]


def _figure(what: str, seed: int, sieges: Sequence[Siege], attack: Attack) -> Figure:
    tried = Tried()
    for siege in sieges:
        attack(siege, random.Random(f"{seed} {what} {siege.command.name}"), tried)
    say(f"{what}: {tried.held} of {tried.count} held")
    return Figure(what, tried.count, tried.held, "commands", seed)


def _run(
    siege: Siege, tried: Tried, how: str, place: AbstractContextManager[None], *, may_leave: bool = False, **limits: int
) -> Ended:
    """Run a command in a place that gives it trouble, and judge what became of it once the trouble is over.

    may_leave: files of unfinished writes may lie there.
    """
    siege.lane.prepare(siege.command)
    with place:
        ended = siege.lane.zygote.run(siege.lane.root, *siege.command.argv, env=None, **limits)
    problems = ending(ended, "error") + siege.judge(may_leave=may_leave, done=ended.code == 0)
    tried.add(f"{siege.command.name}, {how}", problems)
    return ended


def _full(rounds: int, siege: Siege, chance: random.Random, tried: Tried) -> None:
    """Leave a command ever more pages until it comes to its end, then some numbers of pages in between."""
    pages = 0
    while _with_pages(siege, pages, tried).code and pages * PAGE < _DISK_BYTES // 2:
        pages = pages * 2 or 1
    for _ in range(rounds):
        _with_pages(siege, chance.randrange(max(1, pages)), tried)


def _with_pages(siege: Siege, pages: int, tried: Tried) -> Ended:
    return _run(siege, tried, f"{pages} pages free", _filled(siege.lane.folder, pages))


@contextmanager
def _filled(folder: Path, pages: int) -> Iterator[None]:
    """Fill a file system but for some pages."""
    filler = folder / "filler"
    state = os.statvfs(folder)
    with filler.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(1, state.f_bavail - pages) * state.f_frsize)
    try:
        yield
    finally:
        filler.unlink()


def _read_only(siege: Siege, chance: random.Random, tried: Tried) -> None:
    _run(siege, tried, "a read-only file system", _mounted_read_only(siege.lane.folder))
    _run(siege, tried, "folders of somebody else", nullcontext(), user=NOBODY)


@contextmanager
def _mounted_read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)


def _few_files(rounds: int, siege: Siege, chance: random.Random, tried: Tried) -> None:
    for _ in range(rounds):
        files = chance.randrange(8, 32)
        # To remove a folder takes open files too.
        _run(siege, tried, f"{files} open files", nullcontext(), may_leave=True, open_files=files)


def _small_files(rounds: int, siege: Siege, chance: random.Random, tried: Tried) -> None:
    for _ in range(rounds):
        # What the command says goes to a file as well, and should come out whole.
        size = int(2 ** chance.uniform(10, 19))
        _run(siege, tried, f"files of {size} bytes", nullcontext(), file_limit=size)


def _interrupts(rounds: int, siege: Siege, chance: random.Random, tried: Tried) -> None:
    """Interrupt real processes as a terminal does, from their very start on."""
    siege.lane.prepare(siege.command)
    started = time.monotonic()
    _started(siege).communicate()
    whole = time.monotonic() - started
    for _ in range(rounds):
        siege.lane.prepare(siege.command)
        moment = chance.uniform(0, whole)
        ended = _interrupted(siege, moment)
        # The work is done when the system ends the process; while libraries are loaded there is no time to clean up.
        done = ended.code in (0, -signal.SIGINT)
        problems = [] if done or _is_of_python(ended) else ending(ended, "sigint")
        tried.add(f"{siege.command.name}, Ctrl-C after {moment:.3f} s", problems + siege.judge(done=done))


def _is_of_python(ended: Ended) -> bool:
    """Tell whether Python itself was still starting, and says so in its own way: the program had not begun."""
    return ended.stderr.endswith("KeyboardInterrupt\n") and "paraphina_wh" not in ended.stderr


def _started(siege: Siege) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "paraphina_wh", *siege.command.argv],
        cwd=siege.lane.root,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _interrupted(siege: Siege, moment: float) -> Ended:
    process = _started(siege)
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        kill(process.pid)
        out, err = process.communicate()
    return Ended(process.returncode, out, err)
