"""What the name of a CSV says about its experiment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from paraphina_wh.telemetry.source import plain_name

_ENDING: Final = re.compile(r"(.+?)_(?:runs|summary)(?:_raw|_with_ts)?")
# Experiments whose files have a shorter name. Source: the artefact contract.
_SHORTENED: Final = {
    "exp03_stress": "exp03_stress_search",
    "exp04": "exp04_multi_scenario",
    "exp05": "exp05_telemetry_validation",
    "exp08_profile": "exp08_profile_validation",
}


def experiment_of(name: str) -> str:
    """Return the experiment that a table is named after: `exp03_stress_runs.csv` -> `exp03_stress_search`.

    Tables of any other name are `adhoc`.
    """
    named = _ENDING.fullmatch(Path(plain_name(Path(name))).stem)
    return _SHORTENED.get(named[1], named[1]) if named else "adhoc"
