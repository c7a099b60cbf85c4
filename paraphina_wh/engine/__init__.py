"""Running engines as subprocesses and reading what they print."""

from __future__ import annotations

from paraphina_wh.engine.config import EngineRunConfig, LabelValue, check_label
from paraphina_wh.engine.ending import Asked, asked_of
from paraphina_wh.engine.frame import results_to_dataframe
from paraphina_wh.engine.knobs import KNOBS, PREFIX, KnobKind, check_knobs
from paraphina_wh.engine.locate import Engine, find_engine
from paraphina_wh.engine.result import EngineRunResult, Metrics, RunStatus
from paraphina_wh.engine.run import MetricsParser, run_engine, run_many
from paraphina_wh.engine.stdout import StdoutSummary, parse_metrics, parse_stdout

__all__ = [
    "KNOBS",
    "PREFIX",
    "Asked",
    "Engine",
    "EngineRunConfig",
    "EngineRunResult",
    "KnobKind",
    "LabelValue",
    "Metrics",
    "MetricsParser",
    "RunStatus",
    "StdoutSummary",
    "asked_of",
    "check_knobs",
    "check_label",
    "find_engine",
    "parse_metrics",
    "parse_stdout",
    "results_to_dataframe",
    "run_engine",
    "run_many",
]
