"""Tensors of a frame in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .output_file import check_ending, whole_file

__all__ = ["write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Writes an .npz file completely or not at all."""
    check_ending(path, (".npz",), "tensors are an .npz file")
    with whole_file(path) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **tensors)
