"""The documents say what is true: the quickstart is run, and everything public is documented."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from paraphina_wh.catalog import view_names
from paraphina_wh.cli.reference import command_reference
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text()
_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


def _quickstart() -> list[tuple[str, str]]:
    """Return (command, expected stdout) of the console blocks of the README, in order."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    steps = re.split(r"^\$ ", "\n".join(blocks), flags=re.MULTILINE)[1:]
    return [(command, output.strip("\n")) for command, output in (step.split("\n", 1) for step in steps)]


def test_the_quickstart_prints_what_the_readme_shows(tmp_path: Path) -> None:
    bin_folder = Path(sys.executable).parent
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    for command, expected in _quickstart():
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert _words(done.stdout) == _words(expected), command


def _words(text: str) -> list[object]:
    """Return the words of an output; numbers compare as numbers, so that column widths and last digits may differ."""
    words = re.sub(r"-{4,}", "", text).split()
    return ["<hash>" if _HASH.fullmatch(word) else _Number.read(word) for word in words]


class _Number(float):
    @staticmethod
    def read(word: str) -> object:
        return _Number(word) if re.fullmatch(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", word) else word

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and math.isclose(self, other, rel_tol=1e-6, abs_tol=1e-9)

    __hash__ = float.__hash__


def test_the_command_page_is_current() -> None:
    page = (PROJECT / "docs" / "commands.md").read_text()
    assert page == command_reference(), "python -m paraphina_wh.cli.reference > docs/commands.md"


def test_every_view_stands_in_the_design() -> None:
    design = (PROJECT / "docs" / "design.md").read_text()
    assert [name for name in view_names() if f"`{name}`" not in design] == []


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in (PROJECT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    file = PROJECT / page
    targets = [link for link in re.findall(r"\]\(([^)#]+)", file.read_text()) if "://" not in link]
    assert [link for link in targets if not (file.parent / link).exists()] == []


def test_the_changelog_opens_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.*)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
