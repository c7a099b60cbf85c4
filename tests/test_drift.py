"""`drift`: fields that came and went, and undeclared fields that get a column of their own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import paraphina_wh as wh
from paraphina_wh import catalog
from paraphina_wh.dictionary import describe_view
from paraphina_wh.drift import demote, promote, read_drift
from paraphina_wh.promoted import FILE, KINDS, Kind, Promotion, value_sql, write_promotions
from paraphina_wh.tick_views import fitted
from paraphina_wh.warehouse import Warehouse, locate
from tests.conftest import Invoke, Report
from tests.records import MISSING, line
from tests.telemetry_maker import ask, files_below, ingest, sidecar, write
from tests.torture.figures import Figure

SHORT = ("path", "kind", "change", "runs_with", "runs_without", "records", "types", "first_line")
LABELS = ("path", "first_label", "last_label", "without_label")


def take_in(warehouse: Warehouse, name: str, *lines: bytes) -> None:
    """Ingest one run, in a batch of its own."""
    report = ingest(
        warehouse, write(warehouse.root / "in" / f"balanced_{name}.jsonl", b"".join(lines)), profile="balanced"
    )
    assert [outcome.status for outcome in report] == ["ingested"], [outcome.errors for outcome in report]


def label(name: str) -> str:
    return f"balanced_{name}"


def rows(warehouse: Warehouse, *columns: str, **options: Any) -> list[tuple[Any, ...]]:
    return read_drift(warehouse, **options).fields.select(columns).rows()


# The report


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with four runs, one after the other, whose fields change; no test changes it."""
    warehouse = locate(tmp_path_factory.mktemp("changing"))
    take_in(warehouse, "a", line(t=0, sigma_eff=0.5, early=1), line(t=1, sigma_eff=None))
    take_in(warehouse, "b", line(t=0, sigma_eff=0.5), line(t=1, rank=7, hedges=[]), line(t=2, rank=None))
    take_in(warehouse, "c", line(t=0, fills=[{"rank": 1}, {"rank": 2}]), line(t=1, rank="x", early=[1]))
    take_in(warehouse, "d", line(t=0, rank=8, fair_value=None))
    return warehouse


def test_unknown_fields_come_and_go(changing: Warehouse) -> None:
    found = [row for row in rows(changing, *SHORT) if row[1] == "unknown"]
    assert found == [
        ("early", "unknown", "comes and goes", 2, 2, 2, "array, number", 1),
        ("fills[].rank", "unknown", "began and stopped", 1, 3, 1, "number", 1),
        ("rank", "unknown", "began", 3, 1, 4, "null, number, string", 2),
    ]


def test_declared_fields_come_and_go(changing: Warehouse) -> None:
    found = [row for row in rows(changing, *SHORT) if row[1] == "missing"]
    assert found == [
        ("fair_value", "missing", "stopped", 3, 1, None, None, None),
        ("hedges", "missing", "began and stopped", 1, 3, None, None, None),
        ("sigma_eff", "missing", "stopped", 2, 2, None, None, None),
    ]


def test_the_report_names_the_first_run_with_a_field_the_last_and_the_first_without(changing: Warehouse) -> None:
    assert rows(changing, *LABELS) == [
        ("early", label("a"), label("c"), label("b")),
        ("fills[].rank", label("c"), label("c"), label("a")),
        ("rank", label("b"), label("d"), label("a")),
        ("fair_value", label("a"), label("c"), label("d")),
        ("hedges", label("b"), label("b"), label("a")),
        ("sigma_eff", label("a"), label("b"), label("c")),
    ]
    first = read_drift(changing).fields.row(0, named=True)
    runs = ask(changing, "SELECT run_id, ingested_at FROM runs WHERE label = $label", label=label("a"))
    assert runs == [(first["first_run"], first["first_at"])]


def test_fields_that_no_run_ever_had_are_counted_and_shown_only_if_asked_for(
    invoke: Invoke, changing: Warehouse
) -> None:
    shown = invoke("--root", changing.root, "drift", "--format", "jsonl")
    never = int(re.fullmatch(r"(\d+) declared fields are in none of the 4 runs; --all shows them\n", shown.stderr)[1])  # type: ignore[index]
    everything = invoke("--root", changing.root, "drift", "--all", "--format", "jsonl")
    changes = [json.loads(text)["change"] for text in everything.stdout.splitlines()]
    assert (changes.count("never"), everything.stderr) == (never, "")
    assert len(changes) > len(shown.stdout.splitlines()) == 6


