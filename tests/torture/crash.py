"""Kill every writing command at every step of the commit path, and at random moments.

After each kill the views answer, `check` finds nothing missing or changed, and the answers are the old ones or the new
ones: for the runs of one experiment that come in together, for one dataset, for one file. The command, repeated,
completes; `gc` leaves nothing behind.
"""

from __future__ import annotations

import ast
import os
import queue
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.torture.commands import COMMANDS, Attacked, build
from tests.torture.figures import Figure
from tests.torture.zygote import PROJECT, Ended, Zygote

ERRORS: Final = ("sigint", "EIO", "ENOSPC", "EMFILE", "EROFS", "EACCES")
_LANES: Final = 2
# One look in so many asks all views; the others ask those that read files, on which all views are built.
_EVERY_VIEW_EACH: Final = 10

# What is shown of a problem.
_LONGEST: Final = 600

Item = TypeVar("Item")
Result = TypeVar("Result")
Parts = dict[str, str]


@dataclass
class Lane:
    """A place to attack in: a zygote, and folders that no other lane uses.

    root: where commands run. seen: a copy of it to look at, so that looking changes nothing for the command.
    """

    zygote: Zygote
    folder: Path
    chance: random.Random

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def prepare(self, command: Attacked) -> None:
        """Make ROOT what it is before the command."""
        build(self.zygote, self.folder / "scenes", self.root, command.scene)
        command.prepare(self.root)

    def run(self, command: Attacked, failpoint: str = "") -> tuple[Ended, list[str]]:
        """Run the command and return how it ended and the steps it reached."""
        trace = self.folder / "steps"
        trace.unlink(missing_ok=True)
        env = {"PARAPHINA_WH_STEPS": str(trace)} | ({"PARAPHINA_WH_FAILPOINT": failpoint} if failpoint else {})
        limit = command.largest_file(self.root) if command.largest_file else 0
        ended = self.zygote.run(self.root, *command.argv, env=env, file_limit=limit)
        return ended, trace.read_text().splitlines() if trace.exists() else []

    def look(self, function: str = "look") -> Any:
        """Return what a copy of ROOT answers."""
        seen = self.folder / "seen"
        shutil.rmtree(seen, ignore_errors=True)
        shutil.copytree(self.root, seen, symlinks=True)
        every_view = self.chance.randrange(_EVERY_VIEW_EACH) == 0
        return self.zygote.call(f"tests.torture.scene:{function}", str(seen), every_view)

    def finish(self, command: Attacked) -> Any:
        """Run the command to its end, sweep, and return what ROOT answers then."""
        every_view = self.chance.randrange(_EVERY_VIEW_EACH) == 0
        return self.zygote.call("tests.torture.scene:finish", str(self.root), list(command.argv), every_view)


def in_memory() -> str | None:
    """Return where files lie in memory, if this machine has such a place: a kill loses nothing of what is not on disk,
    and forcing it there takes longer than all the rest.
    """
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def lane(folder: Path, seed: int) -> Iterator[Lane]:
    """Open a lane in a folder."""
    (folder / "scenes").mkdir(parents=True)
    with Zygote() as zygote:
        yield Lane(zygote, folder, random.Random(seed))


@dataclass(frozen=True)
class Reference:
    """The answers before a command and after it, undisturbed, and the steps it takes."""

    old: Any
    new: Any
    steps: list[str]

    @classmethod
    def of(cls, lane: Lane, command: Attacked) -> Reference:
        """Run a command undisturbed. Raises: AssertionError when that does not leave a whole warehouse."""
        lane.prepare(command)
        old = lane.look("check_only" if command.is_damaged else "look")
        ended, steps = lane.run(command)
        assert ended.code == (1 if command.largest_file else 0), f"{command.name}: {ended}"
        new = lane.finish(command)
        assert new["findings"] == [] and new["leftovers"] == 0, f"{command.name}, undisturbed: {new['findings']}"
        return cls(old, new, steps)


@dataclass
class Tried:
    """What came of attacks. sites: lines of code at which something failed. problems: what did not hold."""

    count: int = 0
    held: int = 0
    sites: set[str] = field(default_factory=set)

    def add(self, what: str, problems: Sequence[str], site: str = "") -> None:
        """Count an attack, and tell what did not hold."""
        self.count += 1
        self.held += not problems
        self.sites |= {site} - {""}
        for problem in problems:
            shown = (
                problem if len(problem) < _LONGEST else f"{problem[: _LONGEST // 2]} ... {problem[-_LONGEST // 2 :]}"
            )
            say(f"  {what}: {shown}")

    def join(self, other: Tried) -> None:
        """Take in what came of others."""
        self.count += other.count
        self.held += other.held
        self.sites |= other.sites


