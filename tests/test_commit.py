"""The commit path: a file is whole and final, or it is not there; and what is there is recorded."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import msgspec
import pytest

from paraphina_wh import commit
from paraphina_wh.commit import (
    Put,
    append,
    held,
    nobody_commits,
    publish,
    publish_new,
    remove,
    retire,
    settle,
    staging,
    staging_folder,
    write_atomically,
    write_record,
)
from paraphina_wh.errors import WarehouseError
from paraphina_wh.records import PENDING, Record, Records, StoredFile, decode, fold, read_records
from paraphina_wh.warehouse import Warehouse, locate
from tests.records import run_of
from tests.telemetry_maker import ask, files_below, ingest, write

NAME = "20261123T120000.000000Z-00000001"
LATER = "20261123T120001.000000Z-00000002"


def put(warehouse: Warehouse, name: str, content: str, holds: str = "") -> Put:
    """Stage a file that is to go to a place in the warehouse."""
    return Put(write(warehouse.root / "staged" / name, content), warehouse.path / name, holds)


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


# A commit


def test_a_commit_puts_files_in_place_and_records_them(warehouse: Warehouse) -> None:
    puts = [put(warehouse, "telemetry/a/ticks", "six ticks", "ticks of a"), put(warehouse, "runs/ledger", "a")]
    commit.commit(warehouse, Record(NAME), puts)
    assert (warehouse.path / "telemetry/a/ticks").read_text() == "six ticks"
    assert (warehouse.path / "runs/ledger").read_text() == "a"
    (file,) = warehouse.commits.iterdir()
    assert re.fullmatch(rf"{NAME}\.[0-9a-f]{{16}}\.json", file.name)
    assert decode(file) == Record(
        NAME,
        files=[
            StoredFile("telemetry/a/ticks", 9, sha256("six ticks"), "ticks of a"),
            StoredFile("runs/ledger", 1, sha256("a")),
        ],
    )
    assert list(files_below(warehouse.root / "staged")) == []


def test_what_a_commit_drops_is_removed_and_recorded(warehouse: Warehouse) -> None:
    commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/old", "old")])
    drops = [warehouse.path / "runs/old", warehouse.path / "runs/gone already"]
    commit.commit(warehouse, Record(LATER), [put(warehouse, "runs/new", "new")], drops=drops)
    records = read_records(warehouse)
    assert list(records.files) == ["runs/new"]
    assert records.dropped == {"runs/old": LATER, "runs/gone already": LATER}
    assert not (warehouse.path / "runs/old").exists()


def test_dropped_files_may_stay_for_readers_that_have_begun(warehouse: Warehouse) -> None:
    commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/old", "old")])
    drops = [warehouse.path / "runs/old"]
    commit.commit(warehouse, Record(LATER), [put(warehouse, "runs/new", "new")], drops=drops, keep_dropped=True)
    assert (warehouse.path / "runs/old").read_text() == "old"
    assert list(read_records(warehouse).files) == ["runs/new"]


def test_everything_is_on_disk_before_the_commit_and_the_commit_before_the_return(tmp_path: Path) -> None:
    """What the system is asked to do, as strace sees it: nothing of the order is left to luck."""
    root = tmp_path / "root"
    write(root / "warehouse" / "runs" / "old", "old")
    write(root / "warehouse" / "commits" / ".keep", "")
    for name in ("ticks", "ledger"):
        write(root / name, name)
    code = f"""if True:
        import sys
        from paraphina_wh.commit import Put, commit
        from paraphina_wh.records import Record
        from paraphina_wh.warehouse import locate
        warehouse = locate(sys.argv[1])
        root, path = warehouse.root, warehouse.path
        puts = [Put(root / 'ticks', path / 'new' / 'sub' / 'ticks'), Put(root / 'ledger', path / 'runs' / 'ledger')]
        commit(warehouse, Record('{NAME}'), puts, drops=[path / 'runs' / 'old'])
    """
    try:
        traced = subprocess.run(
            ["strace", "-f", "-y", "-e", "trace=fsync,rename,unlink", sys.executable, "-c", code, root],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("no strace on this machine: the order of the system calls cannot be seen")
    assert traced.returncode == 0, traced.stderr
    calls = re.findall(r"(fsync|rename|unlink)\((?:\d+<)?\"?([^\">,]*)", traced.stderr)
    seen = [
        (call, re.sub(r"\.[0-9a-f]{16}\.json", "", os.path.relpath(path, root / "warehouse"))) for call, path in calls
    ]
    pending = f"commits/{NAME}{PENDING}"
    assert set(seen[:2]) == {("fsync", "../ticks"), ("fsync", "../ledger")}
    assert seen[2:4] == [("fsync", pending), ("rename", "../ticks")]
    assert set(seen[4:7]) == {("fsync", "new/sub"), ("fsync", "new"), ("fsync", ".")}
    assert seen[7:9] == [("rename", "../ledger"), ("fsync", "runs")]
    assert seen[9:] == [("unlink", "runs/old"), ("rename", pending), ("fsync", "commits")]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that takes the name of every step, and for every fsync the path that was forced to disk."""
    taken: list[str] = []

    def fsync(descriptor: int) -> None:
        taken.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)

    monkeypatch.setattr(commit, "step", lambda name: taken.append(f"{name}:"))
    monkeypatch.setattr(os, "fsync", fsync)
    return taken