def test_the_report_of_one_experiment(invoke: Invoke, warehouse: Warehouse) -> None:
    sidecar(warehouse.root / "balanced_a", experiment="mine")
    ingest(warehouse, write(warehouse.root / "balanced_a.jsonl", line(rank=1)))
    take_in(warehouse, "b", line(other=1))
    assert rows(warehouse, "path", "change", experiment="mine") == [("rank", "always")]
    missing = invoke("drift", "--experiment", "yours")
    assert missing.stderr.startswith("error: no runs of experiment 'yours'\nhint: experiments: ")
    assert "mine" in missing.stderr
    assert missing.exit_code == 2


@pytest.mark.usefixtures("empty_warehouse")
def test_an_empty_warehouse_has_nothing_to_report(invoke: Invoke) -> None:
    result = invoke("drift", "--format", "json")
    assert (json.loads(result.stdout), result.stderr) == ([], "no run with telemetry yet\n")
    assert result.exit_code == 0


def test_ticks_that_are_gone_or_damaged_are_named_and_the_others_reported(
    invoke: Invoke, warehouse: Warehouse, changing: Warehouse
) -> None:
    shutil.copytree(changing.path, warehouse.path)
    gone, torn = (next(warehouse.telemetry.glob(f"*/label={label(name)}/*")) for name in "cd")
    gone.unlink()
    torn.write_bytes(torn.read_bytes()[:-50])
    result = invoke("drift", "--format", "csv")
    lines = result.stderr.splitlines()
    assert lines[0] == f"warning: run {gone.stem} ({label('c')}): the file of its ticks is gone"
    assert lines[1].startswith(f"warning: run {torn.stem} ({label('d')}): its ticks cannot be read: ")
    assert result.exit_code == 0
    found = [row[:5] for row in rows(warehouse, *SHORT)]
    # The ledger still has the unknown fields of all four runs; ticks can be looked at of two.
    assert found[2] == ("rank", "unknown", "began", 3, 1)
    assert found[3:] == [("hedges", "missing", "began", 1, 1)]


# Promotion


