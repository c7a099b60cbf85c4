"""The embedded reference engine, driven as its users drive it: a subprocess, its output and its telemetry file."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

Record = dict[str, Any]

COMMAND = [sys.executable, "-m", "paraphina_wh.reference_engine"]
ROOT = Path(__file__).resolve().parents[1]
BALANCED_STDERR = "effective_risk_profile=balanced source=default\n"

BASE_KEY_TEXT = """
basis_gross_usd basis_usd config_version_id dollar_delta_usd execution_mode exits fair_value fills fv_available
fv_long_vol fv_short_vol healthy_venues_used healthy_venues_used_count hedge_delta_h_t hedge_x_t hedges
kf_last_update_ms kf_p kf_x_hat kill_reason kill_switch orders pnl_realised pnl_total pnl_unrealised q_global_tao
quote_levels regime_ratio risk_events risk_regime schema_version shadow_size_mult shadow_spread_mult
shadow_vol_ratio sigma_eff t treasury_guidance venue_age_event_ms venue_age_ms venue_depth_near_mid_usd
venue_dist_liq_sigma venue_fill_rate venue_funding_8h venue_funding_age_ms venue_funding_interval_sec
venue_funding_rate_8h venue_funding_settlement_price_kind venue_funding_source venue_funding_status
venue_local_vol_long venue_local_vol_short venue_maker_volume venue_margin_available_usd venue_margin_balance_usd
venue_margin_used_usd venue_markout_ewma_usd_per_tao venue_mid_usd venue_next_funding_ms venue_position_tao
venue_spread_usd venue_status venue_taker_volume venue_toxicity would_send_orders would_send_orders_count
would_send_orders_truncated
"""

BRIDGE_KEY_TEXT = """
action_version basis_penalty delta_penalty done_reason drawdown_penalty episode_done episode_idx episode_step_idx
kill_penalty obs_version pnl_delta policy_action_applied policy_action_raw policy_version reward_total tox_penalty
turnover_penalty
"""

BASE_KEYS = BASE_KEY_TEXT.split()
BRIDGE_KEYS = BRIDGE_KEY_TEXT.split()

NESTED_KEYS = {
    "quote_levels": """basis_adj_usd delta_final edge_local funding_adj_usd inventory_term_usd price s_tilde side
        size_final size_liq_factor size_margin_cap size_mult size_raw spread_mult venue_id venue_index""",
    "orders": """action action_id client_order_id order_id post_only price purpose reduce_only risk_regime side size
        status tif venue_id venue_index""",
    "fills": """client_order_id fee_bps fill_seq fill_time_ms markout_pnl_short order_id post_q_t post_q_v pre_q_t
        pre_q_v price purpose realised_pnl_usd side size venue_id venue_index""",
    "exits": """edge_components edge_final edge_funding_basis_adj edge_raw entry_fill_seqs filled_size intended_size
        risk_regime side venue_id venue_index""",
    "hedges": """basis_usd cost_components delta_h_v dist_liq_sigma filled_size funding_8h intended_size post_q_t
        post_q_v pre_q_t pre_q_v side venue_id venue_index""",
}


@dataclass(frozen=True)
class Run:
    """One finished process and, when it wrote telemetry, the lines of its file."""

    returncode: int
    stdout: str
    stderr: str
    lines: list[str]

    @property
    def records(self) -> list[Record]:
        return [json.loads(line) for line in self.lines]

    @property
    def killed_at(self) -> int | None:
        found = re.search(r"^Kill switch active at tick (\d+) - ", self.stdout, re.MULTILINE)
        return int(found[1]) if found else None

    @property
    def pnl_total_usd(self) -> float:
        found = re.search(r"^Daily PnL .*: \S+ / \S+ / (\S+)$", self.stdout, re.MULTILINE)
        assert found
        return float(found[1])


def knobs(**values: object) -> dict[str, str]:
    """The environment of a run: nothing inherited but what Python needs, knobs by their name without the prefix."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PARAPHINA_")}
    return env | {f"PARAPHINA_{name}": str(value) for name, value in values.items()}


