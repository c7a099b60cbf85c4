"""What an experiment file must keep beyond its form: names that exist, lists that fit, templates that can be filled."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterator
from typing import Final

from paraphina_wh.dictionary import header_columns
from paraphina_wh.engine import KNOBS, check_knobs
from paraphina_wh.engine.config import RESERVED_LABEL_KEYS
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.columns import parse_column
from paraphina_wh.experiments.grid import LARGEST_GRID, axis_values, expand, fill, grid_size
from paraphina_wh.experiments.planning import LONGEST_KEY, default_name, names_file, names_order
from paraphina_wh.experiments.spec import DEFAULT_KEY, Problem, Range, Show, Spec, Value
from paraphina_wh.experiments.tables import tables_of
from paraphina_wh.masking import is_secret_name
from paraphina_wh.telemetry.record import INT64_MAX

# What every run has beside its variables.
BUILT_IN: Final = ("experiment", "profile", "repeat", "seed", "ticks")
# Columns made for the tables alone: the last lines of what the engine printed.
CAPTURED: Final = ("stdout_truncated", "stderr_truncated")
# Columns of experiment_runs that hold text.
_TEXTS: Final = (
    *("run_id", "experiment", "sweep_id", "plan_key", "run_name", "profile", "label", "label_json", "status"),
    *("error", "engine", "started_at", "knobs_json", "risk_regime", "telemetry_path", *CAPTURED),
)
MOST: Final = 10**12

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.csv")
_SUBFOLDER: Final = re.compile(r"\.|[A-Za-z0-9_-]{1,100}")
_FOLDER: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_./-]{0,199}")
OWNED: Final = ("RISK_PROFILE", "TELEMETRY_MODE", "TELEMETRY_PATH", "TELEMETRY_APPEND")


def find_problem(spec: Spec) -> Problem | None:
    """Return the first thing that is wrong with an experiment, None when it can be run."""
    for check in (_names, _numbers, _variables, _finite, _size, _products, _knobs, _labels, _templates, _tables):
        problem = next(check(spec), None)
        if problem:
            return problem
    return None


def _names(spec: Spec) -> Iterator[Problem]:
    if not _NAME.fullmatch(spec.name):
        yield Problem(("name",), f"{spec.name!r} cannot name a folder: letters, digits, `_`, `-` and `.` only")
    if not spec.about.strip() or not spec.about.isprintable():
        yield Problem(("about",), "one line of text, please")
    for profile in spec.profiles:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", profile):
            yield Problem(("profiles",), f"profile {profile!r} cannot name a file")
    if not spec.profiles or len(set(spec.profiles)) < len(spec.profiles):
        yield Problem(("profiles",), "at least one profile, each once")
    if spec.folder is not None and (not _FOLDER.fullmatch(spec.folder) or ".." in spec.folder.split("/")):
        yield Problem(("folder",), f"{spec.folder!r} is no folder below ROOT")
    if spec.raw_folder is not None and not _SUBFOLDER.fullmatch(spec.raw_folder):
        yield Problem(("raw_folder",), f"{spec.raw_folder!r} is not the name of a folder")


def _numbers(spec: Spec) -> Iterator[Problem]:
    for key, value, least in (("repeats", spec.repeats, 1), ("first_repeat", spec.first_repeat, 0)):
        if not least <= value <= LARGEST_GRID:
            yield Problem((key,), f"must lie in {least}..{LARGEST_GRID}, not {value}")
    if spec.ticks is not None and not 1 <= spec.ticks <= MOST:
        yield Problem(("ticks",), f"must lie in 1..{MOST}, not {spec.ticks}")
    if not names_order(spec.seed):
        yield Problem(("seed",), f"must be a key of 1 to {LONGEST_KEY} characters, or none")
    if spec.seed_start is not None and spec.seed != DEFAULT_KEY:
        yield Problem(("seed_start",), "takes the place of `seed`: name one of them")
    if spec.seed_start is not None and not 0 <= spec.seed_start <= INT64_MAX - LARGEST_GRID:
        yield Problem(("seed_start",), f"must be at least 0 and below 2^63, not {spec.seed_start}")
    if not (spec.timeout_sec > 0 and math.isfinite(spec.timeout_sec)):
        yield Problem(("timeout_sec",), f"must be above 0, not {spec.timeout_sec}")
    if spec.knob_decimals is not None and not 0 <= spec.knob_decimals <= 15:
        yield Problem(("knob_decimals",), f"must lie in 0..15, not {spec.knob_decimals}")


def _variables(spec: Spec) -> Iterator[Problem]:
    yield from _axes(spec)
    for profile, values in spec.per_profile.items():
        if profile not in spec.profiles:
            yield Problem(("per_profile", profile), f"there is no such profile here: {', '.join(spec.profiles)}")
        for name in spec.per_profile.get(spec.profiles[0], values):
            if name not in values:
                yield Problem(("per_profile", profile), f"has no value for {name!r}, other profiles do")
    if spec.per_profile and set(spec.per_profile) != set(spec.profiles):
        missing = next(profile for profile in spec.profiles if profile not in spec.per_profile)
        yield Problem(("per_profile",), f"says nothing of profile {missing!r}")
    yield from _declared_once(spec)


def _axes(spec: Spec) -> Iterator[Problem]:
    for place, axis in enumerate(spec.axis):
        lengths = {}
        for name, values in axis.items():
            path = ("axis", place, name)
            if isinstance(values, Range):
                yield from _range(path, values)
            elif not values:
                yield Problem(path, "needs at least one value")
            elif len({_kind(value) for value in values}) > 1:
                yield Problem(path, "mixes texts, numbers and true/false")
            lengths[name] = len(axis_values(values))
        if not axis:
            yield Problem(("axis", place), "is empty")
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in lengths.items())
            yield Problem(("axis", place), f"variables that go together need equally many values, here: {told}")
        points = list(zip(*(axis_values(values) for values in axis.values()), strict=False))
        if len(set(points)) < len(points):
            yield Problem(("axis", place, next(iter(axis))), "names a value twice")


def _range(path: tuple[str | int, ...], values: Range) -> Iterator[Problem]:
    if (values.step is None) == (values.count is None):
        yield Problem(path, "a range has either `step` or `count`")
    elif not all(map(math.isfinite, (values.start, values.stop, values.step or 0))):
        yield Problem(path, "a range has finite ends and a finite step")
    elif values.count is not None and not 2 <= values.count <= LARGEST_GRID:
        yield Problem(path, f"`count` must lie in 2..{LARGEST_GRID}")
    elif values.step is not None and (values.stop - values.start) * values.step <= 0:
        yield Problem(path, "`step` does not lead from `from` to `to`")
    elif values.step is not None and (values.stop - values.start) / values.step > LARGEST_GRID:
        yield Problem(path, f"has more than {LARGEST_GRID} values")


def _declared_once(spec: Spec) -> Iterator[Problem]:
    seen: set[str] = set()
    for path, name in _declarations(spec):
        if not _WORD.fullmatch(name):
            yield Problem((*path, name), f"variable {name!r}: letters, digits and `_` only")
        if name.lower() in BUILT_IN or name.lower() in RESERVED_LABEL_KEYS:
            yield Problem((*path, name), f"{name!r} is a name that every run has; choose another")
        if is_secret_name(name):
            yield Problem((*path, name), f"{name!r} is named like a secret, and would stand in labels and tables")
        if name.lower() in seen:
            yield Problem((*path, name), f"variable {name!r} is declared twice; upper and lower case are the same")
        seen.add(name.lower())


def _declarations(spec: Spec) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield from ((("axis", place), name) for place, axis in enumerate(spec.axis) for name in axis)
    yield from ((("constants",), name) for name in spec.constants)
    for profile, values in list(spec.per_profile.items())[:1]:
        yield from ((("per_profile", profile), name) for name in values)
    yield from ((("products",), name) for name in spec.products)


def _finite(spec: Spec) -> Iterator[Problem]:
    for path, value in _values(spec):
        if isinstance(value, float) and not math.isfinite(value):
            yield Problem(path, "must be finite")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield Problem(path, "must fit 64 bits")


def _values(spec: Spec) -> Iterator[tuple[tuple[str | int, ...], Value]]:
    yield from ((("constants", name), value) for name, value in spec.constants.items())
    for profile, values in spec.per_profile.items():
        yield from ((("per_profile", profile, name), value) for name, value in values.items())
    for place, axis in enumerate(spec.axis):
        for name, choices in axis.items():
            yield from ((("axis", place, name), value) for value in axis_values(choices))


def _size(spec: Spec) -> Iterator[Problem]:
    if grid_size(spec) > LARGEST_GRID:
        yield Problem(("axis",), f"makes {grid_size(spec)} runs; the limit is {LARGEST_GRID}")


def _kind(value: Value) -> type:
    return type(value) if isinstance(value, str | bool) else float


def _known(spec: Spec) -> list[str]:
    per_profile = next(iter(spec.per_profile.values()), {})
    return [*spec.swept, *spec.constants, *per_profile, *spec.products]


def _products(spec: Spec) -> Iterator[Problem]:
    known = [name for name in _known(spec) if name not in spec.products]
    for name, factors in spec.products.items():
        for factor in factors:
            if factor not in known:
                yield Problem(("products", name), f"no variable {factor!r} before it; there are {', '.join(known)}")
        if not factors:
            yield Problem(("products", name), "needs factors")
        known.append(name)
    try:
        next(expand(spec))
    except TypeError:
        yield Problem(("products",), "only numbers can be multiplied")


def _knobs(spec: Spec) -> Iterator[Problem]:
    known = _known(spec)
    for knob, value in spec.knobs.items():
        path = ("knobs", knob)
        if knob in OWNED or knob not in KNOBS:
            reason = (
                "is set by the runner" if knob in OWNED else f"is no knob of the engine; there are {', '.join(KNOBS)}"
            )
            yield Problem(path, reason)
        elif isinstance(value, str) and value not in known:
            yield Problem(path, f"no variable {value!r}; there are {', '.join(known) or 'none'}")
    for knob, value in spec.knobs.items():
        given = dict.fromkeys(point[value] for point in expand(spec)) if isinstance(value, str) else [value]
        for choice in given:
            try:
                check_knobs({knob: choice})
            except WarehouseError as error:
                yield Problem(("knobs", knob), error.message)


def _labels(spec: Spec) -> Iterator[Problem]:
    known = [*BUILT_IN, *_known(spec)]
    for key in spec.labels:
        if key not in known:
            yield Problem(("labels",), f"no variable {key!r}; there are {', '.join(known)}")
    for name in ("experiment", "profile", "repeat", *spec.swept):
        if name not in spec.label_keys:
            yield Problem(("labels",), f"{name!r} is missing: every swept variable is a key of the label")
    if len(set(spec.labels)) < len(spec.labels):
        yield Problem(("labels",), "names a key twice")


def _templates(spec: Spec) -> Iterator[Problem]:
    run_name = spec.run_name or (default_name(spec) if spec.has_telemetry else None)
    for key, template in (("run_name", run_name), ("label", spec.label)):
        if template is None:
            continue
        yield from _fields(spec, key, template)
        names = [fill(template, point) for point in expand(spec)]
        if len(set(names)) < len(names):
            yield Problem((key,), f"gives the same text to several runs: {_twice(names)!r}")
        unfit = next((name for name in names if key == "run_name" and not names_file(name)), None)
        if unfit is not None:
            yield Problem((key,), f"{unfit!r} cannot name a file")


def _fields(spec: Spec, key: str, template: str) -> Iterator[Problem]:
    known = list(next(expand(spec)))
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        yield Problem((key,), f"not a template: {error}")
        return
    for name in fields:
        if name not in known:
            yield Problem((key,), f"no variable {name!r}; there are {', '.join(known)}")
    try:
        fill(template, next(expand(spec)))
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        yield Problem((key,), f"not a template: {error}")


def _twice(names: list[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _tables(spec: Spec) -> Iterator[Problem]:
    known = [*dict.fromkeys([*header_columns("experiment_runs"), *spec.label_keys, *CAPTURED])]
    first = next(expand(spec))
    of_labels = {key: isinstance(first.get(key), str) for key in spec.label_keys}
    texts = [name for name in known if of_labels.get(name, name in _TEXTS)]
    files = [table.file.lower() for table in spec.table or []]
    last: list[str] = []
    measured: list[str] = []
    for place, table in enumerate(tables_of(spec)):
        path = ("table", place)
        if not _FILE.fullmatch(table.file):
            yield Problem((*path, "file"), f"{table.file!r} is not the name of a .csv file")
        if files.count(table.file.lower()) > 1:
            yield Problem((*path, "file"), f"{table.file!r} is written by two tables")
        for key in table.group_by:
            if key not in known:
                yield Problem((*path, "group_by"), f"no column {key!r}; there are {', '.join(known)}")
        names = []
        for text in table.columns:
            try:
                column = parse_column(text, table.group_by)
            except ValueError as error:
                yield Problem((*path, "columns"), str(error))
                return
            if column.source is not None and column.source not in known:
                yield Problem((*path, "columns"), f"no column {column.source!r}; there are {', '.join(known)}")
            if column.measures and column.source in texts:
                yield Problem((*path, "columns"), f"{text!r}: {column.source} is a text, no number")
            names.append(column.name)
        names += [key for key in table.group_by if key not in names]
        if len({name.lower() for name in names}) < len(names) or not names:
            yield Problem((*path, "columns"), "every column needs a name of its own")
        if table.group_by:
            columns = [parse_column(text, table.group_by) for text in table.columns]
            last, measured = names, [column.name for column in columns if column.measures or column.value]
    if spec.show is not None:
        yield from _shown(spec.show, last, measured)


def _shown(show: Show, names: list[str], measured: list[str]) -> Iterator[Problem]:
    if show.rows < 1:
        yield Problem(("show", "rows"), f"must be at least 1, not {show.rows}")
    if show.rank_by not in names:
        yield Problem(
            ("show", "rank_by"), f"no column {show.rank_by!r} in a grouped table; there are {', '.join(names)}"
        )
    for key in show.below:
        if key not in measured:
            yield Problem(("show", "below", key), f"no statistic of this name; there are {', '.join(measured)}")
