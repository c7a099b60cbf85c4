"""`check PATH...`: the contract gate for files and folders."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from paraphina_wh.check import contract_of
from paraphina_wh.telemetry.shape import MC_RUNS, TICKS
from paraphina_wh.telemetry.source import plain_name
from tests.conftest import Invoke
from tests.records import MC_RUN, line, run_of

Pack = Callable[[bytes], bytes]


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue().to_pybytes())


def test_a_valid_file(invoke: Invoke, tiny_run: Path) -> None:
    result = invoke("check", tiny_run / "balanced_r1.jsonl")
    assert result.stdout == f"OK: 6 records in {tiny_run}/balanced_r1.jsonl (telemetry)\n"
    assert (result.stderr, result.exit_code) == ("", 0)


def test_a_file_with_errors(invoke: Invoke, tmp_path: Path) -> None:
    content = line(t=0) + line(t=1, pnl_total=None, kill_switch=0) + b"{\n" + line(t=0) + line(t=1)
    (tmp_path / "run.jsonl").write_bytes(content)
    result = invoke("check", "run.jsonl")
    assert result.stdout == (
        "FAILED: 4 errors in run.jsonl\n"
        "line 2: pnl_total: expected number, got null\n"
        "line 2: kill_switch: expected boolean, got number\n"
        "line 3: record: not JSON: Expecting property name enclosed in double quotes at character 2\n"
        "line 4: t: 0 is not above the previous 0\n"
    )
    assert (result.stderr, result.exit_code) == ("", 1)


@pytest.mark.parametrize(
    ("options", "shown", "more"), [([], 10, "and 15 more"), (["--max-errors", "2"], 2, "and 23 more")]
)
def test_only_the_first_errors_are_shown(
    invoke: Invoke, tmp_path: Path, options: list[str], shown: int, more: str
) -> None:
    (tmp_path / "run.jsonl").write_bytes(b"".join(line(t=t, basis_usd="x") for t in range(25)))
    lines = invoke("check", *options, "run.jsonl").stdout.splitlines()
    assert lines[0] == "FAILED: 25 errors in run.jsonl"
    assert lines[1:-1] == [f"line {n}: basis_usd: expected number, got string" for n in range(1, shown + 1)]
    assert lines[-1] == f"... {more}"


def test_a_cut_off_last_line_is_a_warning(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(run_of(3)[:-20])
    result = invoke("check", "run.jsonl")
    assert result.stdout == "OK: 2 records in run.jsonl (telemetry)\n"
    assert result.stderr == "warning: run.jsonl: line 3: cut off at the end of the file\n"
    assert result.exit_code == 0


def test_a_cut_off_last_line_does_not_hide_an_error(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(line(t=0) + line(t=0) + line(t=1)[:-20])
    result = invoke("check", "run.jsonl")
    assert result.stdout == "FAILED: 1 errors in run.jsonl\nline 2: t: 0 is not above the previous 0\n"
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (b"", "the file holds no record"),
        (b"\n\n", "the file holds no record"),
        (run_of(2)[:-1], "line 2: no newline at the end of the file"),
        (run_of(2).replace(b"\n", b"\r\n"), "lines end with CRLF or hold carriage returns"),
        (line(t=4), "the first index is 4, not 0"),
        (line(t=0) + line(t=2), "1 gap(s) in the index"),
    ],
)
def test_what_is_odd_but_allowed_is_a_warning(invoke: Invoke, tmp_path: Path, content: bytes, warning: str) -> None:
    (tmp_path / "run.jsonl").write_bytes(content)
    result = invoke("check", "run.jsonl")
    assert result.stdout.startswith("OK: ")
    assert (result.stderr, result.exit_code) == (f"warning: run.jsonl: {warning}\n", 0)


def test_undeclared_fields_pass_and_are_named(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(line(t=0, later=1, fills=[{"rank": 1}]))
    result = invoke("check", "run.jsonl")
    assert result.stdout == "OK: 1 records in run.jsonl (telemetry; undeclared fields: fills[].rank, later)\n"


def test_of_very_many_undeclared_fields_the_first_are_named(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(line({f"x{n:02}": n for n in range(20)}, t=0))
    (tmp_path / "b.jsonl").write_bytes(line({f"x{n:02}": n for n in range(23)}, t=0))
    first = ", ".join(f"x{n:02}" for n in range(20))
    assert invoke("check", "a.jsonl", "b.jsonl").stdout == (
        f"OK: 1 records in a.jsonl (telemetry; undeclared fields: {first})\n"
        f"OK: 1 records in b.jsonl (telemetry; undeclared fields: {first} and 3 more)\n"
    )


def test_monte_carlo_runs_are_known_by_their_name(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mc_runs.jsonl").write_bytes(line(base=MC_RUN) + line(base=MC_RUN, run_index=1, seed=-1))
    result = invoke("check", "mc_runs.jsonl")
    assert result.stdout == "FAILED: 1 errors in mc_runs.jsonl\nline 2: seed: integer out of range: -1\n"


def test_a_known_name_without_a_schema_exits_2(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b"{}\n")
    result = invoke("check", "metrics.jsonl")
    assert result.stdout == "FAILED: 1 errors in metrics.jsonl\nno schema is known for files of this name\n"
    assert result.exit_code == 2


def test_a_missing_path_exits_2_before_anything_is_read(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(run_of(1))
    result = invoke("check", "run.jsonl", "nowhere.jsonl")
    assert result.stdout == ""
    assert result.stderr == "error: no such file or folder: nowhere.jsonl\nhint: check the path\n"
    assert result.exit_code == 2


def test_a_folder_stands_for_the_files_below_it(invoke: Invoke, tmp_path: Path) -> None:
    below = tmp_path / "runs" / "deep"
    below.mkdir(parents=True)
    (below / "b.jsonl.gz").write_bytes(gzip.compress(run_of(2)))
    (below / "c.ndjson").write_bytes(run_of(3))
    (below.parent / "a.jsonl.zst").write_bytes(zstd(run_of(1)))
    (below / "notes.txt").write_text("not telemetry")
    result = invoke("check", "runs")
    assert result.stdout == (
        "OK: 1 records in runs/a.jsonl.zst (telemetry)\n"
        "OK: 2 records in runs/deep/b.jsonl.gz (telemetry)\n"
        "OK: 3 records in runs/deep/c.ndjson (telemetry)\n"
    )
    assert result.exit_code == 0


def test_endings_may_be_written_in_capitals(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "A.JSONL").write_bytes(run_of(1))
    (tmp_path / "B.Jsonl.GZ").write_bytes(gzip.compress(run_of(2)))
    (tmp_path / "trajectories.JSONL").write_bytes(b"{}\n")
    result = invoke("check", ".")
    assert result.stdout == (
        "OK: 1 records in A.JSONL (telemetry)\n"
        "OK: 2 records in B.Jsonl.GZ (telemetry)\n"
        "FAILED: 1 errors in trajectories.JSONL\n"
        "no schema is known for files of this name\n"
    )
    assert result.exit_code == 2


def test_a_folder_does_not_mean_what_the_warehouse_wrote(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "a.jsonl").write_bytes(b"{}\n")
    (tmp_path / "research_dataset_v001.jsonl").write_bytes(b"{}\n")
    (tmp_path / "run.jsonl").write_bytes(run_of(1))
    assert invoke("check", ".").stdout == "OK: 1 records in run.jsonl (telemetry)\n"
    # A file that is named is meant.
    assert invoke("check", "quarantine/a.jsonl").exit_code == 1


def test_a_folder_without_telemetry_is_fine(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = invoke("check", "empty")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "no telemetry file found\n", 0)


def test_what_cannot_be_checked_outweighs_a_breach(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    (tmp_path / "trajectories.jsonl").write_bytes(b"{}\n")
    assert invoke("check", "a.jsonl").exit_code == 1
    assert invoke("check", ".").exit_code == 2


def test_the_recorded_runs_are_valid(invoke: Invoke, recorded: Path) -> None:
    result = invoke("check", recorded / "exp13_auto")
    assert [text.split(" in ")[0] for text in result.stdout.splitlines()] == [
        f"OK: {n} records" for n in (61, 250, 85, 300, 37, 250, 97, 300, 37, 250, 61, 300)
    ]
    assert (result.stderr, result.exit_code) == ("", 0)


@pytest.mark.parametrize(
    ("name", "plain", "contract"),
    [
        ("telemetry.jsonl", "telemetry.jsonl", TICKS),
        ("balanced_r1.jsonl.gz", "balanced_r1.jsonl", TICKS),
        ("mc_runs.jsonl", "mc_runs.jsonl", MC_RUNS),
        ("mc_runs.jsonl.zst", "mc_runs.jsonl", MC_RUNS),
        ("mc_runs.ndjson", "mc_runs.ndjson", MC_RUNS),
        ("old_mc_runs.jsonl", "old_mc_runs.jsonl", TICKS),
        ("metrics.jsonl.gz", "metrics.jsonl", None),
        ("trajectories.jsonl", "trajectories.jsonl", None),
        ("a.b.GZ", "a.b", TICKS),
        ("RUN.JSONL", "RUN.JSONL", TICKS),
        ("mc_runs.JSONL.GZ", "mc_runs.JSONL", MC_RUNS),
        ("metrics.NDJSON", "metrics.NDJSON", None),
        ("mc_runs.txt", "mc_runs.txt", TICKS),
        ("metrics.csv", "metrics.csv", TICKS),
    ],
)
def test_the_name_without_its_packing_says_which_contract_holds(name: str, plain: str, contract: object) -> None:
    assert plain_name(Path("runs") / name) == plain
    assert contract_of(Path("runs") / name) is contract