def columns_of(warehouse: Warehouse, view: str) -> dict[str, str]:
    with catalog.connect(warehouse, views=catalog.views_named_in(view)) as connection:
        return {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {view}").fetchall()}


VALUES = [0, -3, 3.0, 2.5, 2**63 - 1, 2**63, 1e300, True, "x", "3", "nan", "true", [1], {"a": 1}, None]


@pytest.mark.parametrize(
    ("kind", "fitting"),
    [
        ("bigint", [0, -3, 3, None, 2**63 - 1, *[None] * 10]),
        ("double", [0.0, -3.0, 3.0, 2.5, 2.0**63, 2.0**63, 1e300, *[None] * 8]),
        ("boolean", [*[None] * 7, True, *[None] * 7]),
        ("varchar", [*(json.dumps(v) for v in VALUES[:8]), "x", "3", "nan", "true", "[1]", '{"a":1}', None]),
        ("json", [*(json.dumps(v, separators=(",", ":")) for v in VALUES[:-1]), None]),
    ],
)
def test_a_value_of_another_kind_is_null(kind: Kind, fitting: list[object]) -> None:
    with duckdb.connect(":memory:") as connection:
        texts = pl.DataFrame({"n": range(len(VALUES)), "text": [json.dumps(v, separators=(",", ":")) for v in VALUES]})
        connection.register("texts", texts.to_arrow())
        found = connection.execute(f"SELECT {value_sql(kind, 'text')} FROM texts ORDER BY n").fetchall()
    assert [value for (value,) in found] == [
        v.replace("1e+300", "1e300") if isinstance(v, str) and kind == "varchar" else v for v in fitting
    ]


def test_the_kind_follows_the_values_of_all_runs(warehouse: Warehouse) -> None:
    kinds: dict[str, tuple[list[object], str]] = {
        "whole": ([1, None, -2], "bigint"),
        "floats": ([1.0, 2.0, 3], "double"),
        "long": ([1, 2**64 - 1, 3], "json"),
        "flag": ([True, False, None], "boolean"),
        "word": (["a", "1", None], "varchar"),
        "mixed": (["a", [1], None], "json"),
        "nothing": ([None, None, None], "json"),
    }
    for n, name in enumerate("abc"):
        take_in(warehouse, name, line({field: values[n] for field, (values, _) in kinds.items()}))
    assert {field: promote(warehouse, field).promotion.kind for field in kinds} == {f: k for f, (_, k) in kinds.items()}
    found = ask(warehouse, f"SELECT {', '.join(kinds)} FROM ticks ORDER BY label")
    assert found == [
        (1, 1.0, "1", True, "a", '"a"', None),
        (None, 2.0, "18446744073709551615", False, "1", "[1]", None),
        (-2, 3.0, "3", None, None, None, None),
    ]


def test_a_promoted_field_is_a_column_of_old_and_new_runs_and_no_file_is_rewritten(
    invoke: Invoke, warehouse: Warehouse
) -> None:
    take_in(warehouse, "a", line(t=0, queue_rank=4), line(t=1))
    before = files_below(warehouse.telemetry)
    result = invoke("drift", "promote", "queue_rank", "--format", "csv")
    assert result.stdout == "field,column,type,view_column,runs,values,misfits\nqueue_rank,queue_rank,bigint,,1,1,0\n"
    assert (result.stderr, result.exit_code) == ("", 0)
    assert files_below(warehouse.telemetry) == before
    take_in(warehouse, "b", line(t=0, queue_rank=5))
    assert ask(warehouse, "SELECT label, t, queue_rank FROM ticks ORDER BY ALL") == [
        (label("a"), 0, 4),
        (label("a"), 1, None),
        (label("b"), 0, 5),
    ]
    shown = invoke("schema", "ticks", "--format", "csv").stdout.splitlines()[-1]
    assert shown == "queue_rank,BIGINT,-,promoted from extra: queue_rank (bigint)"
    assert rows(warehouse, "path", "promoted_as") == [("queue_rank", "queue_rank")]
    answer = invoke("query", "SELECT sum(queue_rank) AS n FROM ticks", "--format", "csv")
    assert answer.stdout == "n\n9\n"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with a run whose unknown fields are promoted; no test changes it."""
    warehouse = locate(tmp_path_factory.mktemp("promoted"))
    fills = [{"price": 1.0, "rank": 10}, {"price": 2.0}, {"price": 3.0, "rank": 30}]
    guidance = {"emit": True, "mood": "calm", "venues": [{"venue_id": "a"}, {"venue_id": "b", "rank": True}]}
    exits = [{"venue_index": 0, "edge_components": {"tax": 0.5}}]
    take_in(
        warehouse,
        "a",
        line(t=0, fills=fills, treasury_guidance=guidance, exits=exits),
        line(t=1, fills=[], treasury_guidance=None),
        line(t=2, fills=None, exits=[], other=1),
    )
    for field in (
        "fills[].rank",
        "treasury_guidance.mood",
        "treasury_guidance.venues[].rank",
        "exits[].edge_components.tax",
    ):
        promote(warehouse, field)
    return warehouse


def test_a_field_in_a_list_becomes_a_list_as_long_as_it(promoted: Warehouse) -> None:
    columns = "fills_rank, treasury_guidance_mood, treasury_guidance_venues_rank, exits_edge_components_tax"
    assert ask(promoted, f"SELECT {columns} FROM ticks ORDER BY t") == [
        ([10, None, 30], "calm", [None, True], [0.5]),
        ([], None, None, [None]),
        (None, None, [None], []),
    ]


def test_a_field_in_a_list_is_a_plain_column_of_the_view_of_the_list(promoted: Warehouse) -> None:
    assert ask(promoted, "SELECT position, price, rank FROM fills ORDER BY ALL") == [
        (0, 1.0, 10),
        (1, 2.0, None),
        (2, 3.0, 30),
    ]
    assert ask(promoted, "SELECT t, edge_components_tax FROM exits ORDER BY ALL") == [(0, 0.5), (1, None)]
    described = describe_view(promoted, "exits").rows()
    assert described[-1] == (
        "edge_components_tax",
        "DOUBLE",
        "-",
        "promoted from extra: exits[].edge_components.tax (double)",
    )


def test_the_shell_script_and_the_catalog_file_have_the_columns(promoted: Warehouse) -> None:
    query = "SELECT fills_rank, treasury_guidance_mood FROM ticks WHERE t = 0"
    of_fills = "SELECT sum(rank), count(*) FROM fills"
    with duckdb.connect(str(promoted.path / "paraphina.duckdb"), read_only=True) as connection:
        assert connection.execute(query).fetchall() == [([10, None, 30], "calm")]
        assert connection.execute(of_fills).fetchall() == [(40, 3)]
    with duckdb.connect(":memory:") as connection:
        connection.execute((promoted.path / "init.sql").read_text().removeprefix(".bail off\n"))
        assert connection.execute(query).fetchall() == [([10, None, 30], "calm")]
        assert connection.execute(of_fills).fetchall() == [(40, 3)]


def scanned(warehouse: Warehouse, query: str) -> list[str]:
    """Return the columns that a query reads from the files of ticks."""
    with catalog.connect(warehouse, views=catalog.views_named_in(query)) as connection:
        ((_, plan),) = connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()
    found: list[str] = []
    nodes = json.loads(plan)
    while nodes:
        node = nodes.pop()
        nodes += node["children"]
        if node["name"].strip() == "READ_PARQUET":
            columns = node["extra_info"].get("Projections", [])
            found += [columns] if isinstance(columns, str) else columns
    return found


@pytest.mark.parametrize("query", ["SELECT sum(pnl_total) FROM ticks", "SELECT sum(price) FROM fills"])
def test_a_promoted_column_costs_nothing_where_nobody_asks_for_it(promoted: Warehouse, query: str) -> None:
    assert "extra" not in scanned(promoted, query)
    assert "extra" in scanned(promoted, query.replace("pnl_total", "fills_rank[1]").replace("price", "rank"))


def test_the_python_api_has_the_columns(promoted: Warehouse) -> None:
    opened = wh.open(promoted.root)
    assert opened.drift()["promoted_as"].drop_nulls().to_list() == [
        "exits_edge_components_tax",
        "fills_rank",
        "treasury_guidance_mood",
        "treasury_guidance_venues_rank",
    ]
    frame = opened.ticks().sort("t")
    found = frame.select("fills_rank", "treasury_guidance_mood", "treasury_guidance_venues_rank").collect()
    assert found.rows() == [([10, None, 30], "calm", [None, True]), ([], None, None), (None, None, [None])]
    assert frame.collect_schema() == opened.sql("SELECT * FROM ticks WHERE false").schema
    assert "fills_rank" not in frame.select("pnl_total").explain()


def test_values_that_do_not_fit_are_counted_and_the_first_is_shown(invoke: Invoke, warehouse: Warehouse) -> None:
    take_in(warehouse, "a", line(t=0, rank=1), line(t=1, rank="\x1b[2J"), line(t=2, rank=2.5), line(t=3, rank=None))
    result = invoke("drift", "promote", "rank", "--type", "bigint", "--as", "place_in_queue", "--format", "json")
    assert json.loads(result.stdout) == [
        {
            "field": "rank",
            "column": "place_in_queue",
            "type": "bigint",
            "view_column": None,
            "runs": 1,
            "values": 3,
            "misfits": 2,
        }
    ]
    ((run_id,),) = ask(warehouse, "SELECT run_id FROM runs")
    shown = r'"\u001B[2J"'
    assert result.stderr == (
        f"warning: 2 of 3 values are no bigint and null in the column; the first: {shown} (run {run_id}, t 1)\n"
    )
    assert result.exit_code == 0
    assert ask(warehouse, "SELECT place_in_queue FROM ticks ORDER BY t") == [(1,), (None,), (None,), (None,)]


def test_promoting_twice_changes_nothing_and_in_another_way_is_refused(invoke: Invoke, warehouse: Warehouse) -> None:
    take_in(warehouse, "a", line(rank=1))
    first = invoke("drift", "promote", "rank", "--as", "rr")
    before = files_below(warehouse.path)
    again = invoke("drift", "promote", "rank")
    assert (again.stdout, again.stderr, again.exit_code) == (first.stdout, "rank was promoted already\n", 0)
    assert files_below(warehouse.path) == before
    # Killed before the catalog file was made anew, it is completed by repeating it.
    (warehouse.path / "init.sql").write_text("as it was")
    assert not promote(warehouse, "rank").is_new
    assert '"rr"' in (warehouse.path / "init.sql").read_text()
    for option in (("--type", "double"), ("--as", "s")):
        other = invoke("drift", "promote", "rank", *option, "--format", "json")
        assert other.stderr.splitlines() == [
            "error: 'rank' is promoted already, as rr (bigint)",
            "hint: take that back first: paraphina-wh drift demote rr",
        ]
        assert (other.stdout, other.exit_code) == ("", 2)


@pytest.mark.parametrize(
    ("field", "name", "message"),
    [
        ("rank", "PNL_Total", "the name 'PNL_Total' is taken: ticks has a column pnl_total"),
        ("rank", "label", "the name 'label' is taken: ticks has a column label"),
        (
            "rank",
            "item",
            "the name 'item' is taken: it is used inside fills, orders, hedges, exits, quote_levels, risk_events",
        ),
        ("fills[].rank", "fills_Price", "the name 'Price' is taken: fills has a column price"),
        ("fills[].rank", "position", "the name 'position' is taken: fills has a column position"),
        ("rank", "a b", "'a b' is no plain name for a column"),
        ("rank", "größe", "'größe' is no plain name for a column"),
        ("über", None, "'über' is no plain name for a column"),
        ("x.y", "taken", "the name 'taken' is taken: ticks has a column taken"),
    ],
)
def test_a_name_that_is_taken_or_no_plain_name_is_refused(
    invoke: Invoke, several: Warehouse, field: str, name: str | None, message: str
) -> None:
    before = files_below(several.path)
    result = invoke("--root", several.root, "drift", "promote", field, *(("--as", name) if name else ()))
    assert result.stderr.startswith(f"error: {message}")
    assert "--as NAME" in result.stderr
    assert (result.stdout, result.exit_code) == ("", 2)
    assert files_below(several.path) == before


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with several unknown fields; no test changes it."""
    warehouse = locate(tmp_path_factory.mktemp("several"))
    take_in(
        warehouse, "a", line({"rank": 1, "über": 1, "x.y": 1, "z": 1, "fills": [{"rank": 1}], "b[0]": 1, "b[1]": 2})
    )
    promote(warehouse, "z", name="taken")
    return warehouse


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (
            ("promote", "rnk"),
            "no run has an undeclared field 'rnk'",
            "undeclared fields: b[], fills[].rank, rank, x.y, z, über",
        ),
        (
            ("promote", "fills[].price"),
            "'fills[].price' is declared: it has its place in ticks already",
            "paraphina-wh schema ticks shows the columns",
        ),
        (("promote", "b[]", "--as", "b"), "'b[]' stands for several fields: b[0], b[1]", "name one of them"),
        (("demote", "rank"), "'rank' is not promoted", "promoted: taken"),
        (("promotion",), "no command 'promotion'; did you mean promote?", "paraphina-wh drift --help"),
        (
            ("--format", "json", "promote", "rank"),
            "--format does not go before promote",
            "paraphina-wh drift --help",
        ),
    ],
)
def test_wrong_usage_is_answered_with_what_there_is(
    invoke: Invoke, several: Warehouse, args: tuple[str, ...], message: str, hint: str
) -> None:
    result = invoke("--root", several.root, "drift", *args)
    assert result.stderr == f"error: {message}\nhint: {hint}\n"
    assert (result.stdout, result.exit_code) == ("", 2)


