"""What was last planned of each experiment, so that `export` writes what the last session wrote."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from paraphina_wh.commit import write_atomically
from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.spec import Spec
from paraphina_wh.warehouse import Warehouse, hive_folder

_ENDING: Final = ".json"


class Record(msgspec.Struct, frozen=True):
    """An experiment as it was run: its file with the options of the session in it, and the runs of its grid."""

    spec: Spec
    plan_keys: list[str]


def keep_record(warehouse: Warehouse, spec: Spec, plan_keys: Sequence[str]) -> None:
    """Keep the plan of a session."""
    content = msgspec.json.encode(Record(spec, list(plan_keys))) + b"\n"
    file = _file(warehouse, spec.name)
    if not (file.is_file() and file.read_bytes() == content):
        write_atomically(file, content)


def read_record(warehouse: Warehouse, name: str) -> Record | None:
    """Return what was last planned of an experiment, None when nothing is known of it.

    Raises: WarehouseError when the record is damaged.
    """
    file = _file(warehouse, name)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        # Runs that came in with a sidecar may name an experiment as long as a folder name; none such was planned.
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WarehouseError(f"{file} is damaged: {error}", "remove it, or run the experiment again") from error


def _file(warehouse: Warehouse, name: str) -> Path:
    return warehouse.path / "experiments" / (hive_folder("experiment", name) + _ENDING)