@dataclass
class Siege:
    """A command that is attacked again and again; what completes once need not be shown to complete twice."""

    lane: Lane
    command: Attacked
    reference: Reference
    completed: set[str] = field(default_factory=set)

    def step(self, number: int, what: str) -> tuple[list[str], str]:
        """Let the command fail at one step; return what did not hold, and the step."""
        self.lane.prepare(self.command)
        ended, steps = self.lane.run(self.command, f"{number}:{what}")
        if len(steps) < number:
            return [f"has {len(steps)} steps, {number} were expected"], ""
        may_leave = what == "kill" or steps[number - 1].startswith("unlink")
        return ending(ended, what) + self.judge(may_leave=may_leave, done=ended.code == 0), steps[number - 1]

    def judge(self, *, may_leave: bool = True, done: bool = False) -> list[str]:
        """Return what is wrong with what a command left that did not end well, and with its repeat.

        may_leave: files of unfinished writes may lie there. done: it said that all went well.
        """
        try:
            seen = self.lane.look("check_only" if self.command.is_damaged else "look")
            problems = still_whole(self.command, self.reference, seen, may_leave=may_leave, done=done)
            left = repr(seen)
            if problems or left not in self.completed:
                problems += completes(self.lane, self.command, self.reference)
        except AssertionError as error:
            return [str(error)]
        if not problems:
            self.completed.add(left)
        return problems


def ending(ended: Ended, what: str) -> list[str]:
    """Return what is wrong with the way a command ended."""
    if what == "kill":
        return [] if ended.code == -signal.SIGKILL else [f"was not killed: {ended}"]
    expected = (130, 0) if what == "sigint" else (1, 0)
    problems = [] if ended.code in expected else [f"exit code {ended.code}"]
    if "Traceback" in ended.stderr:
        problems.append("a traceback")
    elif ended.code and not ("error: " in ended.stderr and "hint: " in ended.stderr):
        problems.append("no error with a hint")
    return [f"{problem}: {ended.stderr[-_LONGEST // 2 :]}" for problem in problems]


def still_whole(command: Attacked, reference: Reference, seen: Any, *, may_leave: bool, done: bool) -> list[str]:
    """Return what is wrong with what was seen: the findings of `check`, the answers, the files."""
    known = {path for _, path, _ in reference.old["findings"]}
    problems = [
        f"check finds {finding}" for finding in seen["findings"] if finding[0] != "orphaned" and finding[1] not in known
    ]
    if not command.is_damaged:
        problems += old_or_new(command, reference.old["parts"], reference.new["parts"], seen["parts"])
        if done and seen["parts"] != reference.new["parts"]:
            problems.append("said that all went well, and it did not")
    if not may_leave:
        before = {name for name, _ in reference.old["names"]}
        names = [name for name, _ in seen["names"] if name not in before]
        left = [name for name in names if "/_staging/" in name or "/." in f"/{name}"] + seen["unfinished"]
        problems += [f"half-written: {left}"] if left else []
    return problems


def old_or_new(command: Attacked, old: Parts, new: Parts, seen: Parts) -> list[str]:
    """Return the parts that are neither what they were nor what they will be, and what came in by halves."""
    problems: list[str] = []
    came: dict[str, set[bool]] = {}
    for part in sorted(old.keys() | new.keys() | seen.keys()):
        before, after, now = old.get(part), new.get(part), seen.get(part)
        if part.startswith(command.raw):
            continue
        if now not in (before, after) and not _is_dataset_under_way(command, part, before, now or ""):
            problems.append(f"{part} is {now}: neither {before} nor {after}")
        elif before != after:
            came.setdefault(_together(command, part), set()).add(now == after)
    problems += [f"{unit} came in by halves" for unit, states in came.items() if len(states) > 1]
    return problems


def _together(command: Attacked, part: str) -> str:
    """Return the name of what becomes visible at once with a part."""
    return part if command.by_run or not part.startswith("run ") else part.split("/")[0]


def _is_dataset_under_way(command: Attacked, part: str, before: str | None, now: str) -> bool:
    """Tell whether a dataset file is one that an append completes.

    A new one comes empty and is appended to then; when the disk took but a part, half a line may stand at the end.
    """
    is_new = before is None and now.startswith("0 bytes")
    return part.startswith("file research_dataset") and (is_new or command.largest_file is not None)


