"""What lies below a folder: files, and what is none, by name. Links are followed, to each folder once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path
from typing import Final

_KINDS: Final = {
    stat.S_IFIFO: "a FIFO, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


@dataclass(frozen=True)
class Entry:
    """Something in a folder. problem: why it is no file that can be read; empty for one that can, as far as is known.

    is_loop: a link to a folder that it lies in itself.
    """

    path: Path
    problem: str = ""
    is_loop: bool = False


def entries_below(folder: Path, *, hidden: bool = False) -> Iterator[Entry]:
    """Yield the files below a folder, and all else in it but folders, in no order to rely on.

    A folder that can be reached in several ways is gone through once, by its own name if it has one below there.
    hidden: names with a dot at the start too.
    """
    seen: set[tuple[int, int]] = set()
    folders, links = [folder], list[Path]()
    while folders or links:
        current = folders.pop() if folders else links.pop()
        try:
            found = current.stat()
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            with os.scandir(current) as scan:
                names = sorted(entry.name for entry in scan if hidden or not entry.name.startswith("."))
        except OSError as error:
            yield Entry(current, f"cannot be read: {error.strerror}")
            continue
        for path in (current / name for name in names):
            if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a folder may not be searched
                yield Entry(path, problem_of(path))
            elif not path.is_symlink():
                folders.append(path)
            elif Path(os.path.realpath(current)).is_relative_to(os.path.realpath(path)):
                yield Entry(path, "a link to a folder that it lies in", is_loop=True)
            else:
                links.append(path)


def problem_of(path: Path) -> str:
    """Return why something that is no folder is no file that can be read either; nothing for a file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"a link to {path.readlink()}, which is not there" if path.is_symlink() else "not there any more"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return _folder_problem(path)
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a file")


def _folder_problem(path: Path) -> str:
    try:
        with os.scandir(path):
            return "a folder, not a file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def named_by(pattern: str) -> list[Path]:
    """Return what a glob names; `**` goes through every folder once, whatever links there are."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return [Path(found) for found in sorted(glob(pattern))]  # noqa: PTH207
    fixed = next(at for at, part in enumerate(parts) if has_magic(part))
    start = Path(*parts[:fixed])
    found = entries_below(start) if start.is_dir() else ()
    return sorted(each.path for each in found if _fits(each.path.relative_to(start).parts, parts[fixed:]))


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Tell whether a pattern names a path, or a folder above it."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_fits(parts[at:], pattern[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
