"""The warehouse itself: every file is where its commit put it, and is what it was then.

What is right is told by the records of the commits; nothing is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import polars as pl
import pyarrow.parquet as pq
from pyarrow import ArrowException

from paraphina_wh import commit
from paraphina_wh.catalog import door_problem, sql_folder
from paraphina_wh.datasets.listing import list_datasets
from paraphina_wh.errors import WarehouseError
from paraphina_wh.maintenance.places import (
    is_of_source,
    is_of_table,
    is_schema,
    is_ticks_file,
    other_files,
    stored_files,
)
from paraphina_wh.maintenance.reading import steadily, views
from paraphina_wh.promoted import read_promotions
from paraphina_wh.records import Records, StoredFile, file_sha256, read_records
from paraphina_wh.warehouse import Warehouse


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was committed.

    problem: `missing`, `truncated`, `changed`, `foreign` (no commit put it there), `orphaned` (its commit never came),
    `unrecorded` (the record of its commit is gone), `unreadable`, `broken` (what has no record, but cannot be right),
    `ledger` (the account does not add up), `condensed`, `source` or `ticks` (a deep check came to other values),
    `outdated` (so does the definition that metrics have today), `dataset`,
    `quarantined` (`repair` took it out of the answers).
    path: relative to the warehouse. detail: what is wrong. held: what was in it, in plain words.
    """

    problem: str
    path: str
    detail: str = ""
    held: str = ""


@dataclass
class Integrity:
    """What a check found. files: hashed and right. runs: with an account that adds up. leftovers: for `gc`.

    doors: what is wrong with `init.sql` and the catalog file, which the next command makes anew.
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    runs: int = 0
    leftovers: int = 0
    doors: str | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether everything is as it was committed."""
        return not self.findings

    @property
    def paths(self) -> set[str]:
        """Return the paths of what was found."""
        return {finding.path for finding in self.findings}

    def is_readable(self, table: Path) -> bool:
        """Tell whether every file of a table can be read; what was put aside disturbs nobody."""
        return not any(f.path.startswith(f"{table.name}/") and f.problem != "quarantined" for f in self.findings)

    def frame(self) -> pl.DataFrame:
        """Return a row for each finding."""
        names = ("problem", "path", "detail", "held")
        rows = [tuple(getattr(finding, name) for name in names) for finding in self.findings]
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def check_warehouse(
    warehouse: Warehouse,
    on_plan: Callable[[int], None] = lambda total: None,
    on_file: Callable[[], None] = lambda: None,
) -> Integrity:
    """Compare every file with what its commit recorded, the ledger with itself, and the datasets with their mirror.

    Others may go on working: what changed meanwhile is looked at twice. on_plan is told the number of files to read,
    on_file is called after each.
    Raises: WarehouseError (exit code 2) when there is no warehouse.
    """
    if damage := warehouse.format_damage():
        # Without it nothing else can be asked for.
        problem = "changed" if (warehouse.path / "FORMAT").exists() else "missing"
        return Integrity([Finding(problem, "FORMAT", damage, "what makes the folder a warehouse")])
    warehouse.check_exists()
    records, found = read_records(warehouse), Integrity()
    on_plan(len(records.files))
    found.findings += _damaged_records(warehouse, records)
    found.findings += _changed(warehouse, records, found, on_file)
    found.findings += _changed_later(warehouse, records)
    live = _accounts(warehouse, found)
    found.findings += _strangers(warehouse, records, live)
    found.findings += _put_aside(warehouse, records, live)
    found.findings += _broken_texts(warehouse)
    # A missing file of columns would be made anew on the way, and here nothing is written.
    if found.is_readable(warehouse.datasets) and not any(map(is_schema, found.paths)):
        found.findings += [Finding("dataset", "", error.message) for error in list_datasets(warehouse).errors]
    with suppress(WarehouseError):
        # What is promoted cannot be read: that is a finding already.
        found.doors = door_problem(warehouse)
    found.leftovers = sum((warehouse.path / name).exists() for name in records.dropped) + len(records.unfinished)
    return found


