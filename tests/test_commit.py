"""The commit path: a file is whole and final, or it is not there."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraphina_wh.commit import publish, staging_folder, write_atomically
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import locate
from tests.records import run_of
from tests.telemetry_maker import ask, files_below, ingest, write


def test_publish_moves_files_in_the_order_given_and_makes_folders(tmp_path: Path) -> None:
    first, second = write(tmp_path / "staging" / "1", "ticks"), write(tmp_path / "staging" / "2", "ledger")
    publish([(first, tmp_path / "a" / "b" / "ticks"), (second, tmp_path / "c" / "ledger")])
    assert (tmp_path / "a" / "b" / "ticks").read_text() == "ticks"
    assert (tmp_path / "c" / "ledger").read_text() == "ledger"
    assert list((tmp_path / "staging").iterdir()) == []


def test_everything_is_on_disk_before_the_commit_and_the_commit_before_the_return(tmp_path: Path) -> None:
    """What the system is asked to do, as strace sees it: nothing of the order is left to luck."""
    for name in ("ticks", "ledger"):
        write(tmp_path / name, name)
    code = (
        "import pathlib, sys; from paraphina_wh.commit import publish; p = pathlib.Path(sys.argv[1]);"
        "publish([(p / 'ticks', p / 'new' / 'sub' / 'ticks'), (p / 'ledger', p / 'runs' / 'ledger')])"
    )
    try:
        traced = subprocess.run(
            ["strace", "-f", "-y", "-e", "trace=fsync,rename", sys.executable, "-c", code, tmp_path],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("no strace on this machine: the order of the system calls cannot be seen")
    calls = re.findall(r"(fsync|rename)\((?:\d+<)?\"?([^\">,]*)", traced.stderr)
    assert traced.returncode == 0, traced.stderr
    seen = [(call, str(Path(path).relative_to(tmp_path))) for call, path in calls]
    assert set(seen[:2]) == {("fsync", "ticks"), ("fsync", "ledger")}
    assert seen[2] == ("rename", "ticks")
    assert set(seen[3:6]) == {("fsync", "new/sub"), ("fsync", "new"), ("fsync", ".")}
    assert seen[6] == ("rename", "ledger")
    assert set(seen[7:]) == {("fsync", "runs"), ("fsync", ".")}


def test_a_file_is_replaced_as_a_whole_and_is_readable_for_others(tmp_path: Path) -> None:
    path = write(tmp_path / "deep" / "artefact.csv", "old")
    mask = os.umask(0o022)
    try:
        write_atomically(path, b"new")
    finally:
        os.umask(mask)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(files_below(tmp_path)) == ["deep/artefact.csv"]


def test_readers_see_the_old_content_or_the_new_and_nothing_between(tmp_path: Path) -> None:
    path = tmp_path / "artefact"
    contents = [b"a" * 100_000, b"b" * 50_000]
    write_atomically(path, contents[0])
    done = threading.Event()

    def rewrite() -> None:
        for i in range(60):
            write_atomically(path, contents[i % 2])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in contents
    writer.join()


def test_a_folder_in_the_way_leaves_everything_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "taken" / "inside", "kept")
    with pytest.raises(WarehouseError, match=r"cannot write .*taken"):
        write_atomically(tmp_path / "taken", b"new")
    assert list(files_below(tmp_path)) == ["taken/inside"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_keeps_the_old_content(tiny_disk: Path) -> None:
    path = write(tiny_disk / "artefact", "old")
    with pytest.raises(WarehouseError, match="No space left on device") as failed:
        write_atomically(path, bytes(8 << 20))
    assert failed.value.hint.startswith("free some disk space")
    assert path.read_text() == "old"
    assert list(files_below(tiny_disk)) == ["artefact"]


def test_a_read_only_folder_keeps_the_old_content(tiny_disk: Path) -> None:
    path = write(tiny_disk / "artefact", "old")
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with pytest.raises(WarehouseError, match="Read-only file system") as failed:
        write_atomically(path, b"new")
    assert failed.value.hint == "the file system is read-only"
    assert path.read_text() == "old"
    assert list(files_below(tiny_disk)) == ["artefact"]


def test_an_ingest_onto_a_full_disk_leaves_the_warehouse_as_it_was(tiny_disk: Path) -> None:
    source = write(tiny_disk.parent / "balanced_r1.jsonl", run_of(10))
    warehouse = locate(tiny_disk)
    ingest(warehouse, source)
    before = files_below(warehouse.path)
    big = write(tiny_disk.parent / "balanced_r2.jsonl.gz", gzip.compress(run_of(20_000)))
    with pytest.raises(WarehouseError, match="No space left on device"):
        ingest(warehouse, big)
    assert files_below(warehouse.path) == before
    assert ask(warehouse, "SELECT label, num_ticks FROM runs") == [("exp13_balanced_r001", 10)]


def test_a_staging_folder_goes_with_all_that_is_in_it_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staging_folder(tmp_path / "_staging", "batch") as folder:
        assert folder == tmp_path / "_staging" / "batch"
        write(folder / "deep" / "half", "written")
        raise KeyboardInterrupt
    assert list((tmp_path / "_staging").iterdir()) == []


def test_a_staging_folder_that_cannot_be_made_is_an_error_that_says_where(tmp_path: Path) -> None:
    write(tmp_path / "_staging", "a file")
    with pytest.raises(WarehouseError, match="cannot write below"), staging_folder(tmp_path / "_staging", "batch"):
        pass