def test_the_steps_of_a_commit(warehouse: Warehouse, steps: list[str]) -> None:
    """Two files of which one needs a new folder; what is forced to disk at once comes in any order."""
    (warehouse.path / "runs").mkdir(parents=True)
    puts = [put(warehouse, "new/sub/ticks", "x"), put(warehouse, "runs/ledger", "x")]
    commit.commit(warehouse, Record(NAME), puts, drops=[warehouse.path / "runs/old"])
    (record,) = (path.name for path in warehouse.commits.iterdir())
    # The folder of records is new.
    assert steps[:3] == ["mkdir:", "fsync:", "warehouse"]
    assert sorted(steps[3:7]) == ["fsync:", "fsync:", "ledger", "ticks"]
    assert steps[7:10] == ["write:", "fsync:", record + PENDING]
    assert steps[10:12] == ["mkdir:", "rename:"]
    assert sorted(steps[12:18]) == ["fsync:", "fsync:", "fsync:", "new", "sub", "warehouse"]
    assert steps[18:22] == ["mkdir:", "rename:", "fsync:", "runs"]
    assert steps[22:] == ["unlink:", "mkdir:", "rename:", "fsync:", "commits"]


def test_folders_of_all_files_are_forced_to_disk(tmp_path: Path, steps: list[str]) -> None:
    publish([(write(tmp_path / name, ""), tmp_path / "there" / name / "file") for name in ("a", "b")])
    assert sorted(name for name in steps[4:] if not name.endswith(":")) == ["a", "b", tmp_path.name, "there"]


def test_the_steps_of_an_append_and_of_a_new_file(tmp_path: Path, steps: list[str]) -> None:
    path = write(tmp_path / "lines", "")
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    append(path, descriptor, b"one\n")
    assert steps == ["write:", "fsync:", "lines", "fsync:", tmp_path.name]
    steps.clear()
    append(path, descriptor, b"two\n")
    os.close(descriptor)
    assert steps == ["write:", "fsync:", "lines"]
    steps.clear()
    publish_new(path, tmp_path / "final")
    assert steps == ["link:", "fsync:", tmp_path.name]


