"""Replay: recorded runs run again from their provenance, and compared tick by tick."""

from __future__ import annotations

from paraphina_wh.rerun.recorded import Recorded, find_runs, runs_of
from paraphina_wh.rerun.session import Options, rerun, rerun_many
from paraphina_wh.rerun.verdict import Rerun, difference_text

__all__ = ["Options", "Recorded", "Rerun", "difference_text", "find_runs", "rerun", "rerun_many", "runs_of"]