@pytest.mark.usefixtures("empty_warehouse")
def test_an_empty_warehouse_has_nothing_to_promote_or_to_take_back(invoke: Invoke) -> None:
    up, down = invoke("drift", "promote", "rank"), invoke("drift", "demote", "rank")
    assert up.stderr == (
        "error: no run has an undeclared field 'rank'\nhint: there is no undeclared field in any run\n"
    )
    assert down.stderr == "error: 'rank' is not promoted\nhint: promoted: nothing yet\n"
    assert (up.exit_code, down.exit_code) == (2, 2)


def test_a_promotion_can_be_taken_back_by_field_or_by_column(invoke: Invoke, warehouse: Warehouse) -> None:
    take_in(warehouse, "a", line(rank=1, fills=[{"rank": 2}]))
    script = (warehouse.path / "init.sql").read_text()
    promote(warehouse, "rank", name="rr")
    promote(warehouse, "fills[].rank")
    assert columns_of(warehouse, "fills")["rank"] == "BIGINT"
    result = invoke("drift", "demote", "rr")
    assert (result.stdout, result.stderr, result.exit_code) == ("rr is no column any more\n", "", 0)
    assert [gone.column for gone in demote(warehouse, "fills[].rank")] == ["fills_rank"]
    assert (warehouse.path / "init.sql").read_text() == script
    assert ask(warehouse, "SELECT extra FROM ticks") == [('{"fills[0].rank":2,"rank":1}',)]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[1]",
        b'[{"field":"a","column":"a\\" FROM x; --","kind":"bigint","key":"a","within":null}]',
        b'[{"field":"a","column":"a","kind":"blob","key":"a","within":null}]',
        b'[{"field":"a","column":"a","kind":"json","key":"a","within":"x\\") --"}]',
        b'[{"field":"a","column":"a","kind":"json","key":"a"},{"field":"b","column":"A","kind":"json","key":"b"}]',
    ],
)
def test_a_damaged_list_of_promotions_is_named(
    invoke: Invoke, several: Warehouse, tmp_path: Path, content: bytes
) -> None:
    shutil.copytree(several.path, tmp_path / "warehouse")
    (tmp_path / "warehouse" / FILE).write_bytes(content)
    result = invoke("query", "SELECT count(*) FROM ticks")
    path = re.escape(str(tmp_path / "warehouse" / FILE))
    assert re.match(f"error: {path} is not what `drift promote` writes: .+\nhint: remove it, ", result.stderr)
    assert result.exit_code == 1


