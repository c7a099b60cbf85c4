"""Where everything lies.

A warehouse is a folder of Parquet files; whatever else is in it can be rebuilt from them.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from paraphina_wh.errors import WarehouseError
from paraphina_wh.escape import is_utf8

FORMAT = "1"
LONGEST_NAME_BYTES = 255
_BATCH_TIME = "%Y%m%dT%H%M%S.%fZ"
_TICK = timedelta(microseconds=1)
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
# Also as a Path shows it, with one slash.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_NUMBER_OR_DATE = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|\d{4}-\d{1,2}-\d{1,2}([T ].*)?|true|false", re.IGNORECASE
)

# A sealed dataset has a file of this name beside it.
SEAL_SUFFIX: Final = ".sealed"


@dataclass(frozen=True)
class Warehouse:
    """A warehouse folder and the ROOT its artefacts lie in.

    root: where `runs/` and the dataset files lie.
    path: the warehouse folder itself, `ROOT/warehouse` unless told otherwise.
    """

    root: Path
    path: Path

    @cached_property
    def telemetry(self) -> Path:
        """Ticks: `profile=<p>/label=<l>/<run_id>.parquet`."""
        return self.path / "telemetry"

    @cached_property
    def runs(self) -> Path:
        """Ledger rows of runs: `experiment=<e>/<batch>.parquet`."""
        return self.path / "runs"

    @cached_property
    def datasets(self) -> Path:
        """Rows of the versioned datasets: `dataset=<name>/<batch>.parquet`."""
        return self.path / "datasets"

    @cached_property
    def mc_runs(self) -> Path:
        """Runs of the Monte Carlo harness: `source=<id>/<batch>.parquet`."""
        return self.path / "mc_runs"

    @cached_property
    def summaries(self) -> Path:
        """Rows of summary tables that others computed: `source=<id>/<batch>.parquet`."""
        return self.path / "summaries"

    @property
    def tables(self) -> tuple[Path, ...]:
        """Return the folders whose Parquet files the views read."""
        return self.telemetry, self.runs, self.datasets, self.mc_runs, self.summaries

    @cached_property
    def quarantine(self) -> Path:
        """Rejected lines: `<run_id>.jsonl`, or `<source id>.jsonl` for Monte Carlo runs."""
        return self.path / "quarantine"

    @cached_property
    def commits(self) -> Path:
        """Records of commits: `<name>.<digest>.json`."""
        return self.path / "commits"

    @cached_property
    def staging(self) -> Path:
        """Unfinished writes; nothing in it counts."""
        return self.path / "_staging"

    @property
    def exists(self) -> bool:
        """Tell whether the folder has been set up.

        Raises: WarehouseError when FORMAT is lost or damaged: all that lies there would pass for an empty warehouse;
                with exit code 2 when it tells of another format.
        """
        damage = self.format_damage()
        if damage:
            raise WarehouseError(damage, "`paraphina-wh repair` puts it back, where the rest is whole")
        return (self.path / "FORMAT").exists()

    def check_exists(self) -> None:
        """Raise a WarehouseError (exit code 2) when there is no warehouse: there is nothing to read from."""
        if not self.exists:
            raise WarehouseError(
                f"no warehouse in {self.path}",
                "name it with --root or --warehouse; `paraphina-wh ingest PATH` or `paraphina-wh run exp13` creates it",
                exit_code=2,
            )

    def format_damage(self) -> str:
        """Return what is wrong with FORMAT, the file that makes a folder a warehouse; nothing when it is right.

        Raises: WarehouseError when it cannot be read, with exit code 2 when it tells of another format.
        """
        file = self.path / "FORMAT"
        try:
            version = file.read_text(errors="replace").partition("\n")[0].strip()
        except (FileNotFoundError, NotADirectoryError):
            return f"{file} is gone, and the folder holds data" if self._holds_data() else ""
        except IsADirectoryError:
            return f"{file} is damaged: it is a folder"
        except OSError as error:
            raise WarehouseError(f"cannot read {file}: {error.strerror}", "check its permissions") from error
        if version == FORMAT:
            return ""
        if not (version.isascii() and version.isdecimal()):
            return f"{file} is damaged: it holds no number of a format"
        raise WarehouseError(
            f"{self.path} has format {version!r}, this program knows {FORMAT!r}",
            "use the paraphina-wh version that wrote it, or another folder with --warehouse",
            exit_code=2,
        )

    def _holds_data(self) -> bool:
        """Tell whether a table has more than the zero-row file that is written before FORMAT."""
        return any(not folder.name.endswith("=any") for table in self.tables for folder in table.glob("*=*"))

    def ticks_file(self, profile: str, label: str, run_id: str) -> Path:
        """Return where the ticks of a run lie."""
        return self.telemetry / hive_folder("profile", profile) / hive_folder("label", label) / f"{run_id}.parquet"

    def runs_file(self, experiment: str, batch: str) -> Path:
        """Return where a batch of ledger rows lies."""
        return self.runs / hive_folder("experiment", experiment) / f"{batch}.parquet"

    def datasets_file(self, dataset: str, batch: str) -> Path:
        """Return where a batch of dataset rows lies."""
        return self.datasets / hive_folder("dataset", dataset) / f"{batch}.parquet"

    def mc_runs_file(self, source: str, batch: str) -> Path:
        """Return where the runs of a Monte Carlo file lie."""
        return self.mc_runs / hive_folder("source", source) / f"{batch}.parquet"

    def summaries_file(self, source: str, batch: str) -> Path:
        """Return where the rows of a summary table lie."""
        return self.summaries / hive_folder("source", source) / f"{batch}.parquet"

    def check_target(self, path: Path) -> None:
        """Raise a WarehouseError (exit code 2) for a path that no artefact may be written to, or below.

        Inside the warehouse only commits write, and what was sealed stays as it is.
        """
        if path.resolve().is_relative_to(self.path.resolve()):
            raise WarehouseError(f"{path} lies inside the warehouse", "write to a place outside of it", exit_code=2)
        if path.with_name(f"{path.name}{SEAL_SUFFIX}").exists():
            raise WarehouseError(f"{path} is sealed: nothing is written over it", "write to another file", exit_code=2)

    def folder_for(self, contract: str | Path, named: Path | None) -> Path:
        """Return the folder artefacts go to: the contract's, below ROOT, or the one that was named.

        Raises: WarehouseError as `check_target` does.
        """
        if named is None:
            return self.root / contract
        self.check_target(named)
        return named

    def relative(self, path: Path) -> str:
        """Return a path as text, relative to ROOT when it lies below it."""
        absolute = path if path.is_absolute() else Path.cwd() / path
        absolute = Path(os.path.normpath(absolute))
        return str(absolute.relative_to(self.root)) if absolute.is_relative_to(self.root) else str(absolute)


def locate(root: str | Path | None = None, warehouse: str | Path | None = None) -> Warehouse:
    """Return the warehouse of a ROOT (default: $PARAPHINA_WH_ROOT, else the current folder).

    Raises: WarehouseError (exit code 2) when ROOT does not exist, the warehouse has an unknown format, or a path
            holds what is no text or what DuckDB does not read as part of a name.
    """
    named = root or os.environ.get("PARAPHINA_WH_ROOT") or "."
    path = warehouse or os.environ.get("PARAPHINA_WH_WAREHOUSE") or Path(named, "warehouse")
    check_local(named)
    check_local(path)
    try:
        base = Path(os.path.abspath(named))
    except FileNotFoundError as error:
        raise WarehouseError("the current folder is gone", "go to one that exists: cd", exit_code=2) from error
    _check_text(base, "--root")
    if not base.is_dir():
        raise WarehouseError(f"no such folder: {base}", "name an existing folder with --root", exit_code=2)
    found = Warehouse(base, Path(os.path.abspath(path)))
    _check_text(found.path, "--warehouse")
    _check_path(found.path)
    if found.path.exists() and not found.path.is_dir():
        raise WarehouseError(f"not a folder: {found.path}", "name a folder with --warehouse", exit_code=2)
    # Damage is told by whatever reads or writes there; `check` and `repair` deal with it.
    found.format_damage()
    return found


def check_local(path: str | Path) -> None:
    """Raise a WarehouseError (exit code 2) for an address such as s3://bucket: a folder of that name is not meant."""
    scheme = _ADDRESS.match(str(path))
    if scheme:
        raise WarehouseError(
            f"{path}: {scheme[1]} addresses cannot be read or written",
            "name a file or folder of this machine; a local one of this name is ./" + str(path),
            exit_code=2,
        )


