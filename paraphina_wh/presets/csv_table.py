"""A CSV file that a user hands in: columns found under any accepted name, cells read strictly."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from paraphina_wh.candidates import Candidates, place_of
from paraphina_wh.catalog import no_glob, sql_folder
from paraphina_wh.errors import WarehouseError
from paraphina_wh.scratch import scratch_database

_NOTHING: Final = ["", "nan", "null"]
_TRUTH: Final = {"true": "1", "yes": "1", "false": "0", "no": "0"}
_REASON: Final = re.compile(r"CSV Error on Line: (\d+)\n(?:Original Line:.*\n+)?([^\n]+)")


@dataclass(frozen=True)
class CsvTable:
    """The cells of a CSV file as texts, by the names of its header; an empty cell is null."""

    file: Path
    cells: pl.DataFrame

    def find(self, names: Sequence[str]) -> str | None:
        """Return the column that goes by the first of these names that is there, in any case; None if none is."""
        place = place_of(names, self.cells.columns)
        return None if place is None else self.cells.columns[place]

    def require(self, wanted: Candidates) -> dict[str, str]:
        """Return wanted name -> column. Raises: WarehouseError that lists what was tried and what is there."""
        found = {name: self.find(names) for name, names in wanted.items()}
        tried = [f"{name} ({', '.join(wanted[name])})" for name, column in found.items() if column is None]
        if tried:
            raise WarehouseError(
                f"{self.file} has no column for {'; '.join(tried)}",
                f"columns present: {', '.join(self.cells.columns)}",
            )
        return {name: column for name, column in found.items() if column is not None}

    def texts(self, column: str | None) -> pl.Series:
        """Return a column as trimmed texts in lower case; all null without a column."""
        if column is None:
            return pl.Series([None] * self.cells.height, dtype=pl.String)
        return self.cells[column].str.strip_chars().str.to_lowercase()

    def numbers(self, column: str | None) -> pl.Series:
        """Return a column as floats, null where the cell is empty or says nan; all null without a column.

        Raises: WarehouseError naming file, row and column of a cell that is no finite number.
        """
        values = self.texts(column).cast(pl.Float64, strict=False)
        return self._accept(column, values, values.is_finite(), "a finite number")

    def whole_numbers(self, column: str | None) -> pl.Series:
        """Return a column as integers, null where the cell is empty. Raises: as `numbers` does."""
        values = self.numbers(column)
        return self._accept(column, values, values == values.floor(), "a whole number").cast(pl.Int64)

    def fractions(self, column: str | None) -> pl.Series:
        """Return a column of shares and probabilities, null where the cell is empty. Raises: as `numbers` does."""
        values = self.numbers(column)
        return self._accept(column, values, values.is_between(0, 1), "between 0 and 1")

    def flags(self, column: str) -> pl.Series:
        """Return a column of truth values as 1.0 and 0.0: true, yes, 1, false, no, 0; null where the cell is empty.

        Raises: WarehouseError naming file, row and column of any other cell.
        """
        values = self.texts(column).replace(_TRUTH).cast(pl.Float64, strict=False)
        return self._accept(column, values, values.is_in([0.0, 1.0]), "true, false, yes, no, 1 or 0")

    def _accept(self, column: str | None, values: pl.Series, good: pl.Series, kind: str) -> pl.Series:
        """Return the values with those of empty cells null. Raises: WarehouseError when another one is not good."""
        texts = self.texts(column)
        empty = texts.is_null() | texts.is_in(_NOTHING)
        wrong = (~(empty | good.fill_null(False))).arg_true()
        if column is not None and len(wrong):
            cell = self.cells[column][wrong[0]]
            raise WarehouseError(
                f"{self.file}, row {wrong[0] + 1}, column {column}: {cell!r} is not {kind}",
                "correct the cell, or leave it empty; rows are counted below the header",
            )
        return pl.select(pl.when(~empty).then(values)).to_series()


def read_table(file: Path, hint: str) -> CsvTable:
    """Return a CSV file with a header row.

    hint: the next step when the file cannot be read.
    Raises: WarehouseError when the file cannot be read (exit code 2), or is no CSV (1), naming the line.
    """
    header = _header(file, hint)
    columns = [f"c{place}" for place in range(len(header))]
    values = {"file": no_glob(str(file)), "columns": dict.fromkeys(columns, "VARCHAR")}
    query = (sql_folder() / "import" / "csv_cells.sql").read_text()
    with scratch_database(threads=1) as connection:
        try:
            cells: pl.DataFrame = connection.sql(query, params=values).pl()
        except duckdb.Error as error:
            raise _broken(file, str(error)) from error
    return CsvTable(file, _named(file, header, cells))


def _named(file: Path, header: list[str], cells: pl.DataFrame) -> pl.DataFrame:
    """Return the cells by the names of the header, without columns that have neither name nor content."""
    nameless = [column for name, column in zip(header, cells.columns, strict=True) if not name.strip()]
    for column in nameless:
        filled = (cells[column].str.strip_chars().fill_null("") != "").arg_true()
        if len(filled):
            place, cell = cells.columns.index(column) + 1, cells[column][filled[0]]
            raise WarehouseError(
                f"{file}, row {filled[0] + 1}: {cell!r} stands in column {place}, which has no name",
                "name the column in the header, or empty it; rows are counted below the header",
            )
    kept = cells.drop(nameless)
    kept.columns = [name for name in header if name.strip()]
    return kept


def _header(file: Path, hint: str) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines), [])
    except OSError as error:
        raise WarehouseError(f"cannot read {file}: {error.strerror}", hint, exit_code=2) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _broken(file, str(error)) from error
    names = [name.strip().lower() for name in header]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise WarehouseError(f"{file}: column {twice!r} is there twice", "leave one of them out")
    if not header:
        raise WarehouseError(f"{file} is empty", "a CSV file starts with the names of its columns")
    return header


def _broken(file: Path, reason: str) -> WarehouseError:
    found = _REASON.search(reason)
    what = f", line {found[1]}: {found[2]}" if found else f": {reason.splitlines()[0]}"
    return WarehouseError(f"{file}{what}", "a CSV file has a header row, commas, and as many cells in each row")