def run(*flags: object, telemetry: Path | None = None, **values: object) -> Run:
    if telemetry is not None:
        values = {"TELEMETRY_MODE": "jsonl", "TELEMETRY_PATH": telemetry, **values}
    done = subprocess.run(
        [*COMMAND, *map(str, flags)],
        cwd=ROOT, env=knobs(**values), capture_output=True, text=True, encoding="utf-8", timeout=600, check=False,
    )  # fmt: skip
    lines = telemetry.read_text("utf-8").splitlines() if telemetry and telemetry.exists() else []
    return Run(done.returncode, done.stdout, done.stderr, lines)


def signed(value_usd: float) -> str:
    return f"{value_usd:+.2f}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def surviving(folder: Path) -> Run:
    """600 ticks of the balanced profile: fills, exits, hedges, no kill."""
    return run("--ticks", 600, "--seed", 10007, telemetry=folder / "surviving.jsonl")


@pytest.fixture(scope="module")
def killed(folder: Path) -> Run:
    """A run whose inventory loses more than its small budget."""
    values: dict[str, Any] = {"INIT_Q_TAO": -40, "DAILY_LOSS_LIMIT": 100, "HEDGE_MAX_STEP": 0}
    return run("--ticks", 2000, "--seed", 1, telemetry=folder / "killed.jsonl", **values)


# --- stdout, stderr, exit code


def test_a_run_of_no_ticks_shows_the_whole_shape_of_stdout() -> None:
    done = run("--ticks", 0)
    banner, *rest = done.stdout.splitlines()
    pattern = r"paraphina \| cfg=(\S+) \| cfg_hash=0x[0-9a-f]{16} \| profile=Balanced \| ticks=0 \| seed=none"
    found = re.fullmatch(pattern, banner)
    assert found and "reference" in found[1]
    assert rest == [
        "",
        "=== Daily Summary ===",
        "Daily PnL (realised / unrealised / total): +0.00 / +0.00 / +0.00",
        "Kill switch: false",
        "Risk regime: Normal",
    ]
    assert (done.returncode, done.stderr) == (0, BALANCED_STDERR)


def test_the_summary_is_the_last_record(surviving: Run) -> None:
    last = surviving.records[-1]
    pnl = " / ".join(signed(last[f"pnl_{part}"]) for part in ("realised", "unrealised", "total"))
    assert surviving.stdout.splitlines()[1:] == [
        "",
        "=== Daily Summary ===",
        f"Daily PnL (realised / unrealised / total): {pnl}",
        "Kill switch: false",
        f"Risk regime: {last['risk_regime']}",
    ]


def test_a_kill_is_announced_and_is_no_failure(killed: Run) -> None:
    last = killed.records[-1]
    pnl = " / ".join(signed(last[f"pnl_{part}"]) for part in ("realised", "unrealised", "total"))
    assert killed.returncode == 0
    assert killed.stdout.splitlines()[1:] == [
        f"Kill switch active at tick {last['t']} - stopping simulation early (reason: PnlHardBreach).",
        "",
        "=== Daily Summary ===",
        f"Daily PnL (realised / unrealised / total): {pnl}",
        "Kill switch: true",
        "Kill reason: PnlHardBreach",
        "Risk regime: HardLimit",
    ]


@pytest.mark.parametrize("flag", ["-v", "-vv", "--verbose"])
def test_verbose_prints_one_line_per_tick(flag: str) -> None:
    done = run("--ticks", 2, flag, INIT_Q_TAO=1000, VOL_REF=1)
    pattern = r"tick {t}: q=\d+\.\d{{4}} Δ=\d+\.\d\d basis=-?\d+\.\d\d pnl=-?\d+\.\d\d regime=Normal kill=false"
    for t, line in enumerate(done.stdout.splitlines()[1:3]):
        assert re.fullmatch(pattern.format(t=t), line)


def test_a_verbose_line_rounds_the_record(folder: Path) -> None:
    done = run("--ticks", 1, "-v", telemetry=folder / "verbose.jsonl", INIT_Q_TAO=-2.5)
    r = done.records[0]
    assert done.stdout.splitlines()[1] == (
        f"tick 0: q={r['q_global_tao']:.4f} Δ={r['dollar_delta_usd']:.2f} basis={r['basis_usd']:.2f}"
        f" pnl={r['pnl_total']:.2f} regime=Normal kill=false"
    )


