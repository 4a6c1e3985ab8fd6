"""test_data.pkl: the inputs and outputs that a package was tested with. Read without running anything."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from perceptum.foreign import said

from ..errors import NeuropodError
from ..frameworks.incoming import as_numpy
from ..frameworks.strings import to_unicode
from .plain_pickle import loads

__all__ = ["FILE_NAME", "dump", "load", "plain"]

FILE_NAME = "test_data.pkl"


def dump(test_input: Mapping[str, Any], test_output: Mapping[str, Any] | None) -> bytes:
    """Returns the pickle as Uber's packager wrote it; tensors of frameworks are stored as arrays."""
    given, expected = (
        None if side is None else {name: plain(name, value) for name, value in dict(side).items()}
        for side in (test_input, test_output)
    )
    return pickle.dumps({"test_input": given, "test_output": expected})


def plain(name: str, value: Any) -> Any:
    """Returns a framework's tensor as an array, and numpy's newer text as its older, all else unchanged.

    Both would pickle as code, which is never read.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind == "T":
        return to_unicode(value)
    is_tensor = hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic)
    return as_numpy(name, value) if is_tensor else value


def load(data: bytes) -> Any:
    """Returns what was pickled: numpy arrays and scalars, text, numbers, dicts, lists and tuples; raises for all else.

    Python 2 pickles are read too, as old packages hold them. No memory is taken that the bytes do not fill.
    """
    try:
        return loads(data)
    except NeuropodError as error:
        raise NeuropodError(f"{FILE_NAME}: {error}") from error.__cause__
    except Exception as error:  # a hostile pickle can make its reader raise anything
        raise NeuropodError(f"{FILE_NAME}: not a complete pickle of arrays ({said(error)})") from error