def _damaged_records(warehouse: Warehouse, records: Records) -> Iterator[Finding]:
    if warehouse.commits.is_symlink():
        yield Finding("foreign", warehouse.commits.name, "a symbolic link that no commit put there")
    for name in records.unreadable:
        yield Finding(
            "changed", f"commits/{name}", "damaged: what it accounts for cannot be told", "record of a commit"
        )


# Files with a record


def _changed(warehouse: Warehouse, records: Records, found: Integrity, on_file: Callable[[], None]) -> list[Finding]:
    def look(path: str) -> Finding | None:
        finding = compare(warehouse, path, [file for file, _ in records.files[path]])
        on_file()
        return finding

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = dict(zip(records.files, pool.map(look, records.files), strict=True))
    findings = _second_look(warehouse, (path for path, finding in looked.items() if finding))
    whole = looked.keys() - {finding.path for finding in findings}
    found.files, found.bytes = len(whole), sum(records.files[path][-1][0].bytes for path in whole)
    return findings


def _changed_later(warehouse: Warehouse, records: Records) -> list[Finding]:
    """Return files that only wait for their removal, and are damaged: as long as they lie there, views read them."""
    replaced = records.replaced.items()
    there = [path for path, expected in replaced if _is_damaged(compare(warehouse, path, expected))]
    return [finding for finding in _second_look(warehouse, there) if _is_damaged(finding)]


def _is_damaged(finding: Finding | None) -> bool:
    """Tell whether a file lies there and is not what it should be."""
    return finding is not None and finding.problem != "missing"


def compare(warehouse: Warehouse, path: str, expected: list[StoredFile]) -> Finding | None:
    """Return what is wrong with a file that commits put in place; None when it is what one of them recorded."""
    there, last = warehouse.path / path, expected[-1]
    if there.is_symlink():
        return Finding("changed", path, "a symbolic link stands in its place", last.holds)
    try:
        size, sha256 = there.stat().st_size, file_sha256(there)
    except FileNotFoundError:
        return Finding("missing", path, f"{last.bytes} bytes are gone", last.holds)
    except OSError as error:
        return Finding("unreadable", path, error.strerror or "", last.holds)
    if any(sha256 == file.sha256 for file in expected):
        return None
    if size < last.bytes:
        return Finding("truncated", path, f"{size} of {last.bytes} bytes are left", last.holds)
    return Finding("changed", path, f"its SHA-256 is {sha256[:12]}…, committed was {last.sha256[:12]}…", last.holds)


def first_damaged(warehouse: Warehouse, within_s: float) -> Finding | None:
    """Return the first file that is not what its commit recorded; None when none was found in so many seconds."""
    end = time.monotonic() + within_s
    for path, expected in read_records(warehouse).files.items():
        finding = compare(warehouse, path, [file for file, _ in expected])
        if _is_damaged(finding) or time.monotonic() > end:
            return finding
    return None


def _second_look(warehouse: Warehouse, paths: Iterable[str], live: set[str] | None = None) -> list[Finding]:
    """Return what is wrong with files while nobody commits: others may have been at work since the first look."""
    again = sorted(paths)
    if not again:
        return []
    with commit.nobody_commits(warehouse):
        records = read_records(warehouse)
        looked = [_look(warehouse, records, path, live) for path in again]
    return [finding for finding in looked if finding]


def _look(warehouse: Warehouse, records: Records, path: str, live: set[str] | None) -> Finding | None:
    if path in records.files:
        return compare(warehouse, path, [file for file, _ in records.files[path]])
    there = warehouse.path / path
    if not there.exists() and not there.is_symlink():
        return None
    if path in records.dropped:
        return compare(warehouse, path, records.replaced[path]) if path in records.replaced else None
    return stranger(warehouse, there, live or set())


# Files without


def _strangers(warehouse: Warehouse, records: Records, live: set[str] | None) -> Iterator[Finding]:
    """Yield the files that no record tells of; those that a commit took out wait for `gc`."""
    names = (str(path.relative_to(warehouse.path)) for path in stored_files(warehouse))
    unknown = [name for name in names if name not in records.files and name not in records.dropped]
    yield from _second_look(warehouse, unknown, live)
    for path in other_files(warehouse):
        yield Finding("foreign", path.name, "nothing of a warehouse; no answer reads it")