def test_without_promotions_the_views_are_as_their_files_say(warehouse: Warehouse) -> None:
    for name, file in catalog.view_files().items():
        assert fitted(name, file.read_text(), warehouse.path) == file.read_text()


# Hostile names


NASTY = [
    *(
        "$",
        "$.a",
        "$['a']",
        "*",
        "[*]",
        "?",
        "#",
        "/",
        "//",
        "~",
        "~0",
        "~1",
        "~01",
        "a/b",
        "a~b",
        ".",
        "..",
        "a.b",
        "",
        " ",
    ),
    *("'", "''", '"', '""', "\\", "\\u0041", "a\\", "`", ";", "--", "/*", "*/", "'; DROP VIEW runs; --", '"); --'),
    *("\n", "\r\n", "\t", "\x00", "a\x00b", "\x1b[2J", "\x7f", "\u2028", "\u202e", "\ufeff", "\u200b", "\ufffe"),
    *(
        "é",
        "e\u0301",
        "ﬁ",
        "🦀",
        "ﷺ",
        "中",
        "[",
        "]",
        "[]",
        "a[",
        "]a",
        "a[0]",
        "a[x]",
        "b[0].c",
        "[0",
        "fills",
        "Fills[0].a",
    ),
    *(
        "read_parquet('x')",
        "read_parquet(\n'",
        "* -- promoted: x",
        "*\n    -- promoted: x",
        "$1",
        "{text}",
        "{0}",
        "%s",
        "x" * 5000,
    ),
    *("select", "NULL", "null", "true", "0", "-1", "1e5", "extra", "RUN_ID", "T"),
]


