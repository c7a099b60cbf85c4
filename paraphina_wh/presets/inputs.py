"""Where a file lies that a user names as the input of an analysis step."""

from __future__ import annotations

from pathlib import Path

from paraphina_wh.warehouse import Warehouse


def input_file(warehouse: Warehouse, named: str | Path) -> Path:
    """Return the path of an input: a relative one is below ROOT, or in the current folder if it is only there."""
    below_root, here = warehouse.root / named, Path.cwd() / named
    return here if here.is_file() and not below_root.is_file() else below_root
