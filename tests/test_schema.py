"""`schema`: the data dictionary is complete and the JSON Schemas shipped are current."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from paraphina_wh.catalog import view_names
from paraphina_wh.dictionary import describe_view, json_schema_text, list_views, meaning_of
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS, Contract
from paraphina_wh.warehouse import Warehouse
from tests.conftest import PROJECT, Invoke
from tests.records import GOOD, MC_RUN, MISSING, record


@pytest.mark.parametrize("view", view_names())
def test_every_column_of_every_view_has_a_unit_and_a_meaning(warehouse: Warehouse, view: str) -> None:
    columns = describe_view(warehouse, view)
    bare = [row["column"] for row in columns.iter_rows(named=True) if not (row["unit"] and row["meaning"])]
    assert bare == []


def test_every_view_has_a_grain_and_a_description() -> None:
    views = list_views()
    assert views["view"].to_list() == view_names()
    assert [row for row in views.rows() if not all(row)] == []


@pytest.mark.parametrize(
    ("view", "column", "unit", "meaning"),
    [
        ("ticks", "pnl_total", "usd", "pnl_realised + pnl_unrealised"),
        ("ticks", "kill_switch", "-", "true once the kill switch latched"),
        ("runs", "kill_switch", "-", "any tick with the kill switch on"),
        ("runs", "seed", "-", "seed of the run, unsigned 64 bit; null when none was passed"),
        (
            "runs",
            "max_drawdown",
            "usd",
            "deepest fall from a peak, positive magnitude; the peak starts at the first tick",
        ),
        ("fills", "price", "usd/tao", "execution price"),
        ("orders", "price", "usd/tao", "limit price; null for cancels"),
        ("venue_ticks", "depth_near_mid_usd", "usd", "notional of best bid and ask"),
        ("research_rows", "knob_vol_ref", "frac/day", "reference volatility set for the run; null = engine preset"),
    ],
)
def test_a_column_means_what_its_closest_declaration_says(view: str, column: str, unit: str, meaning: str) -> None:
    assert meaning_of(view, column) == (unit, meaning)


def test_the_columns_of_a_view(invoke: Invoke) -> None:
    result = invoke("schema", "risk_tiers", "--format", "csv")
    assert result.stdout.splitlines()[:4] == [
        "column,type,unit,meaning",
        'tier_order,INTEGER,-,"place of the tier in artefacts, from 1"',
        'risk_tier,VARCHAR,-,"tier, named as its profile"',
        "max_kill_prob,DOUBLE,frac,budget: largest kill probability",
    ]
    assert (result.stderr, result.exit_code) == ("", 0)


def test_the_list_of_views(invoke: Invoke) -> None:
    result = invoke("schema", "--format", "jsonl")
    views = [json.loads(line) for line in result.stdout.splitlines()]
    assert next(view for view in views if view["view"] == "ticks") == {
        "view": "ticks",
        "description": "the telemetry, as the engine wrote it; the source view of the folder telemetry/",
        "grain": "one row per tick of a run (profile, label, run_id, t)",
    }


def test_an_unknown_view_is_answered_with_the_views(invoke: Invoke) -> None:
    result = invoke("schema", "zzz")
    assert result.stderr.startswith("error: no view named 'zzz'\nhint: views: risk_tiers, ")
    assert (result.stdout, result.exit_code) == ("", 2)


@pytest.mark.parametrize("contract", [TICKS, MC_RUNS], ids=lambda contract: contract.name)
def test_the_json_schema_shipped_is_current(invoke: Invoke, contract: Contract) -> None:
    shipped = (PROJECT / "docs" / "schema" / f"{contract.name}.schema.json").read_text()
    assert shipped == json_schema_text(contract), "write it anew: paraphina-wh schema --json-schema ..."
    assert invoke("schema", "--json-schema", contract.name).stdout == shipped


def test_a_view_and_a_json_schema_are_not_given_together(invoke: Invoke) -> None:
    result = invoke("schema", "ticks", "--json-schema", "telemetry")
    assert result.stderr.startswith("error: give a VIEW or --json-schema, not both\n")
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (GOOD, True),
        (record(later=1, fills=[{"rank": 1}]), True),
        (record(t=1.0), True),
        (record(risk_regime="normal"), False),
        (record(schema_version=2), False),
        (record(pnl_total=None), False),
        (record(t=MISSING), False),
        (record(fills=[{"price": "1"}]), False),
    ],
)
def test_the_json_schema_says_what_the_reader_says(value: dict[str, object], valid: bool) -> None:
    assert jsonschema.Draft202012Validator(json.loads(json_schema_text(TICKS))).is_valid(value) == valid


def test_the_json_schema_of_monte_carlo_runs_takes_unsigned_seeds() -> None:
    schema = jsonschema.Draft202012Validator(json.loads(json_schema_text(MC_RUNS)))
    assert schema.is_valid(MC_RUN)
    assert not schema.is_valid(record(base=MC_RUN, seed=2**64))


def test_the_schema_needs_no_warehouse_and_makes_none(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("schema", "ticks").exit_code == 0
    assert list(tmp_path.iterdir()) == []
