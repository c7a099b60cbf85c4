"""Experiment files: the form, what is answered to mistakes, and the grid they make."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.experiments.checks import find_problem
from paraphina_wh.experiments.columns import parse_column
from paraphina_wh.experiments.grid import axis_values, expand
from paraphina_wh.experiments.read import find_experiment, read_experiment, shipped
from paraphina_wh.experiments.reference import reference_page, schema_text
from paraphina_wh.experiments.spec import Range, Spec
from paraphina_wh.experiments.starter import starter_text
from tests.conftest import PROJECT, Invoke

GOOD = starter_text("exp20")


def _read(tmp_path: Path, text: str) -> Spec:
    (tmp_path / "x.toml").write_text(text)
    return read_experiment(tmp_path / "x.toml").spec


def _complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(WarehouseError) as caught:
        _read(tmp_path, text)
    assert caught.value.exit_code == 2
    return caught.value.message.removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize("name", shipped())
def test_what_ships_is_right(name: str) -> None:
    experiment = find_experiment(name)
    assert find_problem(experiment.spec) is None


def test_the_starter_file_is_right(tmp_path: Path) -> None:
    spec = _read(tmp_path, GOOD)
    assert len(list(expand(spec))) == 3 * 3 * 3 * 3  # profiles, inventories, bands, repeats


def test_a_small_grid_worked_out() -> None:
    spec = msgspec.convert(
        {
            "name": "small",
            "about": "two profiles, two scenarios",
            "mode": "stdout",
            "profiles": ["balanced", "aggressive"],
            "repeats": 2,
            "ticks": 50,
            "axis": [{"scenario": ["calm", "wild"], "factor": [1.0, 1.5]}],
            "per_profile": {"balanced": {"vol": 0.02}, "aggressive": {"vol": 0.03}},
            "products": {"vol_ref": ["vol", "factor"]},
        },
        Spec,
    )
    keys = ("profile", "scenario", "vol_ref", "repeat", "seed")
    assert [tuple(point[key] for key in keys) for point in expand(spec, [7, 3])] == [
        ("balanced", "calm", 0.02, 0, 7),
        ("balanced", "calm", 0.02, 1, 3),
        ("balanced", "wild", 0.03, 0, 7),
        ("balanced", "wild", 0.03, 1, 3),
        ("aggressive", "calm", 0.03, 0, 7),
        ("aggressive", "calm", 0.03, 1, 3),
        ("aggressive", "wild", 0.045, 0, 7),
        ("aggressive", "wild", 0.045, 1, 3),
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (Range(-40.0, 40.0, step=20.0), [-40.0, -20.0, 0.0, 20.0, 40.0]),
        (Range(0.1, 0.4, step=0.1), [0.1, 0.2, 0.3, 0.4]),
        (Range(0, 10, step=4), [0, 4, 8]),
        (Range(0.0, 1.0, count=3), [0.0, 0.5, 1.0]),
        (Range(3, 1, step=-1), [3, 2, 1]),
    ],
)
def test_a_range(values: Range, expected: list[float]) -> None:
    assert axis_values(values) == expected


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('mode = "both"', 'mode = "stdot"', "x.toml:9: mode: 'stdot' is none of both, stdout, telemetry"),
        ('mode = "both"', "mode = both", "x.toml:9: Invalid value (column 8)"),
        ("repeats = 3", "repeat = 3", "x.toml:12: repeat: there is no such key; did you mean `repeats`?"),
        ("repeats = 3", "repeats = 3.5", "x.toml:12: repeats: Expected int, got float"),
        ("repeats = 3", "repeats = 0", "x.toml:12: repeats: must lie in 1..1000000, not 0"),
        ('name = "exp20"', "", "x.toml:1: `name` is missing"),
        ('name = "exp20"', 'name = "../x"', "x.toml:7: name: '../x' cannot name a folder: letters, digits, "),
        ("timeout_sec = 600.0", "timeout_sec = nan", "x.toml:15: timeout_sec: must be above 0, not nan"),
        ("{init_q_tao:.0f}", "{init_q:.0f}", "x.toml:18: run_name: no variable 'init_q'; there are experiment, "),
        ("{init_q_tao:.0f}", "{init_q_tao.__class__}", "x.toml:18: run_name: no variable 'init_q_tao.__class__'"),
        ("_band{band_mult}", "", "x.toml:18: run_name: gives the same text to several runs: 'exp20_conservative_"),
        ("step = 20.0", "step = -20.0", "x.toml:25: axis[0].init_q_tao: `step` does not lead from `from` to `to`"),
        ("step = 20.0", "step = 1e-9", "x.toml:25: axis[0].init_q_tao: has more than 1000000 values"),
        ("[0.5, 1.0, 2.0]", "[0.5, 0.5]", "x.toml:28: axis[1].band_mult: names a value twice"),
        ("[0.5, 1.0, 2.0]", "[true, 2]", "x.toml:28: axis[1].band_mult: mixes texts, numbers and true/false"),
        ("[0.5, 1.0, 2.0]", "[99999999999999999999]", "x.toml:28: axis[1].band_mult: must fit 64 bits"),
        ("[0.5, 1.0, 2.0]", "[0.5, 0.5]\nb = [1, 1]", "x.toml:28: axis[1].band_mult: names a value twice"),
        ("[0.5, 1.0, 2.0]", "[0.5, 1.0]\nBAND_MULT = [1, 2]", "x.toml:29: axis[1].BAND_MULT: variable 'BAND_MULT' is "),
        ("seed = 1", "seed = 1.5", "x.toml:13: seed: Expected int | str, got float"),
        ("seed = 1", 'seed = ""', "x.toml:13: seed: must be a key of 1 to 100 characters, or none"),
        ("seed = 1", "seed = 2\nseed_start = 1", "x.toml:14: seed_start: takes the place of `seed`: name one of them"),
        ("seed = 1", "seed_start = -1", "x.toml:13: seed_start: must be at least 0 and below 2^63, not -1"),
        ("{init_q_tao:.0f}", "{init_q_tao:{nope}}", "x.toml:18: run_name: not a template: "),
        ("{init_q_tao:.0f}", "{ticks_}", "x.toml:18: run_name: no variable 'ticks_'; there are experiment, profile, "),
        ('run_name = "', 'folder = "a\\u0000b"\nrun_name = "', "x.toml:18: folder: 'a\\x00b' is no folder below ROOT"),
        (
            '"mean(pnl_total)"',
            '"mean(risk_regime)"',
            "x.toml:56: table[1].columns: 'mean(risk_regime)': risk_regime is a ",
        ),
        (
            'file = "exp20_summary.csv"',
            'file = "exp20_runs.csv"',
            "x.toml:47: table[0].file: 'exp20_runs.csv' is written ",
        ),
        (
            "[knobs]",
            '[show]\nrank_by = "nope"\n[knobs]',
            "x.toml:41: show.rank_by: no column 'nope' in a grouped table; ",
        ),
        ("repeats = 3", "repeats = [1", "x.toml:"),
        ("[0.5, 1.0, 2.0]", "[0.5, nan]", "x.toml:28: axis[1].band_mult: must be finite"),
        ("[0.5, 1.0, 2.0]", "[0.5]\nother = [1, 2]", "x.toml:27: axis[1]: variables that go together need equally "),
        ("balanced = { band_centre = 5.0 }", "", "x.toml:31: per_profile: says nothing of profile 'balanced'"),
        ('["band_centre", "band_mult"]', '["nix"]', "x.toml:37: products.band_base: no variable 'nix' before it; "),
        ('INIT_Q_TAO = "init_q_tao"', 'INITQ = "init_q_tao"', "x.toml:41: knobs.INITQ: is no knob of the engine; "),
        ("HEDGE_MAX_STEP = 20.0", "VOL_REF = inf", "x.toml:43: knobs.VOL_REF: knob VOL_REF: 'inf' is not a finite "),
        ("HEDGE_MAX_STEP = 20.0", "TELEMETRY_MODE = 1", "x.toml:43: knobs.TELEMETRY_MODE: is set by the runner"),
        ('"band_mult", "band_base", "repeat"]', '"repeat"]', "x.toml:21: labels: 'band_mult' is missing: every swept "),
        ('file = "exp20_runs.csv"', 'file = "../a.csv"', "x.toml:47: table[0].file: '../a.csv' is not the name of "),
        ('"mean(pnl_total)"', '"meen(pnl_total)"', "x.toml:56: table[1].columns: 'meen(pnl_total)': no statistic"),
        ('"mean(pnl_total)"', '"pnl_total"', "x.toml:56: table[1].columns: 'pnl_total' needs a statistic, such as "),
        ('"mean(pnl_total)"', '"mean(pnl)"', "x.toml:56: table[1].columns: no column 'pnl'; there are run_id, "),
        ('group_by = ["profile"', 'group_by = ["tier"', "x.toml:55: table[1].group_by: no column 'tier'; there are "),
    ],
)
def test_a_mistake_is_answered_with_file_line_and_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    assert _complaint(tmp_path, GOOD.replace(old, new, 1)).startswith(complaint)


def test_a_file_that_is_no_text_and_one_that_is_not_there(tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    for name, reason in (("x.toml", "x.toml: not UTF-8 text"), ("none.toml", "cannot read none.toml: No such file")):
        refused = invoke("run", name)
        assert (refused.stdout, refused.exit_code) == ("", 2)
        assert refused.stderr.startswith(f"error: {reason}")


@pytest.mark.parametrize(
    ("text", "keys", "name", "sql"),
    [
        ("pnl_total", [], "pnl_total", None),
        ("kill_flag as kill_switch", [], "kill_switch", None),
        ("mean(pnl_total)", ["profile"], "pnl_total_mean", 'mean_of(CAST("pnl_total" AS DOUBLE))'),
        ("p5(pnl_total)", ["profile"], "pnl_total_p5", 'quantile_cont(CAST("pnl_total" AS DOUBLE), 0.05)'),
        ("count() as runs", ["profile"], "runs", "count(*)"),
        ("profile", ["profile"], "profile", '"profile"'),
    ],
)
def test_a_column_of_a_table(text: str, keys: list[str], name: str, sql: str | None) -> None:
    column = parse_column(text, keys)
    assert column.name == name
    assert sql is None or column.sql == sql


@pytest.mark.parametrize(
    "text", ["", "a b", 'x"; drop', "mean(", "mean()", "frac(a='b')", "mean(a=b)", "sum(x) as y z"]
)
def test_what_is_no_column(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_column(text, ["profile"])


def test_the_json_schema_and_the_page_are_current(invoke: Invoke) -> None:
    shipped_schema = (PROJECT / "docs/schema/experiment.schema.json").read_text()
    assert shipped_schema == schema_text() == invoke("schema", "--json-schema", "experiment").stdout
    page = (PROJECT / "docs/experiment-files.md").read_text()
    assert page == reference_page(), "write it anew: python -m paraphina_wh.experiments.reference"


def test_the_json_schema_says_what_the_reader_says() -> None:
    import tomllib

    schema = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert all(schema.is_valid(tomllib.loads(path.read_text())) for path in shipped().values())
    assert schema.is_valid(tomllib.loads(GOOD))
    assert not schema.is_valid(tomllib.loads(GOOD.replace('mode = "both"', 'mode = "stdot"')))
    assert not schema.is_valid(tomllib.loads(GOOD.replace("repeats = 3", "repeat = 3")))


def test_a_new_file_is_written_once(invoke: Invoke, tmp_path: Path) -> None:
    made = invoke("run", "--new", "exp20")
    assert (made.stdout, made.exit_code) == ("exp20.toml\n", 0)
    assert (tmp_path / "exp20.toml").read_text() == GOOD
    assert invoke("run", "exp20.toml", "--dry-run", "--engine", "reference").exit_code == 0
    again = invoke("run", "--new", "exp20")
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    assert invoke("run", "--new", "../x").exit_code == 2
