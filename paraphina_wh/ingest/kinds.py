"""What kind of file an input is: its content tells, and only where that leaves room its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

from paraphina_wh.candidates import is_per_run, is_summary
from paraphina_wh.engine.stdout import parse_stdout
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.header import read_header
from paraphina_wh.ingest.log import read_log
from paraphina_wh.known import TIERS
from paraphina_wh.sidecar import SUFFIX, sidecar_path, stem
from paraphina_wh.telemetry.shape import TICKS, record_shape
from paraphina_wh.telemetry.source import ending_of, open_source

Kind = Literal[
    "telemetry",
    "stdout",
    "dataset",
    "mc_runs",
    "runs_table",
    "summary_table",
    "exported",
    "view_rows",
    "shorter",
    "foreign",
    "unknown",
]

HARNESS_NAME: Final = re.compile(rf"({'|'.join(TIERS)})_r(\d+)")
JSONL_ENDINGS: Final = (".jsonl", ".ndjson")
TEXT_ENDINGS: Final = (".txt", ".log")
TABLE_ENDINGS: Final = (".csv",)
# What only this program writes: rows of its views carry these names, whoever kept them in a file.
_OF_VIEWS: Final = (
    {"run_id", "batch_id"},
    {"run_id", "evidence_id"},
    {"run_id", "plan_key"},
    {"run_id", "profile", "label", "t"},
)
# What analysis steps add to means.
_OF_STEPS: Final = frozenset({"safe_cell", "kill_verdict"})
# Beside a table: the experiment file whose runner exported it from the warehouse.
EXPORTED_MARK: Final = "experiment.toml"

_DATASET_NAME: Final = re.compile(r"research_dataset_.*")
_UNMAPPED: Final = ("metrics", "trajectories")
# How far to look for the first JSON object.
_LINES: Final = 1000
_LONGEST_LINE: Final = 1 << 20
_TEXT_BYTES: Final = 1 << 16
_FIRST_OBJECTS: Final = 20
_KEYS_SHOWN: Final = 8
_LONGEST_NAME: Final = 40
NOT_TELEMETRY: Final = "`paraphina-wh schema ticks` shows what telemetry has; leave files of other kinds out"


def kind_of(file: Path) -> Kind:
    """Return what a file is, by its first object, its header or its text.

    JSON lines that might be telemetry count as such: the strict reader then says what is wrong with them.
    A file that cannot be read is of the kind of its ending, for the reader of that kind to say why.
    """
    if file.name.endswith(SUFFIX):
        return "telemetry"
    ending = ending_of(file)
    try:
        if ending in JSONL_ENDINGS:
            return _kind_of_json(file)
        if ending in TABLE_ENDINGS:
            return _kind_of_table(file)
        return _kind_of_text(file)
    except (WarehouseError, OSError):
        return "telemetry" if ending in JSONL_ENDINGS else "runs_table" if ending in TABLE_ENDINGS else "unknown"


def _kind_of_json(file: Path) -> Kind:
    name = stem(file)
    if name in _UNMAPPED:
        return "unknown"
    if name == "mc_runs":
        return "mc_runs"
    if HARNESS_NAME.fullmatch(name) or sidecar_path(file).is_file():
        # Thousands of runs of a sweep need no second look.
        return "telemetry"
    fields = _first_fields(file)
    if _is_of_views(fields) and not _is_research_row(fields):
        return "view_rows"
    if {"run_index", "seed"} <= fields and "t" not in fields:
        return "mc_runs"
    if _DATASET_NAME.fullmatch(name) or ("t" not in fields and _is_dataset_row(fields)):
        return "dataset"
    return "foreign" if why_foreign(file) else "telemetry"


def why_foreign(file: Path) -> str:
    """Return why the objects of a file are no telemetry: none of the first has half of the required fields."""
    first: list[str] = []
    for fields in islice(_objects(file), _FIRST_OBJECTS):
        if 2 * len(fields & _required()) >= len(_required()):
            return ""
        first = first or [*fields]
    if not first:
        return ""
    shown = ", ".join(name[:_LONGEST_NAME] for name in first[:_KEYS_SHOWN]) + ", ..." * (len(first) > _KEYS_SHOWN)
    return f"not telemetry: its first object has the keys {shown}"


@cache
def _required() -> frozenset[str]:
    return frozenset(name for name, field in record_shape(TICKS.record).fields.items() if field.required)


def _is_of_views(names: Set[str]) -> bool:
    """Tell whether a row with these columns is one of a view on a warehouse."""
    return any(columns <= names for columns in _OF_VIEWS)


def _is_research_row(names: Set[str]) -> bool:
    return {"timestamp_utc", "num_ticks"} <= names and "source_kind" not in names


def _is_dataset_row(fields: Set[str]) -> bool:
    # Imported here: the package of datasets brings libraries that the ingest of telemetry does without.
    from paraphina_wh.datasets.columns import CANDIDATES

    return all(fields & set(CANDIDATES[column]) for column in ("final_pnl", "max_drawdown"))


def holds_dataset_rows(file: Path) -> bool:
    """Tell whether one of the first lines of a file is a run of a research dataset."""
    return any(_is_dataset_row(fields) for fields in _objects(file))


def _first_fields(file: Path) -> Set[str]:
    """Return the names in the first JSON object, lower case; none when there is none near the start."""
    return next(_objects(file), set())


def _objects(file: Path) -> Iterator[Set[str]]:
    """Yield the names in each of the first objects, lower case, in their order."""
    with open_source(file) as stream:
        for line in islice(_lines(stream), _LINES):
            try:
                found = msgspec.json.decode(line.replace(b"NaN", b"null"), type=dict[str, msgspec.Raw])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            yield dict.fromkeys(name.lower() for name in found).keys()


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines until one is longer than any first line would be."""
    while (line := stream.readline(_LONGEST_LINE)) and (line.endswith(b"\n") or len(line) < _LONGEST_LINE):
        yield line


