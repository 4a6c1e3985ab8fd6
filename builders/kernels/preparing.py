"""What numba imports when it loads its first kernel, imported before that."""

from __future__ import annotations

from numba.core.registry import cpu_target

__all__ = ["prepare"]


def prepare() -> None:
    """For a process that forks others, which load kernels: half of the time that takes, 0.35 s, is these imports."""
    cpu_target.target_context.refresh()