def test_a_file_that_is_being_replaced_is_written_beside_it_under_a_hidden_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long name is cut to 100 characters: with what makes it unique it must fit the limit of 255 bytes."""
    seen: list[str] = []
    monkeypatch.setattr(commit, "step", lambda name: seen.extend(path.name for path in tmp_path.iterdir()))
    write_atomically(tmp_path / ("n" * 150), b"new")
    assert re.fullmatch(r"\.n{100}\.[a-z0-9_]{8}", seen[0])


def test_a_commit_that_fails_before_its_last_rename_leaves_no_trace_of_itself(warehouse: Warehouse) -> None:
    write(warehouse.path / "runs" / "ledger" / "a folder in the way", "")
    with pytest.raises(WarehouseError) as failed:
        commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/ledger", "a")])
    assert failed.value.message == f"cannot write to {warehouse.root}/staged/runs/ledger: Is a directory"
    assert failed.value.hint == "repeat the command once this is solved"
    assert list(warehouse.commits.iterdir()) == []


def test_a_commit_that_fails_after_its_last_rename_is_made_all_the_same(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C right behind the rename: the record stays pending, counts, and gets its name from the next command."""
    monkeypatch.setattr(commit, "step", interrupted_at("unlink"))
    drops = [write(warehouse.path / "runs/old", "old")]
    with pytest.raises(KeyboardInterrupt):
        commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/new", "new")], drops=drops)
    monkeypatch.undo()
    (pending,) = warehouse.commits.iterdir()
    assert pending.name.endswith(PENDING)
    records = read_records(warehouse)
    assert (list(records.files), records.unsettled) == (["runs/new"], [pending])
    settle(warehouse)
    (settled,) = warehouse.commits.iterdir()
    assert settled.name == pending.name.removesuffix(PENDING)
    assert not drops[0].exists()


def interrupted_at(name: str) -> Callable[[str], None]:
    """Return a step that is interrupted by Ctrl-C where the commit path takes a step of a name."""

    def step(taken: str) -> None:
        if taken == name:
            raise KeyboardInterrupt

    return step


