"""Random histories beside a model: the short form of tests/torture/histories.py."""

from __future__ import annotations

from tests.conftest import Report
from tests.torture.histories import attack


def test_whatever_happened_the_views_say_what_the_model_says(report: Report) -> None:
    report(attack(3, examples=2, steps=7))