def test_any_name_of_a_field_can_be_promoted_and_read_back(warehouse: Warehouse, report: Report) -> None:
    keys = [key for key in dict.fromkeys(NASTY) if key not in ("fills",)]
    take_in(
        warehouse,
        "a",
        line({key: n for n, key in enumerate(keys)}, t=0),
        line({key: -n for n, key in enumerate(keys)}, t=1),
    )
    columns = {key: f"column_{n}" for n, key in enumerate(keys)}
    # Two by the command's own way, all others at once: each promotion writes the catalog anew.
    made = [promote(warehouse, key, name=columns[key]).promotion for key in keys[:2]]
    paths = {key: re.sub(r"\[[^\[\]]*\]", "[]", key) for key in keys}
    write_promotions(warehouse.path, (*made, *(Promotion(paths[key], columns[key], "bigint", key) for key in keys[2:])))
    catalog.set_up(warehouse)
    query = f"SELECT {', '.join(columns.values())} FROM ticks ORDER BY t"
    script = (warehouse.path / "init.sql").read_text()
    assert all(text.isprintable() for text in script.split("\n")), "a shell takes a line at a time"
    with duckdb.connect(str(warehouse.path / "paraphina.duckdb"), read_only=True) as connection:
        of_catalog = connection.execute(query).fetchall()
    with duckdb.connect(":memory:") as connection:
        connection.execute(script.removeprefix(".bail off\n"))
        of_script = connection.execute(query).fetchall()
    expected = [tuple(range(len(keys))), tuple(-n for n in range(len(keys)))]
    held = [
        n for n in range(len(keys)) if all(rows[0][n] == n and rows[1][n] == -n for rows in (of_catalog, of_script))
    ]
    assert (of_catalog, of_script) == (expected, expected)
    report(Figure("promote fields with hostile names", len(keys), len(held), "names read back exactly"))


