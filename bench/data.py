"""The telemetry that everything is measured on: written by the reference engine, nothing in it repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parent / ".cache"
PROFILES = ("conservative", "balanced", "aggressive")
_FIRST_SEED = 1000
_LEAST_TICKS, _MOST_TICKS = 40, 400
# A large size penalty keeps positions small: the long run is not killed.
_LONG_RUN_KNOBS = {"PARAPHINA_MM_SIZE_ETA": "50"}


@dataclass(frozen=True)
class Scale:
    """How much is measured: ticks of the large file, number of small runs, rounds, runs given to the old way."""

    large_ticks: int = 20_000
    runs: int = 300
    rounds: int = 5
    old_runs: int = 30
    starts: int = 15


FULL = Scale()
QUICK = Scale(large_ticks=2_000, runs=24, rounds=1, old_runs=3, starts=3)


@dataclass(frozen=True)
class Data:
    """large: folder with one file. many: folder with a file a run. recorded: runs of the real engine, if there."""

    large: Path
    many: Path
    recorded: Path | None

    def files(self, name: str) -> list[Path]:
        """Return the files of `large` or `many`."""
        return sorted(getattr(self, name).glob("*.jsonl"))


def prepare(scale: Scale) -> Data:
    """Return the data, written first where the cache does not hold it, and read it once so that it is in memory."""
    data = Data(CACHE / f"large_{scale.large_ticks}", CACHE / f"many_{scale.runs}", _recorded())
    _write_runs([_large_run(data.large, scale)])
    _write_runs([_small_run(data.many, number) for number in range(scale.runs)])
    _check_length(data.large, scale.large_ticks)
    _warm(data.files("many"))
    return data


def _warm(files: Sequence[Path]) -> None:
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.read(1 << 20):
                pass


def size_of(files: Sequence[Path]) -> int:
    """Return the bytes of files."""
    return sum(file.stat().st_size for file in files)


@dataclass(frozen=True)
class _Run:
    target: Path
    profile: str
    seed: int
    ticks: int
    knobs: dict[str, str]


def _large_run(folder: Path, scale: Scale) -> _Run:
    return _Run(folder / "balanced_r1.jsonl", "balanced", 2, scale.large_ticks, _LONG_RUN_KNOBS)


def _small_run(folder: Path, number: int) -> _Run:
    profile = PROFILES[number % len(PROFILES)]
    ticks = _LEAST_TICKS + number * 97 % (_MOST_TICKS - _LEAST_TICKS + 1)
    name = f"{profile}_r{number // len(PROFILES) + 1}.jsonl"
    return _Run(folder / name, profile, _FIRST_SEED + number, ticks, {})


def _write_runs(runs: Sequence[_Run]) -> None:
    missing = [run for run in runs if not run.target.exists()]
    if missing:
        print(f"writing {len(missing)} run(s) to {missing[0].target.parent.name} ...", file=sys.stderr)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_write_run, missing))


def _write_run(run: _Run) -> None:
    run.target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = run.target.with_suffix(".part")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARAPHINA_")}
    telemetry = {"PARAPHINA_TELEMETRY_MODE": "jsonl", "PARAPHINA_TELEMETRY_PATH": str(unfinished)}
    subprocess.run(
        [
            *(sys.executable, "-m", "paraphina_wh.reference_engine"),
            *("--profile", run.profile, "--seed", str(run.seed), "--ticks", str(run.ticks)),
        ],
        env=kept | telemetry | run.knobs,
        check=True,
        capture_output=True,
    )
    unfinished.rename(run.target)


def _check_length(folder: Path, ticks: int) -> None:
    (file,) = folder.glob("*.jsonl")
    with file.open("rb") as stream:
        lines = sum(1 for _ in stream)
    if lines != ticks:
        raise SystemExit(f"{file.name}: {lines} ticks instead of {ticks}: the run was killed")


def _recorded() -> Path | None:
    """Return the folder of recorded runs: $PARAPHINA_RECORDED, else `recorded` or `../shared/recorded`."""
    root = Path(__file__).parent.parent
    named = os.environ.get("PARAPHINA_RECORDED")
    candidates = [Path(named)] if named else [root / "recorded", root.parent / "shared" / "recorded"]
    return next((path / "exp13_auto" for path in candidates if (path / "exp13_auto").is_dir()), None)
