"""The names under which a column may stand in a dataset file."""

from __future__ import annotations

from typing import Final

from paraphina_wh.tables import DATASET_COLUMNS as COLUMNS

# The names of other tools, best first; a dot is part of the key. Source: the artefact contract, alignment.
CANDIDATES: Final = {
    "profile": ["profile", "risk_profile", "tier"],
    "final_pnl": ["final_pnl", "metrics.final_pnl", "pnl_total", "metrics.pnl_total"],
    "max_drawdown": ["max_drawdown", "metrics.max_drawdown"],
    "kill_prob": ["p_kill_switch", "kill_switch", "kill", "kill_prob", "metrics.kill_prob"],
}

__all__ = ["CANDIDATES", "COLUMNS"]
