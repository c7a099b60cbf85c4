"""DuckDB's errors in plain words, with the next step."""

from __future__ import annotations

import re

from paraphina_wh import catalog
from paraphina_wh.errors import WarehouseError

RAISE_MEMORY = "raise --memory, or ask for less: filter on profile and label"
RAISE_TIMEOUT = "raise --timeout, or ask for less: filter on profile and label"
_LONGEST = 2000
# What DuckDB says about settings, which are locked here, and about itself.
_ADVICE = re.compile(r" ?(?:Possible solutions:|Database is launched|This error signals)")
_GONE = re.compile(r"Cannot open file .*No such file or directory|No files found that match the pattern")


def in_plain_words(error: Exception, exit_code: int = 1) -> WarehouseError:
    """Return DuckDB's error as one of ours, with a hint that fits."""
    kind, _, text = str(error).partition("Error: ")
    # DuckDB repeats the line of the SQL below its message, and adds advice about settings that are locked.
    message, _, _ = (text or kind).partition("\n\n")
    message = _ADVICE.split(" ".join(re.split(r"\s*\n\s*", message.strip())))[0]
    if isinstance(error, MemoryError) or kind.strip() == "Out of Memory":
        kind, message = "Out of Memory", f"out of memory: {message}"
    return WarehouseError(message[:_LONGEST], _hint(kind.strip(), message), exit_code=exit_code)


def is_gone(message: str) -> bool:
    """Tell whether a query failed because a file that it was about to read is not there any more."""
    return bool(_GONE.search(message))


def too_long(seconds: float, *, stuck: bool = False) -> WarehouseError:
    """Return the error of a query that used up its time; stuck: and runs on."""
    message = f"the query took longer than {seconds:g} s"
    if stuck:
        return WarehouseError(f"{message}, and does not stop when told to", "--untrusted ends such a query by force")
    return WarehouseError(message, RAISE_TIMEOUT)


def _hint(kind: str, message: str) -> str:
    views = "views: " + ", ".join(catalog.view_names())
    if kind == "Catalog" and not message.startswith("Table "):
        return ""
    if is_gone(message):
        return "files of the warehouse were replaced meanwhile: repeat the query"
    return {
        "Catalog": views,
        "Binder": f"columns: paraphina-wh schema VIEW; {views}",
        "Parser": "see https://duckdb.org/docs/stable/sql/introduction for the SQL that DuckDB speaks",
        "Permission": "a query reads the views; files are out of its reach",
        "Out of Memory": RAISE_MEMORY,
        "Conversion": "use try_cast where a value may not fit the type",
        "INTERNAL": "a mistake of DuckDB: say it in another way, or cast the values first",
        "IO": "look for damaged files with `paraphina-wh check`",
    }.get(kind, "")
