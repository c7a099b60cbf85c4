"""The analysis steps around presets: chosen (exp07), tuned (exp12), compared (exp10), packaged (exp08); the safe region
(exp06).

The formulas are views (sql/6*.sql, over sql/4*.sql); here is what they are asked about: the latest sweep of the
warehouse, or CSV files that stand for it.
"""

from __future__ import annotations

from paraphina_wh.presets.inputs import input_file
from paraphina_wh.presets.package import Packaged, package_presets, write_packaged
from paraphina_wh.presets.preset_table import PresetTable, preset_table, read_presets
from paraphina_wh.presets.safe_region import SafeRegion, safe_region, write_safe_region
from paraphina_wh.presets.select import Presets, preset_environment, select_presets, write_presets
from paraphina_wh.presets.tune import SIZE_ETA_CAVEAT, Tuned, find_tuned, read_tuned, tune_presets, write_tuned
from paraphina_wh.presets.views import Sweep, latest_sweep, risk_tiers
from paraphina_wh.presets.world_model import WorldModelAlignment, world_model_alignment, write_world_model_alignment

__all__ = [
    "SIZE_ETA_CAVEAT",
    "Packaged",
    "PresetTable",
    "Presets",
    "SafeRegion",
    "Sweep",
    "Tuned",
    "WorldModelAlignment",
    "find_tuned",
    "input_file",
    "latest_sweep",
    "package_presets",
    "preset_environment",
    "preset_table",
    "read_presets",
    "read_tuned",
    "risk_tiers",
    "safe_region",
    "select_presets",
    "tune_presets",
    "world_model_alignment",
    "write_packaged",
    "write_presets",
    "write_safe_region",
    "write_tuned",
    "write_world_model_alignment",
]
