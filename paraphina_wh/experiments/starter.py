"""A commented experiment file to start from."""

from __future__ import annotations

import re
from pathlib import Path

from paraphina_wh.commit import write_atomically
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.read import shipped
from paraphina_wh.warehouse import Warehouse

_TEMPLATE = Path(__file__).parent / "specs" / "starter.toml.txt"


def write_starter(warehouse: Warehouse, name: str) -> Path:
    """Write `NAME.toml` at ROOT and return its path.

    Raises: WarehouseError (exit code 2) for a name that cannot be, and for a file that is there already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", name):
        raise WarehouseError(
            f"{name!r} cannot name an experiment", "letters, digits, `_` and `-`: exp20_my_sweep", exit_code=2
        )
    if name in shipped():
        raise WarehouseError(f"{name!r} is the name of a shipped experiment", "choose another", exit_code=2)
    path = warehouse.root / f"{name}.toml"
    if path.exists():
        raise WarehouseError(f"{path} is there already", "choose another name, or edit that file", exit_code=2)
    write_atomically(path, starter_text(name).encode())
    return path


def starter_text(name: str) -> str:
    """Return the file for an experiment of this name."""
    return _TEMPLATE.read_text(encoding="utf-8").replace("@NAME@", name)
