"""Quarantine: the lines that an ingest put aside, listed, shown, replayed after a fix, or dropped for good.

The lines lie in `warehouse/quarantine/<run_id>.jsonl`, the ledger has their numbers.
"""

from __future__ import annotations

from paraphina_wh.quarantine.chosen import Chosen, Replayed, choose, choose_all
from paraphina_wh.quarantine.drop import drop
from paraphina_wh.quarantine.held import Held, find
from paraphina_wh.quarantine.listing import Listing, list_quarantine
from paraphina_wh.quarantine.replay import replay
from paraphina_wh.quarantine.show import Shown, show

__all__ = [
    "Chosen",
    "Held",
    "Listing",
    "Replayed",
    "Shown",
    "choose",
    "choose_all",
    "drop",
    "find",
    "list_quarantine",
    "replay",
    "show",
]
