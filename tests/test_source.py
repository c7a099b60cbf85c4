"""Files as streams of decompressed bytes: what they are packed in, and what is wrong with them."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from paraphina_wh.errors import WarehouseError
from paraphina_wh.telemetry.source import Unpacked, ending_of, is_cut_off, open_source, packing_of
from tests.conftest import Invoke
from tests.records import line, run_of

Pack = Callable[[bytes], bytes]


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz", "run.jsonl.zst"])
def test_the_content_of_a_file_says_what_it_is_packed_in(tmp_path: Path, pack: Pack, name: str) -> None:
    (tmp_path / name).write_bytes(pack(run_of(20)))
    with open_source(tmp_path / name) as source:
        assert source.read() == run_of(20)


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_packed_files_may_be_joined(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "run.jsonl").write_bytes(pack(line(t=0)) + pack(line(t=1)))
    with open_source(tmp_path / "run.jsonl") as source:
        assert source.read() == line(t=0) + line(t=1)


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (zstd, "zstd")])
@pytest.mark.parametrize("kept", [5, 60, -1])
def test_a_cut_off_packed_file_is_an_error_that_names_it(tmp_path: Path, pack: Pack, name: str, kept: int) -> None:
    (tmp_path / "run.jsonl").write_bytes(pack(run_of(20))[:kept])
    with pytest.raises(WarehouseError) as raised, open_source(tmp_path / "run.jsonl") as source:
        source.read()
    assert raised.value.message == f"{tmp_path}/run.jsonl: the {name} data is cut off"
    assert raised.value.exit_code == 1


PACKED_TICKS = b"".join(b'{"t":%d,"x":%d}\n' % (t, t * t % 977) for t in range(30_000))


@pytest.mark.parametrize("zeros", [0, 1, 300_000])
@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_what_packed_data_holds_before_it_is_cut_off_is_given_to_whom_asks(
    tmp_path: Path, pack: Pack, zeros: int
) -> None:
    """Also with the zero bytes of a power loss behind it: unpacked, they would give what never was there."""
    packed = pack(PACKED_TICKS)
    for kept in (9, len(packed) // 3, len(packed) // 2, len(packed) - 9):
        (tmp_path / "run.jsonl").write_bytes(packed[:kept] + bytes(zeros))
        with open_source(tmp_path / "run.jsonl", may_be_cut=True) as source:
            got = source.read()
            assert is_cut_off(source)
        assert PACKED_TICKS.startswith(got)
        # What comes out of it is what had come in, to within a block of zstd.
        assert len(got) / len(PACKED_TICKS) > (kept - (128 << 10)) / len(packed)


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_damage_is_no_cut(tmp_path: Path, pack: Pack) -> None:
    packed = bytearray(pack(PACKED_TICKS))
    middle = len(packed) // 2
    packed[middle : middle + 999] = b"\xff" * 999
    (tmp_path / "run.jsonl").write_bytes(packed)
    with (
        pytest.raises(WarehouseError, match="is damaged"),
        open_source(tmp_path / "run.jsonl", may_be_cut=True) as source,
    ):
        source.read()


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_damaged_packed_file_is_an_error_that_names_it(tmp_path: Path, pack: Pack) -> None:
    packed = bytearray(pack(run_of(20)))
    packed[40:60] = bytes(20)
    (tmp_path / "run.jsonl").write_bytes(packed)
    with (
        pytest.raises(WarehouseError, match=r"run.jsonl: the (gzip|zstd) data is damaged") as raised,
        open_source(tmp_path / "run.jsonl") as source,
    ):
        source.read()
    assert raised.value.exit_code == 1


def test_a_folder_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="Is a directory") as raised, open_source(tmp_path):
        pass
    assert raised.value.exit_code == 2


def test_a_pipe_can_be_checked(tiny_run: Path) -> None:
    shell = f"{sys.executable} -m paraphina_wh check <(gzip -c {tiny_run}/balanced_r1.jsonl)"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=600)
    assert done.stdout.startswith("OK: 6 records in /dev/fd/")


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.jsonl", ".jsonl"),
        ("RUN.JSONL.GZ", ".jsonl"),
        ("b.csv.zst", ".csv"),
        ("notes", ""),
        ("a.gz", ""),
        ("a.b.Txt", ".txt"),
    ],
)
def test_the_ending_of_a_name_is_that_below_its_packing(name: str, ending: str) -> None:
    assert ending_of(Path("runs") / name) == ending


@pytest.mark.parametrize(
    ("head", "packing"),
    [
        (b"\x1f\x8b", "gzip"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x28\xb5\x2f", None),
        (b"\x1f", None),
        (b"", None),
    ],
)
def test_the_first_bytes_say_what_a_file_is_packed_in(head: bytes, packing: str | None) -> None:
    assert packing_of(head) == packing


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError) as raised, open_source(tmp_path / "run.jsonl"):
        pass
    assert raised.value.message == f"no such file: {tmp_path}/run.jsonl"
    assert (raised.value.hint, raised.value.exit_code) == ("check the path", 2)


# The memory of a process starts behind its first pages: reading them is an error of the machine, EIO.
UNREADABLE = Path("/proc/self/mem")


@pytest.mark.parametrize("read", [lambda source: source.read(), lambda source: source.read(1)], ids=["all", "some"])
def test_a_file_that_cannot_be_read_is_named(read: Callable[[io.BytesIO], bytes]) -> None:
    with pytest.raises(WarehouseError) as raised, open_source(UNREADABLE) as source:
        read(source)  # type: ignore[arg-type]
    assert raised.value.message == "cannot read /proc/self/mem: Input/output error"
    assert (raised.value.hint, raised.value.exit_code) == ("check the path and its permissions", 2)


def test_a_file_that_cannot_be_read_exits_2(invoke: Invoke) -> None:
    result = invoke("check", UNREADABLE)
    assert result.stdout == "FAILED: 1 errors in /proc/self/mem\ncannot read /proc/self/mem: Input/output error\n"
    assert result.exit_code == 2


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_may_never_end_and_is_refused(invoke: Invoke, device: str) -> None:
    result = invoke("check", device)
    assert result.stdout == f"FAILED: 1 errors in {device}\ncannot read {device}: a device, which may never end\n"
    assert result.exit_code == 2


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl.gz").write_bytes(gzip.compress(run_of(1)))
    with pytest.raises(OSError, match="disk full"), open_source(tmp_path / "run.jsonl.gz"):
        raise OSError("disk full")


# gzip


def unpacked(packed: bytes, packing: str = "gzip", free_bytes: int = 1 << 20, piece: int = 1 << 16) -> bytes:
    """Unpack in reads of some size."""
    stream = Unpacked("run.jsonl", io.BytesIO(packed), packing, free_bytes)
    return b"".join(iter(lambda: stream.read(piece) or b"", b""))


def member(content: bytes, flags: int = 0, extra: bytes = b"") -> bytes:
    """Return a gzip member written by hand: header, deflated content, checksum, size."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + extra
    return head + deflate.compress(content) + deflate.flush() + struct.pack("<II", zlib.crc32(content), len(content))


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    "packed",
    [
        member(b"ab") + member(b"c"),
        member(b"ab") + bytes(3) + member(b"c"),
        member(b"ab") + member(b"c") + bytes(600_000),
        member(b"ab") + bytes(600_000) + member(b"c"),
        member(b"") * 3 + member(b"abc") + member(b""),
        member(b"abc", 8, b"n" * 600_000 + b"\0"),
        member(b"abc", 16, b"comment\0"),
        member(b"abc", 4, struct.pack("<H", 60_000) + bytes(60_000)),
    ],
    ids=["joined", "padded", "zeros behind", "zeros between", "empty", "name", "comment", "extra field"],
)
def test_gzip_members_are_read_as_one(packed: bytes, piece: int) -> None:
    assert unpacked(packed, piece=piece) == b"abc" == gzip.decompress(packed)


