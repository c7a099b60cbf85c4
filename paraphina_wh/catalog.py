"""The views over a warehouse: for our own connections, for the DuckDB shell, and as a catalog file."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

import duckdb

from paraphina_wh import commit
from paraphina_wh.duck import in_memory
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ledger import LEDGER
from paraphina_wh.nearest import did_you_mean
from paraphina_wh.records import Record
from paraphina_wh.shell_door import Door, catalog_door, is_elsewhere, is_same, script_door, written_for
from paraphina_wh.tables import DATASET_COLUMNS, MC_RUNS_COLUMNS, SUMMARY_COLUMNS, ticks_columns, zero_rows
from paraphina_wh.telemetry.shape import column_types
from paraphina_wh.temporary import temporary_prefix
from paraphina_wh.tick_views import fitted, is_fitted, older_schema_name
from paraphina_wh.warehouse import FORMAT, Warehouse, new_batch, sql_text
from paraphina_wh.warehouse import no_glob as no_glob

_SOURCE = re.compile(r"(read_parquet\(\s*')([^']*)'")
# The oldest storage format: every shell since DuckDB 1.0 opens the catalog file.
_CATALOG_STORAGE = "v1.0.0"
_MACROS = "00_macros.sql"
_OVER_TICKS = re.compile(r"\bFROM ticks\b")
_EMPTY_KEY = "any"
_TEMPLATE_LOCK = Lock()
# Each try lists the files anew.
_TRIES = 20

P = ParamSpec("P")
T = TypeVar("T")


@cache
def sql_folder() -> Path:
    """Return the folder of the .sql files: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    return next(p for p in (package / "sql", package.parent / "sql") if p.is_dir())


@cache
def view_files() -> dict[str, Path]:
    """Return view name -> .sql file, in the order in which they must be created."""
    files = (path for path in sorted(sql_folder().glob("[0-9]*.sql")) if path.name != _MACROS)
    return {path.stem.split("_", 1)[1]: path for path in files}


@cache
def macros_sql() -> str:
    """Return the statements that make the macros which views use; they come before the views."""
    return (sql_folder() / _MACROS).read_text()


def view_sql(name: str, base: Path, door: Door | None = None) -> str:
    """Return the text of a view for the warehouse folder base: its Parquet paths, its promoted columns.

    door: of the shell that will ask it, which has its own word for the folder, and asks only where it may.
    Raises: WarehouseError when what is promoted cannot be read.
    """
    text = view_files()[name].read_text()
    if door and _SOURCE.search(text):
        return fitted(name, door.guarded(_SOURCE.sub(lambda m: f"{m[1][:-1]}{door.folder} || '{m[2]}'", text)), base)
    text = _SOURCE.sub(lambda m: m[1] + sql_text(no_glob(str(base)) + "/" + m[2])[1:], text)
    return fitted(name, text, base)


def views_named_in(sql: str) -> tuple[str, ...]:
    """Return the views that a text names and all that those read, in the order in which they must be created.

    A word counts wherever it stands, so that nothing is missed. A text that names none may ask for anything: all.
    """
    found: set[str] = set()
    waiting = [name for name in view_files() if name in _words(sql)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _read_by(name)
    return tuple(name for name in view_files() if name in found or not found)


@cache
def _read_by(name: str) -> tuple[str, ...]:
    return tuple(other for other in view_files() if other in _words(_statement(name)) and other != name)


def views_over_ticks_that_use(word: str) -> list[str]:
    """Return the views over ticks whose statement holds a word: a column of that name might change what they say."""
    return [
        name
        for name in view_files()
        if _OVER_TICKS.search(_statement(name)) and word.lower() in _words(_statement(name))
    ]


def _statement(name: str) -> str:
    return re.sub(r"--[^\n]*", "", view_files()[name].read_text())


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z_][a-z0-9_]*", text.lower()))


def steady(read: Callable[P, T]) -> Callable[P, T]:
    """Let a function that reads begin again when a file was removed between the listing and the opening of it.

    `gc` removes files that others have folded or replaced; whoever lists the folder anew does not see them.
    A file that cannot be read is a WarehouseError.
    """

    @wraps(read)
    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        for tries_left in reversed(range(_TRIES)):
            try:
                return read(*args, **kwargs)
            except duckdb.Error as error:
                if tries_left and isinstance(error, duckdb.IOException) and "No such file" in str(error):
                    continue
                # Damaged Parquet is reported as this or that, or as an error of no kind.
                if type(error) in (duckdb.Error, duckdb.IOException, duckdb.InvalidInputException):
                    raise _unreadable(error) from error
                raise
        raise AssertionError

    return again


def _unreadable(error: duckdb.Error) -> WarehouseError:
    return WarehouseError(
        f"cannot read the warehouse: {str(error).partition(chr(10))[0]}",
        "`paraphina-wh check` names damaged files, `paraphina-wh repair` makes them anew",
    )