def stranger(warehouse: Warehouse, path: Path, live: set[str]) -> Finding:
    """Return what a file is that no record tells of: of a live run, of a commit that never came, or a foreign one."""
    name = str(path.relative_to(warehouse.path))
    if path.is_symlink():
        return Finding("foreign", name, "a symbolic link that no commit put there")
    holds = _ticks_of(warehouse, path) if is_ticks_file(warehouse, path) else ""
    is_aside = path.parent == warehouse.quarantine and path.suffix == ".jsonl"
    if (
        is_schema(name)
        or is_of_table(warehouse, path)
        or ((holds or is_aside) and path.stem in live)
        or is_of_source(warehouse, path)
    ):
        return Finding("unrecorded", name, "the record of its commit is gone: nothing tells whether it is whole", holds)
    if holds or is_aside:
        return Finding("orphaned", name, "its ingest was killed before the commit: in no answer", holds)
    return Finding("foreign", name, "no commit put it there; views may read it")


def _ticks_of(warehouse: Warehouse, path: Path) -> str:
    """Return what a telemetry file says of itself; nothing when it is no such file, or a copy in another place."""
    try:
        footer = pq.read_metadata(path)
        told = {key.decode(): text.decode() for key, text in (footer.metadata or {}).items() if key != b"ARROW:schema"}
        if path != warehouse.ticks_file(told["profile"], told["label"], told["run_id"]):
            return ""
    except (ArrowException, OSError, ValueError, KeyError, WarehouseError):
        return ""
    return f"{footer.num_rows} ticks of run {told['run_id']} ({told['profile']}, {told['label']})"


def _put_aside(warehouse: Warehouse, records: Records, live: set[str] | None) -> Iterator[Finding]:
    """Yield the damaged files that are out of the answers, but for those of runs that are, too."""
    for path, file in records.damaged.items():
        if live is None or answers(warehouse, records, path, live):
            yield Finding(
                "quarantined", path, "damaged, and out of the answers until `repair` has its source", file.holds
            )


def answers(warehouse: Warehouse, records: Records, path: str, live: set[str]) -> bool:
    """Tell whether a file that was put aside would answer for something: its run may be withdrawn by now."""
    if any(each.startswith(f"{warehouse.runs.name}/") for each in records.damaged):
        # As long as a part of the ledger is missing, nobody can tell which runs count.
        return True
    if not path.startswith((f"{warehouse.telemetry.name}/", f"{warehouse.quarantine.name}/")) or is_schema(path):
        return True
    return Path(path).stem in live or is_of_source(warehouse, warehouse.path / path)


def _broken_texts(warehouse: Warehouse) -> Iterator[Finding]:
    """Yield the small files that are replaced as a whole, and so have no record, when they are not what they should."""
    try:
        read_promotions(warehouse.path)
    except WarehouseError as error:
        yield Finding("broken", "promoted.json", error.message, "the columns of promoted fields")
    for path in sorted((warehouse.path / "experiments").glob("*.json")):
        try:
            msgspec.json.decode(path.read_bytes())
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            yield Finding("broken", str(path.relative_to(warehouse.path)), str(error), "what was last planned")


# The ledger


def _accounts(warehouse: Warehouse, found: Integrity) -> set[str] | None:
    """Return the runs that count, and find those whose account does not add up; None when it cannot be read."""
    if not found.is_readable(warehouse.runs):
        return None
    query = (sql_folder() / "check" / "ledger.sql").read_text()

    def read() -> list[tuple[str, str, str, list[str]]]:
        with views(warehouse, "run_ledger", "runs") as connection:
            return connection.execute(query).fetchall()

    try:
        runs = steadily(read)
    except WarehouseError as error:
        found.findings.append(Finding("broken", warehouse.runs.name, error.message, "the ledger of runs"))
        return None
    for run_id, profile, label, problems in runs:
        found.findings += [Finding("ledger", f"run {run_id}", problem, f"{profile}, {label}") for problem in problems]
        found.runs += not problems
    return {run_id for run_id, *_ in runs}
