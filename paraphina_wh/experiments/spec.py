"""The form of an experiment file, declared once: the reader, the JSON Schema and the reference page derive from it."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

Value = str | int | float | bool

DEFAULT_TIMEOUT_SEC = 600.0
DEFAULT_KEY = 1


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Evenly spaced numbers, both ends included; `step` or `count` says how many."""

    start: Annotated[int | float, Meta(description="first value")] = msgspec.field(name="from")
    stop: Annotated[int | float, Meta(description="last value")] = msgspec.field(name="to")
    step: Annotated[int | float | None, Meta(description="distance between two values")] = None
    count: Annotated[int | None, Meta(description="number of values, at least 2")] = None


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CSV file the experiment leaves in its folder."""

    file: Annotated[str, Meta(description="file name, inside the folder of the experiment")]
    columns: Annotated[
        list[str],
        Meta(
            description="columns in order: `SOURCE`, or `STATISTIC(SOURCE)` in a grouped table, each with an optional "
            "`as NAME`; a `?` at the end leaves the column out when it is empty"
        ),
    ]
    group_by: Annotated[
        list[str], Meta(description="keys of a grouped table; without them the table has a row per run")
    ] = []


class Show(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows of the last grouped table are printed; without it all are."""

    rank_by: Annotated[str, Meta(description="column to sort by, the largest first")]
    rows: Annotated[int, Meta(description="number of rows")] = 15
    below: Annotated[dict[str, float], Meta(description="only rows with each of these columns below a limit")] = {}


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One experiment: a grid of engine runs, how they are named, and the tables made of them."""

    name: Annotated[str, Meta(description="name of the experiment; its files lie in runs/NAME/")]
    about: Annotated[str, Meta(description="one line for `run --list`")]
    mode: Annotated[
        Literal["stdout", "telemetry", "both"],
        Meta(description="what the runs are measured by: the summary on stdout, the telemetry of every tick, or both"),
    ]
    profiles: Annotated[list[str], Meta(description="risk profiles, the outermost loop of the grid")]
    repeats: Annotated[int, Meta(description="runs of each point of the grid, the innermost loop")] = 1
    first_repeat: Annotated[int, Meta(description="number of the first repeat")] = 0
    seed: Annotated[
        int | str,
        Meta(
            description="key of the random order in which the seeds of the engine are drawn: repeat i gets the i-th, "
            'for every profile and at every point of the grid. "none" passes no seed'
        ),
    ] = DEFAULT_KEY
    seed_start: Annotated[
        int | None, Meta(description="in place of `seed`: seed of the first repeat; each further one gets the next")
    ] = None
    ticks: Annotated[int | None, Meta(description="ticks a run; without it the engine's default (2000)")] = None
    pass_profile: Annotated[
        Literal["flag", "env"],
        Meta(description="how the engine is told the profile: --profile, or PARAPHINA_RISK_PROFILE"),
    ] = "flag"
    timeout_sec: Annotated[float, Meta(description="seconds a run may take")] = DEFAULT_TIMEOUT_SEC
    axis: Annotated[
        list[dict[str, list[Value] | Range]],
        Meta(
            description="the swept variables. Axes are combined with each other, the first one slowest; the variables "
            "of one axis have lists of the same length and go together"
        ),
    ] = []
    constants: Annotated[dict[str, Value], Meta(description="variables with one value")] = {}
    per_profile: Annotated[
        dict[str, dict[str, Value]], Meta(description="variables with a value for each profile: bases, centres")
    ] = {}
    products: Annotated[
        dict[str, list[str]], Meta(description="variables that are the product of others: a base and its multipliers")
    ] = {}
    knobs: Annotated[
        dict[str, Value],
        Meta(description="engine knob, without PARAPHINA_: a text names a variable, anything else is the value"),
    ] = {}
    knob_decimals: Annotated[
        int | None, Meta(description="decimals of fractional knob values; without it all that are needed")
    ] = None
    labels: Annotated[
        list[str],
        Meta(
            description="label keys in order, variables or experiment, profile, repeat, seed, ticks; without it "
            "experiment, profile, the swept variables, repeat"
        ),
    ] = []
    run_name: Annotated[
        str | None,
        Meta(
            description="name of a run and its files, a template such as `{profile}_q{init_q_tao:.0f}_r{repeat}`; "
            "without it runs of stdout experiments are run_0, run_1 ..."
        ),
    ] = None
    label: Annotated[
        str | None, Meta(description="template of the label of runs with telemetry; without it the name of the run")
    ] = None
    folder: Annotated[str | None, Meta(description="folder below ROOT; without it runs/NAME")] = None
    raw_folder: Annotated[
        str | None,
        Meta(description="where telemetry, stdout and sidecars go, inside the folder; without it telemetry, or stdout"),
    ] = None
    table: Annotated[
        list[Table] | None,
        Meta(description="the CSV files; without it NAME_runs.csv and NAME_summary.csv, `table = []` for none"),
    ] = None
    show: Annotated[
        Show | None, Meta(description="which rows of the last grouped table are printed; without it all")
    ] = None

    @property
    def swept(self) -> list[str]:
        """Return the swept variables, outermost first."""
        return [name for axis in self.axis for name in axis]

    @property
    def has_seeds(self) -> bool:
        """Tell whether the engines are passed seeds."""
        return self.seed_start is not None or str(self.seed).lower() != "none"

    @property
    def label_keys(self) -> list[str]:
        """Return the label keys in order."""
        return self.labels or ["experiment", "profile", *self.swept, "repeat"]

    @property
    def has_telemetry(self) -> bool:
        """Tell whether the engines write telemetry."""
        return self.mode != "stdout"


class Problem(NamedTuple):
    """Something wrong in a file: the path of keys to it, and what is wrong."""

    path: tuple[str | int, ...]
    message: str
