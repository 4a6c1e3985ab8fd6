"""How kernels are compiled: cached on disk, without the GIL, without fast-math, which would change bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

__all__ = ["inner", "kernel"]

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


def inner(function: Function) -> Function:
    """Compiles what kernels call for every point into each of them.

    A call that is not inlined hands over dozens of values where there are arrays: gathering 160 000 points took 3.3 ms
    with one for each, 0.2 without. The compiler decides by size and by the number of callers if it is not told. And not
    cached: what numba takes from its cache is finished machine code, which cannot be inlined.
    """
    jitted: Any = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    return cast(Function, jitted)
