"""Everybody at once: ingesters of overlapping inputs, a compactor, gc and readers, some of them killed in the middle.

Each worker is a process that loops until it is told to stop. Inputs come in groups that are always taken in together,
so a reader may see a group as a whole or not at all.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Final

from paraphina_wh.catalog import connect
from paraphina_wh.datasets import mirror_dataset
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.maintenance.gc import collect
from paraphina_wh.maintenance.integrity import check_warehouse
from paraphina_wh.query import run_query
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import run_of
from tests.telemetry_maker import write
from tests.torture.everything import ROW
from tests.torture.figures import Figure
from tests.torture.zygote import PROJECT

GROUPS: Final = 24
TOGGLED: Final = "toggled"
AGE_S: Final = 2.0
_TIERS: Final = ("aggressive", "balanced", "conservative")
_KILL_EACH_S: Final = 4.0
# A worker that has nothing to show for this long hangs.
_DEADLOCK_S: Final = 600.0

KINDS: Final[Mapping[str, int]] = {
    "ingester": 8,
    "replacer": 1,
    "mirrorer": 1,
    "compactor": 1,
    "sweeper": 1,
    "reader": 4,
}
# Seconds between two deeds, at most: the machine is for the others.
_REST_S: Final = {"compactor": 0.5, "sweeper": 0.5, "replacer": 0.2, "mirrorer": 0.2}
STOP: Final = "stop"


def attack(seed: int, seconds: float = 150) -> list[Figure]:
    """Let all of them work for a while, killing one every few seconds; then compare with what was to come in."""
    with tempfile.TemporaryDirectory(prefix="concurrency-") as folder:
        root = Path(folder)
        write_inputs(root)
        told = let_work(root, seed, seconds)
        held = not told["problems"] and is_complete(locate(root))
    complain(f"concurrency: {dict(told)}")
    rows, kills = told["rows checked"], told["kills"]
    return [
        Figure("ingests, compaction, gc and reads at once", rows, rows if held else 0, "rows read", seed),
        Figure("workers killed among the others", kills, kills if held else 0, "kills", seed),
    ]


def let_work(
    root: Path, seed: int, seconds: float, kinds: Mapping[str, int] = KINDS, kill_each_s: float = _KILL_EACH_S
) -> Counter[str]:
    """Let a crowd work in a process of its own, and return what it tells.

    That process loads the libraries for all workers and uses none: what they start does not survive a fork.
    """
    given = [str(root), str(seed), str(seconds), json.dumps(dict(kinds)), str(kill_each_s)]
    done = subprocess.run([sys.executable, "-m", __name__, *given], cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    return Counter(json.loads(done.stdout))


# What comes in


def write_inputs(root: Path, groups: int = GROUPS) -> None:
    """Write the groups, each a folder of runs of different lengths."""
    for group in range(groups):
        for number, tier in enumerate(_TIERS):
            write(root / "in" / f"g{group:02d}" / f"{tier}_r{group}.jsonl", run_of(ticks_of(group, number)))


def ticks_of(group: int, number: int) -> int:
    """Return how many ticks a run has: no two groups are alike."""
    return 3 + 2 * group + number


def groups_in(root: Path) -> list[int]:
    """Return the groups that may come in."""
    return sorted(int(folder.name[1:]) for folder in (root / "in").iterdir())


def expected(root: Path) -> dict[str, int]:
    """Return label -> ticks of everything that is to come in."""
    return {
        f"exp13_{tier}_r{group:03d}": ticks_of(group, number)
        for group in groups_in(root)
        for number, tier in enumerate(_TIERS)
    }


def is_complete(warehouse: Warehouse) -> bool:
    """Take everything in once more, and tell whether it is there, each run once, with each of its ticks once."""
    ingest_paths(warehouse, [warehouse.root / "in"], jobs=1)
    with connect(warehouse, views=("run_ledger", "runs", "ticks", "dataset_rows")) as connection:
        runs = connection.execute("SELECT label, rows FROM runs WHERE label <> ? ORDER BY label", [TOGGLED]).fetchall()
        ticks = connection.execute(f"{_TICKS} HAVING label <> ? ORDER BY label", [TOGGLED]).fetchall()
        [(lines, distinct)] = connection.execute("SELECT count(*), count(DISTINCT line) FROM dataset_rows").fetchall()
    wanted = sorted(expected(warehouse.root).items())
    dataset = warehouse.root / "research_dataset_v001.jsonl"
    mirrored = len(dataset.read_bytes().splitlines()) if dataset.exists() else 0
    found = check_warehouse(warehouse).findings
    damage = [each for each in found if each.problem not in ("orphaned", "dataset")]
    holds = (
        runs == wanted
        and [(label, *counts) for label, _, *counts in ticks] == [(label, rows, rows) for label, rows in wanted]
        and lines == distinct
        and lines <= mirrored
        and not damage
    )
    if not holds:
        complain(f"{runs}\n{ticks}\n{lines} {distinct} {mirrored}\n{damage}")
    return holds


def complain(text: str) -> None:
    """Say what to look at."""
    print(text, file=sys.stderr, flush=True)


# The crowd


@dataclass
class Worker:
    """A process. out: where it tells what it did. heard: when it last said something, and how much that was."""

    kind: str
    process: ForkProcess
    out: Path
    heard: tuple[float, int] = (0.0, 0)


class Crowd:
    """All workers of one attack. told: sums of what they said; problems: how many complained, died or hung."""

    def __init__(self, root: Path, chance: random.Random, kinds: Mapping[str, int] = KINDS) -> None:
        self.root = root
        self.chance = chance
        self.kinds = kinds
        self.told: Counter[str] = Counter()
        self.workers: list[Worker] = []
        self.context = multiprocessing.get_context("fork")

    def work(self, seconds: float, kill_each_s: float = _KILL_EACH_S) -> None:
        """Start everybody, kill one now and then and start another in its place, and stop them all at the end.

        On a busy machine it takes longer: until each has done something.
        """
        for kind, number in self.kinds.items():
            for _ in range(number):
                self._start(kind)
        started = killed = time.monotonic()
        while (time.monotonic() - started < seconds or not self._all_have_worked()) and not self.told["problems"]:
            time.sleep(0.1)
            if time.monotonic() - killed > kill_each_s:
                self._kill_one()
                killed = time.monotonic()
            for worker in list(self.workers):
                self._look_at(worker)
        self._stop()

    def _start(self, kind: str) -> None:
        out = self.root / f"{len(list(self.root.glob('*.told')))}-{kind}.told"
        out.touch()
        process = self.context.Process(target=work, args=(kind, self.root, out, self.chance.randrange(1 << 30)))
        process.start()
        self.workers.append(Worker(kind, process, out, (time.monotonic(), 0)))

    def _kill_one(self) -> None:
        """Kill a worker in the middle of its second deed, or a later one."""
        kind = self.chance.choice(list(self.kinds))
        at_work = [worker for worker in self.workers if worker.kind == kind and worker.heard[1]]
        if at_work:
            victim = self.chance.choice(at_work)
            victim.process.kill()
            self._end(victim)
            self.told["kills"] += 1
            self._start(kind)

    def _all_have_worked(self) -> bool:
        return self.told["kills"] > 0 and all(worker.heard[1] for worker in self.workers)

    def _look_at(self, worker: Worker) -> None:
        (heard, said), now = worker.heard, worker.out.stat().st_size
        if now != said:
            worker.heard = (time.monotonic(), now)
        elif worker.process.exitcode is not None:
            self._complain(worker, f"ended with {worker.process.exitcode}")
        elif time.monotonic() - heard > _DEADLOCK_S:
            self._complain(worker, f"has said nothing for {_DEADLOCK_S:g} s")

    def _complain(self, worker: Worker, text: str) -> None:
        complain(f"{worker.kind} {text}")
        self.told["problems"] += 1
        worker.process.kill()
        self._end(worker)

    def _end(self, worker: Worker) -> None:
        worker.process.join()
        self.workers.remove(worker)
        for line in worker.out.read_text().splitlines():
            with suppress(json.JSONDecodeError):  # Killed while it was writing.
                self.told.update(json.loads(line))

    def _stop(self) -> None:
        (self.root / STOP).touch()
        for worker in list(self.workers):
            worker.process.join(_DEADLOCK_S)
            if worker.process.exitcode != 0:
                self._complain(worker, f"ended with {worker.process.exitcode}")
            else:
                self._end(worker)


# What they do


Deed = Callable[[Warehouse, random.Random], dict[str, int]]


def ingester(warehouse: Warehouse, chance: random.Random) -> dict[str, int]:
    """Take in some groups, as a whole each."""
    groups = chance.sample(groups_in(warehouse.root), chance.randint(1, 4))
    report = ingest_paths(warehouse, [warehouse.root / "in" / f"g{group:02d}" for group in groups], jobs=1)
    assert report.complete, [outcome for outcome in report if outcome.errors]
    return {"runs taken in": sum(outcome.status == "ingested" for outcome in report), "ingests": 1}


def replacer(warehouse: Warehouse, chance: random.Random) -> dict[str, int]:
    """Put one run in the place of another, again and again."""
    source = write(warehouse.root / "toggle" / f"balanced_{chance.randrange(3)}.jsonl", run_of(5 + chance.randrange(3)))
    report = ingest_paths(warehouse, [source], Options(profile="balanced", label=TOGGLED, replace=True), jobs=1)
    assert report.complete, [outcome for outcome in report if outcome.errors]
    return {"runs replaced": sum(outcome.status == "ingested" for outcome in report)}


def mirrorer(warehouse: Warehouse, chance: random.Random) -> dict[str, int]:
    """Add a line to a dataset and mirror it."""
    file = warehouse.root / "research_dataset_v001.jsonl"
    with file.open("a") as out:
        out.write(ROW % time.monotonic_ns())
    return {"lines mirrored": mirror_dataset(warehouse, file).lines}


def compactor(warehouse: Warehouse, chance: random.Random) -> dict[str, int]:
    """Fold; another maintenance command may be at work."""
    try:
        return {"files folded": sum(each.files for each in compact(warehouse)), "compactions": 1}
    except WarehouseError as error:
        return _refused(error)


def sweeper(warehouse: Warehouse, chance: random.Random) -> dict[str, int]:
    """Sweep what is older than some seconds; another maintenance command may be at work."""
    try:
        return {"leftovers removed": len(collect(warehouse, older_than_s=AGE_S, delete=True)), "sweeps": 1}
    except WarehouseError as error:
        return _refused(error)


def _refused(error: WarehouseError) -> dict[str, int]:
    if not (error.message.startswith(("another compact", "no warehouse"))):
        raise error
    return {"refused": 1}


_RUNS: Final = "SELECT label, rows FROM runs"
_TICKS: Final = (
    "SELECT label, run_id, count(*) AS ticks, count(DISTINCT t) AS different FROM ticks GROUP BY label, run_id"
)
_LINES: Final = "SELECT count(*) AS lines, max(line_no) AS last FROM dataset_rows"


def reader(warehouse: Warehouse, chance: random.Random) -> dict[str, int]:
    """Read, and see whole groups with whole runs, each once."""
    wanted = expected(warehouse.root)
    if not warehouse.exists:
        return {}
    runs = run_query(warehouse, _RUNS).rows()
    seen = {label for label, _ in runs if label != TOGGLED}
    assert len(runs) == len({label for label, _ in runs}), f"a label twice: {runs}"
    assert all(rows == wanted[label] for label, rows in runs if label != TOGGLED), runs
    for group in groups_in(warehouse.root):
        of_group = {f"exp13_{tier}_r{group:03d}" for tier in _TIERS}
        assert of_group <= seen or not of_group & seen, f"a part of {group}: {sorted(seen)}"
    ticks = run_query(warehouse, _TICKS).rows()
    assert all(count == different for *_, count, different in ticks), ticks
    assert all(count == wanted[label] for label, _, count, _ in ticks if label != TOGGLED), ticks
    # What was there before must be there still.
    assert seen <= {label for label, *_ in ticks}, seen - {label for label, *_ in ticks}
    assert sum(label == TOGGLED for label, *_ in ticks) <= 1, ticks
    [(lines, last)] = run_query(warehouse, _LINES).rows()
    assert lines == (last or 0), f"{lines} lines, the last is {last}"
    return {"rows checked": len(runs) + sum(count for _, _, count, _ in ticks) + lines, "reads": 3}


DEEDS: Final[Mapping[str, Deed]] = {
    deed.__name__: deed for deed in (ingester, replacer, mirrorer, compactor, sweeper, reader)
}


def work(kind: str, root: Path, out: Path, seed: int) -> None:
    """Do the same deed until it is time to stop, and tell after each what was done."""
    chance, warehouse = random.Random(seed), locate(root)
    with out.open("a", buffering=1) as told:
        while not (root / STOP).exists():
            told.write(json.dumps(DEEDS[kind](warehouse, chance)) + "\n")
            time.sleep(chance.random() * _REST_S.get(kind, 0.0))


def main(root: str, seed: str, seconds: str, kinds: str, kill_each_s: str) -> None:
    """Let a crowd work, and print what it told."""
    crowd = Crowd(Path(root), random.Random(int(seed)), json.loads(kinds))
    crowd.work(float(seconds), float(kill_each_s))
    print(json.dumps(crowd.told))


if __name__ == "__main__":
    main(*sys.argv[1:])
