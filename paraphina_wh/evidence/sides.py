"""The two sides of a comparison: which runs a name stands for, and how their seeds came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import duckdb
import polars as pl

from paraphina_wh.catalog import sql_folder
from paraphina_wh.engine.seeds import SEED_SPACE
from paraphina_wh.errors import WarehouseError
from paraphina_wh.evidence.bounds import ENDLESS
from paraphina_wh.evidence.sample import false_claim, part_of_seeds
from paraphina_wh.nearest import did_you_mean

VIEWS: Final = ("engine_presets", "run_ledger", "runs", "experiment_runs")
_ONE_RUN: Final = ("run_id", "label", "digits")
_SHOWN: Final = 10
_NAMES: Final = 1000


@dataclass(frozen=True)
class Side:
    """The runs that a name stands for, failed ones included, in the order in which they came in.

    runs: columns of sql/import/compared_runs.sql.
    """

    name: str
    runs: pl.DataFrame

    @property
    def is_one_run(self) -> bool:
        """Tell whether the name is that of a single run."""
        return self.runs.height == 1 and self.runs["kind"][0] in _ONE_RUN

    @property
    def config(self) -> str:
        """The configuration that all runs have."""
        return str(self.runs["config"][0])

    @property
    def tier(self) -> str:
        """The tier whose budgets count."""
        return str(self.runs["profile"][0]).strip().lower()

    @property
    def ticks(self) -> int | None:
        """Ticks asked for; None when nobody knows."""
        ticks: int | None = self.runs["ticks_requested"][0]
        return ticks

    @property
    def seed_space(self) -> int | None:
        """So many seeds the engine tells apart; None when nobody knows."""
        spaces = self.runs["seed_space"].drop_nulls().unique().to_list()
        return spaces[0] if len(spaces) == 1 else SEED_SPACE.get(self.runs["engine"][0] or "")

    @property
    def has_all_seeds(self) -> bool:
        """Tell whether every seed there is was run."""
        seeds = self.runs["seed"].drop_nulls().unique()
        space = self.seed_space
        return bool(space and len(seeds) == space > seeds.max() and not part_of_seeds(self.runs, space))  # type: ignore[operator]

    @property
    def orders(self) -> list[tuple[str, int]]:
        """Key and space of the random orders that the seeds were drawn from; none when some were not drawn."""
        of_draw = ("seed", "seed_key", "seed_index", "seed_space")
        if not self.runs["seed_origin"].eq_missing("drawn").all() or any(self.runs[n].null_count() for n in of_draw):
            return []
        return self.runs.select("seed_key", "seed_space").unique().sort("seed_key", "seed_space").rows()

    @property
    def seeds_shown(self) -> str:
        """How messages call the seeds."""
        [(low, high)] = self.runs.select(low=pl.col("seed").min(), high=pl.col("seed").max()).rows()
        return f"seeds {low}..{high} of {self.name}"


@dataclass(frozen=True)
class Order:
    """The order in which the seeds of both sides come.

    basis: drawn (at random, in the order of a key), all (every seed there is), assumed (independent, as was asked for),
    listed. space: so many seeds there are. open_because: why runs in this order prove nothing; empty when they do.
    """

    basis: str
    space: int
    open_because: str = ""


def find_side(connection: duckdb.DuckDBPyConnection, name: str, profile: str | None) -> Side:
    """Return the runs that a name stands for; a connection has the views VIEWS.

    Raises: WarehouseError (exit code 2) for a name that nothing has, and for runs of several configurations.
    """
    query = (sql_folder() / "import" / "compared_runs.sql").read_text()
    runs: pl.DataFrame = connection.sql(query, params={"name": name, "profile": profile}).pl()
    if runs.is_empty():
        raise _nothing(connection, name, profile)
    if runs["config"].n_unique() > 1:
        raise _several(name, runs)
    return Side(name, runs)


def order_of(a: Side, b: Side, *, assume_independent: bool) -> Order:
    """Return the order in which the seeds of two sides are looked at."""
    unlike = _unlike(a, b)
    if a.has_all_seeds and b.has_all_seeds and a.seed_space == b.seed_space:
        return Order("all", a.seed_space or ENDLESS, unlike)
    if len(a.orders) == 1 and a.orders == b.orders:
        key, space = a.orders[0]
        claims = (false_claim(side.runs, key, space) or part_of_seeds(side.runs, space) for side in (a, b))
        return Order("drawn", space, unlike or next(filter(None, claims), ""))
    if assume_independent:
        return Order("assumed", ENDLESS, unlike)
    return Order("listed", ENDLESS, unlike or _why_not(a, b))


def _unlike(a: Side, b: Side) -> str:
    """Return why the runs of a seed do not see the same market; empty when they do."""
    for what in ("engine", "ticks_requested"):
        values = [side.runs[what][0] for side in (a, b)]
        if values[0] != values[1]:
            return f"runs of {a.name} and {b.name} are no pairs: {what} {values[0]} and {values[1]}"
    seedless = next((side for side in (a, b) if side.runs["seed"].null_count()), None)
    return f"{seedless.runs['seed'].null_count()} runs of {seedless.name} have no seed" if seedless else ""


def _why_not(a: Side, b: Side) -> str:
    plain = [side.seeds_shown for side in (a, b) if not side.orders]
    if plain:
        return "; ".join(dict.fromkeys(plain)) + " were not drawn at random"
    keys = ", ".join(f"{key!r} of {space}" for key, space in dict.fromkeys([*a.orders, *b.orders]))
    return f"the seeds were drawn in several random orders: {keys}"


def _nothing(connection: duckdb.DuckDBPyConnection, name: str, profile: str | None) -> WarehouseError:
    held = connection.execute(
        "SELECT experiment FROM runs UNION SELECT profile FROM runs"
        " UNION (SELECT DISTINCT label FROM runs LIMIT $names)",
        {"names": _NAMES},
    ).fetchall()
    experiments = connection.execute("SELECT DISTINCT experiment FROM runs ORDER BY experiment").fetchall()
    otherwise = f"experiments: {', '.join(each for (each,) in experiments) or 'none yet'}"
    hint = did_you_mean(name, sorted(each for (each,) in held if each), otherwise)
    of_profile = f" of profile {profile!r}" if profile else ""
    return WarehouseError(f"no run, experiment or configuration {name!r}{of_profile}", hint, exit_code=2)


def _several(name: str, runs: pl.DataFrame) -> WarehouseError:
    """Return the error that lists what there is to choose from."""
    settings = ["config", "profile", "knobs_json", "ticks_requested", "engine", "engine_version"]
    configs = (
        runs.group_by(settings, maintain_order=True).agg(pl.len().alias("runs")).unique("config", maintain_order=True)
    )
    shown = "; ".join(
        " ".join(
            [
                config,
                profile,
                knobs or "{}",
                f"{ticks} ticks",
                engine or "engine unknown",
                version or "",
                f"{count} runs",
            ]
        )
        for config, profile, knobs, ticks, engine, version, count in configs.head(_SHOWN).iter_rows()
    )
    more = f"; and {configs.height - _SHOWN} more" if configs.height > _SHOWN else ""
    return WarehouseError(
        f"{name!r} stands for runs of {configs.height} configurations, which cannot be pooled",
        f"name one of them, or --profile: {shown}{more}",
        exit_code=2,
    )
