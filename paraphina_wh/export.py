"""Views to artefacts: each function writes one file, as a whole, and returns its path; twice gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import polars as pl

from paraphina_wh.alignment import Alignment, align
from paraphina_wh.catalog import connect, steady
from paraphina_wh.commit import write_atomically
from paraphina_wh.datasets import append_research_rows, open_dataset, research_lines
from paraphina_wh.datasets.rows import ALL_ROWS, Selection
from paraphina_wh.known import no_runs
from paraphina_wh.summary import Summary, summary_text
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse

ALIGNMENT_CSV = Path("runs/exp11_research_alignment/exp11_alignment.csv")
EVIDENCE_CSV = "exp11_evidence.csv"
SUMMARY_TEXT = Path("runs/research_summary/research_summary.txt")


def export_dataset(
    warehouse: Warehouse,
    dataset: str | Path | None = None,
    *,
    selection: Selection = ALL_ROWS,
    allow_mixed: bool = False,
    out: Path | None = None,
) -> Path:
    """Bring a dataset file up to date, or write the selected research rows to `out` and leave the dataset alone.

    dataset: relative paths are below ROOT; None is the newest version.
    Raises: WarehouseError as `append_research_rows` does.
    """
    if out is None:
        file = open_dataset(warehouse, dataset)
        return append_research_rows(warehouse, file, selection=selection, allow_mixed=allow_mixed).file
    return _write(out, research_lines(warehouse, selection, allow_mixed=allow_mixed))


def write_alignment(warehouse: Warehouse, alignment: Alignment, out_dir: Path | None = None) -> Path:
    """Write an alignment as `exp11_alignment.csv` and return that path; beside it goes `exp11_evidence.csv`.

    out_dir: by default `runs/exp11_research_alignment/` below ROOT.
    """
    path = warehouse.folder_for(ALIGNMENT_CSV.parent, out_dir) / ALIGNMENT_CSV.name
    _write(evidence_beside(path), csv_bytes(alignment.evidence))
    return _write(path, csv_bytes(alignment.frame))


def evidence_beside(alignment_csv: Path) -> Path:
    """Return the path of the evidence that `write_alignment` writes with an alignment."""
    return alignment_csv.with_name(EVIDENCE_CSV)


def export_alignment(warehouse: Warehouse, dataset: str | Path | None = None, *, out: Path | None = None) -> Path:
    """Write the alignment of a dataset file and its evidence, or to `out` the alignment alone, and return its path.

    Raises: WarehouseError as `align` does.
    """
    alignment = align(warehouse, dataset)
    return write_alignment(warehouse, alignment) if out is None else _write(out, csv_bytes(alignment.frame))


def export_summary(warehouse: Warehouse, summary: Summary, *, out: Path | None = None) -> Path:
    """Write a summary as the text of the console."""
    return _write(out or warehouse.root / SUMMARY_TEXT, summary_text(summary).encode())


@steady
def export_runs(warehouse: Warehouse, experiment: str, *, out: Path | None = None) -> Path:
    """Write all columns of `runs` for an experiment as CSV, by default `runs/<experiment>/<experiment>_runs.csv`.

    Raises: WarehouseError (exit code 2) when the warehouse holds no run of the experiment.
    """
    with connect(warehouse, views=("run_ledger", "runs")) as connection:
        query = "SELECT * FROM runs WHERE experiment = $experiment ORDER BY label, run_id"
        rows: pl.DataFrame = connection.sql(query, params={"experiment": experiment}).pl()
        if rows.is_empty():
            raise no_runs(connection, experiment)
    # An experiment may be named by a foreign sidecar: whatever it says, it stays one part of the path.
    part = quote(experiment, safe="") if experiment.strip(".") else experiment.replace(".", "%2E")
    return _write(out or warehouse.root / "runs" / part / f"{part}_runs.csv", csv_bytes(rows))


def _write(path: Path, content: bytes) -> Path:
    write_atomically(path, content)
    return path