def is_exported(file: Path) -> bool:
    """Tell whether a table lies where the runner of an experiment writes its own."""
    return ending_of(file) in TABLE_ENDINGS and (file.parent / EXPORTED_MARK).is_file()


def _kind_of_table(file: Path) -> Kind:
    header = read_header(file).names
    names = {name.lower() for name in header}
    if _is_of_views(names):
        return "view_rows"
    # Presets carry means too, the table beside mc_runs.jsonl a PnL for each run, and so does one of ticks.
    if "rank_within_tier" in names or {"ticks_executed", "max_abs_q_tao"} <= names or {"t", "pnl_total"} <= names:
        return "unknown"
    if names & _OF_STEPS:
        return "exported"
    if is_summary(header):
        return "summary_table"
    # Experiments that read telemetry alone have no other PnL in their tables.
    return "runs_table" if is_per_run(header) or "pnl_total_end" in names else "unknown"


def _kind_of_text(file: Path) -> Kind:
    with open_source(file) as stream:
        start = stream.read(_TEXT_BYTES)
    if start.lstrip().startswith(b"{") and ending_of(file) not in TEXT_ENDINGS:
        return _kind_of_json(file)
    found = parse_stdout(read_log(file).text)
    return "stdout" if found.has_summary or found.cfg_version or found.profile else "unknown"


def why_unknown(file: Path) -> tuple[str, str]:
    """Return what to say of a file that is of no known kind: the reason, and the next step."""
    ending = ending_of(file)
    if ending in JSONL_ENDINGS and stem(file) not in _UNMAPPED:
        return why_foreign(file), NOT_TELEMETRY
    if ending in JSONL_ENDINGS:
        return "no schema is known for files of this name", "telemetry goes by any other name"
    if ending in TABLE_ENDINGS:
        return _why_not_a_table(file)
    return (
        "neither telemetry nor a research dataset, Monte Carlo runs, a table of runs or what an engine says on stdout",
        "a stdout log needs the engine's banner or its PnL summary",
    )


def _why_not_a_table(file: Path) -> tuple[str, str]:
    from paraphina_wh.candidates import PER_RUN, SUMMARY

    header = read_header(file).names
    names = {name.lower() for name in header}
    if "rank_within_tier" in names:
        return "a table of presets, not of runs", "read it with `paraphina-wh run exp12 --presets-csv`"
    if {"t", "pnl_total"} <= names:
        return "a table of ticks, not of runs", "ingest the telemetry itself"
    if "ticks_executed" in names:
        return "the rounded twin of mc_runs.jsonl", "ingest mc_runs.jsonl itself, which is exact"
    tried = ", ".join(PER_RUN["final_pnl"]), ", ".join(SUMMARY["final_pnl_mean"])
    return (
        f"no column of a PnL for each run ({tried[0]}) and none of a mean PnL ({tried[1]})",
        f"columns present: {', '.join(header)[:300]}",
    )
