"""The results as text: the table, the profile and what they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.comparisons import Row
from bench.data import Data, Scale, size_of
from bench.raw_copy import OBJECT_BYTES, ROW_GROUP

PACKAGES = ("duckdb", "polars", "pyarrow", "msgspec", "pandas")
_VERDICTS = {True: "met", False: "**missed**", None: ""}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | measured: median (least–most) | bar | verdict |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.measured} | {row.bar} | {_VERDICTS[row.met]} |" for row in rows]
    return "\n".join(lines) + "\n"


def profile_table(phases: dict[str, dict[str, float]]) -> str:
    """Return the seconds of each phase as a Markdown table, a column for each data set."""
    names = list(phases)
    lines = ["| phase | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for phase in phases[names[0]]:
        shares = [_share(phases[name], phase) for name in names]
        lines += [f"| {phase} | {' | '.join(shares)} |"]
    return "\n".join(lines) + "\n"


def _share(spent: dict[str, float], phase: str) -> str:
    return f"{spent[phase]:.2f} s, {100 * spent[phase] / sum(spent.values()):.0f} %"


def document(rows: Sequence[Row], phases: dict[str, dict[str, float]], data: Data, scale: Scale) -> str:
    """Return `docs/benchmarks.md`."""
    large, many = data.files("large"), data.files("many")
    return f"""# Benchmarks

Written by `make bench` (`python -m bench`), {datetime.now(UTC):%Y-%m-%d}. One machine, one run: {_machine()}.
{_versions()}.

{table(rows)}
Data, written by the embedded reference engine, nothing in it repeated: (a) one run of {scale.large_ticks:,} ticks,
{size_of(large) / 1e6:.0f} MB; (b) {len(many)} runs of 40 to 400 ticks, {size_of(many) / 1e6:.0f} MB, three profiles,
every run another seed. The recorded runs are telemetry of the real engine. All of it is in the page cache.

## How it is measured

- Contenders take turns within a round, {scale.rounds} rounds, every time in fresh processes and into a fresh folder,
  after a `sync`. Ratios are taken round by round. Other work on the machine shows in the spread.
- *Whole ingest* is `ingest_paths` into an empty warehouse that is set up: the strict pass, the account of the bytes,
  hashes, Parquet, the condensed rows, fsync, commit.
- *Raw COPY* is DuckDB alone with declared columns, all of them, in order, to Parquet with zstd: no check, no hash, no
  fsync. Its settings are the fastest of those tried: objects of {OBJECT_BYTES >> 20} MB, row groups of {ROW_GROUP}
  rows (smaller ones keep all threads writing, for 5 % of size); dictionary limits, another zstd level and the second
  page format gain nothing. The ingest names the nested types with CREATE TYPE before it reads, which a COPY on short
  files gains from too: a row of its own.
- (a) uses all cores in one process, and neither side's clock counts the start of the process. (b) uses one process a
  core, for the raw COPY with the files dealt round-robin; both clocks run from the first start of a process to the
  last end.
- *Old way*: a fresh process a run, one after the other, that reads the file with `pandas.read_json(lines=True)` and
  appends the research row to a JSONL file; measured on {scale.old_runs} of the {scale.runs} runs, three rounds at most.
- *Strict reader*: MB of JSONL a second of CPU time, from memory. The ingest runs it without the search for duplicate
  keys, which its columnar read refuses. Quiet ticks are those without orders and fills.
- Peak memory is the resident set of the largest single process.

## Reading the ratios

- A raw COPY with small row groups keeps every core busy from start to end. What the ingest does beyond it (strict
  pass, hash, condensing, commit) comes on top, with no idle core to hide on. With DuckDB's default row groups the write
  of a large run ends on one core, and the ingest uses the other.
- On many small runs the cost is the COPY itself, some 250 leaf columns a file, for both sides.
- The line *old way / raw COPY* says what the old way is beaten by without any check at all: a bound for the ingest.

## Where the time goes

The ingest on one thread, its two passes one after the other (with more cores they overlap on large files, and small
files share the cores).

{profile_table(phases)}"""


def _machine() -> str:
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu.split(':')[-1].strip()}, {os.cpu_count()} cores, {memory:.0f} GB of memory"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _versions() -> str:
    named = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {named}"
