"""Mutation testing: the reader and the commit path are changed in every small way, and their tests must notice.

`make mutants` runs mutmut on a copy of the project, as `[tool.mutmut]` in pyproject.toml says, and prints the share of
mutants that the tests killed. Exit code 1 below the share that is due.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
COPIED = ("paraphina_wh", "sql", "tests", "docs", "pyproject.toml", "README.md")
LEAST_SHARE = 0.85


def main() -> int:
    """Run mutmut and print the share; survivors are listed on stderr."""
    with tempfile.TemporaryDirectory(prefix="paraphina-wh-mutants-") as name:
        folder = Path(name)
        for each in COPIED:
            source, target = PROJECT / each, folder / each
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        mutmut(folder, "run")
        sys.stderr.write(mutmut(folder, "results"))
        mutmut(folder, "export-cicd-stats")
        stats = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text())
    # A mutant that makes the tests hang is noticed as well.
    killed, total = stats["killed"] + stats["timeout"] + stats["segfault"], stats["total"]
    print(f"{killed} of {total} mutants killed: {killed / total:.1%}; {LEAST_SHARE:.0%} are due")
    return 0 if killed >= LEAST_SHARE * total else 1


def mutmut(folder: Path, command: str) -> str:
    program = Path(sys.executable).parent / "mutmut"
    done = subprocess.run([program, command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"mutmut {command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
