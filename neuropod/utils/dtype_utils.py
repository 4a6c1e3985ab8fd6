"""Names of dtypes, as specs hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["get_dtype", "get_dtype_name"]


def get_dtype(arg: Any) -> np.dtype[Any]:
    """Returns numpy's dtype of anything that numpy reads as one, and of "string"; TypeError for all else."""
    try:
        return np.dtype("str" if isinstance(arg, str) and arg == "string" else arg)
    # numpy parses strings as Python
    except (ValueError, SyntaxError) as error:
        raise TypeError(f"{arg!r} is not a data type: {error}") from None


def get_dtype_name(arg: Any) -> str:
    """Returns the name that a spec holds: "double" is float64, "str" is string."""
    name = get_dtype(arg).name
    return "string" if name == "str" else name
