"""A ROOT under attack: what it answers, part by part, and whether its warehouse is whole.

Everything here runs in a child of the zygote (zygote.py): it uses DuckDB.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paraphina_wh.catalog import connect, view_names
from paraphina_wh.maintenance.integrity import Integrity, check_warehouse
from paraphina_wh.records import read_records
from paraphina_wh.warehouse import Warehouse, locate

# What is different every time a run is made or taken in.
_TIMES = ("ingested_at", "batch_id", "ingest_sec", "started_at", "duration_sec")
_TIME_IN_JSON = re.compile(rb'"(timestamp_utc|started_at|duration_sec)": ?("[^"]*"|[-+.e\d]+)')
_BATCH = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}")
_DIGEST = re.compile(r"(?<=\.)[0-9a-f]{16}(?=\.(json|folded))")
_RECORDS = "warehouse/commits/"
_SOURCES = ("run_ledger", "runs", "ticks", "dataset_rows", "mc_runs", "imported_summaries")

Parts = dict[str, str]


def look(root: str, every_view: bool = False) -> dict[str, Any]:
    """Return what a ROOT answers and what `check` finds in it.

    parts: name of a part -> what it holds, in short. findings: (problem, path, more). leftovers: files for `gc`.
    names: the files and their sizes, unfinished ones too, with the names of batches made equal. unfinished: announced
    commits that never came.
    every_view: ask all views for a row; else those that read files, on which all others are built.
    """
    warehouse = locate(root)
    if every_view:
        _ask_every_view(warehouse)
    return {**check_only(root), "parts": answers(root)}


def check_only(root: str, every_view: bool = False) -> dict[str, Any]:
    """Return what `look` does, without the answers: where damage keeps them from being asked for."""
    warehouse = locate(root)
    found = check_warehouse(warehouse) if warehouse.exists else Integrity()
    findings = [(each.problem, each.path, f"{each.detail} {each.held}") for each in found.findings]
    unfinished = [path.name for path in read_records(warehouse).unfinished]
    return {
        "findings": findings,
        "leftovers": found.leftovers,
        "names": _names(warehouse.root),
        "unfinished": unfinished,
    }


def finish(root: str, argv: list[str], every_view: bool = False) -> dict[str, Any]:
    """Run a command to its end, sweep, and return what `look` does, with exit codes and the names that are left.

    codes: of the command and of the sweep. said: what the command wrote to stderr.
    """
    code, said = _command(root, argv)
    swept, _ = _command(root, ["gc", "--delete", "--older-than", "0s"])
    return {**look(root, every_view), "codes": [code, swept], "said": said}


def _names(base: Path) -> list[tuple[str, int]]:
    """Return path and size of all files, whole records left out: how many there are tells what was interrupted."""
    files = (path for path in base.rglob("*") if not path.is_dir() or "_staging/" in str(path))
    sizes = ((str(path.relative_to(base)), path.lstat().st_size) for path in files)
    kept = ((name, size) for name, size in sizes if not name.startswith(_RECORDS) or name.endswith(".pending"))
    return sorted((_DIGEST.sub("digest", _BATCH.sub("batch", name)), size) for name, size in kept)


def _command(root: str, argv: list[str]) -> tuple[int, str]:
    from paraphina_wh.cli import main

    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.chdir(root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(argv)
        except SystemExit as end:
            code = end.code
    if not isinstance(code, int | None):
        raise AssertionError(code)
    return code or 0, err.getvalue()


def _ask_every_view(warehouse: Warehouse) -> None:
    with connect(warehouse) as connection:
        for name in view_names():
            connection.execute(f"SELECT * FROM {name} LIMIT 1").fetchall()


def answers(root: str) -> Parts:
    """Return what a ROOT answers: each file, each run, each dataset, each source of other rows."""
    warehouse = locate(root)
    return {**dict(_files(warehouse)), **_answers(warehouse)}


def _answers(warehouse: Warehouse) -> Parts:
    rows: dict[str, list[Any]] = defaultdict(list)
    with connect(warehouse, threads=1, views=_SOURCES, or_empty=True) as connection:
        for query, part in _QUERIES:
            # By way of Arrow: DuckDB itself asks for a further package to make datetimes of instants.
            for values in connection.sql(query).to_arrow_table().to_pylist():
                row = {name: value for name, value in values.items() if name not in _TIMES}
                rows[part.format(**row)].append(_plain(row))
    for held in rows.values():
        for aside in {row["source"] if "run_index" in row else row["run_id"] for row in held if _may_have_aside(row)}:
            held.append(_digest_of(warehouse.quarantine / f"{aside}.jsonl"))
    return {name: _short(held) for name, held in rows.items()}


_RUN = "run {experiment}/{profile}/{label}"
_QUERIES = (
    ("SELECT * FROM runs", _RUN),
    ("SELECT experiment, profile, label, event, run_id, supersedes FROM run_ledger ORDER BY batch_id", _RUN),
    (
        "SELECT experiment, profile, label, run_id, count(*) AS ticks, sum(hash(t)::HUGEINT) AS digest "
        "FROM ticks t JOIN (SELECT run_id, experiment FROM runs) USING (run_id) GROUP BY ALL",
        _RUN,
    ),
    ("SELECT dataset, line_no, line, raw, is_terminated FROM dataset_rows", "mirror {dataset}"),
    ("SELECT * FROM mc_runs", "mc {source_path}"),
    ("SELECT * FROM imported_summaries", "summary {source_path}"),
)


def _may_have_aside(row: dict[str, Any]) -> bool:
    """Tell whether lines put aside may belong to a row: a run with some, or a Monte Carlo run."""
    return "run_index" in row or bool(row.get("quarantined"))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    if isinstance(row.get("line"), str):
        row["line"] = _TIME_IN_JSON.sub(b"", row["line"].encode()).decode()
    return row


def _files(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """Yield what lies in ROOT, hidden files and the tables of the warehouse left out."""
    for path in sorted(warehouse.root.rglob("*")):
        inside = path.is_relative_to(warehouse.path)
        told = path.parent.name == "experiments" or path.name == "promoted.json" if inside else True
        if path.is_file() and told and not path.name.startswith("."):
            yield f"file {_BATCH.sub('batch', str(path.relative_to(warehouse.root)))}", _digest_of(path)


def _digest_of(path: Path) -> str:
    if not path.is_file():
        return f"{path.name} is not there"
    content = _TIME_IN_JSON.sub(b"", path.read_bytes())
    return f"{len(content)} bytes {hashlib.sha256(content).hexdigest()[:12]} {path.stat().st_mode & 0o777:o}"


def _short(rows: list[Any]) -> str:
    texts = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return f"{len(texts)} rows {hashlib.sha256(repr(texts).encode()).hexdigest()[:12]}"


def main() -> None:
    """Print what a ROOT answers: to compare by hand."""
    found = look(sys.argv[1])
    counts = Counter(problem for problem, *_ in found["findings"])
    print(json.dumps(found | {"counts": counts}, indent=1))


if __name__ == "__main__":
    main()
