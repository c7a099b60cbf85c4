"""The rules of the house, read off the source: arrows go one way, no circles, and each SQL file says what it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from paraphina_wh.catalog import sql_folder

PACKAGE = Path(__file__).parents[1] / "paraphina_wh"

# Each layer may import from itself and from those below it. A name stands for a module or a whole package.
LAYERS = [
    ["cli", "__main__"],
    ["__init__", "api"],
    ["experiments"],
    [
        *("ingest", "engine", "datasets", "presets", "rerun", "export", "summary", "alignment", "evidence"),
        *("query", "sandbox", "check", "status", "dictionary", "quarantine", "maintenance", "drift"),
    ],
    ["catalog", "sidecar", "ledger", "tables", "candidates", "promoted", "tick_views", "known"],
    ["warehouse", "telemetry", "commit", "records", "failpoints", "formats", "text", "shell_door"],
    ["errors", "escape", "folders", "interrupt", "duck", "scratch", "nearest", "temporary", "masking"],
]
# The embedded engine is a program of its own: others start it, none imports it but to name it.
APART = "reference_engine"


@cache
def modules() -> dict[str, Path]:
    """Return dotted name below the package -> file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports anywhere, type checking and functions included."""
    known = modules()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("paraphina_wh."):
                inside = name.removeprefix("paraphina_wh.")
                yield inside if inside in known else inside.rpartition(".")[0] or "__init__"


@cache
def arrows() -> dict[str, set[str]]:
    return {name: set(imports(path)) - {name} for name, path in modules().items()}


def room(module: str) -> str:
    return module.split(".")[0]


def layer(module: str) -> int:
    return next(i for i, rooms in enumerate(LAYERS) if room(module) in rooms)


def test_every_room_has_its_layer() -> None:
    assert {room(name) for name in modules()} - {APART} == {name for rooms in LAYERS for name in rooms}


# What a reader would otherwise take from the path, the name or a sample of a file.
STATED = {
    "read_parquet": ["hive_partitioning"],
    "read_json": ["hive_partitioning", "auto_detect", "compression", "columns", "records"],
    "read_csv": ["hive_partitioning", "auto_detect", "compression", "columns"],
    "scan_parquet": ["hive_partitioning", "hive_schema", "glob"],
}
PLAIN_READERS = {"ParquetFile", "read_schema", "read_metadata"}


def calls(text: str, name: str) -> Iterator[str]:
    """Yield the calls of a function, to the bracket that closes them."""
    for found in re.finditer(rf"\b{name}\(", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[found.start() : end]


def test_no_reader_of_files_guesses() -> None:
    """A folder named `t=5` would stand in for the column t, `x.gz` for packed data, the first lines for all."""
    files = [*modules().values(), *sql_folder().rglob("*.sql")]
    said = {path: re.sub(r"--.*|#.*", "", path.read_text()) for path in files}
    silent = [
        f"{path.name}: {call}"
        for path, text in said.items()
        for name, options in STATED.items()
        for call in calls(text, name)
        if not all(option in call for option in options)
    ]
    assert silent == []
    others = r"\b(?:read_text\(\$|read_blob|read_ndjson|scan_ndjson|scan_csv|read_json_auto|read_csv_auto|sniff_csv)"
    assert [path.name for path, text in said.items() if re.search(others, text)] == []
    readers = {name for text in said.values() for name in re.findall(r"\bpq\.(\w*(?:read|File|Dataset)\w*)", text)}
    assert readers <= PLAIN_READERS


def test_no_arrow_points_backwards() -> None:
    backwards = [
        f"{source} -> {target}"
        for source, targets in arrows().items()
        for target in targets
        if APART not in (room(source), room(target)) and layer(source) > layer(target)
    ]
    assert backwards == []


def test_the_embedded_engine_stands_apart() -> None:
    outward = {target for source, targets in arrows().items() if room(source) == APART for target in targets}
    assert {room(target) for target in outward} <= {APART}


def test_modules_form_no_circle() -> None:
    left = arrows()
    while free := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets - free for name, targets in left.items() if name not in free}
    while unused := left.keys() - {target for targets in left.values() for target in targets}:
        left = {name: targets for name, targets in left.items() if name not in unused}
    assert left == {}


def test_pandas_is_never_needed() -> None:
    assert [
        name for name, path in modules().items() if re.search(r"^\s*(import|from) pandas", path.read_text(), re.M)
    ] == []


def test_errors_are_caught_narrowly() -> None:
    wide = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = "" if node.type is None else ast.unparse(node.type)
                cleans_up = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                if caught in ("", "Exception") or (caught == "BaseException" and not cleans_up):
                    wide.append(f"{name}:{node.lineno}")
    assert wide == []


@pytest.mark.parametrize("path", sorted(sql_folder().rglob("*.sql")), ids=lambda path: str(path.name))
def test_each_sql_file_opens_with_name_grain_and_sources(path: Path) -> None:
    head = re.match(r"(--.*\n)+", path.read_text())
    assert head, "no comment at the top"
    name = path.stem.split("_", 1)[1] if path.stem[0].isdigit() else path.stem
    assert head[0].startswith(f"-- {name}: ")
    assert re.search(r"^-- Grain:  \S", head[0], re.M)
    constants = "a table of constants" in head[0]
    assert constants or re.search(r"^-- Reads:  \S", head[0], re.M)