def connect(
    warehouse: Warehouse, *, threads: int | None = None, views: Sequence[str] | None = None, or_empty: bool = False
) -> duckdb.DuckDBPyConnection:
    """Return an in-memory connection with the views.

    views: names, each after those it reads; all of them by default. or_empty: a warehouse that does not exist gives
    empty views, for commands that have something else to go by.
    Raises: WarehouseError (exit code 2) when there is no warehouse, unless or_empty; one for a folder that may not be
            read: a glob would leave it out without a word.
    """
    names = views or tuple(view_files())
    if not or_empty:
        warehouse.check_exists()
    if warehouse.exists:
        for table in warehouse.tables:
            _check_readable(table, levels=2 if table == warehouse.telemetry and "ticks" in names else 1)
        # On a disk that cannot be written to, views may bind all the same.
        with suppress(WarehouseError):
            _bring_up_to_date(warehouse)
    base = warehouse.path if warehouse.exists else _empty_base()
    connection = in_memory(threads)
    connection.execute(macros_sql())
    for name in names:
        steady(connection.execute)(view_sql(name, base))
    return connection


def _check_readable(folder: Path | os.DirEntry[str], levels: int) -> None:
    """Raise a WarehouseError when a folder, or one some levels below it, may not be read."""
    if not os.access(folder, os.R_OK | os.X_OK):
        if Path(folder).exists():
            hint = "check its permissions: answers would go without it"
            raise WarehouseError(f"cannot read {os.fspath(folder)}: Permission denied", hint)
    elif levels:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for each in entries:
                if each.is_dir():
                    _check_readable(each, levels - 1)