@pytest.mark.parametrize("kept", [2, 9, 10, 12, 600, -8, -5, -1])
def test_a_member_that_ends_early_is_cut_off(kept: int) -> None:
    with pytest.raises(WarehouseError) as raised:
        unpacked(member(os.urandom(1000))[:kept])
    assert raised.value.message == "run.jsonl: the gzip data is cut off"
    assert raised.value.hint == "get a whole copy of the file, or unpack what is left of it and check that"


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (member(b"abc")[:-8] + bytes(7) + b"\1", "incorrect data check"),
        (member(b"abc")[:-4] + b"\3\0\0\1", "incorrect length check"),
        (member(b"abc") + b"garbage", "incorrect header check"),
        (member(b"abc") + b"\0\0XXXX", "incorrect header check"),
        (b"\x1f\x8b\x07" + member(b"abc")[3:], "unknown compression method"),
        (b"\0" + member(b"abc"), "incorrect header check"),
        (member(b"abc", 0x80), "unknown header flags set"),
    ],
)
def test_a_member_that_is_wrong_is_damaged(packed: bytes, why: str) -> None:
    with pytest.raises(WarehouseError) as raised:
        unpacked(packed)
    assert raised.value.message == f"run.jsonl: the gzip data is damaged (Error -3 while decompressing data: {why})"
    assert raised.value.exit_code == 1


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3_000_000])
def test_members_of_any_size_come_out_whole(size: int) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    for piece in (1 << 12, 1 << 18, 1 << 22):
        assert unpacked(gzip.compress(content, 1), free_bytes=1 << 23, piece=piece) == content


