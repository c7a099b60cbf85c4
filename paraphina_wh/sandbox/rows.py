"""The rows of a query as they come in, wherever they are computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Rows:
    """The columns of an answer, and its Arrow batches, to be read once."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
