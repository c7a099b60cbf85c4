"""Dataset files written anew from the lines that the warehouse holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paraphina_wh.catalog import connect, steady
from paraphina_wh.commit import write_atomically
from paraphina_wh.datasets.files import dataset_file
from paraphina_wh.datasets.held import content_of, held_of
from paraphina_wh.datasets.locked import locked
from paraphina_wh.datasets.seal import READ_ONLY, is_sealed
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, new_batch


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    file: the file that holds the lines now. is_written: false when it held them already, and was left alone.
    kept: where the edited file was put; None when there was none.
    """

    file: Path
    is_written: bool = True
    kept: Path | None = None


def regenerate(warehouse: Warehouse, name: str) -> bytes:
    """Return a dataset file byte for byte, as the warehouse took it in.

    name: the dataset, its file without the ending.
    Raises: WarehouseError (exit code 2) when the warehouse holds no lines of it.
    """
    return _held_file(warehouse, name)[1]


def restore_dataset(warehouse: Warehouse, dataset: str | Path, out: Path | None = None) -> Restored:
    """Write a dataset as the warehouse holds it back to its file, or to `out`.

    A file that begins with these lines is left alone; one that was edited is kept beside the restored one.
    Raises: WarehouseError (exit code 2) when the warehouse holds no lines of the dataset.
    """
    path, content = _held_file(warehouse, dataset_file(warehouse, dataset).stem)
    if out is not None:
        warehouse.check_target(out)
        write_atomically(out, content)
        return Restored(out)
    file = warehouse.root / path
    if not file.exists():
        return _write(file, content, None)
    with locked(file, write=False) as found:
        before = found.read_from(0)
        if before.startswith(content.removesuffix(b"\n")):
            return Restored(file, is_written=False)
        kept = file.with_name(f"{file.name}.edited-{new_batch()}")
        write_atomically(kept, before)
        return _write(file, content, kept)


def _write(file: Path, content: bytes, kept: Path | None) -> Restored:
    write_atomically(file, content)
    if is_sealed(file):
        file.chmod(READ_ONLY)
    return Restored(file, kept=kept)


@steady
def _held_file(warehouse: Warehouse, name: str) -> tuple[str, bytes]:
    """Return the path of a dataset, as stored, and its bytes."""
    with connect(warehouse, views=("dataset_rows",)) as connection:
        held = held_of(connection, name)
        if held.line_no:
            return held.dataset_path, content_of(connection, name)
        known = connection.execute("SELECT DISTINCT dataset FROM dataset_rows ORDER BY dataset").fetchall()
    names = ", ".join(dataset for (dataset,) in known)
    raise WarehouseError(
        f"the warehouse holds no lines of a dataset {name!r}", f"datasets: {names or 'none yet'}", exit_code=2
    )
