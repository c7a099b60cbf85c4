"""Commands in processes of their own, without the second that it takes to load them: a zygote that forks.

What DuckDB and Polars start does not survive a fork, so the zygote only loads them. A command starts in its child as
freshly as `python -m paraphina_wh` does, and may be killed as such.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pkgutil
import resource
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

import msgspec

PROJECT = Path(__file__).parents[2]


class Job(msgspec.Struct, omit_defaults=True):
    """What a child is to do: a command line, or a function (`module:name`) whose JSON result goes to `<out>.json`.

    out: what it prints goes to `<out>.out` and `<out>.err`. file_limit: the largest file in bytes; open_files: how many
    it may have open. user: whom the process belongs to.
    """

    cwd: str
    out: str
    argv: list[str] = []
    function: str = ""
    arguments: list[Any] = []
    env: dict[str, str] = {}
    file_limit: int = 0
    open_files: int = 0
    user: int = 0


@dataclass(frozen=True)
class Ended:
    """How a command ended. code: its exit code, or the negative number of the signal that killed it."""

    code: int
    stdout: str
    stderr: str


class Zygote:
    """A process that forks one child after the other; use it as a context manager."""

    def __init__(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PARAPHINA_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=PROJECT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._folder = tempfile.TemporaryDirectory(prefix="torture-")
        self._out = Path(self._folder.name) / "child"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _stream(self._process.stdin).close()
        self._process.wait()
        _stream(self._process.stdout).close()
        self._folder.cleanup()

    def start(self, cwd: Path, *argv: str, env: dict[str, str] | None = None, **limits: int) -> int:
        """Start a command and return its process id; limits: fields of a job."""
        job = Job(str(cwd), str(self._out), argv=list(argv), env=env or {})
        return self._send(msgspec.structs.replace(job, **limits))

    def wait(self) -> Ended:
        """Wait for the end of what was started."""
        code = int(self._receive())
        return Ended(code, self._read(".out"), self._read(".err"))

    def run(self, cwd: Path, *argv: str, env: dict[str, str] | None = None, **limits: int) -> Ended:
        """Run a command to its end."""
        self.start(cwd, *argv, env=env, **limits)
        return self.wait()

    def call(self, function: str, *arguments: Any) -> Any:
        """Run a function in a child and return its result. Raises: AssertionError with what it said when it failed."""
        self._send(Job("/", str(self._out), function=function, arguments=list(arguments)))
        ended = self.wait()
        assert ended.code == 0, f"{function}{arguments}: {ended.code}\n{ended.stdout}{ended.stderr}"
        return msgspec.json.decode(self._out.with_suffix(".json").read_bytes())

    def _send(self, job: Job) -> int:
        stream = _stream(self._process.stdin)
        stream.write(msgspec.json.encode(job) + b"\n")
        stream.flush()
        return int(self._receive())

    def _receive(self) -> bytes:
        line: bytes = _stream(self._process.stdout).readline()
        assert line, f"the zygote has ended: {self._process.wait()}"
        return line

    def _read(self, suffix: str) -> str:
        return self._out.with_suffix(suffix).read_text(errors="replace")


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream
    return stream


# The other side


def _serve() -> Job | None:
    """Fork a child for every job; return in the child with its job, and in the zygote with None at the end."""
    _load_everything()
    gc.freeze()
    while line := _read_line():
        job = msgspec.json.decode(line, type=Job)
        pid = os.fork()
        if pid == 0:
            return job
        os.write(1, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))
    return None


def _read_line() -> bytes:
    """Return the next line of stdin; nothing of it stays in a buffer, which a child would inherit."""
    line = b""
    while not line.endswith(b"\n") and (piece := os.read(0, 1 << 16)):
        line += piece
    return line


def _load_everything() -> None:
    import paraphina_wh

    for module in pkgutil.walk_packages(paraphina_wh.__path__, "paraphina_wh."):
        if not module.name.endswith((".__main__", ".worker")):
            importlib.import_module(module.name)
    # The last one is loaded by Python itself, late, and may be out of reach of another user.
    for name in ("duckdb", "polars", "pyarrow.parquet", "tests.torture.scene", "_strptime"):
        importlib.import_module(name)


def _become(job: Job) -> None:
    """Take on what the job says about the process."""
    os.setsid()
    os.chdir(job.cwd)
    os.environ.update(job.env)
    for number, name in ((0, os.devnull), (1, f"{job.out}.out"), (2, f"{job.out}.err")):
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if number else 0), 0o666)
        os.dup2(descriptor, number)
        os.close(descriptor)
    for limit, value in ((resource.RLIMIT_FSIZE, job.file_limit), (resource.RLIMIT_NOFILE, job.open_files)):
        if value:
            resource.setrlimit(limit, (value, value))
    if job.user:
        os.setgroups([])
        os.setgid(job.user)
        os.setuid(job.user)
    _arm_failpoints()


def _arm_failpoints() -> None:
    """Let this process have the failpoints that a new one would have."""
    from paraphina_wh import failpoints

    idle = failpoints.step
    armed = failpoints.armed()
    for module in [module for name, module in sys.modules.items() if name.startswith("paraphina_wh.")]:
        if getattr(module, "step", None) is idle:
            vars(module)["step"] = armed


def _work(job: Job) -> None:
    if job.function:
        module, name = job.function.split(":")
        result = getattr(importlib.import_module(module), name)(*job.arguments)
        Path(job.out).with_suffix(".json").write_bytes(msgspec.json.encode(result))
        return
    from paraphina_wh.__main__ import main

    sys.argv = ["paraphina-wh", *job.argv]
    main()


def _end(job: Job) -> NoReturn:
    """Do what a job says and end as Python does, but for taking everything loaded apart: that is most of the time."""
    code: object = 0
    try:
        _work(job)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    found = _serve()
    if found is None:
        # Libraries that were never used would complain of how they are left.
        os._exit(0)
    _become(found)
    _end(found)
