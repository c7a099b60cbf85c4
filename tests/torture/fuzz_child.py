"""The process that atheris drives and ends: `python -m tests.torture.fuzz_child [libFuzzer options] CORPUS`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["paraphina_wh.telemetry"]):
    from tests.torture.fuzz_reader import finding


def one_input(data: bytes) -> None:
    wrong = finding(data)
    assert wrong is None, wrong


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
