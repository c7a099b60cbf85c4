"""Run the comparisons, print the table, and write `docs/benchmarks.md`. `python -m bench [--quick] [--only NAME]`."""

from __future__ import annotations

import argparse
import sys

from bench.comparisons import COMPARISONS, Row
from bench.data import FULL, QUICK, Data, prepare
from bench.measure import ROOT, module, run, scratch
from bench.report import document, profile_table, table


def main() -> int:
    """Measure, print and write; a missed bar is a result, not a failure."""
    options = _options()
    scale = QUICK if options.quick else FULL
    data = prepare(scale)
    rows: list[Row] = []
    for name in options.only or COMPARISONS:
        print(f"{name} ...", file=sys.stderr)
        rows += COMPARISONS[name](data, scale)
    print(table(rows))
    if not options.only:
        phases = _phases(data)
        print(profile_table(phases))
        if not options.quick:
            (ROOT / "docs" / "benchmarks.md").write_text(document(rows, phases, data, scale))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data, one round, no document")
    parser.add_argument("--only", action="append", choices=COMPARISONS, help="one comparison; may be repeated")
    return parser.parse_args()


def _phases(data: Data) -> dict[str, dict[str, float]]:
    """Return where the time of both ingests goes."""
    with scratch() as one, scratch() as other:
        return {
            "(a)": run(module("phases", one, data.large)).output,
            "(b)": run(module("phases", other, data.many)).output,
        }


if __name__ == "__main__":
    sys.exit(main())
