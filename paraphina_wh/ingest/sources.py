"""Files kept as a table of their own: known by their content, replaced by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from paraphina_wh import commit
from paraphina_wh.catalog import connect, steady
from paraphina_wh.errors import WarehouseError
from paraphina_wh.records import Record, SourceRun
from paraphina_wh.warehouse import Warehouse, hive_folder, new_batch

View = Literal["mc_runs", "imported_summaries"]


@dataclass(frozen=True)
class Source:
    """A file on its way into the warehouse.

    view: where its rows will show. source_id: names its folder. sha256: of the decompressed file.
    given: options that decide on what the rows say.
    """

    view: View
    source_id: str
    path: str
    sha256: str
    given: Mapping[str, str] = field(default_factory=dict)

    def folder(self, warehouse: Warehouse, source_id: str) -> Path:
        """Return where the rows of a source of this kind lie."""
        parent = warehouse.mc_runs if self.view == "mc_runs" else warehouse.summaries
        return parent / hive_folder("source", source_id)


@steady
def is_held(warehouse: Warehouse, source: Source, *, replace: bool) -> bool:
    """Tell whether the warehouse holds the content already.

    Raises: WarehouseError when it holds other content from the same path, unless that is to be replaced.
    """
    # Of the same Monte Carlo runs other lines may be put aside today: that is for a replay to bring in.
    name, value = ("source_sha256", source.sha256) if source.view == "mc_runs" else ("source", source.source_id)
    with connect(warehouse, views=(source.view,)) as connection:
        held = connection.execute(
            f"SELECT DISTINCT {name} = $value, source FROM {source.view} WHERE source_path = $path OR {name} = $value",
            {"path": source.path, "value": value},
        ).fetchall()
    is_there = any(is_same for is_same, _ in held)
    if held and not is_there and not replace:
        raise WarehouseError(
            f"{source.path}: the warehouse holds other content of this file (source {min(held)[1]})",
            "take it out with --replace, or give the file another name",
        )
    return is_there


@steady
def put_in_place(warehouse: Warehouse, source: Source, staged: Path, *, quarantine: Path | None = None) -> None:
    """Commit the rows of a source, and remove those of earlier content of the same path.

    quarantine: its rejected lines, if there are any.
    """
    with connect(warehouse, views=(source.view,)) as connection:
        held = connection.execute(
            f"SELECT DISTINCT source FROM {source.view} WHERE source_path = $path", {"path": source.path}
        ).fetchall()
    old = [file for (name,) in held for file in _files(warehouse, source, name)]
    # The newest batch of a path is the one that counts: it must sort behind those it takes the place of.
    batch = new_batch(after=max((file.stem for file in old if file.suffix == ".parquet"), default=""))
    final = source.folder(warehouse, source.source_id) / f"{batch}.parquet"
    puts = [commit.Put(staged, final, f"{source.view} of {source.path}")]
    if quarantine:
        aside = warehouse.quarantine / f"{source.source_id}.jsonl"
        puts.insert(0, commit.Put(quarantine, aside, f"lines of {source.path} put aside"))
    made_of = SourceRun(
        source.view, run_id=source.source_id, source=source.path, sha256=source.sha256, given=dict(source.given)
    )
    finals = {put.final for put in puts}
    drops = [file for file in old if file not in finals]
    commit.commit(warehouse, Record(batch, runs=[made_of]), puts, drops=drops)


def _files(warehouse: Warehouse, source: Source, source_id: str) -> list[Path]:
    aside = warehouse.quarantine / f"{source_id}.jsonl"
    return [*sorted(source.folder(warehouse, source_id).glob("*.parquet")), *([aside] if aside.exists() else [])]
