"""Columnar research warehouse for the Paraphina market-making engine.

import paraphina_wh as wh

w = wh.open(".")                      # ROOT
w.sql("select * from alignment")      # polars.DataFrame
w.ticks(profile="balanced")           # polars.LazyFrame
w.ingest(["runs/exp13_auto"])         # what became of each file
w.run("my_sweep.toml", wh.RunOptions(repeats=5))
results = wh.run_many([wh.EngineRunConfig(cmd=[...], env={...}, label={...})])
wh.results_to_dataframe(results)      # polars.DataFrame
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paraphina_wh.api import OpenWarehouse
    from paraphina_wh.api import open_warehouse as open  # noqa: A004 - read as wh.open
    from paraphina_wh.engine import (
        EngineRunConfig,
        EngineRunResult,
        find_engine,
        parse_metrics,
        parse_stdout,
        results_to_dataframe,
        run_engine,
        run_many,
    )
    from paraphina_wh.errors import WarehouseError
    from paraphina_wh.experiments.planning import RunOptions
    from paraphina_wh.ingest import Options as IngestOptions
    from paraphina_wh.sandbox.limits import Limits

# Loaded when first used: the command line must start in the time of a key press.
_HOMES = {
    "OpenWarehouse": ("paraphina_wh.api", "OpenWarehouse"),
    "open": ("paraphina_wh.api", "open_warehouse"),
    "IngestOptions": ("paraphina_wh.ingest", "Options"),
    "Limits": ("paraphina_wh.sandbox.limits", "Limits"),
    "RunOptions": ("paraphina_wh.experiments.planning", "RunOptions"),
    "WarehouseError": ("paraphina_wh.errors", "WarehouseError"),
    **{
        name: ("paraphina_wh.engine", name)
        for name in (
            "EngineRunConfig",
            "EngineRunResult",
            "find_engine",
            "parse_metrics",
            "parse_stdout",
            "results_to_dataframe",
            "run_engine",
            "run_many",
        )
    },
}

__all__ = [
    "EngineRunConfig",
    "EngineRunResult",
    "IngestOptions",
    "Limits",
    "OpenWarehouse",
    "RunOptions",
    "WarehouseError",
    "find_engine",
    "open",
    "parse_metrics",
    "parse_stdout",
    "results_to_dataframe",
    "run_engine",
    "run_many",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
