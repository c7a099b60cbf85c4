"""Engines made for a test: shell scripts, which start in a millisecond, and the reference engine where it is needed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from tests.telemetry_maker import reference_run

# The first seeds of the order 1, of the 10,000 that a real engine tells apart.
DRAWN = (4400, 1029, 8803, 2535)

# Runs the reference engine with the flags of the script; after `exec` nothing of the script is left.
REFERENCE = f'{shlex.quote(sys.executable)} -P -m paraphina_wh.reference_engine "$@"'

# Engines without a version: the runner asks each for it before the first run.
NO_VERSION = '[ "$1" = --version ] && exit 1'

# The values of --seed and --profile as $seed and $profile.
FLAGS = 'for word in "$@"; do case $before in --seed) seed=$word;; --profile) profile=$word;; esac; before=$word; done'

# Plays back the recorded run of its seed, and of the profile of the flag or of the environment.
_REPLAY = """
run=$recorded/${profile:-$PARAPHINA_RISK_PROFILE}_$seed
[ -z "$PARAPHINA_TELEMETRY_PATH" ] || cp "$run.jsonl" "$PARAPHINA_TELEMETRY_PATH"
cat "$run.stdout.txt"
"""


def engine(path: Path, *lines: str) -> Path:
    """Write a shell script that can be run as an engine, and return its path."""
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


def replay(recorded: Path) -> str:
    """Return the lines of an engine that plays back what `record_runs` left: for many runs that need no market."""
    return f"{FLAGS}\nrecorded={shlex.quote(str(recorded))}{_REPLAY}"


def record_runs(folder: Path, *, ticks: int, seeds: Iterable[int]) -> Path:
    """Record runs of the reference engine, of each profile with each seed, and return the folder."""
    for profile, seed in product(("conservative", "balanced", "aggressive"), list(seeds)):
        reference_run(folder / f"{profile}_{seed}.jsonl", ticks=ticks, seed=seed)
    return folder
