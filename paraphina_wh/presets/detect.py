"""Which file of a risk-regime sweep to take when none was named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paraphina_wh.errors import WarehouseError
from paraphina_wh.presets.source import Source, read_source
from paraphina_wh.warehouse import Warehouse

HINT = "run the sweep with `paraphina-wh run exp04_risk_regime`, or name a file with --runs-csv"


@dataclass(frozen=True)
class Detected:
    """The file that was taken, and a sentence for each that was passed over."""

    source: Source
    passed_over: list[str]


def detect_source(warehouse: Warehouse) -> Detected:
    """Read the newest per-run CSV of exp04 or a risk-regime sweep below ROOT/runs, else the newest such summary.

    What a file is, its name says: a folder may be called anything. Passed over are files that cannot be used: damaged,
    without a row that names its setting, or without the columns of a sweep, as exp04 is also the number of another
    experiment.
    Raises: WarehouseError (exit code 2) when there is no file that can be used.
    """
    passed_over: list[str] = []
    for file in _files(warehouse.root):
        try:
            source = read_source(file)
        except WarehouseError as error:
            passed_over.append(f"passed over: {error.message}")
            continue
        if source.rows.height:
            return Detected(source, passed_over)
        passed_over.append(f"passed over: {file} has no row with inventory and loss limit")
    found = "; ".join(passed_over) or f"no CSV file of a risk-regime sweep below {warehouse.root / 'runs'}"
    raise WarehouseError(f"no runs to choose presets from: {found}", HINT, exit_code=2)


def _files(root: Path) -> list[Path]:
    """Return the files that may serve, best first."""
    files = [path for path in (root / "runs").rglob("*.csv") if path.is_file() and _is_of_sweep(path)]
    newest = sorted(files, key=lambda path: (path.stat().st_mtime_ns, str(path)), reverse=True)
    return [path for ending in ("runs", "summary") for path in newest if path.stem.lower().endswith(ending)]


def _is_of_sweep(path: Path) -> bool:
    return any(part in path.name.lower() for part in ("exp04", "risk_regime"))
