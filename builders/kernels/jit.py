"""How kernels are compiled: cached on disk, without the GIL, without fast-math, which would change bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

__all__ = ["kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])


def _choose_cache_folder() -> None:
    """Names a cache folder where numba would find none that can be written, and raise."""
    beside = Path(__file__).parent / "__pycache__"
    writable = os.access(beside if beside.exists() else beside.parent, os.W_OK)
    if "NUMBA_CACHE_DIR" in os.environ or writable or os.access(Path.home(), os.W_OK):
        return
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"perceptum-numba-{os.getuid()}")


_choose_cache_folder()

import numba  # noqa: E402


def kernel(function: Function) -> Function:
    """Compiles a counting function when it is first called: arrays and numbers in, `out` last."""
    jitted: Any = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return cast(Function, jitted)
