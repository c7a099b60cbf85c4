"""Experiment files: those that ship with the package and those of users, read and checked line by line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.spec import Problem, Spec
from paraphina_wh.experiments.toml_lines import line_of
from paraphina_wh.nearest import did_you_mean

SHIPPED: Final = Path(__file__).parent / "specs"
ALIASES: Final = {"exp08": "exp08_validation", "risk_regime": "exp04_risk_regime"}
_AT: Final = re.compile(r"(?s)(.*) - at `\$(.*)`")
_SYNTAX: Final = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")
_FIELD: Final = re.compile(r"Object (contains unknown|missing required) field `(.*)`")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_HINT: Final = "the form of the file: docs/experiment-files.md, or `paraphina-wh run --new NAME` for an example"


@dataclass(frozen=True)
class Experiment:
    """An experiment file. name: how `run` calls it. text: the whole file, kept beside what it makes."""

    name: str
    spec: Spec
    text: str


@cache
def shipped() -> Mapping[str, Path]:
    """Return name -> file of the experiments that ship with the package."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def find_experiment(name: str, others: Iterable[str] = ()) -> Experiment:
    """Return a shipped experiment by name, or that of a file by its path.

    others: names that a mistyped one may stand for, too.

    Raises: WarehouseError (exit code 2) that lists the names there are, or names what is wrong in the file.
    """
    known = shipped().get(ALIASES.get(name, name))
    if known:
        return read_experiment(known)
    if name.endswith(".toml") or Path(name).is_file():
        return read_experiment(Path(name))
    raise WarehouseError(
        f"no experiment named {name!r}",
        did_you_mean(
            name, [*shipped(), *ALIASES, *others], f"experiments: {', '.join(shipped())}, or the path of a .toml file"
        ),
        exit_code=2,
    )


def read_experiment(path: Path) -> Experiment:
    """Return the experiment of a file.

    Raises: WarehouseError (exit code 2) naming file, line and key of the first thing that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WarehouseError(f"cannot read {path}: {error.strerror}", "check the path", exit_code=2) from error
    except UnicodeDecodeError as error:
        raise WarehouseError(f"{path}: not UTF-8 text", _HINT, exit_code=2) from error
    return Experiment(path.stem, _parse(text, path), text)


def _parse(text: str, path: Path) -> Spec:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _SYNTAX.fullmatch(str(error))
        last = len(text.splitlines())
        said = f"{path}:{at[2]}: {at[1]} (column {at[3]})" if at else f"{path}:{last}: {error}"
        raise WarehouseError(said, _HINT, exit_code=2) from error
    except RecursionError as error:
        raise WarehouseError(f"{path}: values are nested too deeply", _HINT, exit_code=2) from error
    try:
        spec = msgspec.convert(document, Spec)
    except msgspec.ValidationError as error:
        raise _located(_problem_of(str(error)), text, path) from error
    if path.parent != SHIPPED:
        # Loaded late: the checks know every view, and the tests have checked what is shipped.
        from paraphina_wh.experiments.checks import find_problem

        problem = find_problem(spec)
        if problem:
            raise _located(problem, text, path)
    return spec


def _problem_of(said: str) -> Problem:
    """Return what msgspec says in the words of the file."""
    at = _AT.fullmatch(said)
    message, where = (at[1], at[2]) if at else (said, "")
    steps = tuple(int(index) if index else key for key, index in _STEP.findall(where) if key or index)
    named = _FIELD.fullmatch(message)
    if named and named[1] == "contains unknown":
        return Problem((*steps, named[2]), f"there is no such key{_meant(named[2])}")
    if named:
        return Problem(steps, f"`{named[2]}` is missing")
    if "enum value" in message:
        declared = msgspec.json.schema(Spec)["$defs"]["Spec"]["properties"][steps[-1]]
        message = f"{message.partition('value ')[2]} is none of {', '.join(declared['enum'])}"
    if message.startswith("Expected `object | array`"):
        message = "a variable has a list of values, or { from, to, step }"
    return Problem(steps, message.replace("`", ""))


def _meant(key: str) -> str:
    close = difflib.get_close_matches(key, [*Spec.__struct_encode_fields__, "file", "columns", "group_by"], n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _located(problem: Problem, text: str, path: Path) -> WarehouseError:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.path).removeprefix(".")
    line = line_of(text, problem.path)
    return WarehouseError(f"{path}:{line}: {where + ': ' if where else ''}{problem.message}", _HINT, exit_code=2)
