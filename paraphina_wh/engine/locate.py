"""Which engine runs, and what identifies it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from paraphina_wh.engine.plan import clean_environment
from paraphina_wh.engine.process import Launch, ProcessGroups, run_process
from paraphina_wh.errors import WarehouseError

REFERENCE_MODULE: Final = "paraphina_wh.reference_engine"
_BUILT: Final = Path("target", "release", "paraphina")
_NOTICE: Final = (
    "no paraphina binary found: using the embedded reference engine, whose results are no evidence about "
    "the real one (name a binary with --engine or PARAPHINA_ENGINE)"
)
_VERSION_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class Engine:
    """An engine that can run, and its provenance.

    command: how to start it, flags not included. path: the binary, or the folder of the reference engine.
    sha256: of the binary; of all source files for the reference engine.
    version: first line of what `--version` prints, None when it fails.
    git_commit: of the checkout the binary lies in, None when it lies in none and for the reference engine.
    notice: something the user should be told, None when the engine was asked for.
    """

    command: tuple[str, ...]
    kind: Literal["reference", "external"]
    path: str
    sha256: str
    version: str | None
    git_commit: str | None
    notice: str | None


def find_engine(choice: str | None, root: Path) -> Engine:
    """Return the engine to use: the choice (a path, or `reference`), else what `PARAPHINA_ENGINE` names, else
    `target/release/paraphina` below root, else `paraphina` on PATH, else the embedded reference engine.

    Raises: WarehouseError (exit code 2) when the engine that is named, or built below root, cannot run.
    """
    named = choice or os.environ.get("PARAPHINA_ENGINE")
    if named == "reference":
        return _reference(notice=None)
    if named:
        return _external(Path(named if Path(named).is_file() else shutil.which(named) or named))
    if (root / _BUILT).exists():
        return _external(root / _BUILT)
    on_path = shutil.which("paraphina")
    return _external(Path(on_path)) if on_path else _reference(notice=_NOTICE)


def _external(binary: Path) -> Engine:
    path = binary.absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        state = "not executable" if path.is_file() else "missing"
        raise WarehouseError(
            f"engine {path} is {state}",
            "build it, name another with --engine or PARAPHINA_ENGINE, or use `--engine reference`",
            exit_code=2,
        )
    command = (str(path),)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Engine(
        command=command,
        kind="external",
        path=str(path),
        sha256=sha256,
        version=_version(command),
        git_commit=_git_commit(path.resolve().parent),
        notice=None,
    )


def _reference(notice: str | None) -> Engine:
    command = (sys.executable, "-P", "-m", REFERENCE_MODULE)
    spec = importlib.util.find_spec(REFERENCE_MODULE)
    if spec is None or spec.origin is None:
        raise WarehouseError("the embedded reference engine is not installed", exit_code=2)
    source = Path(spec.origin)
    folder = source.parent if spec.submodule_search_locations else None
    sha256 = _hash_sources(sorted(folder.rglob("*.py")) if folder else [source], source.parent)
    return Engine(
        command=command,
        kind="reference",
        path=str(folder or source),
        sha256=sha256,
        version=_version_of_sources(command, sha256),
        git_commit=None,
        notice=notice,
    )


def _hash_sources(files: Sequence[Path], folder: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


@cache
def _version_of_sources(command: tuple[str, ...], sha256: str) -> str | None:
    """Return the version; the same sources say the same, so that a session of many runs asks them once."""
    return _version(command)


def _version(command: tuple[str, ...]) -> str | None:
    launch = Launch((*command, "--version"), clean_environment({}), None)
    with ProcessGroups() as groups:
        end = run_process(launch, groups, _VERSION_TIMEOUT_S)
    lines = launch.stdout.text().splitlines()
    return lines[0].strip()[:200] or None if end.returncode == 0 and lines else None


def _git_commit(folder: Path) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--verify", "HEAD"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
