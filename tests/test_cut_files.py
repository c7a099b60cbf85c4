"""The end of a file as a crash, a full disk or a power loss leaves it: a cut-off tail, every byte of it in the account.

`check` and `ingest` say the same; what is left is a run that is marked as cut off.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paraphina_wh.errors import WarehouseError
from paraphina_wh.telemetry.reader import BLOCK_BYTES, BadLine, Sinks, read_strict
from paraphina_wh.telemetry.source import Unpacked, open_source
from paraphina_wh.warehouse import Warehouse
from tests.conftest import Invoke
from tests.records import MC_RUN, line, run_of
from tests.telemetry_maker import ask, ask_one, ingest, verdicts, write

WHOLE = run_of(3)
ENDS = [at + 1 for at, byte in enumerate(WHOLE) if byte == 10]


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 3 * 4096), st.sampled_from([7, 4096, BLOCK_BYTES]))
@example(ENDS[1], 4096, BLOCK_BYTES)
@example(ENDS[1] - 1, 4096, BLOCK_BYTES)
@example(0, 1, BLOCK_BYTES)
def test_a_file_cut_at_any_byte_keeps_the_whole_lines_before(cut: int, zeros: int, piece: int) -> None:
    """Zero bytes stand for blocks that never reached the disk."""
    lines = sum(end <= cut for end in ENDS)
    rest = WHOLE[max([0, *ENDS[:lines]]) : cut]
    content = WHOLE[:cut] + bytes(zeros)
    bad: list[BadLine] = []
    clean = io.BytesIO()
    ledger = read_strict(Pieces(content, piece), sinks=Sinks(bad=bad.append, clean=clean))
    # With its newline alone gone, a record is whole all the same.
    is_whole = not zeros and cut + 1 in ENDS
    is_cut = bool(zeros or rest) and not is_whole
    assert (ledger.rows, ledger.truncated, ledger.quarantined) == (lines + is_whole, is_cut, is_cut)
    assert clean.getvalue() == WHOLE[: ENDS[ledger.rows - 1] if ledger.rows else 0]
    assert ledger.lines == ledger.rows + ledger.quarantined + ledger.blank
    assert ledger.bytes == ledger.row_bytes + ledger.quarantined_bytes + ledger.blank_bytes == len(content)
    assert [(one.offset, one.raw, one.size) for one in bad] == [(cut - len(rest), rest, len(rest) + zeros)] * is_cut
    assert ledger.put_aside == ""


class Pieces(io.BytesIO):
    """Bytes that come in pieces of some size."""

    def __init__(self, content: bytes, piece: int) -> None:
        super().__init__(content)
        self.piece = piece

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self.piece)


LONG = run_of(700)
PACKED = {"gzip": gzip.compress(LONG), "zstd": bytes(pa.compress(LONG, "zstd", asbytes=True))}


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.sampled_from([0, 1, 5, 4096, 1 << 19]), st.sampled_from(["gzip", "zstd"]))
def test_packed_data_cut_at_any_byte_keeps_whole_lines_too(where: float, zeros: int, packing: str) -> None:
    packed = PACKED[packing]
    cut = packed[: 10 + int(where * (len(packed) - 20))] + bytes(zeros)
    clean = io.BytesIO()
    with io.BufferedReader(Unpacked("run", io.BytesIO(cut), packing, may_be_cut=True)) as source:
        ledger = read_strict(source, sinks=Sinks(clean=clean))
    assert LONG.startswith(clean.getvalue())
    assert (ledger.truncated, ledger.quarantined, ledger.lines) == (True, 1, ledger.rows + 1)
    assert ledger.bytes == ledger.row_bytes + ledger.quarantined_bytes


class PowerLoss(io.RawIOBase):
    """A run, a cut line, and so many blocks of zeros."""

    def __init__(self, blocks: int) -> None:
        self.left = [run_of(2) + line(t=2)[:50], *[bytes(BLOCK_BYTES)] * blocks]

    def read(self, size: int = -1, /) -> bytes:
        return self.left.pop(0) if self.left else b""


def test_zero_bytes_cost_no_memory() -> None:
    bad: list[BadLine] = []
    tracemalloc.start()
    ledger = read_strict(PowerLoss(1 << 10), sinks=Sinks(bad=bad.append), hashed=False)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (ledger.rows, ledger.truncated, ledger.bytes) == (2, True, len(run_of(2)) + 50 + (256 << 20))
    assert ledger.warnings() == [f"line 3: cut off at the end of the file, {256 << 20} zero bytes behind it"]
    assert [(one.raw, one.size) for one in bad] == [(line(t=2)[:50], 50 + (256 << 20))]
    assert peak < 3 << 20


THREE = run_of(3)
BEHIND = ", {} zero bytes behind it"
# What a file ends in -> (its content, rows, lines, what is said of its last line); none: not cut off.
LEFT: Mapping[str, tuple[bytes, int, int, str | None]] = {
    "at a multiple of 4096": (run_of(40)[:4096], 5, 6, ""),
    "in a character": (run_of(2) + line(t=2)[:60] + "é".encode()[:1], 2, 3, ""),
    "behind one byte": (run_of(2) + b"{", 2, 3, ""),
    "before its newline": (THREE[:-1], 3, 3, None),
    "with a block of zeros": (THREE + bytes(4096), 3, 4, BEHIND.format(4096)),
    "with one zero": (THREE + b"\0", 3, 4, BEHIND.format(1)),
    "in a line, with zeros": (THREE[:-40] + bytes(8192), 2, 3, BEHIND.format(8192)),
    "before its newline, with zeros": (THREE[:-1] + bytes(100), 2, 3, BEHIND.format(100)),
    "in white space": (THREE + b" \n\t ", 3, 5, None),
    "in white space, with zeros": (THREE + b" \n\t " + bytes(7), 3, 5, BEHIND.format(7)),
    "CRLF, with zeros": (THREE.replace(b"\n", b"\r\n") + bytes(9), 3, 4, BEHIND.format(9)),
}


@pytest.mark.parametrize("what", LEFT)
def test_check_and_ingest_say_the_same_of_every_end(invoke: Invoke, tmp_path: Path, what: str) -> None:
    content, rows, lines, behind = LEFT[what]
    write(tmp_path / "balanced_r1.jsonl", content)
    says = f"warning: balanced_r1.jsonl: line {lines}: cut off at the end of the file{behind}\n"
    checked = invoke("check", "balanced_r1.jsonl")
    taken = invoke("ingest", "balanced_r1.jsonl", "--jobs", "1")
    assert checked.stdout.startswith(f"OK: {rows} records in balanced_r1.jsonl")
    assert (checked.exit_code, taken.exit_code) == (0, 0)
    assert (says in checked.stderr, says in taken.stderr) == (behind is not None, behind is not None)
    account = ask_one(Warehouse(tmp_path, tmp_path / "warehouse"), ACCOUNT)
    assert account == {
        "truncated": behind is not None,
        "rows": rows,
        "quarantined": int(behind is not None),
        "lines": lines,
        "bytes": len(content),
        "is_whole": True,
    }
    assert invoke("check").exit_code == 0
    assert invoke("check", "--deep").exit_code == 0
    again = invoke("ingest", "balanced_r1.jsonl", "--jobs", "1", "--format", "csv")
    assert ",unchanged," in again.stdout


ACCOUNT = (
    "SELECT truncated, rows, quarantined, lines, source_bytes AS bytes, lines = rows + quarantined + blank "
    "AND source_bytes = row_bytes + quarantined_bytes + blank_bytes AS is_whole FROM runs"
)

# What no crash leaves at the end of telemetry.
BREACHES: Mapping[str, bytes] = {
    "zeros in the middle": run_of(1) + line(t=1)[:30] + bytes(4096) + line(t=2)[30:] + line(t=3),
    "zeros and a newline": THREE + bytes(4096) + b"\n",
    "another file": THREE + b"ELF" + bytes(4096),
    "a number": THREE + b"12",
    "a number, with zeros": THREE + b"12" + bytes(4096),
    "all zeros but for a line": bytes(4096) + b"\n" + THREE,
}


@pytest.mark.parametrize("what", BREACHES)
def test_what_no_crash_leaves_is_a_breach_for_both(invoke: Invoke, tmp_path: Path, what: str) -> None:
    write(tmp_path / "balanced_r1.jsonl", BREACHES[what])
    assert invoke("check", "balanced_r1.jsonl").exit_code == 1
    assert invoke("ingest", "balanced_r1.jsonl", "--jobs", "1").exit_code == 1


def test_a_block_that_never_reached_the_disk_is_called_that(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "balanced_r1.jsonl", BREACHES["zeros in the middle"])
    said = "line 2: record: not JSON: a block of zero bytes, as a crash or a power loss leaves it"
    assert said in invoke("check", "balanced_r1.jsonl").stdout


Pack = Callable[[bytes], bytes]
PACKS: Mapping[str, Pack] = {
    "gz": gzip.compress,
    "zst": lambda content: bytes(pa.compress(content, "zstd", asbytes=True)),
}


@pytest.mark.parametrize("zeros", [0, 4096])
@pytest.mark.parametrize("ending", PACKS)
def test_packed_telemetry_that_is_cut_off_gives_the_rows_before(
    invoke: Invoke, warehouse: Warehouse, ending: str, zeros: int
) -> None:
    packed = PACKS[ending](run_of(3000))
    source = write(warehouse.root / f"balanced_r1.jsonl.{ending}", packed[: len(packed) * 2 // 3] + bytes(zeros))
    checked = invoke("check", source)
    (outcome,) = ingest(warehouse, source, on_error="reject")
    assert (checked.exit_code, outcome.status, outcome.cut_off) == (0, "ingested", True)
    assert 1000 < outcome.ticks < 3000
    says = f"line {outcome.ticks + 1}: cut off at the end of the file, where the packed data ends"
    assert outcome.warnings == [says]
    assert ask_one(warehouse, ACCOUNT) == {
        "truncated": True,
        "rows": outcome.ticks,
        "quarantined": 1,
        "lines": outcome.ticks + 1,
        "bytes": outcome.bytes,
        "is_whole": True,
    }
    # The whole file is the same run, longer.
    source.write_bytes(packed)
    (outcome,) = ingest(warehouse, source)
    assert ask(warehouse, "SELECT truncated, rows, count(*) OVER () FROM runs") == [(False, 3000, 1)]


def test_packed_data_cut_off_behind_a_whole_line_is_cut_off(warehouse: Warehouse) -> None:
    """The next line would have come: it is counted, with none of its bytes."""
    flushed = gzip_flushed(run_of(5))
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl.gz", flushed))
    assert (outcome.ticks, outcome.lines, outcome.quarantined, outcome.cut_off) == (5, 6, 1, True)
    assert outcome.bytes == len(run_of(5))


def gzip_flushed(content: bytes) -> bytes:
    """Return gzip data of which the end is missing, and nothing of its content."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)


