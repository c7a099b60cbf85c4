"""What derives from the declared record: the shape the slow path walks, DuckDB types, dictionary, JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect as mi

from paraphina_wh.telemetry.record import INT64_MAX, INT64_MIN, McRun, Tick


@dataclass(frozen=True)
class Shape:
    """The type of one value of a record.

    kind: `float`, `int`, `bool`, `str`, `instant`, `json` (anything), `choice`, `list` or `struct`.
    """

    kind: str
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    low: int = INT64_MIN
    high: int = INT64_MAX
    item: Shape | None = None
    fields: dict[str, Field] = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """A named value of a record, with its unit and meaning."""

    name: str
    shape: Shape
    required: bool
    unit: str
    meaning: str


@dataclass(frozen=True)
class Contract:
    """A kind of JSONL file: its record and the field that numbers the records."""

    name: str
    record: type[msgspec.Struct]
    index: str


TICKS = Contract("telemetry", Tick, "t")
MC_RUNS = Contract("mc_runs", McRun, "run_index")


@cache
def record_shape(record: type[msgspec.Struct]) -> Shape:
    """Return the shape of a declared record."""
    return _shape(mi.type_info(record))


def _shape(info: mi.Type, nullable: bool = False) -> Shape:
    match info:
        case mi.Metadata():
            shape = _shape(info.type, nullable)
            schema = info.extra_json_schema or {}
            if schema.get("format") == "date-time":
                return replace(shape, kind="instant")
            return replace(shape, high=schema["maximum"]) if "maximum" in schema else shape
        case mi.UnionType():
            (only,) = [t for t in info.types if not isinstance(t, mi.NoneType)]
            return _shape(only, nullable=len(info.types) > 1)
        case mi.FloatType():
            return Shape("float", nullable)
        case mi.BoolType():
            return Shape("bool", nullable)
        case mi.StrType():
            return Shape("str", nullable)
        case mi.AnyType():
            return Shape("json", nullable=True)
        case mi.LiteralType():
            return Shape("choice", nullable, choices=tuple(info.values))
        case mi.IntType():
            low = INT64_MIN if info.ge is None else int(info.ge)
            high = INT64_MAX if info.le is None else int(info.le)
            return Shape("int", nullable, low=low, high=high)
        case mi.ListType():
            return Shape("list", nullable, item=_shape(info.item_type))
        case mi.StructType():
            return Shape("struct", nullable, fields={f.encode_name: _field(f) for f in info.fields})
    raise TypeError(f"no telemetry shape for {info!r}")


def _field(info: mi.Field) -> Field:
    meta = info.type if isinstance(info.type, mi.Metadata) else mi.Metadata(info.type)
    schema = meta.extra_json_schema or {}
    return Field(
        name=info.encode_name,
        shape=_shape(info.type),
        required=info.required,
        unit=schema.get("x-unit", "-"),
        meaning=schema.get("description", ""),
    )


def duckdb_type(shape: Shape) -> str:
    """Return the DuckDB type that holds a shape; `json` values are kept as text in Parquet."""
    match shape.kind:
        case "float":
            return "DOUBLE"
        case "int":
            return "UBIGINT" if shape.high > INT64_MAX else "BIGINT"
        case "bool":
            return "BOOLEAN"
        case "str":
            return "VARCHAR"
        case "instant":
            return "TIMESTAMPTZ"
        case "json":
            return "JSON"
        case "choice":
            return "BIGINT" if isinstance(shape.choices[0], int) else "VARCHAR"
        case "list":
            assert shape.item is not None
            return f"{duckdb_type(shape.item)}[]"
    inner = ", ".join(f'"{name}" {duckdb_type(f.shape)}' for name, f in shape.fields.items())
    return f"STRUCT({inner})"


def column_types(contract: Contract) -> dict[str, str]:
    """Return column -> DuckDB type for every top-level field, in declaration order."""
    return {name: duckdb_type(f.shape) for name, f in record_shape(contract.record).fields.items()}


def dictionary(contract: Contract) -> Iterator[tuple[str, str, str, str]]:
    """Yield (path, DuckDB type, unit, meaning) of every field, nested ones as `fills[].price`."""
    yield from _entries("", record_shape(contract.record))


def _entries(prefix: str, shape: Shape) -> Iterator[tuple[str, str, str, str]]:
    for name, f in shape.fields.items():
        yield prefix + name, duckdb_type(f.shape), f.unit, f.meaning
        inner, mark = (f.shape.item, "[].") if f.shape.item else (f.shape, ".")
        yield from _entries(prefix + name + mark, inner)


def json_schema(contract: Contract) -> dict[str, Any]:
    """Return the JSON Schema of the record; unknown fields are allowed, as the contract asks."""
    schema = msgspec.json.schema(contract.record)
    _allow_unknown(schema)
    return schema


def _allow_unknown(node: Any) -> None:
    if isinstance(node, dict):
        node.pop("additionalProperties", None)
        for child in node.values():
            _allow_unknown(child)
    elif isinstance(node, list):
        for child in node:
            _allow_unknown(child)
