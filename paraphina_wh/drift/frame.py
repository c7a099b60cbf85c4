"""Ticks as Polars frames, like the view: promoted columns are computed by its SQL, where somebody asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import duckdb
import polars as pl

from paraphina_wh.duck import in_memory
from paraphina_wh.promoted import Promotion, declared_types, tick_sql
from paraphina_wh.tables import ticks_columns
from paraphina_wh.tick_views import shown_in_ticks

_KEYS = {"profile": pl.String(), "label": pl.String()}


def scan_ticks(base: Path, files: Sequence[Path], schema: pl.Schema) -> pl.LazyFrame:
    """Return the ticks of files of the warehouse folder base, at least one, read when collected.

    schema: of the view `ticks`; the frame has it too, whatever version wrote the files.
    """
    frame = pl.scan_parquet(
        list(files),
        glob=False,
        hive_partitioning=True,
        hive_schema=_KEYS,
        schema={name: schema[name] for name in ticks_columns()},
        missing_columns="insert",
        extra_columns="ignore",
        cast_options=pl.ScanCastOptions(missing_struct_fields="insert", extra_struct_fields="ignore"),
    )
    promoted = [_column(promotion, schema[promotion.column]) for promotion in shown_in_ticks(base)]
    return frame.with_columns(promoted).select(schema.names())


def _column(promotion: Promotion, kind: pl.DataType) -> pl.Expr:
    declared = promotion.within or (promotion.field if promotion.field in declared_types() else "")
    sources = ["extra", declared.partition(".")[0]] if declared else ["extra"]
    return (
        pl.struct(sources)
        .map_batches(partial(_values, tick_sql(promotion)), return_dtype=kind, is_elementwise=True)
        .alias(promotion.column)
    )


def _values(sql: str, ticks: pl.Series) -> pl.Series:
    with _engine().cursor() as connection:
        connection.register("ticks", ticks.struct.unnest().to_arrow())
        found: pl.DataFrame = connection.sql(f"SELECT {sql} AS value FROM ticks").pl()
    return found["value"]


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    # A database of its own for every batch of Polars would take longer than the batch.
    return in_memory(threads=1)