def completes(lane: Lane, command: Attacked, reference: Reference) -> list[str]:
    """Repeat a command, sweep, and return what is not as if nothing had happened."""
    ended = lane.finish(command)
    code, swept = ended["codes"]
    problems = []
    if code not in (0, reference.new["codes"][0]) or swept:
        problems.append(f"repeated: exit codes {ended['codes']}, {ended['said']}")
    problems += [f"repeated, check finds {finding}" for finding in ended["findings"]]
    problems += [f"repeated, {ended['leftovers']} leftovers"] if ended["leftovers"] else []
    for part in sorted(ended["parts"].keys() | reference.new["parts"].keys()):
        is_now, after = ended["parts"].get(part), reference.new["parts"].get(part)
        problems += [f"repeated, {part} is {is_now}, not {after}"] if is_now != after else []
    now, expected = ({name for name, _ in names} for names in (ended["names"], reference.new["names"]))
    more = [name for name in sorted(now - expected) if not _is_litter(name)]
    less = sorted(expected - now)
    problems += [f"repeated, files are left: {more}"] if more else []
    problems += [f"repeated, files are gone: {less}"] if less else []
    return problems


def _is_litter(name: str) -> bool:
    """Tell whether a file is the hidden start of an artefact outside of the warehouse: `gc` does not go there."""
    return not name.startswith("warehouse/") and Path(name).name.startswith(".")


# Every step


def attack_steps(seed: int, commands: Sequence[Attacked] = COMMANDS) -> list[Figure]:
    """Let every command fail: by a kill at every step, by an error or Ctrl-C at every line of code with steps."""
    kills, errors = Tried(), Tried()
    in_one_process = [command for command in commands if not command.by_processes]
    for killed, failed in in_lanes(seed, in_one_process, partial(_every_step, seed)):
        kills.join(killed)
        errors.join(failed)
    sites = call_sites()
    for site in sorted(sites - {step.partition(" ")[2] for step in kills.sites}):
        print(f"  never killed at {site}", file=sys.stderr)
    covered = len(sites & {step.partition(" ")[2] for step in kills.sites})
    return [
        Figure("kill -9 at every step of every writing command", kills.count, kills.held, "steps", seed),
        Figure("failpoints of the commit path killed at", len(sites), covered, "failpoints"),
        Figure("errors and Ctrl-C at steps of every writing command", errors.count, errors.held, "steps", seed),
    ]


def _every_step(seed: int, lane: Lane, command: Attacked) -> tuple[Tried, Tried]:
    chance = random.Random(f"{seed} {command.name}")
    started = time.monotonic()
    kills, errors = Tried(), Tried()
    try:
        reference = Reference.of(lane, command)
    except AssertionError as error:
        kills.add(command.name, [str(error)])
        return kills, errors
    siege = Siege(lane, command, reference)
    for number in range(1, len(reference.steps) + 1):
        kills.add(f"{command.name}, {number}:kill", *siege.step(number, "kill"))
    for number, what in errors_for(reference.steps, chance):
        errors.add(f"{command.name}, {number}:{what}", *siege.step(number, what))
    say(f"{command.name}: {kills.count} kills, {errors.count} errors, {time.monotonic() - started:.0f} s")
    return kills, errors


def errors_for(steps: Sequence[str], chance: random.Random) -> Iterator[tuple[int, str]]:
    """Yield (step, error), one for each line of code that steps stand in."""
    for site in sorted(set(steps)):
        numbers = [number for number, step in enumerate(steps, 1) if step == site]
        yield chance.choice(numbers), chance.choice(ERRORS)


def call_sites() -> set[str]:
    """Return `file:line` of every failpoint in the source."""
    found = set()
    for path in sorted((PROJECT / "paraphina_wh").rglob("*.py")):
        text = path.read_text()
        if "from paraphina_wh.failpoints import step" in text:
            found |= {
                f"{path.name}:{node.lineno}"
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "step"
            }
    return found


# Random moments


def attack_moments(seed: int, kills: int) -> list[Figure]:
    """Kill commands at random moments: every second time with the processes they started."""
    chance = random.Random(seed)
    picked = [chance.choice(COMMANDS) for _ in range(kills)]
    groups = [(command, picked.count(command)) for command in COMMANDS if command in picked]
    tried = Tried()
    for each in in_lanes(seed, groups, partial(_random_moments, seed)):
        tried.join(each)
    return [Figure("kill -9 of writing commands at random moments", tried.count, tried.held, "kills", seed)]


def _random_moments(seed: int, lane: Lane, group: tuple[Attacked, int]) -> Tried:
    command, count = group
    chance = random.Random(f"{seed} {command.name} moments")
    tried = Tried()
    try:
        reference = Reference.of(lane, command)
    except AssertionError as error:
        tried.add(command.name, [str(error)])
        return tried
    siege = Siege(lane, command, reference)
    lane.prepare(command)
    started = time.monotonic()
    lane.run(command)
    whole = time.monotonic() - started
    for number in range(count):
        lane.prepare(command)
        moment, with_children = chance.uniform(0.05, 1.0) * whole, chance.random() < 0.5
        kill_at(lane, command, moment, with_children)
        tried.add(f"{command.name}, kill {number} after {moment:.3f} s, {with_children=}", siege.judge())
    say(f"{command.name}: {count} kills within {whole:.2f} s")
    return tried


