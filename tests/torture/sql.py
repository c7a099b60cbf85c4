"""Hostile SQL: attacks on `query`, what becomes of each, and a long form that mutates them."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import duckdb

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.query import Limits, run_query
from paraphina_wh.sandbox.statement import DEEPEST, MOST_CHARACTERS
from paraphina_wh.warehouse import Warehouse, locate
from tests.torture.figures import Figure

TINY_RUN: Final = Path(__file__).parents[1] / "data" / "tiny_run"
SECRET: Final = "7f3a-planted-secret"
SECRETIVE: Final = ("HTTP_PROXY", "http_proxy", "AWS_SECRET_ACCESS_KEY", "PARAPHINA_TOKEN")
PATIENCE_S: Final = 300
PATIENT: Final = Limits(timeout_s=120)
HELD: Final = Limits(timeout_s=0.3, memory="80MB")

REFUSED, FAILS, ANSWERS = "is refused", "fails", "is answered without harm"


@dataclass(frozen=True)
class Attack:
    """What is tried, and what becomes of it: exit code 2, exit code 1, or an answer.

    {root} is ROOT, {outside} a folder beside it with the secret in many forms, {inside} the folder of the ledger.
    """

    sql: str
    outcome: str = REFUSED
    limits: Limits = HELD

    def __str__(self) -> str:
        return self.sql if len(self.sql) < 60 else f"{self.sql[:50]}... ({len(self.sql)} characters)"


@dataclass(frozen=True)
class Target:
    warehouse: Warehouse
    outside: Path

    def files(self) -> dict[Path, tuple[int, ...]]:
        """Return every file and folder around the warehouse, and of files what tells that they were touched."""
        found = {path: path.lstat() for path in self.outside.parent.rglob("*")}
        return {
            path: () if path.is_dir() else (stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in found.items()
        }


def lay_out(place: Path) -> Target:
    """Return a warehouse with a run in it, secrets around it, and ways to them."""
    root, outside = place / "root", place / "outside"
    for folder in (root, outside, outside / "more", place / "tmp"):
        folder.mkdir()
    warehouse = locate(root)
    ingest_paths(warehouse, [TINY_RUN], Options())
    for name in ("s.txt", "s.csv", "s.json", "s.JSON", "more/s.txt"):
        (outside / name).write_text(f'{{"a": "{SECRET}"}}\n')
    duckdb.execute(f"COPY (SELECT '{SECRET}' AS a) TO '{outside}/s.parquet'")
    warehouse.quarantine.mkdir(exist_ok=True)
    (warehouse.quarantine / "q.jsonl").write_text(f'{{"a": "{SECRET}"}}\n')
    (warehouse.runs / "link.csv").symlink_to(outside / "s.csv")
    (warehouse.runs / "away").symlink_to(outside / "more")
    return Target(warehouse, outside)


@cache
def broken_promises(target: Target, attack: Attack) -> tuple[str, ...]:
    """Return what an attack got away with; each is run once in a process."""
    outcome, *broken = _run(target, _aimed(attack.sql, target), attack.limits)
    return (*([] if outcome == attack.outcome else [f"it {outcome}"]), *broken)


def _aimed(sql: str, target: Target) -> str:
    places = {"root": target.warehouse.root, "outside": target.outside, "inside": target.warehouse.runs}
    for name, path in places.items():
        sql = sql.replace(f"{{{name}}}", str(path))
    return sql


def _run(target: Target, sql: str, limits: Limits) -> list[str]:
    """Return the outcome of a query, and the promises that it broke."""
    before, began = target.files(), time.monotonic()
    try:
        outcome, said = ANSWERS, str(run_query(target.warehouse, sql, limits).rows())
    except WarehouseError as error:
        outcome, said = (REFUSED if error.exit_code == 2 else FAILS), f"{error.message} {error.hint}"
    promises = {
        "it shows the secret": SECRET not in said,
        "it touched a file": target.files() == before,
        "it took too long": time.monotonic() - began < PATIENCE_S,
    }
    return [outcome, *(broken for broken, kept in promises.items() if not kept)]


def refused(*texts: str) -> list[Attack]:
    return [Attack(sql) for sql in texts]


WRITING = refused(
    "COPY (SELECT 1) TO '{outside}/x.csv'",
    "COPY (SELECT 1) TO '{inside}/x.csv'",
    "copy (select 1 as a) to '{inside}/x' (format parquet, partition_by (a))",
    "COPY runs FROM '{outside}/s.csv'",
    "FROM runs; COPY runs TO '{inside}/x.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{inside}/x.csv'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{inside}/x.csv'",
    "EXPLAIN (FORMAT json, ANALYZE) COPY (SELECT 1) TO '{inside}/x.csv'",
    "EXPLAIN /* SELECT */ ANALYZE -- SELECT 1\n COPY (SELECT 1) TO '{inside}/x.csv'",
    "EXPLAIN COPY (SELECT 1) TO '{inside}/x.csv'",
    "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
    "EXPLAIN ANALYZE WITH t AS (DELETE FROM runs RETURNING *) SELECT * FROM t",
    "EXPLAIN ANALYZE WITH t AS (COPY (SELECT 1) TO '{inside}/x.csv') FROM t",
    "WITH t AS (COPY (SELECT 1) TO '{inside}/x.csv') FROM t",
    "WITH t AS (COPY (SELECT 1) TO '{inside}/x.csv') SELECT 1",
    "WITH a AS (SELECT 1), t AS MATERIALIZED (COPY (FROM a) TO '{inside}/x.csv') FROM t UNION ALL FROM a",
    "FROM (WITH t AS (COPY (SELECT 1) TO '{inside}/x.csv') FROM t)",
    "DESCRIBE WITH t AS (COPY (SELECT 1) TO '{inside}/x.csv') FROM t",
    "SUMMARIZE WITH t AS (COPY (SELECT 1) TO '{inside}/x.csv') FROM t",
    "WITH t AS (INSERT INTO runs VALUES (1) RETURNING *) SELECT * FROM t",
    "WITH t AS (UPDATE runs SET label = 'x' RETURNING *) SELECT * FROM t",
    "WITH t AS (DELETE FROM runs RETURNING *) SELECT * FROM t",
    "SELECT (WITH t AS (DELETE FROM runs RETURNING 1) SELECT * FROM t)",
    "WITH a AS (SELECT 1) INSERT INTO runs FROM a",
    "INSERT INTO runs VALUES (1)",
    "UPDATE runs SET label = 'x'",
    "DELETE FROM runs",
    "TRUNCATE runs",
    "MERGE INTO runs USING fills ON (runs.run_id = fills.run_id) WHEN MATCHED THEN DELETE",
    "CREATE TABLE x AS SELECT 1",
    "CREATE TEMP TABLE x AS FROM ticks",
    "CREATE OR REPLACE VIEW runs AS SELECT 1",
    "CREATE MACRO f(x) AS x",
    "CREATE MACRO t() AS TABLE FROM read_text('{outside}/s.txt')",
    "CREATE TYPE mood AS ENUM ('a')",
    "CREATE SEQUENCE s",
    "CREATE SCHEMA s",
    "CREATE INDEX i ON runs (run_id)",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "DROP VIEW runs",
    "ALTER VIEW runs RENAME TO x",
    "COMMENT ON VIEW runs IS 'x'",
    "EXPORT DATABASE '{inside}'",
    "IMPORT DATABASE '{outside}'",
    "COPY FROM DATABASE memory TO x",
    "VACUUM",
    "ANALYZE",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "FROM checkpoint()",
    "FROM json_execute_serialized_sql(json_serialize_sql('WITH t AS (COPY (SELECT 1) TO ''{inside}/x.csv'') FROM t'))",
    "FROM query('WITH t AS (COPY (SELECT 1) TO ''{inside}/x.csv'') FROM t')",
)

FILES = refused(
    *(
        f"FROM {function}('{{outside}}/s.{ending}')"
        for ending, functions in {
            "txt": "read_text read_blob glob",
            "csv": "read_csv read_csv_auto read_single_csv_file sniff_csv query_table",
            "json": "read_json read_json_auto read_json_objects read_ndjson read_ndjson_objects read_single_json_file",
            "parquet": "read_parquet parquet_scan parquet_metadata parquet_schema parquet_file_metadata "
            "parquet_kv_metadata parquet_full_metadata read_single_parquet_file read_duckdb",
        }.items()
        for function in functions.split()
    ),
    "FROM parquet_bloom_probe('{outside}/s.parquet', 'a', 'b')",
    "FROM READ_TEXT('{outside}/s.txt')",
    "FROM \"read_text\"('{outside}/s.txt')",
    "FROM main.read_text('{outside}/s.txt')",
    "FROM system.main.read_text('{outside}/s.txt')",
    "FROM/**/read_text/**/('{outside}/s.txt')",
    "FROM read_text(['{outside}/s.txt', '{outside}/s.csv'])",
    "FROM read_text('{inside}/../../../outside/s.txt')",
    "FROM read_text('{inside}/away/s.txt')",
    "FROM read_csv('{inside}/link.csv')",
    "FROM read_text('{outside}/[s].tx?')",
    "FROM read_text('{root}/warehouse/FORMAT')",
    "FROM read_json('{root}/warehouse/quarantine/q.jsonl')",
    "FROM glob('{root}/warehouse/**')",
    "FROM read_parquet('{inside}/**/*.parquet')",
    "FROM read_text('/etc/passwd')",
    "FROM read_text('/proc/self/environ')",
    "FROM read_csv('/dev/stdin')",
    "FROM read_parquet('http://localhost:1/x.parquet')",
    "FROM read_parquet('s3://bucket/x.parquet')",
    "FROM read_text('file://{outside}/s.txt')",
    "SELECT (SELECT content FROM read_text('{outside}/s.txt'))",
    "SELECT * FROM runs, LATERAL (FROM read_text('{outside}/s.txt'))",
    "SELECT * FROM runs WHERE EXISTS (FROM read_text('{outside}/s.txt'))",
    "WITH t AS (FROM read_text('{outside}/s.txt')) FROM t",
    "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT 2 FROM t, read_text('{outside}/s.txt')) FROM t",
    "SELECT 1 UNION ALL SELECT size FROM read_text('{outside}/s.txt')",
    "SELECT list_transform([1], lambda x: (SELECT content FROM read_text('{outside}/s.txt')))",
    "DESCRIBE SELECT * FROM read_csv('{outside}/s.csv')",
    "SUMMARIZE FROM read_csv('{outside}/s.csv')",
    "EXPLAIN ANALYZE FROM read_csv('{outside}/s.csv')",
    "PIVOT read_csv('{outside}/s.csv') ON a IN ('a')",
    "SELECT * FROM read_text('{outside}/s.txt') PIVOT (count(*) FOR size IN (1))",
    "SELECT json_serialize_plan('FROM read_csv(''{outside}/s.csv'')')",
    "FROM query('FROM read_text(''{outside}/s.txt'')')",
    "FROM histogram('{outside}/s.csv', a)",
    "FROM '{outside}/s.csv'",
    'FROM "{outside}/s.csv"',
    "FROM '{outside}/s.JSON'",
    "FROM '{inside}/link.csv'",
    "FROM '{inside}/**/*.parquet'",
    "FROM 'https://localhost:1/x.csv'",
    "FROM s.csv",
    'FROM "{outside}/s"."csv"',
    'FROM "{outside}"."/s"."csv"',
    "TABLE '{outside}/s.csv'",
    "SELECT * FROM runs JOIN '{outside}/s.csv' ON true",
    "DESCRIBE '{outside}/s.csv'",
    "SUMMARIZE '{outside}/s.csv'",
    "UNPIVOT '{outside}/s.csv' ON a",
    'WITH "{outside}/s.csv" AS (SELECT 1) FROM (SELECT 1), "{outside}/s.csv"',
)

SETTINGS = [
    *refused(
        "SET enable_external_access = true",
        "SET GLOBAL allowed_directories = ['/']",
        "SET SESSION schema = 'x'",
        "SET memory_limit = '1TB'",
        "SET VARIABLE x = 1",
        "SET TIME ZONE 'UTC'",
        "RESET lock_configuration",
        "RESET ALL",
        "USE memory",
        "PRAGMA memory_limit = '1TB'",
        "PRAGMA database_list",
        "PRAGMA enable_profiling = 'json'",
        "PRAGMA enable_logging",
        "PRAGMA import_database('{outside}')",
        "FROM enable_logging(storage = 'file', storage_config = {'path': '{outside}/log'})",
        "FROM enable_profiling(save_location = '{outside}/profile.json')",
        "FROM disable_logging()",
        "FROM truncate_duckdb_logs()",
        "ATTACH '{outside}/x.duckdb' AS x",
        "ATTACH ':memory:' AS x",
        "ATTACH 'https://localhost:1/x.duckdb' AS x",
        "ATTACH '{outside}/s.txt' AS x (TYPE sqlite)",
        "DETACH memory",
        "CONNECT x",
        "INSTALL httpfs",
        "FORCE INSTALL spatial FROM community",
        "INSTALL '{outside}/x.duckdb_extension'",
        "LOAD httpfs",
        "LOAD '{outside}/x.duckdb_extension'",
        "UPDATE EXTENSIONS",
        "FROM duckdb_secrets()",
        "FROM which_secret('s3://x', 's3')",
        "FROM register_external_resource_type('a', 'b', 'c', 'd', 'e', 'f', 'g')",
    ),
    Attack("SELECT current_setting('http_proxy')", ANSWERS, PATIENT),
    Attack("SHOW http_proxy", ANSWERS, PATIENT),
    Attack("SHOW ALL", ANSWERS, PATIENT),
    Attack("FROM duckdb_settings()", ANSWERS, PATIENT),
    Attack("FROM pg_catalog.pg_settings", ANSWERS, PATIENT),
    Attack("SELECT getenv('AWS_SECRET_ACCESS_KEY')", FAILS),
]

STATEMENTS = refused(
    "",
    ";",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW runs",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE EXECUTE p",
    "DEALLOCATE p",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "CALL duckdb_functions()",
    "CALL enable_logging()",
    "PIVOT runs ON profile",
    ".read {outside}/s.txt",
    ".shell touch {outside}/x",
    ".output {outside}/x",
    "\\! touch {outside}/x",
    "SELECT 1 \0 FROM runs",
    "SELECT '\udcff'",
)

FUNCTIONS = [
    *refused(
        "SELECT write_log('x')",
        "SELECT system.main.write_log('x')",
        "SELECT 'x'.write_log()",
        "SELECT list_transform(['x'], lambda x: write_log(x))",
        "SELECT nextval('s')",
        "SELECT setval('s', 1)",
        "SELECT finalize(to_aggregate_state('x'))",
        "SELECT __internal_decompress_string(1::UBIGINT)",
        # These two end the process when they are let in.
        "SELECT \"=\"(1::VARIANT, 'POINT(1 1)'::GEOMETRY)",
        'SELECT "IS NOT DISTINCT FROM"(row(1, 2), 0)',
        'SELECT row(1, 2)."="(0)',
        "FROM arrow_scan(1, 2, 3)",
        "FROM pandas_scan(1)",
        "FROM python_map_function((FROM runs))",
        "FROM seq_scan()",
    ),
    Attack("SELECT $1", FAILS),
    Attack("FROM target", FAILS),
    Attack("SELECT setseed(0.5), random()", ANSWERS, PATIENT),
    Attack("SELECT error('{root}')", FAILS),
]

PARENTHESES: Final = 100_000
EXHAUSTION = [
    *refused(
        "SELECT " + "(" * PARENTHESES + "1" + ")" * PARENTHESES,
        "SELECT " + "(" * PARENTHESES,
        "SELECT " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        "SELECT " + "- " * 20_000,
        "SELECT " + "(SELECT " * 5_000,
        "WITH a AS (" * 5_000 + "SELECT 1" + ") SELECT 1" * 5_000,
        "SELECT 1" + "+1" * 20_000,
        "SELECT " + "NOT " * 20_000 + "true",
        "SELECT " + "CASE WHEN true THEN " * 5_000 + "1" + " END" * 5_000,
        "EXPLAIN " * 10_000 + "SELECT 1",
        "SELECT count(*) FROM runs GROUP BY CUBE (" + "1, " * 100 + "1)",
        "SELECT '" + "x" * MOST_CHARACTERS + "'",
        "/*" * 100_000,
    ),
    *(
        Attack(sql, FAILS)
        for sql in (
            "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 0",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) SELECT max(n) FROM r",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r, range(1000000)) SELECT count(*) FROM r",
            "SELECT a.range, b.range FROM range(10000000) a, range(10000000) b",
            "SELECT sleep_ms(1000000)",
            "SELECT pg_sleep(1000)",
            "SELECT repeat('x', 10000000000)",
            "SELECT list(repeat('x', 1000000) || range) FROM range(1000000)",
            "SELECT string_agg(repeat('x', 100000), '') FROM range(1000000)",
            "SELECT range(10000000000)",
            "SELECT list(range) FROM range(10000000000)",
            "SELECT unnest(generate_series(1, 100000000000))",
            "SELECT histogram(range) FROM range(1000000000)",
            "SELECT sum(len(l)) FROM (SELECT list(range) OVER (ORDER BY range) AS l FROM range(1000000))",
            "SELECT " + ", ".join(f"range AS c{i}" for i in range(2_000)) + " FROM range(1000000)",
            "SELECT " + "{a: " * 150 + "range" + "}" * 150 + " FROM range(10)",
        )
    ),
    Attack("SELECT a" + ".a" * 500),
    Attack("SELECT regexp_matches(repeat('a', 100000), '(a|aa)*(a|aa)*(a|aa)*c')", ANSWERS, PATIENT),
    Attack("SELECT repeat('a', 30000) GLOB repeat('*a', 300) || 'b'", ANSWERS, PATIENT),
    Attack("SELECT '{}'::JSON" + "->'a'" * 300, ANSWERS, PATIENT),
]

# What DuckDB does not stop for, and what it does not count: only a process of its own can be held.
APART = Limits(timeout_s=1, memory="200MB", untrusted=True)
UNSTOPPABLE = [
    Attack(sql, FAILS, APART)
    for sql in (
        "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))",
        "SELECT " + "list_transform([1], lambda x: " * 20 + "1" + ")" * 20,
        "SELECT repeat('x', 3000000000)",
        "SELECT * FROM range(100000000) ORDER BY hash(range)",
    )
] + [Attack(sql, REFUSED, APART) for sql in ("FROM read_text('{outside}/s.txt')",)]

ATTACKS = {
    "writing": WRITING,
    "files": FILES,
    "settings": SETTINGS,
    "statements": STATEMENTS,
    "functions": FUNCTIONS,
    "exhaustion": EXHAUSTION,
    "unstoppable": UNSTOPPABLE,
}


# The long form

_ROUND: Final = 200
_TOKENS: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\w+|\s+|.", re.DOTALL)
_BLANKS: Final = (" ", "\n", "\t", "/**/", "/* SELECT */", "-- FROM runs\n", "  ")
_FRAMES: Final = (
    "{}",
    "({})",
    "EXPLAIN ANALYZE {}",
    "EXPLAIN (FORMAT json) {}",
    "WITH w AS ({}) FROM w",
    "WITH w AS MATERIALIZED ({}) SELECT 1",
    "SELECT * FROM ({}) AS q",
    "SELECT EXISTS ({})",
    "SELECT 1 UNION ALL {}",
    "{} UNION ALL SELECT 1",
    "DESCRIBE {}",
    "SUMMARIZE {}",
    "SELECT 1; {}",
    "PIVOT ({}) ON 1 IN (1)",
    "SELECT * FROM runs, LATERAL ({})",
    "FROM query($${}$$)",
    "FROM json_execute_serialized_sql(json_serialize_sql($${}$$))",
)


def attack(seed: int, seconds: float) -> Figure:
    """Run mutations of the attacks until the time is up, in processes of their own: one that dies does not hold."""
    tried = held = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(seed + tried)], capture_output=True, text=True, check=False
        )
        tried += _ROUND
        if done.returncode == 0:
            held += json.loads(done.stdout)
        if done.returncode != 0 or done.stderr:
            print(f"hostile SQL, seed {seed + tried - _ROUND}: {done.stderr[-2000:]}", file=sys.stderr)
    return Figure("hostile SQL, mutated", tried, held, "statements", seed)


def _round(seed: int) -> int:
    """Return how many mutations of one round got nothing."""
    chance = random.Random(seed)
    texts = [attack.sql for attacks in ATTACKS.values() for attack in attacks if len(attack.sql) < 1000]
    held = 0
    with tempfile.TemporaryDirectory() as name:
        tempfile.tempdir = f"{name}/tmp"
        os.environ |= dict.fromkeys(SECRETIVE, SECRET)
        target = lay_out(Path(name))
        for n in range(_ROUND):
            sql = _aimed(_mutated(texts, chance), target)
            _, *broken = _run(target, sql, Limits(timeout_s=0.5, memory="80MB"))
            held += not broken
            if broken:
                print(f"statement {n}: {broken} {sql!r}", file=sys.stderr)
    return held


def _mutated(texts: list[str], chance: random.Random) -> str:
    """Return an attack put together anew: spliced, its tokens moved, its blanks and case changed, framed."""
    tokens = _TOKENS.findall(chance.choice(texts))
    if chance.random() < 0.3:
        other = _TOKENS.findall(chance.choice(texts))
        tokens = tokens[: chance.randint(0, len(tokens))] + other[chance.randint(0, len(other)) :]
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        if tokens:
            at = chance.randrange(len(tokens))
            tokens[at : at + 1] = chance.choice(([], [tokens[at]] * 2, [chance.choice(tokens)]))
    tokens = [_disguised(token, chance) for token in tokens]
    sql = "".join(tokens)
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        sql = chance.choice(_FRAMES).replace("{}", sql)
    return sql


def _disguised(token: str, chance: random.Random) -> str:
    if token.isspace():
        return chance.choice(_BLANKS) if chance.random() < 0.2 else token
    if token[0] in "'\"{":
        return token
    return "".join(chance.choice((c.lower(), c.upper())) for c in token) if chance.random() < 0.3 else token


if __name__ == "__main__":
    print(_round(int(sys.argv[1])))
    sys.stdout.flush()
    # A query that could not be stopped must not keep the round.
    os._exit(0)
