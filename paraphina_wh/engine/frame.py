"""The run table: results as one Polars frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from paraphina_wh.engine.result import EngineRunResult

if TYPE_CHECKING:
    import polars as pl

_BASE: Final = {"run_id": "String", "duration_sec": "Float64", "returncode": "Int64"}
_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)


def results_to_dataframe(results: Iterable[EngineRunResult]) -> pl.DataFrame:
    """Return one row per run: `run_id`, `duration_sec` (s), `returncode`, then label, then metrics.

    Of two values of one name the later wins and stands at the earlier position. The columns are the union
    over the runs, by first appearance; missing values are null, and so is NaN (both are an empty CSV cell).
    Whole numbers together with fractions become Float64; any other mixture becomes text.
    Source: the engine contract, section on run records.
    """
    import polars as pl

    rows = [_row(result) for result in results]
    names = dict.fromkeys([*_BASE, *(name for row in rows for name in row)])
    columns = {name: [row.get(name) for row in rows] for name in names}
    dtypes = {name: _dtype(values) for name, values in columns.items()} if rows else _BASE
    return pl.DataFrame(
        [pl.Series(name, _cells(columns[name], dtypes[name]), getattr(pl, dtypes[name])) for name in names]
    )


def _row(result: EngineRunResult) -> dict[str, object]:
    base = {
        "run_id": result.run_id,
        "duration_sec": result.duration_sec,
        "returncode": result.returncode,
    }
    return {**base, **result.label, **result.metrics}


def _dtype(values: Sequence[object]) -> str:
    present = [value for value in values if value is not None]
    kinds = {_kind(value) for value in present}
    if kinds == {"Int64"} and not all(value in _INT64 for value in present):
        return "UInt64" if all(value in _UINT64 for value in present) else "String"
    if kinds == {"Int64", "Float64"}:
        return "Float64"
    return kinds.pop() if len(kinds) == 1 else "String" if kinds else "Null"


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int):
        return "Int64"
    return "Float64" if isinstance(value, float) else "String"


def _cells(values: Sequence[object], dtype: str) -> list[object]:
    present = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    if dtype == "String":
        return [None if value is None else str(value) for value in present]
    if dtype == "Float64":
        return [float(value) if isinstance(value, int | float) else None for value in present]
    return present
