"""A file of the cache appears under its name only when it is complete: it is written beside it, and renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["WRITING", "whole", "write_all"]

WRITING = ".writing-"
"""How the names of files that are being written begin."""


@contextmanager
def whole(path: Path) -> Iterator[int]:
    """Yields a descriptor to write to. Readers find all that was written, or what was there before; after any error
    nothing is left of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=WRITING)
    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            yield file.fileno()
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def write_all(file: int, memory: memoryview) -> None:
    """Writes all of it; raises OSError."""
    done = 0
    while done < len(memory):
        done += os.write(file, memory[done:])
