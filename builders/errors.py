"""What can go wrong while a frame is built, besides what is wrong with its records or its spec."""

from __future__ import annotations

from perceptum.features.errors import BuildError, SpecError
from perceptum.foreign import said
from perceptum.inputs import LogError

__all__ = ["OURS", "BuildError", "stage_failed"]

OURS = (KeyboardInterrupt, LogError, MemoryError, SpecError)
"""What says by itself what is wrong, and leaves a stage as it is."""


def stage_failed(stage: object, doing: str, error: BaseException) -> BuildError:
    """Returns the error that says which stage failed over what; `doing` is the method that failed."""
    group = getattr(stage, "group", None)
    who = f"stage '{getattr(stage, 'title', '') or type(stage).__name__}'" + (f" of group '{group}'" if group else "")
    return BuildError(f"{who} ({type(stage).__module__}.{type(stage).__qualname__}) failed in {doing}: {said(error)}")
