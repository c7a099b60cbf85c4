"""Child: the strict reader alone, in memory. `python -m bench.read_speed LARGE_FILE [RECORDED_FOLDER]`."""

from __future__ import annotations

import gzip
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from paraphina_wh.telemetry.reader import read_strict

REPEATS = 7


def speed(contents: Sequence[bytes], find_duplicates: bool) -> float:
    """Return the MB that one CPU second reads."""
    return sum(map(len, contents)) / 1e6 / median(_cpu_seconds(contents, find_duplicates) for _ in range(REPEATS))


def _cpu_seconds(contents: Sequence[bytes], find_duplicates: bool) -> float:
    started = time.process_time()
    for content in contents:
        ledger = read_strict(io.BytesIO(content), find_duplicates=find_duplicates)
        assert not ledger.quarantined
    return time.process_time() - started


def quiet(content: bytes) -> bytes:
    """Return the ticks on which nothing was ordered and nothing was filled."""
    return b"".join(line for line in content.splitlines(keepends=True) if _is_quiet(json.loads(line)))


def _is_quiet(tick: dict[str, object]) -> bool:
    return not (tick.get("orders") or tick.get("would_send_orders") or tick.get("fills"))


def main(large: Path, recorded: Path | None) -> None:
    """Print the speeds."""
    contents = {"large": [large.read_bytes()]}
    if recorded:
        runs = [gzip.decompress(file.read_bytes()) for file in sorted(recorded.glob("*.jsonl.gz"))]
        contents |= {"recorded": runs, "quiet": [quiet(run) for run in runs]}
    print(
        json.dumps(
            {
                f"{name} {'with' if find_duplicates else 'without'}": speed(content, find_duplicates)
                for name, content in contents.items()
                for find_duplicates in (False, True)
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
