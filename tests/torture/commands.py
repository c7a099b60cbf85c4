"""What is attacked: the commands that write, each in a ROOT prepared for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from paraphina_wh.ingest.plan import SMALLEST_BATCH_BYTES
from paraphina_wh.telemetry.reader import LIMIT_NAME
from paraphina_wh.warehouse import locate
from tests.outdated import outdate
from tests.records import MC_RUN, line, run_of
from tests.telemetry_maker import sidecar, write
from tests.torture.zygote import PROJECT, Zygote

Prepare = Callable[[Path], object]

TABLE = """\
run_id,duration_sec,returncode,experiment,profile,init_q_tao,repeat,pnl_realised,pnl_unrealised,pnl_total,kill_switch
run_0,0.5,0,exp90,aggressive,-40.0,0,657.08,124.43,781.51,True
run_1,0.25,0,exp90,balanced,0.0,0,57.0,4.5,61.5,False
"""
SUMMARY = """\
initial_q_tao,loss_limit_usd,final_pnl_mean,final_pnl_std,max_drawdown_mean,kill_prob
-40.0,500.0,279.875,11.5,-36.625,0.5
"""
# Room for an ordinary line, in bytes.
SHORT_LINE = 4000
BAD = b'{"t": 3, bad}\n'
ENGINE = """\
#!/bin/sh
if [ "$1" = --version ]; then echo 'engine 1'; exit; fi
cp engine/telemetry.jsonl "$PARAPHINA_TELEMETRY_PATH"
cat engine/stdout.txt
"""


@dataclass(frozen=True)
class Attacked:
    """A command that writes.

    scene: the ROOT it is run in. prepare: what happens there before.
    by_run: its runs are committed one by one; else those of an experiment are there together, or not at all.
    raw: start of the names of files that engines write, which no commit puts in place.
    is_damaged: the scene is not whole before the command: only the end of it can be.
    largest_file: in bytes, when the file system is to take no larger one.
    by_processes: it leaves the work to processes of its own, which have steps of their own.
    """

    name: str
    scene: str
    argv: tuple[str, ...]
    prepare: Prepare = lambda root: None
    by_run: bool = False
    raw: str = "nothing"
    is_damaged: bool = False
    largest_file: Callable[[Path], int] | None = None
    by_processes: bool = False


@dataclass(frozen=True)
class Scene:
    """A ROOT: another one, prepared, and commands that are run in it to their end, with variables of their own."""

    base: str = ""
    prepare: Prepare = lambda root: None
    argvs: Sequence[Sequence[str]] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def telemetry(root: Path, name: str, content: bytes) -> Path:
    """Write a telemetry file where the harness would."""
    return write(root / "runs" / "exp13_auto" / f"{name}.jsonl", content)


def _sources(root: Path) -> None:
    telemetry(root, "balanced_r1", run_of(8))
    telemetry(root, "aggressive_r1", run_of(10))
    telemetry(root, "conservative_r1", run_of(5) + line(t=5, queue_rank=4))
    telemetry(root, "balanced_r2", run_of(3) + BAD + line(t=4))
    write(root / "tables" / "exp90_runs.csv", TABLE)
    write(root / "tables" / "exp90_summary.csv", SUMMARY)
    write(root / "mc" / "mc_runs.jsonl", line(base=MC_RUN) + line(base=MC_RUN, run_index=1) + BAD)
    for number in (1, 2):
        base = root / "two" / f"run{number}"
        write(base.with_suffix(".jsonl"), run_of(6 + number))
        sidecar(base, experiment=f"exp9{number}", label=f"two{number}")


def _long_lines(root: Path) -> None:
    long: dict[str, Any] = {"kill_reason": "x" * 2 * SHORT_LINE}
    telemetry(root, "balanced_r1", run_of(3) + line(t=3, **long) + line(t=4))
    telemetry(root, "balanced_r2", line(t=0, **long) + line(t=1))
    write(root / "mc" / "mc_runs.jsonl", line(base=MC_RUN) + line(base=MC_RUN, run_index=1, **long))


def _large(root: Path) -> None:
    """Write so much that an ingest starts processes for it."""
    for name in ("balanced_r1", "aggressive_r1", "conservative_r1"):
        telemetry(root, name, run_of(3 * SMALLEST_BATCH_BYTES // 4 // len(line())))


def _engine(root: Path) -> None:
    write(root / "engine" / "engine", ENGINE).chmod(0o755)
    tiny = PROJECT / "tests" / "data" / "tiny_run"
    shutil.copy(tiny / "balanced_r1.jsonl", root / "engine" / "telemetry.jsonl")
    shutil.copy(tiny / "balanced_r1.stdout.txt", root / "engine" / "stdout.txt")


def _other_mc_runs(root: Path) -> None:
    write(root / "mc" / "mc_runs.jsonl", line(base=MC_RUN, run_index=7) + BAD)


def _repaired(root: Path) -> None:
    telemetry(root, "balanced_r2", run_of(5))
    write(root / "mc" / "mc_runs.jsonl", b"".join(line(base=MC_RUN, run_index=i) for i in range(3)))


def _foreign_dataset(root: Path) -> None:
    rows = '{"label":"old_%d","profile":"balanced","num_ticks":3,"final_pnl":1.5,"max_drawdown":0.5}\n'
    write(root / "research_dataset_old.jsonl", rows % 1 + "not a run\n" + rows % 2)


def _of_an_older_version(root: Path) -> None:
    """Make a warehouse of a time when tables had other columns."""
    (root / "warehouse" / "FORMAT").write_text("1\nschema 0123456789abcdef\n")


def _long_dataset(root: Path) -> None:
    """Make the dataset larger than any other file that is written."""
    row = '{"label":"old_%d","profile":"balanced","num_ticks":3,"final_pnl":1.5,"max_drawdown":0.5,"notes":"%s"}\n'
    file = root / "research_dataset_v001.jsonl"
    file.write_text(file.read_text() + "".join(row % (i, "x" * 40_000) for i in range(12)))


def _left_behind(root: Path) -> None:
    """Leave what a killed ingest leaves: ticks whose commit never came, and a staging folder."""
    warehouse = root / "warehouse"
    shutil.rmtree(warehouse / "runs" / "experiment=exp91")
    for path in (warehouse / "commits").iterdir():
        if "exp91" in path.read_text():
            path.unlink()
    write(warehouse / "_staging" / "20200101T000000.000000Z-00000000" / "1.parquet", "half a file")


def flip(path: Path, offset: int = 40) -> None:
    """Change one byte of a file in place."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.chmod(0o644)
    path.write_bytes(content)


