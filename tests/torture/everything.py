"""A warehouse with every kind of file in it, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from paraphina_wh.catalog import connect
from paraphina_wh.datasets import mirror_dataset
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.ingest.forget import forget
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.maintenance.gc import collect
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import MC_RUN, line, run_of
from tests.telemetry_maker import write

BAD: Final = b"{bad}\n"
ROW: Final = '{"label":"%s","profile":"balanced","num_ticks":3,"final_pnl":1.5,"max_drawdown":0.5}\n'
TABLE: Final = "run,profile,final_pnl,max_drawdown\n1,balanced,1.5,2\n2,balanced,2.5,3\n"
SUMMARY: Final = "profile,final_pnl_mean,final_pnl_std,num_runs\nbalanced,1.5,2,10\n"

# Kind -> where a file of it lies; the first one counts.
KINDS: Final[Mapping[str, str]] = {
    "ticks": "telemetry/profile=balanced/label=exp13_balanced_r001/*.parquet",
    "ledger": "runs/experiment=adhoc/*.parquet",
    "folded ledger": "runs/experiment=exp13/*.parquet",
    "ledger of a table": "runs/experiment=exp03/*.parquet",
    "folded mirror": "datasets/dataset=research_dataset_v001/*.parquet",
    "mirror": "datasets/dataset=research_dataset_v002/*.parquet",
    "mc_runs": "mc_runs/source=[!a]*/*.parquet",
    "summaries": "summaries/source=*[0-9]*/*.parquet",
    "lines of a run": "quarantine/{run_id}.jsonl",
    "lines of mc_runs": "quarantine/{source}.jsonl",
    "columns of ticks": "telemetry/profile=any/label=any/schema.parquet",
    "columns of runs": "runs/experiment=any/schema.parquet",
    "columns of datasets": "datasets/dataset=any/schema.parquet",
    "record": "commits/*.json",
    "folded records": "commits/*.folded",
}
# What a restored file says of itself, or loses: decisions of docs/design.md.
_NOT_KEPT: Final[Mapping[str, str]] = {
    "runs": "",
    "ticks": "",
    "dataset_rows": "prefix_sha256, evidence_json",
    "mc_runs": "ingested_at",
    "imported_summaries": "ingested_at",
}


def make(root: Path) -> Warehouse:
    """Make it below an empty ROOT: runs replaced and withdrawn, lines put aside, ledger and mirror folded."""
    warehouse = locate(root)
    for i in range(3):
        write(root / f"sweep/balanced_r{i}.jsonl", run_of(6 + i) + (BAD if i == 1 else b""))
    _ingest(warehouse, root / "sweep", on_error="quarantine")
    _ingest(warehouse, write(root / "sweep/balanced_r0.jsonl", run_of(9)), replace=True)
    _ingest(warehouse, write(root / "sweep/balanced_r9.jsonl", run_of(3)))
    forget(warehouse, labels=["exp13_balanced_r009"])
    first = write(root / "research_dataset_v001.jsonl", ROW % "a" + "no run\n")
    mirror_dataset(warehouse, first)
    write(first, first.read_text() + ROW % "b")
    mirror_dataset(warehouse, first)
    compact(warehouse)
    collect(warehouse, older_than_s=0, delete=True)
    mirror_dataset(warehouse, write(root / "research_dataset_v002.jsonl", ROW % "c"))
    write(root / "mc/mc_runs.jsonl", b"".join(line(base=MC_RUN, run_index=i) for i in range(3)) + BAD)
    _ingest(warehouse, root / "mc", on_error="quarantine")
    _ingest(warehouse, write(root / "exp03.csv", TABLE), experiment="exp03", profile="balanced")
    _ingest(warehouse, write(root / "exp07_summary.csv", SUMMARY))
    _ingest(warehouse, write(root / "two.jsonl", run_of(2) + run_of(4)), profile="balanced", split_on_reset=True)
    return warehouse


def _ingest(warehouse: Warehouse, path: Path, **options: object) -> None:
    report = ingest_paths(warehouse, [path], Options(**options), jobs=1)  # type: ignore[arg-type]
    assert report.complete, report


def file_of(warehouse: Warehouse, kind: str) -> Path:
    """Return the file of a kind."""
    pattern = KINDS[kind]
    if kind == "lines of a run":
        pattern = pattern.format(run_id=file_of(warehouse, "ticks").stem)
    if kind == "lines of mc_runs":
        pattern = pattern.format(source=file_of(warehouse, "mc_runs").parent.name.partition("=")[2])
    return min(warehouse.path.glob(pattern))


def answers(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    """Return what the source views say, each as its number of rows and a digest of them as a multiset."""
    found = {}
    with connect(warehouse, views=("run_ledger", *_NOT_KEPT)) as connection:
        for view, column in _NOT_KEPT.items():
            columns = f"* EXCLUDE ({column})" if column else "*"
            if view == "runs":
                # The time of a table's rows becomes that of their batch.
                columns = "* REPLACE (CASE WHEN source_kind <> 'csv' THEN ingested_at END AS ingested_at)"
            [(rows, digest)] = connection.execute(
                f"SELECT count(*), sum(hash(r)::HUGEINT) FROM (SELECT {columns} FROM {view}) r"
            ).fetchall()
            found[view] = (int(rows), int(digest or 0))
    return found
