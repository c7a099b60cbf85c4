"""Fields that come and go: what the runs of a warehouse hold beyond the declared record, and what they lack of it."""

from paraphina_wh.drift.frame import scan_ticks
from paraphina_wh.drift.promote import Promoted, demote, promote
from paraphina_wh.drift.report import Drift, read_drift

__all__ = ["Drift", "Promoted", "demote", "promote", "read_drift", "scan_ticks"]
