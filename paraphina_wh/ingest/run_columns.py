"""The columns of a per-run CSV: under which names they go, what they must hold, and what is no label.

Source: the artefact contract, sections on exp02 to exp08 and on the columns exp07 accepts.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paraphina_wh.candidates import INITIAL_Q_TAO, KNOBS, LOSS_LIMIT_USD, PER_RUN, PROFILE
from paraphina_wh.ingest.rows import KNOB_COLUMNS

Names = Mapping[str, Sequence[str]]

_KNOBS: Final[Names] = {
    "init_q_tao": INITIAL_Q_TAO,
    "band_base": KNOBS["hedge_band_base"],
    "hedge_max_step": ("hedge_max_step",),
    "mm_size_eta": KNOBS["size_eta"],
    # Scenarios name the centre and what they set instead.
    "vol_ref": (*KNOBS["vol_ref"], "vol_ref_override", "vol_ref_centre"),
    "daily_loss_limit": LOSS_LIMIT_USD,
}
_STDOUT: Final[Names] = {name: (name,) for name in ("pnl_realised", "pnl_unrealised", "pnl_total")}
_PATH: Final[Names] = {
    "final_pnl": ("pnl_total_end", *(name for name in PER_RUN["final_pnl"] if name != "pnl_total")),
    "max_pnl": ("max_pnl",),
    "min_pnl": ("min_pnl",),
    "max_drawdown": PER_RUN["max_drawdown"],
    "frac_normal": ("regime_frac_normal", "frac_normal"),
    "frac_warning": ("regime_frac_warning", "frac_warning"),
    "frac_hard": ("regime_frac_hard", "frac_hard"),
    "dollar_delta_usd": ("dollar_delta_usd",),
    "basis_exposure_usd": ("basis_exposure_usd",),
}
_PATH_INTEGERS: Final[Names] = {
    "num_ticks": ("num_ticks",),
    "max_drawdown_time": ("max_drawdown_time",),
    "kill_tick": ("time_to_kill", "kill_tick"),
}
_FLAGS: Final[Names] = {"kill": PER_RUN["kill"], "timeout": ("timeout",)}
_INTEGERS: Final[Names] = {
    "returncode": ("returncode",),
    "repeat": ("repeat", "run_idx", "run_index"),
    "ticks": ("ticks",),
    **_PATH_INTEGERS,
}
_NUMBERS: Final[Names] = {**_KNOBS, **_STDOUT, **_PATH, "duration_sec": ("duration_sec",)}
_TEXTS: Final[Names] = {
    "profile": PROFILE,
    "experiment": ("experiment",),
    "run_name": ("run_id",),
    "error": ("metrics_parse_error", "ts_error"),
    "kill_reason": ("kill_reason",),
    "risk_regime": ("risk_regime", "final_regime"),
    "telemetry_path": ("telemetry_path",),
}
COLUMNS: Final[Names] = {**_TEXTS, **_NUMBERS, **_INTEGERS, **_FLAGS, "seed": ("seed",)}
KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_NUMBERS, "number"),
    **dict.fromkeys(_INTEGERS, "integer"),
    **dict.fromkeys(_FLAGS, "flag"),
    "seed": "seed",
}
# What came of a run: its content. The rest of the columns says which run it was, but for what concerns the execution.
_RESULTS: Final = ("error", "kill_reason", "risk_regime", *_STDOUT, *_PATH, *_PATH_INTEGERS, *_FLAGS, "returncode")
_RESULT_NAMES: Final = frozenset(name for column in _RESULTS for name in COLUMNS[column])
_EXECUTION_NAMES: Final = frozenset(
    {"run_id", "duration_sec", "telemetry_path", "stdout", "stderr", "stdout_truncated", "stderr_truncated"}
)
_REPEAT_NAMES: Final = COLUMNS["repeat"]
# Two of them may stand in one table, and say different things.
_APART: Final = ("vol_ref_override", "vol_ref_centre")
# Name of a column that says which run it was -> its name here, so that labels of unlike tables can be compared.
CALLED: Final = {
    name: column for column in (*_KNOBS, "profile", "repeat") for name in COLUMNS[column] if name not in _APART
}
# What data frames call the column that counted their rows.
_INDEX_NAMES: Final = ("index", "level_0")


def places_of(header: Sequence[str], columns: Names = COLUMNS) -> dict[str, int]:
    """Return column -> where its best name stands in a header of lower-case names, from 1; 0 when it is missing."""
    return {
        column: next((header.index(name) + 1 for name in names if name in header), 0)
        for column, names in columns.items()
    }


@dataclass(frozen=True)
class LabelPlaces:
    """Name of a column -> its place: what says which run it was, which repeat of it, and what came of it.

    Behind the columns of the table stand its profile, its experiment and the number of its row among equal settings.
    """

    settings: dict[str, int]
    repeat: dict[str, int]
    results: dict[str, int]


def label_places(header: Sequence[str], left_out: Container[int] = ()) -> LabelPlaces:
    """Return which columns of a table make the label of a run and which its content.

    header: names in lower case. left_out: places of columns that say nothing.
    """
    columns = {name: place for place, name in enumerate(header, 1) if name and place not in left_out}
    results = {name: place for name, place in columns.items() if name in _RESULT_NAMES}
    places = places_of(header)
    named_anew = (places["profile"], places["experiment"])
    others = {
        name: place
        for name, place in columns.items()
        if name not in _RESULT_NAMES | _EXECUTION_NAMES and place not in named_anew
    }
    repeat = {name: place for name, place in others.items() if name in _REPEAT_NAMES}
    settings = {name: place for name, place in others.items() if name not in repeat}
    after = len(header) + 1
    return LabelPlaces(settings | {"profile": after, "experiment": after + 1}, repeat or {"repeat": after + 2}, results)


def index_places(header: Sequence[str]) -> list[int]:
    """Return the places of columns that may be no more than the numbers of the rows of a data frame."""
    return [place for place, name in enumerate(header, 1) if name in _INDEX_NAMES]


def kinds_of(header: Sequence[str]) -> list[str | None]:
    """Return what the cells of each column must hold, None for any."""
    by_place = {place: KINDS[column] for column, place in places_of(header).items() if column in KINDS}
    return [by_place.get(place) for place in range(1, len(header) + 1)]


def has_stdout(places: Mapping[str, int]) -> bool:
    """Tell whether a table holds what engines say on stdout."""
    return any(places[column] for column in _STDOUT)


def has_path(places: Mapping[str, int]) -> bool:
    """Tell whether a table holds what only telemetry tells."""
    return any(places[column] for column in (*_PATH, *_PATH_INTEGERS))


def knob_places(places: Mapping[str, int]) -> dict[str, int]:
    """Return environment variable of a knob -> place."""
    return {variable: places[column] for column, variable in KNOB_COLUMNS.items()}
