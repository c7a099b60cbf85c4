"""What is read from an engine's stdout: metrics and run metadata."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraphina_wh.engine import StdoutSummary, parse_metrics, parse_stdout
from paraphina_wh.engine.capture import Ends

KILLED_RUN = """\
paraphina | cfg=v0.1.6-worldmodel-exp08-presets | cfg_hash=0x5175cca07d758d00 | profile=Balanced | ticks=2000 | seed=115
Kill switch active at tick 36 - stopping simulation early (reason: DeltaHardBreach).

=== Daily Summary ===
Daily PnL (realised / unrealised / total): +1123.66 / +423.94 / +1547.60
Kill switch: true
Kill reason: DeltaHardBreach
Risk regime: HardLimit
"""

QUIET_VERBOSE_RUN = """\
paraphina | cfg=v0.1.6-worldmodel-exp08-presets | cfg_hash=0x2594c0f062f238aa | profile=Aggressive | ticks=2 | seed=none
tick 0: q=0.0000 Δ=0.00 basis=0.00 pnl=0.00 regime=Normal kill=false
tick 1: q=0.2500 Δ=62.56 basis=-0.10 pnl=0.05 regime=Normal kill=false

=== Daily Summary ===
Daily PnL (realised / unrealised / total): +0.00 / -0.00 / +-0.00
Kill switch: false
Risk regime: Normal
"""

SUMMARY_LINE = "Daily PnL (realised / unrealised / total): "


def amounts(text: str) -> tuple[float | bool, ...]:
    metrics = parse_metrics(text)
    return metrics["pnl_realised"], metrics["pnl_unrealised"], metrics["pnl_total"]


def kill(text: str) -> float | bool:
    return parse_metrics(text)["kill_switch"]


def is_nan(values: tuple[float | bool, ...]) -> bool:
    return all(map(math.isnan, values))


def test_metrics_of_a_killed_run_in_contract_order() -> None:
    assert list(parse_metrics(KILLED_RUN).items()) == [
        ("pnl_realised", 1123.66),
        ("pnl_unrealised", 423.94),
        ("pnl_total", 1547.60),
        ("kill_switch", True),
    ]


def test_summary_of_a_killed_run() -> None:
    assert parse_stdout(KILLED_RUN) == StdoutSummary(
        cfg_version="v0.1.6-worldmodel-exp08-presets",
        cfg_hash="0x5175cca07d758d00",
        profile="balanced",
        ticks_requested=2000,
        seed=115,
        kill_tick=36,
        kill_reason="DeltaHardBreach",
        risk_regime="HardLimit",
        pnl_realised=1123.66,
        pnl_unrealised=423.94,
        pnl_total=1547.60,
        kill_switch=True,
        has_summary=True,
        non_finite=False,
    )


def test_summary_of_a_quiet_run_with_tick_lines() -> None:
    assert parse_stdout(QUIET_VERBOSE_RUN) == StdoutSummary(
        cfg_version="v0.1.6-worldmodel-exp08-presets",
        cfg_hash="0x2594c0f062f238aa",
        profile="aggressive",
        ticks_requested=2,
        seed=None,
        kill_tick=None,
        kill_reason=None,
        risk_regime="Normal",
        pnl_realised=0.0,
        pnl_unrealised=0.0,
        pnl_total=0.0,
        kill_switch=False,
        has_summary=True,
        non_finite=False,
    )


def test_a_run_cut_after_the_banner_keeps_its_identity_and_has_no_summary() -> None:
    summary = parse_stdout(KILLED_RUN.splitlines(keepends=True)[0])
    assert (summary.profile, summary.seed, summary.has_summary) == ("balanced", 115, False)
    assert (summary.pnl_total, summary.kill_switch, summary.risk_regime) == (None, None, None)


def test_a_banner_cut_in_the_middle_of_a_field_is_not_believed() -> None:
    cut = "paraphina | cfg=v1 | cfg_hash=0x5175cca07d758d00 | profile=Balanced | ticks=20"
    assert parse_stdout(cut).ticks_requested is None
    assert parse_stdout(cut + "\n").ticks_requested == 20


def test_a_banner_with_a_further_field_still_counts() -> None:
    banner = "paraphina | cfg=v1 | git=abc | cfg_hash=0x51 | profile=Balanced | ticks=5 | seed=7\n"
    summary = parse_stdout(banner)
    assert (summary.cfg_version, summary.ticks_requested, summary.seed) == ("v1", 5, 7)
    assert summary.cfg_hash is None  # not sixteen digits


def test_empty_text_has_no_amounts_and_no_kill() -> None:
    assert is_nan(amounts(""))
    assert kill("") is False
    assert not parse_stdout("").has_summary


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ("+123.45 / -67.89 / +55.56", (123.45, -67.89, 55.56)),
        ("123.45 / 67.89 / 191.34", (123.45, 67.89, 191.34)),
        ("1/2/3", (1.0, 2.0, 3.0)),
        ("\n1\n/\n2\n/\n3\n", (1.0, 2.0, 3.0)),
        ("+1085.50 / +260.96 / +1346.45", (1085.50, 260.96, 1346.45)),
        ("+0.00 / -0.00 / +-0.00", (0.0, 0.0, 0.0)),
        ("+-0.00 / +-0.00 / +1.00", (0.0, 0.0, 1.0)),
    ],
)
def test_three_amounts(numbers: str, expected: tuple[float, ...]) -> None:
    assert amounts(SUMMARY_LINE + numbers) == expected


@pytest.mark.parametrize(
    "numbers",
    [
        "+1.00 / +2.00 / +1,234.50",
        "+1.00 / +2.00 / +1e5",
        "+1.00 / +2.00 / 3.",
        "+1.00 / +2.00 / 3usd",
        "1,000.00 / +2.00 / +3.00",
        "+-1.00 / +2.00 / +3.00",
        "+1.00 / +2.00 /",
        "+1.00 / +2.00",
        "",
    ],
)
def test_a_line_with_anything_but_three_whole_numbers_gives_none_of_them(numbers: str) -> None:
    assert is_nan(amounts(SUMMARY_LINE + numbers))
    assert not parse_stdout(SUMMARY_LINE + numbers).has_summary


@pytest.mark.parametrize("numbers", ["NaN / +2.00 / NaN", "+inf / +1.00 / +inf", "+1.00 / -inf / -inf"])
def test_a_non_finite_amount_loses_all_three_and_is_reported(numbers: str) -> None:
    summary = parse_stdout(SUMMARY_LINE + numbers)
    assert is_nan(amounts(SUMMARY_LINE + numbers))
    assert (summary.has_summary, summary.non_finite, summary.pnl_realised) == (True, True, None)


@pytest.mark.parametrize(
    "words",
    [
        "DAILY PNL (REALISED / UNREALISED / TOTAL):",
        "Daily PnL (realised/unrealised/total):",
        "Daily PnL (realised\n/  unrealised\t/ total):",
        "INFO Daily PnL (realised / unrealised / total):",
    ],
)
def test_accepted_wordings_of_the_pnl_line(words: str) -> None:
    assert amounts(f"{words} +1.00 / +2.00 / +3.00\n") == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    "words",
    [
        "Daily  PnL (realised / unrealised / total):",
        "Daily PnL(realised / unrealised / total):",
        "Daily PnL (realised / unrealised / total)",
        "Daily PnL (realized / unrealized / total):",
    ],
)
def test_refused_wordings_of_the_pnl_line(words: str) -> None:
    assert is_nan(amounts(f"{words} +1.00 / +2.00 / +3.00\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kill switch: true", True),
        ("Kill switch: false", False),
        ("Kill switch active: true", True),
        ("killswitch=FALSE", False),
        ("KILL SWITCH = TRUE", True),
        ("Kill\nswitch\nactive\n:\ntrue", True),
        ("Kill switch: true.", True),
        ("Kill switch: truely", False),
        ("Kill switch true", False),
        ("Kill switch: yes", False),
        ("tick 3: q=0.0000 regime=HardLimit kill=true", False),
        ("Kill switch active at tick 36 - stopping simulation early (reason: DeltaHardBreach).", False),
    ],
)
def test_kill_line(text: str, expected: bool) -> None:
    assert kill(text) is expected


def test_the_last_pnl_line_and_the_last_kill_line_win_each_on_its_own() -> None:
    text = (
        "Kill switch active: true\n"
        f"{SUMMARY_LINE}+1.00 / +2.00 / +3.00\n"
        "Kill switch: false\n"
        f"{SUMMARY_LINE}+4.00 / +5.00 / +9.00\n"
        f"{SUMMARY_LINE}+6.00 / broken\n"
    )
    assert amounts(text) == (4.0, 5.0, 9.0)
    assert kill(text) is False


def test_lines_may_end_in_cr_lf() -> None:
    assert parse_stdout(KILLED_RUN.replace("\n", "\r\n")) == parse_stdout(KILLED_RUN)


CENTS = st.integers(min_value=-(10**12), max_value=10**12)


@given(CENTS, CENTS, CENTS, st.booleans())
def test_whatever_the_engine_prints_is_read_back(a: int, b: int, c: int, killed: bool) -> None:
    realised, unrealised, total = a / 100, b / 100, c / 100
    text = f"{SUMMARY_LINE}{realised:+.2f} / {unrealised:+.2f} / {total:+.2f}\nKill switch: {str(killed).lower()}\n"
    assert amounts(text) == (realised, unrealised, total)
    assert kill(text) is killed


@given(st.text())
def test_any_text_at_all_is_read_without_an_error(text: str) -> None:
    assert set(parse_metrics(text)) == {"pnl_realised", "pnl_unrealised", "pnl_total", "kill_switch"}


@pytest.mark.parametrize(
    "hostile",
    [
        " " * 1_000_000,
        "1" * 1_000_000,
        "Kill switch" + " " * 1_000_000,
        "Kill " * 200_000,
        "Daily PnL (realised" + " " * 1_000_000,
        SUMMARY_LINE + "/".join(["1" * 300_000] * 3) + "x",
        SUMMARY_LINE + "1" + " " * 1_000_000 + "2",
        SUMMARY_LINE * 20_000,
        "paraphina |" + "|" * 1_000_000 + "\n",
    ],
    ids=lambda text: text[:20].strip() or "spaces",
)
def test_a_megabyte_of_hostile_text_costs_linear_time(hostile: str) -> None:
    start = time.process_time()
    assert not parse_stdout(hostile).has_summary
    assert time.process_time() - start < 60.0  # quadratic time would be hours


# What stands between the engine and the parser: terminals, other systems, other locales.

COLOURED = SUMMARY_LINE + "\x1b[32m+5.70\x1b[0m / \x1b[1;31m-1.20\x1b[m / \x1b[38;5;40m+4.50\x1b[0m\x1b[K\r\n"


def test_colours_are_taken_out_before_reading() -> None:
    found = parse_stdout(COLOURED + "\x1b]0;title\x07\x1b[1mKill switch: \x1b[31mtrue\x1b[0m\r\n")
    assert (found.pnl_realised, found.pnl_unrealised, found.pnl_total, found.kill_switch) == (5.7, -1.2, 4.5, True)
    assert (found.coloured, found.unreadable) == (True, None)
    assert amounts(COLOURED) == (5.7, -1.2, 4.5)


def test_a_line_may_start_behind_a_carriage_return() -> None:
    """Progress is written over and over on one line."""
    found = parse_stdout("\r 10%\r 50%\r100%\r" + KILLED_RUN.replace("\n", "\r"))
    assert found == parse_stdout(KILLED_RUN)
    assert found == parse_stdout(KILLED_RUN.replace("\n", "\r\n"))


@pytest.mark.parametrize(
    "numbers",
    [
        "+1,234.50 / -0.00 / +1,234.50",
        "1 234,50 / 0,00 / 1 234,50",
        "1\u202f234,50 / 0,00 / 1\u202f234,50",
        "1.234,50 / 0,00 / 1.234,50",
        "1'234.50 / 0.00 / 1'234.50",
        "+1.2345e3 / +0.0 / +1.2345e3",
        "$1234.50 / $0.00 / $1234.50",
        "+1234.50 / +0.0",
        "",
    ],
)
def test_numbers_that_are_not_plain_are_no_numbers_and_the_line_is_named(numbers: str) -> None:
    found = parse_stdout(f"{SUMMARY_LINE}{numbers}\nKill switch: false\n")
    assert (found.has_summary, found.pnl_total, found.kill_switch) == (False, None, False)
    assert found.unreadable == (SUMMARY_LINE + numbers).strip()
    assert is_nan(amounts(f"{SUMMARY_LINE}{numbers}\n"))


def test_an_unreadable_line_behind_a_readable_one_is_named() -> None:
    """The last that matches counts, says the contract; whoever reads on is told that it may not be the last."""
    good = SUMMARY_LINE + "1 / 2 / 3\n"
    assert parse_stdout(good + SUMMARY_LINE + "1,0 / 2 / 3\n").unreadable == SUMMARY_LINE + "1,0 / 2 / 3"
    assert parse_stdout(SUMMARY_LINE + "1,0 / 2 / 3\n" + good).unreadable is None
    assert parse_stdout("Daily PnL (realized / unrealized / total): 1 / 2 / 3").unreadable is not None
    assert parse_stdout("the Daily PnL limit holds\n" + KILLED_RUN).unreadable is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_an_engine_said_is_text_in_the_encodings_of_shells(encoding: str) -> None:
    ends = Ends()
    ends.feed(KILLED_RUN.encode(encoding))
    assert ends.text() == KILLED_RUN


def test_the_ends_of_a_long_log_in_utf_16_are_text_too() -> None:
    ends = Ends()
    ends.feed((KILLED_RUN + "x\n" * 1_000_000 + KILLED_RUN).encode("utf-16"))
    assert "bytes left out]" in ends.text()
    assert parse_stdout(ends.text()) == parse_stdout(KILLED_RUN)


def test_escapes_without_end_cost_linear_time() -> None:
    began = time.process_time()
    for piece in ("\x1b]", "\x1b[", "\x1b[0;", "\x1b ", "\x1b"):
        parse_stdout(piece * 400_000)
    assert time.process_time() - began < 60
