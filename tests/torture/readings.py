"""Two readings of a view: with one thread and with many, before and after `compact`, in another order of the files."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import duckdb

from paraphina_wh.catalog import connect, view_names
from paraphina_wh.datasets import mirror_dataset
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.text import csv_bytes
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import MC_RUN, line
from tests.telemetry_maker import write
from tests.torture.figures import Figure

MOST_THREADS: Final = 8
_BATCH: Final = 7
TIERS: Final = ("conservative", "balanced", "aggressive")
EXPERIMENTS: Final = ("exp13", "exp04_risk_regime", "exp04_multi_scenario", "exp08_profile_validation")
# What does not name runs or lines one by one, and says nothing of the time of the ingest.
SUMMARIES: Final = (
    *("experiment_summary", "scenario_summary", "validation_summary", "preset_source", "presets", "tier_presets"),
    *("research_summary", "evidence", "alignment", "tuned_presets", "tuning_report"),
    *("safe_region_cells", "safe_region", "world_model_alignment", "latest_sweeps", "condensed_ticks"),
)
TABLE: Final = "profile,initial_q_tao,final_pnl_mean\nbalanced,{},1.5\nbalanced,{},2.5\n"


def attack(seed: int, repeats: int = 100, runs: int = 100) -> Iterator[Figure]:
    """Read every view again and again with 8 to 1 threads, and so after `compact`; then fill a warehouse anew."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "source")
        made = make_source(source, chance, runs)
        warehouse = fill(Path(name, "one"), source, made)
        first = read(warehouse, 1)
        before = _equal(warehouse, first, repeats)
        compact(warehouse)
        after = _equal(warehouse, first, repeats)
        what = f"every view of {runs} runs read again, 1 to {MOST_THREADS} threads"
        yield Figure(what, repeats * len(first), before, "readings", seed)
        yield Figure(f"{what}, after `compact`", repeats * len(first), after, "readings", seed)
        shuffled = chance.sample(made, len(made))
        other = read(fill(Path(name, "other"), source, shuffled), MOST_THREADS)
        same = sum(first[view] == other[view] for view in SUMMARIES)
        yield Figure("summaries of the same files, taken in in another order", len(SUMMARIES), same, "views", seed)


def make_source(folder: Path, chance: random.Random, runs: int) -> list[Path]:
    """Write telemetry with sidecars, and return the files; metrics of all magnitudes, ties and negative zeros."""
    return [_run(folder, chance, number) for number in range(runs)]


def _run(folder: Path, chance: random.Random, number: int) -> Path:
    experiment, tier = EXPERIMENTS[number % len(EXPERIMENTS)], TIERS[number // 4 % 3]
    telemetry = folder / experiment / f"{tier}_r{number}.jsonl"
    pnl, lines = 0.0, []
    for t in range(chance.randint(2, 12)):
        pnl = chance.choice((pnl, -0.0, pnl + chance.gauss(0, 10 ** chance.randint(-2, 5))))
        fills = [{"purpose": "Mm", "size": chance.random(), "price": 250.0, "fee_bps": chance.gauss(1, 3)}] * (t % 3)
        lines.append(
            line(t=t, pnl_total=pnl, pnl_realised=pnl, pnl_unrealised=0.0, fills=fills, sigma_eff=chance.random())
        )
    write(telemetry, b"".join(lines))
    inventory = chance.choice(("0", "-0", "20"))
    told = {
        "experiment": experiment, "run_name": f"run_{number}", "plan_key": f"p{number}", "sweep_id": "s",
        "profile": tier, "label": f"run{number}", "labels": {"scenario": chance.choice("ab")}, "repeat": number,
        "knobs": {"PARAPHINA_INIT_Q_TAO": inventory, "PARAPHINA_DAILY_LOSS_LIMIT": "500"},
        # Runs that start together: the latest is to be the same one all the same.
        "started_at": f"2026-11-01T0{number % 2}:00:00+00:00", "status": "ok",
    }  # fmt: skip
    write(telemetry.with_suffix(".run.json"), json.dumps(told))
    return telemetry


def fill(root: Path, source: Path, telemetry: Sequence[Path]) -> Warehouse:
    """Take files in below a new ROOT, in their order and some at a time, and files of the other kinds."""
    root.mkdir()
    warehouse = locate(root)
    for start in range(0, len(telemetry), _BATCH):
        some = telemetry[start : start + _BATCH]
        assert ingest_paths(warehouse, some, Options(), jobs=1).complete
    lines = [_dataset_line(random.Random(file.name), file) for file in telemetry]
    mirror_dataset(warehouse, write(root / "research_dataset_v001.jsonl", "".join(f"{each}\n" for each in lines)))
    for n in range(3):
        mc_runs = b"".join(line(base=MC_RUN, run_index=i, pnl_total=n + 0.5) for i in range(20))
        ingest_paths(warehouse, [write(root / f"mc{n}" / "mc_runs.jsonl", mc_runs)], Options(), jobs=1)
        ingest_paths(warehouse, [write(root / f"exp07_{n}_summary.csv", TABLE.format(n, n))], Options(), jobs=1)
    return warehouse


def _dataset_line(chance: random.Random, file: Path) -> str:
    row: dict[str, Any] = {
        "label": file.stem, "profile": file.stem.partition("_")[0], "num_ticks": 10, "run_id": file.stem,
        "final_pnl": chance.choice((0.0, -0.0, chance.gauss(0, 10 ** chance.randint(0, 6)))),
        "max_pnl": 1e6, "min_pnl": chance.choice((0.0, -0.0)), "max_drawdown": chance.gauss(0, 1000),
        "kill_prob": chance.random() / 100, "evidence_id": file.stem,
    }  # fmt: skip
    return json.dumps(row)


def read(warehouse: Warehouse, threads: int) -> dict[str, str]:
    """Return view -> digest of its rows, as they come, in the text form of every artefact."""
    with connect(warehouse, threads=threads) as connection:
        return {view: _digest(connection, view) for view in view_names()}


def _digest(connection: duckdb.DuckDBPyConnection, view: str) -> str:
    return hashlib.sha256(csv_bytes(connection.sql(f"SELECT * FROM {view}").pl())).hexdigest()


def _equal(warehouse: Warehouse, first: dict[str, str], repeats: int) -> int:
    """Return how many readings are equal to the first ones."""
    equal = 0
    for threads, _ in zip(cycle(range(MOST_THREADS, 0, -1)), range(repeats), strict=False):
        again = read(warehouse, threads)
        equal += sum(again[view] == digest for view, digest in first.items())
    return equal
