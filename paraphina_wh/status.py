"""The state of a warehouse at a glance, from the views alone."""

from __future__ import annotations

import polars as pl

from paraphina_wh.catalog import connect, sql_folder, steady
from paraphina_wh.ingest.batch import metrics_definition
from paraphina_wh.warehouse import Warehouse

_VIEWS = ("run_ledger", "runs", "dataset_rows", "mc_runs", "imported_summaries")
SECTIONS = ("totals", "experiments", "datasets", "imported", "unknown_fields", "problems")


@steady
def read_status(warehouse: Warehouse) -> dict[str, pl.DataFrame]:
    """Return section -> rows, as the files in sql/status/ define them; all but `totals` may be empty."""
    with connect(warehouse, views=_VIEWS) as connection:
        sections = {name: connection.sql(_query(name)).pl() for name in SECTIONS}
        outdated = connection.sql(_query("outdated"), params={"definition": metrics_definition()}).pl()
        return sections | {"problems": pl.concat([sections["problems"], outdated])}


def _query(name: str) -> str:
    return (sql_folder() / "status" / f"{name}.sql").read_text()
