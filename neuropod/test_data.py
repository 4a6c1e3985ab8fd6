"""test_data.pkl: the inputs and outputs that a package was tested with. Read without running anything."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import NeuropodError

__all__ = ["FILE_NAME", "dump", "load"]

FILE_NAME = "test_data.pkl"


def dump(test_input: Mapping[str, Any], test_output: Mapping[str, Any] | None) -> bytes:
    """Returns the pickle as Uber's packager wrote it."""
    return pickle.dumps(
        {"test_input": dict(test_input), "test_output": None if test_output is None else dict(test_output)}
    )


def load(data: bytes) -> Any:
    """Returns what was pickled: numpy arrays and scalars, text, numbers, dicts, lists and tuples; raises for all else.

    Python 2 pickles are read too, as old packages hold them.
    """
    try:
        return _Arrays(io.BytesIO(data), encoding="latin1").load()
    except NeuropodError:
        raise
    except Exception as error:  # a hostile pickle can make its reader raise anything
        raise NeuropodError(f"{FILE_NAME}: not a whole pickle of arrays ({type(error).__name__}: {error})") from error


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise NeuropodError(f"{FILE_NAME}: holds {module}.{name}; only numpy arrays and plain values are read")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise NeuropodError(
            f"{FILE_NAME}: refers to {pid!r} outside of itself; only numpy arrays and plain values are read"
        )


def _array_of(kind: type, shape: Any, dtype: Any) -> np.ndarray:
    if kind is not np.ndarray:
        raise NeuropodError(f"{FILE_NAME}: holds an array of class {kind!r}")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _encoded(text: str, encoding: str) -> bytes:
    """Old protocols write bytes as text of the latin1 encoding."""
    if encoding not in ("latin1", "latin-1"):
        raise NeuropodError(f"{FILE_NAME}: holds text to be encoded as {encoding!r}")
    return text.encode("latin1")


def _scalar(dtype: np.dtype, data: Any) -> Any:
    if dtype.hasobject:
        raise NeuropodError(f"{FILE_NAME}: holds a scalar of {dtype}")
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype, 1)[0]


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _array_of,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encoded,
}
