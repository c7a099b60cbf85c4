"""DuckDB's errors in plain words, with the next step."""

from __future__ import annotations

import re

import duckdb

from paraphina_wh import catalog
from paraphina_wh.dictionary import header_columns
from paraphina_wh.errors import WarehouseError
from paraphina_wh.ledger import LEDGER
from paraphina_wh.nearest import did_you_mean
from paraphina_wh.telemetry.shape import TICKS, column_types, dictionary

RAISE_MEMORY = "raise --memory, or ask for less: filter on profile and label"
RAISE_TIMEOUT = "raise --timeout, or ask for less: filter on profile and label"
DAMAGED = "`paraphina-wh check` names damaged files, `paraphina-wh repair` makes them anew"
_LONGEST = 2000
# What DuckDB says of a Parquet file that is none any more, with or without its name; other errors of no kind are, too.
_OF_PARQUET = re.compile(r"\.parquet|parquet file|magic bytes|TProtocol|[Dd]ecompress|don't know what type")
_NO_TABLE = re.compile(r"^Table with name (\S+) does not exist")
_NO_SOURCE = re.compile(r"^Referenced table \"[^\"]+\" not found")
_NO_COLUMN = re.compile(r"(?:[Cc]olumn \"([^\"]+)\" .*not found|does not have a column named \"([^\"]+)\")")
_CANDIDATE = re.compile(r"\"([^\"]+)\"")
# What DuckDB says about settings, which are locked here, and about itself.
_ADVICE = re.compile(r" ?(?:Possible solutions:|Database is launched|This error signals)")
_GONE = re.compile(r"Cannot open file .*No such file or directory|No files found that match the pattern")


def in_plain_words(error: Exception, exit_code: int | None = None) -> WarehouseError:
    """Return DuckDB's error as one of ours, with a hint that fits.

    exit_code: by default 2 when the query names a table or a column that is not there, else 1.
    """
    kind, _, text = str(error).partition("Error: ")
    # DuckDB repeats the line of the SQL below its message, and adds advice about settings that are locked.
    message, _, _ = (text or kind).partition("\n\n")
    message = _ADVICE.split(" ".join(re.split(r"\s*\n\s*", message.strip())))[0]
    if isinstance(error, MemoryError) or kind.strip() == "Out of Memory":
        kind, message = "Out of Memory", f"out of memory: {message}"
    if exit_code is None:
        exit_code = 2 if any(what.search(message) for what in (_NO_TABLE, _NO_COLUMN, _NO_SOURCE)) else 1
    of_sql = kind.strip() in ("Catalog", "Binder", "Parser", "Permission") or is_gone(message)
    is_damage = not of_sql and (type(error) is duckdb.Error or _OF_PARQUET.search(message))
    hint = DAMAGED if is_damage else _hint(kind.strip(), message)
    return WarehouseError(message[:_LONGEST], hint, exit_code=exit_code)


def is_gone(message: str) -> bool:
    """Tell whether a query failed because a file that it was about to read is not there any more."""
    return bool(_GONE.search(message))


def too_long(seconds: float, *, stuck: bool = False) -> WarehouseError:
    """Return the error of a query that used up its time; stuck: and runs on."""
    message = f"the query took longer than {seconds:g} s"
    if stuck:
        return WarehouseError(f"{message}, and does not stop when told to", "--untrusted ends such a query by force")
    return WarehouseError(message, RAISE_TIMEOUT)


def _columns() -> list[str]:
    """Return the columns of all views, as far as they are declared."""
    of_views = (name for view in catalog.view_names() for name in header_columns(view))
    of_ticks = (path.rpartition(".")[2] for path, *_ in dictionary(TICKS))
    return list(dict.fromkeys((*column_types(LEDGER), *of_ticks, *of_views)))


def _hint(kind: str, message: str) -> str:
    if named := _NO_TABLE.match(message):
        views = catalog.view_names()
        return did_you_mean(named[1], views, "views: " + ", ".join(views))
    if named := _NO_COLUMN.search(message):
        known = _CANDIDATE.findall(message.partition("Candidate bindings: ")[2]) or _columns()
        return did_you_mean(named[1] or named[2], known, "`paraphina-wh schema VIEW` shows the columns")
    if is_gone(message):
        return "files of the warehouse were replaced meanwhile: repeat the query"
    return {
        "Parser": "see https://duckdb.org/docs/stable/sql/introduction for the SQL that DuckDB speaks",
        "Permission": "a query reads the views; files are out of its reach",
        "Out of Memory": RAISE_MEMORY,
        "Conversion": "use try_cast where a value may not fit the type",
        "INTERNAL": "a mistake of DuckDB: say it in another way, or cast the values first",
        "IO": DAMAGED,
    }.get(kind, "")