def _only(folder: Path, pattern: str) -> Path:
    return next(path for path in sorted(folder.glob(pattern)) if path.name != "schema.parquet")


_INGEST = ("ingest", "--jobs", "1")
_SWEEP = ("gc", "--delete", "--older-than", "0s")
_RUN_ENGINE = ("run", "exp13", "--engine", "engine/engine", "--profiles", "balanced", "--ticks", "6", "--jobs", "1")

SCENES: Final[Mapping[str, Scene]] = {
    "sources": Scene(prepare=_sources),
    "engine": Scene(prepare=_engine, argvs=[[*_RUN_ENGINE, "--runs-per-profile", "1"]]),
    "large": Scene(prepare=_large, argvs=[[*_INGEST, "runs/exp13_auto/balanced_r1.jsonl"]]),
    "first": Scene("sources", argvs=[[*_INGEST, "runs/exp13_auto/balanced_r1.jsonl"]]),
    "held": Scene(
        "first",
        argvs=[
            [*_INGEST, "runs/exp13_auto/aggressive_r1.jsonl"],
            ["export", "dataset", "--dataset", "research_dataset_v001.jsonl"],
            [*_INGEST, "--on-error", "quarantine", "runs", "mc", "tables"],
        ],
    ),
    "narrow": Scene(
        prepare=_long_lines,
        argvs=[[*_INGEST, "--on-error", "quarantine", "runs", "mc"]],
        env={LIMIT_NAME: str(SHORT_LINE)},
    ),
    "folded": Scene("held", argvs=[["compact"], [*_INGEST, "two/run1.jsonl"]]),
    "long": Scene("held", _long_dataset, [["ingest", "research_dataset_v001.jsonl"]]),
}