def test_a_nan_inventory_poisons_the_pnl(folder: Path) -> None:
    done = run("--ticks", 1, telemetry=folder / "nan.jsonl", INIT_Q_TAO="nan")
    assert "Daily PnL (realised / unrealised / total): +0.00 / NaN / NaN\n" in done.stdout
    assert (done.records[0]["pnl_total"], done.records[0]["q_global_tao"]) == (None, None)
    assert done.records[0]["venue_position_tao"] == [None, 0.0, 0.0, 0.0, 0.0]


def test_knobs_are_reported_on_stderr_in_a_fixed_order() -> None:
    done = run(
        "--ticks=0",
        RISK_PROFILE="reckless",
        RISK_LOOP_INTERVAL_MS="0",
        MM_SIZE_ETA=" 5",
        ENABLE_FUNDING_MM="yes",
        DAILY_LOSS_LIMIT="-250.5",
        FUNDING_STALE_MS="1.5",
        HEDGE_BAND="7",
    )
    warning, *rest = done.stderr.splitlines()
    assert "reckless" in warning
    assert rest == [
        "effective_risk_profile=balanced source=default",
        '[config] WARN: could not parse PARAPHINA_MM_SIZE_ETA = " 5" as f64; using default 0.1',
        "[config] PARAPHINA_DAILY_LOSS_LIMIT = 250.5 (overrode default)",
        "[config] PARAPHINA_RISK_LOOP_INTERVAL_MS = 1 (overrode default)",
        "[config] PARAPHINA_ENABLE_FUNDING_MM = false (overrode default)",
        '[config] WARN: could not parse PARAPHINA_FUNDING_STALE_MS = "1.5" as i64; using default 600000',
    ]


@pytest.mark.parametrize(
    ("flags", "env", "profile", "source"),
    [
        ([], "", "balanced", "default"),
        ([], " Cons ", "conservative", "env"),
        ([], "loose", "aggressive", "env"),
        (["--profile", "aggressive"], "conservative", "aggressive", "cli"),
    ],
)
def test_the_flag_beats_the_environment(flags: list[str], env: str, profile: str, source: str) -> None:
    done = run("--ticks", 0, *flags, RISK_PROFILE=env)
    assert done.stderr == f"effective_risk_profile={profile} source={source}\n"
    assert f"| profile={profile.capitalize()} |" in done.stdout


