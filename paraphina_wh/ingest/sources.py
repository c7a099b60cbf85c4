"""Files kept as a table of their own: known by their content, replaced by path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paraphina_wh import commit
from paraphina_wh.catalog import connect
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import Warehouse, hive_folder, new_batch

View = Literal["mc_runs", "imported_summaries"]


@dataclass(frozen=True)
class Source:
    """A file on its way into the warehouse. view: where its rows will show. source_id: names its folder."""

    view: View
    source_id: str
    path: str

    def folder(self, warehouse: Warehouse, source_id: str) -> Path:
        """Return where the rows of a source of this kind lie."""
        parent = warehouse.mc_runs if self.view == "mc_runs" else warehouse.summaries
        return parent / hive_folder("source", source_id)


def is_held(warehouse: Warehouse, source: Source, *, replace: bool) -> bool:
    """Tell whether the warehouse holds the content already; with replace, what else came from its path goes then.

    Raises: WarehouseError when it holds other content from the same path, unless that is to be replaced.
    """
    with connect(warehouse, views=(source.view,)) as connection:
        held = connection.execute(
            f"SELECT DISTINCT source FROM {source.view} WHERE source = $id OR source_path = $path",
            {"id": source.source_id, "path": source.path},
        ).fetchall()
    sources = {name for (name,) in held}
    others = sources - {source.source_id}
    if source.source_id not in sources and others and not replace:
        raise WarehouseError(
            f"{source.path}: the warehouse holds other content of this file (source {min(others)})",
            "take it out with --replace, or give the file another name",
        )
    if source.source_id in sources and replace:
        _remove(warehouse, source, others)
    return source.source_id in sources


def put_in_place(warehouse: Warehouse, source: Source, staged: Path, *, quarantine: Path | None = None) -> None:
    """Commit the rows of a source, and remove those of earlier content of the same path.

    quarantine: its rejected lines, if there are any.
    """
    with connect(warehouse, views=(source.view,)) as connection:
        held = connection.execute(
            f"SELECT DISTINCT source FROM {source.view} WHERE source_path = $path AND source <> $id",
            {"path": source.path, "id": source.source_id},
        ).fetchall()
    aside = [(quarantine, warehouse.quarantine / f"{source.source_id}.jsonl")] if quarantine else []
    commit.publish([*aside, (staged, source.folder(warehouse, source.source_id) / f"{new_batch()}.parquet")])
    _remove(warehouse, source, {name for (name,) in held})


def _remove(warehouse: Warehouse, source: Source, source_ids: set[str]) -> None:
    for source_id in source_ids:
        commit.remove(warehouse.quarantine / f"{source_id}.jsonl")
        for file in source.folder(warehouse, source_id).glob("*.parquet"):
            commit.remove(file)