# Files that unpack to more than they should


def test_a_file_may_unpack_to_two_hundred_times_its_size() -> None:
    packed = member(bytes(1_000_000))
    assert 200 * len(packed) < 1_000_000
    # As much again of what does not pack: 200 times what was read.
    rest = 1_000_000 // 200 - len(packed)
    padding = member(
        b"", 4, struct.pack("<H", rest - len(member(b"", 4, b"\0\0"))) + bytes(rest - len(member(b"", 4, b"\0\0")))
    )
    assert len(padding + packed) * 200 == 1_000_000
    assert unpacked(padding + packed, free_bytes=1) == bytes(1_000_000)
    with pytest.raises(WarehouseError):
        unpacked(padding + member(bytes(1_000_001)), free_bytes=1)


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (zstd, "zstd")])
def test_what_is_free_may_come_out_of_any_file(pack: Pack, name: str) -> None:
    packed = pack(bytes(1_000_000))
    assert unpacked(packed, name, free_bytes=1_000_000) == bytes(1_000_000)
    with pytest.raises(WarehouseError) as raised:
        unpacked(packed, name, free_bytes=999_999, piece=1_000_000)
    assert raised.value.message == (
        f"run.jsonl: {len(packed)} bytes of {name} data unpack to 1000000 and more, over 200 times as many"
    )
    assert raised.value.hint == (
        "telemetry packs 10 to 60 times: if the file is what it should be, unpack it and give the plain file"
    )
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (zstd, "zstd")])
def test_many_small_bombs_in_a_row_are_one(pack: Pack, name: str) -> None:
    with pytest.raises(WarehouseError, match="over 200 times as many"):
        unpacked(pack(bytes(500_000)) * 10, name)


def test_the_same_record_again_and_again_is_no_bomb() -> None:
    stuck = b"".join(line(t=t) for t in range(5000))
    packed = gzip.compress(stuck, 9)
    assert 50 < len(stuck) / len(packed) < 200
    assert unpacked(packed, free_bytes=1) == stuck


def test_a_gibibyte_is_free(tmp_path: Path) -> None:
    packed = zstd(bytes(1 << 24))
    (tmp_path / "run.jsonl.zst").write_bytes(packed * 65)
    size = 0
    with pytest.raises(WarehouseError) as raised, open_source(tmp_path / "run.jsonl.zst") as source:
        while block := source.read(1 << 22):
            size += len(block)
    assert 1 << 30 >= size > (1 << 30) - (1 << 23)
    assert raised.value.message.startswith(f"{tmp_path}/run.jsonl.zst: {65 * len(packed)} bytes of zstd data unpack to")


# zstd: a frame by hand, its window as a power of two.


def frame(window: int) -> bytes:
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(window - 10) << 3]) + b"\x19\x00\x00abc"


def test_a_window_of_up_to_128_mib_is_unpacked() -> None:
    assert unpacked(frame(27), "zstd") == b"abc"


def test_a_larger_window_is_refused() -> None:
    with pytest.raises(WarehouseError) as raised:
        unpacked(frame(28), "zstd")
    assert raised.value.message == "run.jsonl: unpacking the zstd data takes more than 128 MiB of memory"
    assert raised.value.hint == "pack it again without --long, or unpack it and give the plain file"


def test_a_packed_file_in_a_packed_file_is_no_telemetry(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl.gz.gz").write_bytes(gzip.compress(gzip.compress(run_of(1))))
    result = invoke("check", "run.jsonl.gz.gz")
    assert result.stdout.splitlines()[1].startswith("line 1: record: not UTF-8: byte 2 is 0x8b")
    assert result.exit_code == 1
