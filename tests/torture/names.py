"""Nasty strings as label, profile, experiment, file name and field value of runs: they come back, or are refused.

A round deals strings out to runs, takes them in at once, and reads everything back with our views, DuckDB, Polars,
pyarrow and pandas. `python -m tests.torture.names [SEED [SECONDS]]` runs the attack by itself.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset

from paraphina_wh.ingest import Outcome
from paraphina_wh.warehouse import Warehouse, locate
from tests.nasty_strings import STRINGS, is_unicode, names_file, why_no_key
from tests.records import GOOD
from tests.telemetry_maker import SIDECAR, ask, ingest, write
from tests.torture.figures import Figure

ATTACK = "nasty strings round-tripped or refused"
# Every experiment is a commit of its own, and costs as much as three runs.
EXPERIMENTS = 40
MADE_A_ROUND = 150
_PLAIN = "plain"
_DECLARED = frozenset(GOOD)

Row = tuple[Any, ...]
Reader = Callable[[Warehouse], Iterable[Row]]


@dataclass(frozen=True)
class Case:
    """One run. number: its only tick. name: of its file, without ending. value: in the fields of the record."""

    number: int
    label: str
    profile: str
    experiment: str
    name: str
    value: str

    @property
    def refusal(self) -> str | None:
        """Return why the run must be turned down, None when it must come in."""
        keys = {"profile": self.profile, "label": self.label, "experiment": self.experiment}
        return next((f"{key} {why}" for key, text in keys.items() if (why := why_no_key(key, text))), None)

    def strings(self) -> set[str]:
        """Return the strings that were dealt to this run."""
        return {self.label, self.profile, self.experiment, self.name, self.value}


def deal(strings: Sequence[str], dice: random.Random, experiments: int = EXPERIMENTS) -> list[Case]:
    """Return runs in which every string is a label, a profile, a file name and a field value where it can be.

    Strings that can be no key get runs of their own, so that they hide no other.
    """
    fit = {key: [text for text in strings if not why_no_key(key, text)] for key in ("label", "profile", "experiment")}
    labels = fit["label"]
    profiles = _dealt(fit["profile"], len(labels), dice)
    few = _dealt(dice.sample(fit["experiment"], min(experiments, len(fit["experiment"]))), len(labels), dice)
    names = _dealt([text for text in strings if names_file(text)], len(labels), dice)
    values = _dealt([text for text in strings if is_unicode(text)], len(labels), dice)
    cases = [
        Case(number, label, profile, experiment, names[number], values[number])
        for number, (label, profile, experiment) in enumerate(zip(labels, profiles, few, strict=True))
    ]
    unfit = [(key, text) for key in fit for text in strings if why_no_key(key, text)]
    for number, (key, text) in enumerate(unfit, len(cases)):
        keys = dict.fromkeys(fit, _PLAIN) | {key: text}
        cases.append(Case(number, **keys, name=f"unfit {number}", value=_PLAIN))
    return cases


def _dealt(strings: Sequence[str], count: int, dice: random.Random) -> list[str]:
    """Return as many strings as asked for, in any order, each once before one comes twice."""
    shuffled = dice.sample(strings, len(strings))
    return [shuffled[place % len(shuffled)] for place in range(count)]


def write_inputs(folder: Path, cases: Sequence[Case]) -> dict[Path, Case]:
    """Write the telemetry and the sidecar of every case and return telemetry file -> case.

    All lie in one folder, as far as their names differ: what one name does to another would show.
    """
    files: dict[Path, Case] = {}
    for case in cases:
        # As text: `..` is a name here.
        base = (
            f"{folder}/{case.name}" if Path(f"{folder}/{case.name}.jsonl") not in files else f"{folder}/{case.number}"
        )
        keys = {"label": case.label, "profile": case.profile, "experiment": case.experiment}
        record = record_of(case.number, case.value)
        file = write(Path(f"{base}.jsonl"), json.dumps(record, ensure_ascii=bool(case.number % 2)) + "\n")
        write(Path(f"{base}.run.json"), json.dumps(SIDECAR | keys))
        files[file] = case
    return files


def record_of(t: int, value: str) -> dict[str, Any]:
    """Return a record that holds a string wherever a string may stand, undeclared fields and their names included."""
    more = {} if value in _DECLARED else {value: value}
    return {**GOOD, "t": t, "config_version_id": value, "kill_reason": value, "fills": [{"venue_id": value}], **more}


def extra_of(value: str) -> str | None:
    """Return what is stored of the undeclared fields of such a record."""
    return None if value in _DECLARED else json.dumps({value: value}, ensure_ascii=False, separators=(",", ":"))


def by_our_views(warehouse: Warehouse) -> list[Row]:
    """Return t, profile, label, kill reason and extra of every tick, as all readers do."""
    return ask(warehouse, "SELECT t, profile, label, kill_reason, extra FROM ticks")


def by_a_bare_duckdb(warehouse: Warehouse) -> list[Row]:
    """Return them as DuckDB reads the folder."""
    query = "SELECT t, profile, label, kill_reason, extra FROM read_parquet($glob, hive_partitioning = true)"
    with duckdb.connect(":memory:") as connection:
        return connection.execute(query, {"glob": str(warehouse.telemetry / "**" / "*.parquet")}).fetchall()


def by_polars(warehouse: Warehouse) -> list[Row]:
    """Return them as Polars reads the folder."""
    ticks = pl.scan_parquet(warehouse.telemetry / "**/*.parquet", hive_partitioning=True)
    return ticks.select("t", "profile", "label", "kill_reason", "extra").collect().rows()


def by_pyarrow(warehouse: Warehouse) -> list[Row]:
    """Return them as pyarrow reads the folder."""
    ticks = pyarrow.dataset.dataset(warehouse.telemetry, partitioning="hive")
    columns = ticks.to_table(["t", "profile", "label", "kill_reason", "extra"]).columns
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def by_pandas(warehouse: Warehouse) -> list[Row]:
    """Return them as pandas reads the folder."""
    names = ["t", "profile", "label", "kill_reason", "extra"]
    ticks = pd.read_parquet(warehouse.telemetry, columns=names).astype(object)
    ticks = ticks.where(ticks.notna(), None)
    return list(zip(*(ticks[name] for name in names), strict=True))


READERS: tuple[Reader, ...] = (by_our_views, by_a_bare_duckdb, by_polars, by_pyarrow, by_pandas)


def take_in(root: Path, cases: Sequence[Case], *, jobs: int = 1) -> Iterator[tuple[set[str], str]]:
    """Take the cases in below a folder, and yield the strings that did not hold with what went wrong.

    The folder gets an input folder and a ROOT; nothing else may change in it.
    """
    files = write_inputs(root / "in", cases)
    (root / "ROOT").mkdir()
    before = _listing(root, besides=root / "ROOT")
    warehouse = locate(root / "ROOT")
    report = ingest(warehouse, *files, jobs=jobs, new_profile=True)
    for outcome in report:
        case = files[Path(outcome.file)]
        problem = _misjudged(case, outcome)
        if problem:
            yield case.strings(), f"{case}: {problem}"
    taken = {case.number: case for case in cases if case.refusal is None}
    yield from _misread(warehouse, taken, files)
    if _listing(root, besides=warehouse.path) != before:
        yield {text for case in cases for text in case.strings()}, "something was written outside the warehouse"


def _listing(folder: Path, besides: Path) -> list[tuple[str, int]]:
    """Return all files and folders but those of the warehouse, and what is above it."""
    found = [path for path in folder.rglob("*") if besides not in (path, *path.parents) and path not in besides.parents]
    return sorted((str(path), path.lstat().st_mtime_ns) for path in found)


def _misjudged(case: Case, outcome: Outcome) -> str | None:
    said = "; ".join(outcome.errors)
    if case.refusal is None:
        return None if outcome.status == "ingested" else f"{outcome.status}: {said}"
    if outcome.status != "rejected" or not outcome.hint:
        return f"{outcome.status}, and not refused for: {case.refusal}"
    key, _, expected = case.refusal.partition(" ")
    if not is_unicode(getattr(case, key)):
        # Half a character makes the sidecar no JSON, which shows before its keys are looked at.
        expected = "not a run sidecar"
    elif case.refusal == "profile is empty":
        expected = "tells no profile"
    return None if expected in said else f"refused for {said!r} instead of {expected!r}"


def _misread(warehouse: Warehouse, taken: dict[int, Case], files: dict[Path, Case]) -> Iterator[tuple[set[str], str]]:
    expected = {
        number: (number, case.profile, case.label, case.value, extra_of(case.value)) for number, case in taken.items()
    }
    for read in READERS:
        found = {row[0]: tuple(row) for row in read(warehouse)}
        for number, case in taken.items():
            if found.pop(number, None) != expected[number]:
                yield case.strings(), f"{case}: not given back {read.__name__}"
        if found:
            yield {text for case in taken.values() for text in case.strings()}, f"{read.__name__}: more rows {found}"
    rows = ask(warehouse, "SELECT profile, label, experiment, telemetry_path, cfg_version FROM runs")
    asked = {
        (case.profile, case.label, case.experiment, str(path), case.value)
        for path, case in files.items()
        if case.refusal is None
    }
    for row in {*rows} ^ asked:
        yield {text for text in row if text is not None}, f"{row}: not in the ledger as it went in"


def made(dice: random.Random, count: int) -> list[str]:
    """Return strings made of several nasty ones."""
    return list({"".join(dice.choices(STRINGS, k=dice.randint(2, 4))) for _ in range(count)})


def attack(seed: int, seconds: float = 120.0) -> Figure:
    """Deal out the whole list once, then strings made of it until the time is up."""
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    tried, failed = set(STRINGS), _round(seed, deal(STRINGS, dice))
    while time.monotonic() < end:
        strings = made(dice, MADE_A_ROUND)
        tried |= {*strings}
        failed |= _round(seed, deal(strings, dice, experiments=5))
    return Figure(ATTACK, len(tried), len(tried - failed), "strings", seed)


def _round(seed: int, cases: Sequence[Case]) -> set[str]:
    """Run one round in a folder of its own and return the strings that did not hold."""
    failed: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="names-") as folder:
        for strings, problem in take_in(Path(folder), cases, jobs=2):
            failed |= strings
            print(f"names, seed {seed}: {problem!a}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    print(attack(*numbers) if numbers else attack(1))
