"""What a text of SQL asks for, and whether a query may: decided by the statement as DuckDB parsed it.

Exactly one statement that reads. The tree of it names all that it does: queries within queries (a WITH may hold an
INSERT or a COPY), the functions that give rows (a list of those that read no files and change nothing), all other
functions (but a few with effects or without safety) and the tables (views, or results of a WITH; never files).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from paraphina_wh.errors import WarehouseError
from paraphina_wh.sandbox.failure import in_plain_words
from paraphina_wh.scratch import scratch_database

# DuckDB's parser takes minutes for some texts beyond these, and cannot be stopped.
MOST_CHARACTERS: Final = 250_000
DEEPEST: Final = 300

READS: Final = "only statements that read: SELECT, WITH, VALUES, FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN"
_NO_FILES: Final = "a query reads the views (paraphina-wh schema); files are out of its reach"
_KEEP: Final = "-o FILE writes the answer to a file; WITH names a result for the length of one query"
_SETTINGS: Final = "the limits of a query are --timeout and --memory; it has no other settings"
_HINTS: Final = {
    **dict.fromkeys(("COPY", "EXPORT", "CREATE", "INSERT", "UPDATE", "DELETE", "MERGE_INTO", "ALTER"), _KEEP),
    **dict.fromkeys(("SET", "VARIABLE_SET", "PRAGMA"), _SETTINGS),
    **dict.fromkeys(("PREPARE", "EXECUTE"), "give the statement itself, with its values in it"),
    "ATTACH": _NO_FILES,
    "MULTI": "name the values of a PIVOT: PIVOT runs ON profile IN ('balanced', 'aggressive') USING count(*)",
    "CALL": "functions that give rows are read with FROM: FROM duckdb_views()",
}

_QUERY_NODES: Final = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
# Functions that give rows, and read neither files nor SQL from texts, and change nothing.
ROW_FUNCTIONS: Final = {
    *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "summary"),
    *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions", "duckdb_indexes"),
    *("duckdb_keywords", "duckdb_optimizers", "duckdb_schemas", "duckdb_settings", "duckdb_tables", "duckdb_types"),
    *("duckdb_views", "pragma_collations", "pragma_database_size", "pragma_platform", "pragma_show"),
    *("pragma_table_info", "pragma_version", "icu_calendar_names", "pg_timezone_names"),
}
# Functions that leave something behind, run SQL from a text, or take raw memory for a value.
REFUSED_FUNCTIONS: Final = {
    *("write_log", "nextval", "setval", "currval", "json_serialize_plan"),
    *("to_aggregate_state", "finalize", "combine", "combine_aggr", "variant_bytes_to_variant"),
}
# DuckDB does not check what these get when they are called by name: "="(row(1, 2), 0) reads what is not there.
_COMPARISONS: Final = {"=", "==", "!=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from"}
_INTERNAL: Final = "__"
_ABOUT_VIEWS: Final = ("duckdb_", "pragma_")
_SCHEMAS: Final = {"", "main", "information_schema", "pg_catalog"}
_CATALOGS: Final = {"", "memory", "system"}

_TEXT: Final = re.compile(r"'[^']*'")
_BRACKET: Final = re.compile(r"([(\[{])|[)\]}]")
# Two minus signs together begin a comment.
_SIGNS: Final = re.compile(rf"(?:(?:-(?!-)|\+)\s*){{{DEEPEST},}}")
_BLANK: Final = r"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)"
_FIRST_WORD: Final = re.compile(rf"(?:;|{_BLANK})*+(\w+)", re.IGNORECASE)
_OPTION: Final = r"\s*(?:ANALYZE|FORMAT\s+\w+|FORMAT\s+'\w+')\s*"
_EXPLAIN: Final = re.compile(
    rf"(?:;|{_BLANK})*+EXPLAIN(?P<analyze>{_BLANK}*+ANALYZE\b)?(?:{_BLANK}*+(?P<options>\({_OPTION}(?:,{_OPTION})*\)))?",
    re.IGNORECASE,
)
_PARTS: Final = """
WITH statement AS MATERIALIZED (SELECT json_serialize_sql($1)::JSON AS tree)
SELECT
    tree ->> '$.error' AS error,
    json_extract_string(tree, '$..type') AS nodes,
    json_extract_string(tree, '$..function.function_name') AS row_functions,
    json_extract_string(tree, '$..function_name') AS functions,
    json_extract_string(tree, '$..table_name') AS tables,
    json_extract_string(tree, '$..schema_name') AS schemas,
    json_extract_string(tree, '$..catalog_name') AS catalogs
