"""A connection that reaches the data of one warehouse and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

from paraphina_wh import catalog
from paraphina_wh.sandbox.failure import in_plain_words
from paraphina_wh.sandbox.limits import Share
from paraphina_wh.sandbox.statement import Checked
from paraphina_wh.warehouse import Warehouse, sql_text


@contextmanager
def confined(warehouse: Warehouse, statement: Checked, share: Share) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with the views a statement names, whose settings are locked.

    Raises: WarehouseError when a view cannot be made.
    """
    # None at all cannot be asked for: the first is a view of constants.
    views = catalog.views_named_in(statement.sql) if statement.about_views else catalog.view_names()[:1]
    try:
        connection = catalog.connect(warehouse, threads=share.threads, views=views)
    except duckdb.Error as error:
        raise in_plain_words(error, exit_code=1) from error
    try:
        _confine(connection, warehouse, share)
        yield connection
    finally:
        # A query that could not be stopped keeps its connection: see watch.py.
        with suppress(duckdb.Error):
            connection.close()


def _confine(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, share: Share) -> None:
    # A folder whose name holds glob characters is asked for in its escaped form.
    folders = ", ".join(
        sql_text(f"{name}/") for folder in warehouse.tables for name in (str(folder), catalog.no_glob(str(folder)))
    )
    for setting in (
        *([] if share.memory is None else [f"memory_limit = '{share.memory}B'"]),
        f"temp_directory = {sql_text(str(share.spill or ''))}",
        f"max_temp_directory_size = '{share.spill_bytes}B'",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        # DuckDB takes them from the environment, and shows them.
        "http_proxy = ''",
        "http_proxy_username = ''",
        "http_proxy_password = ''",
        f"allowed_directories = [{folders}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