@pytest.mark.parametrize(
    "flags",
    [
        ["--ticks", "-5"],
        ["--ticks=-5"],
        ["--ticks", "1.5"],
        ["--ticks", "1", "--ticks", "1"],
        ["--seed", str(2**64)],
        ["--profile", "Balanced"],
        ["--initial-q-tao", "40"],
        ["--tick", "5"],
        ["positional"],
    ],
)
def test_wrong_usage_exits_2_and_keeps_stdout_empty(flags: list[str]) -> None:
    done = run(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage:" in done.stderr


def test_help_and_version_go_to_stdout() -> None:
    version, usage = run("--version"), run("-h")
    assert (version.returncode, version.stderr) == (0, "")
    assert re.fullmatch(r"paraphina \S*reference\S*\n", version.stdout)
    assert usage.returncode == 0 and "--profile" in usage.stdout


def test_a_closed_pipe_ends_the_run_with_101() -> None:
    with subprocess.Popen(
        [*COMMAND, "-v"], cwd=ROOT, env=knobs(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as engine:
        assert engine.stdout and engine.stderr
        engine.stdout.readline()
        engine.stdout.close()
        assert b"Traceback" not in engine.stderr.read()
    assert engine.returncode == 101


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_ends_the_run_at_once_and_quietly() -> None:
    with subprocess.Popen(
        [*COMMAND, "--ticks", "100000000"], cwd=ROOT, env=knobs(MM_SIZE_ETA="inf"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as engine:  # fmt: skip
        assert engine.stdout and engine.stderr
        assert engine.stdout.readline().startswith(b"paraphina | ")
        engine.send_signal(signal.SIGINT)
        assert b"Traceback" not in engine.stderr.read()
    assert engine.returncode == -signal.SIGINT


# --- seed and config hash


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(surviving: Run, folder: Path) -> None:
    # Every process has its own hash randomisation. The seeds 7 and 10007 share the clock, not the market.
    again = run("--ticks", 600, "--seed", 10007, telemetry=folder / "again.jsonl")
    other = run("--ticks", 600, "--seed", 7, telemetry=folder / "other.jsonl")
    assert again.lines == surviving.lines
    assert other.records[0]["kf_last_update_ms"] == surviving.records[0]["kf_last_update_ms"] == 7
    assert other.records[0]["venue_mid_usd"] != surviving.records[0]["venue_mid_usd"]


def test_no_seed_is_seed_0(folder: Path) -> None:
    unseeded = run("--ticks", 40, telemetry=folder / "unseeded.jsonl")
    assert unseeded.lines == run("--ticks", 40, "--seed", 0, telemetry=folder / "zero.jsonl").lines


def test_the_config_hash_follows_profile_and_knobs_alone() -> None:
    def config_hash(*flags: object, **values: Any) -> str:
        found = re.search(r"cfg_hash=(\S+)", run("--ticks", 0, *flags, **values).stdout)
        assert found
        return found[1]

    default = config_hash()
    assert default == config_hash("--seed", 5, TRADE_MODE="paper", MM_SIZE_ETA=0.1, RL_TELEMETRY_BRIDGE=1)
    assert len({default, config_hash("--profile", "aggressive"), config_hash(MM_SIZE_ETA=0.2)}) == 3


# --- the telemetry record


def test_a_record_has_the_66_keys_and_a_kill_record_one_more(surviving: Run, killed: Run) -> None:
    assert len(BASE_KEYS) == 66
    assert all(list(record) == BASE_KEYS for record in surviving.records)
    assert list(killed.records[-1]) == sorted([*BASE_KEYS, "kill_event"])


@pytest.mark.parametrize("field", NESTED_KEYS)
def test_nested_entries_have_their_keys(surviving: Run, field: str) -> None:
    entries = [entry for record in surviving.records for entry in record[field]]
    assert entries
    for entry in entries:
        assert [key for key in entry if key != "reason"] == NESTED_KEYS[field].split()


def test_lines_are_compact_json_with_sorted_keys(surviving: Run, killed: Run) -> None:
    for line in surviving.lines[::50] + killed.lines[-1:]:
        assert line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"))


def test_numbers_keep_their_declared_type(surviving: Run) -> None:
    integers = {"healthy_venues_used_count", "kf_last_update_ms", "schema_version", "t", "would_send_orders_count"}
    whole_venues = {"venue_age_event_ms", "venue_age_ms"}
    for record in surviving.records:
        for key, value in record.items():
            if isinstance(value, list) and key.startswith("venue_") and key not in whole_venues:
                assert {type(item) for item in value} <= {float, str, type(None)}, key
            elif isinstance(value, int | float) and not isinstance(value, bool):
                assert isinstance(value, int) == (key in integers), key


def test_the_identities_of_the_telemetry_hold(surviving: Run, killed: Run) -> None:
    for records in (surviving.records, killed.records):
        realised_usd = 0.0
        for t, r in enumerate(records):
            basis = [mid - r["fair_value"] for mid in r["venue_mid_usd"]]
            q = r["venue_position_tao"]
            realised_usd += sum(fill["realised_pnl_usd"] for fill in r["fills"])
            assert r["t"] == t
            assert r["pnl_total"] == r["pnl_realised"] + r["pnl_unrealised"]
            assert r["pnl_realised"] == pytest.approx(realised_usd, abs=1e-6)
            assert r["q_global_tao"] == pytest.approx(sum(q), abs=1e-6)
            assert r["dollar_delta_usd"] == pytest.approx(r["q_global_tao"] * r["fair_value"], abs=1e-6)
            assert r["basis_usd"] == pytest.approx(sum(map(math.prod, zip(q, basis, strict=True))), abs=1e-6)
            gross_usd = sum(abs(tao * usd) for tao, usd in zip(q, basis, strict=True))
            assert r["basis_gross_usd"] == pytest.approx(gross_usd, abs=1e-6)
            assert r["would_send_orders_count"] == len(r["would_send_orders"])
            assert math.exp(r["kf_x_hat"]) == pytest.approx(r["fair_value"])
            assert r["hedge_delta_h_t"] == pytest.approx(sum(hedge["delta_h_v"] for hedge in r["hedges"]))


def test_the_edges_of_an_exit_add_up(surviving: Run) -> None:
    for entry in (entry for record in surviving.records for entry in record["exits"]):
        parts = entry["edge_components"]
        raw = parts["edge_threshold"] + parts["fee_per_tao"] + parts["slippage_buffer"] + parts["vol_buffer"]
        adjusted = raw - parts["basis_term"] - parts["funding_benefit_per_tao"]
        assert entry["edge_raw"] == pytest.approx(raw)
        assert entry["edge_funding_basis_adj"] == pytest.approx(adjusted)
        final = adjusted + parts["frag_penalty"] + parts["basis_risk_penalty"]
        assert entry["edge_final"] == pytest.approx(final)


def test_orders_are_the_intents_and_the_answers(surviving: Run) -> None:
    for record in surviving.records:
        intents = [order for order in record["orders"] if order["status"] == "intent"]
        assert record["would_send_orders"] == intents
        answers = [order["action"] for order in record["orders"] if order["status"] != "intent"]
        asked = [order["action"] for order in intents]
        # A replace is answered by a cancel and a place.
        assert answers.count("place") == asked.count("place") + asked.count("replace")
        assert answers.count("cancel") == asked.count("cancel") + asked.count("replace")


def test_fills_come_on_the_batch_cadence_numbered_without_gaps(surviving: Run) -> None:
    numbers: dict[int, list[int]] = {venue: [] for venue in range(5)}
    for record in surviving.records:
        assert record["t"] % 4 == 0 or not (record["fills"] or record["exits"] or record["hedges"])
        for fill in record["fills"]:
            numbers[fill["venue_index"]].append(fill["fill_seq"])
            assert fill["fill_time_ms"] == record["kf_last_update_ms"]
    assert all(seqs == list(range(len(seqs))) for seqs in numbers.values())
    assert sum(map(len, numbers.values())) > 50


def test_treasury_guidance_counts_ticks(surviving: Run) -> None:
    guidance = surviving.records[60]["treasury_guidance"]
    assert {key: guidance[key] for key in ("as_of_ms", "as_of_tick", "cadence_ticks", "emit", "samples")} == {
        "as_of_ms": 7 + 60 * 250, "as_of_tick": 60, "cadence_ticks": 60, "emit": True, "samples": 61,
    }  # fmt: skip
    held = [abs(record["venue_position_tao"][2]) for record in surviving.records[:61]]
    assert guidance["venues"][2]["avg_abs_position_tao"] == pytest.approx(sum(held) / 61)


def test_the_kill_tick_cancels_everything_and_tells_why(killed: Run) -> None:
    *before, last = killed.records
    assert not any(record["kill_switch"] for record in before)
    assert (last["kill_switch"], last["kill_reason"], last["risk_regime"]) == (True, "PnlHardBreach", "HardLimit")
    assert last["t"] % 12 == 0
    assert {order["action"] for order in last["would_send_orders"]} == {"cancel_all"}
    assert last["fills"] == last["exits"] == last["hedges"] == []
    assert {level["size_final"] for level in last["quote_levels"]} == {0.0}
    assert last["kill_event"] == {
        "basis_b_t": last["basis_usd"],
        "config_version_id": last["config_version_id"],
        "daily_pnl_total": last["pnl_total"],
        "delta_usd_t": last["dollar_delta_usd"],
        "kill_reason": "PnlHardBreach",
        "per_venue_dist_liq_sigma": [10.0] * 5,
        "per_venue_q": last["venue_position_tao"],
        "per_venue_status": ["Healthy"] * 5,
        "risk_regime": "HardLimit",
        "timebase_id": last["t"],
    }


def test_events_fire_on_the_edge_and_the_regime_changes_on_risk_ticks(killed: Run) -> None:
    seen = [(r["t"], event) for r in killed.records for event in r["risk_events"]]
    types = [event["event_type"] for _, event in seen]
    assert types.count("kill_switch_activation") == 1
    breach = next(event for _, event in seen if event["event_type"] == "pnl_hard_breach")
    assert breach["threshold"] == -100.0 and breach["value"] <= -100.0
    transitions = [(t, e["from"], e["to"]) for t, e in seen if e["event_type"] == "risk_regime_transition"]
    regimes = [r["risk_regime"] for r in killed.records]
    changes = [(t, a, b) for t, (a, b) in enumerate(pairwise(regimes), 1) if a != b]
    assert transitions == changes
    assert all(t % 12 == 0 for t, _, _ in changes)


def test_the_bridge_adds_17_fields_to_every_record(folder: Path) -> None:
    records = run("--ticks", 3, telemetry=folder / "bridge.jsonl", RL_TELEMETRY_BRIDGE="true").records
    assert len(BRIDGE_KEYS) == 17
    assert all(list(record) == sorted(BASE_KEYS + BRIDGE_KEYS) for record in records)
    assert [r["episode_step_idx"] for r in records] == [0, 1, 2]
    assert [(r["episode_done"], r["done_reason"]) for r in records[1:]] == [
        (False, "Running"),
        (True, "EndOfEpisode"),
    ]
    assert records[2]["pnl_delta"] == records[2]["pnl_total"] - records[1]["pnl_total"]


# --- knobs move results the way they say


def test_larger_size_eta_means_smaller_quotes(folder: Path) -> None:
    def mean_size_tao(eta: float) -> float:
        records = run("--ticks", 40, telemetry=folder / "eta.jsonl", MM_SIZE_ETA=eta).records
        sizes: list[float] = [level["size_final"] for record in records for level in record["quote_levels"]]
        return sum(sizes) / len(sizes)

    assert mean_size_tao(0.1) > 3.0 * mean_size_tao(1.0) > 0.0


def test_a_wider_band_means_fewer_hedges(surviving: Run, folder: Path) -> None:
    def hedges(done: Run) -> int:
        return sum(len(record["hedges"]) for record in done.records)

    wide = run("--ticks", 600, "--seed", 10007, telemetry=folder / "band.jsonl", HEDGE_BAND_BASE=15)
    assert hedges(wide) < 0.8 * hedges(surviving)


def test_the_hedge_step_bounds_what_a_hedge_trades(surviving: Run, folder: Path) -> None:
    def largest_tao(done: Run) -> float:
        return float(max(abs(record["hedge_delta_h_t"]) for record in done.records))

    small = run("--ticks", 200, "--seed", 10007, telemetry=folder / "step.jsonl", HEDGE_MAX_STEP=0.1)
    assert largest_tao(small) == pytest.approx(0.1) and largest_tao(surviving) > 0.2


def test_initial_inventory_sits_on_the_first_venue_at_250(folder: Path) -> None:
    values: dict[str, Any] = {"INIT_Q_TAO": -30, "HEDGE_MAX_STEP": 0, "FILL_AGG_INTERVAL_MS": 60000}
    records = run("--ticks", 4, telemetry=folder / "init.jsonl", **values).records
    held = [record["venue_position_tao"] for record in records if not record["fills"]]
    assert held[0] == [-30.0, 0.0, 0.0, 0.0, 0.0]
    assert records[0]["pnl_unrealised"] == pytest.approx(-30.0 * (records[0]["fair_value"] - 250.0))


def test_a_larger_reference_volatility_means_a_lower_ratio(surviving: Run, folder: Path) -> None:
    calm = run("--ticks", 100, "--seed", 10007, telemetry=folder / "vol.jsonl", VOL_REF=1)
    assert {record["regime_ratio"] for record in calm.records} == {0.25}
    assert max(record["regime_ratio"] for record in surviving.records) > 1.0


def test_a_tighter_loss_limit_kills_earlier(killed: Run) -> None:
    values: dict[str, Any] = {"INIT_Q_TAO": -40, "HEDGE_MAX_STEP": 0}
    tight = run("--ticks", 2000, "--seed", 1, DAILY_LOSS_LIMIT=10, **values)
    loose = run("--ticks", 2000, "--seed", 1, DAILY_LOSS_LIMIT=100000, **values)
    assert tight.killed_at is not None and killed.killed_at is not None
    assert tight.killed_at <= killed.killed_at
    assert "PnlHardBreach" not in loose.stdout


def test_a_loss_does_not_kill_in_paper_mode(killed: Run, folder: Path) -> None:
    values: dict[str, Any] = {"INIT_Q_TAO": -40, "DAILY_LOSS_LIMIT": 100, "HEDGE_MAX_STEP": 0, "TRADE_MODE": "paper"}
    assert killed.killed_at is not None
    ticks = killed.killed_at + 5
    paper = run("--ticks", ticks, "--seed", 1, telemetry=folder / "paper.jsonl", **values)
    assert len(paper.records) == ticks
    assert (paper.records[-1]["risk_regime"], paper.records[-1]["kill_switch"]) == ("HardLimit", False)


def test_the_loop_intervals_set_the_clocks(folder: Path) -> None:
    values: dict[str, Any] = {"MAIN_LOOP_INTERVAL_MS": 500, "FILL_AGG_INTERVAL_MS": 1500}
    records = run("--ticks", 120, "--seed", 3, telemetry=folder / "clock.jsonl", **values).records
    assert [record["kf_last_update_ms"] for record in records[:3]] == [3, 503, 1003]
    assert {record["t"] % 3 for record in records if record["fills"]} == {0}


# --- the telemetry file


def test_folders_are_made_and_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "t.jsonl"
    assert len(run("--ticks", 3, telemetry=path, TELEMETRY_MODE="JsonL").lines) == 3
    assert len(run("--ticks", 2, telemetry=path).lines) == 2
    assert path.read_bytes().endswith(b"}\n")


def test_append_mode_continues_the_file_and_restarts_t(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    run("--ticks", 2, telemetry=path)
    appended = run("--ticks", 2, telemetry=path, TELEMETRY_APPEND="YES")
    assert [record["t"] for record in appended.records] == [0, 1, 0, 1]


def test_no_ticks_leave_an_older_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("old\n")
    assert run("--ticks", 0, telemetry=path).lines == ["old"]


def test_a_relative_path_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    run("--ticks", 1, telemetry=None, TELEMETRY_MODE="jsonl", TELEMETRY_PATH=os.path.relpath(path, ROOT))
    assert path.stat().st_size > 7000


@pytest.mark.parametrize(("mode", "path"), [("jsonl", ""), ("jsonl", "occupied"), ("csv", "t.jsonl")])
def test_telemetry_that_cannot_be_written_is_off_in_silence(tmp_path: Path, mode: str, path: str) -> None:
    (tmp_path / "occupied").mkdir()
    target = tmp_path / path if path else ""
    done = run("--ticks", 2, TELEMETRY_MODE=mode, TELEMETRY_PATH=target)
    assert (done.returncode, done.stderr) == (0, BALANCED_STDERR)
    assert [entry.name for entry in tmp_path.iterdir()] == ["occupied"]


# --- the runs as a whole


def test_each_profile_has_surviving_and_killed_runs_winners_and_losers() -> None:
    for profile, seeds in {"conservative": (2, 10), "balanced": (2, 7), "aggressive": (2, 7)}.items():
        runs = [run("--profile", profile, "--seed", seed) for seed in seeds]
        assert {done.killed_at is None for done in runs} == {True, False}, profile
        assert {done.pnl_total_usd > 0.0 for done in runs} == {True, False}, profile


def test_2000_ticks_with_telemetry_take_seconds_at_most(folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run("--ticks", 2000, "--seed", 3, telemetry=folder / "speed.jsonl")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, and not of the clock.
    assert after.ru_utime - before.ru_utime < 10.0
    sizes = [len(line) for line in done.lines]
    assert min(sizes) > 7000 and 7500 < sum(sizes) / len(sizes) < 12000 and max(sizes) < 42000
