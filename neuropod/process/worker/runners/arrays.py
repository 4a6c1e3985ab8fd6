"""Text between numpy and the frameworks, and memory that is not an input's."""

from typing import Any, Iterable, List, Sequence

import numpy as np

from .errors import NeuropodError

__all__ = ["is_text", "of_objects", "own", "to_list", "to_unicode"]


def is_text(array: Any) -> bool:
    return array.dtype.kind in "SUT" or array.dtype == object


def to_list(array: Any, what: str) -> List[str]:
    """Returns the elements, flat, as str; `what` is "input 'x'". Bytes are read as UTF-8."""
    return [_text(item, what) for item in array.ravel().tolist()]


def to_unicode(array: Any, what: str) -> Any:
    """Returns the texts as a unicode array of the same shape."""
    return array if array.dtype.kind == "U" else unicode_of(to_list(array, what), array.shape)


def unicode_of(items: Sequence[str], shape: Sequence[int]) -> Any:
    return np.array(items, dtype=np.str_).reshape(shape)


def of_objects(array: Any, items: Iterable[Any]) -> Any:
    """Returns an array of Python objects in the shape of another: how frameworks take texts of any length."""
    out = np.empty(array.size, object)
    out[:] = list(items)
    return out.reshape(array.shape)


def own(array: Any, inputs: Iterable[Any]) -> Any:
    """Returns the array, or a copy where its memory may be that of an input."""
    return array.copy() if any(np.may_share_memory(array, given) for given in inputs) else array


def _text(item: Any, what: str) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, bytes):
        raise NeuropodError("{}: a string tensor holds {}, not text".format(what, type(item).__name__))
    try:
        return item.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NeuropodError(
            "{}: a string tensor holds bytes that are not UTF-8: {!r} ({})".format(what, item[:40], error.reason)
        ) from None