def test_a_bad_line_is_none_the_better_for_a_cut_behind_it(invoke: Invoke, tmp_path: Path) -> None:
    flushed = gzip_flushed(line(t=0) + line(t=1, pnl_total=None))
    write(tmp_path / "balanced_r1.jsonl.gz", flushed)
    assert invoke("check", "balanced_r1.jsonl.gz").stdout.startswith("FAILED: 1 errors")
    assert invoke("ingest", "balanced_r1.jsonl.gz").exit_code == 1


@pytest.mark.parametrize("bad", [b"", b"x\n"], ids=["whole", "with a bad line"])
def test_packed_data_that_is_cut_off_is_not_split(warehouse: Warehouse, bad: bytes) -> None:
    """A copy of its last stretch would look like a whole run."""
    source = write(warehouse.root / "balanced_r1.jsonl.gz", gzip_flushed(run_of(3) + bad + run_of(2)))
    (outcome,) = ingest(warehouse, source, split_on_reset=True, on_error="quarantine")
    assert (outcome.status, outcome.hint) == ("rejected", "split what it unpacks to")


def test_other_packed_files_must_be_whole(warehouse: Warehouse) -> None:
    table = b"experiment,profile,pnl_total,repeat\n" + b"".join(b"e,balanced,%d.5,%d\n" % (n, n) for n in range(500))
    (outcome,) = ingest(warehouse, write(warehouse.root / "e_runs.csv.gz", gzip.compress(table)[:-300]))
    assert (outcome.status, outcome.errors[0].endswith("the gzip data is cut off")) == ("rejected", True)


