"""JAX: its import, and arrays of its own."""

from __future__ import annotations

import os
import sys
from typing import Any

from numpy.typing import NDArray

from perceptum.install import install_command

from ..errors import NeuropodError
from .strings import is_string
from .tensorflow import LOG_LEVEL

__all__ = ["import_jax", "to_native"]


def import_jax() -> Any:
    """Returns the module. Its import sets TensorFlow's log level for this process and its children: that is undone."""
    known = LOG_LEVEL in os.environ or "jax" in sys.modules
    try:
        import jax
        import jax.export
    except ImportError as error:
        raise NeuropodError(f"running JAX functions needs jax: {install_command('jax')}") from error
    if not known:
        os.environ.pop(LOG_LEVEL, None)
    return jax


def to_native(array: NDArray[Any]) -> Any:
    """Returns an output of a model as an array in the CPU's memory; strings stay unchanged: JAX has none."""
    if is_string(array):
        return array
    jax = import_jax()
    with jax.enable_x64(True):  # else it would read 64-bit numbers as 32 bits
        return jax.device_put(array, jax.devices("cpu")[0])