def _check_text(path: Path, option: str) -> None:
    # SQL, the ledger and sidecars hold paths as text.
    if not is_utf8(str(path)):
        raise WarehouseError(f"{path}: the name is not UTF-8", f"rename it, or name another with {option}", exit_code=2)


def _check_path(path: Path) -> None:
    # `key=value` above the warehouse would count as one of its folder keys; `?` starts options in a file name.
    found = next((character for character in "=?\\" if character in str(path)), None)
    if found:
        raise WarehouseError(
            f"the warehouse cannot lie in {path}: DuckDB does not take {found!r} for part of a folder name",
            "rename the folder, or name another with --warehouse",
            exit_code=2,
        )


def hive_folder(key: str, value: str) -> str:
    """Return the folder name of a key, percent-encoded: `label=a%2Fb`.

    Raises: WarehouseError (exit code 2) for a value that no reader could give back.
    """
    problem = key_problem(key, value)
    if problem:
        raise WarehouseError(f"{key} {value[:80]!r} {problem}", f"choose another {key}", exit_code=2)
    if value.lower() == "null":
        # A plain NULL, in any case, is no text to DuckDB before 2.0; an escaped one is to every reader.
        return f"{key}=%{ord(value[0]):02X}{value[1:]}"
    return f"{key}={quote(value, safe='')}"


