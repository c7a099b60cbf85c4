"""From an experiment and the options of a session to the runs that are to be: commands, labels, files, plan keys."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from paraphina_wh.engine import Engine, check_knobs
from paraphina_wh.engine.seeds import SEED_SPACE, Part, RunSeed, drawn, first_of, listed, unseeded
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.grid import LARGEST_GRID, Point, expand, fill, grid_size
from paraphina_wh.experiments.spec import DEFAULT_KEY, Spec, Value
from paraphina_wh.known import check_profiles
from paraphina_wh.sidecar import STDOUT_SUFFIX, Sidecar, sidecar_path
from paraphina_wh.telemetry.record import INT64_MAX
from paraphina_wh.warehouse import Warehouse, hive_folder

_MOST = 10**12
LONGEST_KEY: Final = 100
_PREFIX = "PARAPHINA_"
# Set by the runner itself.
_OWNED = frozenset({"RISK_PROFILE", "TELEMETRY_MODE", "TELEMETRY_PATH", "TELEMETRY_APPEND"})
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_FILE_ENDINGS = (".jsonl", ".ndjson", ".gz", ".zst")
# The file name of a run without a name of its own, see `_stem`.
STEM_SQL = "'run_' || left(sha256(r.label), 16)"


@dataclass(frozen=True)
class RunOptions:
    """What a session changes in an experiment; None leaves it as the file says.

    seed: key of the order in which seeds are drawn, or `none` for no seeds; seed_start: in its place, the seed of the
    first repeat. seed_space: number of seeds that the engine tells apart, where it is another than usual. seed_part:
    of the order; a sweep that chooses and one that proves what was chosen draw from different parts.
    constants: variables of the file by name. knobs: set on top, of every profile;
    profile_knobs: of one. folder: below ROOT, for artefacts that are to be kept apart.
    engine: path, `reference`, or None to look for one. jobs: engines at a time, by default one a core.
    timeout_sec: seconds a run. retries: further attempts a run. fresh: run all, taking out the runs of the same labels.
    new_profile: run profiles too that are none of the three, and that the warehouse does not know yet.
    """

    ticks: int | None = None
    repeats: int | None = None
    profiles: tuple[str, ...] = ()
    seed: int | str | None = None
    seed_start: int | None = None
    seed_space: int | None = None
    seed_part: Part = "choose"
    constants: Mapping[str, Value] = field(default_factory=dict)
    knobs: Mapping[str, str] = field(default_factory=dict)
    profile_knobs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    folder: str | None = None
    engine: str | None = None
    jobs: int | None = None
    timeout_sec: float | None = None
    retries: int = 0
    fresh: bool = False
    new_profile: bool = False


@dataclass(frozen=True)
class PlannedRun:
    """One run to be. base: its files without endings, such as `.jsonl`. sidecar: the one it will have."""

    base: Path
    has_telemetry: bool
    sidecar: Sidecar

    @property
    def key(self) -> tuple[str, str]:
        """Return profile and label."""
        return self.sidecar.profile, self.sidecar.label

    @property
    def telemetry(self) -> Path:
        """Return where telemetry goes, or would go."""
        return self.base.with_name(self.base.name + ".jsonl")

    @property
    def stdout(self) -> Path:
        """Return where stdout goes."""
        return self.base.with_name(self.base.name + STDOUT_SUFFIX)

    @property
    def source(self) -> Path:
        """Return the file to ingest: the telemetry where there is one, else the sidecar."""
        return self.telemetry if self.has_telemetry and self.telemetry.is_file() else sidecar_path(self.telemetry)


def adapted(spec: Spec, options: RunOptions) -> Spec:
    """Return the experiment with the options of a session in it.

    Raises: WarehouseError (exit code 2) for numbers no engine could run, and for profiles and knobs that do not fit.
    """
    changes: dict[str, object] = {
        "profiles": list(options.profiles) or spec.profiles,
        "constants": spec.constants | dict(options.constants),
    }
    if options.seed is not None or options.seed_start is not None:
        # What the session names takes the place of either in the file.
        changes |= {"seed": DEFAULT_KEY, "seed_start": None}
    for name in ("ticks", "repeats", "seed", "seed_start", "timeout_sec", "folder"):
        if getattr(options, name) is not None:
            changes[name] = getattr(options, name)
    changed = msgspec.structs.replace(spec, **changes)
    _check(spec, changed, options)
    return changed


def _check(spec: Spec, changed: Spec, options: RunOptions) -> None:
    for name, value in (("--ticks", changed.ticks), ("the number of repeats", changed.repeats)):
        if value is not None and not 1 <= value <= _MOST:
            raise WarehouseError(f"{name} must lie in 1..{_MOST}, not {value}", exit_code=2)
    _check_seeds(changed, options)
    _check_profiles(spec, changed)
    if grid_size(changed) > LARGEST_GRID:
        raise WarehouseError(f"{grid_size(changed)} runs are too many; the limit is {LARGEST_GRID}", exit_code=2)
    owned = {knob for knob in options.knobs if knob.removeprefix(_PREFIX) in _OWNED}
    if owned:
        raise WarehouseError(f"knob {min(owned)} is set by the runner", "name profiles with --profiles", exit_code=2)
    swept = {knob for knob in options.knobs if knob.removeprefix(_PREFIX) in spec.knobs}
    if swept:
        raise WarehouseError(
            f"knob {min(swept)} is set by the experiment itself", "change the file, or a copy of it", exit_code=2
        )


def _check_seeds(changed: Spec, options: RunOptions) -> None:
    if options.seed is not None and options.seed_start is not None:
        raise WarehouseError(
            "--seed and --seed-start are two ways to choose seeds",
            "drawn at random, or one after the other",
            exit_code=2,
        )
    if not names_order(changed.seed):
        raise WarehouseError(
            f"--seed must be a key of 1 to {LONGEST_KEY} characters, or none", "such as `--seed 1`", exit_code=2
        )
    for name, value, least in (
        ("--seed-start", changed.seed_start, 0),
        ("--seed-space", options.seed_space, 1),
    ):
        if value is not None and not least <= value <= INT64_MAX - changed.repeats:
            raise WarehouseError(f"{name} must lie in {least}..2^63, not {value}", exit_code=2)


def names_order(key: int | str) -> bool:
    """Tell whether a key may name an order of seeds: it is a line of text that is not too long."""
    return 1 <= len(str(key)) <= LONGEST_KEY and str(key).isprintable()


def _check_profiles(spec: Spec, changed: Spec) -> None:
    for profile in changed.profiles:
        if not profile or not profile.replace("-", "").replace("_", "").isalnum() or not profile.isascii():
            raise WarehouseError(
                f"profile {profile!r} cannot name a file", "profiles are words such as balanced", exit_code=2
            )
        if spec.per_profile and profile not in spec.per_profile:
            raise WarehouseError(
                f"{spec.name} has no values for profile {profile!r}",
                f"its profiles: {', '.join(spec.profiles)}",
                exit_code=2,
            )
    if len(set(changed.profiles)) < len(changed.profiles):
        raise WarehouseError(f"profiles {', '.join(changed.profiles)!r}: name each once", exit_code=2)


def plan_runs(warehouse: Warehouse, spec: Spec, options: RunOptions, engine: Engine) -> list[PlannedRun]:
    """Return the runs of the grid in order; `spec` as `adapted` returns it.

    Raises: WarehouseError (exit code 2) for knobs, labels and names that cannot be, and for unknown profiles.
    """
    if not options.new_profile:
        check_profiles(warehouse, spec.profiles, "--new-profile if you mean it")
    warehouse.check_target(folder_of(warehouse, spec))
    overlay = check_knobs(options.knobs)
    per_profile = {profile: check_knobs(knobs) for profile, knobs in options.profile_knobs.items()}
    sweep = _digest(spec.name, spec.ticks, engine.sha256, overlay, per_profile)
    seeds = _seeds(spec, options, engine)
    planned = [
        _planned(
            *(warehouse, spec, engine, point, seeds[place % spec.repeats]),
            *(f"run_{place}", sweep, overlay | per_profile.get(profile, {})),
        )
        for place, point in enumerate(expand(spec, [seed.seed for seed in seeds]))
        if (profile := str(point["profile"]))
    ]
    _check_names(planned)
    return planned


def _seeds(spec: Spec, options: RunOptions, engine: Engine) -> list[RunSeed]:
    """Return the seed of each repeat: the same whatever the profile and the point, so that runs compare in pairs."""
    if not spec.has_seeds:
        return unseeded(spec.repeats)
    if spec.seed_start is not None:
        return listed(spec.seed_start, spec.repeats)
    space = options.seed_space or SEED_SPACE[engine.kind]
    first = first_of(options.seed_part, space)
    last = first - 1 + spec.repeats
    if last > space:
        raise WarehouseError(
            f"{spec.repeats} runs of each point need the seeds at the places {first} to {last}, and this engine tells "
            f"{space} seeds apart",
            "ask for fewer runs; --seed-space N where the engine knows more seeds",
            exit_code=2,
        )
    return drawn(str(spec.seed), space, first, spec.repeats)


def _check_names(planned: Sequence[PlannedRun]) -> None:
    seen: set[Path] = set()
    for run in planned:
        if not names_file(run.base.name):
            raise WarehouseError(f"{run.base.name!r} cannot name a file", "change `run_name` in the file", exit_code=2)
        if run.base in seen:
            raise WarehouseError(
                f"several runs would be called {run.sidecar.run_name!r}",
                "`run_name` must hold profile, repeat and every swept variable",
                exit_code=2,
            )
        seen.add(run.base)


def names_file(name: str) -> bool:
    """Tell whether a run may have this name: it is a plain file name, and no ending of a telemetry file."""
    return bool(_FILE_NAME.fullmatch(name)) and not name.endswith(_FILE_ENDINGS)


def _planned(
    warehouse: Warehouse,
    spec: Spec,
    engine: Engine,
    point: Point,
    seed: RunSeed,
    default: str,
    sweep: str,
    overlay: dict[str, str],
) -> PlannedRun:
    labels = {key: point[key] for key in spec.label_keys if key in point}
    knobs = _knobs(spec, point) | overlay
    try:
        name = fill(spec.run_name or default_name(spec), point) if spec.run_name or spec.has_telemetry else default
        label = _label(spec, point, labels, name)
    except KeyError as error:
        raise WarehouseError(f"a name needs {error}, which these runs do not have", exit_code=2) from error
    sidecar = Sidecar(
        experiment=spec.name,
        run_name=name,
        plan_key=_digest(spec.name, label, labels, knobs, seed.seed, spec.ticks, engine.sha256),
        sweep_id=sweep,
        profile=str(point["profile"]),
        label=label,
        labels=labels,
        repeat=int(point["repeat"]),
        **seed._asdict(),
        ticks=spec.ticks,
        knobs=knobs,
        engine=engine.kind,
        engine_path=engine.path,
        engine_version=engine.version,
        engine_sha256=engine.sha256,
        engine_commit=engine.git_commit,
        command=[*engine.command, *_flags(spec, point)],
    )
    return PlannedRun(raw_folder(warehouse, spec) / _stem(spec, name, label), spec.has_telemetry, sidecar)


def folder_of(warehouse: Warehouse, spec: Spec) -> Path:
    """Return where the artefacts of an experiment lie."""
    return Path(os.path.normpath(warehouse.root / (spec.folder or f"runs/{spec.name}")))


def raw_folder(warehouse: Warehouse, spec: Spec) -> Path:
    """Return where telemetry, stdout and sidecars of an experiment lie."""
    return Path(os.path.normpath(folder_of(warehouse, spec) / (spec.raw_folder or _raw(spec))))


def _raw(spec: Spec) -> str:
    return "telemetry" if spec.has_telemetry else "stdout"


def _label(spec: Spec, point: Point, labels: Mapping[str, Value], name: str) -> str:
    if not spec.has_telemetry:
        return msgspec.json.encode(labels, order="sorted").decode()
    label = fill(spec.label, point) if spec.label else name
    hive_folder("label", label)
    return label


def default_name(spec: Spec) -> str:
    """Return the template of the names of runs with telemetry where the file has none."""
    swept = "".join(f"_{name}{{{name}}}" for name in spec.swept)
    return f"{spec.name}_{{profile}}{swept}_r{{repeat}}"


def _stem(spec: Spec, name: str, label: str) -> str:
    """Return a file name that stays with the run when the grid is edited; a running number would not."""
    return name if spec.run_name or spec.has_telemetry else f"run_{hashlib.sha256(label.encode()).hexdigest()[:16]}"


def _knobs(spec: Spec, point: Point) -> dict[str, str]:
    values = {knob: point[value] if isinstance(value, str) else value for knob, value in spec.knobs.items()}
    if spec.pass_profile == "env":
        values = {"RISK_PROFILE": point["profile"], **values}
    return check_knobs({knob: _text(value, spec.knob_decimals) for knob, value in values.items()})


def _text(value: Value, decimals: int | None) -> Value:
    return f"{value:.{decimals}f}" if isinstance(value, float) and decimals is not None else value


def _flags(spec: Spec, point: Point) -> Iterator[str]:
    if spec.ticks is not None:
        yield from ("--ticks", str(spec.ticks))
    if spec.pass_profile == "flag":
        yield from ("--profile", str(point["profile"]))
    if "seed" in point:
        yield from ("--seed", str(point["seed"]))


def _digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:32]