def test_settling_leaves_files_that_are_kept_for_readers(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_sync_all", fails_at_the_second_call(commit._sync_all))
    drops = [write(warehouse.path / "runs/old", "old")]
    with pytest.raises(KeyboardInterrupt):
        puts = [put(warehouse, "runs/new", "new")]
        commit.commit(warehouse, Record(NAME), puts, drops=drops, keep_dropped=True)
    monkeypatch.undo()
    settle(warehouse)
    assert [file.suffix for file in warehouse.commits.iterdir()] == [".json"]
    assert drops[0].exists()


def fails_at_the_second_call(function: Callable[..., None]) -> Callable[..., None]:
    calls = 0

    def call(*args: object) -> None:
        nonlocal calls
        calls += 1
        function(*args)
        # Staged files, then the folder of nothing, then that of the commit.
        if calls == 3:
            raise KeyboardInterrupt

    return call


def test_the_record_of_a_commit_that_never_came_does_not_count(warehouse: Warehouse) -> None:
    record = Record(NAME, files=[StoredFile("runs/new", 3, sha256("new"))])
    write_record(warehouse, record)
    (file,) = warehouse.commits.iterdir()
    file.rename(file.with_name(file.name + PENDING))
    write(warehouse.path / "runs/new", "something else")
    write_record(warehouse, Record(LATER, files=[StoredFile("runs/later", 1, "1")]))
    settle(warehouse)
    records = read_records(warehouse)
    assert ([record.name for record in records.all], list(records.files)) == ([LATER], ["runs/later"])
    assert [path.name for path in records.unfinished] == [file.name + PENDING]


def test_nothing_is_settled_while_others_commit(warehouse: Warehouse) -> None:
    write_record(warehouse, Record(NAME, files=[StoredFile("runs/new", 3, sha256("new"))]))
    (file,) = warehouse.commits.iterdir()
    pending = file.rename(file.with_name(file.name + PENDING))
    write(warehouse.path / "runs/new", "new")
    with held(warehouse.commits, fcntl.LOCK_SH):
        settle(warehouse)
        assert pending.exists()
    settle(warehouse)
    assert not pending.exists()


def test_a_damaged_record_is_named_and_does_not_count(warehouse: Warehouse) -> None:
    write_record(warehouse, Record(NAME, files=[StoredFile("runs/new", 3, sha256("new"))]))
    (file,) = warehouse.commits.iterdir()
    file.write_bytes(file.read_bytes().replace(b"runs", b"ruins"))
    records = read_records(warehouse)
    assert (records.files, records.unreadable) == ({}, [file.name])


def test_a_record_that_is_none_is_named(warehouse: Warehouse) -> None:
    content = b'{"name": 1}'
    name = f"{NAME}.{hashlib.sha256(content).hexdigest()[:16]}.json"
    write(warehouse.commits / name, content)
    assert read_records(warehouse).unreadable == [name]


def test_a_half_written_record_announces_nothing(warehouse: Warehouse) -> None:
    half = write(warehouse.commits / f"{NAME}.0123456789abcdef.json{PENDING}", b'{"na')
    write(warehouse.commits / ".hidden", b"{")
    write_record(warehouse, Record(LATER))
    records = read_records(warehouse)
    assert ([record.name for record in records.all], records.unreadable, records.unfinished) == ([LATER], [], [half])


def test_a_warehouse_without_records_has_none(warehouse: Warehouse) -> None:
    assert read_records(warehouse) == Records()


def test_a_file_that_was_damaged_and_put_in_place_again_is_damaged_no_more(warehouse: Warehouse) -> None:
    """Another file that was damaged stays so; one that no record put in place may be damaged too."""
    file, other = StoredFile("runs/a", 1, "1"), StoredFile("runs/b", 1, "1")
    write_record(warehouse, Record("1", damaged=[file, other]))
    write_record(warehouse, Record("2", files=[file]))
    records = read_records(warehouse)
    assert (list(records.files), list(records.damaged)) == (["runs/a"], ["runs/b"])


@pytest.mark.parametrize("settled", [True, False])
def test_a_record_that_is_settled_while_it_is_read_counts_once(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    """Between the listing of the folder and the reading of the file, another process gives the record its name."""
    write_record(warehouse, Record(NAME, files=[StoredFile("runs/new", 3, sha256("new"))]))
    (final,) = warehouse.commits.iterdir()
    pending = final.rename(final.with_name(final.name + PENDING))
    write(warehouse.path / "runs/new", "new")
    write_record(warehouse, Record(LATER, files=[StoredFile("runs/later", 1, "1")]))

    def decode_too_late(path: Path) -> Record | None:
        if path == pending and pending.exists():
            pending.rename(final) if settled else pending.unlink()
        return decode(path)

    monkeypatch.setattr("paraphina_wh.records.decode", decode_too_late)
    assert list(read_records(warehouse).files) == ([*["runs/new"] * settled, "runs/later"])


def test_the_last_word_on_a_path_has_the_newest_record(warehouse: Warehouse) -> None:
    """Put, dropped, put again; then damaged, and dropped for good."""
    first, second = StoredFile("runs/a", 1, "1"), StoredFile("runs/a", 2, "2")
    told = [
        Record("1", files=[first]),
        Record("2", drops=["runs/a"]),
        Record("3", files=[second]),
        Record("4", damaged=[second]),
        Record("5", drops=["runs/a"]),
    ]
    for record, files, dropped, damaged in [
        (told[0], ["runs/a"], [], []),
        (told[1], [], ["runs/a"], []),
        (told[2], ["runs/a"], [], []),
        (told[3], [], [], ["runs/a"]),
        (told[4], [], ["runs/a"], []),
    ]:
        write_record(warehouse, record)
        records = read_records(warehouse)
        assert (list(records.files), list(records.dropped), list(records.damaged)) == (files, dropped, damaged)
        assert [second] * len(damaged) == list(records.damaged.values())
    assert msgspec.json.decode(msgspec.json.encode(told[0]), type=Record) == told[0]


@pytest.mark.parametrize(("path", "counting"), [("telemetry/a/ticks", ["1", "2"]), ("runs/any/schema", ["2"])])
def test_ticks_put_in_place_twice_may_be_either(warehouse: Warehouse, path: str, counting: list[str]) -> None:
    """Two ingests of one run may write the same ticks with other bytes; any other file is what came last."""
    for name, digest in (("1", "1"), ("2", "2")):
        write_record(warehouse, Record(name, files=[StoredFile(path, 1, digest)]))
    assert [file.sha256 for file, _ in read_records(warehouse).files[path]] == counting


def test_many_records_in_one_file_say_what_they_said_apart(warehouse: Warehouse) -> None:
    """The single files stay until `gc` removes them: a record that is told twice counts once."""
    told = [Record("1", files=[StoredFile("runs/a", 1, "1")]), Record("2", drops=["runs/a"]), Record("3")]
    for record in told:
        write_record(warehouse, record)
    apart = read_records(warehouse)
    name, content = fold(told[:2])
    folded = write(warehouse.commits / name, content)
    together = read_records(warehouse)
    assert (together.all, together.dropped, together.files) == (told, apart.dropped, {})
    assert (together.folded, together.held[folded]) == (folded, {"1", "2"})
    assert together.unreadable == []
    for path in warehouse.commits.glob("[12].*.json"):
        path.unlink()
    assert read_records(warehouse).all == told


def test_of_a_dropped_file_it_is_known_what_lies_there_until_another_takes_its_place(warehouse: Warehouse) -> None:
    """Views read it until it is removed, so damage of it counts."""
    first, second = StoredFile("runs/a", 1, "1"), StoredFile("runs/a", 2, "2")
    write_record(warehouse, Record("1", files=[first]))
    write_record(warehouse, Record("2", drops=["runs/a", "runs/b"]))
    assert read_records(warehouse).replaced == {"runs/a": [first]}
    write_record(warehouse, Record("3", files=[second]))
    assert read_records(warehouse).replaced == {}


def test_of_a_damaged_file_of_many_records_the_whole_ones_count(warehouse: Warehouse) -> None:
    name, content = fold([Record("1", drops=["runs/a"]), Record("2", drops=["runs/b"])])
    write(warehouse.commits / name, content.replace(b"runs/a", b"runs/x"))
    records = read_records(warehouse)
    assert (records.unreadable, list(records.dropped)) == ([name], ["runs/b"])


def test_a_link_is_no_record(warehouse: Warehouse, tmp_path: Path) -> None:
    write_record(warehouse, Record("1"))
    (file,) = warehouse.commits.iterdir()
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert read_records(warehouse).unreadable == [file.name]


def test_a_file_that_a_later_commit_put_in_place_again_is_not_removed(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is replaced, the process killed before it removed the ticks; then the run comes in again."""
    ticks = put(warehouse, "telemetry/a/ticks", "x").final
    monkeypatch.setattr(commit, "step", interrupted_at("unlink"))
    write(ticks, "old")
    with pytest.raises(KeyboardInterrupt):
        commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/new", "new")], drops=[ticks])
    monkeypatch.undo()
    with held(warehouse.commits, fcntl.LOCK_SH):
        commit.commit(warehouse, Record(LATER), [put(warehouse, "telemetry/a/ticks", "x")])
    settle(warehouse)
    assert ticks.read_text() == "x"
    assert [file.suffix for file in warehouse.commits.iterdir()] == [".json", ".json"]


def test_files_are_taken_out_for_good_with_a_record(warehouse: Warehouse) -> None:
    """Also when the clock was set back since they were put in place: the removal has the last word."""
    commit.commit(warehouse, Record("29991231T000000.000000Z-1"), [put(warehouse, "runs/a", "a")])
    retire(warehouse, [warehouse.path / "runs/a"])
    records = read_records(warehouse)
    assert (list(records.files), list(records.dropped)) == ([], ["runs/a"])
    assert not (warehouse.path / "runs/a").exists()


def test_nobody_commits_while_one_looks(warehouse: Warehouse) -> None:
    """In a warehouse without records nobody has committed yet."""
    with nobody_commits(warehouse):
        commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/a", "a")])
    taken = pytest.raises(BlockingIOError)
    with nobody_commits(warehouse), taken, held(warehouse.commits, fcntl.LOCK_SH | fcntl.LOCK_NB):
        pass


# Symbolic links


@pytest.mark.parametrize("folder", ["telemetry", "commits", "_staging"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_warehouse(
    warehouse: Warehouse, tmp_path: Path, folder: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    warehouse.path.mkdir()
    (warehouse.path / folder).symlink_to(outside)
    not_through = pytest.raises(WarehouseError, match="nothing is written through symbolic links")
    with not_through as refused, staging(warehouse, "batch"):
        commit.commit(
            warehouse, Record(NAME), [put(warehouse, "telemetry/a/ticks", "x"), put(warehouse, "runs/l", "x")]
        )
    assert list(outside.iterdir()) == []
    assert refused.value.message.startswith(f"{warehouse.path}/{folder} leads out of {warehouse.path}: ")
    assert refused.value.hint == ("put a folder in the place of the link; --warehouse may name another disk as a whole")


def test_the_warehouse_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "warehouse").symlink_to(tmp_path / "large disk")
    warehouse = locate(tmp_path)
    commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/ledger", "a")])
    assert (tmp_path / "large disk" / "runs" / "ledger").read_text() == "a"


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(warehouse: Warehouse, tmp_path: Path) -> None:
    victim = write(tmp_path / "victim", "kept")
    (warehouse.path / "runs").mkdir(parents=True)
    (warehouse.path / "runs" / "ledger").symlink_to(victim)
    commit.commit(warehouse, Record(NAME), [put(warehouse, "runs/ledger", "a")])
    assert (victim.read_text(), (warehouse.path / "runs" / "ledger").is_symlink()) == ("kept", False)


# Files outside of a warehouse


def test_publish_moves_files_in_the_order_given_and_makes_folders(tmp_path: Path) -> None:
    first, second = write(tmp_path / "staging" / "1", "ticks"), write(tmp_path / "staging" / "2", "ledger")
    publish([(first, tmp_path / "a" / "b" / "ticks"), (second, tmp_path / "c" / "ledger")])
    assert (tmp_path / "a" / "b" / "ticks").read_text() == "ticks"
    assert (tmp_path / "c" / "ledger").read_text() == "ledger"
    assert list((tmp_path / "staging").iterdir()) == []


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
    subprocess.run(["umount", "--lazy", disk], check=True)


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


def test_removing_what_is_gone_already_is_fine_and_what_cannot_be_removed_an_error(tmp_path: Path) -> None:
    remove(tmp_path / "gone")
    with pytest.raises(WarehouseError, match=f"^cannot remove {tmp_path}: Is a directory$"):
        remove(tmp_path)


# Appending


def test_an_append_adds_bytes_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    append(path, descriptor, b"one\n")
    append(path, descriptor, b"two\n")
    os.close(descriptor)
    assert path.read_bytes() == b"one\ntwo\n"


def test_an_append_that_the_disk_takes_in_part_is_taken_back(tiny_disk: Path) -> None:
    path = write(tiny_disk / "lines", "one\n")
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    with pytest.raises(OSError, match="the disk took only") as failed:
        append(path, descriptor, bytes(8 << 20))
    os.close(descriptor)
    assert failed.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"one\n"


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    staged, final = write(tmp_path / "staged", "new"), tmp_path / "final"
    publish_new(staged, final)
    assert final.read_text() == "new"
    with pytest.raises(FileExistsError):
        publish_new(write(tmp_path / "other", "other"), final)
    assert final.read_text() == "new"


# Staging


def test_a_staging_folder_is_locked_as_long_as_its_process_lives(tmp_path: Path) -> None:
    taken = pytest.raises(BlockingIOError)
    with staging_folder(tmp_path, "batch") as folder, taken, held(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        pass


def test_a_staging_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`gc` may come between: the folder is empty, old enough for it, and nobody holds it yet."""
    sweeps = iter([True, False])

    def swept(folder: Path, how: int) -> contextlib.AbstractContextManager[None]:
        if next(sweeps):
            folder.rmdir()
        return held(folder, how)

    monkeypatch.setattr(commit, "held", swept)
    with staging_folder(tmp_path, "batch") as folder:
        assert folder.is_dir()


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            'IO Error: Could not write file "x": No space left on device',
            "No space left on device",
            "free some disk space and repeat the command: nothing was half-written",
        ),
        ("IO Error: something else", "IO Error: something else", "repeat the command once this is solved"),
    ],
)
def test_what_duckdb_cannot_write_is_said_in_fewer_words(
    warehouse: Warehouse, said: str, message: str, hint: str
) -> None:
    with pytest.raises(WarehouseError) as failed, staging(warehouse, "batch"):
        raise duckdb.IOException(said)
    assert failed.value.message == f"cannot write below {warehouse.path}: {message}"
    assert failed.value.hint == hint
