"""The grid of an experiment: every combination of profile, axes and repeat, with all variables worked out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import Final

from paraphina_wh.experiments.spec import Range, Spec, Value

Point = dict[str, Value]

LARGEST_GRID: Final = 1_000_000


def expand(spec: Spec, seeds: Sequence[int | None] | None = None) -> Iterator[Point]:
    """Yield the variables of every run: profile outermost, then the axes in order, repeats innermost.

    Beside the file's own variables a point holds experiment, profile, repeat, and seed and ticks where there are any.
    seeds: of each repeat; None for numbers in their place, where the engine that tells how many there are is not known.
    """
    if seeds is None:
        seeds = range(spec.repeats) if spec.has_seeds else [None] * spec.repeats
    axes = [_together(axis) for axis in spec.axis]
    for profile in spec.profiles:
        for chosen in product(*axes):
            swept = {name: value for part in chosen for name, value in part.items()}
            yield from (_complete(spec, profile, swept, repeat, seed) for repeat, seed in enumerate(seeds))


def grid_size(spec: Spec) -> int:
    """Return the number of runs of the grid."""
    points = math.prod(len(axis_values(next(iter(axis.values())))) for axis in spec.axis)
    return points * len(spec.profiles) * spec.repeats


def axis_values(values: list[Value] | Range) -> Sequence[Value]:
    """Return the values of an axis; those of a range are decimal steps, so that 0.1 three times is 0.3."""
    if not isinstance(values, Range):
        return values
    start, stop = Decimal(str(values.start)), Decimal(str(values.stop))
    if values.count is not None:
        step = (stop - start) / (values.count - 1)
        count = values.count
    else:
        step = Decimal(str(values.step))
        count = int((stop - start) / step) + 1
    whole = all(isinstance(value, int) for value in (values.start, values.stop, values.step))
    return [int(start + place * step) if whole else float(start + place * step) for place in range(count)]


def _together(axis: dict[str, list[Value] | Range]) -> list[Point]:
    columns = {name: axis_values(values) for name, values in axis.items()}
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _complete(spec: Spec, profile: str, swept: Point, repeat: int, seed: int | None) -> Point:
    point: Point = {"experiment": spec.name, "profile": profile, "repeat": spec.first_repeat + repeat}
    if spec.ticks is not None:
        point["ticks"] = spec.ticks
    if seed is not None:
        point["seed"] = seed
    point |= swept | spec.constants | spec.per_profile.get(profile, {})
    for name, factors in spec.products.items():
        point[name] = math.prod(_number(point[factor]) for factor in factors)
    return point


def _number(value: Value) -> int | float:
    if isinstance(value, str | bool):
        raise TypeError("not a number")
    return value


def fill(template: str, point: Point) -> str:
    """Return a template with the variables of a run in it; a negative zero is a zero."""
    shown = {name: value + 0.0 if isinstance(value, float) else value for name, value in point.items()}
    return template.format_map(shown)