COMMANDS: Final = (
    Attacked(
        "first ingest",
        "sources",
        (*_INGEST, "runs/exp13_auto/balanced_r1.jsonl", "runs/exp13_auto/aggressive_r1.jsonl"),
    ),
    Attacked("second ingest", "first", (*_INGEST, "runs/exp13_auto/aggressive_r1.jsonl")),
    Attacked("ingest by two processes", "large", ("ingest", "--jobs", "2", "runs"), by_run=True, by_processes=True),
    Attacked("ingest of two experiments", "first", (*_INGEST, "two")),
    Attacked("ingest --on-error quarantine", "first", (*_INGEST, "--on-error", "quarantine", "runs/exp13_auto")),
    Attacked(
        "ingest --replace",
        "held",
        (*_INGEST, "--on-error", "quarantine", "--replace", "runs/exp13_auto"),
        lambda root: [telemetry(root, "balanced_r1", run_of(9)), telemetry(root, "balanced_r2", BAD + run_of(2))],
    ),
    Attacked("ingest of a table of runs", "first", (*_INGEST, "tables/exp90_runs.csv")),
    Attacked(
        "ingest --replace of a table of runs",
        "held",
        (*_INGEST, "--replace", "tables/exp90_runs.csv"),
        lambda root: write(root / "tables" / "exp90_runs.csv", TABLE.replace("61.5", "62.5")),
    ),
    Attacked("ingest of a table of summaries", "first", (*_INGEST, "tables/exp90_summary.csv")),
    Attacked(
        "ingest --replace of a table of summaries",
        "held",
        (*_INGEST, "--replace", "tables/exp90_summary.csv"),
        lambda root: write(root / "tables" / "exp90_summary.csv", SUMMARY.replace("11.5", "12.5")),
    ),
    Attacked("ingest of mc_runs.jsonl", "first", (*_INGEST, "--on-error", "quarantine", "mc")),
    Attacked(
        "ingest --replace of mc_runs.jsonl",
        "held",
        (*_INGEST, "--on-error", "quarantine", "--replace", "mc"),
        _other_mc_runs,
    ),
    Attacked("ingest of a dataset", "first", (*_INGEST, "research_dataset_old.jsonl"), _foreign_dataset),
    Attacked("ingest into an older warehouse", "first", (*_INGEST, "two/run1.jsonl"), _of_an_older_version),
    Attacked("forget", "held", ("forget", "--label", "exp13_balanced_r001", "--label", "exp13_balanced_r002")),
    Attacked(
        "run exp13",
        "engine",
        (*_RUN_ENGINE, "--runs-per-profile", "3"),
        by_run=True,
        raw="file runs/exp13_auto/balanced_r",
    ),
    Attacked("export dataset, a new file", "first", ("export", "dataset")),
    Attacked("export dataset, an append", "held", ("export", "dataset")),
    Attacked(
        "export dataset, taken in part",
        "long",
        ("export", "dataset"),
        largest_file=lambda root: (root / "research_dataset_v001.jsonl").stat().st_size + 100,
    ),
    Attacked("dataset seal", "held", ("dataset", "seal", "v001")),
    Attacked(
        "dataset restore",
        "held",
        ("dataset", "restore", "v001"),
        lambda root: write(root / "research_dataset_v001.jsonl", "edited\n"),
    ),
    Attacked("export alignment", "held", ("export", "alignment")),
    Attacked("export all", "held", ("export", "all")),
    Attacked("recompute", "held", ("recompute",), lambda root: outdate(locate(root))),
    Attacked("compact", "held", ("compact",)),
    Attacked("gc --delete", "folded", _SWEEP, _left_behind),
    Attacked("quarantine replay", "held", ("quarantine", "replay", "--all"), _repaired),
    Attacked("quarantine replay of the same files", "narrow", ("quarantine", "replay", "--all"), by_run=True),
    Attacked("quarantine drop", "held", ("quarantine", "drop", "--label", "exp13_balanced_r002")),
    Attacked("drift promote", "held", ("drift", "promote", "queue_rank")),
    Attacked(
        "repair of ticks",
        "held",
        ("repair",),
        lambda root: flip(_only(root / "warehouse" / "telemetry", "profile=balanced/*r001/*.parquet")),
        is_damaged=True,
    ),
    Attacked(
        "repair of a ledger file",
        "held",
        ("repair",),
        lambda root: flip(_only(root / "warehouse" / "runs", "experiment=exp13/*.parquet")),
        is_damaged=True,
    ),
    Attacked(
        "repair of a dataset mirror",
        "held",
        ("repair",),
        lambda root: flip(_only(root / "warehouse" / "datasets", "dataset=research*/*.parquet")),
        is_damaged=True,
    ),
    Attacked(
        "repair of lines put aside",
        "held",
        ("repair",),
        lambda root: shutil.rmtree(root / "warehouse" / "quarantine"),
        is_damaged=True,
    ),
)


def build(zygote: Zygote, scenes: Path, root: Path, name: str) -> None:
    """Make ROOT what a scene says; scenes are kept below a folder, to be copied from then on.

    ROOT stays the same, for its path stands in the files of a warehouse.
    """
    shutil.rmtree(root, ignore_errors=True)
    kept = scenes / name
    if not kept.exists():
        scene = SCENES[name]
        if scene.base:
            build(zygote, scenes, root, scene.base)
        else:
            root.mkdir(parents=True)
        scene.prepare(root)
        for argv in scene.argvs:
            ended = zygote.run(root, *argv, env=dict(scene.env))
            assert ended.code == 0, (name, argv, ended)
        root.rename(kept)
    shutil.copytree(kept, root, symlinks=True)
