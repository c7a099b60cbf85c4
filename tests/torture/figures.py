"""What an attack reports: how much was tried, how much of it held, and the seed that repeats it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

PROPERTY = "figure"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    attack: what was done, in a few words. tried, held: counts of the unit; equal when the promise holds.
    seed: what repeats the attack; None where nothing is random.
    """

    attack: str
    tried: int
    held: int
    unit: str
    seed: int | None = None

    @property
    def holds(self) -> bool:
        """Tell whether everything that was tried held, and something was."""
        return self.tried == self.held > 0

    def properties(self) -> dict[str, object]:
        """Return the figure as plain values, which processes can hand to each other."""
        return asdict(self)


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """Yield the lines of the table, a Markdown one: docs/reliability.md holds it as it is printed."""
    yield "| attack | tried | held | of | seed |"
    yield "|---|--:|--:|---|--:|"
    for each in figures:
        seed = "" if each.seed is None else each.seed
        yield f"| {each.attack} | {each.tried} | {each.held} | {each.unit} | {seed} |"
