"""The names there are: the profiles that engines know, and the profiles and experiments that a warehouse holds.

A mistyped profile would be a tier of its own: its runs would be missing from the budgets of the tier that was meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from paraphina_wh.catalog import connect, steady
from paraphina_wh.errors import WarehouseError
from paraphina_wh.nearest import did_you_mean
from paraphina_wh.warehouse import Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TIERS: Final = ("conservative", "balanced", "aggressive")


def check_profile(profile: str, known: Collection[str], hint: str = "") -> None:
    """Raise a WarehouseError (exit code 2) for a profile that is not known. hint: what else is to be said."""
    if profile not in known:
        meant = did_you_mean(profile, known, f"profiles: {', '.join(known)}")
        raise WarehouseError(f"unknown profile {profile!r}", "; ".join(filter(None, (meant, hint))), exit_code=2)


def no_budget(profile: str) -> str:
    """Return what to say of a profile that is no tier."""
    return f"profile {profile!r} has no risk budget, no verdict counts its runs; tiers: {', '.join(TIERS)}"


def check_profiles(warehouse: Warehouse, profiles: Iterable[str], hint: str = "") -> None:
    """Raise a WarehouseError (exit code 2) for a profile that is no tier, and that no run of the warehouse has."""
    wanted = set(profiles)
    known = TIERS if wanted <= {*TIERS} else profiles_of(warehouse)
    for profile in sorted(wanted):
        check_profile(profile, known, hint)


@steady
def profiles_of(warehouse: Warehouse) -> tuple[str, ...]:
    """Return the tiers, and what other profiles the runs of a warehouse have."""
    with connect(warehouse, views=("run_ledger", "runs"), or_empty=True) as connection:
        return known_profiles(connection)


def known_profiles(connection: DuckDBPyConnection) -> tuple[str, ...]:
    """Return the tiers, and what other profiles the runs of a connection have."""
    held = connection.execute("SELECT DISTINCT profile FROM runs ORDER BY profile").fetchall()
    return *TIERS, *(profile for (profile,) in held if profile not in TIERS)


def check_experiment(connection: DuckDBPyConnection, experiment: str) -> None:
    """Raise a WarehouseError (exit code 2) for an experiment that no run of a connection has."""
    if connection.execute("SELECT 1 FROM runs WHERE experiment = ? LIMIT 1", [experiment]).fetchone() is None:
        raise no_runs(connection, experiment)


def no_runs(connection: DuckDBPyConnection, experiment: str, what: str = "runs") -> WarehouseError:
    """Return the error that a connection has no runs of an experiment, with the name that is meant, or all."""
    held = connection.execute("SELECT DISTINCT experiment FROM runs ORDER BY experiment").fetchall()
    names = [name for (name,) in held]
    hint = did_you_mean(experiment, names, f"experiments: {', '.join(names) or 'none yet'}")
    return WarehouseError(f"no {what} of experiment {experiment!r}", hint, exit_code=2)
