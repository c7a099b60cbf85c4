"""The contract gate: validate telemetry and Monte Carlo files where they lie; nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from paraphina_wh.errors import WarehouseError
from paraphina_wh.folders import Entry, entries_below
from paraphina_wh.telemetry.reader import BadLine, Ledger, Sinks, read_strict
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS, Contract
from paraphina_wh.telemetry.source import ending_of, foreign_text, open_source, plain_name

_ENDINGS = (".jsonl", ".ndjson")
_UNMAPPED = ("metrics", "trajectories")
# Ours, and no telemetry: the versioned datasets at ROOT, and the lines that an ingest put aside.
_OURS = re.compile(r"research_dataset_v\d+\.jsonl")
_QUARANTINE = "quarantine"
_UNDECLARED_SHOWN = 20


@dataclass(frozen=True)
class FileReport:
    """What the gate says of one file.

    records: accepted ones. errors: broken rules in the whole file; lines: the first of them as text.
    exit_code: 0 valid, 1 contract breach or damaged data, 2 not readable or without a schema.
    """

    path: Path
    contract: str = ""
    records: int = 0
    errors: int = 0
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    exit_code: int = 0

    def text(self) -> list[str]:
        """Return the verdict: a line, and below it what is wrong."""
        if not self.errors:
            return [f"OK: {self.records} records in {self.path} ({self.contract}{self._undeclared_text()})"]
        left_out = self.errors - len(self.lines)
        return [
            f"FAILED: {self.errors} errors in {self.path}",
            *self.lines,
            *([f"... and {left_out} more"] if left_out else []),
        ]

    def _undeclared_text(self) -> str:
        if not self.undeclared:
            return ""
        left_out = len(self.undeclared) - _UNDECLARED_SHOWN
        more = f" and {left_out} more" if left_out > 0 else ""
        return f"; undeclared fields: {', '.join(self.undeclared[:_UNDECLARED_SHOWN])}{more}"


def check_paths(
    paths: Sequence[Path],
    max_errors: int = 10,
    on_plan: Callable[[int], None] = lambda total: None,
    on_file: Callable[[], None] = lambda: None,
) -> list[FileReport]:
    """Validate files and folders and return a report on each file.

    A folder stands for every .jsonl and .ndjson file below it, compressed ones too, but not for research datasets
    and quarantined lines. A cut-off last line and an
    empty file are warnings. on_plan is told the number of files, on_file is called after each.

    Raises: WarehouseError (exit code 2) when a path does not exist, before any file is read.
    """
    files = [file for path in paths for file in _files(path)]
    on_plan(len(files))
    reports = []
    for file in files:
        reports.append(check_file(file, max_errors))
        on_file()
    return reports


def exit_code_of(reports: Sequence[FileReport]) -> int:
    """Return the exit code for all reports together: what could not be checked (2) outweighs a breach (1)."""
    return max((report.exit_code for report in reports), default=0)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(each.path for each in entries_below(path, hidden=True) if _is_meant(each))
    elif path.exists():
        yield path
    else:
        raise WarehouseError(f"no such file or folder: {path}", "check the path", exit_code=2)


def _is_meant(entry: Entry) -> bool:
    """Tell whether a folder that is named means this file too, or a folder in it that cannot be read."""
    path = entry.path
    if entry.is_loop or (entry.problem and path.is_dir()):
        return not entry.is_loop
    name = plain_name(path)
    return ending_of(path) in _ENDINGS and not _OURS.fullmatch(name) and path.parent.name != _QUARANTINE


def contract_of(path: Path) -> Contract | None:
    """Return the contract of a file by its name; None for the known names that have no schema."""
    stem = Path(plain_name(path)).stem if ending_of(path) in _ENDINGS else ""
    if stem in _UNMAPPED:
        return None
    return MC_RUNS if stem == "mc_runs" else TICKS


def check_file(path: Path, max_errors: int = 10) -> FileReport:
    """Validate one file by the contract of its name and return what was found."""
    contract = contract_of(path)
    if contract is None:
        return _unchecked(path, "no schema is known for files of this name", exit_code=2)
    found: list[str] = []
    try:
        with open_source(path, may_be_cut=True) as source:
            ledger = read_strict(source, contract, Sinks(bad=lambda bad: _note(found, bad, max_errors)))
        # A pipe cannot be read twice.
        how, hint = foreign_text(path) if ledger.errors and path.is_file() else ("", "")
    except WarehouseError as error:
        return _unchecked(path, error.message, error.exit_code, found)
    report = _report(path, contract, ledger, found)
    return replace(report, warnings=[*report.warnings, f"the file {how}: {hint}"]) if how else report


def _unchecked(path: Path, reason: str, exit_code: int, found: Sequence[str] = ()) -> FileReport:
    """Return the report on a file that was not read to its end. found: what was wrong before."""
    return FileReport(path, errors=1 + len(found), lines=[reason, *found], exit_code=exit_code)


def _note(found: list[str], bad: BadLine, most: int) -> None:
    found.extend(
        f"line {bad.line}: {breach.field or 'record'}: {breach.reason}" for breach in bad.breaches[: most - len(found)]
    )


def _report(path: Path, contract: Contract, ledger: Ledger, found: list[str]) -> FileReport:
    # A cut-off last line is one error of the reader, and a warning here.
    errors = ledger.errors - ledger.truncated
    return FileReport(
        path=path,
        contract=contract.name,
        records=ledger.rows,
        errors=errors,
        lines=found[:errors],
        warnings=ledger.warnings(),
        undeclared=sorted(ledger.unknown),
        exit_code=1 if errors else 0,
    )
