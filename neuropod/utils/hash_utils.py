"""A file's hash, as Uber's packagers used it."""

from __future__ import annotations

import hashlib
import os

__all__ = ["sha256sum"]


def sha256sum(filename: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with open(filename, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
