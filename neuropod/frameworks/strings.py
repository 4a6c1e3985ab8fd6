"""String tensors between numpy and the frameworks: UTF-8 text. Lists are ten times quicker than np.char here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NeuropodError

__all__ = ["NotText", "is_string", "of_tensor", "to_list", "to_unicode"]


@contextmanager
def of_tensor(name: str) -> Iterator[None]:
    """Puts the tensor's name, "input 'x'", before what is wrong with its strings."""
    try:
        yield
    except NotText as error:
        raise NeuropodError(f"{name}: {error}") from error.__cause__


class NotText(NeuropodError):
    """A string tensor holds something else."""


def is_string(array: NDArray[Any]) -> bool:
    """Returns whether an array holds text: numpy's unicode, its bytes, or its variable-width strings."""
    return array.dtype.kind in "SUT"


def to_list(array: NDArray[Any]) -> list[str]:
    """Returns the elements, flat, as str; bytes are read as UTF-8."""
    return [_text(item) for item in array.ravel().tolist()]


def to_unicode(items: NDArray[Any] | Sequence[str | bytes], shape: tuple[int, ...] | None = None) -> NDArray[np.str_]:
    """Returns a unicode array of an array's or a list's strings, in that shape (an array keeps its own)."""
    if isinstance(items, np.ndarray):
        if items.dtype.kind == "U":
            return items
        shape, items = items.shape, items.ravel().tolist()
    flat = np.array([_text(item) for item in items], dtype=np.str_)
    return flat if shape is None else flat.reshape(shape)


def _text(item: object) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, bytes):
        raise NotText(f"a string tensor holds {type(item).__name__}, not text")
    try:
        return item.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotText(f"a string tensor holds bytes that are not UTF-8: {item[:40]!r} ({error.reason})") from None