def folder_key(folder: str) -> str:
    """Return the value that a folder name stands for: `label=a%2Fb` -> `a/b`."""
    return unquote(folder.partition("=")[2])


def key_problem(key: str, value: str) -> str | None:
    """Return why a text cannot be a folder key, or None."""
    if not value:
        return "is empty"
    if value == _NULL_FOLDER:
        return "means null to every reader of Parquet folders"
    try:
        encoded = quote(value, safe="")
    except UnicodeEncodeError:
        return "is not valid Unicode"
    room = LONGEST_NAME_BYTES - len(key) - 1
    if len(encoded) > room:
        return f"needs {len(encoded)} bytes in a folder name, the limit is {room}"
    return None


def reads_as_number(value: str) -> bool:
    """Tell whether a reader without a schema would take a folder key for a number, a date or a boolean."""
    return bool(_NUMBER_OR_DATE.fullmatch(value.strip()))


def new_batch(after: str = "") -> str:
    """Return the name of a new batch; names sort by the time they were made.

    after: a batch that the new one must sort behind, even if the clock was set back in between.
    """
    made = datetime.now(UTC)
    if after:
        made = max(made, batch_time(after) + _TICK)
    return f"{made:{_BATCH_TIME}}-{secrets.token_hex(4)}"


def revised(batch: str, by: str) -> str:
    """Return the name of a batch of which a later one computed rows anew: behind it, and before all that came since.

    Whatever takes the place of a run meanwhile has seen the batch that brought it, and sorts behind all its revisions.
    """
    return f"{batch.partition('+')[0]}+{by}"


def batch_time(name: str) -> datetime:
    """Return when a batch was named."""
    return datetime.strptime(name.partition("-")[0], _BATCH_TIME).replace(tzinfo=UTC)


def no_glob(path: str) -> str:
    """Escape the characters of a folder name that a glob would take for its own."""
    return re.sub(r"[*?\[]", lambda m: f"[{m[0]}]", path)


def sql_text(value: str) -> str:
    """Return a text as an SQL literal, for the few places that take no bound parameter (COPY options, paths)."""
    return "'" + value.replace("'", "''") + "'"