def test_runs_of_the_monte_carlo_harness_are_cut_off_alike(warehouse: Warehouse) -> None:
    lines = [line(base=MC_RUN, run_index=index) for index in range(3)]
    content = b"".join(lines)[:-20] + bytes(512)
    (outcome,) = ingest(warehouse, write(warehouse.root / "mc_runs.jsonl", content))
    assert (outcome.status, outcome.cut_off, outcome.lines) == ("ingested", True, 3)
    assert ask(warehouse, "SELECT count(*) FROM mc_runs") == [(2,)]


def test_the_tail_stands_in_the_quarantine_without_its_zeros(invoke: Invoke, tmp_path: Path) -> None:
    write(tmp_path / "balanced_r1.jsonl", run_of(2) + line(t=2)[:50] + bytes(1 << 22))
    invoke("ingest", "balanced_r1.jsonl", "--jobs", "1")
    (kept,) = (tmp_path / "warehouse" / "quarantine").glob("*.jsonl")
    assert kept.stat().st_size < 1000
    listed: dict[str, Any] = msgspec.json.decode(invoke("quarantine", "list", "--format", "jsonl").stdout)
    reason = "cut off at the end of the file, 4194304 zero bytes behind it"
    assert (listed["cut_off"], listed["first_reason"], listed["bytes"]) == (True, reason, 50 + (1 << 22))
    shown = invoke("quarantine", "show", listed["run_id"], "--format", "jsonl").stdout
    assert msgspec.json.decode(shown)["raw"] == line(t=2)[:50].decode()


# --- a file that grew -----------------------------------------------------------------------------------------


