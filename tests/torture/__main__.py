"""`python -m tests.torture`: every attack at full length, and the table of their figures on stdout."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec

from tests.torture.figures import Figure, table
from tests.torture.zygote import PROJECT

SEED: Final = 20_240_501
MINUTES: Final = 20.0

Arguments = Callable[[float], Sequence[float]]


@dataclass(frozen=True)
class Attack:
    """An attack: a function of a module below tests/torture.

    arguments: what it takes beside the seed, of the minutes that all attacks together should last.
    """

    module: str
    function: str = "attack"
    arguments: Arguments = lambda minutes: ()


# Two at a time, in this order: the fuzzer has a core of its own for the first half.
ATTACKS: Final = {
    "fuzz": Attack("fuzz_reader", arguments=lambda minutes: [minutes * 30]),
    "steps": Attack("crash", "attack_steps"),
    "moments": Attack("crash", "attack_moments", lambda minutes: [round(minutes * 15)]),
    "disk": Attack("disk"),
    "concurrency": Attack("concurrency", arguments=lambda minutes: [minutes * 6]),
    "damage": Attack("damage"),
    "histories": Attack("histories"),
    "bombs": Attack("bombs"),
    "memory": Attack("memory"),
    "sql": Attack("sql", arguments=lambda minutes: [minutes * 3]),
    "names": Attack("names", arguments=lambda minutes: [minutes * 3]),
    "branches": Attack("branches"),
    "comparisons": Attack("comparisons"),
    "readings": Attack("readings", arguments=lambda minutes: [round(minutes * 5)]),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run attacks and print their figures; return 1 when something did not hold, or could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="repeats what is random (%(default)s)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long to fuzz and kill (%(default)s)")
    parser.add_argument("--only", action="append", choices=list(ATTACKS), metavar="NAME", help="; ".join(ATTACKS))
    given = parser.parse_args(arguments)
    if given.only and len(given.only) == 1:
        return _report(given.seed, _figures(given.only[0], given.seed, given.minutes), [])
    return _all(given.only or list(ATTACKS), given.seed, given.minutes)


def _all(names: Sequence[str], seed: int, minutes: float) -> int:
    """Run attacks in processes of their own, so that one that breaks does not take the others with it."""
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda name: _in_a_process(name, seed, minutes), names))
    print(f"{time.monotonic() - started:.0f} s in all, seed {seed}", file=sys.stderr)
    broken = [name for name, figures in zip(names, found, strict=True) if figures is None]
    return _report(seed, [figure for figures in found for figure in figures or ()], broken)


def _in_a_process(name: str, seed: int, minutes: float) -> list[Figure] | None:
    """Return the figures of an attack, None when it could not be run."""
    if not importlib.util.find_spec(f"tests.torture.{ATTACKS[name].module}"):
        print(f"{name}: there is no tests/torture/{ATTACKS[name].module}.py", file=sys.stderr, flush=True)
        return None
    started = time.monotonic()
    code = "import sys; from tests.torture.__main__ import hand_over; hand_over(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, name, str(seed), str(minutes)], cwd=PROJECT, stdout=subprocess.PIPE
    )
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return msgspec.json.decode(done.stdout, type=list[Figure]) if done.returncode == 0 else None


def hand_over(name: str, seed: str, minutes: str) -> None:
    """Write the figures of an attack to stdout as JSON; what it prints itself goes to stderr."""
    answer = os.dup(1)
    os.dup2(2, 1)
    found = _figures(name, int(seed), float(minutes))
    os.write(answer, msgspec.json.encode([figure.properties() for figure in found]))


def _figures(name: str, seed: int, minutes: float) -> list[Figure]:
    attack = ATTACKS[name]
    module = importlib.import_module(f"tests.torture.{attack.module}")
    found = getattr(module, attack.function)(seed, *attack.arguments(minutes))
    return [found] if isinstance(found, Figure) else list(found)


def _report(seed: int, figures: Sequence[Figure], broken: Sequence[str]) -> int:
    for line in table(figures):
        print(line)
    failed = [figure.attack for figure in figures if not figure.holds]
    for name in (*failed, *broken):
        print(f"did not hold, or did not run: {name} (seed {seed})", file=sys.stderr)
    return 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main())
