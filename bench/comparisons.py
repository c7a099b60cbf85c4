"""The comparisons, and the bar that each has to meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import contenders
from bench.data import Data, Scale, size_of
from bench.measure import Sample, module, ratio, rounds, run, spread


@dataclass(frozen=True)
class Row:
    """One line of the table: what, its measure with spread, the bar, whether it was met (None: no bar)."""

    what: str
    measured: str
    bar: str
    met: bool | None


def large(data: Data, scale: Scale) -> list[Row]:
    """Compare the whole ingest of the large file with DuckDB's COPY."""
    found = rounds(
        {
            "ingest": partial(contenders.ingest, data.large),
            "declared": partial(contenders.raw_copy, data, "declared"),
            "plain": partial(contenders.raw_copy, data, "plain"),
            "inferred": partial(contenders.raw_copy, data, "inferred"),
        },
        scale.rounds,
    )
    seconds = {name: [sample.inner for sample in samples] for name, samples in found.items()}
    times, faster = ratio(seconds["ingest"], seconds["declared"]), ratio(seconds["inferred"], seconds["ingest"])
    plain = ratio(seconds["ingest"], seconds["plain"])
    return [
        _seconds("(a) raw COPY, declared columns", seconds["declared"], size_of(data.files("large"))),
        _seconds("(a) whole ingest", seconds["ingest"], size_of(data.files("large"))),
        Row("(a) whole ingest / raw COPY", times.text("{:.2f}"), "<= 1.5, aim 1.25", times.middle <= 1.5),
        Row("(a) whole ingest / raw COPY with default row groups", plain.text("{:.2f}"), "", None),
        _cpu("(a) CPU time, ingest / raw COPY", found["ingest"], found["declared"]),
        _seconds("(a) inferred read to Parquet", seconds["inferred"], size_of(data.files("large"))),
        Row("(a) inferred read / whole ingest", faster.text("{:.2f}"), ">= 1.5", faster.middle >= 1.5),
    ]


def many(data: Data, scale: Scale) -> list[Row]:
    """Compare the whole ingest of many runs with DuckDB's COPY, a process a core, starts included for both."""
    found = rounds(
        {
            "ingest": partial(contenders.ingest, data.many),
            "declared": partial(contenders.raw_copies, data),
            "named": partial(contenders.raw_copies, data, "named"),
        },
        scale.rounds,
    )
    seconds = {name: [sample.seconds for sample in samples] for name, samples in found.items()}
    times, size = ratio(seconds["ingest"], seconds["declared"]), size_of(data.files("many"))
    named = ratio(seconds["ingest"], seconds["named"])
    return [
        _seconds("(b) raw COPY, declared columns", seconds["declared"], size),
        _seconds("(b) whole ingest", seconds["ingest"], size),
        Row("(b) whole ingest / raw COPY", times.text("{:.2f}"), "<= 1.5, aim 1.25", times.middle <= 1.5),
        Row("(b) whole ingest / raw COPY with named types", named.text("{:.2f}"), "", None),
        _cpu("(b) CPU time, ingest / raw COPY", found["ingest"], found["declared"]),
    ]


def old_way(data: Data, scale: Scale) -> list[Row]:
    """Compare with the old way: a pandas process a run, one after the other."""
    found = rounds(
        {
            "ingest": partial(contenders.ingest, data.many),
            "declared": partial(contenders.raw_copies, data),
            "old": partial(contenders.old_way, data, scale.old_runs),
        },
        min(scale.rounds, 3),
    )
    ingest = [sample.seconds / scale.runs for sample in found["ingest"]]
    old = [sample.seconds / scale.old_runs for sample in found["old"]]
    faster = ratio(old, ingest)
    most = ratio(old, [sample.seconds / scale.runs for sample in found["declared"]])
    return [
        Row("(b) old way, a run", spread(old).text("{:.3f}") + " s", "", None),
        Row("(b) whole ingest, a run", spread(ingest).text("{:.4f}") + " s", "", None),
        Row("(b) old way / whole ingest", faster.text("{:.0f}"), ">= 40", faster.middle >= 40),
        Row("(b) old way / raw COPY", most.text("{:.0f}"), "", None),
    ]


def reader(data: Data, scale: Scale) -> list[Row]:
    """Measure the strict reader alone."""
    folder = [data.recorded] if data.recorded else []
    command = module("read_speed", *data.files("large"), *folder)
    found = rounds({"reader": partial(run, command)}, scale.rounds)["reader"]
    return [_speed(name, [sample.output[name] for sample in found]) for name in found[0].output]


_READ = {"large": "(a)", "recorded": "recorded runs", "quiet": "recorded runs, quiet ticks"}


def _speed(name: str, numbers: list[float]) -> Row:
    content, mode = name.split()
    found, barred = spread(numbers), mode == "without" and content != "recorded"
    what = f"strict reader, {_READ[content]}, {mode} duplicate search"
    bar = ">= 250 MB/s" if barred else ""
    return Row(what, found.text("{:.0f}") + " MB/s", bar, found.middle >= 250 if barred else None)


def memory(data: Data, scale: Scale) -> list[Row]:
    """Measure the peak memory of the largest process of each ingest."""
    return [_memory("(a)", contenders.ingest(data.large)), _memory("(b)", contenders.ingest(data.many))]


def _memory(name: str, sample: Sample) -> Row:
    return Row(f"{name} peak memory of a process", f"{sample.memory:.0f} MB", "<= 600 MB", sample.memory <= 600)


def size(data: Data, scale: Scale) -> list[Row]:
    """Measure how much smaller the Parquet files are."""
    rows = [
        _size("(a)", *contenders.ingested_sizes(data.large), barred=False),
        _size("(b)", *contenders.ingested_sizes(data.many), barred=False),
    ]
    if data.recorded:
        rows.insert(0, _size("recorded runs,", *contenders.ingested_sizes(data.recorded), barred=True))
    return rows


def _size(name: str, before: int, after: int, *, barred: bool) -> Row:
    factor = before / after
    measured = f"1 : {factor:.1f} ({before / 1e6:.1f} MB to {after / 1e6:.2f} MB)"
    return Row(f"{name} Parquet size", measured, "1 : 12" if barred else "", factor >= 12 if barred else None)


def startup(data: Data, scale: Scale) -> list[Row]:
    """Measure how long the package and the command line take to start."""
    aims = {"import paraphina_wh": 150, "paraphina-wh --help": 300}
    found = rounds(contenders.starts(), scale.starts)
    return [
        _start(name, [1000 * sample.seconds for sample in samples], aims.get(name)) for name, samples in found.items()
    ]


def _start(name: str, numbers: list[float], aim: int | None) -> Row:
    found = spread(numbers)
    met = None if aim is None else found.middle <= aim
    return Row(f"`{name}`", found.text("{:.0f}") + " ms", f"aim {aim} ms" if aim else "", met)


def _seconds(what: str, seconds: list[float], size: int) -> Row:
    found = spread(seconds)
    return Row(what, f"{found.text('{:.2f}')} s, {size / 1e6 / found.middle:.0f} MB/s", "", None)


def _cpu(what: str, over: list[Sample], under: list[Sample]) -> Row:
    return Row(what, ratio([s.cpu for s in over], [s.cpu for s in under]).text("{:.2f}"), "", None)


Comparison = Callable[[Data, Scale], list[Row]]
COMPARISONS: dict[str, Comparison] = {
    "large": large,
    "many": many,
    "old-way": old_way,
    "reader": reader,
    "memory": memory,
    "size": size,
    "startup": startup,
}