def test_a_hostile_name_goes_through_the_commands(invoke: Invoke, warehouse: Warehouse) -> None:
    key = "'\"\nüber~/a[0]"
    take_in(warehouse, "a", line({key: 5}))
    listed = json.loads(invoke("drift", "--format", "json").stdout)[0]["path"]
    done = invoke("drift", "promote", listed, "--as", "nasty", "--format", "json")
    assert json.loads(done.stdout)[0] | {"field": key} == {
        "field": key,
        "column": "nasty",
        "type": "bigint",
        "view_column": None,
        "runs": 1,
        "values": 1,
        "misfits": 0,
    }
    assert ask(warehouse, "SELECT nasty FROM ticks") == [(5,)]
    assert invoke("drift", "demote", listed).stdout == "nasty is no column any more\n"


def test_fields_with_brackets_in_their_names_are_told_apart(several: Warehouse, tmp_path: Path) -> None:
    warehouse = locate(tmp_path)
    shutil.copytree(several.path, warehouse.path)
    promote(warehouse, "b[0]", name="b0")
    promote(warehouse, "b[1]", name="b1")
    assert ask(warehouse, "SELECT b0, b1 FROM ticks") == [(1, 2)]
    assert ("b[]", "b0, b1") in rows(warehouse, "path", "promoted_as")


# A later version declares more


# Of a version that did not declare the fee of a fill.
OLDER_FILL = "struct_pack(price := f.price, size := f.size)"


def age(warehouse: Warehouse, name: str) -> None:
    """Make the ticks of a run what a version left that did not declare sigma_eff and the fee of a fill."""
    file = next(warehouse.telemetry.glob(f"*/label={label(name)}/*.parquet"))
    older = write(file.with_name("older"), b"")
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f"COPY (SELECT * EXCLUDE (sigma_eff) REPLACE ([{OLDER_FILL} FOR f IN fills] AS fills, "
            """'{"sigma_eff":0.25,"fills[1].fee_bps":9}' AS extra) """
            f"FROM read_parquet('{file}', hive_partitioning = false)) TO '{older}' (FORMAT parquet)"
        )
    older.replace(file)


def age_the_schema(warehouse: Warehouse) -> None:
    schema = warehouse.ticks_file("any", "any", "schema")
    older = write(schema.with_name("older"), b"")
    with duckdb.connect(":memory:") as connection:
        query = (
            f"SELECT * EXCLUDE (sigma_eff) REPLACE ([{OLDER_FILL} FOR f IN fills] AS fills) "
            f"FROM read_parquet('{schema}', hive_partitioning = false)"
        )
        connection.execute(f"COPY ({query}) TO '{older}' (FORMAT parquet)")
    older.replace(schema)
    (warehouse.path / "FORMAT").write_text("1\nschema of an earlier version\n")