@cache
def _empty_base() -> Path:
    """Return a folder with the zero-row files alone, gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=temporary_prefix()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    empty = Warehouse(folder, folder)
    write_zero_rows(empty)
    return folder


def set_up(warehouse: Warehouse) -> None:
    """Create the warehouse folder if needed, and bring `init.sql` and the catalog file up to date.

    Zero-row files fix the types of every table, so that views bind on an empty warehouse and readers without
    a schema always see text keys.
    """
    commit.settle(warehouse)
    _bring_up_to_date(warehouse)
    _refresh_catalog(warehouse)


def _bring_up_to_date(warehouse: Warehouse) -> None:
    """Write the zero-row files anew when one is gone or a column was added: views must bind whatever there is."""
    marker = f"{FORMAT}\nschema {_schema_digest()}\n"
    whole = warehouse.exists and all(file.is_file() for file in _zero_row_files(warehouse))
    if not whole or (warehouse.path / "FORMAT").read_text() != marker:
        write_zero_rows(warehouse)
        commit.write_atomically(warehouse.path / "FORMAT", marker.encode())


@cache
def _schema_digest() -> str:
    """Return what changes when a table gets other columns."""
    imported = [DATASET_COLUMNS, MC_RUNS_COLUMNS, SUMMARY_COLUMNS]
    tables = [ticks_columns(), column_types(LEDGER), *imported, view_files()["condensed_ticks"].read_text()]
    return hashlib.sha256(repr(tables).encode()).hexdigest()[:16]


def write_zero_rows(warehouse: Warehouse) -> None:
    """Write the files that fix the columns of every table, over those that are there."""
    connection = in_memory()
    connection.execute(macros_sql())
    connection.execute(
        f"CREATE VIEW ticks AS {zero_rows(ticks_columns() | {'profile': 'VARCHAR', 'label': 'VARCHAR'})}"
    )
    connection.execute(view_files()["condensed_ticks"].read_text())
    batch = new_batch()
    with commit.staging(warehouse, batch) as staging:
        puts = _older_columns(connection, warehouse, staging)
        for i, (final, query) in enumerate(_zero_row_files(warehouse).items()):
            staged = staging / f"{i}.parquet"
            connection.execute(f"COPY ({query}) TO {sql_text(str(staged))} (FORMAT parquet, COMPRESSION zstd)")
            puts.append(commit.Put(staged, final, "the columns of a table, without rows"))
        # What they were before counts no more: an older version in their place is damage.
        replaced = [str(put.final.relative_to(warehouse.path)) for put in puts]
        commit.commit(warehouse, Record(batch, drops=replaced), puts)


def _older_columns(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, staging: Path) -> list[commit.Put]:
    """Return the zero-row file of ticks, under another name, when it is of an earlier version with other columns.

    As long as it lies there, files of ticks may lack columns, and the view is made for that.
    """
    file = warehouse.ticks_file(_EMPTY_KEY, _EMPTY_KEY, "schema")
    if not file.is_file():
        return []
    try:
        held, declared = (
            connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {query})").fetchall()
            for query in (
                f"FROM read_parquet([{sql_text(no_glob(str(file)))}], hive_partitioning = false)",
                zero_rows(ticks_columns()),
            )
        )
    except duckdb.Error:
        # Damaged: what is written in its place now is all that is known.
        return []
    if held == declared:
        return []
    kept = staging / "older.parquet"
    shutil.copyfile(file, kept)
    name = older_schema_name(hashlib.sha256(repr(held).encode()).hexdigest()[:8])
    return [commit.Put(kept, warehouse.ticks_file(_EMPTY_KEY, _EMPTY_KEY, name), "the columns of ticks, as they were")]


def _zero_row_files(warehouse: Warehouse) -> dict[Path, str]:
    """Return file -> query of its columns; that of `runs` reads condensed_ticks."""
    ledger = column_types(LEDGER)
    return {
        warehouse.ticks_file(_EMPTY_KEY, _EMPTY_KEY, "schema"): zero_rows(ticks_columns()),
        warehouse.runs_file(_EMPTY_KEY, "schema"): (
            f"SELECT l.*, c.* EXCLUDE (profile, label, run_id) FROM ({zero_rows(ledger)}) l, condensed_ticks c"
        ),
        warehouse.datasets_file(_EMPTY_KEY, "schema"): zero_rows(DATASET_COLUMNS),
        warehouse.mc_runs_file(_EMPTY_KEY, "schema"): zero_rows(MC_RUNS_COLUMNS),
        warehouse.summaries_file(_EMPTY_KEY, "schema"): zero_rows(SUMMARY_COLUMNS),
    }


def _refresh_catalog(warehouse: Warehouse) -> None:
    init, written = warehouse.path / "init.sql", b""
    # A second look after the writing: another process may have promoted a field meanwhile.
    while not is_same(script := _init_script(warehouse).encode(), written):
        with suppress(FileNotFoundError):
            if is_same(script, init.read_bytes()) and (warehouse.path / "paraphina.duckdb").is_file():
                return
        _write_catalog_file(warehouse)
        commit.write_script(warehouse, script)
        written = script


def renew_doors(warehouse: Warehouse) -> None:
    """Write `init.sql` and the catalog file anew where the warehouse is a copy, or has moved: for the DuckDB shell.

    Raises: WarehouseError when they cannot be written.
    """
    if warehouse.exists and is_elsewhere(warehouse):
        _refresh_catalog(warehouse)


def door_problem(warehouse: Warehouse) -> str | None:
    """Return what is wrong with `init.sql` and the catalog file, or None; nothing is written."""
    init = warehouse.path / "init.sql"
    if not init.is_file() or not (warehouse.path / "paraphina.duckdb").is_file():
        return "are not both there"
    if is_elsewhere(warehouse):
        return f"were written for {written_for(warehouse)}"
    return None if is_same(_init_script(warehouse).encode(), init.read_bytes()) else "are of another version"


def _init_script(warehouse: Warehouse) -> str:
    door = script_door(warehouse)
    views = (view_sql(name, warehouse.path, door) for name in view_files())
    return door.head + "\n".join([macros_sql(), *views])


def _write_catalog_file(warehouse: Warehouse) -> None:
    final = warehouse.path / "paraphina.duckdb"
    # DuckDB would replay a log left behind by a killed shell into the new file.
    commit.remove(final.with_name(final.name + ".wal"))
    with commit.staging(warehouse, new_batch()) as staging:
        staged = staging / "catalog.duckdb"
        _write_views(staged, warehouse)
        staged.chmod(0o444)
        commit.publish([(staged, final)])


def _write_views(file: Path, warehouse: Warehouse) -> None:
    door, base = catalog_door(warehouse), warehouse.path
    with _TEMPLATE_LOCK:
        template = _template()
        template.execute(f"ATTACH {sql_text(str(file))} AS catalog (STORAGE_VERSION '{_CATALOG_STORAGE}')")
        try:
            template.execute("COPY FROM DATABASE memory TO catalog (SCHEMA)")
            template.execute("USE catalog")
            for name in _source_views():
                template.execute(f"DROP TABLE {name}")
                steady(template.execute)(view_sql(name, base, door))
            for name, view in view_files().items():
                if name not in _source_views() and is_fitted(name, view.read_text(), base):
                    steady(template.execute)(view_sql(name, base))
            template.execute(door.head)
        finally:
            template.execute("USE memory")
            template.execute("DETACH catalog")


@cache
def _template() -> duckdb.DuckDBPyConnection:
    """Return a database with all views over empty tables: binding them over Parquet files takes far longer."""
    template = in_memory(threads=1)
    template.execute(macros_sql())
    with in_memory(threads=1) as bound:
        sources = views_named_in(" ".join(_source_views()))
        for name in sources:
            bound.execute(view_sql(name, _empty_base()))
        for name in _source_views():
            columns = (f'"{column}" {kind}' for column, kind, *_ in bound.execute(f"DESCRIBE {name}").fetchall())
            template.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    for name in view_files():
        if name not in _source_views():
            template.execute(view_files()[name].read_text())
    return template


@cache
def _source_views() -> tuple[str, ...]:
    """Return the views that read files themselves; all others read views."""
    return tuple(name for name, file in view_files().items() if _SOURCE.search(file.read_text()))


def view_names() -> list[str]:
    """Return the names of all views."""
    return list(view_files())


def check_view(name: str) -> None:
    """Raise a WarehouseError (exit code 2) that lists the views when there is none of this name."""
    if name not in view_files():
        meant = did_you_mean(name, view_files(), f"views: {', '.join(view_files())}")
        raise WarehouseError(f"no view named {name!r}", meant, exit_code=2)
