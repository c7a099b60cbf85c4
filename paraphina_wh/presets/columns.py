"""The columns that the analysis steps read and write."""

from __future__ import annotations

from typing import Final

from paraphina_wh.candidates import INITIAL_Q_TAO, KNOBS, LOSS_LIMIT_USD, SUMMARY, Candidates

KEYS: Final[Candidates] = {"initial_q_tao": INITIAL_Q_TAO, "loss_limit_usd": LOSS_LIMIT_USD}
# Source: the artefact contract, exp10.
VALIDATION: Final[Candidates] = {
    "profile": ("profile", "risk_tier", "tier"),
    "final_pnl_mean": ("final_pnl_mean", "pnl_mean", "mean_pnl"),
    "max_drawdown_mean": ("max_drawdown_mean", "drawdown_mean", "dd_mean"),
    "kill_prob": ("kill_prob", "kill_probability", "p_kill"),
}

SOURCE: Final = (*KEYS, *SUMMARY)
PRESET_NUMBERS: Final = (*KEYS, *KNOBS, *SUMMARY)
PRESET: Final = ("name", "risk_tier", "rank_within_tier", *PRESET_NUMBERS)

# Knob of the engine -> column of a preset. The delta limit has no knob.
ENGINE_KNOBS: Final = {
    "PARAPHINA_INIT_Q_TAO": "initial_q_tao",
    "PARAPHINA_DAILY_LOSS_LIMIT": "loss_limit_usd",
    "PARAPHINA_HEDGE_BAND_BASE": "hedge_band_base",
    "PARAPHINA_MM_SIZE_ETA": "size_eta",
    "PARAPHINA_VOL_REF": "vol_ref",
}
