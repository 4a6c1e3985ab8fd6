"""Holding back what is logged while something is tried. It is on the ground floor, and imports nothing of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["logs_only", "logs_once"]

_IS_NEW = "perceptum_is_new"


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


@contextmanager
def logs_once(logger: str) -> Iterator[None]:
    """Holds back what `logger`, or one below it, logs in words that were logged before: several builders of one frame
    each report what is missing."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        if record.name != logger and not record.name.startswith(f"{logger}."):
            return True
        # a record comes to several handlers, and is new to all of them or to none
        if not hasattr(record, _IS_NEW):
            words = record.getMessage()
            setattr(record, _IS_NEW, words not in said)
            said.add(words)
        return bool(getattr(record, _IS_NEW))

    handlers = list(_handlers(logging.getLogger(logger)))
    for handler in handlers:
        handler.addFilter(is_new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_new)


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    """Yields those that a record of a logger comes to."""
    found = False
    while logger is not None:
        yield from logger.handlers
        found = found or bool(logger.handlers)
        logger = logger.parent if logger.propagate else None
    if not found and logging.lastResort is not None:
        yield logging.lastResort
