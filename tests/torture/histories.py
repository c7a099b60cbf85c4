"""Random histories of a warehouse beside a model of it: after every step the views say what the model says.

The model is a dictionary of label -> ticks and a list of dataset lines. A crash in the middle of a step leaves the old
state or the new one, and the step is repeated.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from paraphina_wh import catalog, commit
from paraphina_wh.datasets import mirror_dataset
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.ingest.forget import Narrowed, forget
from paraphina_wh.maintenance.compact import compact
from paraphina_wh.maintenance.gc import collect
from paraphina_wh.maintenance.integrity import check_warehouse
from paraphina_wh.maintenance.repair import repair
from paraphina_wh.quarantine import choose_all, replay
from paraphina_wh.records import read_records
from paraphina_wh.telemetry.reader import LIMIT_NAME
from paraphina_wh.warehouse import locate
from tests.records import line, run_of
from tests.telemetry_maker import ask, files_below, write
from tests.torture.everything import ROW
from tests.torture.figures import Figure

_EXAMPLES: Final = 40
_STEPS: Final = 15
_RUNS: Final = 3
_FEW: Final = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

State = tuple[dict[str, int], list[str]]


def attack(seed_: int, examples: int = _EXAMPLES, steps: int = _STEPS) -> Figure:
    """Try many histories, and count the steps after which everything was as it should be."""
    History.steps = 0
    found = settings(max_examples=examples, stateful_step_count=steps, print_blob=True, **_FEW)  # type: ignore[arg-type]
    try:
        run_state_machine_as_test(seed(seed_)(History), settings=found)
    except AssertionError as error:
        print(f"histories (seed {seed_}): {error}", file=sys.stderr, flush=True)
        return Figure("random histories", History.steps, History.steps - 1, "steps", seed_)
    return Figure("random histories", History.steps, History.steps, "steps", seed_)


class Crash(BaseException):
    """The process is gone."""


@contextmanager
def crash_at(step: int) -> Iterator[None]:
    """Let the process be gone from the n-th step of the commit path on: nothing is written or cleaned up any more."""
    left, rmtree = step, shutil.rmtree

    def count(name: str) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise Crash

    def clean_up(*args: Any, **options: Any) -> None:
        if left > 0:
            rmtree(*args, **options)

    with patch.object(commit, "step", count), patch.object(shutil, "rmtree", clean_up):
        yield


contents = st.integers(2, 5)
runs = st.sets(st.integers(0, _RUNS - 1), min_size=1)
# Most steps are not reached by a small deed: then it is done.
crashes = st.none() | st.integers(1, 30)


class History(RuleBasedStateMachine):
    """One warehouse and its model. runs: label -> ticks. lines: of the dataset, as mirrored."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="history-"))
        self.warehouse = locate(self.root)
        catalog.set_up(self.warehouse)
        self.runs: dict[str, int] = {}
        self.lines: list[str] = []
        self.was_killed = False

    def teardown(self) -> None:
        """Remove the warehouse."""
        shutil.rmtree(self.root)

    # Deeds

    @rule(runs=runs, ticks=contents, crash=crashes)
    def ingest(self, runs: set[int], ticks: int, crash: int | None) -> None:
        """Labels that hold other content keep it."""
        new = {_label(run): ticks for run in runs} | self.runs
        self._do(lambda: self._ingest(runs, ticks), (new, self.lines), crash)

    @rule(runs=runs, ticks=contents, crash=crashes)
    def replace(self, runs: set[int], ticks: int, crash: int | None) -> None:
        """Labels that hold other content get this one."""
        new = self.runs | {_label(run): ticks for run in runs}
        self._do(lambda: self._ingest(runs, ticks, replace=True), (new, self.lines), crash)

    @rule(run=st.integers(0, _RUNS - 1), ticks=contents, crash=crashes)
    def replay(self, run: int, ticks: int, crash: int | None) -> None:
        """A line that was too long comes in once the limit has grown; a label that holds the content has it already."""
        new = self.runs | {_label(run): ticks}
        if self.runs != new:
            with patch.dict(os.environ, {LIMIT_NAME: str(len(run_of(1)))}):
                self._ingest({run}, ticks, replace=True, on_error="quarantine")
            self.runs = new | {_label(run): ticks - 1}
            assert self._seen() == self._state()
        self._do(lambda: replay(self.warehouse, choose_all(self.warehouse)), (new, self.lines), crash)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), crash=crashes)
    def forget(self, data: st.DataObject, crash: int | None) -> None:
        """A label that is gone is gone, also when the same content came in twice."""
        label = data.draw(st.sampled_from(sorted(self.runs)))
        new = {name: ticks for name, ticks in self.runs.items() if name != label}

        def deed() -> None:
            if ask(self.warehouse, "SELECT 1 FROM runs WHERE label = $label", label=label):
                forget(self.warehouse, labels=[label], narrowed=Narrowed(every=True))

        self._do(deed, (new, self.lines), crash)

    @rule(lines=st.integers(1, 3), crash=crashes)
    def append(self, lines: int, crash: int | None) -> None:
        """The file is the truth; what a crash kept from being mirrored comes in with the next call."""
        file = self.root / "research_dataset_v001.jsonl"
        added = [(ROW % f"line {len(self.lines) + i}").rstrip("\n") for i in range(lines)]
        write(file, "".join(f"{line}\n" for line in (*self.lines, *added)))
        self._do(lambda: mirror_dataset(self.warehouse, file), (self.runs, [*self.lines, *added]), crash)

    @rule(crash=crashes)
    def compact(self, crash: int | None) -> None:
        """The ledger holds the same rows before and after, and a second time changes nothing."""
        before = self._ledger()
        self._do(lambda: compact(self.warehouse), self._state(), crash)
        assert self._ledger() == before
        assert compact(self.warehouse) == []

    @rule(older_than_s=st.sampled_from([0.0, 3600.0]), crash=crashes)
    def sweep(self, older_than_s: float, crash: int | None) -> None:
        """Nothing goes that a record tells of, and nothing that is young."""
        told = read_records(self.warehouse).files.keys()
        before = files_below(self.warehouse.path)
        found = collect(self.warehouse, older_than_s=older_than_s)
        assert files_below(self.warehouse.path) == before, "a dry run removed something"
        assert not told & {each.path for each in found}
        assert older_than_s == 0 or not found
        self._do(lambda: collect(self.warehouse, older_than_s=older_than_s, delete=True), self._state(), crash)
        assert told <= files_below(self.warehouse.path).keys()
        if older_than_s == 0:
            self.was_killed = False
            assert collect(self.warehouse, older_than_s=0) == []

    @rule(data=st.data(), crash=crashes)
    def damage_and_repair(self, data: st.DataObject, crash: int | None) -> None:
        """A damaged file is found, and made anew from its source."""
        path = data.draw(st.sampled_from(sorted(read_records(self.warehouse).files)))
        file = self.warehouse.path / path
        file.write_bytes(file.read_bytes()[:-1] + b"?")
        assert path in check_warehouse(self.warehouse).paths
        self._do(lambda: repair(self.warehouse), self._state(), crash, is_damaged=True)

    # And what must hold

    def _do(self, deed: Callable[[], object], new: State, crash: int | None, *, is_damaged: bool = False) -> None:
        """Do something, be it killed and repeated, and compare the warehouse with the model."""
        if crash is not None:
            try:
                with crash_at(crash):
                    deed()
            except Crash:
                self.was_killed = True
                if not is_damaged:
                    assert self._seen() in (self._state(), new), "a mixture"
        deed()
        self.runs, self.lines = new
        History.steps += 1
        assert self._seen() == self._state()
        left = check_warehouse(self.warehouse).findings
        assert not left or (self.was_killed and all(each.problem == "orphaned" for each in left)), left

    def _ingest(self, runs: set[int], ticks: int, **options: Any) -> None:
        content = run_of(ticks - 1) + line(t=ticks - 1, kill_reason="the last line is longer")
        files = [write(self.root / "in" / str(ticks) / f"balanced_r{run}.jsonl", content) for run in runs]
        ingest_paths(self.warehouse, files, Options(**options), jobs=1)

    def _state(self) -> State:
        return self.runs, self.lines

    def _seen(self) -> State:
        """Return what the views say: the ticks of each run counted, the ledger's word for it compared."""
        counted = ask(self.warehouse, "SELECT label, count(*), count(DISTINCT t) FROM ticks GROUP BY label, run_id")
        told = ask(self.warehouse, "SELECT label, rows, num_ticks FROM runs")
        assert sorted(counted) == sorted(told), (counted, told)
        lines = ask(self.warehouse, "SELECT line FROM dataset_rows ORDER BY line_no")
        return {label: ticks for label, ticks, _ in told}, [line for (line,) in lines]

    def _ledger(self) -> list[tuple[Any, ...]]:
        return sorted(
            ask(self.warehouse, "SELECT event, run_id, batch_id, supersedes, label FROM run_ledger"), key=repr
        )


def _label(run: int) -> str:
    return f"exp13_balanced_r{run:03d}"
