"""The guard process of a sweep, and a supervisor for each of its engines. Run as a script.

    sweep -> guard -> supervisor -> engine -> whatever the engine starts

A supervisor is what the kernel calls a child subreaper: a process below it whose parent has ended, in whatever session
or group, becomes its child. So it can end all that an engine started, and nothing else. It does so when the engine has
ended, when the sweep tells it to, and when the sweep is gone, even by SIGKILL: then the socket between them closes.

The guard does nothing but fork supervisors. It is small and has one thread, so that a fork is cheap and safe; the sweep
is neither. It imports nothing that loads slowly: every sweep starts it.
"""

from __future__ import annotations

import _socket
import ctypes
import os
import select
import sys
import time

TERMINATE = b"T"
"""Asks a supervisor to send its engine's group a SIGTERM. Any other byte, and the end of file, ends all at once."""
DESCRIPTORS = 4
"""What comes with a request: the supervisor's end of the socket, stdout, stderr, and the working directory."""
SIZE = 4
"""Bytes of a number: the length of a request; the two of an answer, the errno of a failed start and the return code."""

END_S = 5.0
"""Seconds after which what cannot be killed is left alone."""
_POLL_S = 1.0
_SIGKILL, _SIGPIPE, _SIGTERM, _SIGXFSZ = 9, 13, 15, 25  # the module that names them takes longer to load than this one
_SET_CHILD_SUBREAPER = 36


def _guard(requests: _socket.socket, parent: int) -> None:
    """Fork a supervisor for each request, until the sweep is gone; then end whatever is left below."""
    _adopt_orphans()
    supervisors: set[int] = set()
    while True:
        if select.select([requests], [], [], _POLL_S)[0]:
            descriptors = _receive(requests)
            if not descriptors:
                break
            supervisors.add(_fork_supervisor(descriptors))
            for each in descriptors:
                os.close(each)
        elif os.getppid() != parent:  # another child of the parent still holds the socket open
            break
        if _lost(supervisors):
            _end_children(spare=supervisors)
    _end_children()


def _receive(requests: _socket.socket) -> list[int]:
    """Return the descriptors of the next request, none when no request will come."""
    data, ancillary, _, _ = requests.recvmsg(
        1, _socket.CMSG_SPACE(DESCRIPTORS * SIZE), getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
    )
    packed = b"".join(content for _, _, content in ancillary) if data else b""
    return [int.from_bytes(packed[i : i + SIZE], sys.byteorder) for i in range(0, len(packed), SIZE)]


def _lost(supervisors: set[int]) -> bool:
    """Forget the supervisors that have ended; tell whether one was killed, and left what it watched."""
    lost = False
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            lost |= ended[0] in supervisors and ended[1] != 0
            supervisors.discard(ended[0])
    except ChildProcessError:
        pass
    return lost


def _fork_supervisor(descriptors: list[int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        # The requests: a guard that was killed must leave nobody who would never answer one.
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        _supervise(*descriptors)
        os._exit(0)
    finally:
        os._exit(1)


def _supervise(sweep: int, stdout: int, stderr: int, folder: int) -> None:
    """Run the engine that the sweep asks for; when all that it started has ended, tell the sweep how it ended."""
    _adopt_orphans()
    words = _read_exactly(sweep, int.from_bytes(_read_exactly(sweep, SIZE), sys.byteorder)).split(b"\0")
    count = 2 + int(words[1])
    try:
        os.fchdir(folder)
        engine = os.posix_spawn(
            words[0],
            words[2:count],
            dict(word.split(b"=", 1) for word in words[count:]),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, stdout, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
            ],
            setsid=True,
            setsigdef=[_SIGPIPE, _SIGXFSZ],  # Python ignores them
        )
    except OSError as error:
        _answer(sweep, error.errno or 1, 0)
        return
    for each in (stdout, stderr, folder):
        os.close(each)
    _wait(engine, sweep)
    _signal_group(engine, _SIGKILL)  # before the engine is reaped: until then no other process can get its number
    code = os.waitstatus_to_exitcode(os.waitpid(engine, 0)[1])
    _end_children()
    _answer(sweep, 0, code)


def _wait(engine: int, sweep: int) -> None:
    """Return when the engine has ended, not yet reaped, or is to be ended."""
    poll = select.poll()
    poll.register(sweep, select.POLLIN)
    handle = None
    wait_ms = 50.0
    try:
        handle = os.pidfd_open(engine)
        poll.register(handle, select.POLLIN)
        wait_ms = _POLL_S * 1000
    except (AttributeError, OSError):  # not Linux, or a kernel before 5.3: look now and then
        pass
    while not _has_ended(engine):
        for ready, _ in poll.poll(wait_ms):
            if ready != handle:
                if os.read(sweep, 1) != TERMINATE:
                    return
                _signal_group(engine, _SIGTERM)


def _has_ended(engine: int) -> bool:
    """Tell whether the engine has ended, and reap what else has."""
    while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if ended.si_pid == engine:
            return True
        os.waitpid(ended.si_pid, 0)
    return False


def _end_children(spare: set[int] | frozenset[int] = frozenset()) -> None:
    """Kill every process below this one, but those to spare; give up on what cannot be killed."""
    until = time.monotonic() + END_S
    while _has_children() and time.monotonic() < until:
        children = _children() - spare
        if not children:
            return
        for each in children:  # what they leave behind comes next: it becomes ours
            try:
                os.kill(each, _SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.001)


def _has_children() -> bool:
    """Reap what has ended, and tell whether anything is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> set[int]:
    found = set()
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if parent == os.getpid():
                found.add(int(entry))
    return found


def _adopt_orphans() -> None:
    """Become the parent of every process below this one whose parent ends; only Linux knows how."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _read_exactly(descriptor: int, size: int) -> bytes:
    pieces = b""
    while len(pieces) < size:
        piece = os.read(descriptor, size - len(pieces))
        if not piece:
            os._exit(0)  # the sweep is gone, and nothing has started
        pieces += piece
    return pieces


def _answer(sweep: int, errno: int, code: int) -> None:
    message = b"".join(number.to_bytes(SIZE, sys.byteorder, signed=True) for number in (errno, code))
    try:
        os.write(sweep, message)
    except OSError:  # the sweep is gone
        return


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # already gone
        return


if __name__ == "__main__":
    _guard(_socket.socket(fileno=0), parent=int(sys.argv[1]))
