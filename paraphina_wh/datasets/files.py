"""Where dataset files lie and what they are called."""

from __future__ import annotations

import os
import re
from pathlib import Path

from paraphina_wh.warehouse import Warehouse, hive_folder

_VERSION = re.compile(r"research_dataset_v(\d+)\.jsonl")
_FIRST = "research_dataset_v001.jsonl"


def default_dataset(warehouse: Warehouse) -> Path:
    """Return the newest version at ROOT, `research_dataset_v001.jsonl` when there is none."""
    versions = [
        (int(found[1]), path)
        for path in warehouse.root.iterdir()
        if (found := _VERSION.fullmatch(path.name)) and path.is_file()
    ]
    return max(versions)[1] if versions else warehouse.root / _FIRST


def dataset_file(warehouse: Warehouse, dataset: str | Path | None) -> Path:
    """Return the dataset file a user named: relative paths are below ROOT, None is the default dataset."""
    if dataset is None:
        return default_dataset(warehouse)
    return Path(os.path.normpath(warehouse.root / dataset))


def dataset_name(file: Path) -> str:
    """Return the name of a dataset: its file without the ending.

    Raises: WarehouseError (exit code 2) for a name that no reader of folders could give back.
    """
    hive_folder("dataset", file.stem)
    return file.stem
