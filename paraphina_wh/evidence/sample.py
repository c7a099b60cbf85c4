"""What the runs of a tier are a sample of: one configuration, and seeds that were drawn at random, or were not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from paraphina_wh.engine.seeds import firsts_of, seeds_of, stands_for_all, told_apart
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence.bounds import ENDLESS, Values

Basis = Literal["drawn", "all", "listed", "unknown", "assumed"]

LATEST: Final = "latest"
# To know the seed at a place, all before it must be worked out: a file may claim any place.
_LAST_PLACE: Final = 100_000
_SHOWN: Final = 5
_FIRST: Final = pl.col("seed_first").fill_null(1)


@dataclass(frozen=True)
class Choice:
    """What the user decides about the sample.

    configs: configurations by their id, or the start of it, one for a tier; `latest` takes the one that came in last.
    assume_independent: take runs whose seeds were not drawn for independent ones.
    """

    configs: Sequence[str] = ()
    assume_independent: bool = False


EVERYTHING: Final = Choice()


@dataclass(frozen=True)
class Sample:
    """Runs in the order in which they count.

    units: rows of the view `evidence_units`, a row of nulls for each run that is missing.
    basis: how their seeds came about; None without runs. problem: why there can be no verdict.
    config: their configuration; None when there are several. configs: how many the tier has.
    key: of the random order. space: seeds in all. missing: runs that were planned, and are not there.
    left_out: units of the configuration that are not of the sample.
    """

    units: pl.DataFrame
    basis: Basis | None = None
    problem: str | None = None
    config: str | None = None
    configs: int = 0
    key: str | None = None
    space: int = ENDLESS
    missing: int = 0
    left_out: int = 0

    def ends(self, name: str, least: float, most: float) -> tuple[Values, Values]:
        """Return the low and the high end of a value for each run; those of the range where nobody knows it."""
        low, high = (self.units[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
        return np.nan_to_num(low, nan=least), np.nan_to_num(high, nan=most)


def sample_of(units: pl.DataFrame, choice: Choice) -> Sample:
    """Return the sample that the units of a tier make. units: rows of the view `evidence_units`."""
    if units.is_empty():
        return Sample(units, problem="no runs")
    configs = units.group_by("config").agg(pl.col("last_line_no").max(), pl.len()).sort("last_line_no", descending=True)
    config = _chosen(configs, choice)
    if config is None:
        return Sample(units, problem=_several(units, configs), configs=len(configs))
    of_config = units.filter(config=config).sort("line_no")
    drawn = of_config.drop_nulls("order_line_no").sort("order_line_no", "line_no")
    if drawn.is_empty():
        return _not_drawn(of_config, config, len(configs), choice)
    # The order that came first: to begin another one after a disappointing look changes nothing.
    first = drawn.filter(order_line_no=drawn[0, "order_line_no"])
    return _drawn(first, of_config, config, len(configs), choice)


def check_configs(units: pl.DataFrame, choice: Choice) -> None:
    """Raise a WarehouseError (exit code 2) for a configuration that no unit has, or that is named by too little."""
    held = sorted(set(units["config"]))
    for start in choice.configs:
        named = [config for config in held if config.startswith(start)]
        if start != LATEST and len(named) != 1:
            what = f"{start!r} is the start of {len(named)} configurations" if named else f"no configuration {start!r}"
            raise WarehouseError(what, f"one of {', '.join(held[:20])}, or {LATEST}", exit_code=2)


def _chosen(configs: pl.DataFrame, choice: Choice) -> str | None:
    """Return the configuration that counts, None when there are several and none is chosen."""
    found: list[str] = configs["config"].to_list()
    if len(found) == 1 or LATEST in choice.configs:
        return found[0]
    named = [config for config in found if any(config.startswith(start) for start in choice.configs)]
    return named[0] if len(named) == 1 else None


def _several(units: pl.DataFrame, configs: pl.DataFrame) -> str:
    ticks = dict(units.group_by("config").agg(pl.col("ticks").max()).iter_rows())
    shown = [
        f"{config} ({count} runs" + (f" of {ticks[config]} ticks)" if ticks[config] else ")")
        for config, _, count in configs.head(_SHOWN).iter_rows()
    ]
    more = [f"{len(configs) - _SHOWN} more"] if len(configs) > _SHOWN else []
    return f"runs of {len(configs)} configurations, --config chooses one: {', '.join([*shown, *more])}"


def _not_drawn(units: pl.DataFrame, config: str, configs: int, choice: Choice) -> Sample:
    listed = units["seed_origin"].eq_missing("listed").all()
    basis: Basis = "assumed" if choice.assume_independent else "listed" if listed else "unknown"
    problem = None if choice.assume_independent else _why_not_drawn(units)
    return Sample(units, basis, problem, config, configs)


def _why_not_drawn(units: pl.DataFrame) -> str:
    seeds = units["seed"].drop_nulls().sort()
    if units["seed_origin"].eq_missing("none").any():
        return "runs without a seed are copies of one"
    if len(seeds) < len(units):
        return "nobody knows how the seeds of these runs came about"
    if len(seeds) == 1:
        return f"seed {seeds[0]} was not drawn at random"
    is_range = seeds[-1] - seeds[0] == len(seeds) - 1
    named = f"seeds {seeds[0]}..{seeds[-1]}" if is_range else f"{len(seeds)} seeds"
    if units["seed_origin"].eq_missing("listed").all():
        return f"{named} were not drawn at random"
    return f"nobody knows how {named} came about"


def _drawn(drawn: pl.DataFrame, of_config: pl.DataFrame, config: str, configs: int, choice: Choice) -> Sample:
    """Return the sample of drawn seeds, a hole for each that was to be run and is not there."""
    key, space = str(drawn[0, "seed_key"]), int(drawn[0, "seed_space"])
    if problem := false_claim(drawn, key, space):
        return Sample(of_config, "unknown", problem, config, configs)
    if problem := part_of_seeds(drawn, space):
        basis: Basis = "assumed" if choice.assume_independent else "listed"
        return Sample(drawn, basis, None if choice.assume_independent else problem, config, configs)
    if len(drawn) < space:
        drawn = latest_part(drawn)
    places = planned(drawn)
    units = places.to_frame().join(drawn, on="seed_index", how="left", maintain_order="left")
    missing = len(places) - len(drawn)
    basis = "all" if len(places) == space else "drawn"
    return Sample(units, basis, None, config, configs, key, space, missing, left_out=len(of_config) - len(drawn))


def false_claim(drawn: pl.DataFrame, key: str, space: int) -> str | None:
    """Return what is not true of the places (seed_index) that seeds are said to have; None when all is."""
    last = int(drawn["seed_index"].max())  # type: ignore[arg-type]
    if not 1 <= int(drawn["seed_index"].min()) <= last <= min(space, _LAST_PLACE):  # type: ignore[arg-type]
        return f"no seed stands at place {last} of {space} in an order that can be checked"
    firsts = pl.col("seed_first").is_in(firsts_of(space)) & (pl.col("seed_first") <= pl.col("seed_index"))
    stray = drawn.filter(~firsts.fill_null(True))
    if not stray.is_empty():
        return f"no sweep draws place {stray[0, 'seed_index']} from place {stray[0, 'seed_first']} on"
    order = pl.DataFrame({"seed_index": range(1, last + 1), "there": seeds_of(key, space, 1, last)})
    found = drawn.join(order.cast({"there": pl.UInt64, "seed_index": pl.Int64}), on="seed_index")
    wrong = found.filter(pl.col("seed") != pl.col("there"))
    if wrong.is_empty():
        return None
    seed, place = wrong[0, "seed"], wrong[0, "seed_index"]
    return f"seed {seed} is not the one at place {place} of key {key!r}: not drawn as it says"


def part_of_seeds(drawn: pl.DataFrame, space: int) -> str | None:
    """Return why seeds drawn from this space say nothing of all that the engine tells apart; None when they do."""
    engine = drawn[0, "engine"]
    if stands_for_all(space, engine):
        return None
    return f"seeds drawn from 0..{space - 1} are no sample of the {told_apart(engine)} that the engine tells apart"


def latest_part(drawn: pl.DataFrame) -> pl.DataFrame:
    """Return the runs of the part of the order that lies furthest on.

    What an earlier part chose it does not prove; and were both of them one sample, to go on with the earlier one would
    put runs between those that were looked at.
    """
    return drawn.filter(_FIRST.eq(drawn.select(_FIRST.max()).item()))


def planned(drawn: pl.DataFrame) -> pl.Series:
    """Return all places from which a part was drawn: from its first to the last that is there."""
    first, last = drawn.select(_FIRST.min(), pl.col("seed_index").max()).row(0)
    return pl.int_range(first, last + 1, eager=True).alias("seed_index")
