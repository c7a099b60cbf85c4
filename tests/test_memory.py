"""Memory of an ingest follows nothing that a file holds: the short form of tests/torture/memory.py."""

from __future__ import annotations

import pytest

from tests.conftest import Report
from tests.torture.figures import Figure
from tests.torture.memory import KINDS, MOST_MIB, limit_of, peaks

# Enough to go beyond the limit were it held at once.
MIB = {"a text of 1 MB in every line": 300, "a text of 50 MB now and then": 200}


@pytest.mark.parametrize("kind", MIB)
def test_undeclared_content_costs_no_memory(kind: str, report: Report) -> None:
    assert kind in KINDS
    found = list(peaks(kind, MIB[kind]))
    held = sum(mib <= limit_of(command) for command, mib in found)
    assert held == len(found), found
    report(Figure(f"memory of undeclared content: {kind}, {MIB[kind]} MiB in {MOST_MIB}", len(found), held, "commands"))
