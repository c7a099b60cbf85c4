"""From what the user names to files and their kinds."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.kinds import (
    JSONL_ENDINGS,
    TABLE_ENDINGS,
    TEXT_ENDINGS,
    Kind,
    holds_dataset_rows,
    is_exported,
    kind_of,
)
from paraphina_wh.sidecar import STDOUT_SUFFIX, SUFFIX
from paraphina_wh.telemetry.source import ending_of, plain_name
from paraphina_wh.warehouse import Warehouse

_PACKINGS: Final = ("", ".gz", ".zst")
_STDERR_SUFFIX: Final = ".stderr.txt"
_WITH_PATHS: Final = "_with_ts.csv"
# What analysis steps write: made of runs, and no measurement of its own.
_MADE_BY_STEPS: Final = re.compile(
    r"exp(?:06_safe_region|07|10|11|12)_.*\.csv|exp08_presets\.csv|loop_report\.csv|until_decided_.*\.csv"
)
_SOURCE_OF_PRESETS: Final = "exp07_source_summary.csv"


@dataclass(frozen=True, order=True)
class Input:
    """A file to take in. named: by the user, not found in a folder."""

    path: Path
    kind: Kind
    named: bool


@dataclass
class Found:
    """The files to take in, sorted, each once; left_out: what lay in a folder and is none of them, with the reason."""

    inputs: list[Input] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def of(self, *kinds: Kind) -> list[Path]:
        """Return the files of some kinds."""
        return [found.path for found in self.inputs if found.kind in kinds]


def find_inputs(warehouse: Warehouse, paths: Sequence[str | Path]) -> Found:
    """Return the files named by paths, folders (with all below them) and globs.

    A sidecar stands for a run that wrote no telemetry. What lies in the warehouse is no input. In a folder, files of
    no known kind are left out, and so is what experiments and analysis steps wrote from the warehouse.
    Raises: WarehouseError (exit code 2) for a path that is not there.
    """
    named: dict[Path, bool] = {}
    for path in paths:
        for file, by_user in _expand(str(path)):
            named[file] = named.get(file, False) or by_user
    inside = {file: by_user for file, by_user in named.items() if not _is_inside(warehouse, file)}
    found = Found()
    for file in sorted(inside):
        _add(found, file, inside[file])
    _mark_shorter_tables(found)
    return found


def _is_inside(warehouse: Warehouse, file: Path) -> bool:
    return file.absolute().is_relative_to(warehouse.path)


def _add(found: Found, file: Path, named: bool) -> None:
    kind = kind_of(file)
    if not named and (is_exported(file) or _MADE_BY_STEPS.fullmatch(file.name)):
        return
    # Of a table of runs that was named, the rows tell whether the runs are here.
    if kind == "summary_table" and (is_exported(file) or file.name == _SOURCE_OF_PRESETS):
        kind = "exported"
    if not named and (kind == "unknown" or (kind == "dataset" and not holds_dataset_rows(file))):
        found.left_out.append(str(file))
    else:
        found.inputs.append(Input(file, kind, named))


def _mark_shorter_tables(found: Found) -> None:
    """Mark tables of runs beside which the same runs stand with the metrics of their paths."""
    shorter = {
        path.with_name(path.name.removesuffix(_WITH_PATHS) + ending)
        for path in found.of("runs_table")
        if path.name.endswith(_WITH_PATHS)
        for ending in (".csv", "_raw.csv")
    }
    found.inputs = [replace(each, kind="shorter") if each.path in shorter else each for each in found.inputs]


def _expand(text: str) -> Iterator[tuple[Path, bool]]:
    path = Path(text)
    # A path that exists is itself, whatever a glob would make of its characters.
    matches = [path] if path.exists() else [Path(match) for match in glob.glob(text, recursive=True)]  # noqa: PTH207
    if not matches:
        raise WarehouseError(f"no such file or folder: {text}", "check the path", exit_code=2)
    for match in matches:
        if match.is_dir():
            yield from ((file, False) for file in _below(match))
        elif match.is_file():
            yield _run_of(match), True
        else:
            raise WarehouseError(f"not a file: {text}", "give a stream as standard input: -", exit_code=2)


def _run_of(file: Path) -> Path:
    """Return the input that a file belongs to: a shell's `*` names sidecars and stdout beside the telemetry."""
    for suffix in (SUFFIX, STDOUT_SUFFIX, _STDERR_SUFFIX):
        if file.name.endswith(suffix):
            sidecar = file.with_name(file.name.removesuffix(suffix) + SUFFIX)
            return _telemetry_of(sidecar) or (sidecar if sidecar.is_file() else file)
    return file


def _below(folder: Path) -> Iterator[Path]:
    """Yield what may be an input below a folder: files by their endings, and the sidecars of runs without telemetry."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file():
            continue
        ending = ending_of(path)
        if path.name.endswith(SUFFIX):
            if not _telemetry_of(path):
                yield path
        elif ending in (*JSONL_ENDINGS, *TABLE_ENDINGS) or (ending in TEXT_ENDINGS and not _has_run(path)):
            yield path


def _has_run(text: Path) -> bool:
    """Tell whether a text lies beside the telemetry or the sidecar of the run that it tells of, or is its stderr."""
    name = plain_name(text)
    base = name.removesuffix(STDOUT_SUFFIX) if name.endswith(STDOUT_SUFFIX) else Path(name).stem
    sidecar = text.with_name(base + SUFFIX)
    return name.endswith(_STDERR_SUFFIX) or sidecar.is_file() or _telemetry_of(sidecar) is not None


def _telemetry_of(sidecar: Path) -> Path | None:
    """Return the telemetry that a sidecar belongs to, if it exists."""
    base = sidecar.name.removesuffix(SUFFIX)
    names = (base + kind + packed for kind in _either_case(JSONL_ENDINGS) for packed in _either_case(_PACKINGS))
    return next((path for name in names if (path := sidecar.with_name(name)).is_file()), None)


def _either_case(endings: Sequence[str]) -> list[str]:
    return [*endings, *(ending.upper() for ending in endings if ending)]
