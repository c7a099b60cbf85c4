"""From configurations to runs that can start: every check that can be made before the first run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraphina_wh.engine.config import EngineRunConfig, LabelValue, check_label
from paraphina_wh.engine.ending import Asked
from paraphina_wh.engine.knobs import KNOBS, PREFIX, check_knobs
from paraphina_wh.errors import WarehouseError

_APPEND: Final = PREFIX + "TELEMETRY_APPEND"


@dataclass(frozen=True)
class RunPlan:
    """One run, checked: absolute paths, knobs as text (`overlay`), None for a text not to be kept."""

    run_id: str
    label: Mapping[str, LabelValue]
    command: tuple[str, ...]
    overlay: Mapping[str, str]
    cwd: Path | None
    telemetry: Path | None
    stdout: Path | None
    stderr: Path | None
    asked: Asked

    def files(self) -> list[Path]:
        """Return the files the run will leave."""
        return [path for path in (self.telemetry, self.stdout, self.stderr) if path is not None]


def plan_runs(configs: Iterable[EngineRunConfig], inherit_env: bool) -> list[RunPlan]:
    """Return the runs in order, and create the folders they write to.

    Raises: WarehouseError (exit code 2) naming the run, before anything runs, on an unknown or unreadable
            knob, a label that cannot be stored, a missing program or folder, and on two runs writing to
            one file.
    """
    plans = []
    for position, config in enumerate(configs):
        run_id = f"run_{position}" if config.run_id is None else config.run_id
        try:
            plans.append(_plan(config, run_id, inherit_env))
        except WarehouseError as error:
            raise WarehouseError(f"{run_id}: {error.message}", error.hint, exit_code=2) from error
    _refuse_shared_files(plans)
    for path in _files(plans):
        _prepare_target(path)
    return plans


def clean_environment(overlay: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any `PARAPHINA_*`, plus the overlay."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | dict(overlay)


def _plan(config: EngineRunConfig, run_id: str, inherit_env: bool) -> RunPlan:
    command = tuple(str(part) for part in config.cmd)
    _check_command(command, config.cwd)
    telemetry = _absolute(config.telemetry_path)
    return RunPlan(
        run_id=run_id,
        label=check_label(config.label),
        command=command,
        overlay=_overlay(config, telemetry, inherit_env),
        cwd=config.cwd,
        telemetry=telemetry,
        stdout=_absolute(config.stdout_path) or _beside(telemetry, ".stdout.txt"),
        stderr=_absolute(config.stderr_path) or _beside(telemetry, ".stderr.txt"),
        asked=config.asked,
    )


def _check_command(command: tuple[str, ...], cwd: Path | None) -> None:
    if not command or any("\0" in part for part in command):
        raise WarehouseError(f"not a command line: {list(command)!r}", exit_code=2)
    if cwd is not None and not cwd.is_dir():
        raise WarehouseError(f"working directory {cwd} is not there", exit_code=2)
    program = command[0]
    # As the system will look for it: a path counts from the run's working directory, a bare name from PATH.
    found = shutil.which(str((cwd or Path()) / program) if os.sep in program else program)
    if found is None:
        raise WarehouseError(
            f"engine {program} is missing or not executable",
            "name another with --engine or PARAPHINA_ENGINE; `--engine reference` needs none",
            exit_code=2,
        )


def _overlay(config: EngineRunConfig, telemetry: Path | None, inherit_env: bool) -> dict[str, str]:
    inherited = _inherited_knobs() if inherit_env else {}
    given = check_knobs(config.env)
    if telemetry is None:
        return inherited | given
    ours = {PREFIX + "TELEMETRY_MODE": "jsonl", PREFIX + "TELEMETRY_PATH": str(telemetry)}
    for name in (*ours, _APPEND):
        if name in given and given[name] != ours.get(name):
            raise WarehouseError(
                f"{name} is set for this run, but so is its telemetry path {telemetry}",
                "leave the telemetry knobs out: they follow from the path",
                exit_code=2,
            )
    return inherited | given | ours


def _inherited_knobs() -> dict[str, str]:
    """Return the known knobs of this process; append mode never: it would mix two runs in one file."""
    names = (PREFIX + name for name in KNOBS)
    return check_knobs({name: os.environ[name] for name in names if name in os.environ and name != _APPEND})


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else Path(path).absolute()


def _beside(telemetry: Path | None, suffix: str) -> Path | None:
    return None if telemetry is None else telemetry.with_suffix(suffix)


def _files(plans: Iterable[RunPlan]) -> Iterator[Path]:
    return (path for plan in plans for path in plan.files())


def _refuse_shared_files(plans: Iterable[RunPlan]) -> None:
    owner: dict[Path, str] = {}
    for plan in plans:
        for path in plan.files():
            if path in owner:
                raise WarehouseError(
                    f"{plan.run_id}: {path} is already written by {owner[path]}",
                    "give every run files of its own",
                    exit_code=2,
                )
            owner[path] = plan.run_id


def _prepare_target(path: Path) -> None:
    if path.exists() and not path.is_file():  # the run would delete it
        raise WarehouseError(f"{path} is in the way: not a file", exit_code=2)
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseError(f"cannot create folder {folder}: {error.strerror}", exit_code=2) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WarehouseError(f"cannot write into folder {folder}", exit_code=2)
