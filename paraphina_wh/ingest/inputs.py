"""From what the user names to files and their kinds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from paraphina_wh.errors import WarehouseError
from paraphina_wh.folders import Entry, entries_below, named_by, problem_of
from paraphina_wh.ingest.kinds import (
    JSONL_ENDINGS,
    TABLE_ENDINGS,
    TEXT_ENDINGS,
    Kind,
    holds_dataset_rows,
    is_exported,
    kind_of,
    leftover,
    what_is,
    why_unknown,
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


@dataclass(frozen=True, order=True)
class LeftOut:
    """What lay in a folder and is not taken in. what: what it is, in words; empty when its ending is no input's."""

    path: str
    what: str = ""


@dataclass
class Found:
    """The files to take in, sorted, each once; left_out: what lay in a folder and is none of them."""

    inputs: list[Input] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def of(self, *kinds: Kind) -> list[Path]:
        """Return the files of some kinds."""
        return [found.path for found in self.inputs if found.kind in kinds]


def find_inputs(warehouse: Warehouse, paths: Sequence[str | Path]) -> Found:
    """Return the files named by paths, folders (with all below them) and globs.

    A sidecar stands for a run that wrote no telemetry. What lies in the warehouse is no input. In a folder, files of
    no known kind are left out, and so is what experiments and analysis steps wrote from the warehouse. What has the
    name of an input and cannot be read is an input all the same, to be turned down.
    Raises: WarehouseError (exit code 2) for a path that is not there, or when nothing but odd entries were named.
    """
    found = Found()
    candidates = _candidates(paths, found)
    if candidates and all(each.named and each.problem for each in candidates):
        first = candidates[0]
        raise WarehouseError(f"{first.path}: {first.problem}", why_unknown(first.path)[1], exit_code=2)
    for each in sorted(_each_once(warehouse, candidates, found)):
        _add(found, each)
    _mark_shorter_tables(found)
    found.left_out.sort()
    return found


@dataclass(frozen=True, order=True)
class _Candidate:
    """What may be an input. named: by the user. problem: why it is no file that can be read."""

    path: Path
    named: bool
    problem: str


def _candidates(paths: Sequence[str | Path], found: Found) -> list[_Candidate]:
    """Return what may be an input, a file once under each path that leads to it; what is none goes to found."""
    named: dict[Path, _Candidate] = {}
    for each in (each for path in paths for each in _expand(str(path), found)):
        if each.named or each.path not in named:
            named[each.path] = each
    found.left_out = list(dict.fromkeys(found.left_out))
    return list(named.values())


def _each_once(warehouse: Warehouse, candidates: Iterable[_Candidate], found: Found) -> Iterator[_Candidate]:
    """Yield what lies outside of the warehouse, each once: by its own path rather than by one with links in it."""
    folders: dict[Path, Path] = {}
    by_place: dict[Path, _Candidate] = {}
    inside = Path(os.path.realpath(warehouse.path))
    for each in sorted(candidates):
        parent = each.path.parent
        if parent not in folders:
            folders[parent] = Path(os.path.realpath(parent))
        if folders[parent].is_relative_to(inside) or each.path.absolute().is_relative_to(warehouse.path):
            continue
        place = folders[parent] / each.path.name
        other = by_place.get(place)
        # A folder reached in two ways: what the user named counts, then the way without a link.
        if other is None or (each.named, parent.absolute() == folders[parent]) > (other.named, False):
            by_place[place] = each
    yield from (each for place, each in by_place.items() if not _leads_to_another(place, each, by_place, found))


def _leads_to_another(place: Path, each: _Candidate, by_place: Mapping[Path, _Candidate], found: Found) -> bool:
    """Tell whether something is a link to a file that is taken in under its own name, such as `latest.jsonl`."""
    if each.problem or not place.is_symlink():
        return False
    target = by_place.get(Path(os.path.realpath(place)))
    if target is None or target.problem:
        return False
    found.left_out.append(LeftOut(str(each.path), f"a link to {target.path}, which is taken in"))
    return True


def _add(found: Found, candidate: _Candidate) -> None:
    file, named = candidate.path, candidate.named
    kind = "unknown" if candidate.problem else kind_of(file)
    is_made = not candidate.problem and (is_exported(file) or bool(_MADE_BY_STEPS.fullmatch(file.name)))
    # Of a table of runs that was named, the rows tell whether the runs are here.
    if kind == "summary_table" and not candidate.problem and (is_exported(file) or file.name == _SOURCE_OF_PRESETS):
        kind = "exported"
    if is_made and not named:
        found.left_out.append(LeftOut(str(file), "made of runs that the warehouse has"))
    elif not named and not candidate.problem and (kind == "unknown" or not _holds_what_it_is(file, kind)):
        found.left_out.append(LeftOut(str(file), what_is(file)))
    else:
        found.inputs.append(Input(file, kind, named))


def _holds_what_it_is(file: Path, kind: Kind) -> bool:
    return kind != "dataset" or holds_dataset_rows(file)


def _mark_shorter_tables(found: Found) -> None:
    """Mark tables of runs beside which the same runs stand with the metrics of their paths."""
    shorter = {
        path.with_name(path.name.removesuffix(_WITH_PATHS) + ending)
        for path in found.of("runs_table")
        if path.name.endswith(_WITH_PATHS)
        for ending in (".csv", "_raw.csv")
    }
    found.inputs = [replace(each, kind="shorter") if each.path in shorter else each for each in found.inputs]


def _expand(text: str, found: Found) -> Iterator[_Candidate]:
    # A path that exists is itself, whatever a glob would make of its characters.
    matches = [Path(text)] if os.path.lexists(text) else named_by(text)
    if not matches:
        raise WarehouseError(f"no such file or folder: {text}", "check the path", exit_code=2)
    for match in matches:
        if match.is_dir():
            yield from _below(match, found)
        else:
            problem = problem_of(match)
            yield _Candidate(match if problem else _run_of(match), True, problem)


def _run_of(file: Path) -> Path:
    """Return the input that a file belongs to: a shell's `*` names sidecars and stdout beside the telemetry."""
    for suffix in (SUFFIX, STDOUT_SUFFIX, _STDERR_SUFFIX):
        if file.name.endswith(suffix):
            sidecar = file.with_name(file.name.removesuffix(suffix) + SUFFIX)
            return _telemetry_of(sidecar) or (sidecar if sidecar.is_file() else file)
    return file


def _below(folder: Path, found: Found) -> Iterator[_Candidate]:
    """Yield what may be an input below a folder: files by their endings, and the sidecars of runs without telemetry.

    A folder that cannot be read may hold inputs, so it counts as one that cannot.
    """
    for each in entries_below(folder):
        path = each.path
        if _may_be_input(each):
            yield _Candidate(path, False, each.problem)
        elif each.problem or leftover(path):
            found.left_out.append(LeftOut(str(path), each.problem or leftover(path)))
        elif not _belongs_to_a_run(path):
            found.left_out.append(LeftOut(str(path)))


def _may_be_input(entry: Entry) -> bool:
    path = entry.path
    if entry.is_loop or leftover(path):
        return False
    if path.name.endswith(SUFFIX):
        return not _telemetry_of(path)
    ending = ending_of(path)
    if entry.problem and path.is_dir():
        return True
    return ending in (*JSONL_ENDINGS, *TABLE_ENDINGS) or (ending in TEXT_ENDINGS and not _has_run(path))


def _belongs_to_a_run(path: Path) -> bool:
    return path.name.endswith(SUFFIX) or (ending_of(path) in TEXT_ENDINGS and _has_run(path))


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
