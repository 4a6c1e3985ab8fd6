"""From requirements to exact versions."""

from __future__ import annotations

from ..requirements import compile_lock

__all__ = ["compile_requirements"]


def compile_requirements(requirements: str) -> str:
    """Returns the text of the lock file: exact pins stand as they are, all else pip-tools resolves."""
    return compile_lock(requirements)