def test_a_run_that_was_cut_off_goes_on_when_its_file_does(warehouse: Warehouse) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", run_of(5)[:-30])
    (first,) = ingest(warehouse, source)
    source.write_bytes(run_of(8))
    (second,) = ingest(warehouse, source)
    said = f"goes on where run {first.run_id} was cut off, 4 more lines, and takes its place"
    assert (second.status, second.ticks, second.notices) == ("ingested", 8, [said])
    assert ask(warehouse, "SELECT run_id, truncated FROM runs") == [(second.run_id, False)]
    assert ask(warehouse, "SELECT count(*) FROM ticks") == [(8,)]


def test_a_run_that_looked_whole_gives_way_on_demand_alone(warehouse: Warehouse) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", run_of(5))
    (first,) = ingest(warehouse, source)
    source.write_bytes(run_of(8))
    (second,) = ingest(warehouse, source)
    assert second.errors == [f"the file has grown since run {first.run_id} was made of it: 3 more lines"]
    assert second.hint == "take the longer one with --replace"
    assert verdicts(ingest(warehouse, source, replace=True)) == {"balanced_r1.jsonl": "ingested"}
    assert ask(warehouse, "SELECT rows FROM runs") == [(8,)]


@pytest.mark.parametrize("other", [run_of(3), line(t=0, pnl_total=9.0) + run_of(9)[len(line(t=0)) :]])
def test_a_file_that_did_not_grow_is_other_content(warehouse: Warehouse, other: bytes) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", run_of(5)[:-30])
    ingest(warehouse, source)
    source.write_bytes(other)
    (second,) = ingest(warehouse, source)
    assert (second.status, "with other content" in second.errors[0]) == ("rejected", True)
    assert ask(warehouse, "SELECT rows FROM runs") == [(4,)]


def test_packed_and_plain_it_is_the_same_file(warehouse: Warehouse) -> None:
    (first,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", run_of(5)[:-30]))
    (second,) = ingest(warehouse, write(warehouse.root / "copy" / "balanced_r1.jsonl.gz", gzip.compress(run_of(6))))
    assert second.notices[0].startswith(f"goes on where run {first.run_id}")


# --- another encoding -----------------------------------------------------------------------------------------

FOREIGN: Mapping[str, tuple[bytes, str, str]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + THREE, "starts with a byte order mark", "sed -i"),
    "UTF-16": (THREE.decode().encode("utf-16"), "is UTF-16", "iconv -f UTF-16 -t UTF-8"),
    "UTF-16LE": (THREE.decode().encode("utf-16-le"), "is UTF-16", "iconv -f UTF-16LE -t UTF-8"),
    "UTF-16BE": (THREE.decode().encode("utf-16-be"), "is UTF-16", "iconv -f UTF-16BE -t UTF-8"),
}


@pytest.mark.parametrize("on_error", ["reject", "quarantine"])
@pytest.mark.parametrize("what", FOREIGN)
def test_another_encoding_is_refused_as_a_whole_with_the_way_out(
    invoke: Invoke, warehouse: Warehouse, what: str, on_error: str
) -> None:
    """Put aside as one bad line, a byte order mark would take the first tick with it, and the peak that is in it."""
    content, problem, hint = FOREIGN[what]
    source = write(warehouse.root / "balanced_r1.jsonl", content)
    (outcome,) = ingest(warehouse, source, on_error=on_error)
    assert (outcome.status, problem in outcome.errors[0], hint in outcome.hint) == ("rejected", True, True)
    checked = invoke("check", source)
    assert (checked.exit_code, problem in checked.stderr, hint in checked.stderr) == (1, True, True)


@pytest.mark.parametrize("what", FOREIGN)
def test_the_way_out_leads_out(warehouse: Warehouse, what: str) -> None:
    source = write(warehouse.root / "balanced_r1.jsonl", FOREIGN[what][0])
    (outcome,) = ingest(warehouse, source)
    command = outcome.hint.partition(": ")[2].partition(" (")[0].partition(", and")[0]
    subprocess.run(command.replace("FILE", str(source)).replace("NEW", f"{source}.new"), shell=True, check=True)
    if "NEW" in command:
        Path(f"{source}.new").replace(source)
    assert source.read_bytes() == THREE


def test_a_file_of_zeros_is_no_run(warehouse: Warehouse) -> None:
    (outcome,) = ingest(warehouse, write(warehouse.root / "balanced_r1.jsonl", bytes(4096)))
    assert outcome.errors == [
        "line 1: cut off at the end of the file, 4096 zero bytes behind it",
        "balanced_r1.jsonl: no complete record in the file",
    ]


def test_whoever_does_not_ask_gets_an_error(tmp_path: Path) -> None:
    source = write(tmp_path / "run.jsonl.gz", gzip_flushed(run_of(5)))
    with pytest.raises(WarehouseError, match="is cut off"), open_source(source) as stream:
        stream.read()