@pytest.fixture(scope="module")
def of_two_versions(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Return a warehouse with a run of an earlier version of the program, and one of this; no test changes it."""
    warehouse = locate(tmp_path_factory.mktemp("versions"))
    fills = [{"price": 1.0, "size": 1.0}, {"price": 2.0, "size": 1.0}]
    take_in(warehouse, "a", line(t=0, fills=fills))
    age(warehouse, "a")
    age_the_schema(warehouse)
    take_in(warehouse, "b", line(t=0, sigma_eff=0.5, fills=[{**fill, "fee_bps": 4.0} for fill in fills]))
    return warehouse


TWO = "SELECT label, sigma_eff, fair_value FROM ticks ORDER BY label"


def test_files_of_an_earlier_version_lack_columns_and_are_read_all_the_same(of_two_versions: Warehouse) -> None:
    assert ask(of_two_versions, TWO) == [(label("a"), None, 250.0), (label("b"), 0.5, 250.0)]
    assert ask(of_two_versions, "SELECT label, price, fee_bps FROM fills ORDER BY ALL") == [
        (label("a"), 1.0, None),
        (label("a"), 2.0, None),
        (label("b"), 1.0, 4.0),
        (label("b"), 2.0, 4.0),
    ]
    names = {path.name for path in of_two_versions.ticks_file("any", "any", "schema").parent.iterdir()}
    assert len(names) == 2 and all(re.fullmatch(r"schema(-[0-9a-f]{8})?\.parquet", name) for name in names)
    # Folder keys still choose the files.
    with catalog.connect(of_two_versions, views=catalog.views_named_in("ticks")) as connection:
        query = f"EXPLAIN ANALYZE SELECT t FROM ticks WHERE profile = 'balanced' AND label = '{label('a')}'"
        ((_, plan),) = connection.execute(query).fetchall()
    assert re.search(r"Scanning Files: 1/\d", plan)


def test_a_promoted_field_that_came_to_be_declared_is_one_column(of_two_versions: Warehouse, tmp_path: Path) -> None:
    warehouse = locate(tmp_path)
    shutil.copytree(of_two_versions.path, warehouse.path)
    write_promotions(
        warehouse.path,
        (
            Promotion("sigma_eff", "sigma_eff", "json", "sigma_eff"),
            Promotion("fills[].fee_bps", "fills_fee_bps", "bigint", "fee_bps", "fills"),
            # Another field has come to be declared under this name: the record's own column stays.
            Promotion("fair.value", "fair_value", "json", "fair.value"),
        ),
    )
    catalog.set_up(warehouse)
    assert ask(warehouse, TWO) == [(label("a"), 0.25, 250.0), (label("b"), 0.5, 250.0)]
    fees = "SELECT label, fills_fee_bps FROM ticks ORDER BY label"
    assert ask(warehouse, fees) == [(label("a"), [None, 9.0]), (label("b"), [4.0, 4.0])]
    assert ask(warehouse, "SELECT fee_bps FROM fills ORDER BY ALL") == [(4.0,), (4.0,), (9.0,), (None,)]
    assert columns_of(warehouse, "ticks")["sigma_eff"] == "DOUBLE"
    frame = wh.open(warehouse.root).ticks().sort("label").select("sigma_eff", "fills_fee_bps", "fair_value")
    assert frame.collect().rows() == [(0.25, [None, 9.0], 250.0), (0.5, [4.0, 4.0], 250.0)]
    with duckdb.connect(str(warehouse.path / "paraphina.duckdb"), read_only=True) as connection:
        assert connection.execute(TWO).fetchall() == ask(warehouse, TWO)


def test_a_field_can_be_promoted_after_it_came_to_be_declared(of_two_versions: Warehouse, tmp_path: Path) -> None:
    warehouse = locate(tmp_path)
    shutil.copytree(of_two_versions.path, warehouse.path)
    ledger = min(warehouse.runs.glob("*/2*.parquet"))
    seen = '{"sigma_eff":{"first_line":1,"count":1,"types":["number"]}}'
    with duckdb.connect(":memory:") as connection:
        query = (
            f"SELECT * REPLACE ('{seen}' AS unknown_fields) FROM read_parquet('{ledger}', hive_partitioning = false)"
        )
        connection.execute(f"COPY ({query}) TO '{write(tmp_path / 'older', b'')}' (FORMAT parquet)")
    (tmp_path / "older").replace(ledger)
    assert promote(warehouse, "sigma_eff").promotion.kind == "double"
    assert ask(warehouse, TWO) == [(label("a"), 0.25, 250.0), (label("b"), 0.5, 250.0)]


def test_every_kind_of_the_command_is_a_kind_of_the_library(invoke: Invoke) -> None:
    assert f"[{'|'.join(KINDS)}]" in invoke("drift", "promote", "--help").stdout


def test_a_missing_field_is_one_that_no_tick_of_the_run_has(warehouse: Warehouse) -> None:
    take_in(warehouse, "a", line(t=0, fair_value=MISSING), line(t=1, fair_value=1.0))
    take_in(warehouse, "b", line(t=0, fair_value=MISSING, venue_funding_age_ms=[]), line(t=1, fair_value=None))
    assert rows(warehouse, "path", "change", "runs_with") == [("fair_value", "stopped", 1)]
