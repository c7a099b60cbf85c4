"""Which dataset files may be appended to: the newest version, and only as long as it is not sealed."""

from __future__ import annotations

import re
from pathlib import Path

from paraphina_wh.catalog import connect, set_up, steady
from paraphina_wh.datasets.files import dataset_file, dataset_name, version_file, version_of, versions_in
from paraphina_wh.datasets.held import check_file
from paraphina_wh.datasets.locked import locked
from paraphina_wh.datasets.mirror import take_in
from paraphina_wh.datasets.seal import is_sealed, seal_file, write_seal
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse

_TAKEN_NUMBER = re.compile(r"(?:dataset=)?research_dataset_v(\d+)(?:\.jsonl(?:\.sealed)?)?")


def open_dataset(warehouse: Warehouse, dataset: str | Path | None = None) -> Path:
    """Return the dataset file that rows are to be appended to, whether it is there yet or not.

    dataset: as for `dataset_file`; None is the newest version, or the next number when that is sealed.
    Raises: WarehouseError as `check_open` does.
    """
    file = dataset_file(warehouse, dataset)
    if dataset is None and is_sealed(file):
        file = next_version(warehouse)
    check_open(warehouse, file)
    return file


def check_open(warehouse: Warehouse, file: Path) -> None:
    """Raise a WarehouseError when rows cannot be appended to a dataset file; one that is missing can be made.

    Exit code 2: the file is sealed, or a version with a higher number lies beside it. Exit code 1: a line of it was
    edited, or its name stands for another file.
    """
    dataset_name(file)
    check_newest(warehouse, file)
    warehouse.check_target(file)
    if file.exists():
        check_file(warehouse, file)


def check_newest(warehouse: Warehouse, file: Path) -> None:
    """Raise a WarehouseError (exit code 2) when a dataset file is sealed, or an earlier version."""
    name = warehouse.relative(file)
    if is_sealed(file):
        raise WarehouseError(
            f"{name} is sealed: nothing more can be appended to it",
            "open the next version with `paraphina-wh dataset new`, or name another file with --dataset",
            exit_code=2,
        )
    if newer := newer_version(file):
        raise WarehouseError(
            f"{name} is an earlier version: {newer.name} lies beside it, and only the newest can be appended to",
            f"leave out --dataset, or name {newer.name}",
            exit_code=2,
        )


def newer_version(file: Path) -> Path | None:
    """Return the newest version beside a version, None when it is the newest itself or no version at all."""
    number = version_of(file)
    beside = versions_in(file.parent) if number is not None else {}
    newest = max(beside, default=-1)
    return beside[newest] if number is not None and newest > number else None


def new_dataset(warehouse: Warehouse) -> Path:
    """Make the next version, empty, and return its file: from now on it is the default, and the only open one."""
    file = next_version(warehouse)
    with locked(file):
        return file


def next_version(warehouse: Warehouse) -> Path:
    """Return the file of the next version: the first number above all that ROOT or the warehouse know of."""
    places = [place for place in (warehouse.root, warehouse.datasets) if place.is_dir()]
    names = (_TAKEN_NUMBER.fullmatch(path.name) for place in places for path in place.iterdir())
    return version_file(warehouse, 1 + max((int(name[1]) for name in names if name), default=0))


@steady
def seal_dataset(warehouse: Warehouse, dataset: str | Path) -> Path:
    """Seal a dataset file and return the seal; its lines are taken into the warehouse first. Twice is as once.

    From then on nothing can be appended to it, and any change of it is reported.
    Raises: WarehouseError when the file is missing (exit code 2) or was edited.
    """
    file = dataset_file(warehouse, dataset)
    dataset_name(file)
    with locked(file, write=False) as found:
        set_up(warehouse)
        with connect(warehouse, views=("dataset_rows",)) as connection:
            take_in(warehouse, connection, found)
        if not is_sealed(file):
            write_seal(file, found.sha256(found.size))
    return seal_file(file)
