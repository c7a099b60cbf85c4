"""A warehouse as a version of the program left it that computed metrics in another way."""

from __future__ import annotations

import duckdb

from paraphina_wh import commit
from paraphina_wh.maintenance.places import is_schema
from paraphina_wh.records import Record, read_records
from paraphina_wh.warehouse import Warehouse, new_batch

EARLIER = "* REPLACE (delta_max_abs_usd + 1 AS delta_max_abs_usd, 'earlier' AS metrics_definition)"
BEFORE_DEFINITIONS = "* EXCLUDE (metrics_definition, n_fills)"


def outdate(warehouse: Warehouse, columns: str = EARLIER) -> None:
    """Make the ledger files what an earlier version would have committed, with these columns."""
    records = read_records(warehouse)
    for path in [path for path in records.files if path.startswith("runs/") and not is_schema(path)]:
        batch = new_batch(after=max(record.name for record in read_records(warehouse).all))
        with commit.staging(warehouse, batch) as staging, duckdb.connect(":memory:") as connection:
            file, older = warehouse.path / path, staging / "older.parquet"
            connection.execute(
                f"COPY (SELECT {columns} FROM read_parquet('{file}', hive_partitioning = false)) "
                f"TO '{older}' (FORMAT parquet)"
            )
            stored, record = records.files[path][-1]
            commit.commit(warehouse, Record(batch, rows=record.rows), [commit.Put(older, file, stored.holds)])
