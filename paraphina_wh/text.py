"""Frames as text: the CSV form of every table the project writes.

Columnar throughout: DuckDB writes numbers as Python does, Polars quotes and joins.
"""

from __future__ import annotations

import duckdb
import polars as pl
import polars.selectors as cs

_NEEDS_QUOTES = '[",\r\n]'


def csv_bytes(frame: pl.DataFrame) -> bytes:
    """Return a frame as CSV: comma, header row, LF, UTF-8, minimal quoting, as Python's csv module writes it.

    Floats are shortest round-trip with `.0`, booleans `True`/`False`, null and NaN an empty cell, lists and
    structs JSON text. In a table of one column an empty cell is `""`, lest the row look like a blank line.
    Source: the engine contract, section on run records.
    """
    empty = '""' if frame.width == 1 else ""
    cells = cell_texts(frame).select(_quoted(pl.all(), empty))
    rows = list(cells.select(pl.concat_str(pl.all(), separator=",")).to_series()) if frame.width else []
    header = ",".join(pl.select(_quoted(pl.lit(name), empty)).item() for name in frame.columns)
    return ("\n".join([header, *rows]) + "\n").encode()


def cell_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with every value as the text of its CSV cell, before quoting; null and NaN are null."""
    if not frame.width:
        return frame
    plain = frame.with_columns(
        cs.float().fill_nan(None),
        cs.boolean().replace_strict({True: "True", False: "False"}, default=None, return_dtype=pl.String),
    )
    # Names may be anything at all; DuckDB sees places instead.
    numbered = plain.rename({name: f"c{place}" for place, name in enumerate(plain.columns)}, strict=True)
    casts = (_text_of(f"c{place}", kind) for place, kind in enumerate(plain.dtypes))
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("numbered", numbered.to_arrow())
        texts: pl.DataFrame = connection.sql(f"SELECT {', '.join(casts)} FROM numbered").pl()
    texts.columns = frame.columns
    return texts


def _text_of(column: str, kind: pl.DataType) -> str:
    return f"to_json({column})::VARCHAR AS {column}" if kind.is_nested() else f"{column}::VARCHAR AS {column}"


def _quoted(text: pl.Expr, empty: str) -> pl.Expr:
    doubled = pl.lit('"') + text.str.replace_all('"', '""', literal=True) + pl.lit('"')
    return (
        pl.when((text != "") & ~text.str.contains(_NEEDS_QUOTES))
        .then(text)
        .when(text != "")
        .then(doubled)
        .otherwise(pl.lit(empty))
    )
