"""The doors for the DuckDB shell: `init.sql` and the catalog file, and how they tell where they are.

Both hold the path of the folder that they were written for. A copy of the warehouse has copies of them, which must not
answer from the original. DuckDB tells a view where its database file lies: the views of the catalog file ask. It does
not tell a script: `init.sql` looks for itself, by a word that every commit changes, in the current folder and then
where it was written for. One that it finds in neither is a copy, or of a warehouse that moved.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from paraphina_wh.warehouse import Warehouse, no_glob, sql_text

_NAMES: Final = re.compile(rb"^-- Written for (\[.*\])$", re.MULTILINE)
_STATE: Final = re.compile(rb"(SET VARIABLE paraphina_state = ')([^']*)(';)")
_BODY: Final = re.compile(r"(CREATE OR REPLACE VIEW \w+ AS\n)(.*);\s*\Z", re.DOTALL)
# As much of `init.sql` as its names and its state fit in.
_HEAD_BYTES: Final = 64 << 10
_HINT: Final = "`paraphina-wh status` in its own folder writes it anew"

_SCRIPT_HEAD: Final = """.bail off
-- The views of this warehouse: duckdb -init init.sql
SET TimeZone = 'UTC';
SET VARIABLE paraphina_state = '';
-- Written for {names}
SET VARIABLE paraphina_folder = (
    SELECT
        CASE
            WHEN bool_or(filename IN ('init.sql', './init.sql')) THEN ''
            WHEN bool_or(filename IN ({beside}, './' || {beside})) THEN {beside_folder}
            WHEN count(*) > 0 THEN {folder}
        END
    FROM read_text(['/dev/null', 'init.sql', {beside_glob}, {folder} || 'init.sql'])
    WHERE contains(content, 'paraphina_state = ''' || getvariable('paraphina_state') || '''')
);
SET VARIABLE paraphina_refusal = CASE WHEN getvariable('paraphina_folder') IS NULL THEN {refusal} END;
SET VARIABLE paraphina_folder = coalesce(getvariable('paraphina_folder'), {folder});
"""
_SCRIPT_GUARD: Final = (
    "CASE WHEN getvariable('paraphina_refusal') IS NULL THEN true ELSE error(getvariable('paraphina_refusal')) END"
)

_CATALOG_MARK: Final = "paraphina.duckdb, written for"
_CATALOG_GUARD: Final = f"""(
    SELECT CASE WHEN count(*) = 0 THEN true ELSE error(
        any_value(d.path) || ' is a copy, or has moved: it would answer from the folder it was written for. {_HINT}'
    ) END
    FROM duckdb_views() v JOIN duckdb_databases() d ON v.database_oid = d.database_oid
    WHERE starts_with(v.comment, '{_CATALOG_MARK}') AND NOT contains(v.comment, chr(10) || d.path || chr(10))
)"""


@dataclass(frozen=True)
class Door:
    """What the views that read files are made of, for a shell.

    folder: SQL of the warehouse folder, a slash behind it. guard: SQL, true where they may answer, else an error.
    head: what else it takes.
    """

    folder: str
    guard: str
    head: str

    def guarded(self, view: str) -> str:
        """Return the text of a view which answers only where the guard lets it."""
        return _BODY.sub(lambda m: f"{m[1]}SELECT * FROM (\n{m[2]}\n)\nWHERE {self.guard};\n", view)


def script_door(warehouse: Warehouse) -> Door:
    """Return what `init.sql` is made of; it has no state yet."""
    names = _names_now(warehouse)
    folder = f"{no_glob(names[0])}/"
    beside = f"{Path(names[0]).name}/"
    head = _SCRIPT_HEAD.format(
        names=msgspec.json.encode(names).decode(),
        folder=sql_text(folder),
        beside=sql_text(f"{beside}init.sql"),
        beside_glob=sql_text(f"{no_glob(beside)}init.sql"),
        beside_folder=sql_text(no_glob(beside)),
        refusal=sql_text(
            f"this init.sql is a copy of {names[0]}/init.sql, from which it would answer. {_HINT}; "
            "if it is no copy, it changed while the shell read it: open it again"
        ),
    )
    return Door("getvariable('paraphina_folder')", _SCRIPT_GUARD, head)


def catalog_door(warehouse: Warehouse) -> Door:
    """Return what the catalog file is made of."""
    names = _names_now(warehouse)
    files = sorted({str(Path(path) / "paraphina.duckdb") for name in names for path in (name, os.path.realpath(name))})
    mark = "\n".join([_CATALOG_MARK, *files, ""])
    return Door(sql_text(f"{no_glob(names[0])}/"), _CATALOG_GUARD, f"COMMENT ON VIEW run_ledger IS {sql_text(mark)}")


def with_state(script: bytes, state: str) -> bytes:
    """Return the text of `init.sql` in another state."""
    return _STATE.sub(lambda m: m[1] + state.encode() + m[3], script, count=1)


def state_of(script: bytes) -> str:
    """Return the state in a text of `init.sql`; empty when it has none."""
    found = _STATE.search(script)
    return found[2].decode(errors="replace") if found else ""


def is_same(script: bytes, other: bytes) -> bool:
    """Tell whether two texts of `init.sql` differ in nothing but the state."""
    return with_state(script, "") == with_state(other, "")


def is_elsewhere(warehouse: Warehouse) -> bool:
    """Tell whether the doors were written for another folder: this one is a copy, or has moved."""
    return _names_written(warehouse) != _names_now(warehouse)


def written_for(warehouse: Warehouse) -> str:
    """Return the folder that the doors were written for, as far as they tell."""
    return next(iter(_names_written(warehouse)), "another folder")


def _names_now(warehouse: Warehouse) -> list[str]:
    """Return the paths by which this folder is known, the first to be read from; mounts and links give it several."""
    names = [name for name in _names_written(warehouse) if _is_here(name, warehouse.path)]
    here = str(warehouse.path)
    return names if here in names else [*names, here]


def _is_here(name: str, folder: Path) -> bool:
    try:
        return Path(name).samefile(folder)
    except OSError:
        return False


def _names_written(warehouse: Warehouse) -> list[str]:
    return list(_read_names(warehouse.path / "init.sql"))


def _read_names(init: Path) -> Iterator[str]:
    try:
        with init.open("rb") as script:
            found = _NAMES.search(script.read(_HEAD_BYTES))
        yield from msgspec.json.decode(found[1], type=list[str]) if found else []
    except (OSError, msgspec.DecodeError):
        return
