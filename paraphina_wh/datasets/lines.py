"""The lines of a dataset file as normalised columns: one SQL query, whatever wrote the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraphina_wh.catalog import sql_folder
from paraphina_wh.datasets.columns import CANDIDATES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def load_lines(
    connection: duckdb.DuckDBPyConnection, content: bytes, path: str, *, first_line: int = 1, first_byte: int = 0
) -> None:
    """Make the temporary table `dataset_lines` (datasets.COLUMNS) from a stretch of a dataset file.

    content: whole lines; the last one may lack its newline. Bytes that are not UTF-8 stand as U+FFFD in `line`.
    path: the dataset file, as it is to be stored.
    first_line, first_byte: where the stretch starts in the file.
    """
    query = (sql_folder() / "import" / "dataset_lines.sql").read_text()
    connection.register("dataset_text", _split(content, first_line, first_byte))
    connection.execute(query, {"candidates": CANDIDATES, "dataset_path": path})
    connection.unregister("dataset_text")


def _split(content: bytes, first_line: int, first_byte: int) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    # A bad byte sequence never swallows a newline, so both splits give the same lines.
    raw = content.removesuffix(b"\n").split(b"\n") if content else []
    text = content.decode("utf-8", "replace").removesuffix("\n").split("\n") if content else []
    lengths = pc.binary_length(pa.array(raw, pa.large_binary())).cast(pa.int64())
    ends = pc.cumulative_sum(pc.add(lengths, 1))
    return pa.table(
        {
            "line_no": pa.array(range(first_line, first_line + len(raw)), pa.int64()),
            "byte_offset": pc.add(pc.subtract(ends, pc.add(lengths, 1)), first_byte),
            "bytes": lengths,
            "line": pa.array(text, pa.large_string()),
        }
    )
