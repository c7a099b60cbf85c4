"""The names under which a column may stand in a CSV of runs or of their summary, best first, lower case.

The original names come first, so that old files resolve as before; those that the working experiments write follow.
Source: the artefact contract, exp07.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

Candidates = Mapping[str, Sequence[str]]

# What a run was started with.
PROFILE: Final = ("profile", "risk_profile", "tier")
INITIAL_Q_TAO: Final = ("initial_q_tao", "initial_q", "q0", "q_tao_start", "init_q_tao")
LOSS_LIMIT_USD: Final = ("loss_limit_usd", "loss_limit", "loss_limit_dollars", "daily_loss_limit")
KNOBS: Final[Candidates] = {
    "hedge_band_base": ("hedge_band_base", "hedge_band", "band_base"),
    "size_eta": ("size_eta", "eta", "mm_size_eta"),
    "vol_ref": ("vol_ref", "sigma_ref", "volatility_ref"),
    "delta_limit_usd_base": ("delta_limit_usd_base", "delta_limit_usd", "delta_limit"),
}

# What came of one run.
PER_RUN: Final[Candidates] = {
    "final_pnl": ("final_pnl", "pnl_final", "final_pnl_quote", "pnl", "pnl_total"),
    "max_drawdown": ("max_drawdown", "max_drawdown_quote", "drawdown_max"),
    "kill": ("killed", "kill_flag", "hit_loss_limit", "stopped_out", "kill", "kill_switch"),
}

# What came of several runs of one setting.
SUMMARY: Final[Candidates] = {
    "final_pnl_mean": ("final_pnl_mean", "pnl_mean", "mean_pnl", "pnl_total_mean"),
    "final_pnl_std": ("final_pnl_std", "pnl_std", "std_pnl", "pnl_total_std"),
    "max_drawdown_mean": ("max_drawdown_mean", "dd_mean", "drawdown_mean"),
    "kill_prob": ("kill_prob", "kill_probability", "p_kill", "kill_switch_frac"),
}


def place_of(candidates: Sequence[str], header: Sequence[str]) -> int | None:
    """Return where in a header the best candidate stands, None when none does; case does not count."""
    names = [name.strip().lower() for name in header]
    return next((names.index(name) for name in candidates if name in names), None)


def is_summary(header: Sequence[str]) -> bool:
    """Tell whether a table holds means instead of runs: a mean PnL, and no PnL of a run."""
    mean, run = SUMMARY["final_pnl_mean"], PER_RUN["final_pnl"]
    return place_of(mean, header) is not None and place_of(run, header) is None


def is_per_run(header: Sequence[str]) -> bool:
    """Tell whether a table holds a PnL for each run."""
    return place_of(PER_RUN["final_pnl"], header) is not None