FROM statement
"""


@dataclass(frozen=True)
class Checked:
    """One statement that only reads. about_views: it reads tables, or asks what there are."""

    sql: str
    about_views: bool


@dataclass(frozen=True)
class _Parts:
    """The names in the tree of a statement."""

    nodes: set[str]
    row_functions: set[str]
    functions: set[str]
    tables: set[str]
    schemas: set[str]
    catalogs: set[str]

    @property
    def about_views(self) -> bool:
        """Tell whether the views matter to the answer."""
        return bool(self.tables) or any(name.lower().startswith(_ABOUT_VIEWS) for name in self.row_functions)


def checked(sql: str) -> Checked:
    """Return the one statement that a text holds, when it only reads.

    Raises: WarehouseError (exit code 2) when it does not, is none, or cannot be parsed within the limits above.
    """
    check_text(sql)
    statement = _single(sql)
    kind = _kind(statement)
    if kind == "EXPLAIN":
        return _checked_explanation(statement.query)
    return Checked(statement.query, _check_select(statement.query, kind).about_views)


def check_text(sql: str) -> None:
    """Raise a WarehouseError (exit code 2) for a text that is not to reach the parser."""
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise _refusal(f"the SQL is not UTF-8: character {error.start + 1}", "write it as UTF-8") from error
    if "\0" in sql:
        raise _refusal(f"the SQL holds a NUL: character {sql.index(chr(0)) + 1}", "take it out")
    if len(sql) > MOST_CHARACTERS:
        raise _refusal(f"the SQL is longer than {MOST_CHARACTERS} characters", "ask for less at a time")
    if _depth(sql) > DEEPEST or _SIGNS.search(sql):
        raise _refusal(f"the SQL is nested more than {DEEPEST} deep", "name the inner queries: WITH name AS (...)")


def canonical(sql: str) -> str:
    """Return a SELECT as DuckDB writes it: the same statement, without comments or what follows it."""
    [[text]] = _ask("SELECT json_deserialize_sql(json_serialize_sql($1)::JSON)", sql)
    return str(text)


def _depth(sql: str) -> int:
    """Return how deep brackets are nested, those in texts left out."""
    deepest = depth = 0
    for bracket in _BRACKET.finditer(_TEXT.sub("", sql)):
        depth = depth + 1 if bracket[1] else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _ask(question: str, sql: str) -> list[tuple[Any, ...]]:
    with scratch_database(threads=1) as parser:
        return parser.execute(question, [sql]).fetchall()


def _single(sql: str) -> duckdb.Statement:
    try:
        with scratch_database(threads=1) as parser:
            statements = parser.extract_statements(sql)
    except duckdb.Error as error:
        raise in_plain_words(error, exit_code=2) from error
    if len(statements) != 1:
        count = "no statement" if not statements else f"{len(statements)} statements"
        raise _refusal(f"{count} given, one is expected", "quote the SQL as one argument")
    return statements[0]


def _kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:
        # A kind that came with this version of DuckDB, and that its Python side does not know yet.
        return "new"


def _checked_explanation(sql: str) -> Checked:
    """Return the EXPLAIN of a statement that only reads.

    The tree of an EXPLAIN cannot be had. So what is explained must be a SELECT by itself, and EXPLAIN is written
    before it anew: EXPLAIN ANALYZE runs what follows, whatever it is.
    """
    head = _EXPLAIN.match(sql)
    if head is None:
        raise _refusal("refused: this form of EXPLAIN is not known", "write EXPLAIN or EXPLAIN ANALYZE")
    explained = _single(sql[head.end() :])
    parts = _check_select(explained.query, _kind(explained))
    words = ("EXPLAIN", head["analyze"] and "ANALYZE", head["options"], explained.query)
    return Checked(" ".join(filter(None, words)), parts.about_views)


def _check_select(sql: str, kind: str) -> _Parts:
    if kind != "SELECT":
        raise _refusal(f"refused: {_verb(sql, kind)} is not a statement that reads", _HINTS.get(kind, READS))
    parts = _parts(sql)
    _check_nodes(parts)
    _check_functions(parts)
    _check_tables(parts)
    return parts


def _verb(sql: str, kind: str) -> str:
    """Return what a statement calls itself: USE is a SET to DuckDB."""
    word = _FIRST_WORD.match(sql)
    return word[1].upper() if word and word[1].upper() not in ("WITH", "FROM") else kind.replace("_", " ")


def _parts(sql: str) -> _Parts:
    [[error, *names]] = _ask(_PARTS, sql)
    if error != "false":
        raise _refusal("refused: DuckDB does not say what this statement does", READS)
    return _Parts(*({name for name in found if name is not None} for found in names))


def _check_nodes(parts: _Parts) -> None:
    for node in sorted(parts.nodes):
        if node.endswith("_NODE") and node not in _QUERY_NODES:
            verb = node.removesuffix("_NODE").removesuffix("_QUERY")
            raise _refusal(f"refused: {verb} inside WITH is not a statement that reads", _HINTS.get(verb, READS))


def _check_functions(parts: _Parts) -> None:
    rows = sorted(name for name in parts.row_functions if name.lower() not in ROW_FUNCTIONS)
    if rows:
        raise _refusal(f"refused: a query may not read from {rows[0]}(...)", _NO_FILES)
    for name in sorted(parts.functions):
        if name.lower() in REFUSED_FUNCTIONS | _COMPARISONS or name.lower().startswith(_INTERNAL):
            raise _refusal(f"refused: a query may not call {name}(...)", "it reads the views, and changes nothing")


def _check_tables(parts: _Parts) -> None:
    for name in sorted(parts.tables):
        if "." in name or "/" in name:
            raise _refusal(f"refused: {name!r} is no view", _NO_FILES)
    strangers = sorted(parts.schemas - _SCHEMAS) + sorted(parts.catalogs - _CATALOGS)
    if strangers:
        raise _refusal(f"refused: there is no schema {strangers[0]!r}", _NO_FILES)


def _refusal(message: str, hint: str) -> WarehouseError:
    return WarehouseError(message, hint, exit_code=2)
