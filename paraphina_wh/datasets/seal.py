"""The seal of a dataset: a checksum file beside it, `<file>.sealed`.

It travels with the dataset, needs no warehouse, and any tool can check it: `sha256sum -c <file>.sealed`. The
dataset file becomes read-only, so that tools which know nothing of seals stop too.
"""

from __future__ import annotations

from pathlib import Path

from paraphina_wh.commit import write_atomically
from paraphina_wh.errors import WarehouseError
from paraphina_wh.warehouse import SEAL_SUFFIX

READ_ONLY = 0o444


def seal_file(file: Path) -> Path:
    """Return where the seal of a dataset file lies."""
    return file.with_name(f"{file.name}{SEAL_SUFFIX}")


def is_sealed(file: Path) -> bool:
    """Tell whether a dataset file was sealed."""
    return seal_file(file).exists()


def sealed_sha256(file: Path) -> str | None:
    """Return the SHA-256 that a dataset file had when it was sealed, None when it is not sealed or none is given."""
    words = seal_file(file).read_text(errors="replace").split() if is_sealed(file) else []
    return words[0] if words else None


def write_seal(file: Path, sha256: str) -> None:
    """Seal a dataset file of this SHA-256.

    Raises: WarehouseError when the file cannot be made read-only, or the seal cannot be written.
    """
    # The seal last: whoever is killed before it finds the dataset unsealed, and seals it again.
    try:
        file.chmod(READ_ONLY)
    except OSError as error:
        raise WarehouseError(f"cannot make {file} read-only: {error.strerror}", "seal it as its owner") from error
    write_atomically(seal_file(file), f"{sha256}  {file.name}\n".encode(errors="surrogateescape"))
