"""Frames as text: the CSV form of every table the project writes.

Columnar throughout: DuckDB writes numbers as Python does, Polars quotes and joins.
"""

from __future__ import annotations

import polars as pl
import polars.selectors as cs

from paraphina_wh.scratch import scratch_database

_NEEDS_QUOTES = '[",\r\n]'
# What a spreadsheet takes for a formula: one of these signs, wide or not, where a cell begins. Cells begin after what
# separates them, which is a semicolon or a tab in other countries, and spreadsheets look past blanks and controls.
# Source: OWASP, CSV injection.
_SKIPPED = r"[\x00-\x08\x0b\x0c\x0e-\x20\x7f-\xa0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"
_FORMULA = rf"(\A|[;\t\r\n])({_SKIPPED}*)([=+\-@\uff1d\uff0b\uff0d\uff20])"
_BEGINS_A_CELL = r"\A[\t\r\n]"


def csv_bytes(frame: pl.DataFrame, *, spreadsheet_safe: bool = False) -> bytes:
    """Return a frame as CSV: comma, header row, LF, UTF-8, minimal quoting, as Python's csv module writes it.

    Floats are shortest round-trip with `.0`, booleans `True`/`False`, null and NaN an empty cell, lists and
    structs JSON text. In a table of one column an empty cell is `""`, lest the row look like a blank line.
    spreadsheet_safe: an apostrophe stands before every text, in names of columns too, that a spreadsheet would take
    for a formula, and all texts are quoted; numbers stay as they are.
    Source: the engine contract, section on run records.
    """
    empty = '""' if frame.width == 1 else ""
    names, cells = pl.Series(frame.columns, dtype=pl.String).to_frame(), cell_texts(frame)
    if spreadsheet_safe:
        header = names.select(_disarmed(pl.all(), empty))
        # By place: a name may be anything, and some names mean several columns to Polars.
        numbers = [kind.is_numeric() for kind in frame.dtypes]
        quoted = cells.select(
            (_quoted if is_number else _disarmed)(pl.nth(place), empty).alias(f"c{place}")
            for place, is_number in enumerate(numbers)
        )
    else:
        header, quoted = names.select(_quoted(pl.all(), empty)), cells.select(_quoted(pl.all(), empty))
    rows = list(quoted.select(pl.concat_str(pl.all(), separator=",")).to_series()) if frame.width else []
    return ("\n".join([",".join(header.to_series()), *rows]) + "\n").encode()


def cell_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with every value as the text of its CSV cell, before quoting; null and NaN are null."""
    if not frame.width:
        return frame
    plain = instants_as_text(frame).with_columns(
        cs.float().fill_nan(None),
        cs.boolean().replace_strict({True: "True", False: "False"}, default=None, return_dtype=pl.String),
    )
    # Names may be anything at all; DuckDB sees places instead.
    numbered = plain.rename({name: f"c{place}" for place, name in enumerate(plain.columns)}, strict=True)
    casts = (_text_of(f"c{place}", kind) for place, kind in enumerate(plain.dtypes))
    with scratch_database() as connection:
        connection.register("numbered", numbered.to_arrow())
        texts: pl.DataFrame = connection.sql(f"SELECT {', '.join(casts)} FROM numbered").pl()
    texts.columns = frame.columns
    return texts


def instants_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose instants are ISO 8601 in UTC, with microseconds unless they are 0, as Python writes them."""
    instant = cs.datetime(time_zone="*").dt.convert_time_zone("UTC")
    return frame.with_columns(
        pl.when(instant.dt.microsecond() == 0)
        .then(instant.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"))
        .otherwise(instant.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00"))
    )


def _text_of(column: str, kind: pl.DataType) -> str:
    return f"to_json({column})::VARCHAR AS {column}" if kind.is_nested() else f"{column}::VARCHAR AS {column}"


def _quoted(text: pl.Expr, empty: str) -> pl.Expr:
    return (
        pl.when((text != "") & ~text.str.contains(_NEEDS_QUOTES))
        .then(text)
        .when(text != "")
        .then(_in_quotes(text))
        .otherwise(pl.lit(empty))
    )


def _disarmed(text: pl.Expr, empty: str) -> pl.Expr:
    """Return texts in quotes, with an apostrophe wherever a spreadsheet could see the start of a formula."""
    harmless = text.str.replace_all(_FORMULA, "${1}'${2}${3}")
    started = pl.when(text.str.contains(_BEGINS_A_CELL)).then(pl.lit("'") + harmless).otherwise(harmless)
    return pl.when(text != "").then(_in_quotes(started)).otherwise(pl.lit(empty))


def _in_quotes(text: pl.Expr) -> pl.Expr:
    return pl.lit('"') + text.str.replace_all('"', '""', literal=True) + pl.lit('"')
