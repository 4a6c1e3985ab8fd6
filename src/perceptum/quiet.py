"""Holding back what is logged while something is tried. It is on the ground floor, and imports nothing of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["logs_only"]


@contextmanager
def logs_only(level: int, logger: str) -> Iterator[None]:
    """Holds back what `logger`, and those below it without a level of their own, log under `level`; then as before."""
    quieted = logging.getLogger(logger)
    before = quieted.level
    quieted.setLevel(level)
    try:
        yield
    finally:
        quieted.setLevel(before)