def kill_at(lane: Lane, command: Attacked, moment: float, with_children: bool) -> None:
    """Kill a command after a while; what it left running comes to its end before this returns."""
    limit = command.largest_file(lane.root) if command.largest_file else 0
    pid = lane.zygote.start(lane.root, *command.argv, file_limit=limit)
    time.sleep(moment)
    kill(pid, with_children)
    lane.zygote.wait()
    while processes_that_name(lane.root):
        time.sleep(0.01)


def kill(pid: int, with_children: bool = True) -> None:
    """Kill a process that was started here, and what it started."""
    for process in [pid, *(descendants(pid) if with_children else ())]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they did."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found[1:]


def processes_that_name(root: Path) -> list[int]:
    """Return the processes that have a folder in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if os.fsencode(str(root)) in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


# A session: the short form


SESSION: Final = (
    ("ingest", "--jobs", "1", "--on-error", "quarantine", "runs"),
    ("forget", "--label", "exp13_balanced_r001"),
    ("export", "dataset"),
    ("ingest", "--jobs", "1", "--on-error", "quarantine", "runs", "mc"),
    ("compact",),
    ("gc", "--delete", "--older-than", "0s"),
)


def attack_session(lane: Lane, seed: int, steps: int, moments: int) -> tuple[Tried, Tried]:
    """Let each command of a session fail at some steps and be killed at some moments, until it may come to its end.

    What one attack leaves is what the next one finds.
    """
    chance = random.Random(seed)
    build(lane.zygote, lane.folder / "scenes", lane.root, "sources")
    states, known, seconds = _undisturbed(lane)
    build(lane.zygote, lane.folder / "scenes", lane.root, "sources")
    at_steps, at_moments = Tried(), Tried()
    for number, argv in enumerate(SESSION):
        command, before, after = Attacked(argv[0], "sources", argv), states[number], states[number + 1]
        for what in chance.choices(("kill", *ERRORS), k=steps):
            step = chance.randrange(1, known[number] + 1)
            ended, reached = lane.run(command, f"{step}:{what}")
            if len(reached) >= step:
                problems = ending(ended, what) + old_or_new(command, before, after, _answers(lane))
                at_steps.add(f"{argv[0]}, {step}:{what}", problems, reached[step - 1])
        for _ in range(moments):
            moment = chance.uniform(0, seconds[number])
            kill_at(lane, command, moment, with_children=True)
            at_moments.add(f"{argv[0]} after {moment:.3f} s", old_or_new(command, before, after, _answers(lane)))
        ended, _ = lane.run(command)
        seen = _answers(lane)
        at_steps.add(f"{argv[0]}, repeated: {ended}", ["is not complete"] if seen != after else [])
    whole = lane.finish(Attacked("gc", "sources", SESSION[-1]))
    at_steps.add("the whole session", [f"check finds {each}" for each in whole["findings"]])
    return at_steps, at_moments


def _undisturbed(lane: Lane) -> tuple[list[Parts], list[int], list[float]]:
    """Return the answers before and after each command, and the steps and the seconds that each takes."""
    states, steps, seconds = [_answers(lane)], [], []
    for argv in SESSION:
        started = time.monotonic()
        _, reached = lane.run(Attacked(argv[0], "sources", argv))
        seconds.append(time.monotonic() - started)
        steps.append(len(reached))
        states.append(_answers(lane))
    return states, steps, seconds


def _answers(lane: Lane) -> Parts:
    found: Parts = lane.zygote.call("tests.torture.scene:answers", str(lane.root))
    return found


# All of it


def attack(seed: int, kills: int = 300) -> list[Figure]:
    """Return the figures of every step, and of so many kills at random moments."""
    return [*attack_steps(seed), *attack_moments(seed, kills)]


def in_lanes(seed: int, items: Iterable[Item], work: Callable[[Lane, Item], Result]) -> list[Result]:
    """Do work on items, in as many lanes as there are cores, and return what came of it."""
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def take(folder: Path) -> list[Result]:
        with lane(folder, seed) as mine:
            return [work(mine, item) for item in _until_empty(waiting)]

    with tempfile.TemporaryDirectory(prefix="torture-", dir=in_memory()) as base, ThreadPoolExecutor(_LANES) as pool:
        folders = [Path(base, str(number)) for number in range(_LANES)]
        return [result for done in pool.map(take, folders) for result in done]


def _until_empty(waiting: queue.SimpleQueue[Item]) -> Iterator[Item]:
    with suppress(queue.Empty):
        while True:
            yield waiting.get_nowait()


def say(text: str) -> None:
    """Tell how it goes, on stderr."""
    print(text, file=sys.stderr, flush=True)
