"""The lines of a dataset file as normalised columns: one SQL query, whatever wrote the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraphina_wh.catalog import sql_folder
from paraphina_wh.datasets.columns import CANDIDATES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def load_lines(
    connection: duckdb.DuckDBPyConnection,
    content: bytes,
    path: str,
    *,
    first_line: int = 1,
    first_byte: int = 0,
    prefix_sha256: str | None = None,
) -> None:
    """Make the temporary table `dataset_lines` (datasets.COLUMNS) from a stretch of a dataset file.

    content: whole lines; the last one may lack its newline. Bytes that are not UTF-8 stand as U+FFFD in `line`,
    and as they are in `raw`.
    path: the dataset file, as it is to be stored.
    first_line, first_byte: where the stretch starts in the file.
    prefix_sha256: hash of the file through the last line of the stretch, stored with that line.
    """
    query = (sql_folder() / "import" / "dataset_lines.sql").read_text()
    connection.register("dataset_text", split_lines(content, first_line, first_byte, prefix_sha256))
    connection.execute(query, {"candidates": CANDIDATES, "dataset_path": path})
    connection.unregister("dataset_text")


def split_lines(content: bytes, first_line: int = 1, first_byte: int = 0, prefix_sha256: str | None = None) -> pa.Table:
    """Return one row per line: line_no, byte_offset, bytes, line, raw, is_terminated, prefix_sha256."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # A bad byte sequence never swallows a newline, so both splits give the same lines.
    exact = pa.array(content.removesuffix(b"\n").split(b"\n") if content else [], pa.large_binary())
    text = content.decode("utf-8", "replace").removesuffix("\n").split("\n") if content else []
    lines = pa.array(text, pa.large_string())
    lengths = pc.binary_length(exact).cast(pa.int64())
    starts = pc.subtract(pc.cumulative_sum(pc.add(lengths, 1)), pc.add(lengths, 1))
    numbers = pa.array(range(first_line, first_line + len(exact)), pa.int64())
    is_last = pc.equal(numbers, first_line + len(exact) - 1)
    return pa.table(
        {
            "line_no": numbers,
            "byte_offset": pc.add(starts, first_byte),
            "bytes": lengths,
            "line": lines,
            "raw": pc.if_else(pc.equal(lines.cast(pa.large_binary()), exact), None, exact),
            "is_terminated": pc.or_(pc.invert(is_last), content.endswith(b"\n")),
            "prefix_sha256": pc.if_else(is_last, pa.scalar(prefix_sha256, pa.string()), None),
        }
    )
