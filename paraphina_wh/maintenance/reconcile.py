"""What is stored against what the source says: every value, at any depth, in the order of the file.

The columnar read is DuckDB's, from the lines to the Parquet file. Nothing of it is used here: msgspec decodes the lines
that the strict pass accepts, pyarrow reads what is stored, and the two are compared as Arrow columns. Null and absent
are one, as in Parquet; an empty list, a list of nulls and no list are not, and -0.0 is not 0.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypedDict

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from paraphina_wh.rerun.fields import differing_fields
from paraphina_wh.telemetry.record import INT64_MAX
from paraphina_wh.telemetry.shape import Contract, Shape, record_shape

# What is decoded at once: its lines, as Python objects, take ten times as much or more.
_BLOCK_BYTES: Final = 1 << 21
_BLOCK_ROWS: Final = 1 << 11
_STORED_BYTES: Final = 1 << 23
_SHOWN: Final = 80


@dataclass(frozen=True)
class Mismatch:
    """Where what is stored parts from the source: the first record in which a column does.

    index: the value of the index field, None when all of the file is meant. field: path of the value.
    """

    column: str
    index: int | None
    field: str
    stored: str
    said: str

    def __str__(self) -> str:
        where = self.field if self.index is None else f"{self.field} at {self.index}"
        return f"{where} is stored as {self.stored}, its source says {self.said}"


class Reconciliation:
    """One stored file, held against the records of its source as a strict pass hands them over.

    Its `extra` and itself, as `clean`, are the sinks of the pass; `mismatches` tells when it is over. Memory follows
    neither the file nor the source.
    """

    def __init__(
        self,
        contract: Contract,
        stored: Path,
        constants: dict[str, Any],
        record_bytes: int,
        older: Sequence[pa.Schema] = (),
    ) -> None:
        """Open the stored file.

        constants: columns that come first, and their value. record_bytes: of a line, about. older: of files of
        earlier versions; of such a file the columns are compared that it shares with today's, less `extra`, which
        held what has come to be declared.
        Raises: OSError or pyarrow.ArrowException when it cannot be read; so may every later step.
        """
        self._contract = contract
        self._constants = constants
        file = pq.ParquetFile(stored, pre_buffer=False, buffer_size=1 << 20)
        self._stored = _Stored(file, max(1, min(_BLOCK_ROWS, _STORED_BYTES // max(1, record_bytes))))
        others = {each.column: each for each in _other_columns(file.schema_arrow, self._schema())}
        is_older = bool(others) and any(not any(_other_columns(file.schema_arrow, schema)) for schema in older)
        self._left_out = {*others, "extra"} if is_older else set()
        self._found: dict[str, Mismatch] = {} if is_older else others
        self._lines: list[bytes] = []
        self._extra: list[str | None] = []
        self._undeclared: str | None = None
        self._bytes = self._rows = self._missing = 0

    def extra(self, index: int, text: str) -> None:
        """Take the undeclared fields of the record that comes next, as JSON text."""
        self._undeclared = text

    def write(self, line: bytes, /) -> None:
        """Take the next record, as a line of JSON."""
        self._lines.append(line)
        self._extra.append(self._undeclared)
        self._bytes += len(line) + len(self._undeclared or "")
        self._undeclared = None
        if self._bytes > _BLOCK_BYTES or len(self._lines) == _BLOCK_ROWS:
            self._compare()

    def mismatches(self) -> list[Mismatch]:
        """Return what differs, a row for each column that does."""
        self._compare()
        stored = self._rows - self._missing + self._stored.count_rest()
        if stored != self._rows:
            self._found[""] = Mismatch("", None, "number of records", str(stored), str(self._rows))
        return list(self._found.values())

    def _schema(self) -> pa.Schema:
        first = [pa.field(name, pa.scalar(value).type) for name, value in self._constants.items()]
        return pa.schema([*first, *_kind(record_shape(self._contract.record)), pa.field("extra", pa.string())])

    def _compare(self) -> None:
        rows, said = len(self._lines), self._said()
        stored = self._stored.take(rows)
        self._rows += rows
        self._missing += rows - len(stored)
        for name in said.schema.names:
            if name not in self._found and name not in self._left_out:
                here = _in_common_form(_whole(stored[name]), name in _json_columns(self._contract))
                row = _first_difference(_whole(said[name])[: len(stored)], here)
                if row is not None:
                    self._found[name] = _mismatch(said, here, name, row, self._contract.index)

    def _said(self) -> pa.Table:
        """Return the records in hand, as they should be stored, and let go of them."""
        shape = record_shape(self._contract.record)
        records = pa.array(decode(self._lines, self._contract), pa.struct(list(_kind(shape))))
        extra = pa.array(self._extra, pa.string(), memory_pool=pa.system_memory_pool())
        self._lines, self._extra, self._bytes = [], [], 0
        constants = {name: pa.repeat(pa.scalar(value), len(extra)) for name, value in self._constants.items()}
        columns = dict(zip(shape.fields, records.flatten(), strict=True))
        return pa.table({**constants, **columns, "extra": extra})


class _Stored:
    """The rows of a Parquet file, one after the other."""

    def __init__(self, file: pq.ParquetFile, rows: int) -> None:
        self._batches = (
            batch for group in range(file.num_row_groups) for batch in file.iter_batches(rows, row_groups=[group])
        )
        self._held = file.schema_arrow.empty_table()

    def take(self, rows: int) -> pa.Table:
        """Return the next rows, fewer at the end of the file."""
        while len(self._held) < rows and (batch := next(self._batches, None)) is not None:
            self._held = pa.concat_tables([self._held, pa.table(batch)])
        taken, self._held = self._held.slice(0, rows), self._held.slice(rows)
        return taken

    def count_rest(self) -> int:
        """Return how many rows are left, and drop them."""
        rest = len(self._held) + sum(len(batch) for batch in self._batches)
        self._held = self._held.slice(len(self._held))
        return rest


def decode(lines: Sequence[bytes], contract: Contract) -> list[dict[str, Any]]:
    """Return the declared fields of accepted lines; JSON values as text in one form."""
    decoder = _decoder(contract)
    try:
        return [decoder.decode(line) for line in lines]
    except (msgspec.MsgspecError, RecursionError):
        shape = record_shape(contract.record)
        return [_by_hand(json.loads(line), shape) for line in lines]


@cache
def _decoder(contract: Contract) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_typed(record_shape(contract.record)), dec_hook=_json_text)


def _by_hand(value: Any, shape: Shape) -> Any:
    """Return an accepted value in its declared type: integers may be written as `3.0`, which msgspec does not take."""
    if value is None:
        return None
    match shape.kind:
        case "struct":
            return {name: _by_hand(value[name], f.shape) for name, f in shape.fields.items() if name in value}
        case "list":
            assert shape.item is not None
            return [_by_hand(item, shape.item) for item in value]
        case "float":
            return float(value)
        case "int":
            return int(value)
        case "choice":
            return type(shape.choices[0])(value)
        case "json":
            return json.dumps(value)
    return value


class _JsonText(str):
    """JSON text in the one form that json.dumps gives it."""


def _json_text(kind: type, value: Any) -> Any:
    return kind(json.dumps(value))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece, without a copy where it is in one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


@cache
def _json_columns(contract: Contract) -> set[str]:
    return {name for name, field in record_shape(contract.record).fields.items() if field.shape.kind == "json"}


def _in_common_form(column: pa.Array, is_json: bool) -> pa.Array:
    if not is_json or column.null_count == len(column):
        return column
    return pa.array([text and _again(text) for text in column.to_pylist()], pa.string())


def _again(text: str) -> str:
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return text


def _typed(shape: Shape) -> Any:
    """Return the Python type that msgspec decodes a shape to; what is not declared is left out."""
    match shape.kind:
        case "struct":
            fields = {name: _typed(field.shape) | None for name, field in shape.fields.items()}
            return TypedDict("Record", fields, total=False)  # type: ignore[operator]
        case "list":
            assert shape.item is not None
            return list[_typed(shape.item) | None]  # type: ignore[misc]
        case "choice":
            return type(shape.choices[0])
    return {"float": float, "int": int, "bool": bool, "str": str, "json": _JsonText}[shape.kind]


def _kind(shape: Shape) -> Iterator[pa.Field]:
    """Yield the fields of a struct as they are stored."""
    yield from (pa.field(name, _arrow_type(field.shape)) for name, field in shape.fields.items())


def _arrow_type(shape: Shape) -> pa.DataType:
    match shape.kind:
        case "struct":
            return pa.struct(list(_kind(shape)))
        case "list":
            assert shape.item is not None
            return pa.list_(_arrow_type(shape.item))
        case "float":
            return pa.float64()
        case "bool":
            return pa.bool_()
        case "int":
            return pa.uint64() if shape.high > INT64_MAX else pa.int64()
        case "choice" if isinstance(shape.choices[0], int):
            return pa.int64()
    return pa.string()


def _other_columns(stored: pa.Schema, wanted: pa.Schema) -> Iterator[Mismatch]:
    """Yield the columns that are not stored in their declared type, or not declared."""
    held = {field.name: field.type for field in stored}
    declared = {field.name: field.type for field in wanted}
    for name in held | declared:
        if held.get(name) != declared.get(name):
            said = f"column {declared[name]}" if name in declared else "nothing of such a column"
            there = f"column {held[name]}" if name in held else "nothing"
            yield Mismatch(name, None, name, _shown(there), _shown(said))


def _first_difference(said: pa.Array, stored: pa.Array) -> int | None:
    """Return the first row in which columns of one type differ."""
    said, stored = _as_bits(said), _as_bits(stored)
    if said.equals(stored):
        return None
    low, high = 0, len(said)
    while high - low > 1:
        middle = (low + high) // 2
        if said[low:middle].equals(stored[low:middle]):
            low = middle
        else:
            high = middle
    return low


def _as_bits(column: pa.Array) -> pa.Array:
    """Return a column with its floats as integers: as floats, 0.0 equals -0.0, and NaN nothing."""
    return column.view(_bits(column.type))


def _bits(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_bits(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_bits(field.type)) for field in kind])
    return pa.int64() if pa.types.is_float64(kind) else kind


def _mismatch(said: pa.Table, stored: pa.Array, column: str, row: int, index: str) -> Mismatch:
    wanted, held = said[column][row].as_py(), stored[row].as_py()
    first = next(differing_fields({column: held}, {column: wanted}), None)
    field, held, wanted = (first.field, first.recorded, first.now) if first else (column, held, wanted)
    return Mismatch(column, said[index][row].as_py(), field, _shown(json.dumps(held)), _shown(json.dumps(wanted)))


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
