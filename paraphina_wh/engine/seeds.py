"""Which seeds the runs of a sweep get: drawn at random from all seeds that an engine tells apart.

Source: the engine contract, section on the seed: a seed shifts the start of the simulated clock, modulo 10,000 ms, so
neighbours are near-copies of each other and prove little together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count, islice
from typing import Final, Literal, NamedTuple

from paraphina_wh.sidecar import SeedOrigin

# How many seeds of each kind of engine give different runs: 0 to this, exclusive.
SEED_SPACE: Final = {"external": 10_000, "reference": 2**31}

# What runs are for: no seed proves what it helped to choose.
Part = Literal["choose", "prove", "prove again"]
# Where each begins, in per cent of the first 10,000 places of the order: a sweep draws from the start on, what it
# chooses is proved further on, and what is chosen by those runs in turn, such as tuned presets, further still.
_BEGINS: Final[dict[Part, int]] = {"choose": 0, "prove": 10, "prove again": 55}
_PARTED: Final = 10_000


def first_of(part: Part, space: int) -> int:
    """Return the place of the order, from 1, from which runs draw that are for this."""
    return 1 + min(space, _PARTED) * _BEGINS[part] // 100


def firsts_of(space: int) -> set[int]:
    """Return all places from which sweeps draw."""
    return {first_of(part, space) for part in _BEGINS}


def told_apart(engine: str | None) -> int:
    """Return how many seeds a kind of engine tells apart; one that nobody knows counts as a real one."""
    return SEED_SPACE.get(engine or "", SEED_SPACE["external"])


def stands_for_all(space: int, engine: str | None) -> bool:
    """Tell whether seeds drawn from 0 to this, exclusive, are like those drawn from all that the engine tells apart.

    The engine takes them modulo its own space: each of those must come about as often as any other, within 0.1 %.
    """
    own = told_apart(engine)
    return space % own == 0 or space >= 1000 * own


class RunSeed(NamedTuple):
    """The seed of a run and how it came about, as its sidecar and the ledger name them.

    seed_origin: `drawn` at random, `listed` by somebody, or `none` was passed. Of a drawn one: the order that seed_key
    names, of the seed_space seeds 0, 1 ..., has it at place seed_index; its sweep drew from place seed_first on.
    """

    seed: int | None
    seed_origin: SeedOrigin
    seed_key: str | None = None
    seed_index: int | None = None
    seed_space: int | None = None
    seed_first: int | None = None


def drawn_seeds(key: str, space: int) -> Iterator[int]:
    """Yield all seeds of a space in the random order that a key names; the same for ever.

    The hash of key and place gives one seed after the other; one that came before is passed over.
    """
    given: set[int] = set()
    for place in count():
        digest = hashlib.sha256(f"{space}/{place}/{key}".encode()).digest()
        # 256 bits: no seed of a space below 2^64 is any likelier than another by more than one in 2^192.
        seed = int.from_bytes(digest) % space
        if seed not in given:
            given.add(seed)
            yield seed
            if len(given) == space:
                return


def seeds_of(key: str, space: int, first: int, runs: int) -> list[int]:
    """Return the seeds at the places first, first + 1 ... of the order; places count from 1."""
    return list(islice(drawn_seeds(key, space), first - 1, first - 1 + runs))


def drawn(key: str, space: int, first: int, runs: int) -> list[RunSeed]:
    """Return the seeds of the runs of a sweep that draws from a place of the order on."""
    seeds = seeds_of(key, space, first, runs)
    return [RunSeed(seed, "drawn", key, index, space, first) for index, seed in enumerate(seeds, first)]


def listed(start: int, runs: int) -> list[RunSeed]:
    """Return the seeds start, start + 1 ... of the runs of a sweep."""
    return [RunSeed(seed, "listed") for seed in range(start, start + runs)]


def unseeded(runs: int) -> list[RunSeed]:
    """Return what the runs of a sweep have that passes no seeds."""
    return [RunSeed(None, "none")] * runs
