"""Where dataset files lie and what they are called."""

from __future__ import annotations

import os
import re
from pathlib import Path

from paraphina_wh.warehouse import Warehouse, check_local, hive_folder

_VERSION = re.compile(r"research_dataset_v(\d+)\.jsonl")
_SHORT_NAME = re.compile(r"(?:research_dataset_)?v(\d+)")


def default_dataset(warehouse: Warehouse) -> Path:
    """Return the newest version at ROOT, `research_dataset_v001.jsonl` when there is none."""
    versions = versions_in(warehouse.root)
    return versions[max(versions)] if versions else version_file(warehouse, 1)


def dataset_file(warehouse: Warehouse, dataset: str | Path | None) -> Path:
    """Return the dataset file a user named: relative paths are below ROOT, None is the default dataset.

    The ending may be left out, and `v002` stands for `research_dataset_v002.jsonl`.
    """
    if dataset is None:
        return default_dataset(warehouse)
    check_local(dataset)
    path = Path(os.path.normpath(warehouse.root / dataset))
    if path.exists():
        return path
    if short := _SHORT_NAME.fullmatch(str(dataset)):
        return version_file(warehouse, int(short[1]))
    full = path.with_name(f"{path.name}.jsonl")
    return full if full.is_file() else path


def dataset_name(file: Path) -> str:
    """Return the name of a dataset: its file without the ending.

    Raises: WarehouseError (exit code 2) for a name that no reader of folders could give back.
    """
    hive_folder("dataset", file.stem)
    return file.stem


def version_of(file: Path) -> int | None:
    """Return the number of a version, None for a file of another name."""
    found = _VERSION.fullmatch(file.name)
    return int(found[1]) if found else None


def versions_in(folder: Path) -> dict[int, Path]:
    """Return the versions that lie in a folder: number -> file; a folder that is missing has none."""
    files = sorted(folder.glob("research_dataset_v*.jsonl"))
    return {number: file for file in files if (number := version_of(file)) is not None and file.is_file()}


def version_file(warehouse: Warehouse, number: int) -> Path:
    """Return the file at ROOT of a version, whether it is there or not."""
    return versions_in(warehouse.root).get(number, warehouse.root / f"research_dataset_v{number:03d}.jsonl")
